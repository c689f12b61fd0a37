"""A node that programs of others send telemetry to, and what it knows of their sessions afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from ioint_node.flows.telemetry import Telemetry
from ioint_node.store import tokens
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.store.schema import decisions, events, sessions
from ioint_node.telemetry import TelemetryLimits
from ioint_node.web import WebLimits, build_web, serve
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.web.conftest import Clock, make_consortium, make_parts

NOW = 1_795_000_000_000
PROGRAMS = Path(__file__).parent / "programs"
PROGRAM_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session as the store has it: its row, its events in order, and the decision of every action."""

    row: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    decisions: Mapping[str, Mapping[str, Any]]

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    @property
    def actions(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [(event["tool"], event["arguments"]) for event in self.of("tool_call")]

    def verdict(self, tool: str) -> str:
        event = next(one for one in self.of("tool_call") if one["tool"] == tool)
        verdict: str = self.decisions[event["action_id"]]["verdict"]
        return verdict

    @property
    def declared(self) -> str:
        text: str = msgspec.json.decode(self.row["declaration"])["text"]
        return text

    @property
    def parent(self) -> Mapping[str, Any] | None:
        return msgspec.json.decode(self.row["parent"]) if self.row["parent"] else None


@dataclass(kw_only=True)
class Target:
    """Where exporters send to, and what became of it."""

    url: str
    tokens: Mapping[str, str]
    telemetry: Telemetry
    store: Store
    clock: Clock

    def environment(self, service: str = "shop", role: str = "engine") -> dict[str, str]:
        """The variables that any exporter of OpenTelemetry reads."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={quote('Bearer ' + self.tokens[role])}",
            "OTEL_SERVICE_NAME": service,
        }

    async def run(self, *command: str, **variables: str) -> None:
        """Run a program to its end."""
        environment = {**os.environ, **self.environment(), **variables}
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(PROGRAM_S):
            said, _ = await process.communicate()
        assert process.returncode == 0, said.decode(errors="replace")

    async def python(self, program: str, *arguments: str, **variables: str) -> None:
        await self.run(sys.executable, str(PROGRAMS / program), *arguments, **variables)

    async def told(self) -> dict[str, Session]:
        """The sessions by actor, once all that came is told."""
        await self.telemetry.tell(all_of_them=True)
        return {one.row["actor"]: one for one in await self.sessions()}

    async def sessions(self) -> list[Session]:
        await self.telemetry.parts.journal.settled()
        async with self.store.read() as connection:
            rows = (await connection.execute(select(sessions))).mappings().all()
            happened = (await connection.execute(select(events).order_by(events.c.seq))).mappings().all()
            decided = (await connection.execute(select(decisions))).mappings().all()
        return [
            Session(
                row=dict(row),
                events=[
                    msgspec.json.decode(one["body"]) for one in happened if one["session_id"] == row["id"]
                ],
                decisions={
                    one["action_id"]: msgspec.json.decode(one["body"])
                    for one in decided
                    if one["session_id"] == row["id"]
                },
            )
            for row in rows
        ]


async def _make_tokens(connection: AsyncConnection) -> dict[str, tokens.NewToken]:
    return {
        role: await tokens.create(connection, role, actor, "amber", None, now=NOW)
        for role, actor in (("engine", None), ("agent", "a-1"), ("soc", None))
    }


@asynccontextmanager
async def target(folder: Path, limits: TelemetryLimits | None = None) -> AsyncIterator[Target]:
    """A node with its web side whose telemetry is told when a test says so."""
    url = f"sqlite+aiosqlite:///{folder / 'node.db'}"
    await upgrade(url)
    clock = Clock(now=NOW)
    async with open_store(url, WriterLimits(group_s=0.001)) as store:
        parts = make_parts(store, make_consortium(NOW), clock, WebLimits(), [])
        telemetry = Telemetry(parts.assess, clock, limits or TelemetryLimits())
        parts = replace(parts, telemetry=telemetry, refusals=Counter())
        made = await store.write(_make_tokens)
        async with serve(build_web(parts), "127.0.0.1", 0, parts) as listening:
            yield Target(
                url=listening,
                tokens={role: one.token for role, one in made.items()},
                telemetry=telemetry,
                store=store,
                clock=clock,
            )
