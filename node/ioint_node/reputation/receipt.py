"""A receipt as a file: all that a number is made of, so that whoever gets it computes the number again.

One JSON object a line, in a fixed order and in the one encoding that this module writes; the last line holds the digest
of all before it (docs/receipt.md). What members signed is in it as they signed it. Reading believes nothing: it gives
lines of the right shape and size, and `flows.receipt` verifies what they say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from ioint_node.errors import ReceiptError
from ioint_node.reputation.gate import Grounds, Local, Params

SCHEMA: Final = "ioint.receipt/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptLimits:
    """How large a receipt may be, and how many segments it names as left out."""

    total_bytes: int = 33_554_432  # of it all, as a file
    line_bytes: int = 524_288  # a segment in base64, or the voices of as many members as a roster has
    left_out: int = 64
    depth: int = 8  # of the network part


LIMITS: Final = ReceiptLimits()


class Line(Struct, frozen=True, kw_only=True, tag_field="line"):
    """What every line has: its name."""


class Opening(Line, frozen=True, kw_only=True, tag="receipt"):
    """What the receipt is of: the subject, in which consortium, when (`at`, Unix milliseconds), by which words.

    `roster` is the version of the roster, `catalogue` the digest of the catalogue.
    """

    schema: str
    subject: str
    consortium: str
    at: int
    roster: int
    taxonomy: str
    catalogue: str


class RosterFile(Line, frozen=True, kw_only=True, tag="roster"):
    """One file of the roster, by its name."""

    name: str
    body: bytes


class Proof(Line, frozen=True, kw_only=True, tag="proof"):
    """A proof that a member signed two histories."""

    proof: bytes


class SegmentLine(Line, frozen=True, kw_only=True, tag="segment"):
    """A segment as it arrived."""

    wire: bytes


class NetworkLine(Line, frozen=True, kw_only=True, tag="network"):
    """The network part as the node computed it (`derivation.network_record`)."""

    network: dict[str, Any]


class LocalLine(Line, frozen=True, kw_only=True, tag="local"):
    """The local part: from what it was judged, by which settings, and what was judged."""

    grounds: Grounds
    params: Params
    judged: Local


class LeftOut(Struct, frozen=True, kw_only=True):
    """A segment that bears on the number and is not in the receipt, and why: `label`, `forgotten` or `size`."""

    author: str
    seq: int
    reason: str


class Closing(Line, frozen=True, kw_only=True, tag="end"):
    """Whether all that bears on the number is there, and the SHA-256 of all lines before this one.

    `omitted` counts the segments that are not there, `left_out` names the first of them.
    """

    complete: bool
    omitted: int
    left_out: tuple[LeftOut, ...]
    sha256: str


AnyLine: TypeAlias = Opening | RosterFile | Proof | SegmentLine | NetworkLine | LocalLine | Closing

# In this order; `True`: exactly one of them.
_ORDER: Final[tuple[tuple[type[AnyLine], bool], ...]] = (
    (Opening, True),
    (RosterFile, False),
    (Proof, False),
    (SegmentLine, False),
    (NetworkLine, True),
    (LocalLine, False),
    (Closing, True),
)
_RANK: Final[Mapping[type, int]] = {kind: rank for rank, (kind, _) in enumerate(_ORDER)}
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_DECODER: Final = msgspec.json.Decoder(AnyLine)


class Writer:
    """Writes the lines of one receipt, and keeps what the last one has to say of them."""

    def __init__(self, limits: ReceiptLimits = LIMITS) -> None:
        self._limits = limits
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._omitted = 0
        self._left_out: list[LeftOut] = []

    def line(self, line: AnyLine) -> bytes:
        """One line with its end.

        Raises:
            ReceiptError: it is larger than a line may be.
        """
        data = _ENCODER.encode(line) + b"\n"
        if len(data) > self._limits.line_bytes:
            raise ReceiptError(
                f"a {_named(line)} line of {len(data)} bytes, more than {self._limits.line_bytes}: no receipt"
            )
        self._digest.update(data)
        self._bytes += len(data)
        return data

    def segment(self, author: str, seq: int, wire: bytes) -> bytes:
        """The line of a segment; nothing, and the segment left out, when the receipt would be too large with it."""
        # Base64 is four bytes for three; what follows the segments takes a line each.
        if self._bytes + len(wire) * 4 // 3 + 4 * self._limits.line_bytes > self._limits.total_bytes:
            self.leave_out(LeftOut(author=author, seq=seq, reason="size"))
            return b""
        return self.line(SegmentLine(wire=wire))

    def leave_out(self, segment: LeftOut) -> None:
        """Note that a segment that bears on the number is not in the receipt."""
        self._omitted += 1
        if len(self._left_out) < self._limits.left_out:
            self._left_out.append(segment)

    def close(self) -> bytes:
        """The last line."""
        closing = Closing(
            complete=self._omitted == 0,
            omitted=self._omitted,
            left_out=tuple(self._left_out),
            sha256=self._digest.hexdigest(),
        )
        return self.line(closing)


def read(chunks: Iterable[bytes], limits: ReceiptLimits = LIMITS) -> Iterator[AnyLine]:
    """The lines of a receipt in order; each is checked for size, shape, encoding and place, the last for the digest.

    `chunks` are the lines as bytes, each with its end, the last one too; a file gives them by `lines_of`.

    Raises:
        ReceiptError: what is wrong, and in which line. What came before was not checked against the digest yet.
    """
    digest, rank, number, total = hashlib.sha256(), -1, 0, 0
    seen: set[type] = set()
    for number, data in enumerate(chunks, 1):
        total += len(data)
        if Closing in seen:
            raise ReceiptError(f"line {number}: something follows the end")
        if total > limits.total_bytes:
            raise ReceiptError(f"more than {limits.total_bytes} bytes")
        line = _decode(data, number, limits)
        kind = type(line)
        if _RANK[kind] < rank or (kind in seen and kind in _SINGLE):
            raise ReceiptError(f"line {number}: a {_named(line)} line has no place here")
        for missing, needed in _ORDER[rank + 1 : _RANK[kind]]:
            if needed and missing not in seen:
                raise ReceiptError(f"line {number}: a {_named(line)} line before any {_tag(missing)} line")
        if isinstance(line, Closing) and line.sha256 != digest.hexdigest():
            raise ReceiptError(
                f"line {number}: the digest is not that of the lines before: bytes were changed"
            )
        rank = _RANK[kind]
        seen.add(kind)
        digest.update(data)
        yield line
    if Closing not in seen:
        raise ReceiptError(f"it ends after line {number}, without an end line: it was cut short")


def first_difference(theirs: object, ours: object, place: str) -> str | None:
    """Where two plain values differ first, and how: `network.voices[2].accusing: 5 in the file, 4 here`; or None.

    Raises:
        ReceiptError: a value is nested deeper than any that a node writes.
    """
    for one, other in zip_longest(_leaves(theirs, place), _leaves(ours, place)):
        if one == other:
            continue
        if one is None or (other is not None and other[0] < one[0]):
            return f"{other[0]:.256}: only here" if other else None
        if other is None or one[0] < other[0]:
            return f"{one[0]:.256}: only in the file"
        return f"{one[0]:.256}: {one[1]:.64} in the file, {other[1]:.64} here"
    return None


def plain(value: object) -> dict[str, Any]:
    """A struct or dataclass as what its JSON decodes to."""
    found: dict[str, Any] = msgspec.json.decode(_ENCODER.encode(value))
    return found


def _decode(data: bytes, number: int, limits: ReceiptLimits) -> AnyLine:
    if len(data) > limits.line_bytes:
        raise ReceiptError(f"line {number}: more than {limits.line_bytes} bytes")
    if not data.endswith(b"\n"):
        raise ReceiptError(f"line {number}: no end of line: it was cut short")
    try:
        line: AnyLine = _DECODER.decode(data)
        same = _ENCODER.encode(line) + b"\n" == data
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ReceiptError(f"line {number}: no line of a receipt ({error!s:.128})") from None
    if not same:
        raise ReceiptError(f"line {number}: not in the encoding that a receipt is written in")
    return line


_SINGLE: Final = frozenset({Opening, NetworkLine, LocalLine, Closing})


def _leaves(value: object, place: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The values within a value, each with its place, in one order."""
    if depth > LIMITS.depth:
        raise ReceiptError(f"{place[:64]}: nested deeper than {LIMITS.depth}")
    if isinstance(value, Mapping):
        for name in sorted(value):
            # A name that no node writes may hold anything, and is told.
            told = name if name.isidentifier() and name.isascii() else repr(name)
            yield from _leaves(value[name], f"{place}.{told}", depth + 1)
    elif isinstance(value, list | tuple):
        yield f"{place}.length", str(len(value))
        for index, one in enumerate(value):
            yield from _leaves(one, f"{place}[{index}]", depth + 1)
    else:
        yield place, repr(value)


def _named(line: AnyLine) -> str:
    return _tag(type(line))


def _tag(kind: type[AnyLine]) -> str:
    return str(kind.__struct_config__.tag)
