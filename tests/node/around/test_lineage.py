"""Who asked whom: what the first request allows bounds every agent behind it, and a false parent wins nothing."""

from __future__ import annotations

import pytest
from ioint_node.scoring.around import surroundings
from ioint_node.scoring.lineage import (
    UNCLEAR,
    WARNINGS,
    Lineage,
    Link,
    leaves,
    lineage_of,
    risk_above,
    warnings,
)
from ioint_node.scoring.values import NOTHING_AROUND, Verdict
from ioint_taxonomy import Envelope, load_taxonomy

from tests.node.around.samples import AFTER, step

TAXONOMY = load_taxonomy()
ROOT = Envelope(
    verbs=frozenset({"read", "search", "list"}),
    resources=frozenset({"file", "email"}),
    max_sensitivity="internal",
    max_boundary="same_tenant",
)
WIDE = Envelope(
    verbs=frozenset(TAXONOMY.verbs),
    resources=frozenset(TAXONOMY.resources),
    max_sensitivity="restricted",
    max_boundary="public",
)


def link(session: str, actor: str, *, envelope: Envelope = WIDE, **more: object) -> Link:
    values = {"families": ("research",), "risk": 0.1, "verdict": Verdict.IN_SCOPE, **more}
    return Link(session_id=session, actor=actor, envelope=envelope, **values)  # type: ignore[arg-type]


def made(*chain: Link, actor: str = "worker", cut: bool = False, returns: bool = False) -> Lineage:
    return lineage_of("s1", chain, actor=actor, borderline=0.4, out_of_scope=0.8, cut=cut, returns=returns)


def test_the_envelope_of_the_first_request_counts_and_not_that_of_the_agents_between() -> None:
    lineage = made(link("s1", "planner"), link("s0", "person", envelope=ROOT))
    assert (lineage.depth, lineage.root, lineage.families) == (2, "s0", ("research",))
    assert leaves(lineage, step("read", "file"), TAXONOMY) == 0.0
    assert leaves(lineage, step("send", "email", "public"), TAXONOMY) == pytest.approx(0.7)
    assert leaves(lineage, step("pay", "payment", "public"), TAXONOMY) == pytest.approx(0.85)


def test_looking_beyond_it_counts_half() -> None:
    lineage = made(link("s0", "person", envelope=ROOT))
    assert leaves(lineage, step("read", "payment"), TAXONOMY) == pytest.approx(0.25)
    assert leaves(lineage, step("update", "file"), TAXONOMY) == pytest.approx(0.4)


@pytest.mark.parametrize(("risk", "share"), [(0.0, 0.0), (0.4, 0.0), (0.6, 0.5), (0.8, 1.0), (1.0, 1.0)])
def test_the_risk_above_counts_from_borderline_on(risk: float, share: float) -> None:
    assert risk_above(risk, 0.4, 0.8) == pytest.approx(share)
    assert made(link("s1", "planner", risk=risk)).delegator == pytest.approx(share)


def test_the_riskiest_session_of_the_chain_counts_however_far_above() -> None:
    lineage = made(link("s1", "planner"), link("s0", "person", risk=0.9, verdict=Verdict.OUT_OF_SCOPE))
    assert lineage.delegator == 1.0
    assert warnings(lineage) == (WARNINGS["out_of_scope"],)


def test_a_session_that_becomes_risky_later_is_warned_of_later() -> None:
    lineage = made(link("s1", "planner"))
    assert warnings(lineage) == ()
    assert warnings(lineage, verdict=Verdict.OUT_OF_SCOPE) == (WARNINGS["out_of_scope"],)
    edge = made(link("s1", "planner", verdict=Verdict.BORDERLINE))
    assert warnings(edge, verdict=Verdict.OUT_OF_SCOPE) == (WARNINGS["out_of_scope"],)
    assert warnings(edge, verdict=Verdict.BORDERLINE) == (WARNINGS["borderline"],)


def test_a_chain_that_comes_back_to_an_agent_is_a_circle() -> None:
    lineage = made(link("s1", "planner"), link("s0", "worker"), actor="worker")
    assert lineage.circle
    assert warnings(lineage) == (WARNINGS["circle"],)
    assert leaves(lineage, step("update", "file"), TAXONOMY) == UNCLEAR
    assert leaves(lineage, step("read", "file"), TAXONOMY) == 0.0


def test_sessions_that_name_each_other_are_a_circle() -> None:
    assert made(link("s1", "planner", parent="s1"), returns=True).circle


def test_an_agent_that_delegates_to_itself_in_a_row_is_none() -> None:
    lineage = made(link("s1", "worker"), link("s0", "worker"), actor="worker")
    assert not lineage.circle
    assert warnings(lineage) == ()


def test_a_chain_that_is_too_long_hides_its_beginning_and_helps_nobody() -> None:
    lineage = made(*(link(f"s{turn}", f"a{turn}") for turn in range(16)), cut=True)
    assert lineage.depth == 16
    assert warnings(lineage) == (WARNINGS["long"],)
    assert leaves(lineage, step("update", "file"), TAXONOMY) == UNCLEAR


def test_an_unknown_parent_is_said_and_wins_nothing() -> None:
    lineage = made()
    assert (lineage.depth, lineage.root, lineage.envelope) == (1, None, None)
    assert warnings(lineage) == (WARNINGS["unknown"],)
    assert leaves(lineage, step("pay", "payment"), TAXONOMY) == 0.0


def test_a_closed_parent_counts_as_it_was_and_is_said() -> None:
    lineage = made(link("s1", "planner", envelope=ROOT, closed=True, risk=0.9, verdict=Verdict.OUT_OF_SCOPE))
    assert warnings(lineage) == (WARNINGS["out_of_scope"], WARNINGS["closed"])
    assert lineage.delegator == 1.0
    assert leaves(lineage, step("update", "file"), TAXONOMY) > 0.0


def test_a_session_that_nobody_delegated_is_warned_of_nothing() -> None:
    assert warnings(None) == ()


def test_no_parent_whatever_makes_an_action_look_better() -> None:
    for chain in ((), (link("s1", "other"),), (link("s1", "other", envelope=ROOT, closed=True),)):
        for verb, resource in (("read", "file"), ("pay", "payment")):
            with_parent = surroundings(
                tool="t", step=step(verb, resource), at=AFTER, taxonomy=TAXONOMY, lineage=made(*chain)
            )
            assert all(
                one >= none for one, none in zip(with_parent.values(), NOTHING_AROUND.values(), strict=True)
            )
