"""A node with its web side whose actions are held and whose actors are halted, as deciding on an action does it."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from ioint_node.flows import holding, respond
from ioint_node.flows.requests import ActionRequest
from ioint_node.flows.respond import RespondParts
from ioint_node.scoring.response import Case, Choice, choose_response
from ioint_node.scoring.values import Response, Verdict
from ioint_node.store import held, responses, stream, tokens
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.store.responses import Halted, Order
from ioint_node.store.tokens import Caller
from ioint_node.web import WebLimits, build_web, serve
from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.web.conftest import NOW, Clock, Node, make_consortium, make_parts, make_tokens

AGENT = "a-1"
STRICT = Case(verdict=Verdict.IN_SCOPE, wis=0.9, lower=0.4, effect_class="mutate", enforce=True)


@dataclass(kw_only=True)
class Site:
    """The node under test, and what deciding on an action does with what is held and who is halted.

    The node itself is asked about looking something up, which nothing is asked about, so that it knows the action.
    """

    node: Node
    parts: RespondParts
    told: list[bool] = field(default_factory=list)

    @property
    def now(self) -> int:
        return self.node.clock.now

    async def decide(
        self, action_id: str, *, tool: str = "crm.update_case", session: str = "s-1", case: Case = STRICT
    ) -> tuple[dict[str, Any], Choice]:
        """Decide on an action as the node does: look up, choose, settle, write."""
        request = ActionRequest(action_id=action_id, tool=tool, arguments={"case": 7, "note": "ring back"})
        answer = await self.node.post(
            f"/api/v1/sessions/{session}/actions",
            {"action_id": action_id, "tool": "orders.get_order", "arguments": {"id": 7}, "durable": True},
        )
        assert answer.status == 200, await answer.text()
        decision = await answer.json()
        self.node.clock.now += 1
        parts, now = self.parts, self.now
        hold = holding.standing(parts.holds, session, request, now)
        approved = hold is not None and hold.state == held.APPROVED
        choice = choose_response(structs.replace(case, approved=approved, state=parts.halted.state_of(AGENT)))
        settled = holding.settle(
            parts.holds,
            hold,
            choice,
            decision_id=decision["decision_id"],
            session_id=session,
            actor=AGENT,
            request=request,
            now=now,
        )
        decision |= {
            "verdict": case.verdict.value,
            "response": choice.response.value,
            "allowed": choice.allowed,
            "approval": settled.approval,
        }
        order = respond.of_action(
            parts.halted,
            AGENT,
            session,
            decision,
            choice,
            before=Response.NONE,
            enforce=case.enforce,
            now=now,
        )

        async def write(connection: AsyncConnection) -> None:
            if settled.hold is not None:
                row = holding.row_of(
                    settled.hold,
                    actor=AGENT,
                    request=request,
                    decision=decision,
                    causes=choice.causes,
                    now=now,
                )
                await held.add(connection, [row])
            if settled.used is not None:
                await held.use(connection, settled.used)
            if order is not None:
                await write_order(connection, order, now)

        done = parts.store.submit(write)
        respond.coming(parts.halted, order, done)
        await done
        return decision, choice

    async def rows(self, event: str = "response") -> list[Mapping[str, Any]]:
        """The bodies of the stream's events about orders."""
        import json

        async with self.parts.store.read() as connection:
            found = await stream.since(connection, 0, 1_000)
        bodies = [json.loads(row.body) for row in found if row.event == event]
        return [one for one in bodies if one.get("response_id") is not None]

    async def restarted(self) -> RespondParts:
        """The parts as a node that starts anew on this database has them."""
        async with self.parts.store.read() as connection:
            return replace(
                self.parts,
                halted=await responses.load(connection),
                holds=await held.load(connection, self.now),
            )


async def write_order(connection: AsyncConnection, order: Order, now: int) -> None:
    await responses.add(connection, [order.row])
    await stream.append(connection, "response", order.body, "amber", now)
    if order.halt is not None:
        await responses.tighten(connection, order.halt)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("respond") / "node.db"
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
async def store(tmp_path: Path, empty_database: Path) -> AsyncIterator[Store]:
    shutil.copy(empty_database, tmp_path / "node.db")
    async with open_store(
        f"sqlite+aiosqlite:///{tmp_path / 'node.db'}", WriterLimits(group_s=0.001)
    ) as opened:
        yield opened


@pytest.fixture
async def site(store: Store) -> AsyncIterator[Site]:
    clock, consortium, told = Clock(), make_consortium(NOW), list[bool]()
    parts = make_parts(store, consortium, clock, WebLimits(), [])
    responding = RespondParts(
        store=store, notify=lambda: told.append(True), mode="enforce", halted=Halted(), holds=held.Holds()
    )
    parts = replace(parts, responding=responding, refusals=Counter())
    made = await store.write(make_tokens)
    other = await store.write(
        lambda connection: tokens.create(connection, "agent", "a-2", "clear", None, now=NOW)
    )
    keys = {role: one.token for role, one in made.items()} | {"other": other.token}
    async with (
        serve(build_web(parts), "127.0.0.1", 0, parts) as url,
        ClientSession(base_url=url) as client,
    ):
        node = Node(
            parts=parts, client=client, url=url, consortium=consortium, clock=clock, keys=keys, peers=[]
        )
        await node.open_session("s-1", AGENT)
        await store.write(_nothing)  # what was opened is on disk
        yield Site(node=node, parts=responding, told=told)


async def _nothing(_connection: AsyncConnection) -> None:
    pass


def caller(role: str = "engine", *, name: str = "t-1", tlp: str = "amber") -> Caller:
    return Caller(id=name, role=role, actor=None, tlp=tlp, expires=None)
