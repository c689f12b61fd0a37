"""What records can be about: the id of a pattern, or a public package with or without its version."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from ioint_protocol.records import PUBLIC_SUBJECT

CRATE: Final = "pkg:cargo/"
_PATTERN: Final = re.compile(r"[0-9a-f]{64}")


def folded(subject: str) -> str:
    """One spelling of a subject for all that its registry takes for the same.

    Of a crate neither case nor `-` and `_` tell two names apart. The other registries that records can name have one
    spelling in SPEC already, or, as RubyGems, hold two spellings for two names.
    """
    if not subject.startswith(CRATE):
        return subject
    name, at, version = subject.partition("@")
    return f"{name.lower().replace('_', '-')}{at}{version}"


def covers(names: Collection[str], subject: str) -> bool:
    """Whether a subject is among these, or is a version of one: `pkg:npm/NAME` is every `pkg:npm/NAME@VERSION`.

    The names are `folded`.
    """
    spelled = folded(subject)
    return spelled in names or versionless(spelled) in names


def touches(names: frozenset[str], subject: str) -> bool:
    """Whether what is said of a subject is said of one of these: what is said of a package, of each of its versions.

    The names are `folded`.
    """
    return covers(names, subject) or folded(subject) in _versionless(names)


def is_subject(name: str) -> bool:
    """Whether records can be about this: the id of a pattern, or a public package with or without a version."""
    return _PATTERN.fullmatch(name) is not None or PUBLIC_SUBJECT.fullmatch(name) is not None


@lru_cache(maxsize=4)
def _versionless(names: frozenset[str]) -> frozenset[str]:
    return frozenset(map(versionless, names))


def versionless(subject: str) -> str:
    """A package URL without its version; of a pattern the id itself."""
    return subject.partition("@")[0]
