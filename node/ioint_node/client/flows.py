"""What the client does with a node, written once for threads and for tasks.

Each flow is a generator: it yields a `Call`, is sent the `Reply` or thrown `NodeAwayError`, and returns what it was
asked for. Who runs it sends the bytes (`sync.py`, `aio.py`).

**While the node is away** actions are decided from memory (`remembered.py`), and what happened is kept in its order
with its ids and session times (`t`). Before the next request of a session goes out, what waits of that session is sent.
An action that is sent late is judged then; that the node would have decided otherwise is counted and logged. What may
not be sent twice and may have arrived is not sent again.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from ioint_node.client.bodies import arguments_of, parts_of, text_of
from ioint_node.client.breaker import Breaker
from ioint_node.client.calls import AWAY, Call, Reply, get, post
from ioint_node.client.errors import NodeAwayError, NodeRefusedError
from ioint_node.client.limits import ClientLimits
from ioint_node.client.remembered import Action, Place, Remembered
from ioint_node.client.values import (
    AlternativeAnswer,
    Closed,
    Decision,
    FeedbackAnswer,
    Opened,
    ScopeAnswer,
    Snapshot,
)

ACTIONS_TIMED: Final = 256  # the newest of a session, whose times are remembered
log = logging.getLogger("ioint_node.client")
T = TypeVar("T")
Flow = Generator[Call, Reply, T]


@dataclass(frozen=True, slots=True)
class Late:
    """An action that was decided while the node was away, and how."""

    action: Action
    decided: Decision


# Sent a second time after the node was away, in case it was killed before it had written it down.
AGAIN: Final = Late(Action(action_id="", tool=""), Decision(action_id="", allowed=False))


@dataclass(slots=True, kw_only=True)
class SessionState:
    """What is known of one session; `backlog` is what waits for the node, oldest first."""

    id: str
    actor: str
    opening: Call
    began: float
    opened: Opened | None = None
    declared: str = ""
    backlog: deque[tuple[Call, Late | None]] = field(default_factory=deque)
    sending: bool = False
    times: OrderedDict[str, float] = field(default_factory=OrderedDict)
    answered: deque[tuple[float, Call]] = field(default_factory=deque)

    def note(self, call: Call, now: float, *, unsure_s: float) -> None:
        """A request was answered: a node that is killed within `unsure_s` may have lost it."""
        self.answered.append((now, call))
        while self.answered[0][0] < now - unsure_s or len(self.answered) > ACTIONS_TIMED:
            self.answered.popleft()

    def time_of(self, action_id: str, now: float) -> float:
        """Seconds since the session began, the same for the same action: sent again, its body is the same."""
        t = self.times.setdefault(action_id, round(now - self.began, 3))
        if len(self.times) > ACTIONS_TIMED:
            self.times.popitem(last=False)
        return t

    @property
    def place(self) -> Place:
        """Where its actions happen, for the memory."""
        fail_mode = None if self.opened is None else self.opened.fail_mode
        return Place(actor=self.actor, session=self.id, family=self.declared, fail_mode=fail_mode)


class Core:
    """What the sessions of one client share.

    Attributes:
        counts: what happened: `asked`, `away`, `allowed_away`, `refused_away`, `sent_late`, `sent_again`,
            `refused_late` (of what was allowed while away), `dropped` (the backlog was full), `unwanted` (not taken
            when sent late), `uncertain` (may or may not have arrived, and not sent again).
    """

    def __init__(self, limits: ClientLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.clock = clock
        self.breaker = Breaker(limits)
        self.memory = Remembered(limits)
        self.counts = Counter[str]()
        self.waiting: dict[str, SessionState] = {}
        self._calls = 0
        self._bytes = 0

    @property
    def backlog(self) -> int:
        """How many requests wait for the node."""
        return self._calls

    def keep(self, state: SessionState, call: Call, late: Late | None = None) -> None:
        """Let a request wait for the node, while there is room; what it may have lost goes before the first one."""
        if not state.backlog:
            while state.answered:
                self._put(state, state.answered.popleft()[1], AGAIN)
        self._put(state, call, late)

    def _put(self, state: SessionState, call: Call, late: Late | None) -> None:
        limits = self.limits
        if self._calls >= limits.backlog_calls or self._bytes + len(call.body) > limits.backlog_bytes:
            if not self.counts["dropped"]:
                log.warning("the backlog is full (%d requests): what comes now is not told", self._calls)
            self.counts["dropped"] += 1
            return
        state.backlog.append((call, late))
        self.waiting[state.id] = state
        self._calls += 1
        self._bytes += len(call.body)

    def sent(self, state: SessionState) -> None:
        """The oldest request of a session waits no longer."""
        call, _ = state.backlog.popleft()
        self._calls -= 1
        self._bytes -= len(call.body)
        if not state.backlog:
            self.waiting.pop(state.id, None)


def ask(core: Core, call: Call) -> Flow[Reply]:
    """Send one request; what broke is tried again where that is harmless.

    Raises:
        NodeAwayError: no answer.
    """
    core.counts["asked"] += 1
    left = core.limits.retries if call.twice else 0
    while True:
        try:
            reply = yield call
            if reply.status in AWAY:
                reply.read(object)  # a node that cannot answer now is away
        except NodeAwayError as away:
            if left <= 0 or not away.broken:
                _note_away(core, away)
                raise
            left -= 1
        else:
            _note_back(core)
            return reply


def _note_away(core: Core, away: NodeAwayError) -> None:
    before = core.breaker.open
    core.breaker.failed(core.clock())
    if core.breaker.open and not before:
        log.warning("the node is away, and actions are decided without it: %s", away)


def _note_back(core: Core) -> None:
    if core.breaker.open:
        log.warning("the node is back; %d requests wait for it", core.backlog)
    core.breaker.succeeded()


def open_session(
    core: Core,
    *,
    actor: str,
    kind: str,
    text: str,
    family: str | None,
    tools: tuple[str, ...],
    session_id: str | None,
    composition: Mapping[str, Any] | None,
    on_behalf_of: str | None,
    parent: tuple[str, str] | None,
) -> Flow[SessionState]:
    """Declare a session; while the node is away it is told later.

    Raises:
        NodeRefusedError: the node does not take it.
    """
    known = session_id or secrets.token_hex(16)
    who = {"id": actor, "kind": kind, "composition": composition, "on_behalf_of": on_behalf_of}
    body = {
        "session_id": known,
        "actor": {name: value for name, value in who.items() if value is not None},
        "declared": _declared(text, family, tools),
        "parent": None if parent is None else {"session_id": parent[0], "action_id": parent[1]},
    }
    state = SessionState(
        id=known,
        actor=actor,
        opening=post("sessions", body=body),
        began=core.clock(),
        declared=family or text,
    )
    if core.breaker.allows(core.clock()):
        try:
            reply = yield from ask(core, state.opening)
            state.opened = reply.read(Opened)
            state.note(state.opening, core.clock(), unsure_s=core.limits.unsure_s)
        except NodeAwayError as away:
            log.warning("session %s begins without the node: %s", known, away)
        else:
            return state
    core.keep(state, state.opening)
    return state


def act(core: Core, state: SessionState, action: Action) -> Flow[Decision]:
    """Decide on one action: by the node, or while it is away by what is remembered.

    Raises:
        NodeRefusedError: the node does not take the action; it must not be run.
    """
    arguments = arguments_of(action.arguments, core.limits.argument_bytes)
    action = replace(action, arguments=arguments, t=state.time_of(action.action_id, core.clock()))
    body = {
        "action_id": action.action_id,
        "tool": action.tool,
        "server": action.server,
        "arguments": arguments,
        "t": action.t,
    }
    call = post("sessions", state.id, "actions", body=body)
    try:
        reply = yield from _within(core, state, call)
        decision = reply.decision()
    except NodeAwayError:
        return _decide_away(core, state, action, call)
    core.memory.learn(state.place, action, decision, core.clock())
    return decision


def tell(core: Core, state: SessionState, kind: str, text: object = "", **more: object) -> Flow[None]:
    """Tell what else happened; a long text is told in parts.

    Raises:
        NodeRefusedError: the node does not take it.
    """
    said = {name: value for name, value in more.items() if value is not None}
    if isinstance(error := said.get("error"), str):
        said["error"] = text_of(error[: core.limits.error_chars])
    for part in parts_of(text_of(text), core.limits.text_parts):
        body = {"kind": kind, "text": part, "t": _t(core, state), **said}
        call = post("sessions", state.id, "events", body=body, twice=False)
        yield from _tell(core, state, call, object)


def declare(
    core: Core, state: SessionState, text: str, family: str | None, tools: tuple[str, ...]
) -> Flow[Opened | None]:
    """Declare anew what the session is for; None while the node is away, which is told later.

    Raises:
        NodeRefusedError: the node does not take it: a person has to widen the session, say.
    """
    call = post("sessions", state.id, "declare", body=_declared(text, family, tools), twice=False)
    answer = yield from _tell(core, state, call, Opened)
    if answer is not None:
        state.opened = answer
        state.declared = family or text
    return answer


def scope_request(
    core: Core,
    state: SessionState,
    *,
    verbs: tuple[str, ...],
    resources: tuple[str, ...],
    sensitivity: str | None,
    boundary: str | None,
    reason: str,
) -> Flow[ScopeAnswer]:
    """Ask for more than the envelope holds.

    Raises:
        NodeRefusedError: the node does not take it.
        NodeAwayError: nobody can answer it now.
    """
    asked = {
        "verbs": verbs,
        "resources": resources,
        "sensitivity": sensitivity,
        "boundary": boundary,
        "reason": reason,
    }
    call = post("sessions", state.id, "scope-requests", body=asked, twice=False)
    answer = (yield from _within(core, state, call)).read(ScopeAnswer)
    state.opened = answer
    return answer


def answer_alternative(
    core: Core, state: SessionState, decision_id: str, *, accepted: bool
) -> Flow[AlternativeAnswer | None]:
    """Accept or refuse the narrower alternative of a decision; None while the node is away, which is told later.

    Raises:
        NodeRefusedError: the node does not take it.
    """
    call = post("sessions", state.id, "alternatives", decision_id, body={"accepted": accepted})
    return (yield from _tell(core, state, call, AlternativeAnswer))


def feedback(
    core: Core, state: SessionState, kind: str, *, positive: bool, action_id: str | None
) -> Flow[FeedbackAnswer | None]:
    """Say whether it was right; None while the node is away, which is told later.

    Raises:
        NodeRefusedError: the node does not take it.
    """
    body = {"kind": kind, "positive": positive, "action_id": action_id}
    return (yield from _tell(core, state, post("sessions", state.id, "feedback", body=body), FeedbackAnswer))


def close(core: Core, state: SessionState, outcome: str) -> Flow[Closed | None]:
    """End a session; None while the node is away, which is told later.

    Raises:
        NodeRefusedError: the node does not take it.
    """
    call = post("sessions", state.id, "close", body={"outcome": outcome})
    return (yield from _tell(core, state, call, Closed))


def rule(core: Core, approval_id: str, *, approve: bool) -> Flow[None]:
    """Approve or refuse what waits for a person.

    Raises:
        NodeRefusedError: the token may not, or it waits no longer.
        NodeAwayError: no answer.
    """
    (yield from ask(core, post("approvals", approval_id, body={"approve": approve}))).read(object)


def snapshot(core: Core, cursor: str | None, limit: int | None) -> Flow[Snapshot]:
    """One page of everything that is known.

    Raises:
        NodeRefusedError: the token does not open it.
        NodeAwayError: no answer.
    """
    return (yield from ask(core, get("snapshot", cursor=cursor, limit=limit))).read(Snapshot)


def flush(core: Core, most: int) -> Flow[int]:
    """Send up to so many requests that wait, of any session; how many still do."""
    try:
        for state in tuple(core.waiting.values()):
            if most > 0:
                most -= yield from catch_up(core, state, most)
    except NodeAwayError as away:
        log.info("%d requests wait for the node: %s", core.backlog, away)
    return core.backlog


def catch_up(core: Core, state: SessionState, most: int | None = None) -> Flow[int]:
    """Send what waits of a session, the oldest first; how many went. Whoever comes meanwhile leaves it to the first.

    Raises:
        NodeAwayError: the node went away again; the rest waits on.
    """
    if state.sending:
        return 0
    state.sending = True
    try:
        return (yield from _send_waiting(core, state, most))
    finally:
        state.sending = False


def _send_waiting(core: Core, state: SessionState, most: int | None) -> Flow[int]:
    count = 0
    while state.backlog and (most is None or count < most):
        call, late = state.backlog[0]
        try:
            reply = yield from _asked_anew(core, state, call)
            _check_pace(reply)
        except NodeAwayError as away:
            if call.twice or away.sure:
                raise
            core.counts["uncertain"] += 1
            core.sent(state)
            raise
        core.sent(state)
        count += 1
        if late is AGAIN:
            core.counts["sent_again"] += 1
        else:
            core.counts["sent_late"] += 1
            _settle(core, state, call, late, reply)
    return count


def _within(core: Core, state: SessionState, call: Call) -> Flow[Reply]:
    """Send a request of a session, after what waits of it."""
    if not core.breaker.allows(core.clock()):
        raise NodeAwayError("the node is away, and is asked again soon", sure=True)
    yield from catch_up(core, state)
    reply = yield from _asked_anew(core, state, call)
    if call.twice:
        state.note(call, core.clock(), unsure_s=core.limits.unsure_s)
    if core.waiting:
        yield from flush(core, core.limits.flush_calls)
    return reply


def _asked_anew(core: Core, state: SessionState, call: Call) -> Flow[Reply]:
    """Send a request; a node that lost the session, since it was killed as it opened, is told of it again."""
    reply = yield from ask(core, call)
    if not reply.unknown or call is state.opening:
        return reply
    again = yield from ask(core, state.opening)
    if again.status >= 300:
        return reply
    state.opened = again.read(Opened)
    return (yield from ask(core, call))


def _tell(core: Core, state: SessionState, call: Call, kind: type[T]) -> Flow[T | None]:
    try:
        reply = yield from _within(core, state, call)
        _check_pace(reply)
        return reply.read(kind)
    except NodeAwayError as away:
        if call.twice or away.sure:
            core.keep(state, call)
        else:
            core.counts["uncertain"] += 1
    return None


def _check_pace(reply: Reply) -> None:
    """What happened already waits, where the node says that this token asks too often."""
    if reply.too_fast:
        raise NodeAwayError("the node says that this token asks too often", sure=True)


def _decide_away(core: Core, state: SessionState, action: Action, call: Call) -> Decision:
    now = core.clock()
    away_s = 0.0 if core.breaker.since is None else now - core.breaker.since
    decided = core.memory.decide(state.place, action, now, away_s)
    core.keep(state, call, Late(action, decided))
    core.counts["away"] += 1
    core.counts["allowed_away" if decided.allowed else "refused_away"] += 1
    log.info(
        "action %s was %s without the node, by %s",
        action.action_id,
        "allowed" if decided.allowed else "refused",
        decided.source,
    )
    return decided


def _settle(core: Core, state: SessionState, call: Call, late: Late | None, reply: Reply) -> None:
    """Take in what the node says of something that it heard late."""
    try:
        if call is state.opening:
            state.opened = reply.read(Opened)
        elif late is not None:
            judged = reply.decision()
            core.memory.learn(state.place, late.action, judged, core.clock())
            if late.decided.allowed and not judged.allowed:
                core.counts["refused_late"] += 1
                log.warning(
                    "action %s went on while the node was away, and it would have refused it: %s",
                    judged.action_id,
                    judged.why,
                )
        else:
            reply.read(object)
    except (NodeRefusedError, NodeAwayError) as refused:
        core.counts["unwanted"] += 1
        log.warning("what waited of session %s is not taken: %s", state.id, refused)


def _declared(text: str, family: str | None, tools: tuple[str, ...]) -> dict[str, Any]:
    return {"text": text_of(text), "tools": tools, **({"family": family} if family else {})}


def _t(core: Core, state: SessionState) -> float:
    return round(core.clock() - state.began, 3)
