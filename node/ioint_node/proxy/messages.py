"""What MCP messages mean to the node, and how its answers read to an agent: values in, values out.

Both ways of the protocol are understood: with a handshake (`initialize`, to 2025-11-25), and without one, where each
request says who sends it in `_meta` (2026-07-28).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    ErrorData,
    JSONRPCError,
    JSONRPCRequest,
    JSONRPCResponse,
)

from ioint_node.client import Decision

REFUSED: Final = -32010  # of the codes that the protocol leaves to implementations
ENDED: Final = -32000  # what the SDK says of a connection that ended
TOO_MANY: Final = -32011
DECLARED_KEY: Final = "ioint/declared"
PARENT_KEY: Final = "ioint/parent"
DECISION_KEY: Final = "ioint/decision"
OUR_INPUT: Final = "ioint"
READ_RESOURCE: Final = "read_resource"
DECLARE_TOOL: Final[Mapping[str, Any]] = {
    "name": "declare_intent",
    "description": (
        "State the task you are working on, in a sentence, before you use the other tools of this server, and again "
        "when the task changes. What you may do is judged by it."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {"task": {"type": "string", "description": "What your principal asked for."}},
        "required": ["task"],
    },
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call that the node is asked about."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who the client says it is, and whether it can ask its person."""

    name: str = ""
    version: str = ""
    elicits: bool = False
    modern: bool = False


def wanted_of(request: JSONRPCRequest) -> Wanted | None:
    """What a request wants to do, None when it is nothing that is judged."""
    params = request.params or {}
    if request.method == "tools/call" and isinstance(name := params.get("name"), str):
        given = params.get("arguments")
        return Wanted(tool=name, arguments=given if isinstance(given, dict) else {})
    if request.method == "resources/read" and isinstance(uri := params.get("uri"), str):
        return Wanted(tool=READ_RESOURCE, arguments={"uri": uri})
    return None


def meta_of(request: JSONRPCRequest) -> Mapping[str, Any]:
    """The `_meta` of a request."""
    found = (request.params or {}).get("_meta")
    return found if isinstance(found, dict) else {}


def peer_of(request: JSONRPCRequest, before: Peer) -> Peer:
    """Who sent a request, as far as it says."""
    params, meta = request.params or {}, meta_of(request)
    if request.method == "initialize":
        info, capabilities, modern = params.get("clientInfo"), params.get("capabilities"), False
    elif PROTOCOL_VERSION_META_KEY in meta:
        info, capabilities = meta.get(CLIENT_INFO_META_KEY), meta.get(CLIENT_CAPABILITIES_META_KEY)
        modern = True
    else:
        return before
    return Peer(
        name=_text(info, "name"),
        version=_text(info, "version"),
        elicits=_elicits(capabilities),
        modern=modern,
    )


def server_name(result: Mapping[str, Any]) -> str:
    """What a server calls itself in the answer to `initialize` or `server/discover`."""
    meta = result.get("_meta")
    said = meta.get("io.modelcontextprotocol/serverInfo") if isinstance(meta, dict) else None
    return _text(result.get("serverInfo") or said, "name")


def tools_of(result: Mapping[str, Any]) -> dict[str, str]:
    """The tools of one page of a list: each name with the SHA-256 of all that is said of it."""
    tools = result.get("tools")
    return {
        tool["name"]: hashlib.sha256(msgspec.json.encode(tool, order="sorted")).hexdigest()
        for tool in (tools if isinstance(tools, list) else [])
        if isinstance(tool, dict) and isinstance(tool.get("name"), str)
    }


def parent_of(meta: Mapping[str, Any]) -> tuple[str, str] | None:
    """The session and action that started this one, where the client says so."""
    said = meta.get(PARENT_KEY)
    if not isinstance(said, dict):
        return None
    session, action = said.get("session_id"), said.get("action_id")
    return (session, action) if isinstance(session, str) and isinstance(action, str) else None


def result_text(result: Mapping[str, Any]) -> str:
    """What a tool or resource gave, as text: all that an agent could read as instructions."""
    parts = []
    for name in ("content", "contents"):
        found = result.get(name)
        parts += [text for item in (found if isinstance(found, list) else []) for text in _texts(item)]
    if (structured := result.get("structuredContent")) is not None:
        parts.append(msgspec.json.encode(structured).decode())
    return "\n".join(parts)


def is_input_required(result: Mapping[str, Any]) -> bool:
    """Whether a server asks the client for more before it answers."""
    return result.get("resultType") == "input_required"


def call_key(wanted: Wanted, state: object) -> str:
    """What names a call that goes on, and the state that goes with it."""
    plain = msgspec.json.encode([wanted.tool, wanted.arguments, state], order="sorted")
    return hashlib.sha256(plain).hexdigest()


def refused_text(wanted: Wanted, decision: Decision, most: int) -> str:
    """Why a call was not run, and what to do, for an agent and the person who reads over its shoulder."""
    lines = [f"Not run: {wanted.tool}. {decision.why}."]
    if decision.held and decision.approval is not None:
        lines.append(
            f"It waits for a person's approval (id {decision.approval.id}). Go on with other work, and make the same "
            "call again later; do not look for a way around it."
        )
    elif decision.source == "fail_mode":
        lines.append("The node that decides is away. Make the same call again later.")
    elif decision.response == "approve":
        lines.append("A person has to approve it, and has not.")
    else:
        lines.append(
            "It lies outside of what this session was declared for. Ask your principal, or do without it."
        )
    if decision.alternative:
        lines.append(f"What would be allowed instead: {msgspec.json.encode(decision.alternative).decode()}")
    return " ".join(lines)[:most]


def refusal(request: JSONRPCRequest, text: str, decision: Decision | None) -> JSONRPCResponse | JSONRPCError:
    """The answer to a call that is not run: a result that says so for a tool, an error for anything else."""
    said = {} if decision is None else {DECISION_KEY: _said(decision)}
    if request.method == "tools/call":
        return tool_text(request, text, error=True, meta=said)
    error = ErrorData(code=REFUSED, message=text, data=said or None)
    return JSONRPCError(jsonrpc="2.0", id=request.id, error=error)


def tool_text(
    request: JSONRPCRequest, text: str, *, error: bool = False, meta: Mapping[str, Any] | None = None
) -> JSONRPCResponse:
    """The result of a tool that the proxy itself answers."""
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": error}
    if meta:
        result["_meta"] = dict(meta)
    if is_modern(request):
        result["resultType"] = "complete"
    return JSONRPCResponse(jsonrpc="2.0", id=request.id, result=result)


def question(wanted: Wanted, decision: Decision, most: int) -> dict[str, Any]:
    """What a person is asked about a call, as the parameters of an elicitation."""
    shown = msgspec.json.encode(wanted.arguments).decode()
    text = f"Let the agent run {wanted.tool} with {shown[: most // 2]}? {decision.why}."
    schema = {
        "type": "object",
        "properties": {"run": {"type": "boolean", "title": "Run it", "default": False}},
        "required": ["run"],
    }
    return {"mode": "form", "message": text[:most], "requestedSchema": schema}


def asking(request: JSONRPCRequest, params: Mapping[str, Any], state: str) -> JSONRPCResponse:
    """The answer that asks the client for its person's word, where a server cannot send requests."""
    asked = {OUR_INPUT: {"method": "elicitation/create", "params": dict(params)}}
    result = {"resultType": "input_required", "inputRequests": asked, "requestState": state}
    return JSONRPCResponse(jsonrpc="2.0", id=request.id, result=result)


def asks_person(decision: Decision) -> bool:
    """Whether the person at the client should be asked before this goes on."""
    checked = decision.held or (decision.allowed and decision.response == "step_up")
    return decision.source == "node" and decision.mode == "enforce" and checked


def is_modern(request: JSONRPCRequest) -> bool:
    """Whether a request came without a handshake, so that no request of ours can go to its sender."""
    return PROTOCOL_VERSION_META_KEY in meta_of(request)


def silent(peer: Peer) -> Peer:
    """A client that turned out not to ask its person."""
    return replace(peer, elicits=False)


def says_yes(answer: object) -> bool:
    """Whether a person accepted and said to run it."""
    if not isinstance(answer, dict) or answer.get("action") != "accept":
        return False
    content = answer.get("content")
    return isinstance(content, dict) and content.get("run") is True


def _said(decision: Decision) -> dict[str, Any]:
    return {
        "decision_id": decision.decision_id,
        "action_id": decision.action_id,
        "verdict": decision.verdict,
        "response": decision.response,
        "source": decision.source,
        "reasons": [one.code for one in decision.reasons],
        "approval": None if decision.approval is None else decision.approval.id,
    }


def _texts(item: object) -> Iterator[str]:
    if not isinstance(item, dict):
        return
    for name in ("text", "uri", "description"):
        if isinstance(found := item.get(name), str):
            yield found
    yield from _texts(item.get("resource"))


def _text(said: object, name: str) -> str:
    found = said.get(name) if isinstance(said, dict) else None
    return found if isinstance(found, str) else ""


def _elicits(capabilities: object) -> bool:
    said = capabilities.get("elicitation") if isinstance(capabilities, dict) else None
    # A client that names no mode means forms.
    return isinstance(said, dict) and (not said or "form" in said)
