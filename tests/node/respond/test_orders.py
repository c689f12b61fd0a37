from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ioint_node.cli import main
from ioint_node.cli import respond as command
from ioint_node.cli.client import Client
from ioint_node.flows import respond
from ioint_node.flows.respond import DO, RespondParts
from ioint_node.scoring.response import Choice
from ioint_node.scoring.values import Response, Verdict
from ioint_node.store import responses
from ioint_node.store.responses import REPORT_MS, Halted
from msgspec import structs

from tests.node.respond.conftest import AGENT, STRICT, Site, write_order
from tests.node.web.conftest import NOW

RESPOND = f"/api/v1/agents/{AGENT}/respond"
OUT = structs.replace(STRICT, lower=0.6, verdict=Verdict.OUT_OF_SCOPE, clear=True)
DECISION: dict[str, Any] = {
    "action_id": "c1",
    "decision_id": "d1",
    "verdict": "out_of_scope",
    "reasons": [{"code": "a", "weight": 1.0, "text": "it left the declared intent"}],
    "network": {"effect": 0.0},
}


async def send(site: Site, body: dict[str, object], role: str = "soc", actor: str = AGENT) -> tuple[int, Any]:
    answer = await site.node.post(f"/api/v1/agents/{actor}/respond", body, role)
    return answer.status, await answer.json(content_type=None)


async def stands(site: Site) -> dict[str, Any]:
    found = await site.node.json(f"/api/v1/agents/{AGENT}/responses")
    assert isinstance(found, dict)
    return found


async def test_repetition_halts_an_actor_by_degrees_and_in_every_session(site: Site) -> None:
    await site.node.open_session("s-2")
    asked = []
    for number in range(1, 5):
        decision, _ = await site.decide(f"c{number}", case=structs.replace(OUT, departures=number))
        asked.append(decision["response"])
        if number == 1:
            assert site.parts.halted.state_of(AGENT) == "active"

    assert asked == ["approve", "suspend", "relaunch", "kill"]
    quiet = structs.replace(STRICT, effect_class="observe", lower=0.95)
    for session in ("s-1", "s-2"):
        decision, choice = await site.decide("later", session=session, case=quiet)
        assert (decision["response"], decision["allowed"], choice.causes) == ("kill", False, ("state",))


async def test_each_order_is_a_row_and_an_event_with_the_same_id(site: Site) -> None:
    for number in range(1, 3):
        await site.decide(f"c{number}", case=structs.replace(OUT, departures=number))
    told = await site.rows()
    asked = (await stands(site))["responses"]

    assert [one["after"] for one in told] == ["approve", "suspend"]
    assert [one["response_id"] for one in told] == [one["id"] for one in reversed(asked)]
    assert [one["do"] for one in told] == [["wait"], ["suspend"]]
    assert {(one["mode"], one["allowed"], one["by"]) for one in told} == {("enforce", False, "node")}
    assert all(one["state"] == "asked" for one in asked)


async def test_who_is_halted_is_not_told_of_again_at_every_refusal(site: Site) -> None:
    await site.decide("c1", case=structs.replace(OUT, departures=3))
    before = len(await site.rows())
    for number in range(2, 6):
        await site.decide(f"c{number}", case=structs.replace(OUT, departures=1))

    assert len(await site.rows()) == before


async def test_the_approvals_of_every_day_are_no_orders(site: Site) -> None:
    await site.decide("c1")

    assert await site.rows() == []
    assert (await stands(site))["responses"] == []


async def test_observing_says_so_and_halts_nobody(site: Site) -> None:
    decision, _ = await site.decide("c1", case=structs.replace(OUT, departures=4, enforce=False))
    (told,) = await site.rows()
    found = await stands(site)

    assert (decision["response"], decision["allowed"]) == ("kill", True)
    assert (told["mode"], told["allowed"], told["do"]) == ("observe", True, [])
    assert (found["state"], found["responses"][0]["state"]) == ("active", "observed")
    assert (await send(site, {"response": told["response_id"], "done": True}, "engine"))[0] == 409
    assert (await site.node.json("/api/v1/status"))["responses"]["asked"] == 0


async def test_a_person_halts_and_releases_and_everybody_is_told(site: Site) -> None:
    for action, state in (("suspend", "suspended"), ("relaunch", "relaunch"), ("kill", "killed")):
        site.node.clock.now += 1
        status, told = await send(site, {"action": action, "reason": "stop it"})
        assert (status, told["state"]) == (201, state)
        assert (await site.decide(f"after-{action}"))[0]["allowed"] is False
    shown = await site.node.json(f"/api/v1/agents/{AGENT}")
    assert (shown["state"], shown["halted"]["reason"]) == ("killed", "stop it")
    assert shown["halted"]["by"].startswith("token:")
    assert shown["responses"][0]["response"] == "kill"
    status, told = await send(site, {"action": "release"})
    assert (status, told["before"], told["state"]) == (201, "killed", "active")
    assert (await site.decide("free", case=structs.replace(STRICT, lower=0.6)))[0]["allowed"]
    events = await site.rows()
    assert [one["after"] for one in events] == ["suspend", "relaunch", "kill", "release"]
    assert [one["do"] for one in events] == [list(DO[str(one["after"])]) for one in events]
    assert site.told


async def test_an_interruption_stops_what_is_running_and_nothing_more(site: Site) -> None:
    status, told = await send(site, {"action": "interrupt"})

    assert (status, told["state"]) == (201, "active")
    assert (await site.rows())[0]["do"] == ["interrupt"]
    assert (await site.decide("c1", case=structs.replace(STRICT, lower=0.6)))[0]["allowed"]


async def test_who_is_halted_stays_so_after_a_restart(site: Site) -> None:
    await send(site, {"action": "suspend"})
    parts = await site.restarted()

    assert parts.halted.state_of(AGENT) == "suspended"
    assert len(parts.halted) == 1


async def test_a_halt_is_not_loosened_without_a_release(site: Site) -> None:
    await send(site, {"action": "kill"})
    status, told = await send(site, {"action": "suspend"})
    assert (status, "release it first" in told["detail"]) == (409, True)
    await send(site, {"action": "release"})
    assert (await send(site, {"action": "release"}))[0] == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "kill", "response": "0" * 32}, "action"),
        ({"action": "destroy"}, "action"),
        ({"action": "kill", "why": "x"}, "why"),
        ({"action": "kill", "done": True}, "done"),
        ({"action": "kill", "detail": "x"}, "detail"),
        ({"action": "kill", "reason": "x" * 1_025}, "reason"),
    ],
)
async def test_an_order_that_is_none_is_refused_by_field(
    site: Site, body: dict[str, object], field: str
) -> None:
    status, told = await send(site, body)

    assert (status, told["field"]) == (400, field)
    assert (await stands(site))["state"] == "active"


async def test_nobody_is_halted_who_was_never_seen(site: Site) -> None:
    assert (await send(site, {"action": "kill"}, actor="nobody"))[0] == 404
    assert (await site.node.get("/api/v1/agents/nobody/responses")).status == 404
    assert await site.rows() == []


@pytest.mark.parametrize("role", ["agent", "other", "engine"])
async def test_neither_agents_nor_engines_order(site: Site, role: str) -> None:
    await send(site, {"action": "suspend"})

    assert (await send(site, {"action": "release"}, role))[0] == 403
    assert (await stands(site))["state"] == "suspended"


@pytest.mark.parametrize("role", ["agent", "other", "soc"])
async def test_only_an_orchestrator_reports(site: Site, role: str) -> None:
    _, order = await send(site, {"action": "relaunch"})

    assert (await send(site, {"response": order["response"], "done": True}, role))[0] == 403
    assert (await stands(site))["responses"][0]["state"] == "asked"


async def test_a_report_about_another_actor_changes_nothing(site: Site) -> None:
    await site.node.open_session("s-9", "a-2")
    _, order = await send(site, {"action": "relaunch"})
    body: dict[str, object] = {"response": order["response"], "done": True}

    assert (await send(site, body, "engine", actor="a-2"))[0] == 404
    assert (await send(site, {**body, "response": "0" * 32}, "engine"))[0] == 404
    assert (await stands(site))["state"] == "relaunch"


async def test_a_relaunch_that_was_done_lets_the_actor_go_on(site: Site) -> None:
    _, order = await send(site, {"action": "relaunch"})
    status, told = await send(site, {"response": order["response"], "done": True, "detail": "vm-7"}, "engine")

    assert (status, told["state"], told["report"]["detail"]) == (200, "done", "vm-7")
    assert (await stands(site))["state"] == "active"
    assert site.parts.halted.state_of(AGENT) == "active"
    assert (await site.rows())[-1]["after"] == "release"


@pytest.mark.parametrize("action", ["suspend", "kill"])
async def test_other_halts_end_by_a_person_alone(site: Site, action: str) -> None:
    _, order = await send(site, {"action": action})
    await send(site, {"response": order["response"], "done": True}, "engine")

    assert (await stands(site))["state"] != "active"


async def test_an_old_relaunch_does_not_undo_what_came_after_it(site: Site) -> None:
    _, old = await send(site, {"action": "relaunch"})
    site.node.clock.now += 1
    await send(site, {"action": "kill"})
    await send(site, {"response": old["response"], "done": True}, "engine")

    assert (await stands(site))["state"] == "killed"


async def test_a_failure_can_still_become_a_success_and_never_the_other_way(site: Site) -> None:
    _, order = await send(site, {"action": "suspend"})
    name: dict[str, object] = {"response": order["response"]}
    statuses = [
        (await send(site, {**name, "done": done}, "engine"))[0] for done in (False, False, True, True, False)
    ]

    assert statuses == [200, 200, 200, 200, 409]


async def test_what_nobody_reports_on_is_seen(site: Site) -> None:
    _, order = await send(site, {"action": "kill"})
    await site.decide("c1", case=structs.replace(OUT, departures=1))
    assert (await stands(site))["responses"][-1]["overdue"] is False
    site.node.clock.now += REPORT_MS + 1
    late = (await stands(site))["responses"]
    status = (await site.node.json("/api/v1/status"))["responses"]
    assert [one["overdue"] for one in late if one["response"] == "kill"] == [True]
    assert (status["asked"], status["overdue"], status["halted"]) == (1, 1, 1)
    await send(site, {"response": order["response"], "done": True}, "engine")
    assert (await site.node.json("/api/v1/status"))["responses"]["overdue"] == 0


@pytest.mark.parametrize(("state", "asks"), [("killed", True), ("relaunch", True), ("suspended", False)])
async def test_the_end_of_a_killed_session_asks_that_nothing_persists(
    site: Site, state: str, asks: bool
) -> None:
    order = respond.on_close(Halted({AGENT: state}), AGENT, "s-1", enforce=True, now=site.now)

    assert (order is not None) is asks
    if order is not None:
        await site.parts.store.write(lambda connection: write_order(connection, order, site.now))
        assert (await site.rows())[-1]["do"] == ["shred"]
        name = order.row["id"]
        status, told = await send(site, {"response": name, "done": True, "detail": "wiped"}, "engine")
        assert (status, told["response"], told["state"]) == (200, "shred", "done")


def test_an_active_actor_leaves_nothing_to_shred() -> None:
    assert respond.on_close(Halted(), AGENT, "s-1", enforce=True, now=NOW) is None


def test_a_milder_order_does_not_loosen_a_halt() -> None:
    halted = Halted({AGENT: "killed"})
    choice = Choice(response=Response.SUSPEND, allowed=False, causes=("verdict",), ring=True)
    order = respond.of_action(
        halted, AGENT, "s", DECISION, choice, before=Response.NONE, enforce=True, now=NOW
    )

    assert order is not None
    assert order.halt is None
    assert halted.state_of(AGENT) == "killed"


@pytest.mark.parametrize("response", [Response.REDUCE, Response.APPROVE])
def test_what_is_asked_of_the_engine_alone_halts_nobody(response: Response) -> None:
    halted = Halted()
    choice = Choice(response=response, allowed=False, causes=("verdict",), ring=True)
    order = respond.of_action(
        halted, AGENT, "s", DECISION, choice, before=Response.NONE, enforce=True, now=NOW
    )

    assert order is not None
    assert (order.halt, len(halted)) == (None, 0)


async def test_in_observe_mode_a_person_is_still_heard(site: Site) -> None:
    observing: RespondParts = replace(site.parts, mode="observe")
    made = await respond.respond(observing, AGENT, "kill", reason="", by="token:x", now=site.now)
    (told,) = await site.rows()

    assert made["state"] == "killed"
    assert (told["mode"], told["allowed"], told["do"]) == ("observe", True, ["kill", "shred"])
    assert (await stands(site))["responses"][0]["state"] == "asked"


async def test_old_orders_are_removed_but_none_that_waits(site: Site) -> None:
    _, order = await send(site, {"action": "suspend"})
    await send(site, {"action": "interrupt"})
    await send(site, {"response": order["response"], "done": True}, "engine")
    gone = await site.parts.store.write(lambda connection: responses.trim(connection, site.now + 1))

    assert gone == 1
    assert [one["response"] for one in (await stands(site))["responses"]] == ["interrupt"]


async def test_the_command_halts_an_actor(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio

    client = Client(url=site.node.url, token=site.node.keys["admin"])
    monkeypatch.setattr(command, "connect", lambda _home: client)
    words = ["agents", "respond", AGENT, "--action", "suspend", "--reason", "looks wrong"]
    assert await asyncio.to_thread(main, words) == 0
    assert "suspended" in capsys.readouterr().out
    assert await asyncio.to_thread(main, ["agents", "respond", "nobody", "--action", "kill"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("see `ioint agents show ACTOR`")
    assert await asyncio.to_thread(main, ["agents", "respond", AGENT, "--action", "shred"]) == 2
    assert (await stands(site))["halted"]["reason"] == "looks wrong"


async def test_a_later_order_takes_the_place_of_an_earlier_one(site: Site) -> None:
    for action in ("suspend", "kill", "release", "interrupt"):
        assert (await send(site, {"action": action}))[0] == 201
        site.node.clock.now += 1
    site.node.clock.now += REPORT_MS + 1
    asked = {one["response"]: one for one in (await stands(site))["responses"]}
    counted = (await site.node.json("/api/v1/status"))["responses"]

    assert {name: one["state"] for name, one in asked.items()} == {
        "suspend": "superseded",
        "kill": "superseded",
        "release": "asked",
        "interrupt": "asked",
    }
    assert {name for name, one in asked.items() if one["overdue"]} == {"release", "interrupt"}
    assert (counted["asked"], counted["overdue"]) == (2, 2)


async def test_an_order_that_was_superseded_may_still_be_reported(site: Site) -> None:
    first = (await send(site, {"action": "suspend"}))[1]["response"]
    await send(site, {"action": "kill"})
    status, told = await send(site, {"response": first, "done": True}, "engine")

    assert (status, told["state"]) == (200, "done")
    assert (await stands(site))["state"] == "killed"


async def test_an_order_about_one_actor_leaves_those_about_others(site: Site) -> None:
    await site.node.open_session("s-2", "a-2")
    await send(site, {"action": "suspend"}, actor="a-2")
    await send(site, {"action": "kill"})
    (order,) = (await site.node.json("/api/v1/agents/a-2/responses"))["responses"]

    assert order["state"] == "asked"


async def test_what_a_person_orders_is_in_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ioint_node.flows.respond")
    await send(site, {"action": "suspend", "reason": "it is odd"})
    (line,) = [one.getMessage() for one in caplog.records if one.name == "ioint_node.flows.respond"]

    assert line.startswith(
        f"actor_order actor={AGENT!r} action=suspend before=active state=suspended by=token:"
    )
