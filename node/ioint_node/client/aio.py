"""The client for tasks of one event loop; the same doors as that for threads."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextvars import Token
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

import httpx

from ioint_node.client import flows
from ioint_node.client.calls import Call, Reply
from ioint_node.client.errors import ClientError, NodeAwayError, NoSessionError, Refused
from ioint_node.client.flows import Core, Flow, SessionState
from ioint_node.client.guard import (
    CURRENT,
    arguments_by_name,
    new_id,
    outcome_of,
    pauses,
    refusal,
    said_of,
)
from ioint_node.client.http import Address, away, read_token
from ioint_node.client.limits import ClientLimits
from ioint_node.client.remembered import Action
from ioint_node.client.sse import Reader
from ioint_node.client.values import (
    AlternativeAnswer,
    Closed,
    Decision,
    FeedbackAnswer,
    Opened,
    ScopeAnswer,
    Snapshot,
    StreamEvent,
)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class AsyncClient:
    """Asks a node for decisions, and goes on deciding while the node is away.

    Raises:
        ValueError: the address is none, or would show the token on the way.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        limits: ClientLimits | None = None,
        tls: Any = None,  # noqa: ANN401 - ssl.SSLContext, which many programs never import
        plain_http: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._core = Core(limits or ClientLimits(), clock)
        address = Address.checked(url, token, tls, plain_http=plain_http)
        self._http = httpx.AsyncClient(**address.options(self._core.limits))
        self._url = address.url

    @classmethod
    def from_token_file(cls, url: str, path: str | Path, **options: Any) -> Self:  # noqa: ANN401 - as __init__
        """A client with the token in a file that its owner alone can read.

        Raises:
            ClientError: no such file, or others can read it.
        """
        return cls(url, read_token(Path(path)), **options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each thing happened; the names are those of `Core`. `backlog` is what waits now."""
        return {**self._core.counts, "backlog": self._core.backlog}

    async def session(
        self,
        *,
        actor: str,
        declared: str = "",
        family: str | None = None,
        tools: Sequence[str] = (),
        kind: str = "agent",
        session_id: str | None = None,
        composition: Mapping[str, Any] | None = None,
        on_behalf_of: str | None = None,
        parent: tuple[str, str] | None = None,
    ) -> AsyncSession:
        """Declare what is about to be done: `async with await client.session(…)`, whose end is the outcome.

        Args:
            actor: who acts, as the token allows.
            declared: the task, in words.
            family: its family of the taxonomy; left out, the node infers it from the words.
            tools: names of the tools that the session has.
            kind: `agent`, `user` or `workload`.
            session_id: left out, one is made.
            composition: `model`, `prompt_sha256` and `tools` that the actor is made of.
            on_behalf_of: the principal for whom it acts.
            parent: session and action that started this one.

        Raises:
            NodeRefusedError: the node does not take it.
        """
        opening = flows.open_session(
            self._core,
            actor=actor,
            kind=kind,
            text=declared,
            family=family,
            tools=tuple(tools),
            session_id=session_id,
            composition=composition,
            on_behalf_of=on_behalf_of,
            parent=parent,
        )
        return AsyncSession(self, self._core, self._run, await self._run(opening))

    def guarded(
        self, *, tool: str | None = None, wait_s: float = 0.0
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
        """Guard a function by whichever session of this client its caller is in; see `Session.guard`."""

        def wrap(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
            @functools.wraps(function)
            async def call(*args: P.args, **kwargs: P.kwargs) -> R:
                return await self._current().call(function, args, kwargs, tool=tool, wait_s=wait_s)

            return call

        return wrap

    async def rule(self, approval_id: str, *, approve: bool) -> None:
        """Approve or refuse what waits for a person; the token has to be one that may.

        Raises:
            NodeRefusedError: it may not, or nothing waits under this id.
            NodeAwayError: no answer.
        """
        await self._run(flows.rule(self._core, approval_id, approve=approve))

    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Everything that is known, page by page; changes follow after the first page's `seq`.

        Raises:
            NodeRefusedError: the token does not open it.
            NodeAwayError: no answer.
        """
        cursor = None
        while True:
            page = await self._run(flows.snapshot(self._core, cursor, None))
            yield page
            if (cursor := page.next) is None:
                return

    async def events(self, after: int | None = None) -> AsyncIterator[StreamEvent]:
        """What the node tells its subscribers, without end: a break goes on after the last event.

        Each event is also taken in by the memory that decides while the node is away. On `reset` take the snapshot
        again.

        Raises:
            NodeRefusedError: the token does not open it.
        """
        reader, limits = Reader(after), self._core.limits
        pause = limits.probe_s
        while True:
            try:
                async for event in self._stream(reader):
                    pause = limits.probe_s
                    self._core.memory.hear(event, self._core.clock())
                    yield event
            except (NodeAwayError, httpx.HTTPError):
                pass
            await asyncio.sleep(pause)
            pause = min(2 * pause, limits.probe_most_s)

    async def flush(self) -> int:
        """Send what waits for the node, and return how many requests still do."""
        if not self._core.breaker.allows(self._core.clock()):
            return self._core.backlog
        return await self._run(flows.flush(self._core, self._core.limits.backlog_calls))

    async def close(self) -> None:
        """Send what waits, if the node is there, and let go of the connections."""
        if not self._http.is_closed:
            await self.flush()
            await self._http.aclose()

    def _current(self) -> AsyncSession:
        for session in reversed(CURRENT.get()):
            if isinstance(session, AsyncSession) and session.client is self:
                return session
        raise NoSessionError("guarded functions run inside `with client.session(…)`")

    async def _run(self, flow: Flow[T]) -> T:
        """Run a flow; between two requests nothing else runs."""
        step: Callable[[], Call] = functools.partial(next, flow)
        while True:
            try:
                call = step()
            except StopIteration as done:
                value: T = done.value
                return value
            try:
                step = functools.partial(flow.send, await self._send(call))
            except NodeAwayError as error:
                step = functools.partial(flow.throw, error)

    async def _send(self, call: Call) -> Reply:
        limits = self._core.limits
        body, size = [], 0
        headers = {"Content-Type": "application/json"} if call.body else {}
        try:
            async with (
                asyncio.timeout(limits.answer_s),
                self._http.stream(
                    call.method, call.path, content=call.body or None, headers=headers
                ) as answer,
            ):
                async for chunk in answer.aiter_bytes():
                    size += len(chunk)
                    body.append(chunk)
                    if size > limits.answer_bytes:
                        raise TimeoutError
        except (httpx.HTTPError, TimeoutError) as error:
            raise away(error, limits) from None
        return Reply(status=answer.status_code, body=b"".join(body))

    async def _stream(self, reader: Reader) -> AsyncIterator[StreamEvent]:
        limits = self._core.limits
        reader.again()
        headers = {"Accept": "text/event-stream"}
        if reader.last is not None:
            headers["Last-Event-ID"] = str(reader.last)
        timeout = httpx.Timeout(limits.stream_silence_s, connect=limits.connect_s)
        async with self._http.stream("GET", "/api/v1/stream", headers=headers, timeout=timeout) as answer:
            if answer.status_code != 200:
                Reply(status=answer.status_code, body=await answer.aread()).read(object)
            async for line in answer.aiter_lines():
                if (event := reader.feed(line)) is not None:
                    yield event


class AsyncSession:
    """One declared piece of work of one actor."""

    def __init__(
        self, client: AsyncClient, core: Core, run: Callable[[Flow[Any]], Awaitable[Any]], state: SessionState
    ) -> None:
        self.client = client
        self._core = core
        self._ask = run
        self._state = state
        self._entered: Token[tuple[Any, ...]] | None = None
        self._ended = False

    @property
    def id(self) -> str:
        """Its id, the same here and at the node."""
        return self._state.id

    @property
    def opened(self) -> Opened | None:
        """What it may do; None while the node has not heard of it yet."""
        return self._state.opened

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, actor={self._state.actor!r})"

    async def __aenter__(self) -> Self:
        self._entered = CURRENT.set((*CURRENT.get(), self))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._entered is not None:
            CURRENT.reset(self._entered)
        if self._ended:
            return
        try:
            await self.close(outcome_of(error))
        except ClientError:
            if error is None:
                raise

    async def act(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        server: str | None = None,
        action_id: str | None = None,
    ) -> Decision:
        """Ask whether a tool may be called; whoever is not `allowed` does not call it.

        Raises:
            NodeRefusedError: the node does not take the action, so it must not be run.
        """
        action = Action(action_id=action_id or new_id(), tool=tool, server=server, arguments=arguments or {})
        return await self._run(flows.act(self._core, self._state, action))

    async def check(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        server: str | None = None,
        wait_s: float = 0.0,
    ) -> Decision:
        """Ask, and raise unless it is allowed; what waits for a person is waited for, up to `wait_s` seconds.

        Raises:
            NeedsApproval: nobody has decided yet.
            Refused: it is not allowed.
            NodeRefusedError: the node does not take the action.
        """
        decision = await self.act(tool, arguments, server=server)
        decision = await self.waited(decision, tool, arguments, server=server, wait_s=wait_s)
        if not decision.allowed:
            raise refusal(decision)
        return decision

    async def waited(
        self,
        decision: Decision,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        server: str | None = None,
        wait_s: float,
    ) -> Decision:
        """Ask again while an action waits for a person, up to `wait_s` seconds; anything else is returned as it is."""
        for pause in pauses(self._core.limits, wait_s if decision.held else 0.0):
            await asyncio.sleep(pause)
            decision = await self.act(tool, arguments, server=server)
            if not decision.held:
                break
        return decision

    @overload
    def guard(
        self, function: Callable[P, Awaitable[R]], *, tool: str | None = ..., wait_s: float = ...
    ) -> Callable[P, Awaitable[R]]: ...

    @overload
    def guard(
        self, function: None = None, *, tool: str | None = ..., wait_s: float = ...
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]: ...

    def guard(
        self,
        function: Callable[P, Awaitable[R]] | None = None,
        *,
        tool: str | None = None,
        wait_s: float = 0.0,
    ) -> Callable[P, Awaitable[R]] | Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
        """Guard a function: it is assessed before each call, and its result or error is told after it.

        `tool` is what the node calls it, left out: the function's name. The guarded function raises `Refused` instead
        of running what is not allowed; what waits for a person is waited for, up to `wait_s` seconds.
        """

        def wrap(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
            @functools.wraps(function)
            async def call(*args: P.args, **kwargs: P.kwargs) -> R:
                return await self.call(function, args, kwargs, tool=tool, wait_s=wait_s)

            return call

        return wrap if function is None else wrap(function)

    async def call(
        self,
        function: Callable[..., Awaitable[R]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        tool: str | None = None,
        wait_s: float = 0.0,
    ) -> R:
        """Call a function as `guard` does.

        Raises:
            Refused: it was not called.
        """
        given = arguments_by_name(function, args, kwargs)
        decision = await self.check(tool or function.__name__, given, wait_s=wait_s)
        try:
            result = await function(*args, **kwargs)
        except Refused:
            raise  # of a guarded function inside, which has told of itself
        except Exception as error:
            await self.tool_result(decision.action_id, error=said_of(error))
            raise
        await self.tool_result(decision.action_id, result)
        return result

    async def tool_result(self, action_id: str, result: object = "", *, error: str | None = None) -> None:
        """Tell what a tool returned, or how it failed."""
        await self._tell("tool_result", result, action_id=action_id, error=error)

    async def prompt(self, text: str, *, role: str = "user") -> None:
        """Tell what the principal asked; role `memory` for content that was read, `system` for the operator."""
        await self._tell("prompt", text, role=role)

    async def response(self, text: str) -> None:
        """Tell what the agent answered."""
        await self._tell("response", text)

    async def reasoning(self, text: str) -> None:
        """Tell what the agent thought."""
        await self._tell("reasoning", text)

    async def observation(self, data: Mapping[str, Any], *, action_id: str | None = None) -> None:
        """Tell what something outside saw of the session."""
        await self._tell("observation", data=dict(data), action_id=action_id)

    async def declare(
        self, declared: str = "", *, family: str | None = None, tools: Sequence[str] = ()
    ) -> Opened | None:
        """Declare anew what the session is for; None while the node is away, which hears it later."""
        return await self._run(flows.declare(self._core, self._state, declared, family, tuple(tools)))

    async def scope_request(
        self,
        *,
        verbs: Sequence[str] = (),
        resources: Sequence[str] = (),
        sensitivity: str | None = None,
        boundary: str | None = None,
        reason: str = "",
    ) -> ScopeAnswer:
        """Ask for more than the envelope holds.

        Raises:
            NodeAwayError: nobody can answer it now.
        """
        asked = flows.scope_request(
            self._core,
            self._state,
            verbs=tuple(verbs),
            resources=tuple(resources),
            sensitivity=sensitivity,
            boundary=boundary,
            reason=reason,
        )
        return await self._run(asked)

    async def alternative(self, decision_id: str, *, accepted: bool) -> AlternativeAnswer | None:
        """Accept or refuse the narrower alternative of a decision; None while the node is away."""
        return await self._run(
            flows.answer_alternative(self._core, self._state, decision_id, accepted=accepted)
        )

    async def feedback(
        self, kind: str, *, positive: bool, action_id: str | None = None
    ) -> FeedbackAnswer | None:
        """Say whether it was right; None while the node is away."""
        return await self._run(
            flows.feedback(self._core, self._state, kind, positive=positive, action_id=action_id)
        )

    async def close(self, outcome: str = "done") -> Closed | None:
        """End the session as `done`, `failed` or `aborted`; None while the node is away, which hears it later."""
        self._ended = True
        return await self._run(flows.close(self._core, self._state, outcome))

    async def _tell(self, kind: str, text: object = "", **more: object) -> None:
        await self._run(flows.tell(self._core, self._state, kind, text, **more))

    async def _run(self, flow: Flow[T]) -> T:
        answer: T = await self._ask(flow)
        return answer
