"""The command line: thin. Each command reads its options, calls one function below, and shows the result.

With `-o json` standard output holds one JSON document and nothing else; everything else goes to standard error. Exit
codes: 0 done, 1 failed, 2 used wrongly. The last line of a failure says what to do.
"""

from ioint_node.cli.main import main

__all__ = ["main"]
