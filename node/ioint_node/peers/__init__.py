"""The exchange with other members: libp2p in a process of its own, and what joins it to the node.

`exchange.py` is the node's side, `process.py` the child's; only bytes and small messages (`frames.py`) pass between.
"""

from ioint_node.peers.announcer import Announcer
from ioint_node.peers.antientropy import AntiEntropyLimits, run_catch_up
from ioint_node.peers.exchange import Exchange, Handlers
from ioint_node.peers.ledger import PeerAddress
from ioint_node.peers.life import PeerUnavailable
from ioint_node.peers.limits import PeerLimits
from ioint_node.peers.parting import Parting
from ioint_node.peers.protocols import ANNOUNCE, HEADS, OFFERS, PROOF, PROTOCOLS, PULL, PUSH, ROSTER
from ioint_node.peers.puller import Puller

__all__ = [
    "ANNOUNCE",
    "HEADS",
    "OFFERS",
    "PROOF",
    "PROTOCOLS",
    "PULL",
    "PUSH",
    "ROSTER",
    "Announcer",
    "AntiEntropyLimits",
    "Exchange",
    "Handlers",
    "Parting",
    "PeerAddress",
    "PeerLimits",
    "PeerUnavailable",
    "Puller",
    "run_catch_up",
]
