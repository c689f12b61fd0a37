"""What an actor is made of: model, prompt and tools, kept so that a change can be told, and which part changed.

Kept are short hashes, one per tool. A set of tools is wider when it gained any, whatever else it lost: taking tools
away and then adding others is never cheaper than replacing them at once, so that a detour launders nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

TOOLS_KEPT: Final = 32  # of a longer list only that it changed is known
INHERITED_GOOD: Final = 0.2  # of the good evidence, by an actor with another model or prompt
WIDER_GOOD: Final = 0.5  # by one with the same model and prompt, and a tool that it did not have
_SIZE: Final = 8
_LISTED, _COUNTLESS = b"\x01", b"\x02"
_NOTHING: Final = bytes(_SIZE)
PARTS_BYTES: Final = 1 + (2 + TOOLS_KEPT) * _SIZE


@dataclass(frozen=True, slots=True)
class Difference:
    """Which parts changed, and the share 0..1 of the good evidence that goes on counting.

    `parts` are of `model`, `prompt`, `wider` and `narrower` (of tools), or `composition` when that is not known.
    """

    parts: tuple[str, ...]
    keeps: float


# What stopped being named may be anything now.
WITHHELD: Final = Difference(("withheld",), INHERITED_GOOD)


def parts_of(*, model: str = "", prompt_sha256: str = "", tools: Iterable[str] = ()) -> bytes:
    """A composition as at most `PARTS_BYTES` bytes; the order of tools says nothing, an empty part is not named."""
    named = sorted({_short(tool) for tool in tools})
    head, held = (_LISTED, named) if len(named) <= TOOLS_KEPT else (_COUNTLESS, [_digest(b"".join(named))])
    return b"".join((head, _short(model), _short(prompt_sha256), *held))


def difference(before: bytes, after: bytes) -> Difference:
    """What changed between two compositions as `parts_of` gives them.

    A part that was not named before counts as another one: what it was until then, nobody knows.
    """
    if not (before and after):
        return Difference(("composition",), INHERITED_GOOD)
    old, new = _split(before), _split(after)
    parts = [
        name for name, index in (("model", 1), ("prompt", 2)) if before[_part(index)] != after[_part(index)]
    ]
    if before[0] != after[0] or (before[:1] == _COUNTLESS and old != new) or new - old:
        parts.append("wider")
    elif old - new:
        parts.append("narrower")
    if "model" in parts or "prompt" in parts:
        return Difference(tuple(parts), INHERITED_GOOD)
    return Difference(tuple(parts), WIDER_GOOD if "wider" in parts else 1.0)


def maker_of(parts: bytes) -> str:
    """Model and prompt of a composition, which stay when a tool is added, in short; "" unless both are named."""
    model, prompt = parts[_part(1)], parts[_part(2)]
    return "" if not parts or _NOTHING in {model, prompt} else (model + prompt).hex()


def model_of(parts: bytes) -> bytes:
    """The mark of the model in a composition, as `model_mark` gives it; empty where none is named."""
    model = parts[_part(1)]
    return b"" if model == _NOTHING else model


def model_mark(model: str) -> bytes:
    """The mark by which a model of this name is known again in a composition."""
    return _short(model)


def _part(index: int) -> slice:
    return slice(1 + (index - 1) * _SIZE, 1 + index * _SIZE)


def _split(parts: bytes) -> frozenset[bytes]:
    tools = parts[1 + 2 * _SIZE :]
    return frozenset(tools[at : at + _SIZE] for at in range(0, len(tools), _SIZE))


def _short(name: str) -> bytes:
    return _digest(name.encode("utf-8", "surrogatepass")) if name else _NOTHING


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_SIZE).digest()
