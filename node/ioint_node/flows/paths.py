"""The abstract path of a session as it is kept: steps in words of the taxonomy, nothing of what stood in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from ioint_taxonomy import Step
from msgspec import Struct

STEPS_KEPT: Final = 256  # of a session, the first: some 40 KB
_encoder = msgspec.json.Encoder()


class KeptPath(Struct, frozen=True, kw_only=True):
    """The declared families of a session (slugs), its steps, and of each whether it left the envelope."""

    families: tuple[str, ...]
    steps: tuple[Step, ...]
    outside: tuple[bool, ...]


def path_text(families: Sequence[tuple[str, float]], steps: Sequence[Step], outside: Sequence[bool]) -> str:
    """The JSON of a path."""
    return _encoder.encode(kept(families, steps, outside)).decode()


def kept(families: Sequence[tuple[str, float]], steps: Sequence[Step], outside: Sequence[bool]) -> KeptPath:
    """A path as far as it is kept: at most `STEPS_KEPT` of its steps."""
    return KeptPath(
        families=tuple(slug for slug, _ in families),
        steps=tuple(steps[:STEPS_KEPT]),
        outside=tuple(outside[:STEPS_KEPT]),
    )


def path_of(text: str) -> KeptPath:
    """The path that `path_text` wrote."""
    return msgspec.json.decode(text, type=KeptPath)
