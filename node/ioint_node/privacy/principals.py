"""Who a session is about: the person or service owner behind it, not the agent that happened to act.

One person can start fifty agents, so agents are not people and do not count as such. A session stands for whoever is
at the top of its delegation: the user that a gateway names, else the owner that the operator's import names for the
actor, else the actor itself. Where the top of the chain is not known, it counts as one and the same unknown person.
Only a keyed digest is kept: it is good for counting, and for nothing else.
"""

from __future__ import annotations

import hashlib
from typing import Final

KEY_BYTES: Final = 32
_PERSON: Final = b"ioint principal"
_UNKNOWN: Final = "\x00unknown"  # no name of an actor or person has a control character in it


def principal(*, on_behalf_of: str | None, owner: str, actor: str, key: bytes) -> str:
    """The principal of a session that nobody delegated, 32 hex digits.

    The same name is the same principal as a user, an owner or an actor: to count too few errs toward silence.

    Args:
        on_behalf_of: the user, as a gateway names it; never what an actor says of itself.
        owner: who answers for the actor, as the operator's import names it; "" when it does not.
        actor: who acts.
        key: 32 bytes, this node's own.
    """
    return _digest(on_behalf_of or owner or actor, key)


def unknown(key: bytes) -> str:
    """The principal of every session whose chain of delegation is not known to its beginning, 32 hex digits."""
    return _digest(_UNKNOWN, key)


def _digest(name: str, key: bytes) -> str:
    folded = name.strip().casefold().encode()
    return hashlib.blake2b(folded, digest_size=16, key=key, person=_PERSON).hexdigest()
