"""What the nodes' interfaces say at the end of the story."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import aiohttp
from ioint_taxonomy import load_catalogue

from ioint_node.demo.stage import Organisation
from ioint_node.demo.summary import Reported

ATTACK_OF = {"duplicate": "replay", "equivocation": "equivocation", "quarantined": "equivocation"}
TAXII = "application/taxii+json;version=2.1"


async def most_used_pattern(http: aiohttp.ClientSession, honest: Sequence[Organisation]) -> str:
    """The catalogue pattern that the honest organisations meet most in their own daily work.

    Ties, and a consortium that has met none, are decided by the signed base rate of the catalogue.
    """
    met: Counter[str] = Counter()
    for organisation in honest:
        async for row in organisation.client(http, "soc").items("/api/v1/patterns"):
            met[str(row["id"])] += int(row["local_hits"])
    entries = load_catalogue().entries
    return max(entries, key=lambda pattern: (met[pattern], entries[pattern].base_matches, pattern))


async def collect(
    http: aiohttp.ClientSession,
    honest: Sequence[Organisation],
    hostile: Organisation,
    refused: Mapping[str, int],
) -> Reported:
    """Ask every honest node for what left, what arrived, what it believes and whom it refuses."""
    left = {each.name: [item async for item in _left(http, each)] for each in honest}
    receipts = {each.name: await _receipts(http, each) for each in honest}
    members = {each.member: each.name for each in honest}
    rows = [row async for row in honest[-1].client(http, "soc").items("/api/v1/indicators")]
    reporters = _reporters(receipts)
    return Reported(
        bytes_left=[
            {"organisation": name, "record_id": item["id"], "bytes_b64": item["bytes_b64"]}
            for name, items in left.items()
            for item in items
        ],
        patterns=rows,
        published=sum(item["kind"] == "report" for items in left.values() for item in items),
        received=sum(
            record["author"] != _member(members, name)
            for name, records in receipts.items()
            for record in records.values()
        ),
        propagation_ms=_propagation(receipts, members),
        soc_objects=await _taxii_objects(http, honest[-1]),
        refused=refused,
        quarantined=await _quarantined(http, honest, hostile),
        only_hostile=frozenset(
            pattern for pattern, authors in reporters.items() if authors == {hostile.member}
        ),
    )


def _left(http: aiohttp.ClientSession, organisation: Organisation) -> Any:  # noqa: ANN401 - an async iterator
    return organisation.client(http, "admin").items("/api/v1/outgoing", state="left")


async def _receipts(http: aiohttp.ClientSession, organisation: Organisation) -> dict[str, Mapping[str, Any]]:
    """Every report that a node knows, by author and record, with its author and the time of its commit there."""
    records = organisation.client(http, "soc").items("/api/v1/records", kind="report")
    return {str(record["statement"]): record async for record in records}


def _member(members: Mapping[str, str], name: str) -> str:
    return next(member for member, each in members.items() if each == name)


def _reporters(receipts: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for records in receipts.values():
        for record in records.values():
            found.setdefault(str(record["subject"]), set()).add(str(record["author"]))
    return found


def _propagation(
    receipts: Mapping[str, Mapping[str, Mapping[str, Any]]], members: Mapping[str, str]
) -> list[float]:
    """Milliseconds from the commit at the sender to the commit at each receiver."""
    delays = []
    for name, records in receipts.items():
        for record_id, record in records.items():
            sender = members.get(str(record["author"]))
            if sender is None or sender == name or record_id not in receipts[sender]:
                continue
            sent = datetime.fromisoformat(str(receipts[sender][record_id]["received_at"]))
            came = datetime.fromisoformat(str(record["received_at"]))
            delays.append((came - sent).total_seconds() * 1000)
    return delays


async def _taxii_objects(http: aiohttp.ClientSession, organisation: Organisation) -> int:
    """How many indicators a SOC's TAXII client is given."""
    headers = {"Authorization": f"Bearer {organisation.tokens['soc']}", "Accept": TAXII}

    async def get(url: str) -> Any:  # noqa: ANN401 - JSON of the standard
        async with http.get(url, headers=headers) as answer:
            return await answer.json(content_type=None) if answer.status == 200 else {}

    discovery = await get(f"{organisation.url}/taxii2/")
    root = discovery.get("default") or f"{organisation.url}/taxii2/api/"
    collections = (await get(f"{root}collections/")).get("collections") or []
    pages = await asyncio.gather(*(get(f"{root}collections/{each['id']}/objects/") for each in collections))
    return sum(each["type"] == "indicator" for page in pages for each in page.get("objects", []))


async def refusals_of(
    http: aiohttp.ClientSession, honest: Sequence[Organisation], hostile: Organisation
) -> Counter[str]:
    """What the honest nodes have refused of the hostile member so far, by name of the refusal."""
    refused: Counter[str] = Counter()
    for organisation in honest:
        page = await organisation.client(http, "soc").get("/api/v1/members")
        for row in page["items"]:
            if row["id"] == hostile.member:
                refused.update({str(name): int(count) for name, count in row["refused"].items()})
    return refused


def by_attack(refused: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Refusals since the attacks began: what every relay brings twice now and then was refused before them."""
    found: Counter[str] = Counter({"replay": 0, "garbage": 0, "equivocation": 0})
    for name, count in refused.items():
        found[ATTACK_OF.get(name, "garbage")] += count - before.get(name, 0)
    return dict(found)


async def _quarantined(
    http: aiohttp.ClientSession, honest: Sequence[Organisation], hostile: Organisation
) -> bool:
    pages = [await each.client(http, "soc").get("/api/v1/members") for each in honest]
    return all(
        any(row["id"] == hostile.member and row["quarantined_at"] for row in page["items"]) for page in pages
    )
