"""Filters over HTTP: the language for those who complete it, saved filters, and feeds of rows."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.filtering import KEYS, parse
from ioint_node.formats.table import COLUMNS
from ioint_node.store import saved
from ioint_node.web.feeds import rows

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from tests.node.web.conftest import Node

pytestmark = pytest.mark.network


@pytest.fixture
async def told(node: Node) -> Node:
    """A node that was told of four patterns, one of them by three members and one above the clearance of most."""
    one, two, three, high = node.patterns(4)
    await node.hear(
        "contoso", *(node.report(pattern) for pattern in (one, two, three)), node.report(high, tlp="red")
    )
    for name in ("fabrikam", "initech"):
        await node.hear(name, node.report(one))
    return node


async def ids(node: Node, **params: str) -> set[str]:
    return {row["id"] for row in (await node.json("/api/v1/indicators", params=params))["items"]}


async def test_a_filter_takes_what_it_says(told: Node) -> None:
    one, two, three, high = told.patterns(4)
    assert await ids(told, filter="reporters>=2") == {one}
    assert await ids(told, filter="-reporters>=2 since:7d") == {two, three}
    assert await ids(told, reporters="1", state="watched") == {two, three}
    entry = told.parts.exchange.catalogue.entries[one]
    row = await told.json(f"/api/v1/patterns/{one}")
    assert one in await ids(told, filter=f"intent:{entry.intents[0]} verb:{row['verbs'][0]}")
    assert await ids(told, filter="tlp:red") == set()
    assert high not in await ids(told)


async def test_a_snapshot_takes_a_filter_too(told: Node) -> None:
    (one,) = told.patterns(1)
    page = await told.json("/api/v1/snapshot", params={"filter": "reporters>=2", "limit": "1"})
    assert [row["id"] for row in page["items"]] == [one]


async def test_the_language_is_told_with_its_values(node: Node) -> None:
    told = await node.json("/api/v1/filters/language", params={"filter": "tier:none -state:watched since:1d"})
    assert [key["key"] for key in told["keys"]] == list(KEYS)
    (state,) = (key for key in told["keys"] if key["key"] == "state")
    assert "malicious" in state["values"]
    assert told["filter"]["text"] == "-state:watched tier:none since:1d"
    assert told["filter"]["now"] != told["filter"]["text"]
    assert [term["negated"] for term in told["filter"]["terms"]] == [True, False, False]


async def test_a_filter_is_saved_used_and_deleted(told: Node) -> None:
    (one,) = told.patterns(1)
    body = {"name": "two or more", "filter": "  since:7d reporters>1 "}
    answer = await told.post("/api/v1/filters", body, "soc")
    made = await answer.json()
    assert (answer.status, made["text"]) == (201, "reporters>=2 since:7d")
    assert [row["name"] for row in (await told.json("/api/v1/filters", "engine"))["items"]] == ["two or more"]
    assert await ids(told, saved=made["id"]) == {one}
    assert await ids(told, saved=made["id"], filter="state:benign") == set()
    assert (await told.post("/api/v1/filters", body, "soc")).status == 409
    gone = await told.client.delete(f"/api/v1/filters/{made['id']}", headers=told.headers("soc"))
    assert gone.status == 200
    assert (await told.get("/api/v1/indicators", params={"saved": made["id"]})).status == 404
    assert (
        await told.client.delete(f"/api/v1/filters/{made['id']}", headers=told.headers("soc"))
    ).status == 404


@pytest.mark.parametrize(
    ("body", "role", "status", "at"),
    [
        ({"name": "n", "filter": "state:evil"}, "soc", 400, 6),
        ({"name": "n", "filter": " "}, "soc", 400, 0),
        ({"name": " n", "filter": "state:benign"}, "soc", 400, None),
        ({"name": "n", "filter": "state:benign"}, "engine", 403, None),
        ({"name": "n", "filter": "state:benign"}, "agent", 403, None),
    ],
)
async def test_what_cannot_be_saved_is_refused(
    node: Node, body: dict[str, str], role: str, status: int, at: int | None
) -> None:
    answer = await node.post("/api/v1/filters", body, role)
    assert (answer.status, (await answer.json(content_type=None)).get("at")) == (status, at)


async def test_no_more_filters_are_saved_than_may_be(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "SAVED_MOST", 1)
    assert (await node.post("/api/v1/filters", {"name": "a", "filter": "seen:yes"}, "soc")).status == 201
    assert (await node.post("/api/v1/filters", {"name": "b", "filter": "seen:no"}, "soc")).status == 413


async def test_a_feed_of_rows_has_the_columns_of_the_contract(told: Node) -> None:
    answer = await told.get("/feeds/indicators.csv", "engine")
    assert (answer.status, answer.content_type) == (200, "text/csv")
    read = list(csv.DictReader(io.StringIO(await answer.text())))
    assert tuple(read[0]) == COLUMNS
    assert {row["id"] for row in read} == set(told.patterns(3))
    lines = (await (await told.get("/feeds/indicators.jsonl")).text()).splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == [row["id"] for row in read]
    assert all(set(COLUMNS) <= set(row) for row in rows)
    plain = (await (await told.get("/feeds/indicators.txt")).text()).split()
    assert plain == [row["id"] for row in read]


async def test_a_feed_takes_a_filter_a_limit_and_the_clearance(
    told: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ioint_node.web.feeds.rows.PAGE_ROWS", 2)
    (one,) = told.patterns(1)

    async def plain(role: str = "soc", **params: str) -> list[str]:
        return (await (await told.get("/feeds/indicators.txt", role, params=params)).text()).split()

    assert await plain(filter="reporters>=2") == [one]
    assert len(await plain(limit="2")) == 2
    assert len(await plain(limit="3")) == 3
    assert sorted(await plain("admin")) == list(told.patterns(4))
    assert (await told.get("/feeds/indicators.txt", params={"limit": "0"})).status == 400
    assert (await told.get("/feeds/indicators.csv", "agent")).status == 403
    assert (await told.client.get("/feeds/indicators.csv")).status == 401


async def test_a_feed_that_has_not_changed_has_no_body(told: Node) -> None:
    async def asked(role: str = "soc", **rest: Any) -> ClientResponse:
        answer = await told.get("/feeds/indicators.csv", role, **rest)
        await answer.read()  # an answer that nobody reads ends its connection some time later
        return answer

    first = await asked()
    tag = {"If-None-Match": first.headers["ETag"]}
    same = await asked(headers=tag)
    assert (same.status, await same.read()) == (304, b"")
    assert same.headers["X-IOINT-Seq"] == first.headers["X-IOINT-Seq"]
    assert (await asked("admin", headers=tag)).status == 200
    assert (await asked(params={"filter": "seen:no"}, headers=tag)).status == 200
    await told.hear("umbrella", told.report(told.patterns(2)[1]))
    again = await asked(headers=tag)
    assert again.status == 200
    assert int(again.headers["X-IOINT-Seq"]) > int(first.headers["X-IOINT-Seq"])


async def test_a_walk_that_finds_nothing_goes_on(told: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ioint_node.store.filtered.GATHER_MOST", 0)
    monkeypatch.setattr("ioint_node.store.filtered.WALK_MOST", 1)
    (one,) = told.patterns(1)
    found: list[Any] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        page = await told.json(
            "/api/v1/indicators", params={"filter": "reporters>=2"} | ({"cursor": cursor} if cursor else {})
        )
        found += page["items"]
        cursor, pages = page["next"], pages + 1
    assert [row["id"] for row in found] == [one]
    assert pages > 1


async def test_a_cursor_from_elsewhere_is_refused(node: Node) -> None:
    for cursor in ("OTk5OTk5OTk5OTk5OTk5OTk5", "!", "YQ"):
        assert (await node.get("/api/v1/indicators", params={"cursor": cursor})).status == 400


def test_a_saved_filter_reads_as_it_was_written() -> None:
    assert parse(parse("score>50 q:phone").text).text == "score>=51 q:phone"


@pytest.mark.parametrize("name", ["a\x1b[31mb", "\u202eabc", "ab\n"])
async def test_a_name_that_would_be_shown_as_something_else_is_refused(node: Node, name: str) -> None:
    answer = await node.post("/api/v1/filters", {"name": name, "filter": "score>=50"}, "soc")
    assert answer.status == 400
    assert (await answer.json(content_type=None))["field"] == "name"


async def test_a_reader_that_leaves_is_no_failure_of_the_node(
    told: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone = asyncio.Event()

    async def pages(*_: object) -> AsyncIterator[list[dict[str, Any]]]:
        await gone.wait()
        while True:
            yield [dict.fromkeys(COLUMNS, "x" * 1_000)] * 100
            await asyncio.sleep(0)

    monkeypatch.setattr(rows, "_pages", pages)
    answer = await told.get("/feeds/indicators.csv")
    answer.close()
    gone.set()
    async with asyncio.timeout(10):
        while not told.parts.refusals["client_left"]:  # noqa: ASYNC110 - it happens in the server
            await asyncio.sleep(0)
    assert "a handler failed" not in caplog.text
