"""What members say to one another on a stream (SPEC, "Messages").

Each protocol is one request and one answer, both bounded by `frame_bytes`. A cursor vector says how far a node has each
author's log; two nodes with the same vector find out by its hash. Of an author who is proven to have signed two
histories it says only that: whoever lacks the proof fetches it, and nobody asks for the log any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from ioint_protocol import bundle, canonical, frame
from ioint_protocol.bundle import Files
from ioint_protocol.canonical import Value
from ioint_protocol.errors import ProtocolError
from ioint_protocol.fields import (
    HEX_32,
    HEX_64,
    Object,
    check_keys,
    take_code,
    take_int,
    take_object,
    take_terms,
    take_text,
)
from ioint_protocol.frame import Reader
from ioint_protocol.limits import LIMITS

PUSH: Final = "/ioint/push/1.0.0"
HEADS: Final = "/ioint/heads/1.0.0"
PULL: Final = "/ioint/pull/1.0.0"
ANNOUNCE: Final = "/ioint/announce/1.0.0"
PROOF: Final = "/ioint/proof/1.0.0"
ROSTER: Final = "/ioint/roster/1.0.0"
PROTOCOLS: Final = (PUSH, HEADS, PULL, ANNOUNCE, PROOF, ROSTER)
ANSWERS: Final = frozenset({"accepted", "ignored", "rejected"})
_PROOF_REQUEST_BYTES: Final = 16_384  # of 256 authors, 35 each
_WHY: Final = re.compile(r"[a-z0-9_]{0,64}")

Vector: TypeAlias = Mapping[
    str, tuple[int, str]
]  # author → (seq, head) of the newest segment held, or CONVICTED
CONVICTED: Final = (0, "0" * 64)
"""In a vector: a proof of this author's equivocation is held, and nothing else of it is of interest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Segments `from_seq` to `to_seq`, both included, of one author's log."""

    author: str
    from_seq: int
    to_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAnswer:
    """What became of a pushed segment: accepted, ignored or rejected, and why by name (empty when accepted)."""

    result: str
    why: str = ""


def encode_push_answer(answer: PushAnswer) -> bytes:
    """Give the answer to a pushed segment."""
    return canonical.encode({"r": answer.result, "why": answer.why})


def decode_push_answer(data: bytes) -> PushAnswer:
    """Read the answer to a pushed segment; raises ProtocolError."""
    value = canonical.decode_object(data, limit_bytes=LIMITS.record_bytes)
    check_keys(value, {"r", "why"})
    return PushAnswer(result=take_code(value, "r", ANSWERS), why=take_text(value, "why", _WHY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a member newly has: heads of logs (or `CONVICTED`), and the version of its roster."""

    heads: Vector
    roster: int


def vector_hash(vector: Vector) -> str:
    """Give the hash by which two nodes find out that they hold the same logs, in hex."""
    return canonical.content_id("heads", canonical.encode(_heads(vector)))


def encode_heads_request(vector: Vector) -> bytes:
    """Ask for the other's heads, unless they are these."""
    return canonical.encode({"have": vector_hash(vector)})


def decode_heads_request(data: bytes) -> str:
    """Read whose heads are asked for: the hash of the asker's vector; raises ProtocolError."""
    value = canonical.decode_object(data, limit_bytes=LIMITS.record_bytes)
    check_keys(value, {"have"})
    return take_text(value, "have", HEX_64)


def encode_heads_answer(vector: Vector, have: str) -> bytes:
    """Answer with the own heads, or with `same` when the asker has the same."""
    if vector_hash(vector) == have:
        return canonical.encode({"r": "same"})
    return canonical.encode({"r": "heads", "heads": _heads(vector)})


def decode_heads_answer(data: bytes) -> Vector | None:
    """Read the other's heads, None when they are the same as one's own; raises ProtocolError."""
    value = canonical.decode_object(data, limit_bytes=LIMITS.heads_bytes)
    check_keys(value, {"r"}, {"heads"})
    if take_code(value, "r", {"same", "heads"}) == "same":
        check_keys(value, {"r"})
        return None
    check_keys(value, {"r", "heads"})
    return _take_heads(value)


def encode_announcement(announcement: Announcement) -> bytes:
    """Tell a member what we newly have."""
    return canonical.encode({"heads": _heads(announcement.heads), "roster": announcement.roster})


def decode_announcement(data: bytes) -> Announcement:
    """Read what a member newly has; raises ProtocolError. It is a hint: nothing of it is believed."""
    value = canonical.decode_object(data, limit_bytes=LIMITS.heads_bytes)
    check_keys(value, {"heads", "roster"})
    return Announcement(heads=_take_heads(value), roster=take_int(value, "roster", 0, LIMITS.integer))


def encode_pull_request(wanted: Range) -> bytes:
    """Ask for a range of one author's log.

    Who does not hold its beginning, or no longer, answers from the next segment that it holds, whatever its end.
    """
    data = canonical.encode({"author": wanted.author, "from": wanted.from_seq, "to": wanted.to_seq})
    decode_pull_request(data)
    return data


def decode_pull_request(data: bytes) -> Range:
    """Read the range that is asked for, at most `range_segments` long; raises ProtocolError."""
    value = canonical.decode_object(data, limit_bytes=LIMITS.record_bytes)
    check_keys(value, {"author", "from", "to"})
    start = take_int(value, "from", 1, LIMITS.integer)
    end = take_int(value, "to", start, min(start + LIMITS.range_segments - 1, LIMITS.integer))
    return Range(author=take_text(value, "author", HEX_32), from_seq=start, to_seq=end)


def encode_pull_answer(wires: Iterable[bytes]) -> bytes:
    """Answer with segments in order of seq: as many as one frame holds; the asker asks again for the rest."""
    return _write_wires(wires, LIMITS.segment_bytes)


def decode_pull_answer(data: bytes) -> tuple[bytes, ...]:
    """Read the segment wires of an answer; raises ProtocolError. They are as untrusted as pushed ones."""
    return _read_wires(data, LIMITS.segment_bytes)


def encode_proof_request(authors: Iterable[str]) -> bytes:
    """Ask for proofs of the equivocation of these authors, at most `range_segments` of them."""
    data = canonical.encode({"of": sorted(authors)})
    decode_proof_request(data)
    return data


def decode_proof_request(data: bytes) -> tuple[str, ...]:
    """Read whose proofs are asked for; raises ProtocolError."""
    value = canonical.decode_object(data, limit_bytes=_PROOF_REQUEST_BYTES)
    check_keys(value, {"of"})
    return take_terms(value, "of", HEX_32, 1, LIMITS.range_segments)


def encode_proof_answer(proofs: Iterable[bytes]) -> bytes:
    """Answer with one proof for each author of whom there is one, as many as one frame holds."""
    return _write_wires(proofs, LIMITS.proof_bytes)


def decode_proof_answer(data: bytes) -> tuple[bytes, ...]:
    """Read the proofs of an answer; raises ProtocolError. Nothing of them is verified yet."""
    return _read_wires(data, LIMITS.proof_bytes)


def missing(own: Vector, other: Vector) -> tuple[Range, ...]:
    """Give what `other` has and `own` has not, by author, no range longer than one pull.

    The same height with another head is asked for too: the two segments convict their author. Of an author whom either
    side has convicted nothing is asked for.
    """
    ranges = []
    for author, (seq, head) in sorted(other.items()):
        have, own_head = own.get(author, (0, ""))
        if CONVICTED in {(seq, head), (have, own_head)}:
            continue
        if seq > have:
            ranges.append(
                Range(author=author, from_seq=have + 1, to_seq=min(seq, have + LIMITS.range_segments))
            )
        elif seq == have and head != own_head:
            ranges.append(Range(author=author, from_seq=seq, to_seq=seq))
    return tuple(ranges)


def unproven(own: Vector, other: Vector) -> tuple[str, ...]:
    """Give the authors of whose equivocation `other` has a proof and `own` has none, ascending."""
    return tuple(
        sorted(author for author, head in other.items() if head == CONVICTED and own.get(author) != CONVICTED)
    )


def lag(own: Vector, other: Vector) -> int:
    """Give how many segments `other` has that `own` has not; of authors whom either has convicted, none count."""
    convicted = {author for vector in (own, other) for author, head in vector.items() if head == CONVICTED}
    return sum(
        max(0, seq - own.get(author, CONVICTED)[0])
        for author, (seq, _) in other.items()
        if author not in convicted
    )


def _heads(vector: Vector) -> dict[str, Value]:
    return {author: [seq, head] for author, (seq, head) in vector.items()}


def _take_heads(value: Object) -> Vector:
    heads = take_object(value["heads"], "heads")
    if len(heads) > LIMITS.heads:
        raise ProtocolError("bad_field", f"{len(heads)} heads, more than {LIMITS.heads}")
    return {_author(author): _head(item) for author, item in heads.items()}


def _author(text: str) -> str:
    if not HEX_32.fullmatch(text):
        raise ProtocolError("bad_field", "an author that is no member id")
    return text


def _head(item: Value) -> tuple[int, str]:
    if not isinstance(item, list) or len(item) != 2:
        raise ProtocolError("bad_shape", "a head is not an array of two")
    named: dict[str, Value] = {"seq": item[0], "head": item[1]}
    seq, head = take_int(named, "seq", 0, LIMITS.integer), take_text(named, "head", HEX_64)
    if (seq == CONVICTED[0]) != (head == CONVICTED[1]):
        raise ProtocolError("bad_field", f"a head of height {seq} that no log can have")
    return seq, head


def _write_wires(wires: Iterable[bytes], limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    room = LIMITS.frame_bytes
    for wire in wires:
        frame.check_size(wire, limit_bytes)
        part = frame.block(4, wire)
        if len(part) > room or len(parts) == LIMITS.range_segments:
            break
        parts.append(part)
        room -= len(part)
    return b"".join(parts)


def _read_wires(data: bytes, limit_bytes: int) -> tuple[bytes, ...]:
    frame.check_size(data, LIMITS.frame_bytes)
    reader = Reader(data)
    wires: list[bytes] = []
    while not reader.at_end:
        if len(wires) == LIMITS.range_segments:
            raise ProtocolError("bad_frame", f"more than {LIMITS.range_segments} wires in one answer")
        wires.append(reader.block(4, limit_bytes))
    return tuple(wires)


# --- the roster ---


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterVersions:
    """How far a node has the roster: versions of its newest root and timestamp, 0 for none."""

    root: int = 0
    timestamp: int = 0


def encode_roster_request(have: RosterVersions) -> bytes:
    """Ask for the files of the roster that are newer."""
    return canonical.encode({"root": have.root, "timestamp": have.timestamp})


def decode_roster_request(data: bytes) -> RosterVersions:
    """Read how far the asker has the roster; raises ProtocolError."""
    value = canonical.decode_object(data, limit_bytes=LIMITS.record_bytes)
    check_keys(value, {"root", "timestamp"})
    return RosterVersions(
        root=take_int(value, "root", 0, LIMITS.integer),
        timestamp=take_int(value, "timestamp", 0, LIMITS.integer),
    )


def encode_roster_answer(held: Files, own: RosterVersions, asker: RosterVersions) -> bytes:
    """Answer with what the asker lacks of the files held, whose versions are `own`: its next roots, then the rest.

    The rest goes along when one frame holds all of it; until then the asker asks again. With a newer root the rest is
    given whatever timestamp the asker has: that may be one which the newer root no longer stands for.
    """
    roots = {name: data for name, data in held.items() if bundle.version_of(name) > asker.root}
    roots = {name: data for name, data in roots.items() if bundle.kind_of(name) == "root"}
    if not roots and own.timestamp <= asker.timestamp:
        return b""
    answer: dict[str, bytes] = {}
    for name in bundle.in_order(roots):
        if len(bundle.write_files({**answer, name: roots[name]})) > LIMITS.frame_bytes:
            return bundle.write_files(answer)
        answer[name] = roots[name]
    whole = bundle.write_files(
        {**answer, **{name: data for name, data in held.items() if bundle.kind_of(name) != "root"}}
    )
    return whole if len(whole) <= LIMITS.frame_bytes else bundle.write_files(answer)


def decode_roster_answer(data: bytes, asker: RosterVersions) -> dict[str, bytes]:
    """Read the files of an answer, none when there is nothing newer. They are unverified, and those asked for.

    Raises:
        ProtocolError: `too_large`, `bad_frame`: other files than the asker's next roots and then the four others.
    """
    frame.check_size(data, LIMITS.frame_bytes)
    files = bundle.read_files(data)
    kinds = [bundle.kind_of(name) for name in files]
    roots = kinds.count("root")
    expected = [f"{asker.root + step}.root.json" for step in range(1, roots + 1)]
    if list(files)[:roots] != expected or kinds[roots:] not in ([], list(bundle.KINDS[1:])):
        raise ProtocolError("bad_frame", "files of a roster that were not asked for, or out of order")
    if asker.root + roots > LIMITS.root_versions:
        raise ProtocolError("too_large", f"more than {LIMITS.root_versions} roots")
    return files
