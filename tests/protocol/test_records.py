"""Records: what can be said, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_protocol import ProtocolError, canonical
from ioint_protocol.limits import LIMITS
from ioint_protocol.pattern import Pattern, PatternStep, pattern_id
from ioint_protocol.records import (
    DISPUTE_REASONS,
    TLP,
    WITHDRAWAL_REASONS,
    Dispute,
    Fingerprint,
    Record,
    Report,
    Sighting,
    Unread,
    Withdrawal,
    _carefully,
    _quickly,
    decode_record,
    encode_record,
    record_id,
    record_pattern,
)

ids = st.text("0123456789abcdef", min_size=64, max_size=64)
slugs = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=64)
buckets = st.integers(0, LIMITS.bucket)
days = st.integers(0, LIMITS.day)
NOVEL = Pattern(steps=(PatternStep(verbs=("read",)), PatternStep(verbs=("send",), flow=(0,), outside=True)))
fingerprints = st.builds(
    Fingerprint, scheme=slugs, epoch=days, mac=st.text("0123456789abcdef", min_size=32, max_size=32)
)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    seen, first = draw(buckets), draw(st.integers(0, LIMITS.day - LIMITS.report_span_days))
    about = draw(st.sampled_from(("catalogue", "novel", "subject")))
    pat: dict[str, str | Pattern | None] = {"catalogue": draw(ids), "novel": NOVEL, "subject": None}
    return Report(
        tax="2026.11",
        kind="subject" if about == "subject" else "pattern",
        pat=pat[about],
        subj="pkg:npm/%40scope/name" if about == "subject" else None,
        intents=tuple(sorted(draw(st.sets(slugs, max_size=LIMITS.report_intents)))),
        basis=draw(st.sampled_from(("analyst", "threshold"))),
        bad=draw(st.integers(0, seen)),
        seen=seen,
        agents=draw(st.integers(0, seen)),
        day_from=first,
        day_until=first + draw(st.integers(0, LIMITS.report_span_days)),
        det=draw(ids),
        tlp=draw(st.sampled_from(TLP)),
        fps=tuple(
            sorted(draw(st.sets(fingerprints, max_size=3)), key=lambda fp: (fp.scheme, fp.epoch, fp.mac))
        ),
    )


records: st.SearchStrategy[Record] = (
    reports()
    | st.builds(Sighting, of=ids, seen=buckets, day=days, v=st.just(1))
    | st.builds(Dispute, of=ids, reason=st.sampled_from(sorted(DISPUTE_REASONS)), day=days, v=st.just(1))
    | st.builds(Withdrawal, of=ids, reason=st.sampled_from(sorted(WITHDRAWAL_REASONS)), v=st.just(1))
)


@given(records)
def test_a_record_round_trips(record: Record) -> None:
    body = encode_record(record)
    assert len(body) <= LIMITS.record_bytes
    assert decode_record(body) == record
    assert record_id(body) == canonical.content_id("record", body)


@given(records)
def test_the_quick_reading_says_what_the_careful_one_says(record: Record) -> None:
    body = encode_record(record)
    assert _quickly(body) in (None, _carefully(body))


ORDINARY = (
    encode_record(
        Report(
            tax="2026.11",
            kind="pattern",
            pat="0" * 64,
            intents=("a", "b"),
            basis="threshold",
            bad=0,
            seen=3,
            agents=1,
            day_from=1,
            day_until=9,
            det="0" * 64,
            tlp="amber",
        )
    ),
    encode_record(Sighting(of="0" * 64, seen=3, day=9)),
    encode_record(Dispute(of="0" * 64, reason="too_broad", day=9)),
    encode_record(Withdrawal(of="0" * 64, reason="mistake")),
)


@given(st.sampled_from(ORDINARY), st.data())
def test_whatever_is_changed_the_quick_reading_takes_nothing_that_the_careful_one_refuses(
    body: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(body)))
    width = data.draw(st.integers(0, 3))
    put = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from([b"9", b"-", b" ", b",", b'"', b"1.0"])))
    changed = body[:place] + put + body[place + width :]
    found = _quickly(changed)
    assert found is None or found == _carefully(changed)


def test_ordinary_records_are_read_quickly() -> None:
    assert all(_quickly(body) is not None for body in ORDINARY)


def test_a_record_of_a_later_version_is_carried_unread_and_cannot_be_written() -> None:
    later = canonical.encode({"v": 2, "of": "0" * 64, "something": ["new"]})
    assert decode_record(later) == Unread(v=2)
    with pytest.raises(ProtocolError, match="bad_field"):
        encode_record(Sighting(v=2, of="0" * 64, seen=0, day=1))


@given(records, st.sampled_from(["note", "prompt", "agent", "user", "host"]), st.text("abc", max_size=3))
def test_a_field_that_no_record_has_is_refused(record: Record, field: str, value: str) -> None:
    body = canonical.encode({**json.loads(encode_record(record)), field: value})
    with pytest.raises(ProtocolError, match="bad_shape"):
        decode_record(body)


@given(records.filter(lambda record: not isinstance(record, Dispute)), st.data())
def test_a_record_without_one_of_its_fields_is_refused(record: Record, data: st.DataObject) -> None:
    value: dict[str, Any] = json.loads(encode_record(record))
    value.pop(data.draw(st.sampled_from(sorted(value))))
    with pytest.raises(ProtocolError):
        decode_record(canonical.encode(value))


def test_a_dispute_without_its_day_is_a_withdrawal() -> None:
    value = json.loads(encode_record(Dispute(of="0" * 64, reason="false_positive", day=1)))
    del value["day"]
    assert decode_record(canonical.encode(value)) == Withdrawal(of="0" * 64, reason="false_positive")


def sample(**fields: Any) -> Report:  # any field of a report
    given_fields: dict[str, Any] = {
        "tax": "2026.11",
        "kind": "pattern",
        "pat": "0" * 64,
        "intents": (),
        "basis": "threshold",
        "bad": 0,
        "seen": 0,
        "agents": 0,
        "day_from": 1,
        "day_until": 1,
        "det": "0" * 64,
        "tlp": "amber",
    }
    return Report(**{**given_fields, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"tlp": "white"},
        {"seen": 31},
        {"bad": 1},
        {"intents": ("b", "a")},
        {"det": "agent-7"},
        {"kind": "subject"},
        {"kind": "subject", "pat": None, "subj": "pkg:npm/name?repository_url=inner"},
    ],
)
def test_nothing_is_encoded_that_would_be_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        encode_record(sample(**fields))


def test_the_pattern_of_a_report_is_its_id_or_that_of_the_pattern_itself() -> None:
    assert record_pattern(sample()) == "0" * 64
    assert record_pattern(sample(pat=NOVEL)) == pattern_id(NOVEL)
    assert record_pattern(sample(kind="subject", pat=None, subj="pkg:pypi/name")) is None
    assert record_pattern(Withdrawal(of="0" * 64, reason="mistake")) is None


def test_a_report_of_eight_full_steps_that_does_not_fit_is_refused() -> None:
    long = PatternStep(verbs=tuple(f"{index:02}{'v' * 62}" for index in range(16)))
    with pytest.raises(ProtocolError, match="too_large"):
        encode_record(sample(pat=Pattern(steps=(long,) * 8)))
