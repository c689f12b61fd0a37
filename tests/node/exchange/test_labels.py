"""The label of a report is that of everything that is said about it, also when the report comes last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from ioint_node.flows.inclusion import prove
from ioint_node.flows.opinions import dispute_pattern
from ioint_node.flows.why import why
from ioint_node.store import indicators, listings, outgoing
from ioint_node.store.clearance import LABELS
from ioint_node.store.migrations.versions import v0005_privacy
from ioint_node.store.schema import records
from ioint_protocol import (
    Dispute,
    Report,
    Sighting,
    Withdrawal,
    encode_record,
    parse_segment,
    record_id,
)
from sqlalchemy import update

Make = Callable[..., Awaitable[Any]]
TODAY = 20_000
NOW = TODAY * 86_400_000 + 36_000_000


def report(pattern: str, label: str, *, bad: int = 2) -> bytes:
    return encode_record(
        Report(
            tax="2026.11",
            kind="pattern",
            pat=pattern,
            intents=(),
            basis="threshold",
            bad=bad,
            seen=bad,
            agents=0,
            day_from=TODAY,
            day_until=TODAY,
            det="ad" * 32,
            tlp=label,
        )
    )


async def labels(node: Any, clearance: str = "red") -> dict[str, list[str]]:
    """The labels of the records that a reader with this clearance sees, by kind."""
    async with node.store.read() as connection:
        page = await listings.newest_records(connection, clearance=clearance, limit=100, before=None)
    found: dict[str, list[str]] = {}
    for row in page.items:
        found.setdefault(row["kind"], []).append(row["tlp"])
    return found


async def says(net: Any, viewer: Any, author: Any, bodies: Sequence[bytes]) -> None:
    """A member says something in its next segment."""
    vector = await viewer.vector()
    seq, head = vector.get(author.member, (0, ""))
    await net.hand(net.sign(author, seq + 1, head, bodies), viewer, author)


@pytest.mark.parametrize("label", LABELS[:-1])
async def test_what_names_a_report_has_its_label(make: Make, label: str) -> None:
    net = await make()
    said = report(net.patterns[0], label)
    name = record_id(said)
    await says(net, net[0], net[1], [said])
    dispute = encode_record(Dispute(of=name, reason="false_positive", day=TODAY))
    await says(net, net[0], net[2], [encode_record(Sighting(of=name, seen=1, day=TODAY)), dispute])
    await says(net, net[0], net[2], [encode_record(Withdrawal(of=record_id(dispute), reason="mistake"))])
    found = await labels(net[0])
    assert found == {kind: [label] for kind in ("report", "sighting", "dispute", "withdrawal")}


async def test_within_one_segment_the_label_is_inherited_too(make: Make) -> None:
    net = await make()
    said = report(net.patterns[0], "amber")
    own = encode_record(Withdrawal(of=record_id(said), reason="mistake"))
    await says(net, net[0], net[1], [said, own])
    assert await labels(net[0]) == {"report": ["amber"], "withdrawal": ["amber"]}


async def test_before_the_report_comes_nobody_sees_what_names_it(make: Make) -> None:
    net = await make()
    name = record_id(report(net.patterns[0], "green"))
    await says(net, net[0], net[2], [encode_record(Dispute(of=name, reason="too_broad", day=TODAY))])
    assert await labels(net[0], "amber_strict") == {}
    assert await labels(net[0]) == {"dispute": ["red"]}


async def test_when_the_report_comes_what_named_it_gets_its_label(make: Make) -> None:
    net = await make()
    said = report(net.patterns[0], "green")
    dispute = encode_record(Dispute(of=record_id(said), reason="too_broad", day=TODAY))
    await says(net, net[0], net[2], [dispute])
    await says(net, net[0], net[2], [encode_record(Withdrawal(of=record_id(dispute), reason="mistake"))])
    await says(net, net[0], net[1], [said])
    assert await labels(net[0]) == {"report": ["green"], "dispute": ["green"], "withdrawal": ["green"]}


async def test_an_indicator_is_as_closed_as_the_most_closed_that_is_heard(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    await says(net, net[0], net[1], [report(pattern, "clear")])
    await says(net, net[0], net[2], [report(pattern, "amber_strict")])
    async with net[0].store.read() as connection:
        row = await indicators.get(connection, pattern)
    assert row is not None
    assert row["tlp"] == "amber_strict"


async def test_the_receipt_shows_no_record_above_the_readers_clearance(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    secret = report(pattern, "amber_strict", bad=3)
    await says(net, net[0], net[2], [secret])
    await says(net, net[0], net[2], [encode_record(Withdrawal(of=record_id(secret), reason="mistake"))])
    await says(net, net[0], net[1], [report(pattern, "clear")])
    receipt = await why(net[0].parts, pattern, NOW, clearance="clear")
    assert [record["member"] for record in receipt["records"]] == ["org1"]
    assert record_id(secret) not in str(receipt)


async def test_our_own_dispute_is_listed_with_the_label_of_what_it_names(make: Make) -> None:
    net = await make()
    await says(net, net[0], net[1], [report(net.patterns[0], "amber_strict")])
    await dispute_pattern(net[0].parts, net.patterns[0], reason="expected_use", by="t", now=NOW)
    (wire,) = await net[0].own_wires()
    assert len(parse_segment(wire).bodies) == 1
    async with net[0].store.read() as connection:
        shown, _ = await outgoing.list_outgoing(connection, 10, clearance="amber")
        hidden, _ = await outgoing.list_outgoing(connection, 10, clearance="amber_strict")
    assert (len(shown), [row.tlp for row in hidden]) == (0, ["amber_strict"])


async def test_who_was_warned_hears_that_the_warning_was_taken_back(make: Make) -> None:
    net = await make()
    pattern = net.patterns[0]
    closed, opened = report(pattern, "amber_strict", bad=3), report(pattern, "clear")
    await says(net, net[0], net[2], [closed])
    await says(net, net[0], net[2], [encode_record(Withdrawal(of=record_id(closed), reason="mistake"))])
    await says(net, net[0], net[1], [opened])
    await says(net, net[0], net[1], [encode_record(Withdrawal(of=record_id(opened), reason="mistake"))])
    async with net[0].store.read() as connection:
        row = await indicators.get(connection, pattern)
    assert row is not None
    assert (row["tlp"], row["state"], row["first_reporter"]) == ("clear", "withdrawn", "org1")


async def test_an_older_database_is_labelled_anew_as_if_labels_had_always_been_inherited(make: Make) -> None:
    net = await make()
    said = report(net.patterns[0], "green")
    unknown = encode_record(Dispute(of="ab" * 32, reason="too_broad", day=TODAY))
    await says(net, net[0], net[1], [said])
    await says(
        net,
        net[0],
        net[2],
        [encode_record(Dispute(of=record_id(said), reason="too_broad", day=TODAY)), unknown],
    )

    async def older(connection: Any) -> None:
        await connection.execute(update(records).where(records.c.kind != "report").values(tlp="amber"))
        await connection.run_sync(label_anew)

    await net[0].store.write(older)
    assert {kind: sorted(found) for kind, found in (await labels(net[0])).items()} == {
        "report": ["green"],
        "dispute": ["green", "red"],
    }


def label_anew(connection: Any) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        v0005_privacy._label_anew()


async def test_a_proof_tells_nothing_of_a_record_beside_it_that_may_not_be_seen(make: Make) -> None:
    net = await make()
    opened, closed = report(net.patterns[0], "green"), report(net.patterns[1], "amber")
    await says(net, net[0], net[1], [opened, closed])
    async with net[0].store.read() as connection:
        for clearance, proofs in (("green", 0), ("amber", 1)):
            found = await prove(connection, record_id(opened), [net[1].member], clearance=clearance)
            assert len(found) == proofs
