"""Messages go both ways as they came; calls of tools and reads of resources are asked of the node on their way.

What is judged goes on in a task of its own, so that nothing else waits for it: progress, cancellation, sampling,
elicitation, roots, logging and methods that nobody here knows pass at once, in their order. A result is told to the
node before the client has it, so that the next call is judged with it.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import anyio
from anyio.abc import TaskGroup
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from ioint_node.client import Decision, NodeRefusedError
from ioint_node.proxy import messages
from ioint_node.proxy.judge import Judge, declined
from ioint_node.proxy.messages import Wanted

log = logging.getLogger(__name__)
V = TypeVar("V")
GONE: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class Dress(Protocol):
    """What a transport needs beside a message."""

    def __call__(self, message: JSONRPCMessage) -> SessionMessage:
        """The message as the transport takes it."""

    def heard(self, request: JSONRPCRequest, result: Mapping[str, Any]) -> None:
        """Take in what a request was answered."""


class Plain:
    """For a transport that needs nothing."""

    def __call__(self, message: JSONRPCMessage) -> SessionMessage:
        """The message alone."""
        return SessionMessage(message)

    def heard(self, request: JSONRPCRequest, result: Mapping[str, Any]) -> None:
        """Nothing is needed of it."""


class Reading(Protocol):
    """What comes from one end."""

    def __aiter__(self) -> Reading:
        """Until that end leaves."""

    async def __anext__(self) -> SessionMessage | Exception:
        """The next message, or what was none."""


class Writing(Protocol):
    """What goes to one end."""

    async def send(self, item: SessionMessage, /) -> None:
        """Send one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One end."""

    read: Reading
    write: Writing


@dataclass(frozen=True, slots=True)
class Running:
    """A request that the server has, and the action that it is, where it is one."""

    request: JSONRPCRequest
    action_id: str | None = None
    wanted: Wanted | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that waits for the word of a person whom the client asks."""

    request: JSONRPCRequest
    wanted: Wanted
    decision: Decision


@dataclass(slots=True)
class Answer:
    """What the client answers to a question of the proxy."""

    done: anyio.Event = field(default_factory=anyio.Event)
    result: object = None


class ServerEnded(Exception):  # noqa: N818 - what happened, and the end of the proxy
    """The server behind the proxy ended before its client did."""


class Relay:
    """Stands between one client and one server until either ends."""

    def __init__(
        self,
        client: Side,
        server: Side,
        judge: Judge,
        *,
        dress: Dress | None = None,
        declare_tool: bool = False,
    ) -> None:
        self._client = client
        self._server = server
        self._judge = judge
        self._dress = dress or Plain()
        self._declare_tool = declare_tool
        self._running: dict[RequestId, Running] = {}
        self._judging: dict[RequestId, anyio.CancelScope] = {}
        self._questions: dict[RequestId, Answer] = {}
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self._continued: OrderedDict[str, str] = OrderedDict()
        self._later: OrderedDict[str, Running] = OrderedDict()

    async def run(self) -> None:
        """Pass messages until the client leaves.

        Raises:
            ServerEnded: the server ended first; what it had not answered was answered with an error.
        """
        ended = False
        async with anyio.create_task_group() as group:

            async def from_server() -> None:
                nonlocal ended
                await self._from_server()
                ended = True
                await self._answer_all()
                group.cancel_scope.cancel()

            group.start_soon(from_server)
            await self._from_client(group)
            group.cancel_scope.cancel()
        if ended:
            raise ServerEnded("the MCP server ended")

    # --- from the client ---

    async def _from_client(self, group: TaskGroup) -> None:
        async for item in self._client.read:
            if isinstance(item, Exception):
                await self._fault(None, PARSE_ERROR, "not a message of JSON-RPC 2.0")
                continue
            message = item.message
            if isinstance(message, JSONRPCRequest):
                await self._requested(message, group)
            elif isinstance(message, JSONRPCNotification):
                if not self._cancelled(message):
                    await self._to_server(message)
            elif not self._took(message):
                await self._to_server(message)

    async def _requested(self, request: JSONRPCRequest, group: TaskGroup) -> None:
        judge, meta = self._judge, messages.meta_of(request)
        judge.peer = messages.peer_of(request, judge.peer)
        if (parent := messages.parent_of(meta)) is not None:
            judge.child_of(parent)
        wanted, declared = messages.wanted_of(request), meta.get(messages.DECLARED_KEY)
        if wanted is None and not isinstance(declared, str):
            await self._pass(self._later_of(request) or Running(request))
        elif request.id in self._judging or request.id in self._running:
            await self._fault(request.id, INVALID_REQUEST, "a request with this id runs already")
        elif len(self._judging) + len(self._running) >= judge.limits.judged:
            await self._fault(request.id, messages.TOO_MANY, f"{judge.limits.judged} requests run already")
        else:
            self._judging[request.id] = anyio.CancelScope()
            group.start_soon(self._attend, request, wanted, declared)

    async def _attend(self, request: JSONRPCRequest, wanted: Wanted | None, declared: object) -> None:
        with self._judging[request.id]:
            try:
                if isinstance(declared, str):
                    await self._judge.declare(declared)
                if wanted is None:
                    await self._pass(Running(request))
                elif self._declare_tool and wanted.tool == messages.DECLARE_TOOL["name"]:
                    said = await self._judge.declare(str(wanted.arguments.get("task", "")))
                    await self._to_client(messages.tool_text(request, said))
                else:
                    await self._judged(request, wanted)
            except NodeRefusedError as error:
                text = f"Not run: {error}. Whoever operates this proxy has to look at it."
                await self._to_client(messages.refusal(request, text, None))
            except Exception:  # a fault of ours runs nothing, and ends no other call
                log.exception("a call could not be judged")
                text = "Not run: the proxy failed to judge it. Its standard error says more."
                await self._to_client(messages.refusal(request, text, None))
            finally:
                del self._judging[request.id]

    async def _judged(self, request: JSONRPCRequest, wanted: Wanted) -> None:
        state = (request.params or {}).get("requestState")
        if state is not None and (known := self._continued.pop(messages.call_key(wanted, state), None)):
            await self._pass(Running(request, known, wanted))  # the server asked for more, and here it is
            return
        before = self._asked.pop(state, None) if isinstance(state, str) else None
        if before is not None and before.wanted == wanted:
            answers = (request.params or {}).get("inputResponses")
            answer = answers.get(messages.OUR_INPUT) if isinstance(answers, dict) else None
            decision = await self._judge.said(wanted, before.decision, run=messages.says_yes(answer))
            request = before.request.model_copy(update={"id": request.id})
        else:
            decision = await self._judge.decide(wanted)
            if self._judge.peer.elicits and not self._judge.watch and messages.asks_person(decision):
                params = messages.question(wanted, decision, self._judge.limits.said_chars)
                if messages.is_modern(request):
                    await self._ask_by_answer(Asked(request, wanted, decision), params)
                    return
                decision = await self._ask(wanted, decision, params)
        await self._obey(request, wanted, decision)

    async def _obey(self, request: JSONRPCRequest, wanted: Wanted, decision: Decision) -> None:
        if decision.held and not self._judge.watch:
            decision = await self._judge.waited(wanted, decision)
        if decision.allowed or self._judge.watch:
            if not decision.allowed:
                log.warning("%s would not have been run: %s", wanted.tool, decision.why)
            await self._pass(Running(request, decision.action_id, wanted))
            return
        text = messages.refused_text(wanted, decision, self._judge.limits.said_chars)
        await self._to_client(messages.refusal(request, text, decision))

    async def _ask(self, wanted: Wanted, decision: Decision, params: Mapping[str, Any]) -> Decision:
        """Ask the person at the client by a request of our own."""
        name = f"ioint-{secrets.token_hex(8)}"  # the server cannot guess it, and take the answer for its own
        answer = self._questions[name] = Answer()
        question = JSONRPCRequest(jsonrpc="2.0", id=name, method="elicitation/create", params=dict(params))
        try:
            await self._to_client(question)
            with anyio.move_on_after(self._judge.limits.ask_s):
                await answer.done.wait()
        finally:
            del self._questions[name]
        if isinstance(answer.result, ErrorData):  # this client cannot ask after all
            self._judge.peer = messages.silent(self._judge.peer)
            return decision
        if not answer.done.is_set():
            return declined(decision, "the person at the client did not answer")
        return await self._judge.said(wanted, decision, run=messages.says_yes(answer.result))

    async def _ask_by_answer(self, asked: Asked, params: Mapping[str, Any]) -> None:
        """Ask the person at the client by the answer to the call, which it makes again with the word."""
        state = secrets.token_urlsafe(24)
        self._keep(self._asked, state, asked)
        await self._to_client(messages.asking(asked.request, params, state))

    def _took(self, message: JSONRPCResponse | JSONRPCError) -> bool:
        """Whether this answers a question of our own."""
        answer = None if message.id is None else self._questions.get(message.id)
        if answer is None:
            return False
        answer.result = message.error if isinstance(message, JSONRPCError) else message.result
        answer.done.set()
        return True

    def _cancelled(self, message: JSONRPCNotification) -> bool:
        """Whether this ends a request that the server has not got yet."""
        if message.method != "notifications/cancelled":
            return False
        name = (message.params or {}).get("requestId", "")
        self._running.pop(name, None)  # it may never be answered
        scope = self._judging.get(name)
        if scope is None:
            return False
        scope.cancel()
        return True

    def _later_of(self, request: JSONRPCRequest) -> Running | None:
        """The call whose result a client asks for, which runs as a task."""
        if request.method != "tasks/result":
            return None
        known = self._later.get(str((request.params or {}).get("taskId", "")))
        return known and Running(request, known.action_id, known.wanted)

    # --- from the server ---

    async def _from_server(self) -> None:
        async for item in self._server.read:
            if isinstance(item, Exception):
                log.warning("the MCP server wrote what is no message: %s", type(item).__name__)
                continue
            message = item.message
            if isinstance(message, (JSONRPCResponse, JSONRPCError)) and message.id is not None:
                running = self._running.pop(message.id, None)
                if running is None:  # what nobody asked it: it would come past the node
                    log.warning("the MCP server answered a request that it does not have")
                    continue
                message = await self._answered(running, message)
            await self._to_client(message)

    async def _answered(
        self, running: Running, message: JSONRPCResponse | JSONRPCError
    ) -> JSONRPCResponse | JSONRPCError:
        if isinstance(message, JSONRPCError):
            if running.action_id is not None:
                await self._judge.result(running.action_id, "", error=message.error.message)
            return message
        result = message.result
        self._dress.heard(running.request, result)
        match running.request.method:
            case "initialize" | "server/discover":
                self._judge.named(messages.server_name(result))
            case "tools/list":
                return await self._listed(running.request, message)
        if running.action_id is not None and running.wanted is not None:
            await self._ran(running, running.action_id, running.wanted, result)
        return message

    async def _listed(self, request: JSONRPCRequest, message: JSONRPCResponse) -> JSONRPCResponse:
        first = not (request.params or {}).get("cursor")
        tools = messages.tools_of(message.result)
        await self._judge.tools_are(tools, whole=first)
        last = not message.result.get("nextCursor")
        if not (self._declare_tool and last and isinstance(message.result.get("tools"), list)):
            return message
        listed = [*message.result["tools"], dict(messages.DECLARE_TOOL)]
        return message.model_copy(update={"result": {**message.result, "tools": listed}})

    async def _ran(self, running: Running, action_id: str, wanted: Wanted, result: Mapping[str, Any]) -> None:
        task = result.get("task")
        if messages.is_input_required(result):
            if (state := result.get("requestState")) is not None:
                self._keep(self._continued, messages.call_key(wanted, state), action_id)
        elif isinstance(task, dict) and isinstance(name := task.get("taskId"), str):
            self._keep(self._later, name, running)
        else:
            text = messages.result_text(result)
            error = "the tool says that it failed" if result.get("isError") is True else None
            await self._judge.result(action_id, text, error=error)

    async def _answer_all(self) -> None:
        for name in (*self._running, *self._judging):
            await self._fault(name, messages.ENDED, "the MCP server behind the proxy ended")

    # --- sending ---

    async def _pass(self, running: Running) -> None:
        self._running[running.request.id] = running
        await self._to_server(running.request)

    async def _to_server(self, message: JSONRPCMessage) -> None:
        try:
            await self._server.write.send(self._dress(message))
        except GONE:
            log.info("a message came after the end of the MCP server")

    async def _to_client(self, message: JSONRPCMessage) -> None:
        try:
            await self._client.write.send(SessionMessage(message))
        except GONE:
            log.info("a message came after the client had left")

    async def _fault(self, name: RequestId | None, code: int, text: str) -> None:
        await self._to_client(JSONRPCError(jsonrpc="2.0", id=name, error=ErrorData(code=code, message=text)))

    def _keep(self, table: OrderedDict[str, V], key: str, value: V) -> None:
        table[key] = value
        if len(table) > self._judge.limits.continued:
            table.popitem(last=False)
