"""One session as scoring sees it: events in, a judgement for every action out, nothing but the past used."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from ioint_protocol.pattern import Matcher
from ioint_taxonomy import CatalogueEntry, Envelope, MappedCall, Step, Taxonomy, load_catalogue, map_call
from msgspec import Struct

from ioint_node.scoring.families import UNSPECIFIED, envelope_of, likely
from ioint_node.scoring.features import CALL_NAMES, ORDERED, Vector, vector
from ioint_node.scoring.intents import intents_of
from ioint_node.scoring.model import Model
from ioint_node.scoring.need import Setting
from ioint_node.scoring.pathshape import Path
from ioint_node.scoring.provenance import CALLS_REMEMBERED, Ledger, Origin, request_named
from ioint_node.scoring.semantics import Topic, purpose_of
from ioint_node.scoring.signals import Value
from ioint_node.scoring.text import TEXT_CHARS, words
from ioint_node.scoring.values import Declaration, Event, Judgement, Surroundings, Verdict
from ioint_node.scoring.words import IMPERATIVE

# Under these names an argument says where on a page, not what.
POINTING: Final = frozenset(
    ["element", "id", "selector", "node", "ref", "index", "uid", "button", "xpath", "coordinate", "x", "y"]
)
LABEL_ARGUMENTS = 4
LABEL_CHARS = 40
LABEL_WORDS = 3
ELEMENTS_REMEMBERED = 512
STEPS_PER_SESSION = 4_096
CALLS_WAITING = 64
FLOW_PER_STEP = 8
TAINT_FLOOR = 0.3
ERROR_CHARS = 600
# How an error opens: "Error: …", "ModuleNotFoundError: …", "HTTP 404 …", "E-4402 …", "pip: command not found".
FAILED: Final = re.compile(
    r"\s*(?:\w*(?:error|exception|traceback|failed|failure|denied|invalid)\b|http[ /\d.]*[45]\d\d\b|E-?\d{2,}\b"
    r"|[\w./ -]{1,40}: (?:command )?not found|no such )",
    re.IGNORECASE,
)

# From the most to the least trusted origin.
TRUST_ORDER: Final = (
    "principal",
    "tenant_content",
    "agent_message",
    "tool_output",
    "memory",
    "third_party_content",
    "public_web",
    "unknown",
)
_RANK: Final = {name: rank for rank, name in enumerate(TRUST_ORDER)}
_EFFECT_RISK: Final = {
    "observe": 0.15,
    "derive": 0.05,
    "mutate": 0.45,
    "run": 0.55,
    "transfer": 0.55,
    "authority": 0.75,
    "value": 0.75,
}
# Who may have written what is read from a resource, where that is wider than the taxonomy's default.
_WRITTEN: Final = {
    "file": "third_party_content",
    "media": "third_party_content",
    "knowledge_base": "third_party_content",
}
_SEVERITY: Final = {Verdict.IN_SCOPE: 0, Verdict.BORDERLINE: 1, Verdict.OUT_OF_SCOPE: 2}

_READING: Final = CALL_NAMES.index("order_reading")
_ACTS: Final = CALL_NAMES.index("acts")

Mapper = Callable[..., MappedCall]


class Measured(Struct, frozen=True, kw_only=True):
    """One action before it is judged: its step, its features and where it leaves the envelope."""

    step: Step
    features: tuple[float, ...]
    departures: tuple[str, ...]


class _Waiting(Struct, frozen=True):
    action_id: str | None
    tool: str
    origin: Origin


class SessionTracker:
    """The running understanding of one session, in bounded memory; judgement i depends on events up to i only."""

    def __init__(
        self,
        declaration: Declaration,
        *,
        model: Model,
        matcher: Matcher,
        taxonomy: Taxonomy,
        curated: bool = True,
        catalogue: Mapping[str, CatalogueEntry] | None = None,
        mapper: Mapper = map_call,
        accepted: Sequence[Envelope] = (),
    ) -> None:
        """Start a session; `accepted` are envelope changes that a person accepted: steps inside one are asked for."""
        self._accepted = tuple(accepted)
        self._model = model
        self._taxonomy = taxonomy
        self._curated = curated
        self._catalogue = load_catalogue().entries if catalogue is None else catalogue
        self._map = mapper
        self._ledger = Ledger()
        self._path = Path(taxonomy)
        self._topic = Topic()
        self._steps: list[Step] = []
        self._outside: list[bool] = []
        self._waiting: deque[_Waiting] = deque(maxlen=CALLS_WAITING)
        self._matcher = matcher
        self._shown = ""
        self.session_risk = 0.0
        self.verdict = Verdict.IN_SCOPE
        self.redeclare(declaration)

    @property
    def family(self) -> str:
        """The likeliest family of the declaration."""
        return self.families[0][0]

    @property
    def family_confidence(self) -> float:
        """How likely that family is, 0..1."""
        return self.families[0][1]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The path so far."""
        return tuple(self._steps)

    @property
    def outside(self) -> tuple[bool, ...]:
        """Of each step that was judged, whether it left the envelope."""
        return tuple(self._outside)

    def redeclare(self, declaration: Declaration) -> None:
        """Take a new declaration: what it asks counts from now on, what was judged stays judged."""
        self._declaration = declaration
        if declaration.text:
            self._ledger.hear_principal(declaration.text)
        if declaration.family in self._taxonomy.families:
            self.families: tuple[tuple[str, float], ...] = ((str(declaration.family), 1.0),)
        elif declaration.text:
            self.families = self._model.families.infer(declaration.text)
        else:
            self.families = ((UNSPECIFIED, 1.0),)
        self._slugs = likely(self.families)
        purpose = purpose_of(self.families, declaration.text, self._model.families, self._taxonomy)
        self._setting = Setting(purpose=purpose, path=self._path, topic=self._topic, taxonomy=self._taxonomy)
        self._state = self._matcher.start(self._slugs)
        for step, outside in self._judged():
            self._state, _ = self._matcher.advance(self._state, step, outside)
        self._widen()

    @property
    def completed(self) -> Iterable[str]:
        """The patterns that the path so far contains, told or not."""
        return self._state.completed.keys()

    def has_entry(self, pattern: str) -> bool:
        """Whether the catalogue has a pattern."""
        return pattern in self._catalogue

    def use_matcher(self, matcher: Matcher) -> None:
        """Match against another set of patterns; what the path so far completed of them is not reported."""
        self._state = matcher.resume(self._state, self._matcher, self._judged())
        self._matcher = matcher

    def _judged(self) -> Iterator[tuple[Step, bool]]:
        """The path so far, each step with whether it was outside; one that is only measured is not in it yet."""
        return zip(self._steps, self._outside, strict=False)

    def _widen(self) -> None:
        self.envelope: Envelope = envelope_of(self._slugs, request_named(self._ledger), self._taxonomy)

    def observe(self, event: Event) -> Judgement | None:
        """Take in one event; a judgement for a tool call, None for everything else."""
        measured = self.measure(event)
        return None if measured is None else self.judge(measured, event.around)

    def measure(self, event: Event) -> Measured | None:
        """Take in one event and measure it if it is an action, without judging it."""
        if event.kind == "tool_call":
            return self._act(event)
        if event.kind == "prompt":
            self._hear(event)
        elif event.kind == "response":
            self._ledger.hear_agent(event.text)
            self._topic.hear(event.text, self._setting.purpose, self._model.families)
        elif event.kind == "reasoning":
            self._topic.hear(event.text, self._setting.purpose, self._model.families)
        elif event.kind in {"tool_result", "observation"}:
            self._read(event)
        return None

    def _hear(self, event: Event) -> None:
        if event.role == "memory":
            self._ledger.read(event.text, Origin(provenance="memory"))
        elif event.role == "system":
            self._ledger.hear_operator(event.text)
        else:
            self._ledger.hear_principal(event.text)
            self._widen()

    def _read(self, event: Event) -> None:
        call = self._answered(event)
        origin = Origin(provenance="tool_output") if call is None else call.origin
        text = event.text or event.error or ""
        self._shown = text[:TEXT_CHARS]
        failed = bool(event.error) or bool(FAILED.match(text))
        self._ledger.read(text, origin, failed=failed and len(text) <= ERROR_CHARS)

    def _answered(self, event: Event) -> _Waiting | None:
        """The call that a result belongs to: by its id, else the oldest of that tool, else the oldest."""
        if not self._waiting:
            return None
        chosen = next(
            (call for call in self._waiting if event.action_id and call.action_id == event.action_id), None
        ) or next((call for call in self._waiting if call.tool == event.tool), self._waiting[0])
        self._waiting.remove(chosen)
        return chosen

    def _act(self, event: Event) -> Measured:
        tool = event.tool
        mapped = self._map(tool, server=event.server, arguments=event.arguments, curated=self._curated)
        arguments = event.arguments
        if mapped.verb == "interact":
            arguments = {key: value for key, value in arguments.items() if POINTING.isdisjoint(words(key))}
        if mapped.verb == "interact" and (label := label_of(event.arguments, self._shown)):
            # What a click does, the words say on which it falls.
            said = self._map(label, server=None, arguments={}, curated=False)
            if said.verb != "interact" and self._taxonomy.verbs.get(said.verb) not in {"observe", "derive"}:
                tool, mapped = label, said
        bare = Step(
            verb=mapped.verb,
            resource=mapped.resource,
            sensitivity=mapped.sensitivity,
            boundary=mapped.boundary,
            confidence=mapped.confidence,
        )
        found = vector(
            tool,
            arguments,
            bare,
            effect=self._taxonomy.verbs.get(bare.verb, "run"),
            departures=self.envelope.departures(bare, self._taxonomy),
            ledger=self._ledger,
            setting=self._setting,
            accepted=any(not one.departures(bare, self._taxonomy) for one in self._accepted),
        )
        step = Step(
            verb=bare.verb,
            resource=bare.resource,
            sensitivity=bare.sensitivity,
            boundary=bare.boundary,
            provenance=self._origin(found.values, found.source),
            flow=self._flow(found.values),
            confidence=bare.confidence,
        )
        self._remember(event, step, found, opaque=mapped.source == "unmapped")
        return Measured(step=step, features=found.features, departures=found.departures)

    def _remember(self, event: Event, step: Step, found: Vector, *, opaque: bool) -> None:
        self._ledger.act()
        if len(self._ledger.called) < CALLS_REMEMBERED:
            self._ledger.called.add(event.tool.lower())
        if len(self._steps) >= STEPS_PER_SESSION:
            return
        known = self._taxonomy.resource_classes.get(step.resource)
        led = found.features[_READING]
        origin = Origin(
            provenance="tool_output"
            if opaque or known is None
            else _WRITTEN.get(step.resource, known.provenance),
            step=len(self._steps),
            named=any(
                value.kind == "target"
                and (self._ledger.names_place(value.parts) or self._ledger.names_site(value.parts))
                for value in found.values
            ),
            taint=led if led >= TAINT_FLOOR else 0.0,
            echo=found.features[_ACTS] > 0,
        )
        self._waiting.append(_Waiting(event.action_id, event.tool, origin))
        self._steps.append(step)

    def _origin(self, values: Sequence[Value], source: int | None) -> str:
        """The least trusted origin of what this action carries, or of the order that it obeys.

        A value from a field of a record is as good as the record: the tenant's own, though others wrote beside it.
        """
        origins = []
        for value in values:
            if value.foreign and value.sources and (value.kind != "text" or value.hearsay):
                provenance = self._ledger.sources[value.sources[0]].origin.provenance
                recorded = provenance == "third_party_content" and not value.hearsay
                origins.append("tenant_content" if recorded else provenance)
        if source is not None:
            origins.append(self._ledger.sources[source].origin.provenance)
        return max(origins, key=lambda name: _RANK.get(name, len(_RANK)), default="principal")

    def _flow(self, values: Sequence[Value]) -> tuple[int, ...]:
        """The earlier actions whose results supply what this one carries: of a text all, of a value the first."""
        supplied = [
            index
            for value in values
            if value.foreign
            for index in (value.sources if value.kind == "text" else value.sources[:1])
        ]
        found = {step for index in supplied if (step := self._ledger.sources[index].origin.step) is not None}
        return tuple(sorted(found)[-FLOW_PER_STEP:])

    def judge(self, measured: Measured, around: Surroundings) -> Judgement:
        """Judge a measured action together with what bears on it from outside this session."""
        step = measured.step
        features = (*measured.features, *around.values())
        drift = self._model.drift(features)
        verdict = self._model.verdict(drift)
        self.session_risk = max(self.session_risk, drift)
        if _SEVERITY[verdict] > _SEVERITY[self.verdict]:
            self.verdict = verdict
        # What is doubtful on its own counts as outside: a warning from others must be able to tip it.
        outside = bool(measured.departures) or verdict is not Verdict.IN_SCOPE
        self._state, completed = self._matcher.advance(self._state, step, outside)
        if len(self._outside) < STEPS_PER_SESSION:
            self._outside.append(outside)
        named = [slug for one in completed if one in self._catalogue for slug in self._catalogue[one].intents]
        intents = intents_of(
            step,
            self._steps,
            drift=drift,
            departures=measured.departures,
            named_by_patterns=named,
            taxonomy=self._taxonomy,
        )
        return Judgement(
            step=step,
            drift=drift,
            verdict=verdict,
            session_risk=self.session_risk,
            clarity=self._clarity(),
            fit=(1.0 - drift) * 0.85 ** len(measured.departures),
            risk_magnitude=self._magnitude(step, intents),
            departures=measured.departures,
            reasons=self._model.reasons(features),
            intents=intents,
            completed=completed,
            injection=max(measured.features[index] for index in ORDERED),
        )

    def _clarity(self) -> float:
        """How clear the declared objective is: a named family is clear, a text as far as one family stands out."""
        if self.family == UNSPECIFIED:
            return 0.3
        return 0.5 + 0.5 * self.family_confidence

    def _magnitude(self, step: Step, intents: Sequence[tuple[str, float]]) -> float:
        """The larger of what the step can do (effect, sensitivity, reach) and what its likely intents would cost."""
        effect = _EFFECT_RISK[self._taxonomy.verbs.get(step.verb, "run")]
        sensitivity = self._taxonomy.sensitivity_rank(step.sensitivity) / 3
        reach = self._taxonomy.boundary_rank(step.boundary) / 5
        own = effect * (0.6 + 0.2 * sensitivity + 0.2 * reach)
        return max([own, *(p * self._taxonomy.intents[slug].risk / 100 for slug, p in intents)])


def label_of(arguments: Mapping[str, Any], shown: str) -> str:
    """The words on the element of a shown page that a click names by its number or selector, as a name of a tool."""
    for value in islice(arguments.values(), LABEL_ARGUMENTS):
        if not isinstance(value, int | str) or isinstance(value, bool):
            continue
        name = str(value).lstrip("#")
        if not 0 < len(name) <= LABEL_CHARS or not name.replace("-", "").replace("_", "").isalnum():
            continue
        at = _element(name).search(shown) if shown else None
        spoken = words(at[1] or at[2] or "")[:LABEL_WORDS] if at else []
        if not at and not name.isdigit():
            spoken = words(name)[:LABEL_WORDS]
        if spoken and not IMPERATIVE.isdisjoint(spoken[:1]):
            return "_".join(spoken)
    return ""


@lru_cache(maxsize=ELEMENTS_REMEMBERED)
def _element(name: str) -> re.Pattern[str]:
    """How an element of this number or name stands in a page or in an outline of it, with its words."""
    one = re.escape(name)
    return re.compile(
        rf"\bid=[\"']?{one}[\"']?(?:\s[^<>]{{0,80}})?>([^<>]{{1,60}})<|\[{one}\]\s*(?:[a-z]+\s+)?[\"']?([^\"'\n]{{1,60}})"
    )


def alternative(step: Step, envelope: Envelope, taxonomy: Taxonomy) -> dict[str, str] | None:
    """A narrower step that stays inside the envelope and keeps the resource, or None where there is none.

    The verb falls back to the strongest of the same effect class that the envelope allows, else to one that only
    derives or observes; reach and sensitivity are cut to what the envelope allows.
    """
    if step.resource not in envelope.resources:
        return None
    ladder = (taxonomy.verbs.get(step.verb, "run"), "derive", "observe")
    verbs = [
        verb
        for effect in ladder
        for verb in sorted(taxonomy.effect_classes.get(effect, ()))
        if verb in envelope.verbs
    ]
    verb = step.verb if step.verb in envelope.verbs else next(iter(verbs), None)
    if verb is None:
        return None
    offered = {
        "verb": verb,
        "resource": step.resource,
        "sensitivity": min(step.sensitivity, envelope.max_sensitivity, key=taxonomy.sensitivity_rank),
        "boundary": min(step.boundary, envelope.max_boundary, key=taxonomy.boundary_rank),
    }
    kept = {name: getattr(step, name) for name in offered}
    if offered == kept:
        observing = [verb for verb in ("read", "list", "search") if verb in envelope.verbs]
        if not observing or taxonomy.verbs.get(step.verb) == "observe":
            return None
        offered["verb"] = observing[0]
    return offered
