"""A receipt leaves a node and is computed again: on another node, on none, and never from a changed byte."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ioint_node.errors import NotFoundError, ReceiptError
from ioint_node.flows import receipt
from ioint_node.flows.believe import conclude_anew
from ioint_node.flows.proofs import convict
from ioint_node.flows.receipt import Replayed
from ioint_node.flows.why import weigh, why
from ioint_node.reputation.derivation import network_record
from ioint_node.reputation.dossier import Dossier
from ioint_node.reputation.lineage import lineage
from ioint_node.reputation.receipt import plain
from ioint_node.reputation.rule import ACCUSED_SUBJECTS
from ioint_node.store import log
from ioint_node.store.clearance import LABELS
from ioint_node.store.times import day_text
from ioint_protocol import Record, encode_record, equivocation_proof, parse_pattern, pattern_id, record_id
from ioint_taxonomy import load_catalogue, load_taxonomy
from sqlalchemy import event

from tests.node.exchange.conftest import CANARY, NOW, TODAY, Node
from tests.node.exchange.founded import Founded, dispute, founded, report, sighting, withdrawal

Make = Callable[..., Awaitable[Any]]
# What grows with what members say and agents do; others are bounded by the roster, by days, by what people decide.
GROWING = frozenset(
    {"records", "segments", "indicators", "first_reports", "matches", "sessions", "decisions"}
)


@pytest.fixture
async def net(make: Make) -> Founded:
    return await founded(await make(5))


async def exported(
    node: Node, subject: str, *, clearance: str = LABELS[-1], with_local: bool = True
) -> list[bytes]:
    lines = receipt.export(node.parts, subject, NOW, clearance=clearance, with_local=with_local)
    return [line async for line in lines]


async def replayed(lines: Sequence[bytes], folder: Path, **asked: Any) -> Replayed:
    folder.mkdir(exist_ok=True)
    return await receipt.replay(
        iter(lines), folder, taxonomy=load_taxonomy(), catalogue=load_catalogue(), **asked
    )


def name(record: Record) -> str:
    return record_id(encode_record(record))


async def told(net: Founded) -> str:
    """A pattern of which everything that can be said was said."""
    pattern, other = net.patterns[0], net.patterns[1]
    first = report(pattern, bad=1)
    await net.say(net[0], report(other), first, report(pattern, bad=2, seen=3))
    await net.say(net[1], report(other, bad=1))
    await net.say(net[1], sighting(name(first), seen=1), report(net.patterns[2]))
    await net.say(net[2], dispute(name(first)))
    await net.say(net[2], withdrawal(name(dispute(name(first)))), report(pattern, day=TODAY - 10))
    await net.say(net[3], dispute(name(first), day=TODAY - 3))
    return pattern


def sealed(lines: Sequence[dict[str, Any]]) -> list[bytes]:
    """Lines as a careful forger writes them: in the right encoding, with the digest that is theirs."""
    written = [msgspec.json.encode(line) + b"\n" for line in lines if line["line"] != "end"]
    end = dict(lines[-1], sha256=hashlib.sha256(b"".join(written)).hexdigest())
    return [*written, msgspec.json.encode(end) + b"\n"]


def opened(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in lines]


def of(lines: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["line"] == kind]


async def network_of(node: Node, subject: str) -> dict[str, Any]:
    async with node.store.read() as connection:
        weighed = await weigh(connection, node.parts, subject, NOW)
    return plain(network_record(weighed.case.network))


async def test_two_nodes_and_none_compute_the_same_integers(net: Founded, tmp_path: Path) -> None:
    pattern = await told(net)
    lines = await exported(net[4], pattern)
    found = await replayed(lines, tmp_path / "none", consortium=net.held.roster.consortium)
    assert (found.difference, found.local_difference, found.same) == (None, None, True)
    assert found.network_here == await network_of(net[0], pattern) == await network_of(net[4], pattern)
    assert (found.network_here["accusing"], found.network_here["withdrawn"]) == (2_609_310, 1)
    assert found.segments == 5
    other = await replayed(await exported(net[1], pattern), tmp_path / "other")
    assert (other.network, other.same) == (found.network, True)
    # What only a node knows is its own, and is judged from the grounds that it gives.
    assert found.local_here is not None
    assert found.local_here.tier == (await why(net[4].parts, pattern, NOW))["local"]["tier"]


async def test_of_a_record_that_does_not_count_the_receipt_says_why(net: Founded) -> None:
    pattern = await told(net)
    records = (await why(net[4].parts, pattern, NOW))["records"]
    found = {(one["member"], one["kind"], one["silent"]) for one in records if not one["counts"]}
    assert found == {
        ("org0", "report", "older"),
        ("org2", "dispute", "withdrawn"),
        ("org2", "withdrawal", "takes_back"),
    }


async def test_of_what_does_not_count_the_answer_lists_the_newest_and_says_how_much_more_there_is(
    net: Founded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ioint_node.flows.why.SILENT_LISTED", 2)
    pattern = net.patterns[0]
    for author, days in ((net[1], (5, 1, 4)), (net[2], (2, 3))):
        await net.say(author, *(report(pattern, day=TODAY - ago, bad=ago) for ago in days))
    hidden = [report(pattern, tlp="red"), report(pattern, tlp="red", bad=1)]
    await net.say(net[3], *hidden, report(pattern, bad=2))
    answer = await why(net[4].parts, pattern, NOW, clearance="green")
    listed = sorted((one["member"], one["day"], one["counts"]) for one in answer["records"])
    assert listed == [
        ("org1", day_text(TODAY - 4), True),
        ("org1", day_text(TODAY - 1), False),
        ("org2", day_text(TODAY - 3), True),
        ("org2", day_text(TODAY - 2), False),
        ("org3", day_text(TODAY), True),
    ]
    assert answer["records_left_out"] == 1
    assert (await why(net[4].parts, pattern, NOW))["records_left_out"] == 3


async def test_what_a_reader_may_not_see_is_not_explained_to_it(net: Founded) -> None:
    pattern = net.patterns[0]
    await net.say(net[1], report(pattern))
    await net.say(net[2], report(pattern, tlp="red"))
    with pytest.raises(NotFoundError):
        await why(net[4].parts, pattern, NOW, clearance="green")
    with pytest.raises(NotFoundError):
        await anext(receipt.export(net[4].parts, pattern, NOW, clearance="green"))


@pytest.mark.parametrize("read_whole", [log.READ_WHOLE, 0])
async def test_what_the_store_says_of_a_subject_is_what_was_heard(
    net: Founded, monkeypatch: pytest.MonkeyPatch, read_whole: int
) -> None:
    monkeypatch.setattr(log, "READ_WHOLE", read_whole)
    pattern = await told(net)
    novel = parse_pattern(
        {**load_catalogue().entries[pattern].pattern, "declared": [min(load_taxonomy().families)]}
    )
    intents = tuple(sorted(load_taxonomy().intents)[:2])
    for author in (net[0], net[1]):
        await net.say(author, report("", pat=novel, intents=intents, bad=2, seen=4), to=(net[4],))
    await net.say(net[1], report("", kind="subject", pat=None, subj="pkg:npm/x", seen=3), to=(net[4],))
    heard = net[4].parts.dossiers.take((pattern, pattern_id(novel), "pkg:npm/x"))
    async with net[4].store.read() as connection:
        stored = await log.said_about(connection, heard)
        monkeypatch.setattr(log, "AUTHOR_RECORDS", 1)
        newest = await log.said_about(connection, heard)
    for subject, dossier in heard.items():
        read = Dossier(subject, stored[subject])
        assert (read.said, read.novel) == (dossier.said, dossier.novel)
        assert Dossier(subject, newest[subject]).said == {a: said[-1:] for a, said in dossier.said.items()}


async def test_a_receipt_holds_no_name_of_an_agent_or_a_session(net: Founded) -> None:
    pattern = net.patterns[0]
    await net[0].history(ordinary=500)
    await net[0].see(pattern, session=f"{CANARY}-s", principal=CANARY)
    await net.say(net[1], report(pattern))
    lines = await exported(net[0], pattern)
    assert CANARY.encode() not in b"".join(lines)
    assert of(opened(lines), "local")[0]["grounds"]["own"]["sessions"] == 1
    alone = opened(await exported(net[0], pattern, with_local=False))
    assert not of(alone, "local")


async def test_a_receipt_of_the_network_part_alone_is_replayed(net: Founded, tmp_path: Path) -> None:
    pattern = await told(net)
    found = await replayed(await exported(net[4], pattern, with_local=False), tmp_path / "x")
    assert (found.same, found.local, found.local_here) == (True, None, None)


async def test_no_forged_receipt_passes(net: Founded, tmp_path: Path) -> None:
    pattern = await told(net)
    lines = opened(await exported(net[4], pattern))
    other = opened(await exported(net[4], net.patterns[1]))
    segments = [number for number, line in enumerate(lines) if line["line"] == "segment"]
    files = [number for number, line in enumerate(lines) if line["line"] == "roster"]
    tried = 0

    async def outcome(forged: list[dict[str, Any]]) -> str:
        nonlocal tried
        tried += 1
        try:
            found = await replayed(sealed(forged), tmp_path / f"forged{tried}")
        except ReceiptError as error:
            return str(error)
        assert not found.same
        return str(found.difference or found.local_difference)

    def changed(number: int, **fields: Any) -> list[dict[str, Any]]:
        return [dict(line, **fields) if at == number else line for at, line in enumerate(lines)]

    def flipped(text: str) -> str:
        middle = len(text) // 2
        return text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]

    for number in segments:
        assert (await outcome(changed(number, wire=flipped(lines[number]["wire"])))).startswith("segment")
        assert "network." in await outcome([*lines[:number], *lines[number + 1 :]])
    for number in files:
        assert "roster" in await outcome(changed(number, body=flipped(lines[number]["body"])))
        assert "roster" in await outcome([*lines[:number], *lines[number + 1 :]])
    assert "network." in await outcome(
        [*lines[: segments[0]], *of(other, "segment"), *lines[segments[-1] + 1 :]]
    )
    first = lines[segments[0]]
    twice = [*lines[: segments[0]], first, first, *lines[segments[1] :]]
    assert "does not go on" in await outcome(twice)
    assert (await outcome(changed(0, consortium="c1" * 32))).startswith("roster: of consortium")
    assert (await outcome(changed(0, roster=2))).startswith("roster: version 1")
    assert (await outcome(changed(0, at=NOW + 400 * 86_400_000))).startswith("roster: it had expired")
    assert "says a day after" in await outcome(changed(0, at=NOW - 20 * 86_400_000))
    assert "network." in await outcome(changed(0, at=NOW + 5 * 86_400_000))
    assert "network." in await outcome(changed(0, subject=net.patterns[1]))
    assert "network." in await outcome(changed(0, subject="ab" * 32))
    assert "more than 214" in await outcome(changed(0, subject="a" * 215))
    assert "is no time" in await outcome(changed(0, at=-1))
    assert "catalogue" in await outcome(changed(0, catalogue="ca" * 32))
    assert "schema" in await outcome(changed(0, schema="ioint.receipt/9"))
    told_network, told_local = of(lines, "network")[0], of(lines, "local")[0]
    at = lines.index(told_network)
    told_network = {**told_network["network"], "score": 99}
    assert "network.score: 99 in the file" in await outcome(changed(at, network=told_network))
    judged = {**told_local["judged"], "effect": 0.3}
    assert "local.effect: 0.3 in the file" in await outcome(changed(at + 1, judged=judged))
    grounds = {**told_local["grounds"], "network": "advisory"}
    assert "local.grounds.network" in await outcome(changed(at + 1, grounds=grounds))
    nobody = {**told_local["grounds"], "network": "unheard of"}
    assert "local" in await outcome(changed(at + 1, grounds=nobody))


async def test_another_consortium_than_the_expected_one_is_refused(net: Founded, tmp_path: Path) -> None:
    lines = await exported(net[4], await told(net))
    with pytest.raises(ReceiptError, match="not " + "c0" * 32):
        await replayed(lines, tmp_path / "x", consortium="c0" * 32)
    fingerprint = net.held.roster.consortium[:32]
    assert (await replayed(lines, tmp_path / "y", consortium=fingerprint)).same


async def test_what_may_not_be_seen_is_not_exported_and_nothing_is_proven(
    net: Founded, tmp_path: Path
) -> None:
    pattern = net.patterns[0]
    secret = report(net.patterns[1], tlp="red")
    await net.say(net[0], report(pattern))
    await net.say(net[1], report(pattern), secret)
    lines = await exported(net[4], pattern, clearance="green")
    assert encode_record(secret) not in b"".join(wire(line) for line in of(opened(lines), "segment"))
    (end,) = of(opened(lines), "end")
    assert (end["complete"], end["omitted"]) == (False, 1)
    assert end["left_out"] == [{"author": net[1].member, "seq": 1, "reason": "label"}]
    found = await replayed(lines, tmp_path / "x")
    assert not found.same
    assert found.closing.omitted == 1


def wire(line: dict[str, Any]) -> bytes:
    return msgspec.convert(line["wire"], bytes)


async def test_what_is_said_of_a_general_pattern_goes_along(net: Founded, tmp_path: Path) -> None:
    above = lineage(load_catalogue(), load_taxonomy())
    special, general = next((name, over) for name in net.patterns if (over := above.general(name)))
    await net.say(net[0], report(special))
    await net.say(net[3], report(special))
    await net.say(net[1], report(general[0], bad=3))
    await net.say(net[2], report(general[0], bad=3), report(net.patterns[-1]))
    await net.say(net[2], dispute(name(report(general[0], bad=3))))
    found = await replayed(await exported(net[4], special), tmp_path / "x")
    assert found.difference is None
    voices = found.network_here["voices"]
    assert [voice["via"] for voice in voices] == ["", general[0], "", ""]
    assert [voice["benign_via"] for voice in voices] == ["", "", general[0], ""]
    assert found.segments == 5


async def test_a_novel_pattern_is_replayed_with_the_entry_that_it_is_a_special_case_of(
    net: Founded, tmp_path: Path
) -> None:
    entry = next(one for one in load_catalogue().entries.values() if "declared" not in one.pattern)
    novel = parse_pattern({**entry.pattern, "declared": [min(load_taxonomy().families)]})
    await net.say(net[0], report("", pat=novel))
    await net.say(net[2], report("", pat=novel))
    await net.say(net[1], report(entry.id, bad=3))
    found = await replayed(await exported(net[4], pattern_id(novel)), tmp_path / "x")
    assert found.difference is None
    assert [voice["via"] for voice in found.network_here["voices"]] == ["", entry.id, ""]


async def test_a_group_that_accuses_very_many_is_counted_again(net: Founded, tmp_path: Path) -> None:
    packages = [f"pkg:npm/p{number}" for number in range(ACCUSED_SUBJECTS)]
    for half in (packages[::2], packages[1::2]):
        said = [report("", kind="subject", pat=None, subj=package, bad=3) for package in half]
        await net.say(net[0], *said, to=(net[4],))
    await net.say(net[0], report(net.patterns[0]), to=(net[4],))
    await net.say(net[1], report(net.patterns[0]), to=(net[4],))
    await conclude_anew(net[4].parts, NOW)
    found = await replayed(await exported(net[4], net.patterns[0]), tmp_path / "x")
    assert found.difference is None
    assert [voice["halvings"] for voice in found.network_here["voices"]] == [1, 0]
    assert found.segments == 4


async def test_a_convicted_member_is_not_heard_and_the_proof_goes_along(net: Founded, tmp_path: Path) -> None:
    pattern = net.patterns[0]
    slander = report(pattern, bad=4)
    await net.say(net[0], slander)
    await net.say(net[1], sighting(name(slander)))
    await net.say(net[2], sighting(name(slander), seen=2))
    kept = dict(net.heads)
    proof = []
    for other in net.patterns[1:3]:
        net.heads = dict(kept)
        proof.append(net.sign(net[0], report(other)))
    await convict(net[4].parts, net[0].member, 2, equivocation_proof(*proof), NOW)
    lines = await exported(net[4], pattern)
    found = await replayed(lines, tmp_path / "x")
    assert found.same
    assert [voice["group"] for voice in found.network_here["voices"]] == ["org1", "org2"]
    unproven = [line for line in opened(lines) if line["line"] != "proof"]
    assert (await replayed(sealed(unproven), tmp_path / "y")).difference is not None


async def test_what_a_removed_member_said_is_there_for_those_who_name_it(
    net: Founded, tmp_path: Path
) -> None:
    pattern = net.patterns[0]
    first = report(pattern, bad=2)
    await net.say(net[0], first)
    await net.say(net[1], sighting(name(first)))
    await net.without(net[0], net[4])
    found = await replayed(await exported(net[4], pattern), tmp_path / "x")
    assert (found.same, found.roster.version, found.segments) == (True, 2, 2)
    assert [voice["group"] for voice in found.network_here["voices"]] == ["org1"]


async def test_a_log_without_its_beginning_is_replayed(net: Founded, tmp_path: Path) -> None:
    pattern = net.patterns[0]
    for other in net.patterns[1:4]:
        await net.say(net[0], report(other))
    await net.say(net[0], report(pattern))
    await net.say(net[0], report(net.patterns[4]))
    await net.say(net[0], report(pattern, bad=1, seen=5))
    found = await replayed(await exported(net[4], pattern), tmp_path / "x")
    assert (found.same, found.segments) == (True, 2)


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_was_said_comes_out_alike_at_every_node(
    net: Founded, tmp_path: Path, seed: int
) -> None:
    """Random statements about two patterns, which each of two nodes hears in an order of its own."""
    draw = random.Random(seed)  # noqa: S311 - a test's choice
    patterns, said = net.patterns[:2], {node.member: list[Record]() for node in net.nodes}
    wires: list[list[bytes]] = [[] for _ in net.nodes]
    for _ in range(40):
        author = draw.randrange(5)
        everything = [one for each in said.values() for one in each]
        mine = said[net[author].member]
        day = TODAY - draw.randrange(34)
        chosen = draw.choice(("report", "report", "sighting", "dispute", "withdrawal"))
        if chosen == "report" or not everything:
            record: Record = report(
                draw.choice(patterns), bad=draw.randrange(6), seen=draw.randrange(8), day=day
            )
        elif chosen == "withdrawal":
            record = withdrawal(name(draw.choice(mine or everything)))
        elif chosen == "dispute":
            record = dispute(name(draw.choice(everything)), day=day)
        else:
            record = sighting(name(draw.choice(everything)), seen=draw.randrange(4), day=day)
        said[net[author].member].append(record)
        wires[author].append(net.sign(net[author], record))
    for node in net.nodes[:2]:
        left = {author: list(each) for author, each in enumerate(wires) if each}
        while left:
            author = draw.choice(sorted(left))
            await net.net.hand(left[author].pop(0), node, net[author])
            left = {author: each for author, each in left.items() if each}
    for number, pattern in enumerate(patterns):
        found = await replayed(await exported(net[0], pattern), tmp_path / f"{number}")
        assert found.difference is None
        assert found.network_here == await network_of(net[1], pattern)


async def test_of_what_nobody_said_anything_there_is_no_receipt(net: Founded) -> None:
    with pytest.raises(NotFoundError, match="nobody has said anything"):
        await exported(net[0], "ab" * 32)


async def test_a_receipt_reads_what_was_said_of_its_subject_and_never_a_whole_table(net: Founded) -> None:
    """By the query plans: a search by an index costs alike whatever else is in the table, and a scan does not."""
    pattern = await told(net)
    node, asked = net[4], set[tuple[str, Any]]()

    def note(_connection: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        asked.add((statement, tuple(values)))

    event.listen(node.store.engine.sync_engine, "before_cursor_execute", note)
    await why(node.parts, pattern, NOW)
    await exported(node, pattern)
    event.remove(node.store.engine.sync_engine, "before_cursor_execute", note)
    selects = [(statement, values) for statement, values in asked if statement.startswith("SELECT")]
    assert len(selects) > 10
    async with node.store.read() as connection:
        for statement, values in selects:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            scanned = [row.detail for row in plan if row.detail.startswith("SCAN ")]
            assert GROWING.isdisjoint(line.split()[1] for line in scanned), (statement, scanned)
