"""What records can be about: the id of a pattern, or a public package with or without its version."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from ioint_protocol.records import PUBLIC_SUBJECT

_PATTERN: Final = re.compile(r"[0-9a-f]{64}")


def covers(names: Collection[str], subject: str) -> bool:
    """Whether a subject is among these, or is a version of one: `pkg:npm/NAME` is every `pkg:npm/NAME@VERSION`."""
    return subject in names or versionless(subject) in names


def is_subject(name: str) -> bool:
    """Whether records can be about this: the id of a pattern, or a public package with or without a version."""
    return _PATTERN.fullmatch(name) is not None or PUBLIC_SUBJECT.fullmatch(name) is not None


def versionless(subject: str) -> str:
    """A package URL without its version; of a pattern the id itself."""
    return subject.partition("@")[0]
