from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from ioint_node.cli import approvals, main
from ioint_node.flows import gap
from ioint_node.flows.gap import LoopParts, Wanted
from ioint_node.scoring.values import Verdict
from ioint_node.store import outgoing
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.schema import decisions
from ioint_node.store.times import to_text
from msgspec.structs import replace
from sqlalchemy import update

from tests.node.respond.conftest import AGENT, STRICT, Site

APPROVALS = "/api/v1/approvals"


async def decide(site: Site, name: str, body: dict[str, object], role: str = "admin") -> tuple[int, Any]:
    answer = await site.node.post(f"{APPROVALS}/{name}", body, role)
    return answer.status, await answer.json(content_type=None)


async def waits(site: Site, query: str = "") -> list[dict[str, Any]]:
    found = await site.node.json(f"{APPROVALS}{query}")
    assert isinstance(found["items"], list)
    return found["items"]


async def add_record(site: Site, number: int = 0) -> str:
    record = Outgoing(
        id=f"{number:064x}",
        kind="report",
        subject=site.node.patterns(1)[0],
        body=b'{"v":1}',
        explain=[],
        state="held",
        reason="held for you",
        tlp="green",
        not_before=to_text(site.now),
        at=to_text(site.now),
    )
    await site.parts.store.write(lambda connection: outgoing.add(connection, record))
    return record.id


async def add_proposal(site: Site, verbs: tuple[str, ...] = ("delete",)) -> str:
    assess = site.node.parts.assess
    loop = LoopParts(store=assess.store, model=assess.model, shipped=assess.model, taxonomy=assess.taxonomy)
    families = assess.taxonomy.families
    family = min(name for name, one in families.items() if not one.envelope.verbs & {"delete", "pay"})
    made = await gap.propose(loop, Wanted(family=family, verbs=verbs), "token:x", site.now)
    return str(made["id"])


async def test_all_three_kinds_are_listed_page_by_page(site: Site) -> None:
    held = [(await site.decide(f"c{n}", tool=f"crm.update_{n}"))[0]["approval"]["id"] for n in range(3)]
    proposed = [await add_proposal(site), await add_proposal(site, ("pay",))]
    records = [await add_record(site, n) for n in range(2)]
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(9):
        page = await site.node.json(f"{APPROVALS}?limit=2{cursor}")
        assert len(page["items"]) <= 2
        found += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert [one["kind"] for one in found] == ["action"] * 3 + ["envelope"] * 2 + ["record"] * 2
    assert {one["id"] for one in found} == {*held, *proposed, *records}
    assert len(found) == 7
    assert found[-1]["record_kind"] == "report"
    for kind, count in (("action", 3), ("envelope", 2), ("record", 2)):
        assert len(await waits(site, f"?kind={kind}")) == count


@pytest.mark.parametrize("query", ["?kind=secret", "?cursor=bm9uZQo", "?cursor=eA", "?nothing=1"])
async def test_a_list_that_cannot_be_asked_for_is_refused(site: Site, query: str) -> None:
    assert (await site.node.get(f"{APPROVALS}{query}")).status == 400


async def test_each_kind_is_decided_at_the_same_door(site: Site) -> None:
    first, _ = await site.decide("c1")
    proposal, record = await add_proposal(site), await add_record(site)

    status, action = await decide(site, first["approval"]["id"], {"approve": False})
    assert (status, action["kind"], action["state"]) == (200, "action", "refused")
    status, change = await decide(site, proposal, {"approve": True})
    assert (status, change["kind"], change["state"]) == (200, "envelope", "accepted")
    status, told = await decide(site, record, {"approve": False})
    assert (status, told["kind"], told["record_kind"], told["state"]) == (200, "record", "report", "refused")
    assert await waits(site) == []


@pytest.mark.parametrize("name", ["ab", "0" * 32, "f" * 64, "g" * 32, "..%2f" * 4])
async def test_what_does_not_wait_cannot_be_decided(site: Site, name: str) -> None:
    assert (await decide(site, name, {"approve": True}))[0] == 404


@pytest.mark.parametrize("role", ["agent", "other", "engine", "soc"])
async def test_only_an_administrator_decides_and_never_the_actor_itself(site: Site, role: str) -> None:
    first, _ = await site.decide("c1")

    assert (await decide(site, first["approval"]["id"], {"approve": True}, role))[0] == 403
    assert not (await site.decide("c2"))[0]["allowed"]


@pytest.mark.parametrize("role", ["agent", "engine"])
async def test_who_acts_does_not_see_what_others_ask_for(site: Site, role: str) -> None:
    assert (await site.node.get(APPROVALS, role)).status == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"approve": "yes"},
        {"approve": True, "by": "me"},
        {"approve": True, "workflow_gap": 1},
        {"approve": None},
    ],
)
async def test_a_decision_that_is_none_is_refused(site: Site, body: dict[str, object]) -> None:
    first, _ = await site.decide("c1")

    assert (await decide(site, first["approval"]["id"], body))[0] == 400
    assert len(await waits(site)) == 1


@pytest.mark.parametrize(("approve", "kind"), [(True, "approve"), (False, "reject")])
async def test_a_decision_counts_once_for_or_against_the_actor(site: Site, approve: bool, kind: str) -> None:
    first, _ = await site.decide("c1")
    before = (await site.node.json(f"/api/v1/agents/{AGENT}"))["trust"]["layers"]
    name = first["approval"]["id"]
    _, told = await decide(site, name, {"approve": approve})
    _, again = await decide(site, name, {"approve": approve})
    status, other = await decide(site, name, {"approve": not approve})
    after = await site.node.post(
        "/api/v1/sessions/s-1/feedback", {"kind": kind, "positive": approve, "action_id": "c1"}
    )
    said = await after.json()

    assert (told["counted"], again["counted"], said["counted"]) == (True, False, False)
    assert (again["state"], again["decided_at"]) == (told["state"], told["decided_at"])
    assert status == 409
    assert told["state"] in other["detail"]
    assert (said["trust"]["layers"] != before) is True


async def test_of_two_who_decide_at_once_one_is_heard(site: Site) -> None:
    first, _ = await site.decide("c1")
    name = first["approval"]["id"]
    answers = await asyncio.gather(*(decide(site, name, {"approve": approve}) for approve in (True, False)))

    assert sorted(status for status, _ in answers) == [200, 409]


async def test_a_used_approval_cannot_be_taken_back(site: Site) -> None:
    first, _ = await site.decide("c1")
    name = first["approval"]["id"]
    await decide(site, name, {"approve": True})
    await site.decide("c2")

    assert (await decide(site, name, {"approve": False}))[0] == 409
    assert (await decide(site, name, {"approve": True}))[1]["state"] == "used"
    assert not (await site.decide("c3"))[0]["allowed"]


async def test_a_workflow_gap_becomes_a_proposal(site: Site) -> None:
    first, _ = await site.decide("c1", case=replace(STRICT, verdict=Verdict.OUT_OF_SCOPE))
    step = {**first["step"], "verb": "delete", "resource": "record"}
    row = json.dumps({**first, "step": step})
    await site.parts.store.write(
        lambda connection: connection.execute(
            update(decisions).where(decisions.c.id == first["decision_id"]).values(body=row)
        )
    )
    status, told = await decide(site, first["approval"]["id"], {"approve": True, "workflow_gap": True})
    (proposal,) = await waits(site, "?kind=envelope")

    assert (status, told["state"], told["proposal"]) == (200, "approved", proposal["id"])
    assert proposal["actor"] == AGENT


async def test_only_a_held_action_can_be_a_workflow_gap(site: Site) -> None:
    record, proposal = await add_record(site), await add_proposal(site)
    for name in (record, proposal):
        assert (await decide(site, name, {"approve": True, "workflow_gap": True}))[0] == 400
    assert len(await waits(site)) == 2


async def test_in_scope_work_is_no_gap_and_stays_held(site: Site) -> None:
    first, _ = await site.decide("c1")

    assert (await decide(site, first["approval"]["id"], {"approve": True, "workflow_gap": True}))[0] == 400
    assert len(await waits(site, "?kind=action")) == 1


async def test_the_command_shows_and_decides_all_three(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = await site.decide("c1")
    proposal, record = await add_proposal(site), await add_record(site)

    def run(*words: str) -> tuple[int, str]:
        code = main(list(words))
        return code, capsys.readouterr().out

    from ioint_node.cli.client import Client

    monkeypatch.setattr(
        approvals, "connect", lambda _home: Client(url=site.node.url, token=site.node.keys["admin"])
    )
    code, listed = await asyncio.to_thread(run, "approvals", "list")
    assert code == 0
    for name in (first["approval"]["id"][:20], proposal[:12], record[:12]):
        assert name in listed
    assert (await asyncio.to_thread(run, "approvals", "show", proposal))[0] == 0
    code, shown = await asyncio.to_thread(run, "approvals", "show", first["approval"]["id"])
    assert (code, "ring back" in shown, "recommendation" in shown) == (0, True, True)
    code, told = await asyncio.to_thread(run, "approvals", "decide", first["approval"]["id"], "--approve")
    assert (code, "approved" in told) == (0, True)
    code, _ = await asyncio.to_thread(run, "approvals", "decide", record[:12], "--refuse")
    assert code == 0
    code, told = await asyncio.to_thread(run, "approvals", "decide", proposal, "--approve")
    assert (code, "accepted" in told) == (0, True)
    assert await waits(site) == []


async def test_a_gap_in_the_work_that_is_refused_is_a_contradiction(site: Site) -> None:
    first, _ = await site.decide("c1")
    body: dict[str, object] = {"approve": False, "workflow_gap": True}
    status, problem = await decide(site, first["approval"]["id"], body)

    assert (status, problem["field"]) == (400, "workflow_gap")
    assert "approve is false" in problem["detail"]
    assert len(await waits(site, "?kind=action")) == 1
    assert main(["approvals", "decide", "abcdabcd", "--refuse", "--workflow-gap"]) == 2
