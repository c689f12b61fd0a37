"""The doors of policy: what is in force, what another tolerance would have done, and changes of envelopes."""

from __future__ import annotations

import math
import re
from typing import Annotated

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType, field

from ioint_node.flows import gap, tolerance
from ioint_node.flows.gap import HOLDS_DAYS, MOST_DAYS, Wanted
from ioint_node.store import proposals
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.auth import check_right
from ioint_node.web.described import PAGED, Answers, Parameter, answers, choice, conflict, missing, page_of
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import (
    ActionId,
    ActorId,
    Body,
    Name,
    SessionId,
    cursor_of,
    cursor_text,
    limit_of,
    parameters,
    read_json,
)
from ioint_node.web.shapes import PolicyInForce, ProposalRow
from ioint_node.web.site import Handler, Route, Site

_POLICIES = "/api/v1/policies"
_Days = Annotated[int, Meta(ge=1, le=MOST_DAYS)]
_Names = Annotated[list[Name], Meta(max_length=64)]


class ProposeBody(Body, frozen=True):
    """`POST /api/v1/policies`: a change by name, or what an action (`session_id`, `action_id`) needed.

    `days` is how long a narrower change holds; `null` for good.
    """

    family: Name | None = None
    actor: ActorId | None = None
    verbs: _Names = field(default_factory=list)
    resources: _Names = field(default_factory=list)
    sensitivity: Name | None = None
    boundary: Name | None = None
    narrower: bool = False
    days: _Days | UnsetType | None = UNSET
    session_id: SessionId | None = None
    action_id: ActionId | None = None
    everyone: bool = False


class AcceptBody(Body, frozen=True):
    """`POST /api/v1/policies/{id}`; `days` is how long an accepted change holds, `null` for good."""

    accept: bool
    days: _Days | UnsetType | None = UNSET


async def list_policies(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What is in force, and the changes of envelopes that were proposed, the newest first."""
    given = parameters(request, "state", "limit", "cursor")
    state = given.get("state")
    if state is not None and state not in proposals.STATES:
        raise bad_field("state", f"none of {', '.join(proposals.STATES)}")
    cursor = cursor_of(given, 2)
    async with site.parts.store.read() as connection:
        found, more = await proposals.page(
            connection,
            limit_of(given, site.parts.limits),
            None if cursor is None else (cursor[0], cursor[1]),
            state=state,
        )
    return json_answer(
        {
            "in_force": site.loop.policy.to_json(),
            "items": [one.to_json() for one in found],
            "next": cursor_text(found[-1].at, found[-1].id) if more else None,
        }
    )


async def show_policy(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """One proposed change with what speaks for it."""
    parameters(request)
    async with site.parts.store.read() as connection:
        found = await proposals.find(connection, request.match_info["policy"])
    return json_answer(found.to_json())


async def replay_policy(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """One proposed change, held against the past sessions as of now."""
    parameters(request)
    return json_answer(await gap.look_again(site.loop, request.match_info["policy"], site.parts.now()))


async def preview_tolerance(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """What another tolerance would have done last week."""
    given = parameters(request, "tolerance")
    text = given.get("tolerance", "")
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or not math.isfinite(float(text)):
        raise bad_field("tolerance", f"{text[:16]!r} is no number of false blocks per 1,000 actions")
    return json_answer(await tolerance.preview(site.loop, float(text), site.parts.now()))


async def propose(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Propose a change: wider waits for a decision, narrower holds at once."""
    body = await read_json(request, ProposeBody, site.parts.limits)
    now, by = site.parts.now(), f"token:{caller.id}"
    if body.session_id is not None and body.action_id is not None:
        if body.family is not None or body.verbs or body.resources or body.narrower:
            raise bad_field(
                "family", "an action says by itself what it needed: name the action or the change"
            )
        made = await gap.mark(site.loop, body.session_id, body.action_id, by, now, everyone=body.everyone)
        return json_answer(made, 201)
    if body.session_id is not None or body.action_id is not None:
        raise bad_field("action_id", "session_id and action_id name an action together")
    if body.family is None:
        raise bad_field("family", "name the family whose envelope would change, or an action")
    wanted = Wanted(
        family=body.family,
        actor=body.actor,
        verbs=tuple(body.verbs),
        resources=tuple(body.resources),
        sensitivity=body.sensitivity,
        boundary=body.boundary,
        narrower=body.narrower,
    )
    return json_answer(await gap.propose(site.loop, wanted, by, now, days=_days(body.days)), 201)


async def decide(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Accept a proposed change, or refuse it."""
    body = await read_json(request, AcceptBody, site.parts.limits)
    made = await gap.decide(
        site.loop,
        request.match_info["policy"],
        body.accept,
        f"token:{caller.id}",
        site.parts.now(),
        days=_days(body.days),
    )
    return json_answer(made)


async def withdraw(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Take a change back: from the next session on it does not hold."""
    await read_json(request, Body, site.parts.limits)
    key = request.match_info["policy"]
    async with site.parts.store.read() as connection:
        found = await proposals.find(connection, key)
    # To take back what narrows is to widen, and that is not for everybody who may tighten.
    if not found.change.wider and found.state == "accepted":
        check_right(caller, "decide", "take back a change that narrows")
    return json_answer(await gap.withdraw(site.loop, key, f"token:{caller.id}", site.parts.now()))


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    doors = (
        ("GET", _POLICIES, "review", "Policy in force, and proposed changes", list_policies),
        ("POST", _POLICIES, "opine", "Propose a change of what an intent may do", propose),
        (
            "GET",
            f"{_POLICIES}/preview",
            "review",
            "What another tolerance would have done",
            preview_tolerance,
        ),
        ("GET", f"{_POLICIES}/{{policy}}", "review", "One proposed change", show_policy),
        ("POST", f"{_POLICIES}/{{policy}}", "decide", "Accept a change, or refuse it", decide),
        ("POST", f"{_POLICIES}/{{policy}}/withdraw", "opine", "Take a change back", withdraw),
        ("GET", f"{_POLICIES}/{{policy}}/replay", "review", "Hold a change against the past", replay_policy),
    )
    bodies: dict[Handler, type[Struct]] = {
        propose: ProposeBody,
        decide: AcceptBody,
        withdraw: Body,
    }
    query: dict[Handler, tuple[Parameter, ...]] = {
        list_policies: (choice("state", tuple(proposals.STATES)), *PAGED),
        preview_tolerance: (
            Parameter(
                name="tolerance",
                required=True,
                schema={"type": "string", "pattern": r"^[0-9]{1,6}(\.[0-9]{1,6})?$"},
                about="False blocks per 1,000 actions.",
            ),
        ),
    }
    decided = conflict("It is decided otherwise, or too many wait.")
    said: dict[Handler, Answers] = {
        list_policies: page_of(ProposalRow, in_force=PolicyInForce),
        propose: answers(ProposalRow, status=201) | decided | missing("No such session or action."),
        preview_tolerance: answers({"type": "object"}, "What it would have done, family by family."),
        show_policy: answers(ProposalRow),
        decide: answers(ProposalRow) | decided,
        withdraw: answers(ProposalRow) | decided,
        replay_policy: answers({"type": "object"}, "The change with what it would have done."),
    }
    return tuple(
        Route(
            method=method,
            path=path,
            may=may,
            summary=summary,
            handler=handler,
            body=bodies.get(handler),
            query=query.get(handler, ()),
            answers=said[handler],
            costly=handler in (preview_tolerance, replay_policy),
        )
        for method, path, may, summary, handler in doors
    )


def _days(given: int | UnsetType | None) -> int | None:
    return HOLDS_DAYS if isinstance(given, UnsetType) else given
