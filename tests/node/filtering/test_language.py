"""The filter language: what is read, what is refused and where, one spelling, and which rows are taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.filtering import EVERYTHING, KEYS, FilterError, parse, parse_value

from tests.node.filtering.made import filters, rows

NOW = 1_795_000_000_000  # 2026-11-18
ROW: dict[str, Any] = {
    "id": "ab" * 32,
    "kind": "pattern",
    "label": "Payment outside the envelope, values from third-party content",
    "intents": ["financial_harm", "goal_hijack"],
    "layer": "L11",
    "declared": [],
    "state": "watched",
    "score": 47,
    "confidence": 25,
    "tier": "precautionary",
    "effect": 0.05,
    "reporters": 1,
    "last_seen": "2026-11-17",
    "trend": "rising",
    "seen_locally": True,
    "disputed": False,
    "revoked": False,
    "tlp": "amber",
    "verbs": ["pay"],
    "resources": ["payment"],
}
PACKAGE = ROW | {"kind": "subject", "label": "pkg:npm/left-pad@1.2", "verbs": [], "resources": []}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "state:watched,malicious",
        "-state:benign",
        "intent:financial_harm intent:goal_hijack",
        "layer:outcome",
        "layer:L11",
        "family:any",
        "verb:pay -verb:send",
        "score>=47 score<48",
        "score:10,40..50",
        "effect>0",
        "effect:0.05",
        "confidence<30",
        "-reporters>=2",
        "since:7d",
        "since:2026-11-17 until:2026-11-17",
        "seen:yes disputed:no",
        'q:"third PARTY"',
        "q:nothing,pay",
        f"subject:{'ab' * 32}",
        "subject:abab*",
    ],
)
def test_a_row_is_taken_by(text: str) -> None:
    assert parse(text).at(NOW).matches(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "state:malicious",
        "-state:watched",
        "intent:goal_hijack intent:goal_drift",
        "family:support_customer",
        "score>47",
        "effect>=0.050001",
        "since:1h",
        "until:2026-11-16",
        "q:party-line",
        "subject:pkg:npm/*",
    ],
)
def test_a_row_is_left_by(text: str) -> None:
    assert not parse(text).at(NOW).matches(ROW)


@pytest.mark.parametrize(
    "text", ["subject:pkg:npm/*", "subject:pkg:npm/left-pad@1.2", "subject:pkg:*", "q:left", "-verb:pay"]
)
def test_a_package_is_found_by_its_name(text: str) -> None:
    assert parse(text).matches(PACKAGE)


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("colour:red", 0, "is no key"),
        ("sttae:watched", 0, "did you mean state"),
        ("state", 5, "expected ':' after state"),
        ("state=watched", 5, "expected ':' after state"),
        ("state>=watched", 5, "which is no number"),
        ("score", 5, "expected ':', '>=', '<=', '>' or '<'"),
        ("state:watched,evil", 14, "'evil' is none of unknown, watched"),
        ("intent:goal_drfit", 7, "did you mean goal_drift?"),
        ("score>=", 7, "score needs a value"),
        ("score>100", 6, "it is from 0 to 100"),
        ("score:101", 6, "more than 100"),
        ("score:50..20", 6, "ends before it begins"),
        ("reporters>=2.5", 11, "is counted"),
        ("effect:0.1234567", 7, "no number from 0 to 1"),
        ('q:"never closed', 2, "the quote is not closed"),
        ('q:"a"b', 5, "expected a blank"),
        ("q:---", 2, "letters or digits"),
        ("since:soon", 6, "no day like"),
        ("since:2026-02-30", 6, "no day like"),
        ("since:1d,2d", 8, "has one value"),
        ("state:watched state:benign", 14, "asked for twice"),
        ("subject:abcd", 8, "write a star behind it"),
        ("subject:NPM", 8, "no package URL"),
        ("-", 1, "is no key"),
        ("x" * 2_000, 1_024, "more than 1024"),
    ],
)
def test_what_makes_no_sense_is_pointed_at(text: str, at: int, said: str) -> None:
    with pytest.raises(FilterError, match=r"at character \d+") as caught:
        parse(text)
    assert caught.value.at == at
    assert said in str(caught.value)


def test_a_value_of_its_own_parameter_is_refused_by_its_name() -> None:
    with pytest.raises(FilterError) as caught:
        parse_value("state", "watched,evil")
    assert (caught.value.field, caught.value.at) == ("state", 8)
    assert str(caught.value).startswith("'evil' is none of")


@given(filters())
def test_a_filter_is_read_back_from_its_one_spelling(text: str) -> None:
    wanted = parse(text)
    assert parse(wanted.text) == wanted
    assert parse(wanted.text).text == wanted.text


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_an_error_of_filters(text: str) -> None:
    found = None
    try:
        parse(text)
    except FilterError as error:
        found = error.at
    assert found is None or 0 <= found <= len(text)


@given(filters(), rows())
def test_a_negated_term_takes_what_the_term_leaves(text: str, row: dict[str, Any]) -> None:
    for term in parse(text).at(NOW).terms:
        plain = term.text.removeprefix("-")
        assert parse(plain).matches(row) != parse(f"-{plain}").matches(row)


@given(filters(), filters(), rows())
def test_terms_of_two_filters_must_all_hold(one: str, other: str, row: dict[str, Any]) -> None:
    first, second = parse(one).at(NOW), parse(other).at(NOW)
    assert (first & second).matches(row) == (first.matches(row) and second.matches(row))


def test_spellings_of_one_filter_are_equal() -> None:
    assert parse("tier:none  state:benign,watched") == parse("state:watched,benign tier:none")
    assert parse("score>49") == parse("score:50..100")
    assert parse(" ") == EVERYTHING


def test_a_span_stays_relative_until_it_is_said_when() -> None:
    wanted = parse("since:48h")
    assert wanted.text == "since:48h"
    assert wanted.at(NOW).text == "since:2026-11-16"
    with pytest.raises(ValueError, match="at what time"):
        wanted.matches(ROW)


def test_every_key_has_an_example_that_asks_for_it() -> None:
    for key in KEYS.values():
        assert [term.key for term in parse(key.example).terms] == [key]


@pytest.mark.parametrize(
    ("text", "change", "concerned"),
    [
        ("state:watched", {"was": None}, True),
        ("state:malicious", {"was": {"state": "malicious"}}, True),  # it left: the subscriber must hear
        ("state:malicious", {"was": {"state": "unknown"}}, False),
        ("state:malicious", {"was": None}, False),
        ("state:malicious reporters>=2", {"was": {"state": "malicious", "reporters": 3}}, True),
        ("state:malicious trend:falling", {"was": {"state": "malicious"}}, True),  # what it was is not told
        ("state:malicious verb:send", {"was": {"state": "malicious"}}, False),
        ("state:malicious", {}, True),
        ("verb:send", {}, False),
    ],
)
def test_a_change_concerns_who_is_told_of_the_row_or_was(
    text: str, change: dict[str, Any], concerned: bool
) -> None:
    assert parse(text).concerns(ROW, change) == concerned


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" ".join(f"-effect:0.{n:02}" for n in range(1, 34)), "33 terms"),
        ("q:" + ",".join(f"z{n}" for n in range(33)), "33 words"),
        (" ".join(f"-q:z{n},y{n}" for n in range(17)), "34 words"),
        ("subject:" + ",".join(f"pkg:npm/a{n}*" for n in range(33)), "33 words and beginnings"),
    ],
)
def test_what_would_cost_too_much_for_every_row_is_refused(text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        parse(text)


def test_a_filter_whose_one_spelling_would_be_too_long_to_be_read_again_is_refused() -> None:
    long = "q:" + ",".join(f"{'ﬃ' * 18}{n}" for n in range(30))
    assert len(long) <= 1_024
    with pytest.raises(FilterError, match="one spelling"):
        parse(long)
    with pytest.raises(FilterError, match="one spelling"):
        parse_value("q", " ".join(f"{'ﬃ' * 20}{n}" for n in range(30)))


def test_many_packages_can_be_named_in_one_filter() -> None:
    text = "subject:" + ",".join(f"pkg:npm/a{n}" for n in range(60))
    assert parse(text).text == parse(parse(text).text).text
