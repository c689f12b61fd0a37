"""Subject identifiers (RFC 9493, SSF 1.0): which there are, when two are the same, and how this node names whom.

No standard says how an agent, a package or a pattern of behaviour is named. Each has two names here:

whom             iss_sub                                      uri
local actor      the transmitter, and the actor's id          the id where it is a URI, else below the transmitter
public package   the authority of package URLs, and the purl  the purl
pattern          `urn:ioint:pattern`, and the pattern's id    `urn:ioint:pattern:ID`
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from ioint_node.errors import RequestError

Format = Literal["iss_sub", "uri"]
Subject = Mapping[str, Any]
FORMATS: Final[tuple[Format, ...]] = ("iss_sub", "uri")  # that a stream may have its subjects in
PACKAGES: Final = "https://packageurl.org"
PATTERNS: Final = "urn:ioint:pattern"
TEXT_CHARS: Final = 2_048
ALIASES: Final = 16
MEMBERS: Final = 16
_SIMPLE: Final[Mapping[str, tuple[str, ...]]] = {
    "account": ("uri",),
    "email": ("email",),
    "iss_sub": ("iss", "sub"),
    "opaque": ("id",),
    "phone_number": ("phone_number",),
    "did": ("url",),
    "uri": ("uri",),
    "jwt_id": ("iss", "jti"),
    "saml_assertion_id": ("issuer", "assertion_id"),
}
_ENTITY: Final = re.compile(r"[a-z][a-z_]{0,31}")
# Names of agents that are URIs as they stand.
_URI: Final = re.compile(r"(?:spiffe|https|did|urn):[!-~]+")
_sorted = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whom an event is about, by each of its names; `entity` is what CAEP calls `principal`."""

    iss: str
    sub: str
    uri: str
    entity: str

    def named(self, form: Format) -> dict[str, str]:
        """The subject identifier in one of the two formats."""
        if form == "uri":
            return {"format": "uri", "uri": self.uri}
        return {"format": "iss_sub", "iss": self.iss, "sub": self.sub}

    @property
    def names(self) -> tuple[dict[str, str], ...]:
        """Every subject identifier that it has."""
        return tuple(self.named(form) for form in FORMATS)


def actor(actor_id: str, issuer: str, *, person: bool) -> Principal:
    """A local actor: its name is this organisation's own."""
    uri = actor_id if _URI.fullmatch(actor_id) else f"{issuer}/agents/{quote(actor_id, safe='')}"
    return Principal(iss=issuer, sub=actor_id, uri=uri, entity="USER" if person else "APPLICATION")


def package(purl: str) -> Principal:
    """A public package by its package URL."""
    return Principal(iss=PACKAGES, sub=purl, uri=purl, entity="APPLICATION")


def pattern(pattern_id: str) -> Principal:
    """A pattern of behaviour, which is the same at every member; no entity of SSF is like it."""
    return Principal(iss=PATTERNS, sub=pattern_id, uri=f"{PATTERNS}:{pattern_id}", entity="PATTERN")


def opaque(name: str) -> dict[str, str]:
    """The subject of what is said of a stream itself."""
    return {"format": "opaque", "id": name}


def check_subject(value: object, field: str = "subject") -> dict[str, Any]:
    """A subject identifier that came from outside.

    Raises:
        RequestError: it is none, or holds more than its format has.
    """
    form = value.get("format") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(form, str):
        raise RequestError(f"{field}: an object with a `format`")
    rest = {name: one for name, one in value.items() if name != "format"}
    if form == "complex":
        return {"format": form, **_complex(rest, field)}
    if form == "aliases":
        return {"format": form, **_aliases(rest, field)}
    if form == "ip-addresses":
        return {"format": form, **_texts(rest, "ip-addresses", field)}
    if form not in _SIMPLE:
        known = ", ".join((*_SIMPLE, "ip-addresses", "aliases", "complex"))
        raise RequestError(f"{field}: format {form[:32]!r} is none of {known}")
    if set(rest) != set(_SIMPLE[form]):
        raise RequestError(f"{field}: {form} has {', '.join(_SIMPLE[form])} and nothing else")
    for name, one in rest.items():
        _check_text(one, f"{field}: {name}")
    return dict(value)


def key_of(subject: Subject) -> str:
    """One text for a subject, however its members are ordered."""
    return _sorted.encode(subject).decode()


def is_wide(subject: Subject) -> bool:
    """Whether a subject can match others than itself."""
    return subject.get("format") in ("complex", "aliases")


def matches(one: Subject, other: Subject) -> bool:
    """Whether two subjects are the same (SSF 1.0, "Subject Matching").

    Simple ones when they are identical; complex ones when every member is equal or absent on one side; of `aliases` one
    identifier is enough.
    """
    forms = (one.get("format"), other.get("format"))
    if forms == ("complex", "complex"):
        shared = (set(one) & set(other)) - {"format"}
        return all(matches(one[name], other[name]) for name in shared)
    if "aliases" in forms:
        return any(a == b for a in _identifiers(one) for b in _identifiers(other))
    return dict(one) == dict(other)


def _identifiers(subject: Subject) -> Sequence[Subject]:
    return subject["identifiers"] if subject.get("format") == "aliases" else (subject,)


def _complex(members: Mapping[str, object], field: str) -> dict[str, Any]:
    if not 1 <= len(members) <= MEMBERS or not all(_ENTITY.fullmatch(name) for name in members):
        raise RequestError(
            f"{field}: complex has 1 to {MEMBERS} members such as user, session or application"
        )
    return {name: _simple(one, f"{field}: {name}") for name, one in members.items()}


def _aliases(members: Mapping[str, object], field: str) -> dict[str, Any]:
    given = members.get("identifiers")
    if set(members) != {"identifiers"} or not isinstance(given, list) or not 1 <= len(given) <= ALIASES:
        raise RequestError(f"{field}: aliases has 1 to {ALIASES} identifiers and nothing else")
    return {"identifiers": [_simple(one, f"{field}: identifiers") for one in given]}


def _texts(members: Mapping[str, object], name: str, field: str) -> dict[str, Any]:
    given = members.get(name)
    if set(members) != {name} or not isinstance(given, list) or not 1 <= len(given) <= ALIASES:
        raise RequestError(f"{field}: {name} has 1 to {ALIASES} texts and nothing else")
    for one in given:
        _check_text(one, f"{field}: {name}")
    return {name: given}


def _simple(value: object, field: str) -> dict[str, Any]:
    if isinstance(value, dict) and is_wide(value):
        raise RequestError(f"{field}: a simple subject, not {value['format']}")
    return check_subject(value, field)


def _check_text(value: object, field: str) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= TEXT_CHARS:
        raise RequestError(f"{field}: a text of 1 to {TEXT_CHARS} characters")
