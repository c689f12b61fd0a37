"""What an identity provider's word makes of a caller: rules from claims to a role, a clearance and scopes. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from ioint_node.access.rights import ROLES, SCOPES

RULES: Final = 64
ACTOR_CHARS: Final = 256
_RULE: Final = re.compile(r"(?P<claim>[A-Za-z0-9_:/.-]{1,128})=(?P<value>.{1,256}):(?P<role>[a-z]+)")
_LABELS: Final = {"clear", "green", "amber", "amber_strict", "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who has this value in this claim has this role; a claim in an object is named with dots."""

    claim: tuple[str, ...]
    value: str
    role: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """A rule from `CLAIM=VALUE:ROLE`; VALUE may hold colons.

        Raises:
            ValueError: no such rule.
        """
        found = _RULE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:64]!r}: write CLAIM=VALUE:ROLE, such as groups=analysts:soc")
        if found["role"] not in ROLES:
            raise ValueError(f"{text[:64]!r}: {found['role'][:16]!r} is none of {', '.join(ROLES)}")
        # A claim may be a URL, whose dots are its own.
        claim = (found["claim"],) if "/" in found["claim"] else tuple(found["claim"].split("."))
        return cls(claim=claim, value=found["value"], role=found["role"])

    def holds(self, claims: Mapping[str, Any]) -> bool:
        """Whether the claim is this value, or a list or a text between blanks that has it."""
        return self.value in _values(claims, self.claim)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """The rules of one node. `tlp` is the clearance where no claim names one; "" for a claim that is not looked at."""

    rules: tuple[Rule, ...]
    tlp: str = "green"
    tlp_claim: str = ""
    actor_claim: str = "sub"
    scope_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Who a provider's subject is here."""

    id: str
    role: str
    actor: str | None
    tlp: str
    scopes: frozenset[str] | None


class UnmappedError(Exception):
    """A provider vouches for somebody to whom no rule gives a role."""


def terms_of(claims: Mapping[str, Any], mapped: Mapped) -> Terms:
    """What verified claims say by these rules; the first rule that holds decides.

    Raises:
        UnmappedError: no rule holds, or an agent's actor is not named.
    """
    role = next((rule.role for rule in mapped.rules if rule.holds(claims)), None)
    if role is None:
        raise UnmappedError("no rule of this node gives this identity a role")
    actor = None
    if role == "agent":
        named = claims.get(mapped.actor_claim)
        if not isinstance(named, str) or not 1 <= len(named) <= ACTOR_CHARS:
            raise UnmappedError("the claim that names the agent is missing")
        actor = named
    return Terms(
        id=subject_id(str(claims["iss"]), str(claims["sub"])),
        role=role,
        actor=actor,
        tlp=_clearance(claims, mapped),
        scopes=_scopes(claims, mapped.scope_prefix),
    )


def subject_id(issuer: str, subject: str) -> str:
    """The id of a provider's subject here: it names nobody, and is the same every time."""
    return "oidc:" + hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:32]


def _clearance(claims: Mapping[str, Any], mapped: Mapped) -> str:
    if not mapped.tlp_claim:
        return mapped.tlp
    # A claim that should say it and does not, or says what nobody knows, is no reason to show more.
    found = [value for value in _values(claims, tuple(mapped.tlp_claim.split("."))) if value in _LABELS]
    return found[0] if len(found) == 1 else "clear"


def _scopes(claims: Mapping[str, Any], prefix: str) -> frozenset[str] | None:
    """The scopes of ours that are named; None where none is: then the role alone says what is open."""
    named: list[str] = []
    for claim in ("scope", "scp"):
        named += _values(claims, (claim,))
    cut = (name.removeprefix(prefix) for name in named if name.startswith(prefix))
    return frozenset(name for name in cut if name in SCOPES) or None


def _values(claims: Mapping[str, Any], path: Sequence[str]) -> list[str]:
    found: Any = claims
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return list(dict.fromkeys([found, *found.split()]))
    if isinstance(found, list):
        return [value for value in found if isinstance(value, str)]
    return [str(found).lower()] if isinstance(found, bool) else []
