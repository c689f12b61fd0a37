"""Snapshot and stream: identity, order, replay, reset, clearance, back-pressure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from ioint_node.filtering import parse
from ioint_node.store import saved, stream, tokens
from ioint_node.store.subscriptions import News, Wanted, taken_of
from ioint_node.web import Hub, WebLimits
from ioint_node.web.hub import Group, Subscriber

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from tests.node.web.conftest import Node

WAIT_S = 10


@asynccontextmanager
async def following(
    node: Node, last: int | None = None, role: str = "engine"
) -> AsyncIterator[ClientResponse]:
    headers = node.headers(role) | ({} if last is None else {"Last-Event-ID": str(last)})
    async with node.client.get("/api/v1/stream", headers=headers) as answer:
        assert answer.status == 200
        await until(lambda: node.parts.hub.subscribers > 0)
        yield answer


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - what it waits for happens in the server, which has no event
            await asyncio.sleep(0)


async def events(answer: ClientResponse, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    number = name = ""
    async with asyncio.timeout(WAIT_S):
        while len(found) < count:
            line = (await answer.content.readline()).decode().rstrip("\n")
            if line.startswith("id: "):
                number = line[4:]
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
                assert (str(data["seq"]), data["event"]) == (number, name)
                found.append(data)
    return found


async def say(node: Node, count: int = 1, tlp: str = "amber") -> list[int]:
    """Commit events as a flow does, then wake the hub."""
    seqs = []
    for index in range(count):
        body = {"actor": f"a-{index}", "before": 0.6, "after": 0.5}
        job = partial(stream.append, event="trust", body=body, tlp=tlp, now=node.clock.now)
        seqs.append(await node.parts.store.write(job))
    node.parts.hub.wake()
    return seqs


async def test_an_event_arrives_with_its_number_name_and_data(node: Node) -> None:
    async with following(node) as answer:
        (seq,) = await say(node)
        (event,) = await events(answer, 1)
    assert event["seq"] == seq
    assert (event["actor"], event["before"], event["after"]) == ("a-0", 0.6, 0.5)
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.content_type == "text/event-stream"


async def test_a_subscriber_that_comes_back_misses_nothing_and_gets_nothing_twice(node: Node) -> None:
    async with following(node) as answer:
        first = await say(node, 3)
        heard = await events(answer, 3)
    missed = await say(node, 5)
    async with following(node, heard[-1]["seq"]) as answer:
        heard += await events(answer, 5)
        live = await say(node, 2)
        heard += await events(answer, 2)
    assert [event["seq"] for event in heard] == first + missed + live


class TestSmallPages:
    @pytest.fixture
    def limits(self) -> WebLimits:
        return WebLimits(replay_rows=3)

    async def test_replay_goes_over_many_pages_while_more_is_written(self, node: Node) -> None:
        before = await say(node, 10)
        async with following(node, 0) as answer:
            after = await say(node, 10)
            heard = await events(answer, 20)
        assert [event["seq"] for event in heard] == before + after


async def test_a_number_from_before_retention_is_answered_with_one_reset(node: Node) -> None:
    seqs = await say(node, 4)
    await node.parts.store.write(lambda c: stream.trim(c, node.clock.now + 1))
    async with following(node, seqs[0]) as answer:
        (event,) = await events(answer, 1)
        assert (event["event"], event["snapshot"]) == ("reset", "/api/v1/snapshot")
        assert event["seq"] == seqs[-1]
        live = await say(node)
        assert [one["seq"] for one in await events(answer, 1)] == live


async def test_a_number_from_the_future_is_answered_with_a_reset(node: Node) -> None:
    await say(node)
    async with following(node, 999) as answer:
        assert (await events(answer, 1))[0]["event"] == "reset"


async def test_events_above_the_clearance_are_not_sent_and_do_not_stop_the_others(node: Node) -> None:
    (first,) = await say(node)
    await say(node, 2, tlp="red")
    async with following(node, first, role="soc") as answer:
        await say(node, 1, tlp="red")
        (last,) = await say(node, 1, tlp="clear")
        assert [event["seq"] for event in await events(answer, 1)] == [last]


async def test_a_report_that_arrives_is_heard_by_engines(node: Node) -> None:
    (pattern,) = node.patterns(1)
    async with following(node) as answer:
        await node.hear("contoso", node.report(pattern))
        (event,) = await events(answer, 1)
    assert (event["event"], event["pattern"], event["state"]) == ("reputation", pattern, "watched")


async def test_the_snapshot_ends_where_the_stream_goes_on(node: Node) -> None:
    patterns = node.patterns(5)
    await node.hear("contoso", *(node.report(pattern) for pattern in patterns[:4]))
    page = await node.json("/api/v1/snapshot", "engine", params={"limit": "3"})
    rest = await node.json("/api/v1/snapshot", "engine", params={"limit": "3", "cursor": page["next"]})
    assert page["seq"] == rest["seq"]
    assert {row["id"] for row in page["items"] + rest["items"]} == set(patterns[:4])
    await node.hear("fabrikam", node.report(patterns[4]))
    async with following(node, page["seq"]) as answer:
        assert [event["pattern"] for event in await events(answer, 1)] == [patterns[4]]


@pytest.mark.parametrize("last", ["-1", "soon", "9" * 30])
async def test_a_number_that_is_none_is_refused(node: Node, last: str) -> None:
    answer = await node.get("/api/v1/stream", "engine", headers={"Last-Event-ID": last})
    assert answer.status == 400
    assert (await answer.json(content_type=None))["field"] == "Last-Event-ID"


async def test_who_says_that_it_has_heard_nothing_yet_begins_now(node: Node) -> None:
    headers = node.headers("engine") | {"Last-Event-ID": ""}
    async with node.client.get("/api/v1/stream", headers=headers) as answer:
        assert answer.status == 200
        await until(lambda: node.parts.hub.subscribers > 0)
        (seq,) = await say(node)
        (event,) = await events(answer, 1)
    assert event["seq"] == seq


class TestTightLimits:
    @pytest.fixture
    def limits(self) -> WebLimits:
        return WebLimits(streams_per_token=1, stream_buffer_bytes=64_000, heartbeat_s=0.02)

    async def test_a_token_has_so_many_streams_and_no_more(self, node: Node) -> None:
        async with following(node):
            answer = await node.get("/api/v1/stream", "engine")
            assert answer.status == 429
            assert node.parts.refusals["too_many_streams"] == 1
            assert (await node.get("/api/v1/status")).status == 200

    async def test_a_quiet_stream_is_kept_alive_by_comments(self, node: Node) -> None:
        async with following(node) as answer, asyncio.timeout(WAIT_S):
            while not (await answer.content.readline()).startswith(b": still here"):
                pass

    async def test_a_revoked_token_ends_its_streams(self, node: Node) -> None:
        async with following(node) as answer, asyncio.timeout(WAIT_S):
            rows = (await node.json("/api/v1/tokens", "admin"))["items"]
            engine = next(row["id"] for row in rows if row["role"] == "engine")
            await node.client.delete(f"/api/v1/tokens/{engine}", headers=node.headers("admin"))
            while await answer.content.readline():
                pass
        assert node.parts.hub.subscribers == 0

    async def test_a_consumer_that_does_not_read_is_cut_off_and_nobody_else(self, node: Node) -> None:
        made = await node.parts.store.write(lambda c: tokens.create(c, "engine", None, "amber", None))
        _, lazy = await asyncio.open_connection("127.0.0.1", node.port, limit=1024)
        lazy.write(
            f"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {made.token}\r\n\r\n".encode()
        )
        await until(lambda: node.parts.hub.subscribers == 1)
        body = {"actor": "a", "reason": "x" * 60_000}
        async with following(node) as answer:
            await until(lambda: node.parts.hub.subscribers == 2)
            async with asyncio.timeout(WAIT_S):
                while not node.parts.hub.dropped["slow_consumer"]:
                    await node.parts.store.write(
                        lambda c: stream.append(c, "trust", body, "amber", node.clock.now)
                    )
                    node.parts.hub.wake()
                    assert (await events(answer, 1))[0]["reason"] == body["reason"]
            assert node.parts.hub.subscribers == 1
        lazy.close()


@asynccontextmanager
async def asking(
    node: Node, role: str = "engine", last: int | None = None, **asked: str
) -> AsyncIterator[ClientResponse]:
    before = node.parts.hub.subscribers
    headers = node.headers(role) | ({} if last is None else {"Last-Event-ID": str(last)})
    async with node.client.get("/api/v1/stream", headers=headers, params=asked) as answer:
        assert answer.status == 200, await answer.text()
        await until(lambda: node.parts.hub.subscribers > before)
        yield answer


async def tell_of(node: Node, pattern: str, **said: Any) -> int:
    """Commit an event about an indicator."""
    body = {"pattern": pattern, **said}
    seq = await node.parts.store.write(
        lambda c: stream.append(c, "reputation", body, "amber", node.clock.now)
    )
    node.parts.hub.wake()
    return seq


async def test_a_filter_passes_what_comes_into_it_and_what_leaves_it_and_nothing_else(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    async with asking(node, filter="state:malicious") as answer:
        await tell_of(node, pattern, state="watched", was={"state": "unknown"})
        came = await tell_of(node, pattern, state="malicious", was={"state": "watched"})
        left = await tell_of(node, pattern, state="watched", was={"state": "malicious"})
        await tell_of(node, pattern, state="watched", was=None)
        unsaid = await tell_of(node, pattern, state="watched")
        heard = await events(answer, 3)
    assert [event["seq"] for event in heard] == [came, left, unsaid]


async def test_what_is_missed_is_filtered_as_what_is_live(node: Node) -> None:
    first, second = node.patterns(2)
    await node.hear("contoso", node.report(first), node.report(second))
    missed = await tell_of(node, second, state="watched")
    await tell_of(node, first, state="watched")
    async with asking(node, last=missed - 1, filter=f"subject:{second}") as answer:
        live = await tell_of(node, second, state="watched")
        assert [event["seq"] for event in await events(answer, 2)] == [missed, live]


async def test_a_saved_filter_is_followed_by_its_id(node: Node) -> None:
    first, second = node.patterns(2)
    await node.hear("contoso", node.report(first), node.report(second))
    made = await node.parts.store.write(
        lambda c: saved.save(c, "one", parse(f"subject:{second}"), "token:x", node.clock.now)
    )
    async with asking(node, saved=made.id) as answer:
        await tell_of(node, first, state="watched")
        wanted = await tell_of(node, second, state="watched")
        assert [event["seq"] for event in await events(answer, 1)] == [wanted]


async def test_kinds_and_an_actor_may_be_asked_for(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    async with (
        asking(node, events="trust,response") as kinds,
        asking(node, actor="a-1") as actor,
        asking(node, filter="state:watched", actor="a-1") as both,
    ):
        changed = await tell_of(node, pattern, state="watched")
        seqs = await say(node, 2)
        assert [event["seq"] for event in await events(kinds, 2)] == seqs
        assert [event["seq"] for event in await events(actor, 1)] == [seqs[1]]
        assert [event["seq"] for event in await events(both, 2)] == [changed, seqs[1]]


async def test_an_event_of_what_is_now_more_closed_than_it_passes_every_filter(node: Node) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern, tlp="red"))
    async with asking(node, filter="state:malicious") as answer:
        seq = await tell_of(node, pattern, state="watched")
        assert [event["seq"] for event in await events(answer, 1)] == [seq]


@pytest.mark.parametrize(
    ("asked", "status", "field"),
    [
        ({"filter": "colour:red"}, 400, "filter"),
        ({"events": "trust,reset"}, 400, "events"),
        ({"events": "everything"}, 400, "events"),
        ({"actor": ""}, 400, "actor"),
        ({"actor": "a" * 257}, 400, "actor"),
        ({"saved": "none"}, 404, "saved"),
        ({"since": "7d"}, 400, "since"),
    ],
)
async def test_what_cannot_be_asked_of_the_stream_is_refused(
    node: Node, asked: dict[str, str], status: int, field: str | None
) -> None:
    answer = await node.get("/api/v1/stream", "engine", params=asked)
    assert answer.status == status
    assert (await answer.json(content_type=None)).get("field") == field


class TestFewFilters:
    @pytest.fixture
    def limits(self) -> WebLimits:
        return WebLimits(stream_filters=1)

    async def test_only_so_many_different_filters_are_followed(self, node: Node) -> None:
        async with (
            asking(node, filter="state:watched"),
            asking(node, filter="state:watched"),
            following(node),
        ):
            answer = await node.get("/api/v1/stream", "soc", params={"filter": "state:malicious"})
            assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
        assert node.parts.refusals["too_many_filters"] == 1


class Ear:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.heard = b""

    def write(self, data: bytes) -> None:
        self.heard += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def test_who_begins_to_follow_an_actor_while_news_are_read_hears_them(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, ear = Hub(node.parts.store), Ear()
    await hub.start()
    await say(node)
    group = Group(clearance="amber", wanted=Wanted(events=frozenset({"trust"}), actor="a-0"), chunked=False)
    subscriber = Subscriber(cast("asyncio.Transport", ear), group)
    subscriber.seq = hub.seq
    since = stream.since

    async def joined(*args: Any) -> tuple[stream.StreamRow, ...]:
        rows = await since(*args)
        asyncio.get_running_loop().call_soon(hub.join, subscriber)
        return rows

    monkeypatch.setattr(stream, "since", joined)
    feeding = asyncio.create_task(hub.run())
    try:
        await until(lambda: hub.seq > 0)
    finally:
        feeding.cancel()
    assert b'"actor":"a-0"' in ear.heard


async def test_a_costly_filter_lets_others_have_their_turn(node: Node) -> None:
    rows = [stream.StreamRow(seq=n, at="", event="reputation", tlp="green", body="{}") for n in range(1, 200)]
    news = [News(row=row, said={}, indicator=None) for row in rows]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    taken = await taken_of(news, Wanted(filter=parse("-q:zebra")), node.clock.now)
    task.cancel()
    assert len(taken) == 199
    assert turns >= 6
