from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.flows import holding
from ioint_node.flows.requests import ActionRequest
from ioint_node.scoring.response import choose_response
from ioint_node.scoring.values import Verdict
from ioint_node.store import held
from ioint_node.store.held import HELD_MS, Hold, Holds
from msgspec import structs

from tests.node.respond.conftest import AGENT, STRICT, Site
from tests.node.web.conftest import NOW

APPROVALS = "/api/v1/approvals"


def hold(
    number: int = 1, *, session: str = "s", actor: str = "a", state: str = "waiting", expires: int = NOW + 1
) -> Hold:
    return Hold(
        id=f"h{number}", session_id=session, actor=actor, content=f"c{number}", state=state, expires=expires
    )


def test_what_is_held_is_found_until_it_runs_out() -> None:
    holds = Holds()
    holds.put(hold())

    assert holds.find("s", "c1", NOW) == hold()
    assert holds.find("s", "c2", NOW) is None
    assert holds.find("s", "c1", NOW + 1) is None
    assert (len(holds), holds.any_of("s")) == (0, False)


@pytest.mark.parametrize(("most", "per_actor", "per_session"), [(3, 9, 9), (9, 3, 9), (9, 9, 3)])
def test_no_more_is_held_than_the_bound_and_what_ran_out_makes_room(
    most: int, per_actor: int, per_session: int
) -> None:
    holds = Holds(most=most, per_actor=per_actor, per_session=per_session)
    for number in range(3):
        holds.put(hold(number, expires=NOW + 1))

    assert not holds.has_room("s", "a", NOW)
    assert holds.has_room("s", "a", NOW + 1)
    assert len(holds) == 0


def test_one_actor_in_many_sessions_leaves_room_for_the_others() -> None:
    holds = Holds()
    number = 0
    while holds.has_room(session := f"s{number % 50}", "a", NOW):
        holds.put(hold(number, session=session))
        number += 1

    assert len(holds) == held.PER_ACTOR
    assert holds.has_room("other", "b", NOW)
    holds.drop(hold(0, session="s0"))
    assert holds.has_room("s0", "a", NOW)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=40),
)
def test_sessions_are_counted_as_they_are_held(moves: list[tuple[str, int, bool]]) -> None:
    holds, kept = Holds(), set[tuple[str, int]]()
    for session, number, put in moves:
        one = hold(number, session=session)
        (holds.put if put else holds.drop)(one)
        (kept.add if put else kept.discard)((session, number))

    assert len(holds) == len(kept)
    assert [holds.any_of(name) for name in "abc"] == [any(s == name for s, _ in kept) for name in "abc"]


def test_an_approval_is_for_the_same_tool_server_and_arguments_in_whatever_order() -> None:
    one = ActionRequest(action_id="x", tool="t", server="m", arguments={"a": 1, "b": [2]})

    def content(**changed: Any) -> str:
        return holding.content_of(replace(one, **changed))

    assert content(action_id="y", arguments={"b": [2], "a": 1}) == content()
    for changed in ({"tool": "u"}, {"server": None}, {"server": "n"}, {"arguments": {"a": 1, "b": [3]}}):
        assert content(**changed) != content()


@pytest.mark.parametrize(
    ("verdict", "causes", "advice"),
    [
        ("in_scope", ("level",), "approve"),
        ("in_scope", ("budget", "level"), "approve"),
        ("in_scope", ("observed",), "ask"),
        ("borderline", ("level",), "ask"),
        ("out_of_scope", ("verdict",), "refuse"),
    ],
)
def test_the_recommendation_says_what_to_do_and_why(
    verdict: str, causes: tuple[str, ...], advice: str
) -> None:
    reasons = [
        {"code": "a", "weight": 0.2, "text": "a small thing"},
        {"code": "b", "weight": 1.5, "text": "the amount came from a tool's output"},
        {"code": "c", "weight": -2.0, "text": "it speaks for it"},
    ]
    decision = {"verdict": verdict, "reasons": reasons, "trust": {"lower": 0.41, "friction": "strict"}}
    told = holding.recommend(decision, causes)

    assert told["advice"] == advice
    assert ("trust 0.41 is strict" if advice == "approve" and "level" in causes else "tool's output") in (
        told["why"]
    )


async def test_an_approved_action_goes_on_once(site: Site) -> None:
    first, _ = await site.decide("c1")
    assert (first["allowed"], first["response"], first["approval"]["state"]) == (False, "approve", "waiting")

    answer = await site.node.post(f"{APPROVALS}/{first['approval']['id']}", {"approve": True}, "admin")
    assert answer.status == 200, await answer.text()
    assert (await answer.json())["state"] == "approved"

    second, _ = await site.decide("c2")
    third, _ = await site.decide("c3")
    assert (second["allowed"], second["approval"]["state"]) == (True, "used")
    assert (third["allowed"], third["approval"]["state"]) == (False, "waiting")
    assert third["approval"]["id"] != first["approval"]["id"]


async def test_an_approval_is_for_this_action_in_this_session_alone(site: Site) -> None:
    await site.node.open_session("s-2")
    held_first, _ = await site.decide("c1")
    await site.node.post(f"{APPROVALS}/{held_first['approval']['id']}", {"approve": True}, "admin")

    assert not (await site.decide("c1", session="s-2"))[0]["allowed"]
    assert not (await site.decide("c2", tool="crm.close_case"))[0]["allowed"]
    assert (await site.decide("c3"))[0]["allowed"]


async def test_an_action_that_waits_is_held_once_however_often_it_is_posted(site: Site) -> None:
    ids = {(await site.decide(f"c{number}"))[0]["approval"]["id"] for number in range(3)}

    assert len(ids) == 1
    assert len((await site.node.json(f"{APPROVALS}?kind=action"))["items"]) == 1


async def test_a_refused_action_stays_refused_for_its_hour_and_can_be_asked_for_again_after(
    site: Site,
) -> None:
    first, _ = await site.decide("c1")
    await site.node.post(f"{APPROVALS}/{first['approval']['id']}", {"approve": False}, "admin")
    again, _ = await site.decide("c2")
    site.node.clock.now += HELD_MS
    later, _ = await site.decide("c3")

    assert (again["allowed"], again["approval"]["state"]) == (False, "refused")
    assert (later["approval"]["state"], later["approval"]["id"]) == ("waiting", later["decision_id"])


async def test_an_approval_that_ran_out_is_worth_nothing(site: Site) -> None:
    first, _ = await site.decide("c1")
    await site.node.post(f"{APPROVALS}/{first['approval']['id']}", {"approve": True}, "admin")
    site.node.clock.now += HELD_MS

    assert not (await site.decide("c2"))[0]["allowed"]


async def test_who_decides_after_the_time_is_told_so(site: Site) -> None:
    first, _ = await site.decide("c1")
    site.node.clock.now += HELD_MS
    answer = await site.node.post(f"{APPROVALS}/{first['approval']['id']}", {"approve": True}, "admin")

    assert answer.status == 409
    assert "expired" in (await answer.json())["detail"]
    assert (await site.node.json(APPROVALS))["items"] == []


async def test_an_approved_departure_is_allowed_and_a_person_has_answered_for_it(site: Site) -> None:
    case = structs.replace(STRICT, verdict=Verdict.OUT_OF_SCOPE, clear=True, departures=1)
    first, choice = await site.decide("c1", case=case)
    assert choice.held
    shown = (await site.node.json(APPROVALS))["items"][0]
    assert shown["recommendation"]["advice"] == "refuse"
    await site.node.post(f"{APPROVALS}/{first['approval']['id']}", {"approve": True}, "admin")

    assert (await site.decide("c2", case=structs.replace(case, departures=2)))[0]["allowed"]


async def test_an_approval_does_not_carry_over_a_suspension(site: Site) -> None:
    first, _ = await site.decide("c1")
    await site.node.post(f"{APPROVALS}/{first['approval']['id']}", {"approve": True}, "admin")
    await site.node.post("/api/v1/agents/a-1/respond", {"action": "suspend"}, "soc")
    refused, _ = await site.decide("c2")
    await site.node.post("/api/v1/agents/a-1/respond", {"action": "release"}, "soc")

    assert (refused["allowed"], refused["response"], refused["approval"]) == (False, "suspend", None)
    assert (await site.decide("c3"))[0]["allowed"]


async def test_what_is_held_and_approved_is_known_after_a_restart(site: Site) -> None:
    first, _ = await site.decide("c1")
    await site.decide("c2", tool="crm.close_case")
    await site.node.post(f"{APPROVALS}/{first['approval']['id']}", {"approve": True}, "admin")
    parts = await site.restarted()
    site.parts = parts

    assert len(parts.holds) == 2
    assert (await site.decide("c3"))[0]["allowed"]
    assert len((await site.restarted()).holds) == 1


async def test_only_so_much_of_one_session_is_held(site: Site) -> None:
    for number in range(held.PER_SESSION):
        await site.decide(f"c{number}", tool=f"crm.update_{number}")
    decision, choice = await site.decide("more", tool="crm.update_more")

    assert (choice.allowed, decision["approval"]) == (
        False,
        {"id": None, "state": "full", "expires_at": None},
    )


async def test_the_arguments_are_kept_until_it_is_decided(site: Site) -> None:
    first, _ = await site.decide("c1")
    (shown,) = (await site.node.json(APPROVALS))["items"]
    answer = await site.node.post(f"{APPROVALS}/{first['approval']['id']}", {"approve": False}, "admin")
    await site.decide("c2", tool="crm.close_case")
    site.node.clock.now += HELD_MS
    ended = await holding.expire(site.parts, site.now)
    async with site.parts.store.read() as connection:
        rows = [await held.get(connection, one["approval"]["id"]) for one in (first,)]

    assert shown["arguments"] == '{"case":7,"note":"ring back"}'
    assert (shown["kind"], shown["tool"], shown["state"]) == ("action", "crm.update_case", "waiting")
    assert "ring back" not in await answer.text()
    assert ended == 1
    assert all("arguments" not in row.body for row in rows if row is not None)
    assert len(site.parts.holds) == 0


def shown_to_who_decides(arguments: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The arguments that whoever decides sees, and the advice."""
    request = ActionRequest(action_id="c", tool="t", arguments=arguments)
    decision = {"verdict": "in_scope", "reasons": [], "trust": {"lower": 0.4, "friction": "strict"}}
    row = holding.row_of(hold(), actor="a", request=request, decision=decision, causes=("level",), now=NOW)
    body = json.loads(row["body"])
    return json.loads(body["arguments"]), body["recommendation"]["advice"]


def test_long_arguments_are_cut_and_hide_no_other() -> None:
    arguments = {
        "body": "x" * 40_000,
        "more": [{"note": "y" * 513}],
        "to": "attacker@example.org",
        "amount": 9,
    }
    shown, advice = shown_to_who_decides(arguments)

    assert shown == {
        "body": f"{'x' * 512}… (40000 characters)",
        "more": [{"note": f"{'y' * 512}… (513 characters)"}],
        "to": "attacker@example.org",
        "amount": 9,
    }
    assert advice == "ask"


def test_what_is_shown_whole_may_be_advised_to_approve() -> None:
    arguments = {f"name {number}": "x" * 512 for number in range(100)}

    assert shown_to_who_decides(arguments) == (arguments, "approve")


def test_an_action_that_is_not_held_costs_one_look_up() -> None:
    request = ActionRequest(action_id="c", tool="t", arguments={"unencodable": object()})
    holds = Holds()
    choice = choose_response(structs.replace(STRICT, lower=0.95))
    nothing = holding.settle(
        holds, None, choice, decision_id="d", session_id="s", actor="a", request=request, now=NOW
    )

    assert holding.standing(holds, "s", request, NOW) is None
    assert nothing == holding.NOTHING_HELD


def test_what_a_detector_outside_says_is_no_departure_from_the_intent() -> None:
    reasons = [
        {"code": "scope", "weight": 0.2, "text": "a small thing"},
        {"code": "observed", "weight": 2.5, "text": "is reported by a detector outside"},
    ]
    decision = {"verdict": "out_of_scope", "reasons": reasons, "trust": {"lower": 0.41, "friction": "strict"}}
    told = holding.recommend(decision, ("verdict",))

    assert told["advice"] == "ask"
    assert "detector outside" in told["why"]
    assert "left the declared intent" not in told["why"]


def test_a_session_that_ends_takes_what_is_held_in_it_with_it() -> None:
    holds = Holds()
    for one in (hold(1, session="a"), hold(2, session="a"), hold(3, session="b")):
        holds.put(one)
    holds.end_session("a")
    holds.end_session("nobody")

    assert (holds.any_of("a"), holds.any_of("b"), len(holds)) == (False, True, 1)


async def test_what_is_held_ends_with_its_session_and_is_no_answer_any_more(site: Site) -> None:
    first, _ = await site.decide("c1")
    closed = await site.node.post("/api/v1/sessions/s-1/close", {"outcome": "done"})
    before = (await site.node.json(f"/api/v1/agents/{AGENT}"))["trust"]["lower"]
    assert closed.status == 200
    assert (await site.node.json(APPROVALS))["items"] == []

    answer = await site.node.post(f"{APPROVALS}/{first['approval']['id']}", {"approve": False}, "admin")
    assert answer.status == 409
    assert "its session is closed" in (await answer.json(content_type=None))["detail"]
    assert (await site.node.json(f"/api/v1/agents/{AGENT}"))["trust"]["lower"] == before
    async with site.parts.store.read() as connection:
        kept = await held.get(connection, first["approval"]["id"])
    assert kept is not None
    assert (kept.state, "arguments" in kept.body) == ("ended", False)
