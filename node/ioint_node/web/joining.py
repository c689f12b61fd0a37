"""The doors of a consortium: for applicants with a one-time code, in the body and never in a URL; and for leaving."""

from __future__ import annotations

import base64
import logging
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any

import msgspec
from aiohttp import web
from ioint_protocol import ProtocolError
from msgspec import Meta

from ioint_node.flows import leaving
from ioint_node.flows.joining import JoiningParts, Turned, knows_code, receive_application
from ioint_node.membership.cards import CARD_BYTES
from ioint_node.store import invitations
from ioint_node.store.invitations import WRONG
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import Answer, answers, conflict, fields
from ioint_node.web.problems import Refusal
from ioint_node.web.requests import Body, parameters, read_json
from ioint_node.web.site import Handler, Route, Site

log = logging.getLogger(__name__)
_CODE = r"^[0-9a-f]{16}\.[A-Za-z0-9_-]{32}$"
_BODY_BYTES = 2 * CARD_BYTES
_BAD_CODE = "the code is not one that this node gave out, or no longer good"
# The holder of a code may know why it is not taken; whoever guesses learns nothing.
_TOLD = {
    "used_code": "another member applied with this code: ask for an invitation of your own",
    "expired_code": "the code has expired: ask for a new invitation",
    "listed_member": "this member is on the roster already: the invitation is for whom it was made",
}


class ApplicationBody(Body, frozen=True):
    """`POST /api/v1/consortium/applications`: the code of an invitation, a card, and a proof that it is the own one."""

    code: Annotated[str, Meta(pattern=_CODE, description="the one-time code of an invitation")]
    card: dict[str, Any]
    proof: Annotated[
        str, Meta(pattern=r"^[0-9a-f]{128}$", description="signature by the card's key on this code")
    ]


def _apply(parts: JoiningParts) -> Handler:
    async def apply(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Leave a card with a one-time code; the answer says how the application stands, and holds the roster."""
        now, limits = site.parts.now(), replace(site.parts.limits, body_bytes=_BODY_BYTES)
        body = await read_json(request, ApplicationBody, limits)
        if not await knows_code(parts, body.code):
            _count(site, site.address(request), now)
            if wrong := await parts.store.write(partial(invitations.note_wrong, code=body.code)):
                log.warning("invitation %s: %d wrong codes, it ends with %d", body.code[:16], wrong, WRONG)
            raise Refusal(403, "bad_code", _BAD_CODE)
        # With a good code nobody else's failures keep an applicant out; only its own.
        holder = f"invitation {body.code.partition('.')[0]}"
        try:
            got = await receive_application(parts, body.code, msgspec.json.encode(body.card), body.proof, now)
        except ProtocolError:
            _count(site, holder, now)
            raise
        if isinstance(got, Turned):
            if got.reason == "no_roster":
                raise Refusal(503, got.reason, "this node has no roster in force: try again later")
            _count(site, holder, now)
            log.warning("%s: turned away: %s", holder, got.reason)
            told = got.reason in _TOLD
            raise Refusal(403, got.reason if told else "bad_code", _TOLD.get(got.reason, _BAD_CODE))
        return json_answer(
            {
                "application": got.application,
                "state": got.state,
                "consortium": got.consortium,
                "roster_b64": base64.b64encode(got.roster).decode(),
                **(
                    {"fingerprint_keys_b64": base64.b64encode(got.sealed_keys).decode()}
                    if got.sealed_keys
                    else {}
                ),
            },
            201,
        )

    return apply


def _count(site: Site, who: str, now: int) -> None:
    """Count a failure.

    Raises:
        Refusal: 429, there were too many before.
    """
    if blocked_ms := site.failed.blocked_ms(who, now):
        after = {"Retry-After": str(-(-blocked_ms // 1000))}
        raise Refusal(429, "too_many_failures", "too many applications failed: wait", headers=after)
    site.failed.note(who, now)


class LeaveBody(Body, frozen=True):
    """`POST /api/v1/consortium/leave`: take everything back, or with `end` forget the roster.

    `at_once`: also as a steward that hands over to nobody, and also while some have not heard.
    """

    end: bool = False
    at_once: bool = False


def _leave(parts: JoiningParts) -> Handler:
    async def leave(site: Site, request: web.Request, caller: Caller) -> web.Response:
        """Take back all that this node said; with `end`, be alone from now on."""
        body = await read_json(request, LeaveBody, site.parts.limits)
        exchange, now = site.parts.exchange, site.parts.now()
        if body.end:
            await leaving.end(exchange, parts, now, at_once=body.at_once)
            return json_answer({"left": True})
        made = await leaving.withdraw_all(
            exchange, parts, by=f"token:{caller.id}", now=now, at_once=body.at_once
        )
        return json_answer({"left": False, "withdrawn": made})

    return leave


async def show_leaving(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """How far leaving is: what still counts, what is not signed yet, who has not heard."""
    parameters(request)
    found = await leaving.progress(site.parts.exchange, site.parts.now())
    return json_answer({**asdict(found), "done": found.done})


def routes(site: Site) -> tuple[Route, ...]:
    """The door of a node that is in a consortium, or may come to be."""
    parts = site.parts.joining
    if parts is None:
        return ()
    return (
        Route(
            method="POST",
            path="/api/v1/consortium/applications",
            may=None,
            summary="Apply for membership with the one-time code of an invitation",
            handler=_apply(parts),
            body=ApplicationBody,
            answers=answers(
                fields(application=str, state=str, consortium=str, roster_b64=str),
                "How the application stands, with the roster.",
                status=201,
            )
            | conflict("The application contradicts one before.")
            | {
                403: Answer(about="The code is not one that this node gave out, or no longer good."),
                429: Answer(
                    about="Too many applications failed.", headers={"Retry-After": "Seconds to wait."}
                ),
            },
        ),
        Route(
            method="POST",
            path="/api/v1/consortium/leave",
            may="manage",
            summary="Take back everything that this node said; with `end`, leave the consortium",
            handler=_leave(parts),
            body=LeaveBody,
            answers=answers(fields(left=bool))
            | conflict("There is nothing to leave, or some have not heard yet."),
        ),
        Route(
            method="GET",
            path="/api/v1/consortium/leave",
            may="manage",
            summary="How far leaving is",
            handler=show_leaving,
            answers=answers(fields(done=bool)) | conflict("There is nothing to leave."),
        ),
    )
