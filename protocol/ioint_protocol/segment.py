"""Segments: what a member signs, many records under one signature (SPEC, "Segments").

A member's log is a chain of segments; the head of one is the SHA-256 of its header's bytes, and each names the head
before it. The bytes are kept as they came, because they are what was signed; two signed headers of one height prove
against their author to everybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from nacl.signing import SigningKey

from ioint_protocol import canonical, envelope, frame
from ioint_protocol.errors import ProtocolError
from ioint_protocol.fields import HEX_32, HEX_64, check_keys, take_int, take_text
from ioint_protocol.frame import Reader, Signature
from ioint_protocol.limits import LIMITS
from ioint_protocol.records import Record, Unread, decode_record, record_id
from ioint_protocol.roster import Member, Roster

GENESIS: Final = "0" * 64  # `prev` of the first segment
ACTIVE: Final = frozenset({"active"})
EVERY_STATE: Final = frozenset({"active", "suspended", "removed"})
_MAGIC: Final = b"IOSG"
_PROOF_MAGIC: Final = b"IOEQ"
_INCLUSION_MAGIC: Final = b"IOIP"
_HASH_BYTES: Final = 32
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is signed: author (member id), seq from 1, head before, Merkle root, number of records, lowest live seq."""

    author: str
    seq: int
    prev: str
    root: str
    n: int
    low: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeader:
    """A header as it came, with its signatures; nothing is verified yet."""

    header: Header
    header_bytes: bytes = field(repr=False)
    signatures: tuple[Signature, ...] = field(repr=False)

    @property
    def head(self) -> str:
        """SHA-256 of the header's bytes, in hex."""
        return hashlib.sha256(self.header_bytes).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment(SignedHeader):
    """A segment as it came; size and shape are right, nothing is verified yet."""

    bodies: tuple[bytes, ...] = field(repr=False)
    wire: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRecord:
    """A record with its id and the canonical bytes that its author signed."""

    id: str
    body: bytes = field(repr=False)
    record: Record | Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedInclusion:
    """One record of a segment whose other records are not at hand: its author signed it at this place of its log."""

    author: str
    seq: int
    head: str
    index: int
    record: VerifiedRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedSegment:
    """A segment that its author signed, whole and readable; its place in the chain is the receiver's to check."""

    author: str
    seq: int
    head: str
    prev: str
    low: int
    records: tuple[VerifiedRecord, ...]
    wire: bytes = field(repr=False)


def build_segment(  # noqa: PLR0917  # the fields of a header, in the order of the protocol
    key: SigningKey, consortium: str, author: str, seq: int, prev: str, low: int, bodies: Sequence[bytes]
) -> bytes:
    """Sign 1 to 256 record bodies as segment `seq` (from 1) of `author`'s log; `prev` of the first is `GENESIS`.

    Raises:
        ProtocolError: when the segment is one that `parse_segment` would refuse.
    """
    header = canonical.encode(
        {
            "v": _VERSION,
            "author": author,
            "seq": seq,
            "prev": prev,
            "root": merkle_root(bodies).hex(),
            "n": len(bodies),
            "low": low,
        }
    )
    signature = frame.make_signature(key, _payload_type(consortium), header)
    wire = b"".join(
        [
            frame.opening(_MAGIC),
            _write_signed_header(header, (signature,)),
            len(bodies).to_bytes(2, "big"),
            *(frame.block(2, body) for body in bodies),
        ]
    )
    parse_segment(wire)
    return wire


def parse_segment(wire: bytes) -> Segment:
    """Take a segment apart: size and shape only, no signature, no hash of the records.

    Raises:
        ProtocolError: `too_large`, `bad_frame`, `not_canonical`, `bad_shape`, `bad_field`, `unknown_algorithm`.
    """
    frame.check_size(wire, LIMITS.segment_bytes)
    reader = Reader(wire)
    reader.magic(_MAGIC)
    signed = _read_signed_header(reader)
    count = reader.number(2)
    if count != signed.header.n:
        raise ProtocolError("bad_frame", f"{count} records, the header says {signed.header.n}")
    bodies = tuple(reader.block(2, LIMITS.record_bytes) for _ in range(count))
    reader.end()
    return Segment(
        header=signed.header,
        header_bytes=signed.header_bytes,
        signatures=signed.signatures,
        bodies=bodies,
        wire=wire,
    )


def verify_segment(
    segment: Segment, consortium: str, roster: Roster, *, states: Collection[str] = ACTIVE
) -> VerifiedSegment:
    """Check author, signature, root and records, in this order.

    Only members in one of `states` may have written it: a suspended member's log waits until it is active again. A
    replay of stored segments asks for `EVERY_STATE`.

    Raises:
        ProtocolError: `unknown_member`, `inactive_member`, `unknown_signer`, `bad_signature`, `bad_root`,
            `duplicate_record`, or what `decode_record` refuses.
    """
    header = segment.header
    member = _author(header, roster)
    if member.state not in states:
        raise ProtocolError("inactive_member", f"{member.id} is {member.state}")
    _verify_header(segment, consortium, member)
    if merkle_root(segment.bodies).hex() != header.root:
        raise ProtocolError("bad_root", "the record bodies have another root")
    records = tuple(
        VerifiedRecord(id=record_id(body), body=body, record=decode_record(body)) for body in segment.bodies
    )
    if len({record.id for record in records}) != len(records):
        raise ProtocolError("duplicate_record", "one body twice")
    return VerifiedSegment(
        author=header.author,
        seq=header.seq,
        head=segment.head,
        prev=header.prev,
        low=header.low,
        records=records,
        wire=segment.wire,
    )


def equivocation_proof(a: bytes, b: bytes) -> bytes:
    """Put together the proof that one author signed two headers of one height; `a` and `b` are segment wires.

    Raises:
        ProtocolError: `no_equivocation` when they prove nothing, or what `parse_segment` refuses.
    """
    signed = sorted((parse_segment(a), parse_segment(b)), key=lambda segment: segment.header_bytes)
    _check_conflict(signed[0], signed[1])
    return frame.opening(_PROOF_MAGIC) + b"".join(
        _write_signed_header(segment.header_bytes, segment.signatures) for segment in signed
    )


def verify_equivocation(proof: bytes, consortium: str, roster: Roster) -> tuple[str, int]:
    """Check a proof; give the author that it convicts and the height.

    Raises:
        ProtocolError: `no_equivocation`, or what a segment's header would be refused for.
    """
    frame.check_size(proof, LIMITS.proof_bytes)
    reader = Reader(proof)
    reader.magic(_PROOF_MAGIC)
    first, second = _read_signed_header(reader), _read_signed_header(reader)
    reader.end()
    _check_conflict(first, second)
    member = _author(first.header, roster)
    _verify_header(first, consortium, member)
    _verify_header(second, consortium, member)
    return first.header.author, first.header.seq


def inclusion_proof(wire: bytes, index: int) -> bytes:
    """Put together the proof that a segment holds its record number `index` (from 0); `wire` is the segment's.

    Raises:
        ProtocolError: `bad_field` when there is no such record, or what `parse_segment` refuses.
    """
    segment = parse_segment(wire)
    if not 0 <= index < len(segment.bodies):
        raise ProtocolError("bad_field", f"record {index}, outside 0..{len(segment.bodies) - 1}")
    path = _audit_path(segment.bodies, index)
    return b"".join(
        [
            frame.opening(_INCLUSION_MAGIC),
            _write_signed_header(segment.header_bytes, segment.signatures),
            index.to_bytes(2, "big"),
            bytes([len(path)]),
            *path,
            frame.block(2, segment.bodies[index]),
        ]
    )


def verify_inclusion(
    proof: bytes, consortium: str, roster: Roster, *, states: Collection[str] = EVERY_STATE
) -> VerifiedInclusion:
    """Check that a member signed a record, without the rest of its segment (RFC 9162, 2.1.3.2).

    Raises:
        ProtocolError: `bad_root` when the path does not lead to the signed root, `bad_field` for an index or a path
            that the segment cannot have, or what `verify_segment` refuses.
    """
    frame.check_size(proof, LIMITS.inclusion_bytes)
    reader = Reader(proof)
    reader.magic(_INCLUSION_MAGIC)
    signed = _read_signed_header(reader)
    header, index, hashes = signed.header, reader.number(2), reader.number(1)
    if index >= header.n or hashes > LIMITS.inclusion_hashes:
        raise ProtocolError("bad_field", f"record {index} of {header.n} by a path of {hashes} hashes")
    path = tuple(reader.take(_HASH_BYTES) for _ in range(hashes))
    body = reader.block(2, LIMITS.record_bytes)
    reader.end()
    member = _author(header, roster)
    if member.state not in states:
        raise ProtocolError("inactive_member", f"{member.id} is {member.state}")
    _verify_header(signed, consortium, member)
    if _climb(_leaf(body), index, header.n, path).hex() != header.root:
        raise ProtocolError("bad_root", "the path does not lead to the signed root")
    record = VerifiedRecord(id=record_id(body), body=body, record=decode_record(body))
    return VerifiedInclusion(
        author=header.author, seq=header.seq, head=signed.head, index=index, record=record
    )


def merkle_root(bodies: Sequence[bytes]) -> bytes:
    """Give the RFC 9162 tree hash of record bodies (leaf prefix 0x00, node prefix 0x01)."""
    if not bodies:
        return hashlib.sha256(b"").digest()
    level = list(map(_leaf, bodies))
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def _leaf(body: bytes) -> bytes:
    return hashlib.sha256(b"\0" + body).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _next_level(level: Sequence[bytes]) -> list[bytes]:
    # Pairing neighbours and carrying an odd last one up is the tree that the RFC defines by splitting at powers of two.
    paired = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*paired, *level[2 * len(paired) :]]


def _audit_path(bodies: Sequence[bytes], index: int) -> list[bytes]:
    """Give what to hash a leaf with on its way up, from below; an odd last one of a level is hashed with nothing."""
    level, path = list(map(_leaf, bodies)), []
    while len(level) > 1:
        if (neighbour := index ^ 1) < len(level):
            path.append(level[neighbour])
        level, index = _next_level(level), index // 2
    return path


def _climb(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Give the root to which a leaf's path leads in a tree of `size` leaves; b"" when the path has another length."""
    here, last, hashed, left = index, size - 1, leaf, list(reversed(path))
    while last > 0:
        # A node that is the last of its level and has no right neighbour is carried up as it is.
        if here % 2 or here < last:
            if not left:
                return b""
            neighbour = left.pop()
            hashed = _node(neighbour, hashed) if here % 2 else _node(hashed, neighbour)
        here, last = here // 2, last // 2
    return b"" if left else hashed


def _payload_type(consortium: str) -> str:
    return envelope.payload_type("segment", consortium)


def _author(header: Header, roster: Roster) -> Member:
    member = roster.member(header.author)
    if member is None:
        raise ProtocolError("unknown_member", f"{header.author} is not on roster version {roster.version}")
    return member


def _verify_header(signed: SignedHeader, consortium: str, member: Member) -> None:
    keys = (bytes.fromhex(member.record_key_at(signed.header.seq)),)
    frame.verify_all(signed.signatures, keys, _payload_type(consortium), signed.header_bytes)


def _check_conflict(first: SignedHeader, second: SignedHeader) -> None:
    one, other = first.header, second.header
    if (one.author, one.seq) != (other.author, other.seq):
        raise ProtocolError("no_equivocation", "not of one author and height")
    # In ascending order, so that a pair of headers has one proof.
    if first.header_bytes >= second.header_bytes:
        raise ProtocolError("no_equivocation", "one header twice, or not in ascending order")


def _write_signed_header(header: bytes, signatures: Sequence[Signature]) -> bytes:
    return frame.block(2, header) + frame.write_signatures(signatures)


def _read_signed_header(reader: Reader) -> SignedHeader:
    data = reader.block(2, LIMITS.header_bytes)
    header = _parse_header(data)
    return SignedHeader(header=header, header_bytes=data, signatures=frame.read_signatures(reader))


def _parse_header(data: bytes) -> Header:
    value = canonical.decode_object(data, limit_bytes=LIMITS.header_bytes)
    check_keys(value, {"v", "author", "seq", "prev", "root", "n", "low"})
    take_int(value, "v", _VERSION, _VERSION)
    seq = take_int(value, "seq", 1, LIMITS.integer)
    prev = take_text(value, "prev", HEX_64)
    if (seq == 1) != (prev == GENESIS):
        raise ProtocolError("bad_field", f"prev does not fit seq {seq}")
    return Header(
        author=take_text(value, "author", HEX_32),
        seq=seq,
        prev=prev,
        root=take_text(value, "root", HEX_64),
        n=take_int(value, "n", 1, LIMITS.segment_records),
        low=take_int(value, "low", 1, seq),
    )
