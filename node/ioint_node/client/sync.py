"""The client for threads; safe to share between them."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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


class Client:
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
        self._http = httpx.Client(**address.options(self._core.limits))
        self._lock = threading.RLock()
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each thing happened; the names are those of `Core`. `backlog` is what waits now."""
        return {**self._core.counts, "backlog": self._core.backlog}

    def session(
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
    ) -> Session:
        """Declare what is about to be done; a context manager whose end is the outcome.

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
        return Session(self, self._core, self._run, self._run(opening))

    def guarded(
        self, *, tool: str | None = None, wait_s: float = 0.0
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Guard a function by whichever session of this client its caller is in; see `Session.guard`."""

        def wrap(function: Callable[P, R]) -> Callable[P, R]:
            @functools.wraps(function)
            def call(*args: P.args, **kwargs: P.kwargs) -> R:
                return self._current().call(function, args, kwargs, tool=tool, wait_s=wait_s)

            return call

        return wrap

    def rule(self, approval_id: str, *, approve: bool) -> None:
        """Approve or refuse what waits for a person; the token has to be one that may.

        Raises:
            NodeRefusedError: it may not, or nothing waits under this id.
            NodeAwayError: no answer.
        """
        self._run(flows.rule(self._core, approval_id, approve=approve))

    def snapshot(self) -> Iterator[Snapshot]:
        """Everything that is known, page by page; changes follow after the first page's `seq`.

        Raises:
            NodeRefusedError: the token does not open it.
            NodeAwayError: no answer.
        """
        cursor = None
        while True:
            page = self._run(flows.snapshot(self._core, cursor, None))
            yield page
            if (cursor := page.next) is None:
                return

    def events(self, after: int | None = None) -> Iterator[StreamEvent]:
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
                for event in self._stream(reader):
                    pause = limits.probe_s
                    with self._lock:
                        self._core.memory.hear(event, self._core.clock())
                    yield event
            except (NodeAwayError, httpx.HTTPError):
                pass
            time.sleep(pause)
            pause = min(2 * pause, limits.probe_most_s)

    def flush(self) -> int:
        """Send what waits for the node, and return how many requests still do."""
        if not self._core.breaker.allows(self._core.clock()):
            return self._core.backlog
        return self._run(flows.flush(self._core, self._core.limits.backlog_calls))

    def close(self) -> None:
        """Send what waits, if the node is there, and let go of the connections."""
        if not self._http.is_closed:
            self.flush()
            self._http.close()

    def _current(self) -> Session:
        for session in reversed(CURRENT.get()):
            if isinstance(session, Session) and session.client is self:
                return session
        raise NoSessionError("guarded functions run inside `with client.session(…)`")

    def _run(self, flow: Flow[T]) -> T:
        """Run a flow: its state is touched by one thread at a time, and nobody waits for another's request."""
        with self._lock:
            step: Callable[[], Call] = functools.partial(next, flow)
            try:
                while True:
                    call = step()
                    self._lock.release()
                    try:
                        step = functools.partial(flow.send, self._send(call))
                    except NodeAwayError as error:
                        step = functools.partial(flow.throw, error)
                    finally:
                        self._lock.acquire()
            except StopIteration as done:
                value: T = done.value
                return value

    def _send(self, call: Call) -> Reply:
        limits = self._core.limits
        deadline = time.monotonic() + limits.answer_s
        body, size = [], 0
        headers = {"Content-Type": "application/json"} if call.body else {}
        try:
            with self._http.stream(
                call.method, call.path, content=call.body or None, headers=headers
            ) as answer:
                for chunk in answer.iter_bytes():
                    size += len(chunk)
                    body.append(chunk)
                    if size > limits.answer_bytes or time.monotonic() > deadline:
                        raise TimeoutError
        except (httpx.HTTPError, TimeoutError) as error:
            raise away(error, limits) from None
        return Reply(status=answer.status_code, body=b"".join(body))

    def _stream(self, reader: Reader) -> Iterator[StreamEvent]:
        limits = self._core.limits
        reader.again()
        headers = {"Accept": "text/event-stream"}
        if reader.last is not None:
            headers["Last-Event-ID"] = str(reader.last)
        timeout = httpx.Timeout(limits.stream_silence_s, connect=limits.connect_s)
        with self._http.stream("GET", "/api/v1/stream", headers=headers, timeout=timeout) as answer:
            if answer.status_code != 200:
                Reply(status=answer.status_code, body=answer.read()).read(object)
            for line in answer.iter_lines():
                if (event := reader.feed(line)) is not None:
                    yield event


class Session:
    """One declared piece of work of one actor."""

    def __init__(
        self, client: Client, core: Core, run: Callable[[Flow[Any]], Any], state: SessionState
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

    def __enter__(self) -> Self:
        self._entered = CURRENT.set((*CURRENT.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._entered is not None:
            CURRENT.reset(self._entered)
        if self._ended:
            return
        try:
            self.close(outcome_of(error))
        except ClientError:
            if error is None:
                raise

    def act(
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
        return self._run(flows.act(self._core, self._state, action))

    def check(
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
        decision = self.act(tool, arguments, server=server)
        decision = self.waited(decision, tool, arguments, server=server, wait_s=wait_s)
        if not decision.allowed:
            raise refusal(decision)
        return decision

    def waited(
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
            time.sleep(pause)
            decision = self.act(tool, arguments, server=server)
            if not decision.held:
                break
        return decision

    @overload
    def guard(
        self, function: Callable[P, R], *, tool: str | None = ..., wait_s: float = ...
    ) -> Callable[P, R]: ...

    @overload
    def guard(
        self, function: None = None, *, tool: str | None = ..., wait_s: float = ...
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def guard(
        self, function: Callable[P, R] | None = None, *, tool: str | None = None, wait_s: float = 0.0
    ) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
        """Guard a function: it is assessed before each call, and its result or error is told after it.

        `tool` is what the node calls it, left out: the function's name. The guarded function raises `Refused` instead
        of running what is not allowed; what waits for a person is waited for, up to `wait_s` seconds.
        """

        def wrap(function: Callable[P, R]) -> Callable[P, R]:
            @functools.wraps(function)
            def call(*args: P.args, **kwargs: P.kwargs) -> R:
                return self.call(function, args, kwargs, tool=tool, wait_s=wait_s)

            return call

        return wrap if function is None else wrap(function)

    def call(
        self,
        function: Callable[..., R],
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
        decision = self.check(tool or function.__name__, given, wait_s=wait_s)
        try:
            result = function(*args, **kwargs)
        except Refused:
            raise  # of a guarded function inside, which has told of itself
        except Exception as error:
            self.tool_result(decision.action_id, error=said_of(error))
            raise
        self.tool_result(decision.action_id, result)
        return result

    def tool_result(self, action_id: str, result: object = "", *, error: str | None = None) -> None:
        """Tell what a tool returned, or how it failed."""
        self._tell("tool_result", result, action_id=action_id, error=error)

    def prompt(self, text: str, *, role: str = "user") -> None:
        """Tell what the principal asked; role `memory` for content that was read, `system` for the operator."""
        self._tell("prompt", text, role=role)

    def response(self, text: str) -> None:
        """Tell what the agent answered."""
        self._tell("response", text)

    def reasoning(self, text: str) -> None:
        """Tell what the agent thought."""
        self._tell("reasoning", text)

    def observation(self, data: Mapping[str, Any], *, action_id: str | None = None) -> None:
        """Tell what something outside saw of the session."""
        self._tell("observation", data=dict(data), action_id=action_id)

    def declare(
        self, declared: str = "", *, family: str | None = None, tools: Sequence[str] = ()
    ) -> Opened | None:
        """Declare anew what the session is for; None while the node is away, which hears it later."""
        return self._run(flows.declare(self._core, self._state, declared, family, tuple(tools)))

    def scope_request(
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
        return self._run(asked)

    def alternative(self, decision_id: str, *, accepted: bool) -> AlternativeAnswer | None:
        """Accept or refuse the narrower alternative of a decision; None while the node is away."""
        return self._run(flows.answer_alternative(self._core, self._state, decision_id, accepted=accepted))

    def feedback(self, kind: str, *, positive: bool, action_id: str | None = None) -> FeedbackAnswer | None:
        """Say whether it was right; None while the node is away."""
        return self._run(
            flows.feedback(self._core, self._state, kind, positive=positive, action_id=action_id)
        )

    def close(self, outcome: str = "done") -> Closed | None:
        """End the session as `done`, `failed` or `aborted`; None while the node is away, which hears it later."""
        self._ended = True
        return self._run(flows.close(self._core, self._state, outcome))

    def _tell(self, kind: str, text: object = "", **more: object) -> None:
        self._run(flows.tell(self._core, self._state, kind, text, **more))

    def _run(self, flow: Flow[T]) -> T:
        answer: T = self._ask(flow)
        return answer
