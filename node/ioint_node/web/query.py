"""What is known: indicators, patterns and their receipts, members, peers, agents, sessions, records."""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web

from ioint_node.errors import NotFoundError
from ioint_node.flows import respond
from ioint_node.flows.disputes import disputes_of
from ioint_node.flows.inclusion import prove
from ioint_node.flows.receipt import export
from ioint_node.flows.surrounding import about
from ioint_node.flows.why import why
from ioint_node.reputation.gate import OwnRecord
from ioint_node.scoring.values import Verdict
from ioint_node.store import actors, listings, peers, sessions
from ioint_node.store.matches import own_records
from ioint_node.store.times import day_of, from_text, to_text
from ioint_node.store.tokens import Caller
from ioint_node.web import rows
from ioint_node.web.answers import json_answer
from ioint_node.web.auth import check_actor
from ioint_node.web.described import (
    PAGED,
    Answer,
    Answers,
    Parameter,
    answers,
    choice,
    fields,
    missing,
    page_of,
)
from ioint_node.web.filters import FILTERED, PARAMETERS, wanted_filter
from ioint_node.web.problems import bad_field
from ioint_node.web.requests import (
    cursor_of,
    cursor_text,
    integer,
    limit_of,
    one_of,
    parameters,
    pattern_key,
)
from ioint_node.web.shapes import (
    AgentRow,
    AgentView,
    HereRow,
    MemberRow,
    PatternRow,
    PatternView,
    ProofRow,
    RecordRow,
    RosterRow,
    SessionRow,
    SessionView,
)
from ioint_node.web.site import Handler, Route, Site

_RECORD: Final = re.compile(r"[0-9a-f]{64}")
_AUTHOR: Final = re.compile(r"[0-9a-f]{32}")
AGENT_KINDS = ("agent", "user", "workload")
SESSION_STATES = ("open", "closed")
VERDICTS = tuple(verdict.value for verdict in Verdict)
RECORD_KINDS = ("report", "sighting", "dispute", "withdrawal")
RECEIPT_PARTS = ("all", "network")


async def list_indicators(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Indicators, the newest change first."""
    given = parameters(request, "limit", "cursor", *PARAMETERS)
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given)
    before = None if cursor is None else _instant(cursor[0])
    async with site.parts.store.read() as connection:
        wanted = await wanted_filter(connection, given, site.parts.now())
        page = await listings.newest_indicators(connection, wanted, caller.tlp, limit, before)
        items = await rows.indicator_rows(connection, page.items, site, caller)
    return _page(items, cursor_text(from_text(str(page.last))) if page.more else None)


async def list_patterns(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The catalogue, in the order of its ids, with what is known here of each entry."""
    given = parameters(request, "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given)
    after = cursor[0] if cursor else ""
    catalogue = site.parts.exchange.catalogue
    keys = sorted(key for key in catalogue.entries if key > after)
    shown = keys[:limit]
    async with site.parts.store.read() as connection:
        wanted = listings.FeedQuery(clearance=caller.tlp, ids=tuple(shown), limit=limit)
        listed = await listings.feed(connection, wanted)
        heard = await rows.indicator_rows(connection, listed.items, site, caller)
        own = await own_records(connection, shown, day_of(site.parts.now()))
    known = {str(row["id"]): row for row in heard}
    items = [
        rows.described(known.get(key) or _silent(site, key, own.get(key, OwnRecord())), catalogue)
        for key in shown
    ]
    return _page(items, cursor_text(shown[-1]) if len(keys) > limit else None)


async def show_pattern(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """One pattern or subject as an indicator, with its newest disputes; an entry nobody spoke of is unknown."""
    parameters(request)
    key = pattern_key(request)
    catalogue = site.parts.exchange.catalogue
    async with site.parts.store.read() as connection:
        found = await listings.indicator(connection, key, caller.tlp)
        if found is not None:
            (row,) = await rows.indicator_rows(connection, [found], site, caller)
        elif key in catalogue.entries:
            own = await own_records(connection, [key], day_of(site.parts.now()))
            row = _silent(site, key, own.get(key, OwnRecord()))
        elif (silent := await listings.subject_of(connection, key, caller.tlp)) is not None:
            raise NotFoundError(
                f"{silent} is reported, and nothing said of it has a voice: `ioint why` shows it"
            )
        else:
            raise NotFoundError(f"no pattern {key}")
        disputed = await disputes_of(
            connection,
            key if found is None else found.subject,
            roster=site.parts.exchange.roster(),
            catalogue=catalogue,
            now=site.parts.now(),
            clearance=caller.tlp,
        )
    return json_answer({**rows.described(row, catalogue), "disputes": disputed})


async def show_why(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The receipt of a pattern's numbers: the voices, the rule, and what this node made of it."""
    parameters(request)
    subject = await _heard_of(site, request, caller)
    return json_answer(await why(site.parts.exchange, subject, site.parts.now(), clearance=caller.tlp))


async def export_why(site: Site, request: web.Request, caller: Caller) -> web.StreamResponse:
    """The receipt with all that it is made of, a line at a time, for `ioint why --replay`."""
    part = one_of(parameters(request, "part"), "part", RECEIPT_PARTS)
    subject = await _heard_of(site, request, caller)
    lines = export(
        site.parts.exchange, subject, site.parts.now(), clearance=caller.tlp, with_local=part != "network"
    )
    opening = await anext(lines)  # what cannot be exported is refused before anything is answered
    headers = {"Content-Type": "application/jsonl", "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(opening)
    async for line in lines:
        await response.write(line)
    await response.write_eof()
    return response


async def _heard_of(site: Site, request: web.Request, caller: Caller) -> str:
    """The subject that a request names, if anything was said of it that the caller may see."""
    key = pattern_key(request)
    async with site.parts.store.read() as connection:
        found = await listings.subject_of(connection, key, caller.tlp)
    if found is None:
        raise NotFoundError(f"nobody has said anything of {key} that this token may see")
    return found


async def list_records(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The signed records that this node holds, newest first, with their bytes."""
    given = parameters(request, "kind", "subject", "author", "limit", "cursor")
    kind = one_of(given, "kind", RECORD_KINDS)
    async with site.parts.store.read() as connection:
        page = await listings.newest_records(
            connection,
            clearance=caller.tlp,
            limit=limit_of(given, site.parts.limits),
            before=_number(given),
            kind=kind,
            subject=given.get("subject"),
            author=given.get("author"),
        )
    items = [rows.record_row(row) for row in page.items]
    return _page(items, cursor_text(page.items[-1]["seq"]) if page.more else None)


async def prove_record(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The proofs that members signed a record, one for each that did; `author=` asks for one."""
    given = parameters(request, "author")
    record, roster = request.match_info["record"], site.parts.exchange.roster()
    authors = {member.id for member in roster.members} if roster else set()
    if (author := given.get("author")) is not None:
        if not _AUTHOR.fullmatch(author):
            raise bad_field("author", "not 32 lower-case hex digits")
        authors = {author}
    async with site.parts.store.read() as connection:
        is_id = _RECORD.fullmatch(record) is not None
        found = await prove(connection, record, authors, clearance=caller.tlp) if is_id else ()
    if not found:
        raise NotFoundError("no member signed such a record, or it is forgotten: see /api/v1/records")
    return _page([rows.inclusion_row(record, one) for one in found], None)


async def list_members(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The roster in force, with refusals by name, quarantine, and what rulings leave of each group's standing."""
    parameters(request)
    async with site.parts.store.read() as connection:
        known = await peers.known(connection)
    exchange = site.parts.exchange
    today = day_of(site.parts.now())
    listed = rows.member_rows(exchange.roster(), exchange.member, known, exchange.standpoint, today)
    return _page(listed, None)


async def list_peers(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The connections to the other members."""
    parameters(request)
    return _page(site.parts.peers_status(), None)


async def list_agents(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Agents, users and workloads with the trust in each."""
    given = parameters(request, "kind", "limit", "cursor")
    limit, cursor = limit_of(given, site.parts.limits), cursor_of(given)
    async with site.parts.store.read() as connection:
        page = await actors.list_agents(
            connection,
            limit,
            cursor[0] if cursor else None,
            kind=one_of(given, "kind", AGENT_KINDS),
            now=site.parts.now(),
        )
    return _page(page["items"], None if page["next"] is None else cursor_text(page["next"]))


async def show_agent(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """One agent with its newest sessions, what is usual for it and what others see of it."""
    parameters(request)
    actor, now = request.match_info["agent"], site.parts.now()
    async with site.parts.store.read() as connection:
        found = await actors.get_agent(connection, actor, now=now)
        stands = await respond.standing(connection, actor, now)
    return json_answer({**found, **stands, **await about(site.parts.assess, actor, now)})


async def list_sessions(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Sessions, the newest change first."""
    given = parameters(request, "actor", "state", "verdict", "pattern", "limit", "cursor")
    asked = {
        "actor": given.get("actor"),
        "state": one_of(given, "state", SESSION_STATES),
        "verdict": one_of(given, "verdict", VERDICTS),
        "pattern": given.get("pattern"),
    }
    limit = limit_of(given, site.parts.limits)
    async with site.parts.store.read() as connection:
        return json_answer(await sessions.list_sessions(connection, limit, given.get("cursor"), **asked))


async def show_session(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """One session with every decision and its reasons; an agent sees its own."""
    parameters(request)
    async with site.parts.store.read() as connection:
        found = await sessions.get_session(connection, request.match_info["session"])
    check_actor(caller, found["actor"])
    return json_answer(found)


async def list_rosters(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The signed files of the roster that this node has installed."""
    parameters(request)
    async with site.parts.store.read() as connection:
        files = await listings.all_roster_files(connection)
    return _page([rows.roster_row(row) for row in files], None)


def routes() -> tuple[Route, ...]:
    """The doors of this module."""
    doors: tuple[tuple[str, str, str, Handler], ...] = (
        ("/api/v1/indicators", "query", "Indicators, newest change first", list_indicators),
        ("/api/v1/patterns", "query", "The catalogue with what is known of each entry", list_patterns),
        ("/api/v1/patterns/{pattern}", "query", "One pattern", show_pattern),
        ("/api/v1/patterns/{pattern}/why", "query", "The receipt of a pattern's numbers", show_why),
        (
            "/api/v1/patterns/{pattern}/why/export",
            "query",
            "The receipt with all that it is made of",
            export_why,
        ),
        ("/api/v1/records", "query", "Signed records with their bytes", list_records),
        ("/api/v1/records/{record}/proof", "query", "Proof that a member signed a record", prove_record),
        ("/api/v1/members", "query", "The roster in force", list_members),
        ("/api/v1/peers", "query", "Connections to members", list_peers),
        ("/api/v1/agents", "query", "Agents and the trust in them", list_agents),
        ("/api/v1/agents/{agent}", "query", "One agent", show_agent),
        ("/api/v1/sessions", "review", "Sessions, newest change first", list_sessions),
        ("/api/v1/sessions/{session}", "see_session", "One session with its decisions", show_session),
        ("/api/v1/rosters", "query", "The signed files of the roster", list_rosters),
    )
    query: dict[Handler, tuple[Parameter, ...]] = {
        list_indicators: (*FILTERED, *PAGED),
        list_patterns: PAGED,
        export_why: (choice("part", RECEIPT_PARTS),),
        list_records: (
            choice("kind", RECORD_KINDS),
            Parameter(name="subject"),
            Parameter(name="author"),
            *PAGED,
        ),
        prove_record: (Parameter(name="author", schema={"type": "string", "pattern": "^[0-9a-f]{32}$"}),),
        list_agents: (choice("kind", AGENT_KINDS), *PAGED),
        list_sessions: (
            Parameter(name="actor"),
            choice("state", SESSION_STATES),
            choice("verdict", VERDICTS),
            Parameter(name="pattern"),
            *PAGED,
        ),
    }
    said: dict[Handler, Answers] = {
        list_indicators: page_of(HereRow) | missing("No such saved filter."),
        list_patterns: page_of(PatternRow),
        show_pattern: answers(PatternView),
        show_why: answers(fields(pattern=str, line=str, today=str, network={"type": "object"})),
        export_why: {
            200: Answer(
                about="JSON Lines, for `ioint why --replay`.",
                content={"application/jsonl": {"type": "string"}},
            )
        },
        list_records: page_of(RecordRow),
        prove_record: page_of(ProofRow),
        list_members: page_of(MemberRow),
        list_peers: page_of({"type": "object"}),
        list_agents: page_of(AgentRow),
        show_agent: answers(AgentView),
        list_sessions: page_of(SessionRow),
        show_session: answers(SessionView),
        list_rosters: page_of(RosterRow),
    }
    return tuple(
        Route(
            method="GET",
            path=path,
            may=may,
            summary=summary,
            handler=handler,
            query=query.get(handler, ()),
            answers=said[handler],
            costly=handler in (show_why, export_why),
        )
        for path, may, summary, handler in doors
    )


def _silent(site: Site, key: str, own: OwnRecord) -> dict[str, Any]:
    exchange = site.parts.exchange
    return rows.silent_row(exchange.catalogue.entries[key], exchange.taxonomy, exchange.catalogue, own)


def _instant(text: str) -> str:
    """The instant of a cursor, as rows have it."""
    try:
        return to_text(integer(text, "cursor"))
    except OverflowError:
        raise bad_field("cursor", "not a cursor of this route") from None


def _number(given: dict[str, str]) -> int | None:
    cursor = cursor_of(given)
    return None if cursor is None else integer(cursor[0], "cursor")


def _page(items: list[dict[str, Any]], following: str | None) -> web.Response:
    return json_answer({"items": items, "next": following})
