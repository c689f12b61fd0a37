"""What waits for a person: actions that are held, changes of an envelope, records that would leave."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import NotFoundError
from ioint_node.flows import approvals
from ioint_node.store import held, outgoing, proposals
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import PAGED, answers, choice, conflict, fields, page_of
from ioint_node.web.outgoing import label_of, shown
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import Body, cursor_of, cursor_text, limit_of, parameters, read_json
from ioint_node.web.site import Route, Site

_NAME: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
_Items = list[dict[str, Any]]


class DecideBody(Body, frozen=True):
    """`POST /api/v1/approvals/{id}`; `workflow_gap`: a held action was the work; `tlp`: the label of a record."""

    approve: bool
    workflow_gap: bool = False
    tlp: Literal["clear", "green", "amber", "amber_strict", "red"] | None = None


async def list_approvals(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """All that waits, kind after kind, each with the newest first."""
    given = parameters(request, "kind", "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given, 2)
    kinds = tuple(_READERS)
    if (wanted := given.get("kind")) is not None:
        if wanted not in _READERS:
            raise bad_field("kind", f"none of {', '.join(kinds)}")
        kinds = (wanted,)
    if cursor is not None and cursor[0] not in kinds:
        raise bad_field("cursor", "not a cursor of this route")
    items: _Items = []
    async with site.parts.store.read() as connection:
        first, after = cursor or (kinds[0], "")
        for kind in kinds[kinds.index(first) :]:
            if len(items) == limit:
                # Whether this kind has any is seen on the next page.
                return _page(items, cursor_text(kind, ""))
            found, more = await _READERS[kind](site, caller, connection, limit - len(items), after)
            items += found
            after = ""
            if more is not None:
                return _page(items, cursor_text(kind, more))
    return _page(items, None)


async def decide_approval(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Let a record leave, an action go on or an envelope change hold, or refuse it."""
    body = await read_json(request, DecideBody, site.parts.limits)
    name = request.match_info["record"]
    if not _NAME.fullmatch(name):
        raise NotFoundError(f"nothing waits here as {name[:64]!r}")
    made = await approvals.decide(
        name,
        approve=body.approve,
        workflow_gap=body.workflow_gap,
        label=label_of(body.tlp),
        by=f"token:{caller.id}",
        now=site.parts.now(),
        assessing=site.parts.assess,
        responding=site.responding,
        exchange=site.parts.exchange,
        loop=site.loop,
    )
    return json_answer(made)


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    return (
        Route(
            method="GET",
            path="/api/v1/approvals",
            may="review",
            summary="What waits for a person",
            handler=list_approvals,
            query=(choice("kind", tuple(_READERS)), *PAGED),
            answers=page_of(fields(id=str, kind={"type": "string", "enum": list(_READERS)}, state=str)),
        ),
        Route(
            method="POST",
            path="/api/v1/approvals/{record}",
            may="decide",
            summary="Decide what waits",
            handler=decide_approval,
            body=DecideBody,
            answers=answers(fields(id=str, state=str)) | conflict("It waits no longer."),
        ),
    )


async def _actions(
    site: Site, caller: Caller, connection: AsyncConnection, limit: int, after: str
) -> tuple[_Items, str | None]:
    found = await held.list_waiting(connection, limit + 1, site.parts.now(), _instant_and_id(after))
    items = [one.to_json() for one in found[:limit]]
    return items, f"{found[limit - 1].at}~{found[limit - 1].id}" if len(found) > limit else None


async def _envelopes(
    site: Site, caller: Caller, connection: AsyncConnection, limit: int, after: str
) -> tuple[_Items, str | None]:
    found, more = await proposals.page(connection, limit, _instant_and_id(after), state="open")
    return [one.to_json() for one in found], f"{found[-1].at}~{found[-1].id}" if more else None


async def _records(
    site: Site, caller: Caller, connection: AsyncConnection, limit: int, after: str
) -> tuple[_Items, str | None]:
    found, following = await outgoing.list_outgoing(
        connection, limit, after or None, state="held", clearance=caller.tlp
    )
    return [approvals.as_record(shown(site, one)) for one in found], following


_Reader = Callable[[Site, Caller, AsyncConnection, int, str], Awaitable[tuple[_Items, str | None]]]
_READERS: Final[Mapping[str, _Reader]] = {"action": _actions, "envelope": _envelopes, "record": _records}


def _instant_and_id(after: str) -> tuple[str, str] | None:
    at, _, last = after.partition("~")
    return (at, last) if after else None


def _page(items: _Items, following: str | None) -> web.Response:
    return json_answer({"items": items, "next": following})
