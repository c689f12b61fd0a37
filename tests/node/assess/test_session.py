from __future__ import annotations

import json
from typing import Any

import pytest
from ioint_node.errors import ConflictError, NotFoundError, RequestError, TooLargeError
from ioint_node.flows.assess import (
    Feedback,
    OpenSession,
    ScopeRequest,
    SessionLimits,
    answer_alternative,
    close,
    close_idle,
    declare,
    feedback,
    observe,
    open_session,
    scope_request,
)
from ioint_node.scoring.values import Declaration, Event
from ioint_node.store.actors import get_agent, list_agents
from ioint_node.store.sessions import get_session, list_sessions

from tests.node.assess.scripted import NOW, PATTERN, TRUST_KEYS, MakeNode, Node, believe

DAY = NOW // 86_400_000


async def test_opening_answers_with_the_authority_map_and_the_trust(node: Node) -> None:
    opened = await node.open()

    assert list(opened) == [
        "session_id", "declared", "envelope", "trust", "terms", "budget", "fail_mode", "warnings",
    ]  # fmt: skip
    assert opened["declared"] == {"family": "research", "confidence": 0.9}
    assert opened["envelope"]["verbs"] == ["create", "read"]
    assert list(opened["trust"]) == TRUST_KEYS


async def test_a_session_without_an_id_gets_one(node: Node) -> None:
    opened = await open_session(node.parts, OpenSession(actor="a", declared=Declaration(text="x")), NOW)

    assert len(opened["session_id"]) == 32


async def test_opening_again_with_the_same_body_answers_the_same(node: Node) -> None:
    first = await node.open()

    assert await node.open() == first
    assert len(await node.rows("select * from sessions")) == 1


async def test_opening_again_with_another_body_is_a_conflict(node: Node) -> None:
    await node.open()

    with pytest.raises(ConflictError, match="session_id"):
        await node.open(actor="a2")


async def test_an_actor_keeps_its_kind(node: Node) -> None:
    await node.open()

    with pytest.raises(ConflictError, match=r"actor\.kind"):
        await node.open("s2", kind="user")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "ghost"}, "actor.kind"),
        ({"actor": ""}, "actor.id"),
        ({"session_id": "two words"}, "session_id"),
        ({"on_behalf_of": "\x00"}, "actor.on_behalf_of"),
        ({"parent": {"session_id": ""}}, "parent.session_id"),
    ],
)
async def test_an_opening_that_does_not_fit_is_refused_by_name(
    node: Node, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(RequestError, match=f"^{field}:"):
        await node.open(**given)


async def test_an_unknown_family_is_refused(node: Node) -> None:
    with pytest.raises(RequestError, match=r"^declared\.family:"):
        await declare(node.parts, "s1", Declaration(family="no_such"), NOW)


async def test_an_actor_has_a_bound_of_open_sessions(make_node: MakeNode) -> None:
    node = make_node(limits=SessionLimits(open_per_actor=2))
    await node.open("s1")
    await node.open("s2")
    with pytest.raises(TooLargeError, match="close some"):
        await node.open("s3")
    await close(node.parts, "s1", "done", NOW)

    assert (await node.open("s3"))["session_id"] == "s3"


async def test_clean_closed_sessions_raise_trust(node: Node) -> None:
    lower = []
    for number in range(4):
        lower.append((await node.open(f"s{number}"))["trust"]["lower"])
        await node.act("look", session=f"s{number}")
        await close(node.parts, f"s{number}", "done", NOW)

    assert lower == sorted(set(lower))
    assert lower[3] - lower[0] > 0.05


async def test_closing_judges_the_session_and_its_matches(node: Node) -> None:
    await node.open("good")
    await node.act("match", session="good")
    await node.open("bad")
    await node.act("match", 1, session="bad")
    await node.act("out", 2, session="bad")
    await node.open("idle")
    for session in ("good", "bad", "idle"):
        await close(node.parts, session, "done", NOW)
    judged = await node.rows("select session_id, judged from matches order by seq")

    assert [(row["session_id"], row["judged"]) for row in judged] == [("good", "benign"), ("bad", "flagged")]
    assert await node.rows("select * from session_days") == [
        {"day": DAY, "judged": 2, "flagged": 1, "unkept": 0}
    ]


async def test_closing_again_the_same_way_answers_the_same(node: Node, make_node: MakeNode) -> None:
    await node.open()
    await node.act("look")
    first = await close(node.parts, "s1", "done", NOW)
    await node.flushed()

    assert await close(make_node().parts, "s1", "done", NOW) == first
    assert await node.rows("select judged from session_days") == [{"judged": 1}]
    with pytest.raises(ConflictError, match="closed as done"):
        await close(node.parts, "s1", "failed", NOW)


async def test_a_changed_composition_inherits_little_and_says_so(node: Node) -> None:
    for number in range(5):
        await node.open(f"s{number}", composition={"model": "one", "tools": ["b", "a"]})
        await node.act("look", session=f"s{number}")
        await close(node.parts, f"s{number}", "done", NOW)
    same = await node.open("same", composition={"model": "one", "tools": ["a", "b"]})
    other = await node.open("other", composition={"model": "two", "tools": ["a", "b"]})
    decision = await node.act("look", session="other")
    rows = await node.rows("select body from stream order by seq desc limit 1")

    assert other["trust"]["lower"] < same["trust"]["lower"] - 0.05
    assert "composition_changed" in [reason["code"] for reason in decision["reasons"]]
    assert "inherited" in json.loads(rows[0]["body"])["reason"]


async def test_events_are_kept_in_order_with_actions(node: Node) -> None:
    await node.open()
    await observe(node.parts, "s1", Event(kind="prompt", role="user", text="hello"), NOW)
    await node.act("look")
    await observe(node.parts, "s1", Event(kind="tool_result", tool="look", text="found"), NOW)
    rows = await node.rows("select kind from events order by seq")

    assert [row["kind"] for row in rows] == ["prompt", "tool_call", "tool_result"]


@pytest.mark.parametrize(
    ("event", "error", "field"),
    [
        (Event(kind="tool_call"), RequestError, "kind"),
        (Event(kind="prompt", text="é" * 40_000), TooLargeError, "text"),
        (Event(kind="observation", data={"x": "y" * 70_000}), TooLargeError, "data"),
        (Event(kind="prompt", action_id=""), RequestError, "action_id"),
    ],
)
async def test_an_event_that_does_not_fit_is_refused_by_name(
    node: Node, event: Event, error: type[Exception], field: str
) -> None:
    await node.open()
    with pytest.raises(error, match=f"^{field}:"):
        await observe(node.parts, "s1", event, NOW)


async def test_asking_for_wider_scope_again_and_again_costs_a_little(node: Node) -> None:
    opened = await node.open()
    outside = ScopeRequest(verbs=("send",), resources=("email",))
    first = await scope_request(node.parts, "s1", outside, NOW)
    second = await scope_request(node.parts, "s1", outside, NOW)

    assert first["trust"] == opened["trust"]
    assert second["trust"]["lower"] < first["trust"]["lower"]
    assert first["state"] in {"redeclare", "person"}
    for family in first["families"]:
        envelope = node.parts.taxonomy.families[family].envelope
        assert "send" in envelope.verbs
        assert "email" in envelope.resources


async def test_scope_that_is_held_already_is_granted_and_free(node: Node) -> None:
    opened = await node.open()
    answer = await scope_request(node.parts, "s1", ScopeRequest(verbs=("read",)), NOW)

    assert (answer["state"], answer["families"], answer["trust"]) == ("granted", [], opened["trust"])


async def test_scope_that_no_declared_intent_holds_is_for_a_person(node: Node) -> None:
    await node.open()
    everything = ScopeRequest(
        verbs=tuple(node.parts.taxonomy.verbs), resources=tuple(node.parts.taxonomy.resources)
    )

    assert (await scope_request(node.parts, "s1", everything, NOW))["state"] == "person"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (ScopeRequest(), "verbs"),
        (ScopeRequest(verbs=("fly",)), "verbs"),
        (ScopeRequest(boundary="moon"), "boundary"),
    ],
)
async def test_scope_in_unknown_words_is_refused(node: Node, asked: ScopeRequest, field: str) -> None:
    await node.open()
    with pytest.raises(RequestError, match=f"^{field}:"):
        await scope_request(node.parts, "s1", asked, NOW)


async def test_an_alternative_is_offered_at_the_edge_and_answered_once(
    node: Node, make_node: MakeNode
) -> None:
    await node.open()
    decision = await node.act("edge", durable=True)
    assert decision["alternative"]["verb"] == "read"
    answer = await answer_alternative(node.parts, "s1", decision["decision_id"], NOW, accepted=True)
    await node.flushed()
    again = make_node()

    assert answer["alternative"] == decision["alternative"]
    assert await answer_alternative(again.parts, "s1", decision["decision_id"], NOW, accepted=True) == answer
    with pytest.raises(ConflictError, match="other way"):
        await answer_alternative(again.parts, "s1", decision["decision_id"], NOW, accepted=False)
    with pytest.raises(NotFoundError):
        await answer_alternative(node.parts, "s1", "0" * 32, NOW, accepted=True)


async def test_feedback_counts_once_and_an_actor_cannot_praise_itself(node: Node) -> None:
    await node.open()
    await node.act("look")
    await close(node.parts, "s1", "done", NOW)
    praise = Feedback(kind="satisfied", positive=True)
    own = await feedback(node.parts, "s1", praise, NOW, by_actor=True)
    first = await feedback(node.parts, "s1", praise, NOW)
    second = await feedback(node.parts, "s1", praise, NOW)

    assert [one["counted"] for one in (own, first, second)] == [False, True, False]
    assert first["trust"]["layers"]["outcome"] > own["trust"]["layers"]["outcome"]
    assert second["trust"] == first["trust"]
    assert (await node.rows("select closed_at, updated_at from sessions"))[0]["closed_at"] is not None


async def test_bad_feedback_lowers_trust(node: Node) -> None:
    await node.open()
    await node.act("look")
    before = await close(node.parts, "s1", "done", NOW)
    after = await feedback(node.parts, "s1", Feedback(kind="reject", positive=False, action_id="c1"), NOW)

    assert after["trust"]["lower"] < before["trust"]["lower"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (Feedback(kind="shrug", positive=True), RequestError),
        (Feedback(kind="approve", positive=False), RequestError),
        (Feedback(kind="correct", positive=True, action_id="c9"), NotFoundError),
    ],
)
async def test_feedback_that_does_not_fit_is_refused(
    node: Node, given: Feedback, error: type[Exception]
) -> None:
    await node.open()
    with pytest.raises(error):
        await feedback(node.parts, "s1", given, NOW)


async def test_idle_sessions_are_closed_as_given_up_and_earn_nothing(node: Node) -> None:
    opened = await node.open("old")
    await node.act("look", session="old")
    later = NOW + 90_000_000
    await node.open("new", actor="a2", now=later)
    await node.flushed()

    assert await close_idle(node.parts, later) == 1
    assert await node.rows("select id, state, outcome from sessions order by id") == [
        {"id": "new", "state": "open", "outcome": None},
        {"id": "old", "state": "closed", "outcome": "aborted"},
    ]
    assert (await node.open("next"))["trust"]["lower"] <= opened["trust"]["lower"]


async def test_lists_are_paged_without_loss_or_repetition(node: Node) -> None:
    for number in range(7):
        await node.open(f"s{number}", actor=f"a{number}", now=NOW + number // 3)
    await node.flushed()
    sessions: list[str] = []
    agents: list[str] = []
    async with node.parts.store.read() as connection:
        cursor = None
        while True:
            page = await list_sessions(connection, 3, cursor)
            sessions += [one["session_id"] for one in page["items"]]
            if (cursor := page["next"]) is None:
                break
        while True:
            page = await list_agents(connection, 3, cursor, now=NOW)
            agents += [one["id"] for one in page["items"]]
            if (cursor := page["next"]) is None:
                break

    assert sessions == [f"s{number}" for number in (6, 5, 4, 3, 2, 1, 0)]
    assert agents == [f"a{number}" for number in range(7)]


async def test_lists_can_be_narrowed(node: Node) -> None:
    await node.open("s1", actor="a1")
    await node.open("s2", actor="a2", kind="user")
    await node.act("match", 1, session="s2")
    await node.act("out", 2, session="s2")
    await node.flushed()
    async with node.parts.store.read() as connection:
        by = [
            await list_sessions(connection, 9, actor="a2"),
            await list_sessions(connection, 9, verdict="out_of_scope"),
            await list_sessions(connection, 9, pattern=PATTERN),
        ]
        users = await list_agents(connection, 9, kind="user", now=NOW)

    assert [[one["session_id"] for one in page["items"]] for page in by] == [["s2"], ["s2"], ["s2"]]
    assert [one["id"] for one in users["items"]] == ["a2"]


async def test_a_cursor_of_somebody_else_is_refused(node: Node) -> None:
    async with node.parts.store.read() as connection:
        with pytest.raises(RequestError, match=r"^cursor:"):
            await list_sessions(connection, 3, "!!")


async def test_a_session_can_be_reconstructed_with_every_reason(node: Node) -> None:
    await node.open()
    believe(node, "precautionary", 0.05)
    decisions = [await node.act(tool, number) for number, tool in enumerate(["look", "match", "out"])]
    await close(node.parts, "s1", "failed", NOW)
    await node.flushed()
    async with node.parts.store.read() as connection:
        detail = await get_session(connection, "s1")
        with pytest.raises(NotFoundError):
            await get_session(connection, "s9")

    beside = {"at", "tool", "server"}
    assert [{k: v for k, v in one.items() if k not in beside} for one in detail["decisions"]] == decisions
    assert [one["tool"] for one in detail["decisions"]] == ["look", "match", "out"]
    assert detail["patterns"][0]["judged"] == "flagged"
    assert detail["declared"]["text"] == "look it up"


async def test_an_agent_shows_what_the_network_takes_off_now(node: Node) -> None:
    await node.open()
    believe(node, "corroborated", 0.1)
    decision = await node.act("match")
    await node.flushed()
    async with node.parts.store.read() as connection:
        agent = await get_agent(connection, "a1", now=NOW)

    assert agent["trust"] == decision["trust"]
    assert [one["id"] for one in agent["sessions"]] == ["s1"]
