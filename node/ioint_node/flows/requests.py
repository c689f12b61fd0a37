"""What callers ask of a session, as typed values, and the bounds that they are checked against."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ioint_node.errors import RequestError, TooLargeError
from ioint_node.scoring.composition import parts_of
from ioint_node.scoring.evidence import FEEDBACK_WEIGHTS
from ioint_node.scoring.trust import KINDS
from ioint_node.scoring.values import Declaration, Event

EVENT_KINDS = frozenset({"prompt", "response", "reasoning", "tool_result", "observation"})
OUTCOMES = frozenset({"done", "failed", "aborted"})
# What these kinds of feedback mean is fixed; the others go either way.
MEANS_POSITIVE = {"approve": True, "satisfied": True, "reject": False, "dissatisfied": False}
SAYS_RIGHT = frozenset({"approve", "override"})
_ID = re.compile(r"[!-~]{1,128}\Z")
_encoder = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """What one caller may cost this node."""

    actions: int = 2_000  # per session
    events: int = 20_000  # per session, actions included
    text_bytes: int = 65_536  # per declaration or event
    argument_bytes: int = 65_536  # of one action as JSON; also of the data of one event
    declarations: int = 50  # per session; scope requests count too
    feedbacks: int = 200  # per session
    own_feedbacks: int = 20  # of the actor about itself, per session; they take no room of others
    open_per_actor: int = 5_000  # sessions
    tools: int = 256  # per declaration or composition
    idle_ms: int = 86_400_000  # without an event, before a session is closed as given up
    clock_s: float = 2_678_400.0  # how far `t` may lie from the start of the session


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """`POST /sessions`. Without a `session_id` the node makes one; `by_actor`: with the actor's own token."""

    actor: str
    declared: Declaration
    session_id: str | None = None
    kind: str = "agent"
    composition: Mapping[str, Any] | None = None
    on_behalf_of: str | None = None
    parent: Mapping[str, str] | None = None
    by_actor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRequest:
    """`POST …/actions`. With `durable` the answer waits until the decision is on disk.

    `told` says that it was told after it was taken: it is judged as every other, and nothing is left to be enforced.
    """

    action_id: str
    tool: str
    server: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    t: float | None = None
    durable: bool = False
    told: bool = False

    @property
    def name(self) -> str:
        """The tool as an actor's habits know it: with its server, where it has one."""
        return self.tool if self.server is None else f"{self.server} {self.tool}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRequest:
    """`POST …/scope-requests`: what the session would like to be allowed, and why."""

    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    sensitivity: str | None = None
    boundary: str | None = None
    reason: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """`POST …/feedback`: what a person or a check says of the session, or of one of its actions."""

    kind: str
    positive: bool
    action_id: str | None = None


def says_right(kind: str, action_id: str | None, *, positive: bool) -> bool:
    """Whether feedback says of one action that it was right."""
    return positive and action_id is not None and kind in SAYS_RIGHT


def declaration_of(text: str) -> Declaration:
    """The declaration in the JSON that a session was opened with, or re-declared with."""
    value = msgspec.json.decode(text)
    return Declaration(text=value["text"], family=value["family"], tools=tuple(value["tools"]))


def check_opening(request: OpenSession, limits: SessionLimits) -> None:
    """Refuse an opening that is malformed or too large; RequestError and TooLargeError name the field."""
    if request.session_id is not None:
        check_id("session_id", request.session_id)
    _check_name("actor.id", request.actor)
    if request.kind not in KINDS:
        raise RequestError(f"actor.kind: {request.kind[:32]!r} is none of {', '.join(sorted(KINDS))}")
    if request.on_behalf_of is not None:
        _check_name("actor.on_behalf_of", request.on_behalf_of)
    for name, value in (request.parent or {}).items():
        check_id(f"parent.{name}", value)
    check_declaration(request.declared, limits)
    composition_of(request, limits)


def check_declaration(declared: Declaration, limits: SessionLimits) -> None:
    """Refuse a declaration that is too large; TooLargeError names the field."""
    _check_text("declared.text", declared.text, limits.text_bytes)
    if len(declared.tools) > limits.tools:
        raise TooLargeError(f"declared.tools: {len(declared.tools)}, more than {limits.tools}")


def composition_of(request: OpenSession, limits: SessionLimits) -> str:
    """SHA-256 (hex) of what the actor is made of, "" when it does not say; the order of tools says nothing."""
    given = request.composition
    if not given or not any(given.values()):
        return ""
    tools = given.get("tools", ())
    if len(tools) > limits.tools:
        raise TooLargeError(f"actor.composition.tools: {len(tools)}, more than {limits.tools}")
    named = {**given, "tools": sorted(tools)}
    return hashlib.sha256(_encoded("actor.composition", named, limits.argument_bytes)).hexdigest()


def composition_parts(request: OpenSession) -> bytes:
    """The parts of a composition, by which a change of it is told; empty when the actor does not say."""
    given = request.composition
    if not given or not any(given.values()):
        return b""
    return parts_of(
        model=given.get("model", ""),
        prompt_sha256=given.get("prompt_sha256", ""),
        tools=given.get("tools", ()),
    )


def check_action(request: ActionRequest, limits: SessionLimits) -> str:
    """Refuse an action that is malformed or too large, and return the hash that names its body (hex)."""
    check_id("action_id", request.action_id)
    _check_name("tool", request.tool)
    if request.server is not None:
        _check_name("server", request.server)
    _check_time(request.t, limits.clock_s)
    arguments = _encoded("arguments", request.arguments, limits.argument_bytes)
    rest = _encoder.encode((request.action_id, request.tool, request.server, request.t))
    return hashlib.sha256(rest + arguments).hexdigest()


def check_event(event: Event, limits: SessionLimits) -> None:
    """Refuse an event that is malformed or too large; RequestError and TooLargeError name the field."""
    if event.kind not in EVENT_KINDS:
        raise RequestError(f"kind: {event.kind[:32]!r} is none of {', '.join(sorted(EVENT_KINDS))}")
    if event.action_id is not None:
        check_id("action_id", event.action_id)
    _check_text("text", event.text, limits.text_bytes)
    _check_text("error", event.error or "", limits.text_bytes)
    _check_time(event.t, limits.clock_s)
    _encoded("data", event.data, limits.argument_bytes)


def check_feedback(feedback: Feedback) -> None:
    """Refuse feedback of an unknown kind, or that contradicts itself; RequestError names the field."""
    if feedback.kind not in FEEDBACK_WEIGHTS:
        raise RequestError(f"kind: {feedback.kind[:32]!r} is none of {', '.join(sorted(FEEDBACK_WEIGHTS))}")
    if MEANS_POSITIVE.get(feedback.kind, feedback.positive) is not feedback.positive:
        raise RequestError(f"positive: {feedback.positive} contradicts the kind {feedback.kind!r}")
    if feedback.action_id is not None:
        check_id("action_id", feedback.action_id)


def check_outcome(outcome: str) -> None:
    """Refuse an outcome that is none; RequestError names the field."""
    if outcome not in OUTCOMES:
        raise RequestError(f"outcome: {outcome[:32]!r} is none of {', '.join(sorted(OUTCOMES))}")


def check_id(name: str, value: str) -> None:
    """Refuse an identifier that is not 1 to 128 printable ASCII characters without space."""
    if not _ID.match(value):
        raise RequestError(f"{name}: must be 1 to 128 printable ASCII characters without space")


def _check_name(name: str, value: str) -> None:
    if not 1 <= len(value) <= 256 or not value.isprintable():
        raise RequestError(f"{name}: must be 1 to 256 printable characters")


def _check_text(name: str, value: str, most: int) -> None:
    # A character has at most four bytes: most texts need no encoding to be seen as small.
    if len(value) * 4 > most and (size := len(value.encode("utf-8", "surrogatepass"))) > most:
        raise TooLargeError(f"{name}: {size} bytes, more than {most}")


def _check_time(t: float | None, most: float) -> None:
    if t is not None and not (math.isfinite(t) and 0.0 <= t <= most):
        raise RequestError(f"t: {t:g}, must be 0 to {most:g} seconds since the start of the session")


def _encoded(name: str, value: Mapping[str, Any], most: int) -> bytes:
    try:
        data = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError):
        raise RequestError(f"{name}: is no JSON object") from None
    if len(data) > most:
        raise TooLargeError(f"{name}: {len(data)} bytes, more than {most}")
    return data
