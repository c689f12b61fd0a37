"""The spans of a trace put together: which agent each belongs to, who delegated to whom, and what happened in order.

An agent's run begins with the trace, or below the tool call of another agent that led to it. Its spans are found by
walking up parents: children often name neither agent nor conversation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct

from ioint_node.telemetry import dialects
from ioint_node.telemetry.buffer import Trace
from ioint_node.telemetry.dialects import Part, Piece, Who
from ioint_node.telemetry.values import Happening, Origin, Run, Span
from ioint_node.telemetry.wire import actor_of, hash_of

_PURPOSE_CHARS = 2_000  # of each part of a declaration
_RANKS = {"prompt": 0, "reasoning": 1, "response": 1, "call": 2, "tool_call": 3, "tool_result": 4}


class _Place(Struct, frozen=True, gc=False):
    """Where a span belongs.

    `above` is the tool call that delegated its run, `agent` the outermost agent of the run and `near` the nearest,
    `under` the nearest tool call within the run.
    """

    above: str = ""
    agent: str = ""
    near: str = ""
    under: str = ""


_NOWHERE = _Place()
_Group = tuple[str, str, str]  # above, agent, the resource's actor


def assemble(trace: Trace) -> tuple[Run, ...]:
    """What the agents of a trace did, as far as its spans say."""
    places = _places(trace.known)
    groups: dict[_Group, list[Span]] = {}
    for span in trace.spans.values():
        groups.setdefault(_group(places[span.id], span.origin), []).append(span)
    about = _about(trace.known, places)
    made = (
        _run(group, sorted(spans, key=lambda span: span.start), trace, places, about)
        for group, spans in groups.items()
    )
    # Whoever delegates comes first, so that a run finds the session above it.
    found = [run for run in made if run is not None]
    return tuple(sorted(found, key=lambda run: _depth(run, trace.known, places)))


class _About(Struct):
    """What the spans of a group say of their run together."""

    conversation: str = ""
    session: str = ""


def _about(known: Mapping[str, Who], places: Mapping[str, _Place]) -> dict[_Group, _About]:
    found: dict[_Group, _About] = {}
    for name, one in known.items():
        if one.conversation or one.session:
            about = found.setdefault(_group(places[name], one.origin), _About())
            about.conversation = about.conversation or one.conversation
            about.session = about.session or one.session
    return found


def _group(place: _Place, origin: Origin) -> _Group:
    # With one actor for all of a resource, agents within it are one run unless one delegates to the other.
    return place.above, "" if origin.exact else place.agent, origin.actor


def _run(
    group: _Group,
    spans: list[Span],
    trace: Trace,
    places: Mapping[str, _Place],
    about: Mapping[_Group, _About],
) -> Run | None:
    above = group[0]
    servers = _servers(spans, trace.known, places)
    happenings = sorted(
        (one for span in spans for one in _happened(span, trace.known, places[span.id], servers)),
        key=lambda one: (one.at, _RANKS[one.kind]),
    )
    if not happenings:
        return None
    first = spans[0]
    actor, key, session, lasting = _named(group, first.origin, first.trace, about)
    text, family = _declared(spans, happenings)
    return Run(
        actor=actor,
        key=key,
        session=session,
        lasting=lasting,
        parent=_named_of(above, first.trace, trace.known, places, about) if above else None,
        parent_action=_action_id(above, first.trace, trace.known, places) if above else "",
        declared_text=text,
        declared_family=family,
        model=next((model for span in spans if (model := dialects.model_of(span))), ""),
        happenings=tuple(happenings),
        ended=_outcome(above, spans, trace),
    )


def _named(
    group: _Group, origin: Origin, trace: str, about: Mapping[_Group, _About]
) -> tuple[str, str, str, bool]:
    """The actor and key of a run, the session that the sender named, and whether its session outlives the trace."""
    above, agent, _ = group
    said = about.get(group, _About())
    actor = actor_of(origin, agent)
    if above:
        # A delegated task is a session of its own, also within one conversation.
        return actor, f"{trace}/{above}", said.session, False
    return actor, said.conversation or trace, said.session, bool(said.conversation or said.session)


def _named_of(
    tool: str,
    trace: str,
    known: Mapping[str, Who],
    places: Mapping[str, _Place],
    about: Mapping[_Group, _About],
) -> tuple[str, str, str]:
    one = known[tool]
    actor, key, session, _ = _named(_group(places[tool], one.origin), one.origin, trace, about)
    return actor, key, session


def _depth(run: Run, known: Mapping[str, Who], places: Mapping[str, _Place]) -> int:
    depth, above = 0, run.key.partition("/")[2] if run.parent else ""
    while above and above in places and depth < len(known):
        depth, above = depth + 1, places[above].above
    return depth


def _places(known: Mapping[str, Who]) -> dict[str, _Place]:
    found: dict[str, _Place] = {}
    for name in known:
        # From the span up to one whose place is known, then down again; parents that form a ring end where they began.
        path: list[str] = []
        at, met = name, set[str]()
        while at in known and at not in found and at not in met:
            path.append(at)
            met.add(at)
            at = known[at].parent
        for one in reversed(path):
            found[one] = _place(known[one], known, found)
    return found


def _place(one: Who, known: Mapping[str, Who], found: Mapping[str, _Place]) -> _Place:
    above = found.get(one.parent, _NOWHERE)
    parent = known.get(one.parent)
    under = one.parent if parent is not None and parent.part is Part.TOOL else above.under
    if under and (one.part is Part.AGENT or (one.agent and one.agent != above.near)):
        return _Place(under, one.agent, one.agent, "")
    if parent is not None and parent.origin.actor != one.origin.actor:
        # An agent's name subdivides its own service and no other.
        return _Place(above.above, one.agent, one.agent, under)
    return _Place(above.above, above.agent or one.agent, one.agent or above.near, under)


def _merged(name: str, known: Mapping[str, Who], places: Mapping[str, _Place]) -> str:
    """The tool call that a span tells of: an MCP client's span below its own tool's span tells of that one."""
    one = known[name]
    outer = places[name].under
    return outer if one.mcp and outer and known[outer].tool == one.tool else name


def _servers(spans: list[Span], known: Mapping[str, Who], places: Mapping[str, _Place]) -> dict[str, str]:
    """The servers that MCP clients' spans name, of the tool calls that they are merged with."""
    found = {}
    for span in spans:
        if known[span.id].mcp and (outer := _merged(span.id, known, places)) != span.id:
            server = dialects.call_of(span).server
            if server is not None:
                found[outer] = server
    return found


def _action_id(name: str, trace: str, known: Mapping[str, Who], places: Mapping[str, _Place]) -> str:
    name = _merged(name, known, places)
    return known[name].action or f"{trace}-{name}"


def _outcome(above: str, spans: list[Span], trace: Trace) -> str | None:
    """How a run ended, None where it has not: by its outermost agent, else by the first span of the trace."""
    ends = [span for span in spans if trace.known[span.id].part is Part.AGENT and not span.log]
    if not ends:
        if not trace.ended:
            return None
        ends = [span for span in spans if not span.parent or above]
    outer = ends[0] if ends else None
    return "failed" if outer is not None and outer.error is not None else "done"


# --- what happened ---


def _declared(spans: list[Span], happenings: list[Happening]) -> tuple[str, str]:
    """What a run declares: as its spans say it for this node, else its agent's purpose, instructions and request."""
    text = family = purpose = ""
    for span in spans:
        said = dialects.declared_of(span)
        text, family = text or said[0], family or said[1]
        purpose = purpose or dialects.purpose_of(span)
    if text:
        return text, family
    prompts: dict[str, str] = {}
    for one in happenings:
        if one.kind == "prompt":
            prompts.setdefault(one.role, one.text)
    parts = (purpose, prompts.get("system", ""), prompts.get("user", ""))
    return "\n".join(part[:_PURPOSE_CHARS] for part in parts if part), family


def _happened(
    span: Span, known: Mapping[str, Who], place: _Place, servers: Mapping[str, str]
) -> Iterator[Happening]:
    part = known[span.id].part
    if part is Part.TOOL:
        yield from _acted(span, known, place, servers)
        return
    counts: Counter[tuple[str, str]] = Counter()
    for piece in dialects.heard(span):
        counts[piece.role, piece.text] += 1
        if (one := _heard(piece, span.start, counts[piece.role, piece.text])) is not None:
            yield one
    tokens = dialects.tokens_of(span) if part is Part.MODEL else 0
    for piece in dialects.answered(span):
        yield _said(piece, span, tokens)
        tokens = 0
    if tokens:
        yield Happening(kind="response", at=span.end, key=("tokens", span.id), tokens=tokens)
    if span.error is not None and part is Part.MODEL:
        key = ("error", span.id)
        yield Happening(kind="response", at=span.end, key=key, role="assistant", error=span.error)


def _acted(
    span: Span, known: Mapping[str, Who], place: _Place, servers: Mapping[str, str]
) -> Iterator[Happening]:
    call, own = dialects.call_of(span), known[span.id]
    if own.mcp and place.under and known[place.under].tool == own.tool:
        return  # that call's own span tells it
    if own.serves and not place.near:
        return  # a server does not act when it is called, and who called it is not known
    server = call.server or servers.get(span.id)
    action_id = own.action or f"{span.trace}-{span.id}"
    yield Happening(
        kind="tool_call",
        at=span.start,
        key=("action", action_id),
        tool=call.tool,
        server=server,
        arguments=call.arguments,
        given=call.given,
        action_id=action_id,
        call_id=call.call_id,
        decided=bool(own.action),
    )
    if call.result is None and call.error is None:
        return
    also = [("result text", hash_of(call.result))] if call.result else []
    if call.call_id:
        also.append(("result", call.call_id))
    yield Happening(
        kind="tool_result",
        at=span.end,
        key=("action result", action_id),
        also=tuple(also),
        tool=call.tool,
        text=call.result or "",
        action_id=action_id,
        call_id=call.call_id,
        error=call.error,
    )


def _heard(piece: Piece, at: int, nth: int) -> Happening | None:
    if piece.kind == "result":
        named = ("result", piece.call_id) if piece.call_id else ("result text", hash_of(piece.text))
        return Happening(
            kind="tool_result", at=at, key=named, tool=piece.tool, text=piece.text, call_id=piece.call_id
        )
    if piece.kind != "text" or piece.role == "assistant" or not piece.text:
        return None  # what the model itself said before was told when it said it
    role = piece.role if piece.role in {"system", "user"} else "user"
    key = ("prompt", role, hash_of(piece.text), str(nth))
    return Happening(kind="prompt", at=at, key=key, role=role, text=piece.text)


def _said(piece: Piece, span: Span, tokens: int) -> Happening:
    if piece.kind == "call":
        return Happening(
            kind="call",
            at=span.end,
            call_id=piece.call_id,
            tool=piece.tool,
            arguments=piece.arguments,
        )
    return Happening(
        kind="reasoning" if piece.kind == "reasoning" else "response",
        at=span.end,
        key=("said", piece.kind, hash_of(piece.text)),
        role="assistant",
        text=piece.text,
        tokens=tokens,
    )
