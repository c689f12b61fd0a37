"""The figures of docs/reputation.md and docs/privacy.md are what the code computes."""

from __future__ import annotations

from pathlib import Path

import pytest
from ioint_node.privacy.explain import WHY
from ioint_node.privacy.gate import PARAMS as RELEASE
from ioint_node.reputation.beliefs import Staleness
from ioint_node.reputation.gate import EFFECT, OWN_CLEAN_CAP, PARAMS, cheap
from ioint_node.reputation.novel import LIMITS as NOVEL
from ioint_node.reputation.rule import MICRO, THRESHOLD, Electorate, Statement, network_part, removals
from ioint_protocol.pattern import Rate

DOCS = Path(__file__).parents[3] / "docs"
REPUTATION = (DOCS / "reputation.md").read_text()
PRIVACY = (DOCS / "privacy.md").read_text()
TODAY = 20_000


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def example(who: str, *, reports: int, bad: int = 0, disputes: int = 0) -> str:
    names = "abcde"
    voters = Electorate(groups=5, group_of={n: n for n in names}, tenure=dict.fromkeys(names, MICRO))
    said = [
        Statement(id=n, author=n, kind="report", bad=bad, seen=bad, day=TODAY) for n in names[:reports]
    ] + [
        Statement(id=n, author=n, kind="dispute", of="a", day=TODAY)
        for n in names[reports : reports + disputes]
    ]
    found = network_part(said, voters, TODAY)
    return row(who, f"{found.after_b:,}", found.tier, found.score, found.confidence)


@pytest.mark.parametrize("groups", [4, 5, 10, 30, 100])
def test_the_table_of_removals(groups: int) -> None:
    assert row(groups, *removals(groups)) in REPUTATION


@pytest.mark.parametrize(
    "line",
    [
        example("one first report", reports=1),
        example("two first reports", reports=2),
        example("three first reports", reports=3),
        example("two reports of two sessions each", reports=2, bad=1),
        example("four first reports", reports=4),
        example("three first reports, two disputes", reports=3, disputes=2),
    ],
)
def test_the_worked_examples(line: str) -> None:
    assert line in REPUTATION
    assert f"{THRESHOLD:,} are needed" in REPUTATION


@pytest.mark.parametrize("tier", EFFECT)
def test_the_table_of_effects(tier: str) -> None:
    assert f"| {tier} | {EFFECT[tier]:.2f} |" in REPUTATION
    assert f"capped at {OWN_CLEAN_CAP:.2f}" in REPUTATION


def test_the_gate_and_the_budget() -> None:
    assert f"is at most 1 in {1 / PARAMS.cheap_rate:,.0f}" in REPUTATION
    assert f"is at most 1 in {1 / PARAMS.attention_rate:.0f}:" in REPUTATION
    assert f"worth {PARAMS.base_worth_sessions:,} sessions" in REPUTATION
    enough = next(n for n in range(2_000, 4_000) if cheap(Rate(matches=0, sessions=n), None).open)
    assert f"{enough:,} sessions of history are enough" in REPUTATION
    assert not cheap(Rate(matches=1, sessions=300), Rate(matches=0, sessions=20_000)).open
    assert f"default {PARAMS.tolerance:.0f} in 1,000 actions" in REPUTATION
    assert PARAMS.first_reports == 5


def test_the_share_of_one_group_and_the_bounds_of_novel_patterns() -> None:
    assert f"at most 1/{1 / PARAMS.sole_share:.0f} of the budget" in REPUTATION
    assert f"takes more than {NOVEL.bare_verbs} verbs" in REPUTATION
    assert f"{NOVEL.per_group} of a group and {NOVEL.total:,} in all" in REPUTATION


def test_the_silence_after_which_belief_fades() -> None:
    staleness = Staleness()
    assert (staleness.stale_after_s, staleness.gone_after_s) == (3_600, 7 * 86_400)
    assert "After an hour in which the network\nwas not heard" in REPUTATION


@pytest.mark.parametrize("source", WHY)
def test_the_classes_of_values_that_may_leave(source: str) -> None:
    assert f"| `{source}` |" in PRIVACY
    assert WHY[source] in PRIVACY


def test_the_numbers_of_the_release_gate() -> None:
    assert f"up to {2**RELEASE.early_bucket} at once" in PRIVACY
    assert f"not said twice in {RELEASE.once_days} days" in PRIVACY
    assert f"wait for {RELEASE.principals} distinct principals" in PRIVACY
    assert f"more than once in {1 / RELEASE.benign_rate:,.0f} is refused" in PRIVACY
    assert RELEASE.slot_ms == 3_600_000
