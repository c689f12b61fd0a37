"""One span read, whoever wrote it.

The dialects: OpenTelemetry's conventions for generative AI, old (events on spans, numbered attributes) and new
(messages as JSON); OpenInference; OpenLLMetry (Traceloop); pydantic-ai; and MCP. They differ in names and wrapping, and
mix on one span, so each question is asked of all of them at once and the first that answers is believed. docs/otlp.md
has the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from ioint_node.telemetry.values import ARGUMENT_CHARS, SERVER_KIND, TEXT_CHARS, Origin, Span

_PROPERTIES: Final = "traceloop.association.properties."
_AGENT: Final = ("gen_ai.agent.name", "agent.name", "agent_name", _PROPERTIES + "lc_agent_name")
_CONVERSATION: Final = (
    "gen_ai.conversation.id", "session.id", _PROPERTIES + "thread_id", _PROPERTIES + "session_id",
    _PROPERTIES + "conversation_id", _PROPERTIES + "chat_id",
)  # fmt: skip
_TOOL: Final = ("gen_ai.tool.name", "tool.name")
_CALL: Final = ("gen_ai.tool.call.id", "tool_call.id")
_ARGUMENTS: Final = (
    "gen_ai.tool.call.arguments", "tool_arguments", "tool_call.function.arguments", "traceloop.entity.input",
    "input.value",
)  # fmt: skip
_RESULT: Final = ("gen_ai.tool.call.result", "tool_response", "traceloop.entity.output", "output.value")
_TOKENS: Final = (
    ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
)
_OPERATIONS: Final = {
    "execute_tool": "tool", "invoke_agent": "agent", "chat": "model", "text_completion": "model",
    "generate_content": "model",
}  # fmt: skip
_KINDS: Final = {"TOOL": "tool", "AGENT": "agent", "LLM": "model", "tool": "tool", "agent": "agent"}
_METHODS: Final = frozenset({"tools/call", "resources/read"})
_MESSAGES: Final = (
    # Those of what a model was given, those of what it answered.
    ("gen_ai.input.messages", "llm.input_messages.", "gen_ai.prompt."),
    ("gen_ai.output.messages", "llm.output_messages.", "gen_ai.completion."),
)
_ROLES: Final = {
    "human": "user", "ai": "assistant", "model": "assistant", "developer": "system", "function": "tool",
}  # fmt: skip
_MOST = 1_024  # messages of one span
_NESTED = 4  # wrappings of one result
_TOOL_CHARS = 256
_DROPPED = object()


class Part(StrEnum):
    """What a span is of."""

    AGENT = "agent"
    MODEL = "model"
    TOOL = "tool"
    OTHER = "other"


class Piece(Struct, frozen=True, kw_only=True):
    """A part of a message: a text, reasoning, a tool call, or the result of one."""

    role: str
    kind: str = "text"
    text: str = ""
    call_id: str = ""
    tool: str = ""
    arguments: Mapping[str, Any] = {}


class Call(Struct, frozen=True, kw_only=True):
    """A tool's span; `arguments` None where it does not say, `result` and `error` likewise."""

    tool: str
    server: str | None = None
    call_id: str = ""
    arguments: Mapping[str, Any] | None = None
    given: str = ""  # arguments that are no object
    result: str | None = None
    error: str | None = None
    mcp: bool = False


class Who(Struct, frozen=True, kw_only=True):
    """What a span says of where it belongs, and no more: this much is remembered of each."""

    parent: str
    origin: Origin
    part: Part = Part.OTHER
    agent: str = ""
    conversation: str = ""
    session: str = ""  # as the sender named it for this node
    tool: str = ""
    action: str = ""
    mcp: bool = False
    serves: bool = False  # it is the receiving side of a call


def who(span: Span) -> Who:
    """Where a span belongs."""
    if not span.says:
        return Who(parent=span.parent, origin=span.origin)
    said, part = span.attributes, part_of(span)
    return Who(
        parent=span.parent,
        origin=span.origin,
        part=part,
        agent=_first(said, _AGENT) or _of_metadata(said, "lc_agent_name"),
        conversation=_first(said, _CONVERSATION) or _of_metadata(said, "thread_id"),
        session=_first(said, ("ioint.session.id",)),
        tool=tool_of(span) if part is Part.TOOL else "",
        action=_first(said, ("ioint.action.id",)),
        mcp="mcp.method.name" in said,
        serves=span.kind == SERVER_KIND,
    )


def part_of(span: Span) -> Part:
    """What a span is of."""
    said = span.attributes
    if "mcp.method.name" in said:
        return Part.TOOL if _first(said, ("mcp.method.name",)) in _METHODS else Part.OTHER
    for key, known in (
        ("gen_ai.operation.name", _OPERATIONS),
        ("openinference.span.kind", _KINDS),
        ("traceloop.span.kind", _KINDS),
    ):
        found = said.get(key)
        if isinstance(found, str) and found in known:
            return Part(known[found])
    if "gen_ai.operation.name" in said or "openinference.span.kind" in said:
        return Part.OTHER
    if "gen_ai.tool.name" in said:
        return Part.TOOL
    models = ("gen_ai.request.model", "gen_ai.input.messages", "gen_ai.prompt.0.role")
    return Part.MODEL if span.events or any(key in said for key in models) else Part.OTHER


def tool_of(span: Span) -> str:
    """The tool that a span of a call names, "" where it names none."""
    said = span.attributes
    found = _first(said, _TOOL)
    method = said.get("mcp.method.name")
    if not found and method == "resources/read":
        found = "read_resource"
    if not found and isinstance(method, str):
        found = span.name.partition(f"{method} ")[2]
    if not found and span.name.startswith("execute_tool "):
        found = span.name.removeprefix("execute_tool ")
    found = found or _first(said, ("traceloop.entity.name",)) or span.name
    return "".join(each if each.isprintable() else "_" for each in found[:_TOOL_CHARS])


def call_of(span: Span) -> Call:
    """The call that a tool's span tells."""
    said = span.attributes
    arguments, given, wrapped_id = _arguments(_any(said, _ARGUMENTS))
    result, result_id, failed = _result(_any(said, _RESULT))
    uri = _first(said, ("mcp.resource.uri",))
    if arguments is None and uri:
        arguments = {"uri": uri}
    error = span.error
    if failed or "error.type" in said:
        error = error or _first(said, ("error.type",)) or "error"
    return Call(
        tool=tool_of(span),
        server=_server(said) if "mcp.method.name" in said else None,
        call_id=_first(said, _CALL) or result_id or wrapped_id,
        arguments=arguments,
        given=given,
        result=result,
        error=error,
        mcp="mcp.method.name" in said,
    )


def heard(span: Span) -> list[Piece]:
    """What a model or an agent was given, oldest first; the system's instructions before all."""
    said = span.attributes
    found = [
        Piece(role="system", text=text)
        for text in _texts(_decoded(said.get("gen_ai.system_instructions")))
        if text
    ]
    # What is on the span is told by its events again, where both are there.
    found += _messages(said, _MESSAGES[0], "user") or _of_events(span, answered=False)
    if not found and part_of(span) is Part.AGENT:
        asked = _first(said, ("input.value",))
        if asked and asked[:1] not in "{[":
            found.append(Piece(role="user", text=asked[:TEXT_CHARS]))
    return found


def answered(span: Span) -> list[Piece]:
    """What a model or an agent answered."""
    found = _messages(span.attributes, _MESSAGES[1], "assistant") or _of_events(span, answered=True)
    if not found and part_of(span) is Part.AGENT:
        said = _first(span.attributes, ("final_result", "output.value"))
        if said and said[:1] not in "{[":
            found.append(Piece(role="assistant", text=said[:TEXT_CHARS]))
    return found


def tokens_of(span: Span) -> int:
    """The tokens that a model's call took, 0 where it does not say."""
    found = 0
    for names in _TOKENS:
        given = next((span.attributes[name] for name in names if name in span.attributes), 0)
        if isinstance(given, int) and not isinstance(given, bool) and 0 < given < 1 << 40:
            found += given
    return found


def purpose_of(span: Span) -> str:
    """What an agent's span says that the agent is for, "" where it does not."""
    return _first(span.attributes, ("gen_ai.agent.description", "agent.description"))


def declared_of(span: Span) -> tuple[str, str]:
    """The text and the family that a span declares for this node, each "" where it does not."""
    return (
        _first(span.attributes, ("ioint.declared.text",)),
        _first(span.attributes, ("ioint.declared.family",)),
    )


def model_of(span: Span) -> str:
    """The model that was asked, "" where the span does not say."""
    return _first(span.attributes, ("gen_ai.request.model", "llm.model_name"))


# --- attributes ---


def _first(said: Mapping[str, Any], names: Iterable[str]) -> str:
    for name in names:
        found = said.get(name)
        if isinstance(found, str) and found:
            return found
    return ""


def _any(said: Mapping[str, Any], names: Iterable[str]) -> Any:  # noqa: ANN401 - any value of JSON
    return next((said[name] for name in names if name in said), None)


def _of_metadata(said: Mapping[str, Any], name: str) -> str:
    given = said.get("metadata")
    # Only worth decoding when the name is in it.
    if isinstance(given, str) and f'"{name}"' not in given:
        return ""
    found = _decoded(given)
    return _first(found, (name,)) if isinstance(found, dict) else ""


def _server(said: Mapping[str, Any]) -> str | None:
    address, port = said.get("server.address"), said.get("server.port")
    if not isinstance(address, str) or not address or not address.isprintable():
        return None
    return (f"{address}:{port}" if isinstance(port, int) else address)[:_TOOL_CHARS]


def _decoded(value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    """A value, decoded where it is JSON in a text."""
    if not isinstance(value, str) or value[:1] not in {"{", "[", '"'}:
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return value


def _text(value: Any) -> str:  # noqa: ANN401 - any value of JSON
    if isinstance(value, str):
        return value[:TEXT_CHARS]
    if value is None:
        return ""
    try:
        return msgspec.json.encode(value).decode()[:TEXT_CHARS]
    except (TypeError, ValueError, RecursionError):
        return ""


# --- calls ---


def _arguments(given: Any) -> tuple[Mapping[str, Any] | None, str, str]:  # noqa: ANN401 - any value of JSON
    """Arguments as an object, as text where they are none, and the id of the call that was wrapped with them."""
    value = _decoded(given)
    if not isinstance(value, dict):
        return None, _text(value), ""
    call_id = ""
    if "input_str" in value or {"inputs", "tags"} <= value.keys():
        # OpenLLMetry: the callback's own arguments, in which the tool's are one.
        more = value.get("kwargs")
        call_id = _first(more, ("tool_call_id",)) if isinstance(more, dict) else ""
        inner = _decoded(value.get("inputs"))
        if not isinstance(inner, dict):
            return None, _text(value.get("input_str", inner)), call_id
        value = inner
    return bounded(value), "", call_id


def bounded(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments as a session takes them; too many are cut as text."""
    text = _text_of(arguments)
    if len(text) <= ARGUMENT_CHARS:
        return arguments
    return {"clipped": text[:ARGUMENT_CHARS]}


def _text_of(value: Mapping[str, Any]) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return ""


def _result(given: Any) -> tuple[str | None, str, bool]:  # noqa: ANN401 - any value of JSON
    """A result as text without what wraps it, the id of its call, and whether it is an error."""
    if given is None:
        return None, "", False
    value, call_id, failed = _decoded(given), "", False
    for _ in range(_NESTED):
        if not isinstance(value, dict):
            break
        call_id = call_id or _first(value, ("tool_call_id",))
        failed = failed or value.get("status") == "error" or value.get("isError") is True
        # LangChain's messages, as its own serialisation and as plain data; OpenLLMetry's callback around them.
        inner = next(
            (value[key] for key in ("output", "kwargs", "data") if _is_wrapper(value, key)), _DROPPED
        )
        if inner is _DROPPED:
            break
        value = inner
    if isinstance(value, dict) and ("tool_call_id" in value or "isError" in value) and "content" in value:
        value = "\n".join(_texts(value["content"]))
    if value is given or isinstance(value, str):
        return _text(value), call_id, failed
    return _text(given if call_id == "" else value), call_id, failed


def _is_wrapper(value: Mapping[str, Any], key: str) -> bool:
    if not isinstance(value.get(key), dict):
        return isinstance(value.get(key), str) and key == "output" and "kwargs" in value
    return (key == "output" and "kwargs" in value) or (key != "output" and "type" in value)


# --- messages ---


def _messages(said: Mapping[str, Any], names: Sequence[str], role: str) -> list[Piece]:
    """Messages as one list, as numbered attributes, or as one text, which the oldest convention had."""
    whole, *numbered = names
    given = _decoded(said.get(whole))
    if not isinstance(given, list):
        given = next((found for prefix in numbered if (found := _numbered(said, prefix))), None)
    if given is None:
        given = _decoded(said.get(numbered[-1].removesuffix(".")))
    messages = given[:_MOST] if isinstance(given, list) else []
    return [piece for message in messages for piece in _pieces(message, role)]


def _numbered(said: Mapping[str, Any], prefix: str) -> list[Any]:
    """Messages whose parts are attributes of their own: as `prefix.0.message.role`."""
    tree: dict[str, Any] = {}
    for key, value in said.items():
        if not key.startswith(prefix):
            continue
        at, steps = tree, key[len(prefix) :].split(".", 8)
        for step in steps[:-1]:
            below = at.setdefault(step, {})
            if not isinstance(below, dict):
                break
            at = below
        else:
            at.setdefault(steps[-1], value)
    listed = _listed(tree)
    return listed if isinstance(listed, list) else []


def _listed(tree: Any) -> Any:  # noqa: ANN401 - any value of JSON
    if not isinstance(tree, dict):
        return tree
    if tree and all(key.isascii() and key.isdecimal() and len(key) <= 6 for key in tree):
        return [_listed(tree[key]) for key in sorted(tree, key=int)]
    return {key: _listed(value) for key, value in tree.items()}


def _pieces(message: Any, role: str) -> list[Piece]:  # noqa: ANN401 - any value of JSON
    """The parts of one message in any of its forms."""
    if isinstance(message, str):
        return [Piece(role=role, text=message[:TEXT_CHARS])] if message else []
    if isinstance(message, list) and len(message) == 2 and all(isinstance(one, str) for one in message):
        message = {"role": message[0], "content": message[1]}
    if not isinstance(message, dict):
        return []
    inner = message.get("message")
    if isinstance(inner, dict):
        message = {**message, **inner}
    role = _first(message, ("role", "type")) or role
    role = _ROLES.get(role, role)
    parts = message.get("parts")
    if isinstance(parts, list):
        return [piece for part in parts[:_MOST] for piece in _part(part, role)]
    content = message.get("content", message.get("contents"))
    call_id = _first(message, ("tool_call_id", "id"))
    if role == "tool":
        tool = _first(message, ("name",))
        text = "\n".join(_texts(_decoded(content) if isinstance(content, list) else content))
        return [Piece(role=role, kind="result", text=text[:TEXT_CHARS], call_id=call_id, tool=tool)]
    found = [Piece(role=role, text=text) for text in _texts(content) if text]
    calls = _decoded(message.get("tool_calls"))
    for call in calls[:_MOST] if isinstance(calls, list) else ():
        found += _call(call, role)
    return found


def _part(part: Any, role: str) -> list[Piece]:  # noqa: ANN401 - any value of JSON
    if not isinstance(part, dict):
        return _pieces(part, role) if isinstance(part, str) else []
    kind = part.get("type")
    if kind == "tool_call":
        return _call(part, role)
    if kind == "tool_call_response":
        given = next((part[key] for key in ("response", "result", "content") if key in part), "")
        text = "\n".join(_texts(given)) if isinstance(given, list) else _text(given)
        return [
            Piece(
                role="tool",
                kind="result",
                text=text[:TEXT_CHARS],
                call_id=_first(part, ("id",)),
                tool=_first(part, ("name",)),
            )
        ]
    text = _first(part, ("content", "text"))
    if not text:
        return []
    reasoning = kind in {"thinking", "reasoning"}
    return [Piece(role=role, kind="reasoning" if reasoning else "text", text=text[:TEXT_CHARS])]


def _call(call: Any, role: str) -> list[Piece]:  # noqa: ANN401 - any value of JSON
    if not isinstance(call, dict):
        return []
    for key in ("tool_call", "function"):
        inner = call.get(key)
        if isinstance(inner, dict):
            call = {**call, **inner}
    arguments, given, _ = _arguments(call.get("arguments", call.get("args")))
    tool = _first(call, ("name",))
    if not tool:
        return []
    return [
        Piece(
            role=role,
            kind="call",
            call_id=_first(call, ("id",)),
            tool=tool[:_TOOL_CHARS],
            arguments=arguments if arguments is not None else {"input": given} if given else {},
        )
    ]


def _texts(content: Any) -> list[str]:  # noqa: ANN401 - any value of JSON
    """The texts of a content: one, or a list of parts of which some are text."""
    if isinstance(content, str):
        return [content[:TEXT_CHARS]]
    if isinstance(content, dict):
        return [_first(content, ("text", "content")) or _text(content)]
    if not isinstance(content, list):
        return []
    found = []
    for part in content[:_MOST]:
        if isinstance(part, str):
            found.append(part[:TEXT_CHARS])
        elif isinstance(part, dict):
            inner = part.get("message_content")
            found.append(_first(inner if isinstance(inner, dict) else part, ("text", "content"))[:TEXT_CHARS])
    return [text for text in found if text]


def _of_events(span: Span, *, answered: bool) -> list[Piece]:
    return [piece for name, body in span.events for piece in _of_event(name, body, answered=answered)]


def _of_event(name: str, body: Mapping[str, Any], *, answered: bool) -> list[Piece]:
    """The messages of an event on a span, or of a log record."""
    if name == "gen_ai.client.inference.operation.details":
        found = _messages(body, _MESSAGES[answered], "assistant" if answered else "user")
        if not answered:
            system = _texts(_decoded(body.get("gen_ai.system_instructions")))
            found = [Piece(role="system", text=text) for text in system if text] + found
        return found
    if name in {"gen_ai.content.prompt", "gen_ai.content.completion"}:
        if answered is not (name == "gen_ai.content.completion"):
            return []
        given = _decoded(body.get("gen_ai.completion" if answered else "gen_ai.prompt"))
        messages = given if isinstance(given, list) else [given]
        return [
            piece for message in messages for piece in _pieces(message, "assistant" if answered else "user")
        ]
    kind = name.removeprefix("gen_ai.").removesuffix(".message")
    if kind == "choice":
        return _pieces(_unpacked(body), "assistant") if answered else []
    if answered or kind not in {"user", "system", "tool", "assistant"}:
        return []
    return _pieces({"role": kind, **_unpacked(body)}, kind)


def _unpacked(body: Mapping[str, Any]) -> dict[str, Any]:
    # The body of an event is attributes, of which some are JSON in a text.
    return {
        key: _decoded(value) if key in {"message", "tool_calls", "gen_ai.event.content"} else value
        for key, value in body.items()
    }
