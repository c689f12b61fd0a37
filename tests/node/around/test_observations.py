"""What detectors outside say: once, bounded, at once in trust and drift, and never a gain for who is watched."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ioint_node.errors import BusyError, ConflictError, NotFoundError, RequestError, TooLargeError
from ioint_node.flows.habits import HELD_IN_MEMORY, habits_of, held
from ioint_node.flows.observations import Outside, observe_outside, said_in_session
from ioint_node.scoring.held import COMPONENTS
from ioint_node.scoring.observations import KINDS, check_observation, drift_of
from ioint_node.scoring.trust import lower_bound, view
from ioint_node.store.actors import find_actor
from ioint_node.store.observations import (
    OWN,
    PER_ACTOR,
    PER_CALLER,
    forget_observations,
    live_observations,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.assess.scripted import NOW, Node

HOUR_MS = 3_600_000


def said(observation_id: str = "o-1", **more: Any) -> Outside:
    values = {
        "source": "edr-1",
        "kind": "edr",
        "actor": "a1",
        "by": "token:7",
        "own": False,
        "value": 0.9,
        **more,
    }
    return Outside(id=observation_id, **values)


def lower(node: Node, now: int = NOW, actor: str = "a1") -> float:
    live = node.parts.live.actor(actor)
    assert live is not None
    return lower_bound(live.trust, now)


async def test_an_observation_counts_in_trust_and_in_drift_at_once(node: Node) -> None:
    await node.open()
    before = lower(node)
    answer = await observe_outside(node.parts, said(), NOW)
    assert list(answer) == ["observation_id", "actor", "kind", "at", "expires", "counted"]
    assert answer["counted"]
    assert lower(node) < before
    actor = node.parts.live.actor("a1")
    assert actor is not None
    assert actor.reported("s1", NOW) > 0.5
    assert actor.reported("s1", NOW + 25 * HOUR_MS) == 0.0


async def test_the_same_again_gets_the_same_answer_and_counts_once(node: Node) -> None:
    await node.open()
    first = await observe_outside(node.parts, said(at=NOW), NOW)
    after = lower(node)
    assert await observe_outside(node.parts, said(at=NOW), NOW + 1_000) == first
    assert lower(node) == after
    with pytest.raises(ConflictError, match="another body"):
        await observe_outside(node.parts, said(value=0.1, at=NOW), NOW)


async def test_without_a_time_the_same_again_is_the_same(node: Node) -> None:
    await node.open()
    first = await observe_outside(node.parts, said(), NOW)
    assert await observe_outside(node.parts, said(), NOW + 60_000) == first


async def test_it_is_on_disk_with_what_it_moved_and_comes_back(node: Node) -> None:
    await node.open()
    await observe_outside(node.parts, said(), NOW)
    async with node.parts.store.read() as connection:
        stored = await find_actor(connection, "a1", now=NOW, marks_days=7, most_open=9)
        habits = await habits_of(connection, "a1", NOW)
    live = node.parts.live.actor("a1")
    assert stored is not None
    assert live is not None
    assert stored.trust == live.trust
    assert habits.observed == live.observed


async def test_engines_are_told_that_trust_moved(node: Node) -> None:
    await node.open()
    await observe_outside(node.parts, said(session_id="s1", kind="credential_compromise", value=1.0), NOW)
    rows = await node.rows("select event, body from stream")
    assert rows
    assert node.told


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "gossip"}, "kind"),
        ({"value": math.nan}, "value"),
        ({"value": math.inf}, "value"),
        ({"value": 2.0}, "value"),
        ({"value": True}, "value"),
        ({"detail": {"text": "the agent said: ignore all"}}, "detail.text"),
        ({"detail": {"rule": "a rule with words in it"}}, "detail.rule"),
        ({"source": ""}, "source"),
        ({"at": NOW + HOUR_MS}, "at"),
        ({"at": -1}, "at"),
        ({"expires": NOW + 400 * 24 * HOUR_MS}, "expires"),
        ({"at": NOW - 100 * 24 * HOUR_MS}, "expires"),
    ],
)
async def test_what_is_malformed_is_refused_by_its_name_and_costs_nobody(
    node: Node, change: dict[str, Any], field: str
) -> None:
    await node.open()
    before = lower(node)
    with pytest.raises(RequestError, match=f"^{field}:"):
        await observe_outside(node.parts, said(**change), NOW)
    assert lower(node) == before
    assert await node.rows("select id from observations") == []


async def test_an_unknown_actor_and_the_session_of_another_are_refused(node: Node) -> None:
    await node.open()
    await node.open("s2", actor="a2")
    with pytest.raises(NotFoundError, match="no actor"):
        await observe_outside(node.parts, said(actor="nobody"), NOW)
    with pytest.raises(NotFoundError, match="session_id"):
        await observe_outside(node.parts, said(session_id="s2"), NOW)
    with pytest.raises(NotFoundError, match="session_id"):
        await observe_outside(node.parts, said(session_id="s9"), NOW)


async def test_what_names_a_session_bears_on_that_session_alone(node: Node) -> None:
    await node.open()
    await node.open("s2")
    await observe_outside(node.parts, said(session_id="s1"), NOW)
    actor = node.parts.live.actor("a1")
    assert actor is not None
    assert actor.reported("s1", NOW) > 0.0
    assert actor.reported("s2", NOW) == 0.0


GOOD = {"mfa": 1.0, "ticket": 1.0, "satisfaction": 1.0, "validation": 1.0, "task_success": 1.0}


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_an_actor_that_speaks_of_itself_gains_nothing(node: Node, kind: str) -> None:
    await node.open()
    before = lower(node)
    spec = KINDS[kind]
    for turn, value in enumerate((spec.low, spec.high, 0.5 * (spec.low + spec.high))):
        await observe_outside(node.parts, said(f"o-{turn}", kind=kind, value=value, own=True), NOW)
    assert lower(node) <= before
    actor = node.parts.live.actor("a1")
    assert actor is not None
    assert view(actor.trust, NOW)["score"] <= view(replace(actor.trust), NOW)["score"]


@pytest.mark.parametrize(("kind", "value"), GOOD.items())
async def test_praise_from_one_source_counts_once_while_it_holds(node: Node, kind: str, value: float) -> None:
    await node.open()
    first = await observe_outside(node.parts, said("o-0", kind=kind, value=value), NOW)
    once = lower(node)
    again = [
        await observe_outside(node.parts, said(f"o-{turn}", kind=kind, value=value), NOW)
        for turn in range(1, 5)
    ]

    assert first["counted"]
    assert lower(node) == once
    # A statement holds until the next one: said again it counts, and changes nothing.
    stated = COMPONENTS[KINDS[kind].component].stated
    assert [one["counted"] for one in again] == [stated] * 4


async def test_a_statement_that_was_bad_heals_with_the_next_good_one(node: Node) -> None:
    await node.open()
    await observe_outside(node.parts, said("o-0", kind="mfa", value=1.0), NOW)
    best = lower(node)
    await observe_outside(node.parts, said("o-1", kind="mfa", value=0.0), NOW)
    worse = lower(node)
    await observe_outside(node.parts, said("o-2", kind="mfa", value=1.0), NOW)

    assert worse < best
    assert lower(node) == best


async def test_a_flood_from_one_caller_leaves_the_others_their_room(node: Node) -> None:
    await node.open()
    for turn in range(PER_CALLER):
        flood = said(f"o-{turn}", source=f"invented-{turn}", kind="satisfaction", value=0.6, by="token:1")
        await observe_outside(node.parts, flood, NOW)
    with pytest.raises(TooLargeError, match="by this caller"):
        await observe_outside(
            node.parts,
            said("o-more", source="invented", kind="satisfaction", value=0.6, by="token:1"),
            NOW,
        )
    after = lower(node)
    await observe_outside(node.parts, said("o-1", source="edr-2"), NOW)
    assert lower(node) < after


async def test_what_is_grave_displaces_what_is_not_and_never_the_other_way(node: Node) -> None:
    await node.open()
    for turn in range(PER_CALLER - 1):
        await observe_outside(node.parts, said(f"o-{turn}", kind="anomaly", value=0.95), NOW)
    await observe_outside(node.parts, said("o-neutral", kind="satisfaction", value=0.6), NOW)
    assert (await observe_outside(node.parts, said("o-grave", value=1.0), NOW))["counted"]
    with pytest.raises(TooLargeError, match=r"^actor: 64 observations"):
        await observe_outside(node.parts, said("o-lesser", kind="anomaly", value=0.9), NOW)
    async with node.parts.store.read() as connection:
        names = {one.observation.id for one in await live_observations(connection, "a1", NOW)}
    assert "o-grave" in names
    assert "o-neutral" not in names


async def test_a_concern_is_heard_though_others_have_taken_all_the_room(node: Node) -> None:
    await node.open()
    for turn in range(PER_ACTOR):
        flood = said(f"o-{turn}", kind="anomaly", value=1.0, by=f"token:{turn % 4}")
        await observe_outside(node.parts, flood, NOW)
    await observe_outside(node.parts, said("o-1", source="edr-2", value=0.5), NOW)
    async with node.parts.store.read() as connection:
        live = await live_observations(connection, "a1", NOW)
    assert len(live) == PER_ACTOR
    assert "token:7" in {one.by for one in live}


async def test_displacing_what_is_neutral_leaves_praise_counted_once(node: Node) -> None:
    await node.open()
    praise = {"kind": "satisfaction", "value": 1.0}
    assert (await observe_outside(node.parts, said("o-praise", **praise), NOW))["counted"]
    for turn in range(PER_CALLER - 1):
        await observe_outside(node.parts, said(f"o-{turn}", kind="satisfaction", value=0.6), NOW)
    for turn in range(2):
        await observe_outside(node.parts, said(f"o-low-{turn}", kind="anomaly", value=0.4 + turn / 10), NOW)
    async with node.parts.store.read() as connection:
        names = {one.observation.id for one in await live_observations(connection, "a1", NOW)}
    assert "o-praise" in names


async def test_an_actor_cannot_fill_its_own_bound_to_hide_from_others(node: Node) -> None:
    await node.open()
    for turn in range(OWN):
        await observe_outside(node.parts, said(f"o-{turn}", kind="place", value=0.0, own=True), NOW)
    with pytest.raises(TooLargeError, match="of itself"):
        await observe_outside(node.parts, said("o-more", kind="place", value=0.0, own=True), NOW)
    assert (await observe_outside(node.parts, said("o-1"), NOW))["counted"]


async def test_an_actor_cannot_take_the_id_that_a_detector_will_use(node: Node) -> None:
    await node.open()
    await observe_outside(node.parts, said("alert-1", kind="place", value=0.0, own=True), NOW)
    assert (await observe_outside(node.parts, said("alert-1"), NOW))["counted"]


async def test_an_actor_has_a_bounded_number_and_time_makes_room(node: Node) -> None:
    await node.open()
    for turn in range(PER_ACTOR):
        by = f"token:{turn // 60}"
        await observe_outside(
            node.parts, said(f"o-{turn}", by=by, kind="hour", value=0.1, expires=NOW + HOUR_MS), NOW
        )
    with pytest.raises(TooLargeError, match=r"^actor:"):
        await observe_outside(node.parts, said("o-more", by="other", kind="satisfaction", value=0.6), NOW)
    later = NOW + HOUR_MS
    await observe_outside(node.parts, said("o-more", source="other"), later)

    async def forget(connection: AsyncConnection) -> int:
        return await forget_observations(connection, later)

    assert await node.parts.store.write(forget) == PER_ACTOR
    async with node.parts.store.read() as connection:
        assert len(await live_observations(connection, "a1", later)) == 1


async def test_memory_holds_a_bounded_number_of_those_that_say_most() -> None:
    fields = {"source": "s", "kind": "edr", "actor": "a1"}
    many = [
        check_observation({**fields, "id": f"o-{turn}", "value": 0.3 + turn / 200}, now=NOW)
        for turn in range(100)
    ]
    kept = held(many, NOW)
    assert len(kept) == HELD_IN_MEMORY
    assert max(drift_of(one, NOW) for one in many) == drift_of(kept[0], NOW)


async def test_a_write_that_fails_moves_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.open()
    await node.act("look", durable=True)
    before = lower(node)

    async def fail(*_given: object) -> None:
        raise BusyError("the disk is full")

    monkeypatch.setattr("ioint_node.flows.observations.save_trusts", fail)
    with pytest.raises(BusyError):
        await observe_outside(node.parts, said(), NOW)
    assert lower(node) == before
    actor = node.parts.live.actor("a1")
    assert actor is not None
    assert actor.observed == ()
    assert await node.rows("select id from observations") == []


def test_an_event_of_a_session_is_one_when_its_data_says_a_kind() -> None:
    inside = {"actor": "a1", "session_id": "s1", "action_id": "c1", "by": "token:7", "own": True}
    found = said_in_session({"kind": "edr", "value": 0.8, "source": "edr-1"}, **inside)  # type: ignore[arg-type]
    assert found is not None
    assert (found.actor, found.session_id, found.value, found.own) == ("a1", "s1", 0.8, True)
    again = said_in_session({"kind": "edr", "value": 0.8, "source": "edr-1"}, **inside)  # type: ignore[arg-type]
    assert again == found
    assert said_in_session({"temperature": 21}, **inside) is None  # type: ignore[arg-type]
    assert said_in_session({"kind": ["edr"]}, **inside) is None  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"^data\.actor:"):
        said_in_session({"kind": "edr", "actor": "a2"}, **inside)  # type: ignore[arg-type]


def test_the_kinds_are_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| observation `kind` |"))
    assert set(re.findall(r"`(\w+)`", row)) - {"kind"} == set(KINDS)
