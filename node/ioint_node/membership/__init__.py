"""Who is a member, proven: the consortium as a repository after The Update Framework (SPEC, "Roster").

    keys         Ed25519 by PyNaCl, in place of the library's
    files        the shape of each file, before any signature
    client       from files that somebody gave us to the roster in force
    repository   what stewards sign, and how it comes in force

`client.follow` is where to begin reading.
"""

from __future__ import annotations

from ioint_node.membership.client import Membership, follow, recall
from ioint_node.membership.files import consortium_of
from ioint_node.membership.repository import (
    LIFETIMES,
    Lifetimes,
    Proposal,
    Terms,
    check_signed,
    dates,
    found,
    missing_signatures,
    next_version,
    propose_change,
    propose_founding,
    publish,
    read_proposal,
    renewal_due,
    sign,
    stamp,
    stamp_due,
)

__all__ = [
    "LIFETIMES",
    "Lifetimes",
    "Membership",
    "Proposal",
    "Terms",
    "check_signed",
    "consortium_of",
    "dates",
    "follow",
    "found",
    "missing_signatures",
    "next_version",
    "propose_change",
    "propose_founding",
    "publish",
    "read_proposal",
    "recall",
    "renewal_due",
    "sign",
    "stamp",
    "stamp_due",
]
