"""What a node believes after it was killed, and on the first minutes of a day: what follows from its logs, no less."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ioint_node.errors import BusyError, RequestError
from ioint_node.flows import effects, receipt
from ioint_node.flows.believe import begin_day, conclude_anew, forget_silent, refresh_all
from ioint_node.flows.why import why
from ioint_node.reputation.anew import COUNTED_EVERY_MS
from ioint_node.reputation.dossier import Dossiers
from ioint_node.reputation.lineage import lineage
from ioint_node.reputation.view import indicator_id
from ioint_node.store import indicators, log, overrides
from ioint_node.store.clearance import LABELS
from ioint_protocol import Pattern, Report, encode_record, parse_pattern, pattern_id, record_id
from ioint_taxonomy import load_catalogue, load_taxonomy

from tests.node.exchange.founded import founded, report, sighting, withdrawal
from tests.node.exchange.said import DAY_MS, NOW, TODAY

Make = Callable[..., Awaitable[Any]]


def killed(node: Any) -> Any:
    """A node whose process ended: whatever waited in memory is gone."""
    return replace(node, parts=replace(node.parts, dossiers=Dossiers()))


def related(node: Any) -> tuple[str, str]:
    """An entry of the catalogue and one that it is a special case of."""
    parts = node.parts
    among = lineage(parts.catalogue, parts.taxonomy)
    entries = sorted(parts.catalogue.entries)
    return next((name, above[0]) for name in entries if (above := among.general(name)))


def special_case(node: Any) -> tuple[str, Pattern, str]:
    """A novel pattern, and the entry that it is a special case of."""
    _, general = related(node)
    entry = parse_pattern(node.parts.catalogue.entries[general].pattern)
    novel = Pattern(declared=entry.declared, gaps=entry.gaps, steps=(*entry.steps, entry.steps[-1]))
    return pattern_id(novel), novel, general


def packages(count: int, old: int = 0) -> list[Report]:
    """Reports of so many packages, the first ones from 29 days ago."""
    return [
        report("", kind="subject", pat=None, subj=f"pkg:pypi/package-{n}", bad=2, day=TODAY - 29 * (n < old))
        for n in range(count)
    ]


async def test_a_withdrawal_of_a_general_pattern_reaches_its_special_case_in_the_same_transaction(
    make: Make,
) -> None:
    net: Any = await founded(await make())
    node = net[4]
    special, general = related(node)
    said = [report(general, bad=2), report(general, bad=2, seen=2, agents=1)]
    for author in (net[0], net[3]):
        await net.say(author, report(special), to=(node,))
    assert node.belief(special).state == "watched"
    for author, one in zip((net[1], net[2]), said, strict=True):
        await net.say(author, one, to=(node,))
    assert node.belief(special).state == "malicious"
    for author, one in zip((net[1], net[2]), said, strict=True):
        await net.say(author, withdrawal(record_id(encode_record(one))), to=(node,))
    back = await killed(node).restarted()
    assert back.belief(special).state == "watched"


async def test_a_restart_leaves_the_special_cases_among_novel_patterns_as_they_were(make: Make) -> None:
    net: Any = await founded(await make())
    node = net[4]
    name, novel, general = special_case(node)
    for author in (net[0], net[3]):
        await net.say(author, report(name, pat=novel), to=(node,))
    for author in (net[1], net[2]):
        await net.say(author, report(general, bad=2), to=(node,))
    await conclude_anew(node.parts, NOW)
    assert node.belief(name).state == "malicious"
    lineage.cache_clear()
    back = await killed(node).restarted()
    before = await back.events("reputation")
    await refresh_all(back.parts, NOW)
    await conclude_anew(back.parts, NOW)
    assert back.belief(name).state == "malicious"
    assert await back.events("reputation") == before


async def test_what_was_switched_on_again_is_in_force_after_a_kill_in_the_middle_of_it(make: Make) -> None:
    net: Any = await founded(await make())
    node, pattern = net[4], net.patterns[0]
    for author in net.nodes[:4]:
        await net.say(author, report(pattern, bad=3), to=(node,))
    await node.history(ordinary=4_000)
    await refresh_all(node.parts, NOW)
    before = node.effect(pattern)
    assert before > 0
    await effects.switch_off(node.parts, reason="a drill", by="soc", until=None, now=NOW)
    assert node.effect(pattern) == 0
    await node.store.write(partial(overrides.remove, subject=overrides.EVERYTHING, kind=overrides.OFF))
    back = await killed(node).restarted()
    await conclude_anew(back.parts, NOW)
    back.parts.beliefs.heard(NOW)
    assert back.effect(pattern) == before


async def test_what_was_believed_before_a_long_absence_is_over_after_it(make: Make) -> None:
    net: Any = await founded(await make())
    node, pattern = net[4], net.patterns[0]
    for author in net.nodes[:4]:
        await net.say(author, report(pattern, bad=3), to=(node,))
    assert node.belief(pattern).state == "malicious"
    later = NOW + 60 * DAY_MS
    back = await killed(node).restarted(later)
    await conclude_anew(back.parts, later)
    assert back.belief(pattern).state == "unknown"
    assert (await back.events("reputation"))[-1].count("unknown") == 1


async def test_a_receipt_made_in_the_first_minutes_of_a_day_replays(make: Make, tmp_path: Path) -> None:
    net: Any = await founded(await make())
    node = net[4]
    await net.say(net[1], *packages(121, old=3), to=(net[3], node))
    for hears in (net[3], node):
        await conclude_anew(hears.parts, NOW)
    subject, midnight = "pkg:pypi/package-7", NOW + DAY_MS
    assert node.belief(subject).accusing == 500_000
    lines = [line async for line in receipt.export(node.parts, subject, midnight, clearance=LABELS[-1])]
    replayed = await receipt.replay(
        iter(lines), tmp_path, taxonomy=load_taxonomy(), catalogue=load_catalogue()
    )
    assert replayed.same
    back = await net[3].restarted(midnight)
    for hears in (back, node):
        await conclude_anew(hears.parts, midnight)
    told = [(await why(one.parts, subject, midnight))["network"]["accusing"] for one in (back, node)]
    assert told == [1_000_000, 1_000_000]


async def test_the_first_that_weighs_on_a_new_day_counts_how_much_everybody_accuses(make: Make) -> None:
    net: Any = await founded(await make())
    node = net[4]
    await net.say(net[1], *packages(121, old=3), to=(node,))
    await conclude_anew(node.parts, NOW)
    assert node.belief("pkg:pypi/package-7").accusing == 500_000
    await begin_day(node.parts, NOW + DAY_MS)
    await conclude_anew(node.parts, NOW + DAY_MS)
    assert node.belief("pkg:pypi/package-7").accusing == 1_000_000


async def test_a_log_is_counted_in_pieces_to_the_same_number(make: Make, monkeypatch: Any) -> None:
    net: Any = await founded(await make())
    await net.say(net[1], *packages(100), to=(net[4],))
    await net.say(net[1], *packages(121), to=(net[4],))
    monkeypatch.setattr(log, "PIECE_RECORDS", 7)
    async with net[4].store.read() as connection:
        assert await log.accused_by(connection, [net[1].member], TODAY) == 121


async def test_a_group_is_counted_at_most_once_an_hour_because_its_records_come_in_another_order(
    make: Make,
) -> None:
    net: Any = await founded(await make())
    node = net[4]
    anew = node.parts.dossiers.anew
    group = net.held.roster.member(net[1].member).group
    for number, pattern in enumerate(net.patterns[:2]):
        named = report(pattern)
        await net.say(net[1], sighting(record_id(encode_record(named))), to=(node,))
        await net.say(net[1], named, to=(node,))
        assert anew.take_uncounted(NOW + number) == ({group} if number == 0 else set())
    assert anew.take_uncounted(NOW + COUNTED_EVERY_MS) == {group}


async def test_a_special_case_has_the_label_of_what_is_said_of_the_general_pattern(make: Make) -> None:
    net: Any = await founded(await make())
    node = net[4]
    special, general = related(node)
    for author in (net[0], net[3]):
        await net.say(author, report(special, tlp="clear"), to=(node,))
    assert node.belief(special).tlp == "clear"
    await net.say(net[1], report(general, bad=2, tlp="green"), to=(node,))
    await net.say(net[2], report(general, bad=2, tlp="amber_strict"), to=(node,))
    assert node.belief(special).tlp == "amber_strict"
    async with node.store.read() as connection:
        row = await indicators.get(connection, indicator_id(special))
    assert row is not None
    assert row["tlp"] == "amber_strict"


async def test_a_switch_off_that_cannot_be_written_down_is_in_force_and_says_so(make: Make) -> None:
    parts = (await make())[4].parts

    async def refused(*_: object, **__: object) -> None:
        raise BusyError("the disk is full")

    with pytest.raises(RequestError):
        await effects.switch_off(parts, reason="a drill", by="soc", until=NOW - 1, now=NOW)
    assert (parts.beliefs.off, await effects.state(parts, NOW)) == (False, None)
    parts.store.write, write = refused, parts.store.write
    with pytest.raises(BusyError):
        await effects.switch_off(parts, reason="a drill", by="soc", until=None, now=NOW)
    parts.store.write = write
    assert (parts.beliefs.off, await effects.state(parts, NOW)) == (True, effects.UNWRITTEN)
    await effects.switch_on(parts, NOW)
    assert (parts.beliefs.off, await effects.state(parts, NOW)) == (False, None)


async def test_of_what_nothing_is_believed_for_longer_than_the_stream_is_kept_nothing_is_left(
    make: Make,
) -> None:
    net: Any = await founded(await make())
    node = net[4]
    await net.say(net[0], *packages(20), to=(node,))
    for days in (31, 46):
        await refresh_all(node.parts, NOW + days * DAY_MS)
        assert await forget_silent(node.parts, NOW + days * DAY_MS, days=30) == 0
    assert {belief.state for belief in node.parts.beliefs.all().values()} == {"unknown"}
    await net.say(net[1], *packages(1), to=(node,))
    assert await forget_silent(node.parts, NOW + 62 * DAY_MS, days=30) == 19
    assert [belief.state for belief in node.parts.beliefs.all().values()] == ["suspicious"]
    back = await killed(node).restarted(NOW + 62 * DAY_MS)
    assert len(back.parts.beliefs.all()) == 1


async def test_what_is_said_of_a_general_pattern_tells_engines_of_special_cases_when_they_act_otherwise(
    make: Make,
) -> None:
    net: Any = await founded(await make(7))
    node = net[6]
    name, novel, general = special_case(node)
    for author in net.nodes[:3]:
        await net.say(author, report(name, pat=novel), to=(node,))
    for author in net.nodes[:5]:
        await net.say(author, report(general, bad=2), to=(node,))
    await conclude_anew(node.parts, NOW)
    before = node.belief(name)
    told = await node.events("reputation")
    await net.say(net[5], report(general), to=(node,))
    await conclude_anew(node.parts, NOW)
    after = node.belief(name)
    assert (after.tier, after.state, after.effect) == (before.tier, before.state, before.effect)
    assert after.accusing > before.accusing
    new = (await node.events("reputation"))[len(told) :]
    assert [name in body for body in new] == [False]
