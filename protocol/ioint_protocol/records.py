"""The four records that members sign (SPEC, "Records").

Every field is an enumeration code, a bucket, a day, a public name or a keyed fingerprint; unknown fields are refused,
so that a record can carry nothing that the protocol does not name. Unknown slugs of intents are kept: a newer taxonomy
may have them, and nothing is guessed about them. A record of a newer version is not refused: it is carried unread.

Nearly every record that arrives is as it should be, so its bytes are first read straight into typed fields
(`_quickly`), which takes a third of the time. Whatever that does not accept goes through the field-by-field reading,
which alone decides what is refused and under which name.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ioint_protocol import canonical
from ioint_protocol.canonical import Value
from ioint_protocol.errors import ProtocolError
from ioint_protocol.fields import (
    HEX_32,
    HEX_64,
    SLUG,
    Object,
    check_keys,
    take_bucket,
    take_code,
    take_day,
    take_int,
    take_list,
    take_object,
    take_terms,
    take_text,
)
from ioint_protocol.limits import LIMITS
from ioint_protocol.pattern import Pattern, parse_pattern, pattern_id, pattern_value

VERSION: Final = 1
TAXONOMY_VERSION: Final = re.compile(r"[0-9]{4}\.[0-9]{2}(\.[0-9]{1,3})?")
BASES: Final = frozenset({"threshold", "analyst"})
TLP: Final = ("clear", "green", "amber", "amber_strict", "red")
DISPUTE_REASONS: Final = frozenset({"false_positive", "expected_use", "too_broad", "test_traffic"})
WITHDRAWAL_REASONS: Final = frozenset({"false_positive", "mistake", "superseded", "policy"})

_NAME: Final = r"[a-z0-9](?:[a-z0-9._-]{0,99})"
_VERSION: Final = r"(?:@[A-Za-z0-9][A-Za-z0-9.+_-]{0,39})?"
# Types whose default registry is public, without qualifiers (they can name a private one) and without a subpath.
PUBLIC_SUBJECT: Final = re.compile(
    rf"pkg:(?:npm/(?:%40{_NAME}/)?{_NAME}"
    rf"|pypi/[a-z0-9]+(?:-[a-z0-9]+)*"
    rf"|(?:cargo|gem)/[A-Za-z0-9](?:[A-Za-z0-9._-]{{0,99}})"
    rf"|docker/(?:[a-z0-9][a-z0-9_-]{{0,99}}/)?{_NAME}"
    rf"|(?:github|huggingface)/{_NAME}/{_NAME})"
    rf"{_VERSION}"
)

_Bucket = Annotated[int, Meta(ge=0, le=LIMITS.bucket)]
_Day = Annotated[int, Meta(ge=0, le=LIMITS.day)]
_REPORT_KEYS: Final = frozenset(
    {
        "v",
        "tax",
        "kind",
        "intents",
        "basis",
        "bad",
        "seen",
        "agents",
        "day_from",
        "day_until",
        "det",
        "tlp",
        "fps",
    }
)


class Fingerprint(Struct, frozen=True, kw_only=True, gc=False):
    """A keyed digest of a high-entropy value: the scheme (slug), the epoch of its key, 16 bytes in hex."""

    scheme: str
    epoch: int
    mac: str


class Report(Struct, frozen=True, kw_only=True, gc=False):
    """We saw this pattern, or this public subject.

    `pat` is a catalogue id or the pattern itself, `subj` a package URL; the one that `kind` does not name is None.
    `bad`, `seen` and `agents` are exponents i of counts 2^i ≤ n < 2^(i+1): sessions flagged, sessions in all, agents.
    """

    v: int = VERSION
    tax: str
    kind: str
    pat: str | Pattern | None = None
    subj: str | None = None
    intents: tuple[str, ...]
    basis: str
    bad: int
    seen: int
    agents: int
    day_from: int
    day_until: int
    det: str
    tlp: str
    fps: tuple[Fingerprint, ...] = ()


class Sighting(Struct, frozen=True, kw_only=True, gc=False):
    """We saw what the report `of` describes too; `seen` is the exponent of our count of sessions."""

    v: int = VERSION
    of: str
    seen: int
    day: int


class Dispute(Struct, frozen=True, kw_only=True, gc=False):
    """The report `of` is a false positive, for one of `DISPUTE_REASONS`."""

    v: int = VERSION
    of: str
    reason: str
    day: int


class Withdrawal(Struct, frozen=True, kw_only=True, gc=False):
    """We take our own record `of` back, for one of `WITHDRAWAL_REASONS`."""

    v: int = VERSION
    of: str
    reason: str


class Unread(Struct, frozen=True, kw_only=True, gc=False):
    """A record of a version `v` that this release does not read: kept and passed on, counted, and never believed."""

    v: int


Record: TypeAlias = Report | Sighting | Dispute | Withdrawal


def encode_record(record: Record) -> bytes:
    """Give the canonical bytes of a record, at most `record_bytes`.

    Raises:
        ProtocolError: when the record is one that `decode_record` would refuse.
    """
    body = canonical.encode(_value(record))
    if decode_record(body) != record:
        raise ProtocolError("bad_field", f"v is {record.v}, and this release writes {VERSION}")
    return body


def decode_record(body: bytes) -> Record | Unread:
    """Give the record of canonical bytes.

    Raises:
        ProtocolError: `too_large`, `not_canonical`, `bad_value`, `bad_shape`, `bad_field` or `bad_pattern`.
    """
    return _quickly(body) or _carefully(body)


def record_id(body: bytes) -> str:
    """Give the id of a record's canonical bytes. Two members may sign the same bytes: a statement is (author, id)."""
    return canonical.content_id("record", body)


def record_pattern(record: Record | Unread) -> str | None:
    """Give the id of the pattern that a report is about; None for a subject and for the other records."""
    if not isinstance(record, Report) or record.pat is None:
        return None
    return record.pat if isinstance(record.pat, str) else pattern_id(record.pat)


class _ReportFields(Struct, forbid_unknown_fields=True):
    """The fields of a report as JSON has them."""

    v: Literal[1]
    tax: str
    kind: Literal["pattern", "subject"]
    intents: list[str]
    basis: Literal["threshold", "analyst"]
    bad: _Bucket
    seen: _Bucket
    agents: _Bucket
    day_from: _Day
    day_until: _Day
    det: str
    tlp: Literal["clear", "green", "amber", "amber_strict", "red"]
    fps: list[Any]
    pat: str | dict[str, Any] | UnsetType = UNSET
    subj: str | UnsetType = UNSET


class _SightingFields(Struct, forbid_unknown_fields=True):
    v: Literal[1]
    of: str
    seen: _Bucket
    day: _Day


class _DisputeFields(Struct, forbid_unknown_fields=True):
    v: Literal[1]
    of: str
    reason: Literal["false_positive", "expected_use", "too_broad", "test_traffic"]
    day: _Day


class _WithdrawalFields(Struct, forbid_unknown_fields=True):
    v: Literal[1]
    of: str
    reason: Literal["false_positive", "mistake", "superseded", "policy"]


_encode = msgspec.json.Encoder(order="sorted").encode
_report_fields = msgspec.json.Decoder(_ReportFields)
_sighting_fields = msgspec.json.Decoder(_SightingFields)
_dispute_fields = msgspec.json.Decoder(_DisputeFields)
_withdrawal_fields = msgspec.json.Decoder(_WithdrawalFields)


def _quickly(body: bytes) -> Record | None:
    """Read the canonical bytes of an ordinary record; None for anything else, right or wrong."""
    # Without these, every string between the quotes is printable ASCII and every number is as it is written.
    if len(body) > LIMITS.record_bytes or not body.isascii() or b"\\" in body or b"\x7f" in body:
        return None
    try:
        # Canonical bytes begin with their first field in order of the alphabet.
        if body.startswith(b'{"agents":'):
            return _report_quickly(body)
        if body.startswith(b'{"of":'):
            back = _withdrawal_fields.decode(body)
            if HEX_64.fullmatch(back.of) and _encode(back) == body:
                return Withdrawal(of=back.of, reason=back.reason)
        elif b',"reason":"' in body:
            dispute = _dispute_fields.decode(body)
            if HEX_64.fullmatch(dispute.of) and _encode(dispute) == body:
                return Dispute(of=dispute.of, reason=dispute.reason, day=dispute.day)
        else:
            sighting = _sighting_fields.decode(body)
            if HEX_64.fullmatch(sighting.of) and _encode(sighting) == body:
                return Sighting(of=sighting.of, seen=sighting.seen, day=sighting.day)
    except (msgspec.DecodeError, RecursionError):
        pass
    return None


def _report_quickly(body: bytes) -> Report | None:
    found = _report_fields.decode(body)
    # Patterns, subjects and fingerprints are taken apart in one place only, and few reports have them.
    if (
        isinstance(found.pat, str)
        and found.subj is UNSET
        and found.kind == "pattern"
        and not found.fps
        and HEX_64.fullmatch(found.pat)
        and HEX_64.fullmatch(found.det)
        and TAXONOMY_VERSION.fullmatch(found.tax)
        and max(found.bad, found.agents) <= found.seen
        and 0 <= found.day_until - found.day_from <= LIMITS.report_span_days
        and _are_intents(found.intents)
        and _encode(found) == body
    ):
        return Report(
            tax=found.tax,
            kind="pattern",
            pat=found.pat,
            intents=tuple(found.intents),
            basis=found.basis,
            bad=found.bad,
            seen=found.seen,
            agents=found.agents,
            day_from=found.day_from,
            day_until=found.day_until,
            det=found.det,
            tlp=found.tlp,
        )
    return None


def _are_intents(names: list[str]) -> bool:
    return len(names) <= LIMITS.report_intents and all(
        SLUG.fullmatch(name) and (place == 0 or name > names[place - 1]) for place, name in enumerate(names)
    )


def _carefully(body: bytes) -> Record | Unread:
    """Read the canonical bytes of a record field by field.

    Raises:
        ProtocolError: as `decode_record`.
    """
    value = canonical.decode_object(body, limit_bytes=LIMITS.record_bytes)
    version = value.get("v")
    if type(version) is int and version > VERSION:
        return Unread(v=version)
    if "tax" in value:
        return _report(value)
    if "seen" in value:
        check_keys(value, {"v", "of", "seen", "day"})
        _check_version(value)
        return Sighting(
            of=take_text(value, "of", HEX_64), seen=take_bucket(value, "seen"), day=take_day(value, "day")
        )
    if "day" in value:
        check_keys(value, {"v", "of", "reason", "day"})
        _check_version(value)
        reason = take_code(value, "reason", DISPUTE_REASONS)
        return Dispute(of=take_text(value, "of", HEX_64), reason=reason, day=take_day(value, "day"))
    check_keys(value, {"v", "of", "reason"})
    _check_version(value)
    return Withdrawal(
        of=take_text(value, "of", HEX_64), reason=take_code(value, "reason", WITHDRAWAL_REASONS)
    )


def _check_version(value: Object) -> None:
    take_int(value, "v", VERSION, VERSION)


def _report(value: Object) -> Report:
    kind = take_code(value, "kind", {"pattern", "subject"}) if "kind" in value else "pattern"
    about = "pat" if kind == "pattern" else "subj"
    check_keys(value, _REPORT_KEYS | {about})
    _check_version(value)
    pat: str | Pattern | None = None
    if about == "pat":
        pat = (
            take_text(value, "pat", HEX_64) if isinstance(value["pat"], str) else parse_pattern(value["pat"])
        )
    bad, seen, agents = (take_bucket(value, name) for name in ("bad", "seen", "agents"))
    if max(bad, agents) > seen:
        raise ProtocolError("bad_field", f"seen is {seen}, less than bad {bad} or agents {agents}")
    day_from, day_until = take_day(value, "day_from"), take_day(value, "day_until")
    if not 0 <= day_until - day_from <= LIMITS.report_span_days:
        raise ProtocolError("bad_field", f"{day_until - day_from} days, outside 0..{LIMITS.report_span_days}")
    return Report(
        tax=take_text(value, "tax", TAXONOMY_VERSION),
        kind=kind,
        pat=pat,
        subj=_take_subject(value) if about == "subj" else None,
        intents=take_terms(value, "intents", SLUG, 0, LIMITS.report_intents),
        basis=take_code(value, "basis", BASES),
        bad=bad,
        seen=seen,
        agents=agents,
        day_from=day_from,
        day_until=day_until,
        det=take_text(value, "det", HEX_64),
        tlp=take_code(value, "tlp", frozenset(TLP)),
        fps=_fingerprints(value),
    )


def _take_subject(value: Object) -> str:
    subject = take_text(value, "subj", PUBLIC_SUBJECT)
    if len(subject) > LIMITS.subject_chars:
        raise ProtocolError(
            "bad_field", f"subj has {len(subject)} characters, more than {LIMITS.subject_chars}"
        )
    return subject


def _fingerprints(value: Object) -> tuple[Fingerprint, ...]:
    found: list[Fingerprint] = []
    for item in take_list(value, "fps", 0, LIMITS.report_fingerprints):
        entry = take_object(item, "an entry of fps")
        check_keys(entry, {"scheme", "epoch", "mac"})
        made = Fingerprint(
            scheme=take_text(entry, "scheme", SLUG),
            epoch=take_int(entry, "epoch", 0, LIMITS.day),
            mac=take_text(entry, "mac", HEX_32),
        )
        if found and _order(made) <= _order(found[-1]):
            raise ProtocolError("bad_field", "fps is not in ascending order without repetition")
        found.append(made)
    return tuple(found)


def _order(fingerprint: Fingerprint) -> tuple[str, int, str]:
    return fingerprint.scheme, fingerprint.epoch, fingerprint.mac


def _value(record: Record) -> dict[str, Value]:
    match record:
        case Report():
            return _report_value(record)
        case Sighting():
            return {"v": record.v, "of": record.of, "seen": record.seen, "day": record.day}
        case Dispute():
            return {"v": record.v, "of": record.of, "reason": record.reason, "day": record.day}
        case Withdrawal():
            return {"v": record.v, "of": record.of, "reason": record.reason}


def _report_value(report: Report) -> dict[str, Value]:
    value: dict[str, Value] = {
        "v": report.v,
        "tax": report.tax,
        "kind": report.kind,
        "intents": list(report.intents),
        "basis": report.basis,
        "bad": report.bad,
        "seen": report.seen,
        "agents": report.agents,
        "day_from": report.day_from,
        "day_until": report.day_until,
        "det": report.det,
        "tlp": report.tlp,
        "fps": [{"scheme": item.scheme, "epoch": item.epoch, "mac": item.mac} for item in report.fps],
    }
    if report.pat is not None:
        value["pat"] = pattern_value(report.pat) if isinstance(report.pat, Pattern) else report.pat
    if report.subj is not None:
        value["subj"] = report.subj
    return value
