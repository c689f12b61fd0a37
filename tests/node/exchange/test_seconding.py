"""What a node says of what was said before: refreshing, seconding, and speaking for everyday work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from ioint_node.flows.believe import conclude_anew
from ioint_node.flows.journal import LocalSighting
from ioint_node.flows.opinions import confirm_pattern, confirm_subject, dispute_pattern, withdraw_pattern
from ioint_node.flows.preview import preview
from ioint_node.flows.publish import decide, flush, propose
from ioint_node.flows.seconding import second, speak_for_everyday
from ioint_node.reputation.standpoint import Standpoint
from ioint_node.scoring.values import Verdict
from ioint_node.store import outgoing, overrides
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.schema import sessions
from ioint_node.store.times import to_text
from ioint_protocol import (
    Dispute,
    Record,
    Report,
    Ruling,
    Sighting,
    Unread,
    decode_record,
    encode_record,
    parse_pattern,
    parse_segment,
    pattern_id,
    record_id,
)
from sqlalchemy import insert

from tests.node.exchange import said
from tests.node.exchange.said import chain

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000
SUBJECT = "pkg:npm/left-pad"
NOVEL = parse_pattern(
    {"gaps": 1, "steps": [{"r": ["secret"], "v": ["read"]}, {"f": [0], "v": ["send"], "x": 1}]}
)


async def told(node: Any) -> list[Record]:
    """The records in this node's own log, in their order."""
    bodies = [body for wire in await node.own_wires() for body in parse_segment(wire).bodies]
    return [record for record in map(decode_record, bodies) if not isinstance(record, Unread)]


async def rows(node: Any, state: str) -> Sequence[Outgoing]:
    async with node.store.read() as connection:
        found, _ = await outgoing.list_outgoing(connection, 500, state=state)
    return tuple(found)


async def left_scope(
    node: Any, pattern: str, *, session: str = "s1", now: int = NOW, departed: bool = True
) -> None:
    """A session left its scope and completed a pattern; it is not sure enough to be reported by itself."""
    await node.see(pattern, session=session, day=now // DAY_MS)
    sighting = LocalSighting(
        patterns=(pattern,),
        confirmed=False,
        verdict=Verdict.OUT_OF_SCOPE,
        session_id=session,
        actor="a",
        session_risk=0.7,
        intents=(),
        at=now,
        departed=departed,
    )
    await node.store.write(lambda connection: propose(connection, node.parts, sighting, now))
    await flush(node.parts, now)


async def test_a_session_that_left_its_scope_seconds_what_another_group_reports(make: Make) -> None:
    net = await make(4)
    first, other = net[0], net[1]
    pattern = net.patterns[0]
    await first.find_bad(pattern)
    await net.deliver()
    await left_scope(other, pattern)
    await net.deliver()

    (report,) = await told(first)
    (sighting,) = await told(other)
    assert isinstance(report, Report)
    assert isinstance(sighting, Sighting)
    assert (sighting.seen, sighting.day) == (0, TODAY)
    assert {node.belief(pattern).groups for node in net.nodes} == {2}


@pytest.mark.parametrize("answer", ["allowed", "disputed", "a canary"])
async def test_what_a_person_here_speaks_for_is_not_reported_by_the_node_itself(
    make: Make, answer: str
) -> None:
    net = await make(4)
    pattern, viewer = net.patterns[0], net[1]
    await net[0].find_bad(pattern)
    await net.deliver()
    if answer == "allowed":
        await viewer.store.write(
            partial(
                overrides.put,
                subject=pattern,
                kind="allow",
                reason="r",
                by="x",
                expires=NOW + DAY_MS,
                now=NOW,
            )
        )
    elif answer == "disputed":
        await dispute_pattern(viewer.parts, pattern, reason="false_positive", by="token:x", now=NOW)
    else:
        viewer.parts = replace(viewer.parts, standpoint=Standpoint(canaries=frozenset({pattern})))
    await viewer.find_bad(pattern)
    assert [record for record in await told(viewer) if not isinstance(record, Dispute)] == []
    await confirm_pattern(viewer.parts, pattern, by="token:x", now=NOW)
    assert isinstance((await told(viewer))[-1], Report)  # a person may still say so


@pytest.mark.parametrize("changed", [{"second": False}, {"publish_mode": "off"}])
async def test_nothing_is_seconded_where_the_operator_does_not_want_it(
    make: Make, changed: dict[str, Any]
) -> None:
    net = await make(4)
    await net[0].find_bad(net.patterns[0])
    await net.deliver()
    net[1].parts = replace(net[1].parts, **changed)
    await left_scope(net[1], net.patterns[0])

    assert await told(net[1]) == []


async def test_a_report_that_was_judged_false_is_not_seconded(make: Make) -> None:
    net = await make(4)
    first, other = net[0], net[1]
    await first.find_bad(net.patterns[0])
    await net.deliver()
    (report,) = await told(first)
    roster = other.parts.roster()
    author = next(one.id for one in roster.members if one.name == first.name)
    ruling = Ruling(kind="false", author=author, of=record_id(encode_record(report)), day=TODAY)
    judged = replace(roster, rulings=(ruling,))
    other.parts = replace(other.parts, roster=lambda: judged)
    await left_scope(other, net.patterns[0])

    assert await told(other) == []


async def test_a_report_of_every_pattern_is_answered_on_as_many_as_a_group_may_act_on_in_a_week(
    make: Make,
) -> None:
    net = await make(5)
    asked, (wire,) = net[4], chain(net, net[0], [said.report(pattern) for pattern in net.patterns])
    for number, pattern in enumerate(net.patterns[3:9]):
        await asked.see(pattern, session=f"s{number}", judged="flagged")
    await net.hand(wire, asked, net[0])
    await conclude_anew(asked.parts, NOW)
    assert {asked.belief(pattern).groups for pattern in net.patterns} == {1}
    assert await second(asked.parts, NOW) == asked.parts.params.first_reports - 3


async def test_a_group_that_is_new_here_gets_no_answer_in_its_first_week(make: Make) -> None:
    net = await make(5)
    asked, pattern = net[4], net.patterns[0]
    member = net.roster.member(net[0].member)
    members = tuple(replace(one, since=2) if one is member else one for one in net.roster.members)
    roster = replace(net.roster, version=2, members=members)
    asked.parts = replace(asked.parts, roster=lambda: roster)
    await asked.see(pattern, session="s", judged="flagged")
    (wire,) = chain(net, net[0], [said.report(pattern)])
    await net.hand(wire, asked, net[0])
    assert await second(asked.parts, NOW) == 0
    asked.parts.standpoint.since = {member.group: TODAY - asked.parts.params.shadow_days}
    assert await second(asked.parts, NOW) == 1


async def test_what_nobody_else_reports_is_not_told_by_a_session_that_is_not_confirmed(make: Make) -> None:
    net = await make(4)
    await left_scope(net[1], net.patterns[0])

    assert await told(net[1]) == []


async def test_a_session_that_a_person_answered_for_seconds_nothing(make: Make) -> None:
    net = await make(4)
    await net[0].find_bad(net.patterns[0])
    await net.deliver()
    await left_scope(net[1], net.patterns[0], departed=False)

    assert await told(net[1]) == []


async def test_a_preview_shows_the_sighting_that_a_session_would_make_leave(make: Make) -> None:
    net = await make(4)
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    await net[1].see(pattern, session="s1")
    session = {
        "id": "s1",
        "actor": "a",
        "declaration": "{}",
        "family": "research",
        "family_confidence": 0.9,
        "envelope": "{}",
        "state": "open",
        "verdict": "out_of_scope",
        "risk": 0.7,
        "actions": 1,
        "opened_at": to_text(NOW),
        "updated_at": to_text(NOW),
    }
    await net[1].store.write(lambda connection: connection.execute(insert(sessions).values(session)))
    (draft,) = await preview(net[1].parts, "s1", NOW, sure=0.9)

    assert (draft["state"], draft["pattern"]) == ("ready", pattern)
    assert [leaf["field"] for leaf in draft["fields"]] == ["day", "of", "seen", "v"]


async def test_what_was_met_before_the_report_came_is_seconded_when_it_comes(make: Make) -> None:
    net = await make(4)
    met, ordinary = net.patterns[:2]
    await net[1].see(met, session="s1", day=TODAY - 20, judged="flagged")
    await net[1].see(ordinary, session="s2", day=TODAY - 20, judged="benign")
    assert await second(net[1].parts, NOW) == 0
    for pattern in (met, ordinary):
        await net[0].find_bad(pattern, session=pattern)
    await net.deliver()

    assert await second(net[1].parts, NOW) == 1
    await flush(net[1].parts, NOW)
    assert [type(one) for one in await told(net[1])] == [Sighting]
    assert await second(net[1].parts, NOW) == 0


async def test_a_pattern_is_seconded_again_only_when_the_count_has_doubled(make: Make) -> None:
    net = await make(4)
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    for number in range(5):
        await net[1].see(pattern, session=f"s{number}", judged="flagged")
        await second(net[1].parts, NOW)
        await flush(net[1].parts, NOW)

    assert [one.seen for one in await told(net[1]) if isinstance(one, Sighting)] == [0, 1, 2]


async def test_what_a_person_here_disputed_is_not_seconded(make: Make) -> None:
    net = await make(4)
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    await dispute_pattern(net[1].parts, pattern, reason="expected_use", by="p", now=NOW)
    await left_scope(net[1], pattern)

    assert [type(one) for one in await told(net[1])] == [Dispute]


@pytest.mark.parametrize("kind", ["allow", "mute"])
async def test_what_a_person_here_holds_for_no_warning_is_not_seconded(make: Make, kind: str) -> None:
    net = await make(4)
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    await net[1].store.write(
        lambda c: overrides.put(
            c, subject=pattern, kind=kind, reason="r", by="p", expires=NOW + DAY_MS, now=NOW
        )
    )
    await left_scope(net[1], pattern)

    assert await told(net[1]) == []


async def test_a_report_that_was_taken_back_is_not_seconded(make: Make) -> None:
    net = await make(4)
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    await withdraw_pattern(net[0].parts, pattern, reason="mistake", by="p", now=NOW)
    await net.deliver()
    await left_scope(net[1], pattern)

    assert await told(net[1]) == []


async def test_what_ordinary_work_completes_is_not_seconded(make: Make) -> None:
    net = await make(4)
    pattern = net.patterns[0]
    await net[1].history(ordinary=3_000)
    for number in range(20):
        await net[1].see(pattern, session=f"o{number}", day=TODAY - 3, judged="benign")
    await net[0].find_bad(pattern)
    await net.deliver()
    await left_scope(net[1], pattern)

    assert await told(net[1]) == []


@pytest.mark.parametrize(("ordinary", "seconded"), [(100, False), (10_000, True)])
async def test_only_what_passes_the_own_gate_is_seconded(
    make: Make, ordinary: int, *, seconded: bool
) -> None:
    net = await make(4)
    pattern = net.patterns[0]
    await net[1].history(ordinary=ordinary)
    await net[1].see(pattern, session="ordinary", day=TODAY - 3, judged="benign")
    await net[0].find_bad(pattern)
    await net.deliver()
    await left_scope(net[1], pattern)

    assert bool(await told(net[1])) is seconded


async def test_a_novel_pattern_that_was_matched_for_no_day_yet_is_not_seconded(make: Make) -> None:
    net = await make(4)
    novel_id = pattern_id(NOVEL)
    for number in range(5):
        await net[1].see(novel_id, session=f"s{number}", principal=f"{number:032x}", judged="flagged")
    body = encode_record(
        Report(
            tax=net[0].parts.taxonomy.version,
            kind="pattern",
            pat=NOVEL,
            intents=(),
            basis="threshold",
            bad=0,
            seen=0,
            agents=0,
            day_from=TODAY,
            day_until=TODAY,
            det="de" * 32,
            tlp="green",
        )
    )
    await net.hand(net.sign(net[0], 1, "", [body]), net[1], net[0])

    assert net[1].belief(novel_id).accusers == ("org0",)
    assert await second(net[1].parts, NOW) == 0


async def test_under_hold_a_person_sees_the_bytes_of_a_sighting_and_lets_it_leave(make: Make) -> None:
    net = await make(4)
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    net[1].parts = replace(net[1].parts, publish_mode="hold")
    await left_scope(net[1], pattern)
    await second(net[1].parts, NOW)
    (held,) = await rows(net[1], "held")

    assert (held.kind, held.subject, held.tlp) == ("sighting", pattern, "green")
    assert {leaf["field"] for leaf in held.explain} == {"day", "of", "seen", "v"}
    assert await told(net[1]) == []
    await decide(net[1].parts, held.id, True, "token:t", NOW)
    assert [type(one) for one in await told(net[1])] == [Sighting]


async def test_what_is_still_met_is_kept_fresh_once_a_week(make: Make) -> None:
    net = await make(4)
    node, pattern = net[0], net.patterns[0]
    for day in range(29):
        await node.see(pattern, session="again", day=TODAY + day)
        await node.find_bad(pattern, session="again", now=NOW + day * DAY_MS)
        await flush(node.parts, NOW + day * DAY_MS + DAY_MS // 4)
    said = await told(node)

    assert isinstance(said[0], Report)
    assert [one.day - TODAY for one in said[1:] if isinstance(one, Sighting)] == [7, 14, 21, 28]
    assert {row.category for row in await rows(node, "left")} == {"catalogue", "refresh"}


async def test_a_month_after_the_report_the_next_one_leaves_although_sightings_kept_it_fresh(
    make: Make,
) -> None:
    net = await make(4)
    node, pattern = net[0], net.patterns[0]
    for day in (0, 10, 20, 29, 30):
        await node.find_bad(pattern, session=f"s{day}", now=NOW + day * DAY_MS)
        await flush(node.parts, NOW + day * DAY_MS + DAY_MS // 4)

    assert [type(one) for one in await told(node)][-1] is Report


async def test_what_was_taken_back_is_not_kept_fresh(make: Make) -> None:
    net = await make(4)
    node, pattern = net[0], net.patterns[0]
    await node.find_bad(pattern)
    await withdraw_pattern(node.parts, pattern, reason="mistake", by="p", now=NOW)
    before = len(await told(node))
    await node.find_bad(pattern, session="s2", now=NOW + 10 * DAY_MS)
    await flush(node.parts, NOW + 11 * DAY_MS)

    assert len(await told(node)) == before


async def everyday(node: Any, subject: str, *, sessions: int = 20, people: int = 5) -> None:
    for number in range(sessions):
        await node.see(
            subject,
            session=f"{subject}-{number}",
            principal=f"{number % people:032x}",
            day=TODAY - 1,
            judged="benign",
        )


async def test_everyday_work_is_spoken_for_where_the_operator_wants_it(make: Make) -> None:
    net = await make(4)
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    await everyday(net[1], pattern)
    assert await speak_for_everyday(net[1].parts, NOW) == 0
    net[1].parts = replace(net[1].parts, benign_voices=True)

    assert await speak_for_everyday(net[1].parts, NOW) == 1
    await flush(net[1].parts, NOW)
    (dispute,) = await told(net[1])
    assert isinstance(dispute, Dispute)
    assert dispute.reason == "expected_use"
    assert await speak_for_everyday(net[1].parts, NOW + 13 * DAY_MS) == 0
    assert await speak_for_everyday(net[1].parts, NOW + 14 * DAY_MS) == 1


@pytest.mark.parametrize(("sessions", "people", "flagged"), [(13, 5, False), (20, 4, False), (20, 5, True)])
async def test_what_is_not_clean_everyday_work_of_five_people_is_not_spoken_for(
    make: Make, sessions: int, people: int, *, flagged: bool
) -> None:
    net = await make(4)
    pattern = net.patterns[0]
    await net[0].find_bad(pattern)
    await net.deliver()
    await everyday(net[1], pattern, sessions=sessions, people=people)
    if flagged:
        await net[1].see(pattern, session="bad", judged="flagged")
    net[1].parts = replace(net[1].parts, benign_voices=True)

    assert await speak_for_everyday(net[1].parts, NOW) == 0


async def test_nobody_speaks_for_what_nobody_accuses(make: Make) -> None:
    net = await make(4)
    net[1].parts = replace(net[1].parts, benign_voices=True)
    await everyday(net[1], net.patterns[0])

    assert await speak_for_everyday(net[1].parts, NOW) == 0


async def test_a_package_in_daily_use_is_spoken_for_and_under_hold_a_person_is_asked(make: Make) -> None:
    net = await make(4)
    for number in range(4):
        await net[0].see(SUBJECT, session=f"bad{number}", judged="flagged")
    net[0].parts = replace(net[0].parts, public_names=frozenset({SUBJECT}))
    await confirm_subject(net[0].parts, SUBJECT, intents=(), exact=False, by="p", now=NOW)
    (report,) = await told(net[0])
    await net.deliver()
    net[1].parts = replace(net[1].parts, benign_voices=True, publish_mode="hold")
    await everyday(net[1], SUBJECT)

    assert isinstance(report, Report)
    assert (report.bad, report.seen) == (2, 2)
    assert await speak_for_everyday(net[1].parts, NOW) == 0
    (held,) = await rows(net[1], "held")
    await decide(net[1].parts, held.id, True, "token:t", NOW)
    assert [type(one) for one in await told(net[1])] == [Dispute]


async def test_a_subject_is_never_seconded_by_itself(make: Make) -> None:
    net = await make(4)
    for node in (net[0], net[1]):
        for number in range(4):
            await node.see(SUBJECT, session=f"bad{number}", judged="flagged")
    net[0].parts = replace(net[0].parts, public_names=frozenset({SUBJECT}))
    await confirm_subject(net[0].parts, SUBJECT, intents=(), exact=False, by="p", now=NOW)
    await net.deliver()

    assert await second(net[1].parts, NOW) == 0
    assert await told(net[1]) == []
