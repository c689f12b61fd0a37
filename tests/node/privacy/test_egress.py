"""What leaves is of a class that holds nothing of ours: on the exact bytes, for every leaf."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.privacy.egress import CLASSES, EgressError, check_record, check_segment
from ioint_node.privacy.explain import PASS_ON, WHY, Audience, explain
from ioint_node.privacy.labels import SHAREABLE
from ioint_protocol import (
    Dispute,
    Fingerprint,
    Pattern,
    Report,
    Sighting,
    Withdrawal,
    build_segment,
    canonical,
    encode_record,
    parse_pattern,
)
from ioint_protocol.records import BASES, DISPUTE_REASONS, WITHDRAWAL_REASONS, Record
from ioint_protocol.segment import GENESIS
from ioint_taxonomy import load_catalogue, load_taxonomy
from nacl.signing import SigningKey

TAXONOMY, CATALOGUE = load_taxonomy(), load_catalogue()
ENTRY = next(iter(CATALOGUE.entries.values()))
HEX = "ab" * 32


def report(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "tax": TAXONOMY.version,
        "kind": "pattern",
        "pat": ENTRY.id,
        "intents": tuple(sorted(ENTRY.intents)),
        "basis": "threshold",
        "bad": 0,
        "seen": 2,
        "agents": 1,
        "day_from": 20_000,
        "day_until": 20_001,
        "det": HEX,
        "tlp": "green",
    }
    return encode_record(Report(**(fields | changes)))  # type: ignore[arg-type]


def check(body: bytes) -> set[str]:
    return {leaf.source for leaf in check_record(body, TAXONOMY, CATALOGUE)}


def test_a_report_of_a_catalogue_pattern_may_leave() -> None:
    assert check(report()) <= CLASSES


def test_the_other_records_may_leave() -> None:
    for record in (
        Sighting(of=HEX, seen=3, day=20_000),
        Dispute(of=HEX, reason="false_positive", day=20_000),
        Withdrawal(of=HEX, reason="mistake"),
    ):
        assert check(encode_record(record)) <= CLASSES


def test_a_novel_pattern_in_words_of_the_taxonomy_may_leave() -> None:
    assert "enum" in check(report(pat=parse_pattern(ENTRY.pattern)))


def test_a_public_package_may_leave() -> None:
    assert "purl" in check(report(kind="subject", pat=None, subj="pkg:npm/left-pad@1.3.0"))


def test_a_keyed_fingerprint_may_leave() -> None:
    marked = Fingerprint(scheme="blake2b", epoch=2950, mac="0" * 32)
    assert "mac" in check(report(fps=(marked,)))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"intents": ("acme_secret_project",)}, "intents"),
        ({"tax": "1999.01"}, "tax"),
        ({"pat": HEX}, "pat"),
        ({"pat": parse_pattern({"gaps": 1, "steps": [{"v": ["email_bob"]}]})}, "pat.steps"),
        ({"fps": (Fingerprint(scheme="acme", epoch=1, mac="0" * 32),)}, "scheme"),
    ],
)
def test_a_word_that_no_public_list_has_does_not_leave(changes: dict[str, object], field: str) -> None:
    with pytest.raises(EgressError, match=field):
        check(report(**changes))


def test_the_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(EgressError) as refused:
        check(report(intents=("acme_secret_project",)))
    assert "acme" not in str(refused.value)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_record_do_not_leave(body: bytes) -> None:
    with pytest.raises(EgressError):
        check(body)


@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20))
def test_no_text_of_ours_passes_in_any_text_field(text: str) -> None:
    value = canonical.decode_object(report())
    public: dict[str, Container[str]] = {"tlp": SHAREABLE, "basis": BASES}  # words that anybody may say
    for name in ("tax", "basis", "tlp", "det", "pat"):
        if value[name] != text and text not in public.get(name, ()):
            with pytest.raises(EgressError):
                check(canonical.encode({**value, name: text}))


BUCKETS = st.integers(0, 30)
DAYS = st.integers(19_000, 30_000)
LABELS = st.sampled_from(SHAREABLE)
MACS = st.builds(
    Fingerprint,
    scheme=st.just("blake2b"),
    epoch=st.integers(0, 5_000),
    mac=st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """A report of any of the three things that there can be reports of."""
    kind = draw(st.sampled_from(["catalogue", "novel", "subject"]))
    entry = draw(st.sampled_from(sorted(CATALOGUE.entries.values(), key=lambda one: one.id)))
    seen, first = draw(BUCKETS), draw(DAYS)
    named: dict[str, str | Pattern | None] = {
        "catalogue": entry.id,
        "novel": parse_pattern(entry.pattern),
        "subject": None,
    }
    fps = draw(st.lists(MACS, max_size=3, unique_by=lambda one: (one.epoch, one.mac)))
    return Report(
        tax=TAXONOMY.version,
        kind="subject" if kind == "subject" else "pattern",
        pat=named[kind],
        subj="pkg:npm/left-pad@1.3" if kind == "subject" else None,
        intents=tuple(sorted(draw(st.sets(st.sampled_from(sorted(TAXONOMY.intents)), max_size=8)))),
        basis=draw(st.sampled_from(["threshold", "analyst"])),
        bad=draw(st.integers(0, seen)),
        seen=seen,
        agents=draw(st.integers(0, seen)),
        day_from=first,
        day_until=first + draw(st.integers(0, 30)),
        det=draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
        tlp=draw(LABELS),
        fps=tuple(sorted(fps, key=lambda one: (one.scheme, one.epoch, one.mac))),
    )


IDS = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
RECORDS = st.one_of(
    reports(),
    st.builds(Sighting, of=IDS, seen=BUCKETS, day=DAYS),
    st.builds(Dispute, of=IDS, reason=st.sampled_from(sorted(DISPUTE_REASONS)), day=DAYS),
    st.builds(Withdrawal, of=IDS, reason=st.sampled_from(sorted(WITHDRAWAL_REASONS))),
)


@given(RECORDS)
def test_every_leaf_of_every_record_that_can_be_made_has_a_class(record: Record) -> None:
    leaves = check_record(encode_record(record), TAXONOMY, CATALOGUE)
    assert leaves
    assert all(leaf.source in CLASSES for leaf in leaves)


@given(RECORDS, st.data())
def test_no_text_or_large_number_of_ours_passes_in_any_leaf(record: Record, data: st.DataObject) -> None:
    value = canonical.decode_object(encode_record(record))
    places = list(_places(value))
    holder, key = data.draw(st.sampled_from(places))
    ours = data.draw(st.sampled_from(["canary", "acme-hr-db-7", "alice@example.org", 49_301_908_204_711]))
    holder[key] = ours
    with pytest.raises(EgressError):
        check(canonical.encode(value))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Where a leaf stands: its holder and its key there."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from _places(item)
        else:
            yield value, key


def test_nothing_leaves_that_is_for_single_people_alone() -> None:
    with pytest.raises(EgressError, match="tlp"):
        check(report(tlp="red"))


def test_a_segment_is_checked_as_it_will_be_sent() -> None:
    key = SigningKey(bytes(32))
    good = build_segment(key, HEX, "0" * 32, 1, GENESIS, 1, [report()])
    check_segment(good, TAXONOMY, CATALOGUE)
    bad = build_segment(key, HEX, "0" * 32, 1, GENESIS, 1, [report(intents=("acme_secret_project",))])
    with pytest.raises(EgressError):
        check_segment(bad, TAXONOMY, CATALOGUE)


def test_every_field_is_explained_with_its_class_and_its_readers() -> None:
    audience = Audience(members=("Acme", "Bolt", "Core"), groups=2)
    rows = explain(report(), TAXONOMY, CATALOGUE, audience, label="green")
    assert {row["field"] for row in rows} >= {"pat", "bad", "seen", "agents", "day_from", "det", "tlp"}
    assert all(row["why"] == WHY[row["source"]] and row["readers"].endswith(PASS_ON["green"]) for row in rows)
    assert next(row["means"] for row in rows if row["field"] == "pat") == ENTRY.title
    assert next(row["means"] for row in rows if row["field"] == "seen") == "4 to 7"
