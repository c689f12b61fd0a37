"""Spans that wait for the end of their trace.

A span arrives when it ends, so children come before their parents, in several requests, some of them twice. A trace is
due a moment after its first span has ended; without that, when nothing more comes for a while, when it is old, when it
is large, or when the buffer is nearly full. Of what was told it is remembered for a while where each span belonged, so
that what comes late finds its place and what comes twice is known.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from ioint_node.telemetry.dialects import Part, Who, who
from ioint_node.telemetry.values import Sender, Span, TelemetryLimits

_PRESSED = 0.75  # of a bound, from which the oldest traces are told
_LOOKS = 8  # at traces without an end, in the time that one may be idle

Key = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Trace:
    """The spans of a trace that were not told yet, and where all of its spans belong; times in Unix milliseconds."""

    sender: Sender
    first: int
    last: int
    ended: bool = False
    spans: dict[str, Span] = field(default_factory=dict)
    known: dict[str, Who] = field(default_factory=dict)
    fresh: int = 0  # spans that came since it was last told, those that say nothing included
    weight: int = 0


class Buffer:
    """The bounded buffer; `counts` says what became of spans: kept, ignored, repeated, early (told without an end)."""

    def __init__(self, limits: TelemetryLimits) -> None:
        self._limits = limits
        self._open: OrderedDict[Key, Trace] = OrderedDict()
        self._ended: OrderedDict[Key, int] = OrderedDict()  # when each is due
        self._full: dict[Key, None] = {}
        self._told: OrderedDict[Key, dict[str, Who]] = OrderedDict()
        self._told_spans = 0
        self._looked = 0
        self.spans = 0
        self.bytes = 0
        self.counts: Counter[str] = Counter()

    @property
    def is_full(self) -> bool:
        """Whether nothing more may come for now."""
        limits = self._limits
        return self.spans >= limits.spans or self.bytes >= limits.bytes or len(self._open) >= limits.traces

    def __len__(self) -> int:
        return len(self._open)

    def add(self, sender: Sender, span: Span, now: int) -> None:
        """Keep a span; one that is known already changes nothing."""
        if not span.id:
            self.counts["ignored"] += 1
            return
        key = (sender.actor or "", span.trace)
        trace = self._open.get(key)
        if trace is None:
            trace = self._open[key] = Trace(sender=sender, first=now, last=now, known=self._again(key))
        if span.id in trace.known:
            self.counts["repeated"] += 1
            return
        belongs = trace.known[span.id] = who(span)
        if span.says:
            trace.spans[span.id] = span
        trace.last = now
        trace.fresh += 1
        trace.weight += span.weight
        self.spans += 1
        self.bytes += span.weight
        root = not span.parent or (span.remote and belongs.part is Part.AGENT)
        if root and not span.log and not trace.ended:
            trace.ended = True
            self._ended[key] = now + round(self._limits.settle_s * 1000)
        if trace.fresh >= self._limits.trace_spans:
            self._full[key] = None

    def due(self, now: int, *, all_of_them: bool = False) -> list[Trace]:
        """Take out the traces that are to be told now, those that ended first before the others."""
        keys: dict[Key, None] = {}
        for key, at in self._ended.items():
            if at > now and not all_of_them:
                break
            keys[key] = None
        keys |= self._full
        self._full = {}
        if all_of_them:
            keys |= dict.fromkeys(self._open)
        elif abs(now - self._looked) >= self._limits.idle_s * 1000 / _LOOKS:
            self._looked = now
            idle, old = self._limits.idle_s * 1000, self._limits.age_s * 1000
            keys |= {
                key: None
                for key, one in self._open.items()
                if now - one.last >= idle or now - one.first >= old
            }
        keys |= self._pressing(keys)
        return [trace for key in keys if (trace := self._take(key)) is not None]

    def _pressing(self, chosen: dict[Key, None]) -> dict[Key, None]:
        limits, spans, held = self._limits, self.spans, self.bytes
        pressed: dict[Key, None] = {}
        for key, trace in self._open.items():
            few = spans < limits.spans * _PRESSED and held < limits.bytes * _PRESSED
            if few and len(self._open) - len(pressed) < limits.traces * _PRESSED:
                break
            spans, held = spans - trace.fresh, held - trace.weight
            if key not in chosen:
                pressed[key] = None
        return pressed

    def _take(self, key: Key) -> Trace | None:
        trace = self._open.pop(key, None)
        self._ended.pop(key, None)
        if trace is None:
            return None
        self.spans -= trace.fresh
        self.bytes -= trace.weight
        self.counts["ignored"] += trace.fresh - len(trace.spans)
        self.counts["kept"] += len(trace.spans)
        self.counts["early"] += 0 if trace.ended else len(trace.spans)
        self._remember(key, trace.known)
        return trace

    def _again(self, key: Key) -> dict[str, Who]:
        known = self._told.pop(key, None)
        if known is None:
            return {}
        self._told_spans -= len(known)
        # One that never ends must not be remembered whole.
        return known if len(known) < self._limits.trace_spans else {}

    def _remember(self, key: Key, known: dict[str, Who]) -> None:
        self._told[key] = known
        self._told_spans += len(known)
        while self._told_spans > self._limits.told_spans and self._told:
            _, gone = self._told.popitem(last=False)
            self._told_spans -= len(gone)
