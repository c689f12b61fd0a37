"""A consortium in memory whose roster is signed, so that what leaves it can be verified by anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ioint_node.membership import Membership, Terms, found
from ioint_node.store.schema import roster_files
from ioint_node.store.times import to_text
from ioint_protocol import (
    Dispute,
    Record,
    Release,
    Report,
    Sighting,
    Steward,
    Withdrawal,
    build_segment,
    encode_record,
    parse_segment,
)
from ioint_protocol.segment import GENESIS
from ioint_taxonomy import load_catalogue, load_taxonomy
from nacl.signing import SigningKey
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.exchange.conftest import NOW, TODAY, Consortium, Node

STEWARD, CLOCK = SigningKey(bytes([201]) * 32), SigningKey(bytes([202]) * 32)


@dataclass(kw_only=True)
class Founded:
    """The nodes under one signed roster; whatever a member can sign, it may say."""

    net: Consortium
    held: Membership
    nodes: list[Node]
    heads: dict[str, tuple[int, str]]

    def __getitem__(self, index: int) -> Node:
        return self.nodes[index]

    @property
    def patterns(self) -> tuple[str, ...]:
        return self.net.patterns

    def sign(self, author: Node, *records: Record) -> bytes:
        """The next segment of a member's log."""
        seq, head = self.heads.get(author.member, (0, GENESIS))
        bodies = [encode_record(record) for record in records]
        wire = build_segment(author.key, self.held.roster.consortium, author.member, seq + 1, head, 1, bodies)
        self.heads[author.member] = (seq + 1, parse_segment(wire).head)
        return wire

    async def say(self, author: Node, *records: Record, to: tuple[Node, ...] = ()) -> None:
        """Let a member say something that these nodes hear, or all of them."""
        wire = self.sign(author, *records)
        for node in to or self.nodes:
            await self.net.hand(wire, node, author)


async def founded(net: Consortium) -> Founded:
    """Sign the roster of a consortium, and give it to every node with the files that prove it."""
    catalogue, taxonomy = load_catalogue(), load_taxonomy()
    seat = Steward(
        member=net.roster.members[0].id,
        steward_key=bytes(STEWARD.verify_key).hex(),
        clock_key=bytes(CLOCK.verify_key).hex(),
    )
    terms = Terms(
        members=tuple(replace(member, since_day=0) for member in net.roster.members),
        council=(seat,),
        threshold=1,
        taxonomy=Release(version=taxonomy.version, digest=taxonomy.digest),
        catalogue=catalogue.digest,
    )
    held = found(terms, [STEWARD], CLOCK, NOW)
    nodes = []
    for node in net.nodes:
        parts = replace(node.parts, roster=lambda: held.roster, consortium=lambda: held.roster.consortium)
        await node.store.write(partial(_keep, files=held.files))
        nodes.append(replace(node, parts=parts))
    return Founded(net=net, held=held, nodes=nodes, heads={})


async def _keep(connection: AsyncConnection, files: Mapping[str, bytes]) -> None:
    rows = [{"name": name, "body": body, "installed_at": to_text(NOW)} for name, body in files.items()]
    await connection.execute(insert(roster_files), rows)


def report(pattern: str, *, bad: int = 0, seen: int = 0, day: int = TODAY, **other: Any) -> Report:
    """A report of a pattern, of so many sessions as powers of two."""
    fields: dict[str, Any] = {
        "tax": load_taxonomy().version,
        "kind": "pattern",
        "pat": pattern,
        "intents": (),
    }
    fields |= {"basis": "threshold", "agents": 0, "day_from": day, "det": "ad" * 32, "tlp": "green"} | other
    return Report(**fields, bad=bad, seen=max(bad, seen), day_until=day)


def sighting(of: str, *, seen: int = 0, day: int = TODAY) -> Sighting:
    """We saw it too."""
    return Sighting(of=of, seen=seen, day=day)


def dispute(of: str, *, day: int = TODAY) -> Dispute:
    """It accuses ordinary work."""
    return Dispute(of=of, reason="false_positive", day=day)


def withdrawal(of: str) -> Withdrawal:
    """We take it back."""
    return Withdrawal(of=of, reason="mistake")
