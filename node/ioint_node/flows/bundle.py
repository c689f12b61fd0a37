"""What a policy engine that keeps data of its own wants of this node: whom it trusts how far, and what is warned of.

One value for all: Open Policy Agent takes it as `data.ioint`. It is as of an instant and says until when it may be
used; an engine that cannot fetch the next one knows that its data is old.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.filtering import parse
from ioint_node.flows.assess import AssessParts
from ioint_node.store import actors, listings, stream
from ioint_node.store.responses import ACTIVE
from ioint_node.store.times import to_text

ROOT: Final = "ioint"
_PAGE: Final = 500
ACTED_ON: Final = "state:watched,suspicious,malicious,disputed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLimits:
    """How much one bundle holds, and for how long it may be used."""

    actors: int = 20_000
    indicators: int = 20_000  # that have an effect or a state, newest change first
    valid_ms: int = 300_000


async def gather(
    connection: AsyncConnection,
    parts: AssessParts,
    *,
    clearance: str,
    mode: str,
    limits: BundleLimits,
    now: int,
) -> dict[str, Any]:
    """The data of a bundle, as far as a clearance may see it; `complete` is false where a bound cut it."""
    seq = await stream.high_water(connection)
    known, all_actors = await _actors(connection, parts, limits.actors, now)
    warned, all_warned = await _warned(connection, clearance, limits.indicators)
    return {
        "seq": seq,
        "as_of": to_text(now),
        "expires": to_text(now + limits.valid_ms),
        "expires_ns": (now + limits.valid_ms) * 1_000_000,  # as Rego's time.now_ns() counts
        "mode": mode,
        "complete": all_actors and all_warned,
        "actors": known,
        "indicators": {one["id"]: one for one in warned},
        "subjects": {one["subject"]: one["id"] for one in warned if one["kind"] == "subject"},
    }


def packed(data: Mapping[str, Any], revision: str) -> bytes:
    """The bundle of Open Policy Agent: a gzipped tar with a manifest and the data; the same bytes for the same data."""
    manifest = {"revision": revision, "roots": [ROOT]}
    files = {"/.manifest": msgspec.json.encode(manifest), f"/{ROOT}/data.json": msgspec.json.encode(data)}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return gzip.compress(plain.getvalue(), compresslevel=6, mtime=0)


async def _actors(
    connection: AsyncConnection, parts: AssessParts, most: int, now: int
) -> tuple[dict[str, Any], bool]:
    found: dict[str, Any] = {}
    cursor: str | None = None
    while True:
        page = await actors.list_agents(connection, min(_PAGE, most - len(found)), cursor, now=now)
        for one in page["items"]:
            state = parts.halted.state_of(one["id"])
            trust = one["trust"]
            found[one["id"]] = {
                "kind": one["kind"],
                "score": trust["score"],
                "lower": trust["lower"],
                "used": trust["used"],
                "friction": trust["friction"],
                "autonomy": trust["autonomy"],
                "state": state,
                "halted": state != ACTIVE,
            }
        cursor = page["next"]
        if cursor is None or len(found) >= most:
            return found, cursor is None


async def _warned(
    connection: AsyncConnection, clearance: str, most: int
) -> tuple[list[dict[str, Any]], bool]:
    wanted = parse(ACTED_ON)
    found: list[dict[str, Any]] = []
    before: str | None = None
    while True:
        page = await listings.newest_indicators(
            connection, wanted, clearance, min(_PAGE, most - len(found)), before
        )
        for one in page.items:
            row = one.row
            kept = ("id", "kind", "label", "state", "score", "confidence", "tier", "effect", "intents")
            found.append({**{name: row[name] for name in kept}, "subject": one.subject})
        if not page.more or len(found) >= most:
            return found, not page.more
        before = str(page.last)
