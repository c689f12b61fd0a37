"""Which names of packages, images, repositories and models may leave: those that are known to be public anyway.

A package URL says nothing of whether its name is public: `pkg:npm/%40acme-internal/billing` looks like any other and
names its owner. So a name leaves only when a list of public names that the operator keeps here has it, or another
member has published it before; and never when its scope is one that the operator calls private.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from ioint_protocol.records import PUBLIC_SUBJECT

NAMES_BYTES: Final = 268_435_456  # of a file of public names
_VERSION: Final = re.compile(r"(?P<name>[^@]+)@(?P<version>.+)\Z")
_SEMANTIC: Final = re.compile(r"v?(?P<kept>[0-9]{1,9}\.[0-9]{1,9})(?:[.+-].*)?\Z")
# Numbers, and one word that says how finished it is; anything else could say something of ours.
_PLAIN_VERSION: Final = re.compile(
    r"v?[0-9]{1,9}(?:\.[0-9]{1,9}){0,3}(?:[.-]?(?:alpha|beta|rc|a|b|dev|pre|post)[.-]?[0-9]{0,6})?\Z"
)
_SCOPED: Final = re.compile(r"pkg:[a-z]+/(?P<scope>[^/]+)/")


def name_of(subject: str) -> str:
    """A package URL without its version."""
    return subject.partition("@")[0]


def generalised(subject: str) -> str:
    """A package URL whose version names no patch release: `1.3.9` leaves as `1.3`; one of another form not at all."""
    found = _VERSION.match(subject)
    if found is None:
        return subject
    version = _SEMANTIC.match(found["version"])
    return found["name"] if version is None else f"{found['name']}@{version['kept']}"


def why_not_public(
    subject: str, *, snapshot: Collection[str], said: Collection[str], private: Collection[str]
) -> str | None:
    """Why a package URL may not leave; None when its name is public. The reason never repeats the name.

    Args:
        subject: the package URL, with or without a version.
        snapshot: public names that the operator keeps here, as package URLs without versions.
        said: package URLs that other members have published.
        private: scopes and names that never leave, such as `@acme-internal`, whatever else is known.
    """
    if not PUBLIC_SUBJECT.fullmatch(subject):
        return (
            "it is no package URL of a type whose default registry is public, without qualifiers and subpath"
        )
    name, _, version = subject.partition("@")
    if version and not _PLAIN_VERSION.match(version):
        return "its version is more than numbers and one word such as rc1: leave it out"
    if _is_private(name, private):
        return "its scope or name is one that `private_names` keeps here"
    if name in snapshot or any(name_of(one) == name for one in said):
        return None
    return (
        "its name is in no list of public names that this node has, and no other member has published it: "
        "if it is public, add it to the file of the setting public_names"
    )


def parse_names(text: str) -> frozenset[str]:
    """The names of a list: a package URL a line, versions cut off, empty lines and lines that begin with # passed over.

    Raises:
        ValueError: a line is none; the message has its number.
    """
    names = set()
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if not PUBLIC_SUBJECT.fullmatch(entry):
            raise ValueError(f"line {number} is no package URL such as pkg:npm/left-pad")
        names.add(name_of(entry))
    return frozenset(names)


def _is_private(name: str, private: Collection[str]) -> bool:
    scope = _SCOPED.match(name)
    parts = {name.rpartition("/")[2].casefold()}
    if scope is not None:
        parts.add(scope["scope"].replace("%40", "@").casefold())
    wanted = {one.casefold() for one in private}
    # Whoever writes acme means @acme as well.
    return bool({part.lstrip("@") for part in parts} & {one.lstrip("@") for one in wanted})
