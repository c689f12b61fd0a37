"""What happened here as OCSF, a line each, for a SIEM that goes on where it stopped.

Every finding holds the cursor of what follows it (`unmapped.ioint.after`), and the `Link` header (RFC 8288,
`rel="next"`) of every answer, also of an empty one, leads to the next page: at the end that is where to go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web
from ioint_taxonomy import load_framework

from ioint_node.formats import ocsf
from ioint_node.reputation.view import indicator_id, label_of
from ioint_node.store import findings
from ioint_node.store.findings import Decided, Noted
from ioint_node.store.times import from_text, to_text
from ioint_node.store.tokens import Caller
from ioint_node.web.described import LIMIT, Answer, Parameter
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import cursor_of, cursor_text, integer, limit_of, parameters
from ioint_node.web.rows import HIDDEN
from ioint_node.web.site import Route, Site

FEED: Final = "/feeds/ocsf.jsonl"
JSON_LINES: Final = "application/jsonl"
SETTLED_MS: Final = 2_000
"""Decisions are shown when they are this old: those of one millisecond may be written one after the other."""
_BEGINNING: Final = ("0", "1970-01-01T00:00:00.000Z", "-")


async def list_findings(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Findings after a place, the oldest first: what was done to incidents, then what was out of scope."""
    given = parameters(request, "after", "limit")
    limit = limit_of(given, site.parts.limits)
    after = cursor_of({"cursor": given["after"]}, 3) if "after" in given else _BEGINNING
    seq, at, name = integer((after or _BEGINNING)[0], "after"), *(after or _BEGINNING)[1:]
    _check_instant(at)
    until = to_text(site.parts.now() - SETTLED_MS)
    async with site.parts.store.read() as connection:
        noted = await findings.notes_after(connection, seq, limit)
        room = limit - len(noted)
        decided = await findings.deviations_after(connection, (at, name), until, room) if room else ()
        rows = await findings.rows_of(
            connection, {indicator_id(one.incident.pattern) for one in noted}, caller.tlp
        )
    frame = ocsf.Frame(
        version=site.parts.version,
        taxonomy=site.parts.exchange.taxonomy,
        techniques=load_framework(ocsf.ATLAS),
    )
    found = []
    for step in noted:
        seq = step.seq
        found.append(_marked(ocsf.of_step(_step(site, step, rows), frame), seq, at, name))
    for one in decided:
        at, name = one.at, one.id
        found.append(_marked(ocsf.of_deviation(_deviation(one), frame), seq, at, name))
    if len(decided) < room and until > at:
        at, name = until, "-"  # all before was looked through, so nobody need look again
    following = f"{FEED}?after={cursor_text(seq, at, name)}"
    return web.Response(
        body=b"".join(msgspec.json.encode(one) + b"\n" for one in found),
        headers={
            "Content-Type": JSON_LINES,
            "Cache-Control": "no-store",
            "Link": f'<{following}>; rel="next"',
        },
    )


def _marked(finding: dict[str, Any], *place: object) -> dict[str, Any]:
    """A finding with the cursor of what follows it."""
    finding["unmapped"]["ioint"]["after"] = cursor_text(*place)
    return finding


def _step(site: Site, found: Noted, rows: Mapping[str, Mapping[str, Any] | None]) -> ocsf.Step:
    incident, catalogue = found.incident, site.parts.exchange.catalogue
    row = rows.get(indicator_id(incident.pattern), {})
    # That something is warned of may be above the clearance; that an own session has an incident is not.
    hidden = row is None
    entry = None if hidden else catalogue.entries.get(incident.pattern)
    return ocsf.Step(
        seq=found.seq,
        what=found.note.what,
        said=found.note.text,
        at=found.note.at,
        incident=incident.id,
        pattern="" if hidden else incident.pattern,
        label=HIDDEN if hidden else label_of(incident.pattern, catalogue),
        session=incident.session_id,
        actor=incident.actor,
        found=incident.found,
        tier=incident.tier,
        state=incident.state,
        sessions=incident.sessions,
        opened_at=incident.opened_at,
        intents=entry.intents if entry else tuple((row or {}).get("intents", ())),
        risk=entry.risk if entry else None,
        confidence=(row or {}).get("confidence"),
    )


def _deviation(found: Decided) -> ocsf.Deviation:
    return ocsf.Deviation(session=found.session_id, actor=found.actor, at=found.at, decision=found.body)


def _check_instant(text: str) -> None:
    try:
        from_text(text)
    except ValueError:
        raise bad_field("after", "not a cursor of this route") from None


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    return (
        Route(
            method="GET",
            path=FEED,
            may="review",
            summary="Incidents and actions out of scope as OCSF Detection Findings, a line each",
            handler=list_findings,
            costly=True,
            query=(LIMIT, Parameter(name="after", about="Go on after this place: a cursor of this route.")),
            answers={
                200: Answer(
                    about="Findings, one JSON object a line.",
                    content={JSON_LINES: str},
                    headers={"Link": 'Where to go on (`rel="next"`).'},
                )
            },
        ),
    )
