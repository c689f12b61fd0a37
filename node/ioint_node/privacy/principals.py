"""Who a session is about: the person or service owner behind it, not the agent that happened to act.

One person can start fifty agents, so agents are not people and do not count as such. A session stands for whoever is
at the top of its delegation: the user that a gateway names, else the owner that the operator's import names for the
actor, else the actor itself where it is a user. Where none of these is known, it counts as one and the same unknown
person: so many agents without an owner are one. Only a keyed digest is kept: it is good for counting, and for nothing
else.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

KEY_BYTES: Final = 32
_PERSON: Final = b"ioint principal"
_UNSEEN: Final = frozenset({"Cf", "Mn"})  # categories of Unicode: formatting, and marks over other signs
_UNKNOWN: Final = "\x00unknown"  # no name of an actor or person has a control character in it


def principal(*, on_behalf_of: str | None, owner: str, actor: str, kind: str, key: bytes) -> str:
    """The principal of a session that nobody delegated, 32 hex digits.

    The same name is the same principal as a user, an owner or an actor, however it is spelled: to count too few errs
    toward silence.

    Args:
        on_behalf_of: the user, as a gateway names it; never what an actor says of itself.
        owner: who answers for the actor, as the operator's import names it; "" when it does not.
        actor: who acts.
        kind: what the actor is; only a `user` stands for itself.
        key: 32 bytes, this node's own.
    """
    named = on_behalf_of or owner or (actor if kind == "user" else "")
    return _digest(named, key) if named else unknown(key)


def unknown(key: bytes) -> str:
    """The principal of every session whose chain of delegation is not known to its beginning, 32 hex digits."""
    return _digest(_UNKNOWN, key)


def _digest(name: str, key: bytes) -> str:
    return hashlib.blake2b(_folded(name).encode(), digest_size=16, key=key, person=_PERSON).hexdigest()


def _folded(name: str) -> str:
    """One spelling for names that people read alike: no case, width, accents, blanks at the ends or invisible signs."""
    apart = unicodedata.normalize("NFKD", name.casefold())
    seen = "".join(sign for sign in apart if unicodedata.category(sign) not in _UNSEEN)
    return seen.replace("\u0131", "i").strip()
