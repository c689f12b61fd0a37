"""A novel pattern's own rate: known as soon as it was looked for in what is kept of the own sessions."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from ioint_node.flows import hunt as looking_back
from ioint_node.flows import paths
from ioint_node.flows.believe import refresh_all, reload
from ioint_node.flows.hunt import Hunter
from ioint_node.flows.paths import STEPS_KEPT, path_text
from ioint_node.reputation.beliefs import Belief
from ioint_node.store import incidents, matches, novel
from ioint_node.store.judged import clear_session
from ioint_node.store.migrations.versions import v0011_unkept
from ioint_node.store.schema import session_days
from ioint_node.store.sessions import judge_session
from ioint_node.store.times import day_of
from ioint_protocol import Pattern, PatternStep, Withdrawal, encode_record, pattern_id, record_id
from ioint_protocol.pattern import Rate
from sqlalchemy import insert, select, text

from tests.node.exchange.test_novel_cases import FAMILY, INCIDENT, LIST, ORDINARY
from tests.node.web.test_incidents import NAME, act, hunt, listed, met, past, warning

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

ENOUGH = 2_995  # ordinary sessions without a pattern that make acting on it cheap


async def history(node: Node, ordinary: int, *, ago: int = 3, kept_since: int = 28, unkept: int = 0) -> None:
    """So many ordinary sessions ended some days ago; paths are kept since some days ago."""
    day = day_of(node.clock.now) - ago
    await node.parts.store.write(
        lambda c: c.execute(insert(session_days).values(day=day, judged=ordinary, flagged=0, unkept=unkept))
    )
    await past(node, "oldest", ORDINARY, ago=kept_since)


async def judged(
    node: Node, name: str, path: str, *, ago: int, flagged: bool = False, whole: bool = True
) -> None:
    """A session ended as sessions do, some days ago."""
    await past(node, name, path, flagged=flagged, ago=ago)
    day = day_of(node.clock.now) - ago
    await node.parts.store.write(lambda c: judge_session(c, name, (), flagged=flagged, whole=whole, day=day))


def belief(node: Node) -> Belief:
    found = node.parts.exchange.beliefs.get(NAME)
    assert found is not None
    return found


def effect(node: Node) -> float:
    return node.parts.exchange.beliefs.effect_of((NAME,), node.clock.now).effect


async def own_rate(node: Node) -> Rate:
    since = belief(node).measured_from
    assert since is not None
    today = day_of(node.clock.now)
    async with node.parts.store.read() as connection:
        return (await matches.rates(connection, {NAME: today}, today, measured_from={NAME: since}))[NAME]


async def test_a_novel_pattern_that_no_session_contains_acts_once_it_was_looked_for(node: Node) -> None:
    await history(node, ENOUGH)
    await node.hear("contoso", warning(node))
    assert (effect(node), belief(node).reason) == (0.0, "not_cheap_here")
    await hunt(node)
    assert (belief(node).tier, effect(node)) == ("precautionary", 0.05)
    assert belief(node).measured_from == day_of(node.clock.now) - 28


async def test_one_session_less_is_not_enough(node: Node) -> None:
    await history(node, ENOUGH - 1)
    await node.hear("contoso", warning(node))
    await hunt(node)
    assert (effect(node), await own_rate(node)) == (0.0, Rate(matches=0, sessions=ENOUGH - 1))


async def test_a_novel_pattern_of_own_ordinary_work_does_not_act(node: Node) -> None:
    await history(node, ENOUGH)
    for number in range(3):
        await past(node, f"daily-{number}", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    assert await own_rate(node) == Rate(matches=3, sessions=ENOUGH)
    assert (belief(node).reason, effect(node)) == ("not_cheap_here", 0.0)


async def test_a_session_that_was_flagged_is_no_ordinary_work_and_does_not_stop_the_warning(
    node: Node,
) -> None:
    await history(node, ENOUGH)
    await past(node, "bad", INCIDENT, flagged=True)
    await node.hear("contoso", warning(node))
    await hunt(node)
    assert (await own_rate(node), effect(node)) == (Rate(matches=0, sessions=ENOUGH), 0.05)


async def test_what_a_person_closes_as_true_counts_no_more_as_ordinary_work(node: Node) -> None:
    await history(node, ENOUGH)
    await past(node, "missed", INCIDENT)
    await node.hear("contoso", warning(node))
    await hunt(node)
    assert effect(node) == 0.0
    (found,) = await listed(node)
    await act(node, found["id"], do="close", closed_as="true_positive")
    assert effect(node) == 0.05


async def test_a_session_whose_path_was_cut_is_not_counted_as_looked_at(node: Node) -> None:
    await history(node, ENOUGH, unkept=1)
    await node.hear("contoso", warning(node))
    await hunt(node)
    assert (await own_rate(node), effect(node)) == (Rate(matches=0, sessions=ENOUGH - 1), 0.0)


async def test_a_session_of_more_steps_than_are_kept_counts_as_such_on_its_day(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "STEPS_KEPT", 1)
    for session, actions in (("short", 1), ("long", 2)):
        await node.open_session(session, "a-1")
        for number in range(actions):
            tool = {"action_id": f"x-{number}", "tool": "read_hr_record", "arguments": {"id": "7"}}
            await node.post(f"/api/v1/sessions/{session}/actions", tool)
        await node.post(f"/api/v1/sessions/{session}/close", {"outcome": "done"})
    await node.parts.assess.journal.settled()
    async with node.parts.store.read() as connection:
        found = (await connection.execute(select(session_days.c.judged, session_days.c.unkept))).one()
    assert tuple(found) == (2, 1)


async def test_days_before_the_first_path_that_is_kept_are_not_counted(node: Node) -> None:
    await history(node, ENOUGH, ago=9, kept_since=8)
    await node.hear("contoso", warning(node))
    await hunt(node)
    assert (await own_rate(node), effect(node)) == (Rate(matches=0, sessions=0), 0.0)


async def test_a_node_that_keeps_no_path_begins_to_count_today(node: Node) -> None:
    await node.hear("contoso", warning(node))
    await hunt(node)
    assert belief(node).measured_from == day_of(node.clock.now)


async def test_a_session_that_was_matched_before_is_counted_once(node: Node) -> None:
    await history(node, ENOUGH)
    await met(node, NAME)
    await past(node, "bad", INCIDENT, ago=1)
    await node.hear("contoso", warning(node))
    await hunt(node)
    await node.parts.store.write(lambda c: incidents.forget_hunts(c, (NAME,)))
    await hunt(node)
    assert await own_rate(node) == Rate(matches=1, sessions=ENOUGH)


async def test_the_rate_is_what_counting_the_kept_sessions_gives(node: Node) -> None:
    random, today = Random(5), day_of(node.clock.now)  # noqa: S311 - nothing secret
    cut = path_text(FAMILY, (LIST,) * (STEPS_KEPT + 1), (False,) * (STEPS_KEPT + 1))
    matched = looked = 0
    for number in range(60):
        has, flagged, whole = random.random() < 0.3, random.random() < 0.2, random.random() < 0.8
        ago = random.randrange(1, 28)
        path = INCIDENT if has else ORDINARY if whole else cut
        await judged(node, f"s{number}", path, ago=ago, flagged=flagged, whole=whole)
        cleared = flagged and random.random() < 0.5
        if cleared:
            await node.parts.store.write(partial(clear_session, session_id=f"s{number}", day=today - ago))
        matched += has and (cleared or not flagged)
        looked += whole and (cleared or not flagged)
    await node.hear("contoso", warning(node))
    await hunt(node)
    rate = await own_rate(node)
    assert rate.matches == matched
    # A cut session that was flagged is left out twice: fewer than were looked at, and never more.
    assert 0.8 * looked < rate.sessions <= looked


async def test_what_is_known_of_its_rate_survives_a_restart(node: Node) -> None:
    await history(node, ENOUGH)
    await node.hear("contoso", warning(node))
    await hunt(node)
    await reload(node.parts.exchange, node.clock.now)
    again = await hunt(node)
    await refresh_all(node.parts.exchange, node.clock.now)
    assert (again.counts["patterns"], effect(node)) == (0, 0.05)


async def taken_back(node: Node, report: Any) -> None:
    await node.hear("contoso", Withdrawal(of=record_id(encode_record(report)), reason="mistake"))


async def test_a_warning_that_comes_again_acts_once_it_was_looked_for_again(node: Node) -> None:
    await history(node, ENOUGH)
    report = warning(node)
    await node.hear("contoso", report)
    hunter = await hunt(node)
    await taken_back(node, report)
    hunter.take([belief(node)])
    assert effect(node) == 0.0
    await node.hear("fabrikam", report)
    hunter.take([belief(node)])
    assert (effect(node), belief(node).reason) == (0.0, "not_cheap_here")
    await hunter.hunt(node.parts.assess)
    assert effect(node) == 0.05
    assert hunter.counts["patterns"] == 2


async def test_after_a_restart_it_is_looked_for_again_where_it_ended_and_came_again(node: Node) -> None:
    await history(node, ENOUGH)
    report = warning(node)
    await node.hear("contoso", report)
    await hunt(node)
    await taken_back(node, report)
    await node.hear("fabrikam", report)
    assert effect(node) == 0.0
    again = await hunt(node)
    assert (again.counts["patterns"], effect(node)) == (1, 0.05)


async def test_what_ended_and_came_again_while_it_was_looked_for_is_looked_for_again(node: Node) -> None:
    await history(node, ENOUGH)
    report = warning(node)
    await node.hear("contoso", report)
    placed = belief(node)
    await taken_back(node, report)
    ended = belief(node)
    await node.hear("fabrikam", report)

    class Interrupted(Hunter):
        """Hears in the middle of its first walk that the warning ended, and that it came again."""

        async def _walk(self, *args: Any) -> int | None:
            since = await super()._walk(*args)
            if not self.counts["patterns"]:
                self.take([ended, placed])
            return since

    hunter = Interrupted(node.parts.exchange, now=node.clock)
    await hunter.load()
    await hunter.hunt(node.parts.assess)
    assert (effect(node), hunter.waiting) == (0.0, 1)
    await hunter.hunt(node.parts.assess)
    assert (effect(node), hunter.waiting) == (0.05, 0)


async def test_a_walk_is_followed_by_a_rest_and_nothing_to_do_by_none(node: Node) -> None:
    await history(node, ENOUGH)
    await node.hear("contoso", warning(node))
    hunter = await hunt(node)
    assert hunter.rest_s > 0
    await hunter.hunt(node.parts.assess)
    assert hunter.rest_s == 0


async def test_a_walk_that_was_interrupted_for_another_goes_on_where_it_was(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_back, "WALK_S", 0.0)
    monkeypatch.setattr(looking_back, "WORDS_AT_ONCE", 1)
    monkeypatch.setattr(looking_back, "CHUNK_PATHS", 2)
    await history(node, ENOUGH)
    for number in range(5):
        await past(node, f"bad-{number}", INCIDENT, flagged=True)
    await node.hear("contoso", warning(node))
    other = about("memory_entry")
    node.clock.now += 1_000
    await node.hear("fabrikam", warning(node, other))
    hunter = await hunt(node)
    assert (hunter.waiting, hunter.counts["paths"], effect(node)) == (2, 2, 0.0)
    await hunter.hunt(node.parts.assess)
    async with node.parts.store.read() as connection:
        assert set(await incidents.hunted(connection)) == {pattern_id(other)}
    await hunter.hunt(node.parts.assess)
    assert (hunter.waiting, hunter.counts["paths"], len(await listed(node))) == (0, 5, 5)
    assert (await own_rate(node), effect(node)) == (Rate(matches=0, sessions=ENOUGH), 0.10)


async def test_what_comes_again_is_looked_for_in_what_happened_since(node: Node) -> None:
    await history(node, ENOUGH)
    await past(node, "missed", INCIDENT)
    report = warning(node)
    await node.hear("contoso", report)
    hunter = await hunt(node)
    await taken_back(node, report)
    hunter.take([belief(node)])
    await past(node, "meanwhile", INCIDENT, ago=0)
    await node.hear("fabrikam", report)
    hunter.take([belief(node)])
    await hunter.hunt(node.parts.assess)
    assert hunter.counts["paths"] == 1 + 1
    assert await own_rate(node) == Rate(matches=2, sessions=ENOUGH)


def about(resource: str) -> Pattern:
    return Pattern(steps=(PatternStep(verbs=("send",), resources=(resource,), provenances=("tool_output",)),))


async def test_what_one_group_writes_keeps_no_other_waiting(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_back, "WORDS_AT_ONCE", 1)
    many = [about(resource) for resource in ("email", "file", "hr_record", "secret")]
    one = about("memory_entry")
    for name, pattern in (*(("contoso", pattern) for pattern in many), ("fabrikam", one)):
        node.clock.now += 1_000
        await node.hear(name, warning(node, pattern))
    hunter = await hunt(node)
    await hunter.hunt(node.parts.assess)
    async with node.parts.store.read() as connection:
        assert await incidents.hunted(connection) == dict.fromkeys(
            (pattern_id(many[0]), pattern_id(one)), day_of(node.clock.now)
        )
    assert hunter.waiting == 3


async def test_the_upgrade_counts_what_was_kept_of_the_days_before(node: Node) -> None:
    days = {1: 3, 2: 2}  # sessions of a day
    longest = path_text(FAMILY, (LIST,) * 64, (False,) * 64)

    async def write(connection: Any) -> None:
        for day, count in days.items():
            await connection.execute(insert(session_days).values(day=day, judged=count, flagged=day == 1))
        for name, day, path, flagged in (
            ("whole", 1, INCIDENT, False),
            ("flagged", 1, INCIDENT, True),
            ("cut", 2, longest, False),
            ("also", 2, ORDINARY, False),
        ):
            await novel.add_path(connection, name, day, path, flagged=flagged)
        await connection.execute(text("ALTER TABLE session_days DROP COLUMN unkept"))
        await connection.run_sync(upgraded)

    await node.parts.store.write(write)
    async with node.parts.store.read() as connection:
        found = await connection.execute(select(session_days.c.day, session_days.c.unkept))
        assert {day: unkept for day, unkept in found if day in days} == {1: 1, 2: 1}


def upgraded(connection: Any) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        v0011_unkept.upgrade()
