"""A workflow gap: marked, proposed with the past it would have allowed, accepted, and in scope from then on."""

from __future__ import annotations

import asyncio
import timeit
from collections.abc import Callable

import pytest
from ioint_node.errors import ConflictError, NotFoundError, RequestError
from ioint_node.flows import gap
from ioint_node.flows.gap import Accepted, LoopParts, Wanted
from ioint_node.flows.replay import ReplayLimits
from ioint_node.scoring.model import Model
from ioint_node.scoring.tracker import SessionTracker
from ioint_node.scoring.values import Declaration, Verdict
from ioint_node.store import proposals
from ioint_node.store.times import DAY_MS
from ioint_taxonomy import Taxonomy

from tests.node.loop.conftest import INJECTED, NOW, Past, asked, call, out_of_scope

Follow = Callable[..., SessionTracker]


async def test_a_marked_gap_accepted_puts_the_next_such_session_in_scope(
    loop: LoopParts, past: Past, follow: Follow
) -> None:
    await past.add("s-1", out_of_scope())
    assert follow(loop, out_of_scope()).verdict is Verdict.OUT_OF_SCOPE
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    assert (made["state"], made["family"], made["actor"]) == ("open", "research", "a-1")
    assert made["change"]["envelope"]["verbs"] == ["send"]
    assert follow(loop, out_of_scope()).verdict is Verdict.OUT_OF_SCOPE
    held = await gap.decide(loop, made["id"], True, "token:admin", NOW)
    assert held["state"] == "accepted"
    assert follow(loop, out_of_scope()).verdict is Verdict.IN_SCOPE


async def test_the_proposal_tells_the_past_sessions_it_would_have_allowed(
    loop: LoopParts, past: Past
) -> None:
    for number in range(3):
        await past.add(f"s-{number}", out_of_scope())
    await past.add("quiet", call("1", "read_file", path="a.txt"))
    await past.add("other-actor", out_of_scope(), actor="a-2")
    await past.add("other-need", call("1", "grant_access", user="x", role="admin"))
    await past.add("old", out_of_scope(), at=NOW - 31 * DAY_MS)
    found = (await gap.mark(loop, "s-0", "1", "token:soc", NOW))["evidence"]["past"]
    assert {one["session_id"] for one in found["allowed"]["items"]} == {"s-0", "s-1", "s-2"}
    assert found["allowed"]["sessions"] == 3
    assert (found["stopped"]["sessions"], found["stopped"]["ordered"]) == (0, 0)
    assert (found["sessions"], found["followed"], found["whole"]) == (4, 3, True)


async def test_what_content_ordered_is_told_as_a_warning_and_would_still_be_stopped(
    loop: LoopParts, past: Past, follow: Follow
) -> None:
    await past.add("s-1", out_of_scope())
    await past.add("injected", asked("summarise my notes"), *INJECTED)
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    found = made["evidence"]["past"]
    assert [one["session_id"] for one in found["allowed"]["items"]] == ["s-1"]
    assert found["stopped"]["ordered"] == 1
    (stopped,) = found["stopped"]["items"]
    assert (stopped["session_id"], stopped["ordered"]) == ("injected", True)
    await gap.decide(loop, made["id"], True, "token:admin", NOW)
    assert follow(loop, asked("summarise my notes"), *INJECTED).verdict is Verdict.OUT_OF_SCOPE


async def test_a_change_for_everybody_looks_at_the_sessions_of_everybody(
    loop: LoopParts, past: Past, follow: Follow
) -> None:
    await past.add("s-1", out_of_scope())
    await past.add("s-2", out_of_scope(), actor="a-2")
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW, everyone=True)
    assert made["actor"] is None
    assert made["evidence"]["past"]["allowed"]["sessions"] == 2
    await gap.decide(loop, made["id"], True, "token:admin", NOW)
    assert follow(loop, out_of_scope(), actor="a-9").verdict is Verdict.IN_SCOPE


async def test_a_change_for_one_actor_and_family_reaches_no_other(
    loop: LoopParts, past: Past, follow: Follow
) -> None:
    await past.add("s-1", out_of_scope())
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    await gap.decide(loop, made["id"], True, "token:admin", NOW)
    assert follow(loop, out_of_scope(), actor="a-2").verdict is Verdict.OUT_OF_SCOPE
    assert follow(loop, out_of_scope(), family="summarise_document").verdict is Verdict.OUT_OF_SCOPE


async def test_a_change_is_that_kind_of_step_and_not_its_verb_everywhere(
    loop: LoopParts, past: Past, follow: Follow
) -> None:
    await past.add("s-1", call("1", "delete_file", path="old.txt"))
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    await gap.decide(loop, made["id"], True, "token:admin", NOW)
    assert follow(loop, call("1", "delete_file", path="b.txt")).verdict is Verdict.IN_SCOPE
    assert follow(loop, call("1", "delete_user", user="b")).verdict is not Verdict.IN_SCOPE


async def test_marking_the_same_need_again_adds_to_the_same_proposal(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", out_of_scope("1"), out_of_scope("2"))
    first = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    await gap.mark(loop, "s-1", "2", "token:soc", NOW)
    again = await gap.mark(loop, "s-1", "2", "token:soc", NOW)
    assert again["id"] == first["id"]
    assert [one["action_id"] for one in again["evidence"]["asked"]] == ["1", "2"]
    assert set(again["evidence"]["asked"][0]["beyond"]) >= {"verb"}


async def test_an_action_in_scope_has_no_gap(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", call("1", "read_file", path="a.txt"))
    with pytest.raises(RequestError, match="was in scope"):
        await gap.mark(loop, "s-1", "1", "token:soc", NOW)


async def test_what_does_not_exist_is_not_found(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", out_of_scope())
    with pytest.raises(NotFoundError):
        await gap.mark(loop, "s-1", "2", "token:soc", NOW)
    with pytest.raises(NotFoundError):
        await gap.mark(loop, "s-2", "1", "token:soc", NOW)
    for job in (gap.decide(loop, "0" * 32, True, "x", NOW), gap.withdraw(loop, "0" * 32, "x", NOW)):
        with pytest.raises(NotFoundError):
            await job


async def test_an_accepted_change_ends_with_its_days(loop: LoopParts, past: Past, follow: Follow) -> None:
    await past.add("s-1", out_of_scope())
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    await gap.decide(loop, made["id"], True, "token:admin", NOW, days=2)
    assert follow(loop, out_of_scope(), now=NOW + 2 * DAY_MS - 1).verdict is Verdict.IN_SCOPE
    assert follow(loop, out_of_scope(), now=NOW + 2 * DAY_MS).verdict is Verdict.OUT_OF_SCOPE
    await gap.refresh(loop, NOW + 2 * DAY_MS)
    assert loop.accepted.of("research", "a-1", NOW) == ()


async def test_a_session_that_is_followed_again_has_what_held_when_it_was_opened(
    loop: LoopParts, past: Past, follow: Follow
) -> None:
    await past.add("s-1", out_of_scope())
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    await gap.decide(loop, made["id"], True, "token:admin", NOW)
    assert follow(loop, out_of_scope(), now=NOW - 1).verdict is Verdict.OUT_OF_SCOPE
    assert follow(loop, out_of_scope(), now=NOW).verdict is Verdict.IN_SCOPE


async def test_a_withdrawn_change_holds_no_longer_and_who_accepted_it_stays_known(
    loop: LoopParts, past: Past, follow: Follow
) -> None:
    await past.add("s-1", out_of_scope())
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    await gap.decide(loop, made["id"], True, "token:anna", NOW)
    gone = await gap.withdraw(loop, made["id"], "token:ben", NOW + 1)
    assert follow(loop, out_of_scope()).verdict is Verdict.OUT_OF_SCOPE
    assert [one["by"] for one in gone["evidence"]["history"]] == ["token:anna", "token:ben"]
    assert (await gap.withdraw(loop, made["id"], "token:ben", NOW + 2))["decided_at"] == gone["decided_at"]


async def test_a_decision_is_made_once(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", out_of_scope())
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    await gap.decide(loop, made["id"], False, "token:admin", NOW)
    with pytest.raises(ConflictError, match="is refused"):
        await gap.decide(loop, made["id"], True, "token:admin", NOW)
    with pytest.raises(ConflictError, match="is refused"):
        await gap.withdraw(loop, made["id"], "token:admin", NOW)


async def test_what_is_accepted_is_known_after_a_restart(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", out_of_scope())
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    await gap.decide(loop, made["id"], True, "token:admin", NOW)
    again = LoopParts(store=loop.store, model=loop.model, shipped=loop.shipped, taxonomy=loop.taxonomy)
    assert again.accepted.of("research", "a-1", NOW) == ()
    await gap.refresh(again, NOW)
    assert again.accepted.of("research", "a-1", NOW) == loop.accepted.of("research", "a-1", NOW) != ()


async def test_what_narrows_holds_at_once_and_reaches_whom_it_names(
    loop: LoopParts, past: Past, follow: Follow
) -> None:
    await past.add("s-1", call("1", "search_web", query="news"), call("2", "read_file", path="a.txt"))
    made = await gap.propose(
        loop, Wanted(family="research", actor="a-1", verbs=("read", "list"), narrower=True), "token:soc", NOW
    )
    assert made["state"] == "accepted"
    outside = made["evidence"]["past"]["outside"]
    assert outside["items"] == [{"session_id": "s-1", "actor": "a-1", "actions": ["1"]}]
    assert follow(loop, call("1", "search_web", query="news")).verdict is Verdict.OUT_OF_SCOPE
    assert follow(loop, call("1", "search_web", query="news"), actor="a-2").verdict is Verdict.IN_SCOPE
    await gap.withdraw(loop, made["id"], "token:admin", NOW)
    assert follow(loop, call("1", "search_web", query="news")).verdict is Verdict.IN_SCOPE


async def test_a_narrower_change_ends_by_itself(loop: LoopParts, follow: Follow) -> None:
    wanted = Wanted(family="research", verbs=("read",), narrower=True)
    await gap.propose(loop, wanted, "token:soc", NOW, days=1)
    searching = call("1", "search_web", query="news")
    assert follow(loop, searching).verdict is Verdict.OUT_OF_SCOPE
    assert follow(loop, searching, now=NOW + DAY_MS).verdict is Verdict.IN_SCOPE


async def test_what_widens_by_name_waits(loop: LoopParts, follow: Follow) -> None:
    wanted = Wanted(family="research", verbs=("send",), resources=("email",), boundary="external")
    made = await gap.propose(loop, wanted, "token:soc", NOW)
    assert made["state"] == "open"
    assert follow(loop, out_of_scope()).verdict is Verdict.OUT_OF_SCOPE


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Wanted(family="nonsense", verbs=("read",)), "family"),
        (Wanted(family="research", verbs=("fly",)), "verbs"),
        (Wanted(family="research", resources=("moon",)), "resources"),
        (Wanted(family="research", sensitivity="very"), "sensitivity"),
        (Wanted(family="research", boundary="moon"), "boundary"),
        (Wanted(family="research", verbs=("read",)), "holds all of it already"),
        (Wanted(family="research"), "holds all of it already"),
        (Wanted(family="research", narrower=True), "nothing of the family's envelope"),
    ],
)
async def test_a_change_without_sense_is_refused_by_its_field(
    loop: LoopParts, wanted: Wanted, field: str
) -> None:
    with pytest.raises(RequestError, match=field):
        await gap.propose(loop, wanted, "token:soc", NOW)


async def test_days_are_bounded(loop: LoopParts) -> None:
    with pytest.raises(RequestError, match="days"):
        await gap.decide(loop, "0" * 32, True, "token:admin", NOW, days=0)


async def test_proposals_that_wait_are_bounded(
    loop: LoopParts, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    await past.add("s-1", out_of_scope(), call("2", "grant_access", user="x", role="admin"))
    monkeypatch.setattr(proposals, "OPEN", 1)
    await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    with pytest.raises(ConflictError, match="wait for a person"):
        await gap.mark(loop, "s-1", "2", "token:soc", NOW)


async def test_a_replay_is_bounded_and_says_so(past: Past, loop: LoopParts) -> None:
    for number in range(6):
        await past.add(f"s-{number}", out_of_scope(), at=NOW - number - 1)
    few = LoopParts(
        store=loop.store,
        model=loop.model,
        shipped=loop.shipped,
        taxonomy=loop.taxonomy,
        limits=ReplayLimits(events=3, told=2),
    )
    found = (await gap.mark(few, "s-0", "1", "token:soc", NOW))["evidence"]["past"]
    assert (found["followed"], found["whole"], found["allowed"]["sessions"]) == (3, False, 3)
    assert len(found["allowed"]["items"]) == 2


async def test_a_proposal_can_be_held_against_the_past_again(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", out_of_scope())
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    await past.add("s-2", out_of_scope())
    found = await gap.look_again(loop, made["id"], NOW)
    assert found["past"]["allowed"]["sessions"] == 2
    assert found["evidence"]["past"]["allowed"]["sessions"] == 1


async def test_a_change_that_holds_is_still_told_by_what_it_does(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", out_of_scope())
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    await gap.decide(loop, made["id"], True, "token:admin", NOW)
    assert (await gap.look_again(loop, made["id"], NOW))["past"]["allowed"]["sessions"] == 1


async def test_one_replay_runs_at_a_time(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", out_of_scope())
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW)
    results = await asyncio.gather(
        *(gap.look_again(loop, made["id"], NOW) for _ in range(3)), return_exceptions=True
    )
    assert any(isinstance(one, dict) for one in results)
    assert not loop.replaying.locked()


async def test_a_session_whose_events_are_forgotten_counts_for_nothing(loop: LoopParts, past: Past) -> None:
    await past.add("s-1", out_of_scope())
    async with loop.store.read() as connection:
        assert await proposals.events_of(connection, "s-1", 10)
    made = await gap.mark(loop, "s-1", "1", "token:soc", NOW + 40 * DAY_MS)
    assert made["evidence"]["past"]["allowed"]["sessions"] == 0


async def test_new_tools_are_proposed_where_they_do_more_than_the_intent(
    loop: LoopParts, taxonomy: Taxonomy
) -> None:
    envelope = taxonomy.families["research"].envelope
    made = await gap.gained(
        loop, "s-1", ("read_file", "send_email"), NOW, actor="a-1", family="research", envelope=envelope
    )
    (one,) = made
    assert (one["state"], one["by"], one["actor"]) == ("open", "node", "a-1")
    assert one["change"]["envelope"]["verbs"] == ["send"]
    assert [told["tool"] for told in one["evidence"]["asked"]] == ["send_email"]
    await gap.decide(loop, one["id"], True, "token:admin", NOW)
    assert loop.accepted.of("research", "a-1", NOW) != ()


async def test_an_actor_that_keeps_changing_does_not_bury_the_proposals_of_others(
    loop: LoopParts, taxonomy: Taxonomy
) -> None:
    envelope = taxonomy.families["answer_question"].envelope
    tools = [
        f"{verb}_{thing}"
        for verb in ("delete", "share", "create", "update")
        for thing in ("file", "email", "order", "database", "contact")
    ]
    for start in range(0, len(tools), 5):
        await gap.gained(
            loop,
            f"s-{start}",
            tools[start : start + 5],
            NOW,
            actor="a-1",
            family="answer_question",
            envelope=envelope,
        )
    async with loop.store.read() as connection:
        assert await proposals.count_waiting(connection, actor="a-1", by="node") == gap.GAINED_OPEN


def test_the_family_is_known_before_there_is_a_tracker(model: Model, taxonomy: Taxonomy) -> None:
    for declaration in (
        Declaration(family="monitor"),
        Declaration(text="answer a customer's question about an order"),
        Declaration(),
        Declaration(family="no such family"),
    ):
        family = gap.family_of(declaration, model, taxonomy)
        assert family in taxonomy.families


def test_nothing_accepted_costs_nothing(taxonomy: Taxonomy) -> None:
    accepted = Accepted()
    assert accepted.of("research", "a-1", NOW) == ()
    assert accepted.taxonomy(taxonomy, "a-1", NOW) is taxonomy
    assert min(timeit.repeat(lambda: accepted.of("research", "a-1", NOW), number=1_000, repeat=5)) < 0.01
