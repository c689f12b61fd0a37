"""The demo: a consortium of real nodes on this machine, one of them hostile, and the story they tell.

Every organisation is a process of its own with its own home, keys and database; they meet over libp2p on loopback.
The demo drives them through their public HTTP interface with the tokens that a user gets, and every figure that it
shows was read there.
"""

from ioint_node.demo.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
