"""Whatever happens in whatever order: no unit twice, no debt, one live pass, and every replay ends the grant."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.access.grants import Access
from ioint_node.access.passes import SKEW_MS, Fault, PassError
from ioint_node.flows import grants
from ioint_node.store import grants as stored
from ioint_node.store.engine import Store, WriterLimits, open_store

from tests.node.grants.agent import NOW, READ, SEND, Agent
from tests.node.grants.conftest import make_parts

WANTED: tuple[Access | int, ...] = (READ, SEND, replace(READ, resource="email"), 0, 3)
UNITS = 40.0


@asynccontextmanager
async def opened(empty: Path) -> AsyncIterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        path = shutil.copy(empty, Path(folder) / "ioint.db")
        async with open_store(f"sqlite+aiosqlite:///{path}", WriterLimits(group_s=0.0005)) as store:
            yield store


@dataclass
class World:
    """An agent, what it should be allowed, and what it holds besides its newest pass."""

    agent: Agent
    store: Store
    now: int = NOW
    left: float = UNITS
    revoked: bool = False
    spent: list[tuple[str, Access | int, int]] = field(default_factory=list)  # pass, request, when

    async def spend_newest(self, wanted: Access | int) -> None:
        held = self.agent.newest
        try:
            answer = await self.agent.use(wanted, now=self.now)
        except PassError as error:
            refusals = {Fault.GRANT_REVOKED} if self.revoked else {Fault.UNITS_SPENT, Fault.PASS_EXPIRED}
            assert error.fault in refusals  # noqa: PT017 - the outcome depends on what came before
            return
        assert not self.revoked
        self.took(held, wanted, answer["cost"])

    async def spend_older(self, wanted: Access | int, index: int) -> None:
        if not self.spent:
            return
        held, paid_for, at = self.spent[index % len(self.spent)]
        again = paid_for == wanted and self.now - at <= SKEW_MS
        try:
            await self.agent.spend(wanted, held=held, now=self.now)
        except PassError as error:
            expected = Fault.GRANT_REVOKED if self.revoked else Fault.PASS_REPLAYED
            assert error.fault is expected  # noqa: PT017
            assert self.revoked or not again
            self.revoked = True
        else:
            assert again
            assert not self.revoked

    async def at_once(self, wanted: Sequence[Access | int]) -> None:
        held = self.agent.newest
        proofs = [self.agent.proof(held, one, now=self.now) for one in wanted]
        answers = await asyncio.gather(
            *(
                self.agent.spend(one, held=held, proof=proof, now=self.now)
                for one, proof in zip(wanted, proofs, strict=True)
            ),
            return_exceptions=True,
        )
        won = [(one, answer) for one, answer in zip(wanted, answers, strict=True) if isinstance(answer, dict)]
        lost = [answer.fault for answer in answers if isinstance(answer, PassError)]
        assert len(won) + len(lost) == len(answers)
        if not won:
            expected = {Fault.GRANT_REVOKED} if self.revoked else {Fault.UNITS_SPENT, Fault.PASS_EXPIRED}
            assert set(lost) <= expected
            return
        assert not self.revoked
        # Exactly one request won, however many sent it, and all who sent it hold the same next pass.
        assert len({str(one) for one, _ in won}) == 1
        assert len({answer["pass"] for _, answer in won}) == 1
        self.took(held, won[0][0], won[0][1]["cost"])
        self.agent.take(won[0][1])
        self.revoked = any(fault in {Fault.PASS_REPLAYED, Fault.GRANT_REVOKED} for fault in lost)
        assert self.revoked or set(lost) <= {Fault.UNITS_SPENT, Fault.PASS_EXPIRED}

    def took(self, held: str, wanted: Access | int, cost: float) -> None:
        self.left = round(self.left - cost, 4)
        self.spent.append((held, wanted, self.now))

    def restart(self) -> None:
        self.agent.parts = make_parts(self.store)

    async def check(self) -> None:
        async with self.store.read() as connection:
            grant = await stored.find_alone(connection, self.agent.grant["id"])
        assert grant is not None
        assert grant.budget.left == pytest.approx(self.left)
        assert grant.budget.left >= 0.0
        assert grant.generation == len(self.spent) + 1
        assert (grant.state == "revoked") is self.revoked
        active = [
            held for held in self.agent.passes if (await self.agent.check(held, now=self.now))["active"]
        ]
        assert active in ([], [self.agent.newest])
        assert not (active and self.revoked)


REQUESTS = st.sampled_from(WANTED)
STEPS = st.one_of(
    st.tuples(st.just("newest"), REQUESTS),
    st.tuples(st.just("newest"), REQUESTS),
    st.tuples(st.just("older"), REQUESTS, st.integers(0, 20)),
    st.tuples(st.just("at_once"), st.lists(REQUESTS, min_size=2, max_size=4)),
    st.tuples(st.just("same_at_once"), REQUESTS, st.integers(2, 4)),
    st.tuples(st.just("restart")),
    st.tuples(st.just("pass_time"), st.sampled_from([1, 30_000, SKEW_MS, 120_000])),
    st.tuples(st.just("sweep")),
)


async def live_through(empty: Path, steps: Sequence[tuple[object, ...]]) -> None:
    async with opened(empty) as store:
        agent = Agent(parts=make_parts(store))
        await agent.open()
        await agent.ask(units=UNITS)
        world = World(agent, store)
        for name, *rest in steps:
            match name, rest:
                case "newest", [wanted]:
                    await world.spend_newest(wanted)  # type: ignore[arg-type]
                case "older", [wanted, index]:
                    await world.spend_older(wanted, index)  # type: ignore[arg-type]
                case "at_once", [wanted]:
                    await world.at_once(wanted)  # type: ignore[arg-type]
                case "same_at_once", [wanted, many]:
                    await world.at_once([wanted] * many)  # type: ignore[arg-type, operator]
                case "restart", []:
                    world.restart()
                case "pass_time", [ms]:
                    world.now += ms  # type: ignore[operator]
                case "sweep", []:
                    await grants.sweep(agent.parts, world.now)
            await world.check()


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
def test_every_order_of_events_keeps_the_books(empty_database: Path, steps: list[tuple[object, ...]]) -> None:
    asyncio.run(live_through(empty_database, steps))


async def test_of_many_at_once_one_request_wins_and_the_same_one_is_no_theft(agent: Agent) -> None:
    await agent.ask(units=UNITS)
    answers = await asyncio.gather(*(agent.spend() for _ in range(20)))
    assert len({answer["pass"] for answer in answers}) == 1
    agent.take(answers[0])
    assert agent.grant["left"] == UNITS - 1.2
    assert (await agent.use())["grant"]["generation"] == 3


async def test_of_two_different_requests_at_once_one_wins_and_the_grant_ends(agent: Agent) -> None:
    await agent.ask(units=UNITS)
    answers = await asyncio.gather(agent.spend(READ), agent.spend(SEND), return_exceptions=True)
    assert isinstance(answers[0], dict)
    assert isinstance(answers[1], PassError)
    assert answers[1].fault is Fault.PASS_REPLAYED
    agent.take(answers[0])
    assert (await agent.check())["reason"] == "grant_revoked"


async def test_two_processes_on_one_database_cannot_both_spend(empty_database: Path, tmp_path: Path) -> None:
    """Each remembers the pass as the newest; the database lets one of them through."""
    path = shutil.copy(empty_database, tmp_path / "shared.db")
    url = f"sqlite+aiosqlite:///{path}"
    limits = WriterLimits(group_s=0.0005)
    async with open_store(url, limits) as here, open_store(url, limits) as there:
        agent = Agent(parts=make_parts(here))
        await agent.open()
        await agent.ask(units=UNITS)
        twin = replace(agent, parts=make_parts(there), passes=list(agent.passes))
        assert (await twin.check())["active"]
        answers = await asyncio.gather(agent.spend(READ), twin.spend(READ))
        assert answers[0] == answers[1]
        agent.take(answers[0])
        outcome = await asyncio.gather(
            agent.spend(READ), twin.spend(SEND, held=agent.newest), return_exceptions=True
        )
        assert sorted(isinstance(one, PassError) for one in outcome) == [False, True]
        assert (await agent.check())["active"] is False
