"""From a confirmed session that no pattern names to a report, and to the next catalogue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ioint_node.cli.indicators import catalogue_entries
from ioint_node.flows.journal import LocalSighting
from ioint_node.flows.novel import candidates, look_at_cases, watch_own
from ioint_node.flows.paths import path_text
from ioint_node.flows.publish import flush, propose
from ioint_node.scoring.values import Verdict
from ioint_node.store import novel, outgoing
from ioint_node.store.schema import novel_cases
from ioint_protocol import Pattern, Report, decode_record, parse_segment, pattern_id
from ioint_taxonomy import Step
from sqlalchemy import select

Make = Callable[..., Awaitable[Any]]
TODAY = 20_000
NOW = TODAY * 86_400_000 + 36_000_000
HOUR_MS = 3_600_000
FAMILY = (("research", 1.0),)
READ = Step(verb="read", resource="hr_record", sensitivity="restricted", boundary="organisation")
LIST = Step(verb="list", resource="file", sensitivity="internal", boundary="organisation")
SEND = Step(
    verb="send",
    resource="email",
    sensitivity="restricted",
    boundary="external",
    provenance="tool_output",
    flow=(1,),
)
INCIDENT = path_text(FAMILY, (LIST, READ, SEND), (False, True, True))
ORDINARY = path_text(FAMILY, (LIST, READ), (False, False))


async def ordinary(node: Any, sessions: int, path: str = ORDINARY) -> None:
    """So many ordinary sessions took this path lately."""

    async def write(connection: Any) -> None:
        for number in range(sessions):
            await novel.add_path(connection, f"ordinary-{len(path)}-{number}", TODAY - 2, path)

    await node.store.write(write)


async def incident(node: Any, person: int, path: str = INCIDENT) -> None:
    """A confirmed session of a person completed no pattern that has a name."""
    sighting = LocalSighting(
        patterns=(),
        confirmed=True,
        verdict=Verdict.OUT_OF_SCOPE,
        session_id=f"s{person}",
        actor=f"agent-{person}",
        session_risk=0.99,
        intents=(),
        at=NOW,
        principal=f"{person:032x}",
        step=2,
        path=path,
    )
    await node.store.write(lambda connection: propose(connection, node.parts, sighting, NOW))
    await look_at_cases(node.parts, NOW)


async def waiting(node: Any) -> list[tuple[str, str]]:
    async with node.store.read() as connection:
        found, _ = await outgoing.list_outgoing(connection, 100)
    return [(row.state, row.category) for row in found]


async def said(node: Any) -> list[Pattern]:
    bodies = [body for wire in await node.own_wires() for body in parse_segment(wire).bodies]
    reports = [record for record in map(decode_record, bodies) if isinstance(record, Report)]
    return [report.pat for report in reports if isinstance(report.pat, Pattern)]


async def test_an_incident_without_a_name_waits_until_five_people_met_it(make: Make) -> None:
    node = (await make())[0]
    await ordinary(node, 2_000)
    for person in range(4):
        await incident(node, person)
    assert {state for state, _ in await waiting(node)} == {"held", "refused"}
    await incident(node, 4)
    assert ("ready", "novel") in await waiting(node)
    assert await flush(node.parts, NOW + 2 * HOUR_MS) == 1
    assert len(await said(node)) == 1


async def test_what_leaves_holds_words_of_the_taxonomy_alone(make: Make) -> None:
    node = (await make())[0]
    await ordinary(node, 2_000)
    for person in range(5):
        await incident(node, person)
    await flush(node.parts, NOW + 2 * HOUR_MS)
    (pattern,) = await said(node)
    words = {word for step in pattern.steps for word in (*step.verbs, *step.resources)}
    known = {*node.parts.taxonomy.verbs, *node.parts.taxonomy.resources}
    groups = {f"@{name}" for name in (*node.parts.taxonomy.effect_classes, *node.parts.taxonomy.groups)}
    assert words <= known | groups


async def test_what_ordinary_work_does_as_often_is_refused(make: Make) -> None:
    node = (await make())[0]
    await ordinary(node, 1_000)
    await ordinary(node, 50, INCIDENT)
    await incident(node, 0)
    async with node.store.read() as connection:
        (reason,) = (await connection.execute(select(novel_cases.c.reason))).scalars()
    assert await waiting(node) == []
    assert "of 1050 ordinary sessions" in reason


async def test_a_special_case_of_what_was_named_is_counted_there(make: Make) -> None:
    node = (await make())[0]
    await ordinary(node, 2_000)
    await incident(node, 0)
    longer = path_text(FAMILY, (LIST, READ, SEND, LIST), (False, True, True, False))
    await incident(node, 1, longer)
    async with node.store.read() as connection:
        assert len(await novel.own_patterns(connection)) == 1


async def test_a_pattern_that_two_groups_report_is_a_candidate_with_its_rate(make: Make) -> None:
    net = await make()
    for node in net.nodes[:2]:
        await ordinary(node, 2_000)
        for person in range(5):
            await incident(node, person)
        await flush(node.parts, NOW + 2 * HOUR_MS)
    await net.deliver()
    await ordinary(net[4], 500)
    (found,) = await candidates(net[4].parts, "red", NOW)
    assert (found["groups"], found["base"]["matches"], found["base"]["sessions"]) == (2, 0, 500)
    (entry,) = catalogue_entries([found])
    assert pattern_id(entry["pattern"]) == entry["id"] == found["id"]


async def test_a_candidate_is_not_shown_above_the_readers_clearance(make: Make) -> None:
    net = await make()
    for node in net.nodes[:2]:
        await ordinary(node, 2_000)
        for person in range(5):
            await incident(node, person)
        await flush(node.parts, NOW + 2 * HOUR_MS)
    await net.deliver()
    assert await candidates(net[4].parts, "clear", NOW) == []


async def test_what_was_named_here_is_matched_from_then_on_also_after_a_restart(make: Make) -> None:
    node = (await make())[0]
    await ordinary(node, 2_000)
    await incident(node, 0)
    async with node.store.read() as connection:
        (name,) = await novel.own_patterns(connection)
    assert set(node.parts.beliefs.patterns()) == {name}
    again = await node.restarted()
    await watch_own(again.parts)
    assert set(again.parts.beliefs.patterns()) == {name}
