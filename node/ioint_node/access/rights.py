"""What a role opens, and what the scopes of a token leave of it.

A *right* is what a route asks for. A role has rights. A token may name *scopes*, and then opens only what both its role
and one of its scopes open: a scope takes away and never gives. Every right is a scope of the same name; a standard
that names scopes of its own has them beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from ioint_node.errors import RequestError

RIGHTS: Final[Mapping[str, str]] = {
    "act": "open sessions, act and tell in them; an agent in its own only",
    "answer": "say whether what was done was right",
    "see_session": "see one session by its id; an agent its own only",
    "query": "read what is known: indicators, patterns, agents, the stream, TAXII, feeds",
    "review": "read what would leave, what waits for a person, and who did what",
    "opine": "allow, mute, confirm, dispute; halt an agent and let it go on",
    "decide": "decide what leaves, and what a policy or an agent may be",
    "manage": "tokens, imports, leaving",
    "telemetry": "send spans and logs of agents; an agent its own only",
    "subscribe": "have changes posted: webhooks and streams of security events",
}
"""What each right is for."""
MAY: Final[Mapping[str, frozenset[str]]] = {
    "agent": frozenset({"act", "answer", "see_session", "telemetry"}),
    "engine": frozenset({"act", "answer", "see_session", "query", "telemetry", "subscribe"}),
    "soc": frozenset({"answer", "see_session", "query", "review", "opine"}),
    "admin": frozenset(RIGHTS),
}
"""The rights of each role."""
ROLES: Final = tuple(MAY)
ANY_TOKEN: Final = "any_token"  # noqa: S105 - a name
"""What a route asks for that opens to every token, whatever its role and scopes."""
SCOPES: Final[Mapping[str, frozenset[str]]] = {
    **{right: frozenset({right}) for right in RIGHTS},
    # CAEP interoperability profile: reading streams and their state; making and changing them.
    "ssf.read": frozenset({"query"}),
    "ssf.manage": frozenset({"query", "subscribe"}),
}
"""The rights that each scope leaves."""


@lru_cache(maxsize=1_024)
def rights_of(role: str, scopes: frozenset[str] | None) -> frozenset[str]:
    """The rights of a role, or of that what the scopes leave; None for no scopes named. Unknown scopes open nothing."""
    rights = MAY.get(role, frozenset())
    if scopes is None:
        return rights
    return rights & frozenset[str]().union(*(SCOPES.get(scope, frozenset()) for scope in scopes))


def check_scopes(role: str, scopes: Iterable[str]) -> frozenset[str]:
    """The scopes that a token of this role is to have.

    Raises:
        RequestError: none, an unknown one, or one of which the role opens nothing.
    """
    named = frozenset(scopes)
    if not named:
        raise RequestError("scopes: name at least one, or leave scopes out for all that the role opens")
    for scope in sorted(named):
        if scope not in SCOPES:
            raise RequestError(f"scopes: {scope[:32]!r} is none of {', '.join(SCOPES)}")
        if not SCOPES[scope] <= MAY[role]:
            raise RequestError(f"scopes: a token of role {role} does not open {scope}")
    return named
