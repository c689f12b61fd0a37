"""`python -m ioint_node` is the `ioint` command."""

import sys

from ioint_node.cli import main

if __name__ == "__main__":
    sys.exit(main())
