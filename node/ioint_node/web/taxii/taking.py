"""The writing side of TAXII: what analysts' tools send, what became of it, and taking it out again."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web

from ioint_node.flows.contributing import Taken, contribute
from ioint_node.store import contributions
from ioint_node.store.contributions import Kept
from ioint_node.store.times import from_text, to_text
from ioint_node.store.tokens import Caller
from ioint_node.web.problems import Refusal
from ioint_node.web.requests import decode, read_body
from ioint_node.web.site import Site
from ioint_node.web.taxii.asking import Wanted, check_accept, check_sent
from ioint_node.web.taxii.pages import Page, Piece, millis

OBJECTS_MOST: Final = 100  # of one request
READ_AT_ONCE: Final = 100  # objects that are kept


async def take(site: Site, request: web.Request, caller: Caller) -> bytes:
    """Take an envelope of objects; returns the status resource.

    Raises:
        Refusal: 415 or 400 for a body that cannot be read, 422 for one that is no envelope.
    """
    check_accept(request)
    check_sent(request)
    objects = _objects(decode(await read_body(request, site.parts.limits), dict[str, Any], site.parts.limits))
    now = site.parts.now()
    done = await contribute(
        site.parts.exchange, objects, by=f"token:{caller.id}", clearance=caller.tlp, now=now
    )
    key = str(uuid.uuid4())
    body = msgspec.json.encode(_status(key, done, now))
    await site.parts.store.write(
        partial(contributions.put_status, key=key, token=caller.id, body=body.decode(), now=now)
    )
    return body


async def status(site: Site, key: str, caller: Caller) -> bytes:
    """What became of a request of this caller.

    Raises:
        Refusal: 404, nothing is known of it any more, or it was another's.
    """
    async with site.parts.store.read() as connection:
        found = await contributions.status(connection, key, caller.id, site.parts.now())
    if found is None:
        raise Refusal(404, "not_found", "no such status, or it is too old")
    return found.encode()


async def page(site: Site, wanted: Wanted, caller: Caller) -> Page:
    """A page of what was taken."""
    pieces: list[Piece] = []
    after = to_text(wanted.after_us // 1_000)
    async with site.parts.store.read() as connection:
        while len(pieces) <= wanted.limit:
            found = await contributions.after(
                connection, caller.tlp, after, READ_AT_ONCE, ids=wanted.ids, types=wanted.types
            )
            pieces += [_piece(one) for one in found if _is_asked(one, wanted)]
            if len(found) < READ_AT_ONCE:
                break
            after = found[-1].added_at
    shown = pieces[: wanted.limit]
    return Page(shown, len(pieces) > len(shown), shown[-1].last_us if shown else 0)


def _is_asked(one: Kept, wanted: Wanted) -> bool:
    # A version is written as it was sent: which are asked for is seen when they are read.
    return wanted.versions is None or to_text(from_text(one.version)) in wanted.versions


def _piece(one: Kept) -> Piece:
    return Piece(millis(one.added_at) * 1_000, 1, one.version, (one.id,), one.body)


async def drop(site: Site, wanted: Wanted, caller: Caller) -> None:
    """Take an object out; what it said to the members stays said.

    Raises:
        Refusal: 404, there is none, or none of this version.
    """
    if not (await page(site, wanted, caller)).pieces:
        raise Refusal(404, "not_found", "no such object in this collection")
    for key in wanted.ids or ():
        await site.parts.store.write(partial(contributions.remove, key=key, clearance=caller.tlp))


def _objects(envelope: dict[str, Any]) -> Sequence[dict[str, Any]]:
    found = envelope.get("objects")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise Refusal(422, "bad_envelope", "objects: send a list of STIX objects")
    if len(found) > OBJECTS_MOST:
        raise Refusal(422, "bad_envelope", f"objects: {len(found)}, more than {OBJECTS_MOST}")
    return found


def _status(key: str, done: Sequence[Taken], now: int) -> dict[str, Any]:
    taken = [_detail(one) for one in done if one.taken]
    refused = [_detail(one) for one in done if not one.taken]
    return {
        "id": key,
        "status": "complete",
        "request_timestamp": to_text(now),
        "total_count": len(done),
        "success_count": len(taken),
        "successes": taken,
        "failure_count": len(refused),
        "failures": refused,
        "pending_count": 0,
        "pendings": [],
    }


def _detail(one: Taken) -> dict[str, str]:
    return {"id": one.id, "version": one.version, "message": one.message}
