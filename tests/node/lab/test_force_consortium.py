"""A consortium lives through a few sessions by the rule as it is shipped."""

import pytest
from ioint_node.lab.force import IOINT, TIER, Outcome, Variant, live
from ioint_node.lab.force_figures import (
    ASKED,
    ASKED_BY_ANY,
    CHECKED,
    Reading,
    Table,
    reading,
    waits,
    warnings,
)
from ioint_node.lab.organisations import Meeting, Organisation, World
from ioint_node.lab.replay import MALICIOUS, ORDINARY, Call, Limits, Scored
from ioint_node.scoring.response import TIPPING_EFFECT
from ioint_protocol.pattern import Rate
from msgspec.structs import replace

PATTERNS = {"paid": (), "posted": (), "paid twice": ("paid",)}
NAMES = ("a", "b", "c", "d")
LIMITS = Limits(borderline=0.0, out_of_scope=2.0, publish=4.0)


def session(drift: float, *, kind: str = MALICIOUS, pattern: str = "paid") -> Scored:
    return Scored(
        id="s",
        suite="suite",
        task=f"{kind} {drift}",
        campaign="goal" if kind == MALICIOUS else "",
        kind=kind,
        first_bad=0 if kind == MALICIOUS else None,
        limits=LIMITS,
        calls=(Call(event=0, drift=drift, effect_class="value", completed=(pattern,)),),
    )


CLEAR, DEPARTED, DOUBTFUL = session(5.0), session(3.0), session(1.0)
ORDINARILY = session(1.0, kind=ORDINARY, pattern="posted")


def member(
    name: str, *, sessions: int = 5_000, matches: int = 0, hears: tuple[str, ...] = NAMES
) -> Organisation:
    return Organisation(
        name=name,
        suites=frozenset({"suite"}),
        sessions=sessions,
        matches={"paid": matches},
        base={pattern: Rate(matches=0, sessions=100) for pattern in PATTERNS},
        hears=frozenset({*hears, "liar"}),
    )


def outcomes(
    order: list[tuple[str, Scored]],
    *,
    variant: Variant = TIER,
    liars: tuple[str, ...] = (),
    slandered: tuple[str, ...] = tuple(PATTERNS),
    special: Organisation | None = None,
    days: list[float] | None = None,
) -> list[Outcome]:
    members = {name: member(name) for name in NAMES}
    if special is not None:
        members[special.name] = special
    world = World(
        members=members,
        liars=liars,
        slandered=slandered,
        meetings=tuple(
            Meeting(at=at, member=name, session=place, new=False)
            for at, place, name in sorted(
                (days[place] if days else float(place), place, name) for place, (name, _) in enumerate(order)
            )
        ),
        days=60,
    )
    return list(live(world, [one for _, one in order], PATTERNS, variant))


def test_one_report_warns_every_other_member_at_once() -> None:
    first, second = outcomes([("a", CLEAR), ("b", DOUBTFUL)])
    assert first.true.effect == 0
    assert second.true.effect == 0.05
    assert not second.true.asks
    assert second.true.any_asks
    assert second.reported


def test_what_a_member_reports_itself_does_not_warn_it() -> None:
    _, again = outcomes([("a", CLEAR), ("a", DOUBTFUL)])
    assert again.true.effect == 0
    assert again.seen


def test_who_is_not_heard_warns_nobody() -> None:
    deaf = member("b", hears=("b", "c"))
    assert outcomes([("a", CLEAR), ("b", DOUBTFUL)], special=deaf)[1].true.effect == 0


def test_a_warning_takes_no_effect_where_ordinary_work_completes_the_pattern() -> None:
    busy = member("b", matches=50)
    assert outcomes([("a", CLEAR), ("b", DOUBTFUL)], special=busy)[1].true.effect == 0


def test_what_only_liars_accuse_is_no_catch() -> None:
    (met,) = outcomes([("a", DOUBTFUL)], liars=("liar",), slandered=("paid",))
    assert met.true.effect == 0
    assert met.lies.effect == 0.05
    assert not met.reported


def test_disputes_of_one_liar_do_not_take_a_first_warning_away() -> None:
    assert (
        outcomes([("a", CLEAR), ("b", DOUBTFUL)], liars=("liar",), slandered=("posted",))[1].true.effect
        == 0.05
    )


def test_members_that_second_make_a_warning_firm() -> None:
    order = [("b", DEPARTED), ("c", DEPARTED), ("a", CLEAR), ("d", DOUBTFUL)]
    assert outcomes(order)[-1].true.effect < TIPPING_EFFECT
    assert outcomes(order, variant=Variant(seconding=True))[-1].true.effect >= TIPPING_EFFECT


def test_own_evidence_makes_a_warning_firm_here_alone() -> None:
    order = [("b", DEPARTED), ("a", CLEAR), ("c", CLEAR), ("b", DOUBTFUL), ("d", DOUBTFUL)]
    at_b, at_d = outcomes(order, variant=Variant(own_evidence=True))[-2:]
    assert at_b.true.effect >= TIPPING_EFFECT
    assert at_d.true.effect == 0.05


def test_a_consensus_that_passes_no_gate_is_precaution_where_it_costs() -> None:
    order = [
        ("a", CLEAR),
        ("a", CLEAR),
        ("b", CLEAR),
        ("b", CLEAR),
        ("c", CLEAR),
        ("c", CLEAR),
        ("d", DOUBTFUL),
    ]
    busy = member("d", matches=10)
    assert outcomes(order, special=busy)[-1].true.effect == 0.3
    gated = Variant(gated=True)
    assert outcomes(order, special=busy, variant=gated)[-1].true.effect == 0.05
    assert outcomes(order, variant=gated)[-1].true.effect == 0.3


def test_what_is_said_of_a_general_pattern_counts_for_its_special_case() -> None:
    twice, doubtful = session(5.0, pattern="paid twice"), session(1.0, pattern="paid twice")
    order = [
        ("a", CLEAR),
        ("a", CLEAR),
        ("b", CLEAR),
        ("b", CLEAR),
        ("b", twice),
        ("c", twice),
        ("d", doubtful),
    ]
    assert outcomes(order)[-1].true.effect == 0.05
    assert outcomes(order, variant=Variant(general=True))[-1].true.effect >= TIPPING_EFFECT


def test_chance_draws_as_many_patterns_as_are_in_force_from_those_that_are_cheap() -> None:
    assert outcomes([("a", CLEAR), ("b", DOUBTFUL)])[1].by_chance.met == pytest.approx(1 / 3)


def known(what: Reading) -> Reading:
    return replace(what, new_work=0.0)


SECONDED = [("b", DEPARTED), ("c", DEPARTED), ("a", CLEAR), ("d", DOUBTFUL), ("d", ORDINARILY)]


def test_a_warning_that_others_support_tips_what_is_in_doubt_and_costs_nothing_elsewhere() -> None:
    found = outcomes(SECONDED, variant=IOINT)
    asked = reading(Table([one for _, one in SECONDED], [found]), known(ASKED), draws=10)
    assert asked["alone"]["value"] == 0.75
    assert asked["network"]["value"] == 1.0
    assert asked["by_chance"]["value"] == pytest.approx(0.75 + 0.25 / 3, abs=1e-4)
    assert asked["every_cheap"]["value"] == 1.0
    assert asked["network_false"]["value"] == asked["alone_false"]["value"] == 0.0


def test_precaution_asks_for_closer_checking_and_nobody_for_a_word() -> None:
    order = [("a", CLEAR), ("b", DOUBTFUL), ("c", ORDINARILY)]
    table = Table([one for _, one in order], [outcomes(order)])
    assert reading(table, known(ASKED), draws=10)["more_than_shipped"]["value"] == 0.0
    assert reading(table, known(ASKED_BY_ANY), draws=10)["more_than_shipped"]["value"] == 0.5
    checked = reading(table, known(CHECKED), draws=10)
    assert checked["alone"]["value"] == checked["network"]["value"] == 1.0


def test_a_warning_tips_nothing_that_own_verdicts_find_in_order() -> None:
    order = [*SECONDED[:3], ("d", session(-1.0))]
    assert outcomes(order, variant=IOINT)[-1].true.effect >= TIPPING_EFFECT
    assert not outcomes(order, variant=IOINT)[-1].true.any_asks


def test_members_that_second_keep_fresh_what_they_reported() -> None:
    # Two sessions each make a full voice, the third says nothing new; a voice of four weeks is too weak for consensus.
    order = [(name, CLEAR) for name in ("a", "b", "c") for _ in range(3)] + [("d", DOUBTFUL)]
    days = [0.0, 0.0, 20.0, 0.0, 0.0, 20.0, 0.0, 0.0, 20.0, 29.0]
    assert outcomes(order, days=days)[-1].true.effect == 0.1
    assert outcomes(order, days=days, variant=Variant(seconding=True))[-1].true.effect == 0.3


def test_figures_are_of_hijacks_met_at_honest_members() -> None:
    order = [("a", CLEAR), ("b", DOUBTFUL), ("c", ORDINARILY)]
    found = warnings(Table([one for _, one in order], [outcomes(order)]), draws=10)
    assert found["warned"]["value"] == 0.5
    assert found["warned"]["low"] <= 0.5 <= found["warned"]["high"]
    assert found["not_stopped_warned"]["value"] == 1.0
    assert found["ordinary_known"]["value"] == 0.0


def test_a_member_waits_from_the_first_hijack_that_a_report_fits() -> None:
    order = [("a", CLEAR), ("b", DOUBTFUL), ("a", DOUBTFUL)]
    sessions = [one for _, one in order]
    assert waits(sessions, [outcomes(order)])["at_once"] == 1.0
    busy = member("b", matches=50)
    assert waits(sessions, [outcomes(order, special=busy)])["never"] == 1.0
    assert waits(sessions[:1], [outcomes(order[:1])]) == {"places": 0}
