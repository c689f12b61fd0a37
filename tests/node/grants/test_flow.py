"""A grant from its issue to its end, on a real database: spends, lost answers, replays, suspension, other tasks."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest
from ioint_node.access.budget import BEGINS_LEAST, IN_SCOPE_COUNTS
from ioint_node.access.grants import LIVE_PER_SESSION
from ioint_node.access.passes import SKEW_MS, Fault, PassError
from ioint_node.errors import ConflictError, NotFoundError, RequestError, TooLargeError
from ioint_node.flows import grants
from ioint_node.flows.assess import close, declare
from ioint_node.flows.grant_parts import GrantParts, GrantRequest
from ioint_node.reputation.beliefs import Belief
from ioint_node.scoring.levels import terms_of
from ioint_node.scoring.trust import lower_bound
from ioint_node.scoring.values import Declaration
from ioint_node.store import grants as stored
from ioint_node.store.engine import Store
from ioint_node.store.schema import actor_states
from ioint_node.store.times import DAY_MS, to_text
from sqlalchemy import delete, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.grants.agent import FAMILY, NOW, READ, SEND, Agent, Level
from tests.node.grants.conftest import make_parts


async def refused(work: Awaitable[object]) -> PassError:
    with pytest.raises(PassError) as caught:
        await work
    return caught.value


async def fault_of(work: Awaitable[object]) -> Fault:
    return (await refused(work)).fault


async def rows(store: Store, sql: str) -> list[dict[str, Any]]:
    async with store.read() as connection:
        return [dict(row) for row in (await connection.execute(text(sql))).mappings()]


async def halt(store: Store, actor: str = "a1", state: str = "suspended") -> None:
    row = {
        "actor": actor,
        "state": state,
        "reason": "r",
        "by": "node",
        "session_id": None,
        "at": to_text(NOW),
    }

    async def write(connection: AsyncConnection) -> None:
        await connection.execute(insert(actor_states).values(row))

    await store.write(write)


async def release(store: Store) -> None:
    async def write(connection: AsyncConnection) -> None:
        await connection.execute(delete(actor_states))

    await store.write(write)


async def test_a_grant_is_issued_spent_and_checked(agent: Agent) -> None:
    issued = await agent.ask(verbs=("read",), units=10.0)
    assert (issued["grant"]["generation"], issued["grant"]["left"], issued["cost"]) == (1, 10.0, 0.0)
    spent = await agent.use()
    assert (spent["grant"]["generation"], spent["grant"]["left"], spent["cost"]) == (2, 8.8, 1.2)
    checked = await agent.check(access=READ)
    assert checked["active"]
    assert checked["ioint"]["intent"] == FAMILY
    assert checked["ioint"]["paid"] == READ.to_json()
    assert checked["ioint"]["units_left"] == 8.8


async def test_what_grants_draw_counts_for_the_next_session_of_the_actor(agent: Agent) -> None:
    await agent.ask(verbs=("read",), units=10.0)
    live = agent.parts.assess.live.get("s1")
    assert live is not None
    await agent.use()
    assert live.actor.spent_lately(NOW) == pytest.approx(IN_SCOPE_COUNTS * 1.2)
    live.actor.charge(1e6, NOW)
    before = live.budget
    await agent.ask(verbs=("read",), units=1.0)
    assert live.budget.granted == pytest.approx(BEGINS_LEAST * before.granted)


async def test_only_the_newest_pass_is_active(agent: Agent) -> None:
    await agent.ask()
    await agent.use()
    first, second = agent.passes
    assert (await agent.check(first)) | {"detail": ""} == {
        "active": False,
        "reason": "superseded",
        "detail": "",
    }
    assert (await agent.check(second))["active"]


async def test_checking_spends_nothing(agent: Agent) -> None:
    await agent.ask()
    for _ in range(3):
        assert (await agent.check())["active"]
    assert (await agent.use())["grant"]["generation"] == 2


async def test_a_lost_answer_is_given_again_to_the_same_request(agent: Agent) -> None:
    await agent.ask()
    held = agent.newest
    first = await agent.spend()
    again = await agent.spend(held=held, now=NOW + SKEW_MS)
    assert again == first
    agent.take(first)
    assert (await agent.use())["grant"]["generation"] == 3


async def test_a_pass_that_is_used_again_for_something_else_revokes_the_grant(
    agent: Agent, store: Store, told: list[Any]
) -> None:
    await agent.ask()
    held = agent.newest
    await agent.use()
    before = len(told)
    error = await refused(agent.spend(SEND, held=held))
    assert error.fault is Fault.PASS_REPLAYED
    assert "generation 1, the newest is 2" in str(error)
    assert await fault_of(agent.spend()) is Fault.GRANT_REVOKED
    assert (await agent.check())["reason"] == "grant_revoked"
    assert len(told) > before
    assert agent.parts.counts["replayed"] == 1
    (event,) = [row for row in await rows(store, "select * from stream") if row["event"] == "response"]
    body = json.loads(event["body"])
    assert (body["actor"], body["after"], body["state"]) == ("a1", "reduce", "grant_revoked")
    assert body["grant"] == agent.grant["id"]
    assert body["reason"].startswith("a pass was used again")


async def test_a_replay_counts_against_the_actor(agent: Agent, store: Store) -> None:
    await agent.ask()
    held = agent.newest
    await agent.use()
    live = agent.parts.assess.live.get("s1")
    assert live is not None
    before = lower_bound(live.actor.trust, NOW)
    await refused(agent.spend(SEND, held=held))
    assert lower_bound(live.actor.trust, NOW) < before
    (row,) = await rows(store, "select kind, actor, session_id, source from observations")
    assert row == {
        "kind": "credential_compromise",
        "actor": "a1",
        "session_id": "s1",
        "source": "ioint.grants",
    }


async def test_the_same_request_after_a_minute_is_a_replay(agent: Agent) -> None:
    await agent.ask()
    held = agent.newest
    await agent.use()
    late = NOW + SKEW_MS + 1
    assert await fault_of(agent.spend(held=held, now=late)) is Fault.PASS_REPLAYED


async def test_an_old_pass_revokes_also_when_it_has_run_out_and_from_far_behind(agent: Agent) -> None:
    await agent.ask()
    first = agent.newest
    for _ in range(3):
        await agent.use()
    late = NOW + terms_of(0.95).pass_s * 1_000
    assert await fault_of(agent.spend(SEND, held=first, now=late)) is Fault.PASS_REPLAYED


async def test_who_has_not_the_key_cannot_revoke_by_replaying(agent: Agent) -> None:
    await agent.ask()
    held = agent.newest
    proof = agent.proof(held, READ)
    await agent.use()
    # A captured proof, sent for something else and sent late.
    assert await fault_of(agent.spend(SEND, held=held, proof=proof)) is Fault.PROOF_REQUEST
    assert await fault_of(agent.spend(held=held, proof=proof, now=NOW + SKEW_MS + 1_000)) is Fault.PROOF_TIME
    assert (await agent.use())["grant"]["state"] == "live"


async def test_a_pass_that_ran_out_is_exchanged_for_a_fresh_one_only(agent: Agent) -> None:
    await agent.ask()
    late = NOW + terms_of(0.95).pass_s * 1_000
    assert await fault_of(agent.spend(now=late)) is Fault.PASS_EXPIRED
    assert (await agent.check(now=late))["reason"] == "pass_expired"
    fresh = await agent.use(0, now=late)
    assert (fresh["cost"], fresh["grant"]["left"]) == (0.0, fresh["grant"]["units"])
    assert (await agent.use(now=late))["cost"] == 1.2


async def test_a_proof_is_used_once(agent: Agent) -> None:
    await agent.ask()
    await agent.spend(proof=agent.proof(agent.newest, READ, jti="once"))
    agent.take(await agent.spend())
    reused = agent.proof(agent.newest, READ, jti="once")
    assert await fault_of(agent.spend(proof=reused)) is Fault.PROOF_REUSED
    assert (await agent.use())["grant"]["generation"] == 3


async def test_a_grant_ends_with_its_session(agent: Agent) -> None:
    await agent.ask()
    await close(agent.parts.assess, "s1", "done", NOW)
    assert (await agent.check())["reason"] == "session_closed"
    assert await fault_of(agent.spend()) is Fault.SESSION_CLOSED
    assert await fault_of(agent.ask()) is Fault.SESSION_CLOSED


@pytest.mark.parametrize("state", ["suspended", "relaunch", "killed"])
async def test_who_is_halted_spends_nothing_and_is_granted_nothing(
    agent: Agent, store: Store, state: str
) -> None:
    await agent.ask()
    await halt(store, state=state)
    assert await fault_of(agent.spend()) is Fault.SUSPENDED
    assert (await agent.check())["reason"] == "suspended"
    assert await fault_of(agent.ask()) is Fault.SUSPENDED


async def test_release_does_not_bring_a_grant_back(agent: Agent, store: Store) -> None:
    await agent.ask()
    await halt(store)
    assert await grants.sweep(agent.parts, NOW) == 1
    await release(store)
    error = await refused(agent.spend())
    assert error.fault is Fault.GRANT_REVOKED
    assert "halted" in str(error)


async def test_grants_of_a_halted_actor_and_of_a_session_can_be_ended_at_once(
    agent: Agent, store: Store
) -> None:
    await agent.ask(units=1.0)
    assert await store.write(lambda one: stored.end_of_session(one, "s1", "interrupted")) == 1
    assert await fault_of(agent.spend()) is Fault.GRANT_ENDED
    await agent.ask(units=1.0)
    assert await store.write(lambda one: stored.end_of_actor(one, "a1", "suspended by node")) == 1
    assert await fault_of(agent.spend()) is Fault.GRANT_REVOKED


async def test_authority_falls_off_when_the_session_declares_another_task(agent: Agent) -> None:
    await agent.ask()
    await declare(agent.parts.assess, "s1", Declaration(text="x", family="research"), NOW + 1)
    assert (await agent.check())["reason"] == "other_task"
    error = await refused(agent.spend())
    assert error.fault is Fault.OTHER_TASK
    assert "research" in str(error)
    await declare(agent.parts.assess, "s1", Declaration(text="x", family=FAMILY), NOW + 2)
    assert (await agent.check())["active"]


async def test_an_actor_that_is_due_declares_again_and_loses_no_unit(store: Store) -> None:
    parts = make_parts(store, Level(lower=0.6))
    agent = Agent(parts=parts)
    await agent.open()
    await agent.ask(verbs=("read",), units=10.0)
    for _ in range(12):
        await agent.use()
    left, interval_s = agent.grant["left"], agent.grant["interval_s"]
    assert interval_s < terms_of(0.6).revalidate_s
    due = NOW + interval_s * 1_000
    agent.take(await agent.spend(0, now=due - 1))
    error = await refused(agent.spend(0, now=due))
    assert error.fault is Fault.REVALIDATE
    assert "declare the session again" in str(error)
    await declare(parts.assess, "s1", Declaration(text="x", family=FAMILY), due)
    agent.take(await agent.spend(0, now=due))
    assert agent.grant["left"] == left


async def test_units_of_all_grants_of_a_session_come_from_one_amount(agent: Agent) -> None:
    most = terms_of(0.95).grant_units
    await agent.ask(units=most - 10.0)
    await agent.ask(units=50.0)
    assert agent.grant["units"] == 10.0
    assert await fault_of(agent.ask()) is Fault.UNITS_SPENT
    await grants.revoke(agent.parts, agent.grant["id"], NOW, by="a1", actor="a1")
    assert (await agent.ask())["grant"]["units"] == 10.0


async def test_what_was_spent_comes_back_only_with_the_next_look_at_the_actor(agent: Agent) -> None:
    most = terms_of(0.95).grant_units
    await agent.ask()
    await agent.use(150)
    await grants.revoke(agent.parts, agent.grant["id"], NOW, by="a1", actor="a1")
    assert (await agent.ask())["grant"]["units"] == most - 150
    await grants.revoke(agent.parts, agent.grant["id"], NOW, by="a1", actor="a1")
    await declare(agent.parts.assess, "s1", Declaration(text="x", family=FAMILY), NOW + 5)
    assert (await agent.ask(now=NOW + 5))["grant"]["units"] == most


async def test_declaring_again_gives_new_units_once_over_and_then_a_person_has_to(agent: Agent) -> None:
    spent = 0.0
    for round_ in range(6):
        now = NOW + round_ * 1_000
        await declare(agent.parts.assess, "s1", Declaration(text="x", family=FAMILY), now)
        if spent >= 2 * terms_of(0.95).grant_units:
            assert await fault_of(agent.ask(now=now)) is Fault.UNITS_SPENT
            break
        await agent.ask(now=now)
        spent += (await agent.use(int(agent.grant["left"]), now=now))["cost"]
    assert spent == 2 * terms_of(0.95).grant_units
    live = agent.parts.assess.live.get("s1")
    assert live is not None
    live.renew(NOW + 10_000, by_person=True)
    await agent.ask(now=NOW + 10_000)


async def test_a_second_grant_does_not_hide_what_the_first_has_touched(agent: Agent) -> None:
    await agent.ask(units=20.0)
    alone = (await agent.use())["cost"]
    await agent.ask(units=20.0)
    elsewhere = replace(READ, resource="email")
    assert (await agent.use(elsewhere))["cost"] > 1.2
    assert alone == 1.2


async def test_a_grant_in_company_still_costs_what_it_should(agent: Agent) -> None:
    """What memory knows of a grant that was alone is forgotten when another one joins it."""
    await agent.ask(units=20.0)
    first = agent.newest
    await agent.ask(units=20.0)
    await agent.use(replace(READ, resource="email"))
    answer = await agent.spend(replace(READ, resource="payment"), held=first)
    assert answer["cost"] == 1.8


async def test_a_session_has_a_bounded_number_of_grants(agent: Agent) -> None:
    for _ in range(LIVE_PER_SESSION):
        await agent.ask(units=1.0)
    with pytest.raises(TooLargeError, match=str(LIVE_PER_SESSION)):
        await agent.ask(units=1.0)


async def test_giving_back_and_asking_again_has_an_end(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "PER_SESSION", 3)
    for _ in range(3):
        await agent.ask(units=1.0)
        await grants.revoke(agent.parts, agent.grant["id"], NOW, by="a1", actor="a1")
    with pytest.raises(TooLargeError, match="3 in all"):
        await agent.ask(units=1.0)


async def test_a_lost_grant_is_given_again_under_its_request_id(agent: Agent) -> None:
    first = await agent.ask(request_id="r1", units=2.0)
    assert await agent.ask(request_id="r1", units=2.0, now=NOW + SKEW_MS) == first
    with pytest.raises(ConflictError, match="another body"):
        await agent.ask(request_id="r1", units=3.0)
    with pytest.raises(ConflictError, match="longer ago"):
        await agent.ask(request_id="r1", units=2.0, now=NOW + SKEW_MS + 1)
    assert (await agent.ask(request_id="r2", units=2.0))["grant"]["id"] != first["grant"]["id"]


async def test_another_actors_session_grant_and_pass_do_not_exist(agent: Agent) -> None:
    await agent.ask()
    parts = agent.parts
    with pytest.raises(NotFoundError) as mine:
        await agent.spend(actor="a2")
    with pytest.raises(NotFoundError) as theirs:
        await grants.revoke(parts, agent.grant["id"], NOW, by="a2", actor="a2")
    with pytest.raises(NotFoundError) as nobodys:
        await grants.revoke(parts, "f" * 32, NOW, by="a2", actor="a2")
    assert str(mine.value) == str(theirs.value)
    assert str(nobodys.value) == str(theirs.value).replace(agent.grant["id"], "f" * 32)
    request = GrantRequest(session_id="s1", key=agent.jwk)
    with pytest.raises(NotFoundError, match="no session 's1'"):
        await grants.issue(parts, request, NOW, actor="a2")
    with pytest.raises(NotFoundError, match="no session 's9'"):
        await grants.issue(parts, replace(request, session_id="s9"), NOW, actor="a2")


async def test_revoking_ends_a_grant_once_and_is_told_when_it_was_not_its_holder(
    agent: Agent, store: Store
) -> None:
    await agent.ask()
    ended = await grants.revoke(agent.parts, agent.grant["id"], NOW, by="token:t1", reason="looks odd")
    assert (ended["state"], ended["reason"]) == ("revoked", "looks odd")
    again = await grants.revoke(agent.parts, agent.grant["id"], NOW, by="token:t2", reason="other")
    assert again == ended
    assert await fault_of(agent.spend()) is Fault.GRANT_REVOKED
    events = "select * from stream where event = 'response'"
    assert len(await rows(store, events)) == 1
    await agent.ask()
    assert (await grants.revoke(agent.parts, agent.grant["id"], NOW, by="a1", actor="a1"))[
        "reason"
    ] == "given back"
    assert len(await rows(store, events)) == 1


async def test_a_pass_is_checked_with_the_proof_for_the_resource(agent: Agent) -> None:
    await agent.ask()
    there: dict[str, Any] = {"method": "GET", "url": "https://orders.example/v1/orders/7"}
    proof = agent.proof(agent.newest, READ, htm="GET", htu=there["url"], req=None)
    assert not (await agent.check())["holder_proved"]
    assert (await agent.check(proof=proof, **there))["holder_proved"]
    assert (await agent.check(proof=proof, **there))["reason"] == "proof_reused"
    other = agent.proof(agent.newest, READ, htm="GET", htu="https://other.example/")
    assert (await agent.check(proof=other, **there))["reason"] == "proof_target"
    assert (await agent.check(proof="junk", **there))["reason"] == "bad_proof"


async def test_a_check_says_what_is_out_of_scope_and_what_makes_no_sense(agent: Agent) -> None:
    await agent.ask(verbs=("read",), resources=("order",))
    assert (await agent.check(access=READ))["active"]
    assert (await agent.check(access=SEND))["reason"] == "out_of_scope"
    assert (await agent.check("junk"))["reason"] == "bad_pass"
    with pytest.raises(RequestError, match="verb"):
        await agent.check(access=replace(READ, verb="frobnicate"))


async def test_a_pass_for_one_audience_is_not_active_at_another(agent: Agent) -> None:
    request = GrantRequest(session_id="s1", key=agent.jwk, audience="orders")
    agent.take(await grants.issue(agent.parts, request, NOW))
    assert (await agent.check(audience="orders"))["active"]
    assert (await agent.check(audience="orders"))["aud"] == "orders"
    assert (await agent.check())["reason"] == "other_audience"
    assert (await agent.check(audience="mail"))["reason"] == "other_audience"
    assert (await agent.use())["grant"]["audience"] == "orders"


async def test_a_node_that_starts_anew_knows_every_grant(agent: Agent, store: Store, level: Level) -> None:
    await agent.ask(units=10.0, hosts=("api.example.org",))
    await agent.use(replace(READ, host="api.example.org"))
    agent.parts = make_parts(store, level)
    assert (await agent.check())["active"]
    answer = await agent.use(replace(READ, host="api.example.org"))
    assert (answer["grant"]["generation"], answer["cost"]) == (3, 0.48)


async def test_a_database_that_was_replaced_by_an_older_copy_is_noticed(agent: Agent, store: Store) -> None:
    await agent.ask()
    await agent.use()

    async def back(connection: AsyncConnection) -> None:
        await connection.execute(text("update grants set generation = 1"))

    await store.write(back)
    error = await refused(agent.spend())
    assert error.fault is Fault.BAD_PASS
    assert "older copy" in str(error)


async def test_the_sweep_writes_down_what_has_ended_and_forgets_what_is_old(
    agent: Agent, store: Store
) -> None:
    await agent.ask(units=1.0, ttl_s=1)
    await agent.use(1)
    assert await grants.sweep(agent.parts, NOW + 999) == 0
    assert await grants.sweep(agent.parts, NOW + 1_000) == 1
    assert await rows(store, "select state, reason from grants") == [
        {"state": "expired", "reason": "its time is over"}
    ]
    await grants.sweep(agent.parts, NOW + stored.ANSWERS_MS + 1)
    assert await rows(store, "select * from grant_spends") == []
    await grants.sweep(agent.parts, NOW + (stored.ENDED_DAYS + 1) * DAY_MS)
    assert await rows(store, "select * from grants") == []


async def test_units_that_are_no_amount_are_refused(agent: Agent) -> None:
    await agent.ask()
    for units in (-1, grants.MOST_UNITS + 1):
        with pytest.raises(RequestError, match="units"):
            await agent.spend(units)


async def test_grants_are_listed_the_newest_first_and_page_by_page(parts: GrantParts, store: Store) -> None:
    agent = Agent(parts=parts)
    await agent.open()
    ids = [(await agent.ask(units=1.0, now=NOW + n))["grant"]["id"] for n in range(3)]
    async with store.read() as connection:
        page = await stored.list_grants(connection, 2)
        rest = await stored.list_grants(connection, 2, (to_text(page[-1].issued), page[-1].id), actor="a1")
        none = await stored.list_grants(connection, 2, actor="a2")
    assert [grant.id for grant in (*page, *rest)] == ids[::-1]
    assert none == ()


@pytest.mark.parametrize(
    ("tier", "effect", "lives", "looked"),
    [("precautionary", 0.05, 7_200, 3_600), ("corroborated", 0.1, 2_400, 2_400), ("none", 0.0, 7_200, 7_200)],
)
async def test_under_a_warning_a_grant_is_looked_at_sooner_and_lives_shorter_once_it_is_corroborated(
    parts: GrantParts, agent: Agent, tier: str, effect: float, lives: int, looked: int
) -> None:
    live = parts.assess.live.get("s1")
    assert live is not None
    live.completed["p"] = None
    warned = Belief(pattern="p", state="watched", tier=tier, effect=effect, score=50, confidence=50, groups=3)
    parts.assess.beliefs.apply([warned])
    parts.assess.beliefs.heard(NOW)
    grant = (await agent.ask())["grant"]

    assert grant["expires_at"] == to_text(NOW + lives * 1_000)
    assert grant["revalidate_at"] == to_text(NOW + looked * 1_000)
    assert grant["units"] == 200.0


async def test_who_is_due_under_a_warning_goes_on_after_declaring_again(
    parts: GrantParts, agent: Agent
) -> None:
    live = parts.assess.live.get("s1")
    assert live is not None
    await agent.ask()
    live.completed["p"] = None
    warned = Belief(
        pattern="p", state="watched", tier="precautionary", effect=0.05, score=50, confidence=50, groups=1
    )
    parts.assess.beliefs.apply([warned])
    later = NOW + 3_600_000
    parts.assess.beliefs.heard(later)
    due = await fault_of(agent.spend(0, now=later))
    await declare(parts.assess, "s1", Declaration(text="x", family=FAMILY), later)

    assert due is Fault.REVALIDATE
    assert (await agent.spend(0, now=later))["grant"]["state"] == "live"
