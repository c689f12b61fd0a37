"""A consortium in memory: real stores on real files; segments are handed over as bytes, by this driver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from shutil import copyfile
from sqlite3 import connect
from types import MappingProxyType
from typing import Any

import pytest
from ioint_node.admission import Decision
from ioint_node.flows.believe import reload
from ioint_node.flows.journal import LocalSighting
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.proofs import answer_proofs
from ioint_node.flows.publish import flush, propose
from ioint_node.flows.receive import receive_segment
from ioint_node.flows.sync import CaughtUp, answer_heads, answer_pull, catch_up
from ioint_node.privacy.gate import Mode
from ioint_node.reputation.beliefs import Belief, Beliefs
from ioint_node.scoring.values import Verdict
from ioint_node.store import log, outbox
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.store.schema import matches, metadata, session_days, stream
from ioint_node.store.times import to_text
from ioint_node.store.upsert import upserting
from ioint_protocol import Member, RecordKey, Release, Roster, build_segment, member_id, sync
from ioint_protocol.segment import GENESIS
from ioint_taxonomy import Catalogue, load_catalogue, load_taxonomy
from nacl.signing import SigningKey
from sqlalchemy import create_engine, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

DAY_MS = 86_400_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000
STEWARD = SigningKey(bytes([200]) * 32)
CANARY = "canary-7f3a"


def catalogue() -> Catalogue:
    """The shipped one, as if every entry had been measured on 20,000 sessions without a match."""
    shipped = load_catalogue()
    entries = {i: replace(e, base_matches=0, base_sessions=20_000) for i, e in shipped.entries.items()}
    return replace(shipped, entries=MappingProxyType(entries))


class MemoryAnchor:
    """An anchor that survives the database, and saves the tests the waiting for a disk."""

    def __init__(self) -> None:
        self._held: bytes | None = None

    def read(self) -> bytes | None:
        return self._held

    def write(self, wire: bytes) -> None:
        self._held = wire


@dataclass(kw_only=True)
class Node:
    """One organisation's node."""

    name: str
    key: SigningKey
    member: str
    parts: ExchangeParts
    path: Path

    @property
    def store(self) -> Store:
        return self.parts.store

    async def see(
        self,
        pattern: str,
        *,
        session: str,
        day: int = TODAY,
        actor: str = CANARY,
        principal: str = "",
        judged: str = "open",
    ) -> None:
        """A session of this organisation completed a pattern."""

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(
                upserting(connection, matches)
                .values(
                    pattern=pattern,
                    session_id=session,
                    actor=actor,
                    action_id=f"{CANARY}-action",
                    day=day,
                    at=to_text(day * DAY_MS),
                    judged=judged,
                    principal=principal,
                )
                .on_conflict_do_nothing()
            )

        await self.store.write(write)

    async def history(self, *, ordinary: int, day: int = TODAY - 3) -> None:
        """So many ordinary sessions were judged on a day."""
        await self.store.write(
            lambda c: c.execute(insert(session_days).values(day=day, judged=ordinary, flagged=0))
        )

    async def find_bad(self, pattern: str, *, session: str = f"{CANARY}-session", now: int = NOW) -> int:
        """A session was found out of scope and confirmed; returns the records that left."""
        await self.see(pattern, session=session, day=now // DAY_MS)
        sighting = LocalSighting(
            patterns=(pattern,),
            confirmed=True,
            verdict=Verdict.OUT_OF_SCOPE,
            session_id=session,
            actor=CANARY,
            session_risk=0.99,
            intents=(),
            at=now,
        )
        await self.store.write(lambda c: propose(c, self.parts, sighting, now))
        return await flush(self.parts, now)

    def copied(self, name: str) -> Path:
        """A copy of the database as it is on disk now."""
        target = self.path.with_name(name)
        with closing(connect(self.path)) as source, closing(connect(target)) as copy:
            source.backup(copy)
        return target

    async def own_wires(self) -> list[bytes]:
        """Every segment of our own log."""
        async with self.store.read() as connection:
            return await log.segments_between(connection, self.member, 1, 10_000)

    async def vector(self) -> dict[str, tuple[int, str]]:
        async with self.store.read() as connection:
            return await log.vector(connection)

    async def answer(self, protocol: str, body: bytes) -> bytes:
        """What this node answers to a member's question."""
        if protocol == sync.HEADS:
            return await answer_heads(self.parts, body)
        return await {sync.PULL: answer_pull, sync.PROOF: answer_proofs}[protocol](self.store, body)

    async def events(self, event: str) -> list[str]:
        """The bodies of the stream's rows of one kind."""
        async with self.store.read() as connection:
            rows = await connection.execute(
                select(stream.c.body).where(stream.c.event == event).order_by(stream.c.seq)
            )
            return list(rows.scalars())

    async def restarted(self, now: int = NOW) -> Node:
        """The node after its process ended and began again: nothing in memory but what the store holds."""
        fresh = replace(self, parts=replace(self.parts, beliefs=Beliefs()))
        await reload(fresh.parts, now)
        return fresh

    def belief(self, pattern: str) -> Belief | None:
        return self.parts.beliefs.get(pattern)

    def effect(self, pattern: str, now: int = NOW) -> float:
        return self.parts.beliefs.effect_of((pattern,), now).effect


@dataclass(kw_only=True)
class Consortium:
    """Its nodes, and a network that loses nothing unless asked to."""

    nodes: Sequence[Node]
    roster: Roster
    consortium: str
    patterns: tuple[str, ...]
    open: Callable[[Path], Awaitable[Store]]

    async def restored(self, node: Node, copy: Path, **changed: Any) -> Node:
        """The node with its keys and its anchor, but with another database and nothing in memory."""
        store = await self.open(copy)
        back = replace(node, parts=replace(node.parts, store=store, beliefs=Beliefs(), **changed), path=copy)
        await reload(back.parts, NOW)
        return back

    async def catch_up(self, node: Node, peer: Node, now: int = NOW) -> CaughtUp:
        """Let one node pull from another what it lacks."""

        async def ask(protocol: str, body: bytes) -> bytes:
            return await peer.answer(protocol, body)

        return await catch_up(node.parts, ask, peer.member, now)

    def __getitem__(self, index: int) -> Node:
        return self.nodes[index]

    async def deliver(self, now: int = NOW) -> None:
        """Hand over what the outboxes hold until they are empty."""
        by_member = {node.member: node for node in self.nodes}
        moved = True
        while moved:
            moved = False
            for node in self.nodes:
                async with node.store.read() as connection:
                    due = await outbox.due(connection)
                for destination in due:
                    async with node.store.read() as connection:
                        parcels = await outbox.parcels(connection, destination.destination, 100)
                    for parcel in parcels:
                        assert parcel.wire is not None
                        await receive_segment(
                            by_member[destination.destination].parts, parcel.wire, node.member, now
                        )
                    ids = [parcel.id for parcel in parcels]
                    await node.store.write(partial(outbox.remove, ids=ids))
                    moved = True

    async def hand(self, wire: bytes, to: Node, by: Node, now: int = NOW) -> Decision:
        return await receive_segment(to.parts, wire, by.member, now)

    def sign(self, node: Node, seq: int, prev: str, bodies: Sequence[bytes]) -> bytes:
        """What a member with a changed program can sign."""
        return build_segment(node.key, self.consortium, node.member, seq, prev or GENESIS, 1, bodies)


def _member(name: str, number: int, key: SigningKey) -> Member:
    return Member(
        id=member_id(bytes(key.verify_key)),
        name=name,
        node_key=bytes(SigningKey(bytes([100 + number]) * 32).verify_key).hex(),
        record_keys=(RecordKey(key=bytes(key.verify_key).hex()),),
        group=name,
        sponsor="",
        class_="member",
        since=1,
        since_day=TODAY - 100,
        addresses=(),
        state="active",
    )


def _roster(keys: Sequence[SigningKey]) -> Roster:
    members = [_member(f"org{number}", number, key) for number, key in enumerate(keys)]
    return Roster(
        version=1,
        consortium="c0" * 32,
        issued_day=TODAY - 100,
        expires=NOW // 1000 + 90 * 86_400,
        members=tuple(sorted(members, key=lambda member: member.id)),
        taxonomy=Release(version=load_taxonomy().version, digest=load_taxonomy().digest),
        catalogue=load_catalogue().digest,
    )


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema and nothing in it."""
    path = tmp_path_factory.mktemp("schema") / "empty.db"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
async def make(tmp_path: Path, empty: Path) -> AsyncIterator[Callable[..., Awaitable[Consortium]]]:
    """`await make(5)`: a consortium of five organisations, each a group of its own and a founder."""
    async with AsyncExitStack() as stack:
        made = count()

        async def opened(path: Path) -> Store:
            return await stack.enter_async_context(
                open_store(f"sqlite+aiosqlite:///{path}", WriterLimits(group_s=0.0))
            )

        async def consortium(size: int = 5, mode: Mode = "catalogue") -> Consortium:
            folder = tmp_path / f"consortium{next(made)}"
            folder.mkdir()
            keys = [SigningKey(bytes([number + 1]) * 32) for number in range(size)]
            roster = _roster(keys)
            shelf = catalogue()
            everybody = frozenset(member.id for member in roster.members)
            nodes = []
            for number, key in enumerate(keys):
                path = folder / f"org{number}.db"
                copyfile(empty, path)
                store = await opened(path)
                member = member_id(bytes(key.verify_key))
                parts = ExchangeParts(
                    store=store,
                    member=member,
                    record_key=key,
                    roster=lambda: roster,
                    consortium=lambda: roster.consortium,
                    taxonomy=load_taxonomy(),
                    catalogue=shelf,
                    beliefs=Beliefs(),
                    publish_mode=mode,
                    detector="de" * 32,
                    draw=lambda below: below // 2,
                    anchor=MemoryAnchor(),
                    connected=lambda: everybody,
                )
                nodes.append(Node(name=f"org{number}", key=key, member=member, parts=parts, path=path))
            return Consortium(
                nodes=nodes,
                roster=roster,
                consortium=roster.consortium,
                patterns=tuple(sorted(shelf.entries)),
                open=opened,
            )

        yield consortium
