"""The values of telemetry: a span as it came, and what happened as a session knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

SERVER_KIND = 2  # of a span: the receiving side of a call
TEXT_CHARS = (
    16_384  # of one message, result or error: four bytes a character at most are what a session takes
)
ARGUMENT_CHARS = 16_384  # of the arguments of one call, as JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryLimits:
    """What exporters may cost this node."""

    body_bytes: int = 16_777_216  # of one request, after decompression
    body_s: float = 30.0
    reading_bytes: int = 67_108_864  # of all requests that are being read, after decompression
    records: int = 50_000  # of one request
    json_objects: int = 500_000  # of one request: a few bytes of JSON become an object of a hundred
    attributes: int = 4_096  # of one span, those that are read
    value_depth: int = 16
    spans: int = 200_000  # that wait for the end of their trace
    bytes: int = 134_217_728  # of those, as they are held
    trace_spans: int = 20_000  # of one trace, before it is told without its end
    traces: int = 20_000
    told_spans: int = 200_000  # remembered, so that what comes twice or late is known
    settle_s: float = 1.0  # from the end of a trace's first span until it is told: others may still come
    idle_s: float = 30.0  # without another span, until a trace is told without its end
    age_s: float = 300.0  # from the first span that came
    sessions: int = 20_000  # of which it is remembered what was told
    history: int = 4_096  # messages remembered of a session
    histories: int = 500_000  # messages remembered of all sessions
    close_s: float = 1_800.0  # after the last run of a conversation, until its session is closed
    stop_s: float = 3.0  # for what waits to be told when the node stops
    retry_s: float = 1.0  # after which senders may come again, and a store that was busy is tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sent telemetry: `actor` where the token is that of one agent, None where it speaks for a whole service."""

    id: str
    actor: str | None = None


class Origin(Struct, frozen=True, kw_only=True, gc=False):
    """Of whom a resource speaks; `exact`: of this actor alone, whatever its spans call their agents."""

    actor: str
    exact: bool = False


class Span(Struct, frozen=True, kw_only=True, gc=False):
    """A span, or a log record as a span of no length; ids are lower-case hex, times Unix nanoseconds.

    `attributes` are those that some dialect reads, `events` likewise. `origin` is whom the resource names.
    A span that says nothing of agents has no attributes: it only links its children to its parent.
    """

    trace: str
    id: str
    parent: str = ""
    name: str = ""
    kind: int = 0
    start: int = 0
    end: int = 0
    remote: bool = False  # the parent belongs to another process
    error: str | None = None
    attributes: dict[str, Any] = {}
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    origin: Origin
    log: bool = False
    weight: int = 0  # bytes that it holds, about

    @property
    def says(self) -> bool:
        """Whether it tells anything of an agent."""
        return bool(self.attributes) or bool(self.events)


class Happening(Struct, frozen=True, kw_only=True):
    """One thing that happened in a session, `at` ns: a prompt, response, reasoning, tool_call or tool_result.

    A `call` is what a model asked for, which is no action yet. `key` names it among all that was told of the session,
    and `also` what else it makes known: nothing is told twice. `given` are arguments that are no object.
    """

    kind: str
    at: int
    key: tuple[str, ...] = ()
    also: tuple[tuple[str, ...], ...] = ()
    role: str = ""
    text: str = ""
    tool: str = ""
    server: str | None = None
    arguments: Mapping[str, Any] | None = None
    given: str = ""
    action_id: str = ""
    call_id: str = ""
    error: str | None = None
    tokens: int = 0
    decided: bool = False  # the action was decided by this node before it was taken


class Run(Struct, frozen=True, kw_only=True):
    """What one agent did in one trace, in order.

    `key` and `actor` name its session, unless the sender named one itself: `session`. `lasting` sessions go on after
    the trace. `parent` is the run, by its actor, key and named session, whose action `parent_action` delegated it.
    `ended` is the outcome where the trace says that it is over.
    """

    actor: str
    key: str
    session: str = ""
    lasting: bool = False
    parent: tuple[str, str, str] | None = None
    parent_action: str = ""
    declared_text: str = ""
    declared_family: str = ""
    model: str = ""
    happenings: tuple[Happening, ...] = ()
    ended: str | None = None
