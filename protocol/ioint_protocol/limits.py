"""Every bound of the protocol, by name and unit (SPEC, "Limits")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a conforming node never exceeds, and refuses from others."""

    integer: int = 2**53 - 1  # largest magnitude
    depth: int = 8  # arrays and objects within one another
    record_bytes: int = 2_048
    header_bytes: int = 512  # of a segment
    segment_records: int = 256
    segment_bytes: int = 262_144
    frame_bytes: int = 327_680  # one request or answer between members
    signatures: int = 32  # on one signed thing
    proof_bytes: int = 2_048  # of an equivocation
    inclusion_bytes: int = 4_096  # a proof that a segment holds one record
    inclusion_hashes: int = 8  # of its path: 256 records make a tree of eight levels
    pattern_steps: int = 8
    pattern_terms: int = 16  # entries of one list of a pattern
    partials: int = 16  # partial assignments of one length kept of a pattern, per session
    report_intents: int = 8
    report_fingerprints: int = 8
    report_span_days: int = 30  # day_until - day_from
    bucket: int = 30  # largest exponent
    day: int = 100_000  # since 1970-01-01
    subject_chars: int = 214
    roster_bytes: int = 262_144  # roster.json
    root_bytes: int = 32_768
    targets_bytes: int = 16_384
    snapshot_bytes: int = 4_096
    timestamp_bytes: int = 4_096
    root_versions: int = 256  # of one consortium
    bundle_bytes: int = 8_912_896
    roster_members: int = 512
    roster_stewards: int = 16
    rulings: int = 128  # of one roster
    record_keys: int = 16  # of one member, one after another
    member_addresses: int = 4
    address_chars: int = 160
    heads: int = 1_024  # entries of a cursor vector
    heads_bytes: int = 131_072  # of a message that has one: an entry takes at most 121
    range_segments: int = 256  # one pull


LIMITS: Final = Limits()
