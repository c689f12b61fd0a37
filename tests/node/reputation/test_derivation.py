"""How a number came about is told with the numbers that the rule gave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.derivation import because, explained, network_record, silenced
from ioint_node.reputation.rule import (
    Electorate,
    Network,
    Ruled,
    Scales,
    Statement,
    network_part,
    reports_named,
)

TODAY = 20_000
MICRO = 1_000_000
GROUPS = tuple(f"g{number}" for number in range(9))
VOTERS = Electorate(
    groups=len(GROUPS), group_of={f"m{group}": group for group in GROUPS}, tenure=dict.fromkeys(GROUPS, MICRO)
)
STATEMENTS = st.lists(
    st.builds(
        Statement,
        id=st.sampled_from([f"{number:064x}" for number in range(40)]),
        author=st.sampled_from([f"m{group}" for group in GROUPS]),
        kind=st.sampled_from(("report", "sighting", "dispute", "withdrawal")),
        of=st.sampled_from([f"{number:064x}" for number in range(40)]),
        bad=st.integers(0, 4),
        seen=st.integers(0, 6),
        day=st.integers(TODAY - 35, TODAY + 2),
    ),
    max_size=30,
)


def told(network: Network) -> dict[str, str]:
    steps = explained(network, {}, TODAY, public_subject=False)["steps"]
    return {one["step"]: one["text"] for one in steps}


@given(STATEMENTS, st.booleans())
def test_what_is_marked_as_removed_is_what_the_sums_lack(said: list[Statement], review: bool) -> None:
    network = network_part(said, VOTERS, TODAY, review=review)
    voices = explained(network, {}, TODAY, public_subject=False)["voices"]
    for name, left in (("corroboration", network.after_b), ("consensus", network.after_q)):
        assert sum(voice["accusing"] for voice in voices if name not in voice["removed_for"]) == left
    steps = told(network)
    assert steps["score"].endswith(f" = {network.score}")
    assert steps["confidence"].endswith(f"{network.confidence}")
    assert steps["rule"].startswith(f"{network.tier} ({network.state}): ")


@given(STATEMENTS)
def test_what_is_heard_has_no_reason_to_be_silent(said: list[Statement]) -> None:
    scales = Scales(voters=VOTERS, today=TODAY)
    by_author = {author: [s for s in said if s.author == author] for author in VOTERS.group_of}
    named = reports_named(by_author, scales)
    for voice in network_part(said, VOTERS, TODAY).voices:
        for one in voice.statements:
            taken_back = {s.of for s in said if s.author == one.author and s.kind == "withdrawal"}
            assert silenced(one, scales, taken_back, named) == ""


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (Statement(id="a", author="mg0", kind="report", day=TODAY), ""),
        (Statement(id="a", author="stranger", kind="report", day=TODAY), "no_voice"),
        (Statement(id="a", author="mg8", kind="report", day=TODAY), "two_histories"),
        (Statement(id="a", author="mg0", kind="withdrawal", of="b", day=TODAY), "takes_back"),
        (Statement(id="gone", author="mg0", kind="report", day=TODAY), "withdrawn"),
        (Statement(id="void", author="mg0", kind="report", day=TODAY), "ruled_false"),
        (Statement(id="a", author="mg0", kind="report", day=TODAY + 2), "early"),
        (Statement(id="a", author="mg0", kind="sighting", day=TODAY - 30), "expired"),
        (Statement(id="a", author="mg0", kind="dispute", of="b", day=TODAY - 13), ""),
        (Statement(id="a", author="mg0", kind="dispute", of="b", day=TODAY - 14), "lapsed"),
        (Statement(id="a", author="mg0", kind="dispute", of="stands", day=TODAY), "rejected"),
        (Statement(id="a", author="mg0", kind="dispute", of="gone", day=TODAY), "report_ended"),
        (Statement(id="a", author="mg0", kind="sighting", of="void", day=TODAY), "ruled_false"),
    ],
)
def test_a_statement_that_is_not_heard_has_one_reason(statement: Statement, reason: str) -> None:
    ruled = Ruled(void=frozenset({("mg0", "void")}), stands={"stands": TODAY})
    scales = Scales(voters=VOTERS, today=TODAY, equivocators={"mg8"}, ruled=ruled)
    reports = [Statement(id=name, author="mg1", kind="report", day=TODAY) for name in ("b", "stands")]
    said = {"mg1": reports, statement.author: [statement]}
    assert silenced(statement, scales, {"gone"}, reports_named(said, scales)) == reason


def test_a_review_is_named_where_it_decided() -> None:
    said = [Statement(id=g, author=f"m{g}", kind="report", bad=2, seen=2, day=TODAY) for g in GROUPS]
    assert because(network_part(said, VOTERS, TODAY, review=True)).startswith(
        "disputed (disputed): under review by the stewards"
    )
    assert because(network_part(said, VOTERS, TODAY)).startswith("consensus (malicious): 6.00 is left")


def test_few_groups_are_named_where_they_decided() -> None:
    few = Electorate(groups=3, group_of={"mg0": "g0"}, tenure={"g0": MICRO})
    said = [Statement(id="a", author="mg0", kind="report", day=TODAY)]
    assert "fewer than 4" in because(network_part(said, few, TODAY))


def test_the_record_of_a_network_part_has_what_was_signed_and_nothing_of_when_it_came() -> None:
    said = [Statement(id="a", author="mg0", kind="report", day=TODAY)]
    (voice,) = network_record(network_part(said, VOTERS, TODAY))["voices"]
    assert voice["statements"] == [
        {"id": "a", "author": "mg0", "kind": "report", "of": "", "bad": 0, "seen": 0, "day": TODAY}
    ]
