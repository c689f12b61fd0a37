"""Two collections of as many indicators: that of a node, and the least that a Python process must do to serve one.

The floor is aiohttp over SQLite: bodies as they are served, joined; keyset paging over an integer; no token, no label,
no filter but those that are measured. Its objects have a kilobyte each, as those of a node have.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from aiohttp import web
from ioint_taxonomy import Catalogue, load_catalogue

from ioint_node.bench.floors import sample
from ioint_node.formats.stix import subject_uuid
from ioint_node.store.schema import indicators
from ioint_node.store.times import from_text, to_text

FIRST_MS: Final = from_text("2026-01-01T00:00:00Z")
PAGE: Final = 100  # objects
LABELS: Final = ("clear", "green", "green", "amber", "amber")
STATES: Final = ("watched", "suspicious", "malicious", "watched", "disputed")
DISTINCT: Final = 1_000  # bodies of the floor; the others differ in id and stamps alone
_FLOOR: Final = """
create table held (added integer primary key, id text, modified text, type text, body blob);
"""
_FLOOR_INDEX: Final = "create unique index by_id on held (id, modified)"
_COLUMNS: Final = (
    "id", "n", "seq", "kind", "state", "score", "confidence", "tier", "effect", "reporters", "tlp", "last_seen",
    "added_at", "subject", "words", "terms", "body", "uuid",
)  # fmt: skip
_TYPE: Final = "application/taxii+json"
_Row = tuple[object, ...]


def key(number: int) -> str:
    """The id of an indicator by its number."""
    return hashlib.sha256(f"indicator {number}".encode()).hexdigest()


def fill_node(database: Path, count: int) -> None:
    """Write so many indicators into the database of a node, as if each had changed once, in its own millisecond."""
    catalogue = load_catalogue()
    marks = ", ".join("?" * len(_COLUMNS))
    statement = f"insert into {indicators.name} ({', '.join(_COLUMNS)}) values ({marks})"  # noqa: S608 - own names
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("pragma synchronous=off")
        connection.execute("begin immediate")
        connection.executemany(statement, (_row(number, catalogue) for number in range(1, count + 1)))
        connection.execute("commit")
        connection.execute("analyze")


def _row(number: int, catalogue: Catalogue) -> _Row:
    name, entries = key(number), catalogue.entries
    entry = list(entries.values())[number % len(entries)]
    state, tlp = STATES[number % len(STATES)], LABELS[number % len(LABELS)]
    seen = to_text(FIRST_MS + number * 1_000)[:10]
    row = {
        "id": name,
        "kind": "pattern",
        "label": f"{entry.title} {number}",
        "intents": list(entry.intents),
        "layer": "L01",
        "declared": [],
        "state": state,
        "score": number % 101,
        "confidence": number % 101,
        "tier": "advisory",
        "effect": 0.05,
        "reporters": 1 + number % 7,
        "first_reporter": "",
        "first_seen": seen,
        "last_seen": seen,
        "valid_until": "2027-12-31",
        "trend": "steady",
        "seen_locally": False,
        "local_hits": 0,
        "blast_radius": 0,
        "disputed": state == "disputed",
        "revoked": False,
        "tlp": tlp,
        "taxonomy_version": "2026.11",
        "reason": "precautionary",
        "why": "Several groups accuse; acting on it is cheap here.",
        "seq": number,
    }
    details = {"subject": name, "novel": dict(entry.pattern), "reason": "precautionary"}
    body = msgspec.json.encode({"row": row, "details": details}).decode()
    return (
        name, number, number, "pattern", state, row["score"], row["confidence"], "advisory", 0.05, row["reporters"],
        tlp, seen, to_text(FIRST_MS + number), name, "", "[]", body, subject_uuid(name),
    )  # fmt: skip


def floor_id(number: int) -> str:
    """The id of an object of the floor."""
    return f"indicator--{number:08x}-0000-4000-8000-{number:012x}"


def fill_floor(database: Path, count: int) -> None:
    """Write as many objects for the floor."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript(_FLOOR)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=off")
        connection.execute("begin")
        connection.executemany("insert into held values (?, ?, ?, ?, ?)", _floor_rows(count))
        connection.execute("commit")
        connection.execute(_FLOOR_INDEX)
        connection.execute("analyze")


def _floor_rows(count: int) -> Iterator[_Row]:
    made: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        if len(made) < DISTINCT:
            made.append(sample(number))
        one = made[number % len(made)]
        one["id"] = floor_id(number)
        one["modified"] = to_text(FIRST_MS + number)
        yield number, one["id"], one["modified"], "indicator", msgspec.json.encode(one)


@asynccontextmanager
async def floor(database: Path) -> AsyncIterator[str]:
    """Serve the floor on a free port of this machine."""
    connection = sqlite3.connect(database, isolation_level=None)
    for pragma in ("cache_size=-200000", "mmap_size=4000000000"):
        connection.execute(f"pragma {pragma}")
    application = web.Application()
    application.router.add_get("/objects/", _objects(connection))
    application.router.add_get("/manifest/", _manifest(connection))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = cast("tuple[str, int]", runner.addresses[0])[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
        connection.close()


def _objects(connection: sqlite3.Connection) -> Callable[[web.Request], Any]:
    async def objects(request: web.Request) -> web.Response:
        rows, more = _page(connection, request, "body")
        return _answer([row[1] for row in rows], rows, more=more)

    return objects


def _manifest(connection: sqlite3.Connection) -> Callable[[web.Request], Any]:
    async def manifest(request: web.Request) -> web.Response:
        rows, more = _page(connection, request, "id, modified")
        entries = [
            msgspec.json.encode(
                {
                    "id": name,
                    "date_added": to_text(FIRST_MS + added),
                    "version": modified,
                    "media_type": "application/stix+json;version=2.1",
                }
            )
            for added, name, modified in rows
        ]
        return _answer(entries, rows, more=more)

    return manifest


def _page(connection: sqlite3.Connection, request: web.Request, columns: str) -> tuple[list[Any], bool]:
    asked = request.query
    limit, where, values = int(asked.get("limit", PAGE)), "added > ?", [-1]
    if "added_after" in asked:
        values = [from_text(asked["added_after"]) - FIRST_MS]
    if "next" in asked:
        values = [int(asked["next"])]
    given: list[object] = list(values)
    if "match[id]" in asked:
        where += " and id = ?"
        given.append(asked["match[id]"])
    statement = f"select added, {columns} from held where {where} order by added limit {limit + 1}"  # noqa: S608 - own
    rows = connection.execute(statement, given).fetchall()
    return rows[:limit], len(rows) > limit


def _answer(parts: Sequence[bytes], rows: Sequence[Any], *, more: bool) -> web.Response:
    if not rows:
        return web.Response(body=b"{}", content_type=_TYPE)
    head = b'{"more":true,"next":"%d",' % rows[-1][0] if more else b'{"more":false,'
    dates = {
        "X-TAXII-Date-Added-First": to_text(FIRST_MS + rows[0][0]),
        "X-TAXII-Date-Added-Last": to_text(FIRST_MS + rows[-1][0]),
    }
    body = b'%b"objects":[%b]}' % (head, b",".join(parts))
    return web.Response(body=body, content_type=_TYPE, headers=dates)
