"""What leaves, when, and at whose word: the gate as a node runs it, with its rows and its clock."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from ioint_node.errors import ConflictError, RequestError
from ioint_node.flows.journal import LocalSighting
from ioint_node.flows.opinions import confirm_pattern, confirm_subject, fingerprints, withdraw_pattern
from ioint_node.flows.publish import decide, flush, propose
from ioint_node.privacy.fingerprints import FingerprintKey
from ioint_node.scoring.values import Verdict
from ioint_node.store import novel, outgoing, standing
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.times import from_text
from ioint_protocol import Report, decode_record, parse_pattern, parse_segment, pattern_id
from ioint_taxonomy import load_taxonomy

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000
NOVEL = parse_pattern(
    {"gaps": 1, "steps": [{"r": ["secret"], "v": ["read"]}, {"f": [0], "v": ["send"], "x": 1}]}
)
SUBJECT = "pkg:npm/left-pad@1.3.9"


async def rows(node: Any, state: str | None = None) -> Sequence[Outgoing]:
    async with node.store.read() as connection:
        found, _ = await outgoing.list_outgoing(connection, 500, state=state)
    return tuple(found)


async def told(node: Any) -> list[Report]:
    """The reports in this node's own log, in their order."""
    bodies = [body for wire in await node.own_wires() for body in parse_segment(wire).bodies]
    return [record for record in map(decode_record, bodies) if isinstance(record, Report)]


async def met(node: Any, pattern: str, session: str, now: int = NOW) -> None:
    """A confirmed session completed a pattern; what is due leaves."""
    sighting = LocalSighting(
        patterns=(pattern,),
        confirmed=True,
        verdict=Verdict.OUT_OF_SCOPE,
        session_id=session,
        actor="a",
        session_risk=0.99,
        intents=(),
        at=now,
    )
    await node.store.write(lambda connection: propose(connection, node.parts, sighting, now))
    await flush(node.parts, now)


async def knows_novel(node: Any) -> str:
    """The node has named a novel pattern of its own."""
    await node.store.write(lambda connection: novel.add_pattern(connection, NOVEL, NOW))
    return pattern_id(NOVEL)


async def bad_sessions(node: Any, pattern: str, people: int, *, agents: int = 1) -> None:
    """Each of these people, or the same one where it is 1, was behind sessions of so many agents that were bad."""
    for person in range(people):
        for agent in range(agents):
            await node.see(
                pattern,
                session=f"{person}-{agent}",
                actor=f"agent-{person}-{agent}",
                principal=f"{person:032x}",
                judged="flagged",
            )


async def test_a_novel_pattern_of_five_people_leaves_in_its_slot(make: Make) -> None:
    node = (await make())[0]
    pattern = await knows_novel(node)
    await bad_sessions(node, pattern, 5)
    await met(node, pattern, "0-0")
    assert await told(node) == []
    assert await flush(node.parts, NOW + 2 * HOUR_MS) == 1
    assert (await told(node))[0].pat == NOVEL


async def test_one_person_with_fifty_agents_is_one_person(make: Make) -> None:
    node = (await make())[0]
    pattern = await knows_novel(node)
    await bad_sessions(node, pattern, 1, agents=50)
    await met(node, pattern, "0-0")
    (held,) = await rows(node)
    assert (held.state, "1 people" in held.reason) == ("held", True)
    assert next(leaf["value"] for leaf in held.explain if leaf["field"] == "agents") == 0


async def test_people_whose_sessions_were_not_bad_do_not_make_five(make: Make) -> None:
    node = (await make())[0]
    pattern = await knows_novel(node)
    await bad_sessions(node, pattern, 4)
    for person in range(4, 9):
        await node.see(pattern, session=f"good-{person}", principal=f"{person:032x}", judged="benign")
    await met(node, pattern, "0-0")
    assert {row.state for row in await rows(node)} <= {"held", "refused"}


async def test_an_operator_who_sees_the_bytes_lets_a_novel_pattern_leave_in_its_slot(make: Make) -> None:
    node = (await make())[0]
    pattern = await knows_novel(node)
    await bad_sessions(node, pattern, 1)
    await met(node, pattern, "0-0")
    (held,) = await rows(node)
    decided = await decide(node.parts, held.id, True, "token:t", NOW)
    assert (decided["state"], decided["decided_by"]) == ("ready", "token:t")
    assert from_text(decided["not_before"]) > NOW
    assert await told(node) == []
    assert await flush(node.parts, NOW + 2 * HOUR_MS) == 1


async def test_an_analyst_who_asks_for_a_novel_pattern_of_one_waits_for_an_operator(make: Make) -> None:
    node = (await make())[0]
    pattern = await knows_novel(node)
    await bad_sessions(node, pattern, 1)
    said = await confirm_pattern(node.parts, pattern, by="token:analyst", now=NOW)
    assert said.state == "held"
    assert await flush(node.parts, NOW + 2 * HOUR_MS) == 0


async def test_the_drawn_delay_holds_across_a_restart(make: Make) -> None:
    net = await make()
    node = net[0]
    pattern = await knows_novel(node)
    await bad_sessions(node, pattern, 5)
    await met(node, pattern, "0-0")
    (ready,) = await rows(node, "ready")
    again = await node.restarted()
    changed = replace(again, parts=replace(again.parts, draw=lambda below: 0))
    assert await flush(changed.parts, from_text(ready.not_before) - 1) == 0
    assert await flush(changed.parts, from_text(ready.not_before)) == 1


async def test_a_newer_count_takes_the_place_of_one_that_waits_for_its_slot(make: Make) -> None:
    node = (await make())[0]
    pattern = await knows_novel(node)
    await bad_sessions(node, pattern, 5)
    await met(node, pattern, "0-0")
    await bad_sessions(node, pattern, 9)
    await met(node, pattern, "0-0")
    assert await flush(node.parts, NOW + 3 * HOUR_MS) == 1
    assert [report.bad for report in await told(node)] == [3]


async def test_a_person_is_asked_once_until_the_count_doubles(make: Make) -> None:
    node = (await make(mode="hold"))[0]
    pattern = min(node.parts.catalogue.entries)
    for number in range(3):
        await node.see(pattern, session=f"s{number}", judged="flagged")
        await met(node, pattern, f"s{number}")
    assert [row.state for row in await rows(node)].count("held") == 1
    (held,) = await rows(node, "held")
    await decide(node.parts, held.id, False, "token:t", NOW)
    await met(node, pattern, "s2")
    assert await rows(node, "held") == ()


async def test_over_random_months_no_count_is_said_twice(make: Make) -> None:
    node = (await make())[0]
    pattern = min(node.parts.catalogue.entries)
    draw = random.Random(7)  # noqa: S311 - a history, no secret
    now = NOW
    for number in range(40):
        now += draw.randrange(2 * DAY_MS)
        await node.see(pattern, session=f"s{number}", day=now // DAY_MS, judged="flagged")
        await met(node, pattern, f"s{number}", now)
    left = [row for row in reversed(await rows(node, "left")) if row.left_at and row.kind == "report"]
    for earlier, later in itertools.pairwise(left):
        if from_text(later.left_at or "") - from_text(earlier.left_at or "") < 29 * DAY_MS:
            assert _bad(later) > _bad(earlier)
    assert len(left) >= 3


def _bad(row: Outgoing) -> int:
    return int(next(leaf["value"] for leaf in row.explain if leaf["field"] == "bad"))


async def test_off_lets_nothing_leave_that_was_ready_before(make: Make) -> None:
    node = (await make())[0]
    pattern = await knows_novel(node)
    await bad_sessions(node, pattern, 5)
    await met(node, pattern, "0-0")
    off = replace(node, parts=replace(node.parts, publish_mode="off"))
    assert await flush(off.parts, NOW + DAY_MS) == 0
    assert await flush(node.parts, NOW + DAY_MS) == 1


async def give(node: Any, **scope: str) -> str:
    ((name, value),) = scope.items()
    made = await node.store.write(
        lambda connection: standing.give(
            connection, scope=name, value=value, reason="routine", by="token:admin", days=30, now=NOW
        )
    )
    return str(made.id)


@pytest.mark.parametrize("scope", ["pattern", "intent", "layer", "category"])
async def test_what_a_class_approval_covers_leaves_under_hold_and_says_by_which(
    make: Make, scope: str
) -> None:
    node = (await make(mode="hold"))[0]
    entry = min(node.parts.catalogue.entries.values(), key=lambda one: one.id)
    intent = entry.intents[0]
    values = {
        "pattern": entry.id,
        "intent": intent,
        "layer": load_taxonomy().intents[intent].layer,
        "category": "catalogue",
    }
    approval = await give(node, **{scope: values[scope]})
    await node.see(entry.id, session="s", judged="flagged")
    await met(node, entry.id, "s")
    (left,) = await rows(node, "left")
    assert left.decided_by == f"standing:{approval}"


async def test_a_revoked_approval_lets_nothing_leave_and_stays_listed(make: Make) -> None:
    node = (await make(mode="hold"))[0]
    approval = await give(node, category="catalogue")
    await node.store.write(lambda c: standing.revoke(c, approval, by="token:other", now=NOW))
    pattern = min(node.parts.catalogue.entries)
    await met(node, pattern, "s")
    assert [row.state for row in await rows(node)] == ["held"]
    async with node.store.read() as connection:
        (kept,), _ = await standing.listed(connection, 10)
    assert (kept.by, kept.revoked_by) == ("token:admin", "token:other")


async def test_an_operator_may_give_another_label_at_approval(make: Make) -> None:
    node = (await make(mode="hold"))[0]
    await met(node, min(node.parts.catalogue.entries), "s")
    (held,) = await rows(node, "held")
    decided = await decide(node.parts, held.id, True, "token:t", NOW, label="amber_strict")
    (report,) = await told(node)
    assert (report.tlp, decided["tlp"], decided["id"] != held.id) == ("amber_strict", "amber_strict", True)


async def test_what_was_said_meanwhile_cannot_be_approved_again(make: Make) -> None:
    node = (await make(mode="hold"))[0]
    pattern = min(node.parts.catalogue.entries)
    await node.see(pattern, session="s", judged="flagged")
    await met(node, pattern, "s")
    (held,) = await rows(node, "held")
    await confirm_pattern(node.parts, pattern, by="token:t", now=NOW)
    with pytest.raises(ConflictError):
        await decide(node.parts, held.id, True, "token:t", NOW)
    assert len(await told(node)) == 1


async def test_a_withdrawal_leaves_at_once_and_silences_the_pattern(make: Make) -> None:
    node = (await make())[0]
    pattern = min(node.parts.catalogue.entries)
    await node.see(pattern, session="s", judged="flagged")
    await met(node, pattern, "s")
    await withdraw_pattern(node.parts, pattern, reason="mistake", by="token:t", now=NOW)
    for number in range(9):
        await node.see(pattern, session=f"more-{number}", judged="flagged")
    await met(node, pattern, "more-1", NOW + 29 * DAY_MS)
    assert len(await told(node)) == 1


async def test_a_public_package_leaves_without_its_patch_version(make: Make) -> None:
    node = (await make())[0]
    known = replace(node.parts, public_names=frozenset({"pkg:npm/left-pad"}))
    await confirm_subject(known, SUBJECT, intents=("goal_hijack",), exact=False, by="t", now=NOW)
    (report,) = await told(node)
    assert (report.subj, report.basis, report.intents) == (
        "pkg:npm/left-pad@1.3",
        "analyst",
        ("goal_hijack",),
    )


async def test_the_patch_version_leaves_when_it_is_the_point(make: Make) -> None:
    node = (await make())[0]
    known = replace(node.parts, public_names=frozenset({"pkg:npm/left-pad"}))
    await confirm_subject(known, SUBJECT, intents=(), exact=True, by="t", now=NOW)
    assert (await told(node))[0].subj == SUBJECT


async def test_a_package_that_another_member_published_may_be_named_too(make: Make) -> None:
    net = await make()
    known = replace(net[0].parts, public_names=frozenset({"pkg:npm/left-pad"}))
    await confirm_subject(known, SUBJECT, intents=(), exact=False, by="t", now=NOW)
    with pytest.raises(ConflictError):
        await confirm_subject(net[1].parts, SUBJECT, intents=(), exact=False, by="t", now=NOW)
    await net.deliver()
    await confirm_subject(net[1].parts, SUBJECT, intents=(), exact=False, by="t", now=NOW)
    assert (await told(net[1]))[0].subj == "pkg:npm/left-pad@1.3"


async def test_a_package_is_said_once_in_thirty_days(make: Make) -> None:
    node = (await make())[0]
    known = replace(node.parts, public_names=frozenset({"pkg:npm/left-pad"}))
    await confirm_subject(known, SUBJECT, intents=(), exact=False, by="t", now=NOW)
    with pytest.raises(ConflictError):
        await confirm_subject(known, SUBJECT, intents=(), exact=False, by="t", now=NOW + DAY_MS)


async def test_no_fingerprint_leaves_without_a_key(make: Make) -> None:
    node = (await make())[0]
    with pytest.raises(ConflictError):
        fingerprints(node.parts, ["c7e9" * 12])


async def test_a_fingerprint_of_a_guessable_value_is_refused_and_the_value_is_not_repeated(
    make: Make,
) -> None:
    node = (await make())[0]
    parts = replace(node.parts, fingerprint_key=FingerprintKey(epoch=1, key=bytes(32)))
    with pytest.raises(RequestError) as refused:
        fingerprints(parts, ["alice.anderson@example.org"])
    assert "alice" not in str(refused.value)


async def test_fingerprints_go_with_a_confirmed_report(make: Make) -> None:
    node = (await make())[0]
    parts = replace(node.parts, fingerprint_key=FingerprintKey(epoch=2_950, key=bytes(32)))
    pattern = min(parts.catalogue.entries)
    await node.see(pattern, session="s", judged="flagged")
    value = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a"
    await confirm_pattern(parts, pattern, by="t", now=NOW, fps=fingerprints(parts, [value]))
    (report,) = await told(node)
    assert [one.epoch for one in report.fps] == [2_950]
    assert not any(value[:16].encode() in wire for wire in await node.own_wires())
