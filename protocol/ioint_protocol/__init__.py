"""What members of a consortium sign, send and check: pure values and bytes, no input or output, no clock.

`../SPEC.md` is the protocol in words; each module cites its section. Read `segment` and `roster` first.
"""

from __future__ import annotations

from ioint_protocol.bundle import Files
from ioint_protocol.canonical import Value, content_id
from ioint_protocol.errors import REFUSALS, ProtocolError
from ioint_protocol.keys import SigningKey, VerifyKey, check_public_key, key_id, member_id, peer_id
from ioint_protocol.limits import LIMITS, Limits
from ioint_protocol.members import Member, RecordKey, Steward
from ioint_protocol.pattern import (
    Matcher,
    MatchState,
    Pattern,
    PatternStep,
    parse_pattern,
    pattern_id,
    pattern_value,
)
from ioint_protocol.records import (
    Dispute,
    Fingerprint,
    Record,
    Report,
    Sighting,
    Unread,
    Withdrawal,
    decode_record,
    encode_record,
    record_id,
    record_pattern,
)
from ioint_protocol.roster import Release, Roster, check_follows, decode_roster, encode_roster
from ioint_protocol.rulings import REVIEW_DAYS, RULING_DAYS, Ruling
from ioint_protocol.segment import (
    Header,
    Segment,
    VerifiedInclusion,
    VerifiedRecord,
    VerifiedSegment,
    build_segment,
    equivocation_proof,
    inclusion_proof,
    parse_segment,
    verify_equivocation,
    verify_inclusion,
    verify_segment,
)
from ioint_protocol.sync import Range, Vector, missing

__all__ = [
    "LIMITS",
    "REFUSALS",
    "REVIEW_DAYS",
    "RULING_DAYS",
    "Dispute",
    "Files",
    "Fingerprint",
    "Header",
    "Limits",
    "MatchState",
    "Matcher",
    "Member",
    "Pattern",
    "PatternStep",
    "ProtocolError",
    "Range",
    "Record",
    "RecordKey",
    "Release",
    "Report",
    "Roster",
    "Ruling",
    "Segment",
    "Sighting",
    "SigningKey",
    "Steward",
    "Unread",
    "Value",
    "Vector",
    "VerifiedInclusion",
    "VerifiedRecord",
    "VerifiedSegment",
    "VerifyKey",
    "Withdrawal",
    "build_segment",
    "check_follows",
    "check_public_key",
    "content_id",
    "decode_record",
    "decode_roster",
    "encode_record",
    "encode_roster",
    "equivocation_proof",
    "inclusion_proof",
    "key_id",
    "member_id",
    "missing",
    "parse_pattern",
    "parse_segment",
    "pattern_id",
    "pattern_value",
    "peer_id",
    "record_id",
    "record_pattern",
    "verify_equivocation",
    "verify_inclusion",
    "verify_segment",
]
