"""The signals of drift in one action: what it carries, who wrote that, and whether the request asked for it.

Every signal is in 0..1 and looks at the action, the request and what was read before; never at how long a session is,
how many events it had, or which model, tool list or data set it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ioint_taxonomy import Step

from ioint_node.scoring.provenance import PROSE, RECORD, SPAN, Ledger, Named, Span, is_target, name_words
from ioint_node.scoring.text import Leaf, stem, tokens, words
from ioint_node.scoring.words import GENERIC_NAME, OBSERVING, RESOURCE_OF, STOP, TARGET_KEYS, VERB_OF

TEXT_WORDS = 6
OBEYS_FLOOR = 0.3


@dataclass(frozen=True, slots=True)
class Value:
    """One argument value and how far each part of the session accounts for it, 0..1.

    `ordered` is the strength of the best order-like span that holds it; `alone` says it stands nowhere else.
    """

    kind: str
    weight: float
    parts: tuple[str, ...]
    request: float
    operator: float
    ordered: float
    alone: bool
    record: bool
    prose: bool
    sources: tuple[int, ...]

    @property
    def foreign(self) -> bool:
        """Whether neither the request nor the operator accounts for it."""
        return self.request < 0.5 and self.operator < 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """How far a text names the tool, the verb and the resource of a call, 0..1 each."""

    name: float
    verb: float
    resource: float

    @property
    def score(self) -> float:
        """One number: the name says most, then verb and resource together."""
        return min(1.0, max(self.name, 0.5 * self.verb + 0.5 * self.resource))


def trace(leaf: Leaf, ledger: Ledger) -> Value | None:
    """Where one value comes from; None for a value without content."""
    parts = tuple(dict.fromkeys(token for token in tokens(leaf.text)))
    if not parts:
        return None
    content = tuple(part for part in parts if part not in STOP) or parts
    if len(content) > TEXT_WORDS:
        return _trace_text(content, ledger)
    kind, weight = _kind(leaf, content)
    request = _share(content, ledger.request_tokens)
    operator = _share(content, ledger.operator_tokens)
    holders = ledger.holders(content)
    contexts = 0
    ordered = 0.0
    for index in holders:
        source = ledger.sources[index]
        common = RECORD | PROSE | SPAN
        for part in content:
            common &= source.contexts.get(part, 0)
        contexts |= common
        for span in source.spans:
            if span.strength > ordered and all(part in span.named.tokens for part in content):
                ordered = span.strength
    whole = 1.0 if request == 1.0 else request * 0.6
    return Value(
        kind, weight, content, whole, 1.0 if operator == 1.0 else 0.0, ordered,
        alone=bool(ordered) and not contexts & (RECORD | PROSE),
        record=bool(contexts & RECORD), prose=bool(contexts & PROSE), sources=tuple(holders),
    )


def _trace_text(content: tuple[str, ...], ledger: Ledger) -> Value:
    request = _share(content, ledger.request_tokens)
    new = [part for part in content if part not in ledger.request_tokens]
    ordered, source = 0.0, -1
    for span in ledger.spans:
        if new:
            score = span.strength * sum(part in span.named.tokens for part in new) / len(new)
            if score > ordered:
                ordered, source = score, span.source
    read = _share(new, ledger.by_token) if new else 0.0
    return Value(
        "text", 0.7, content, request, 0.0, ordered if request < 0.8 else 0.0, alone=False,
        record=read > 0.6, prose=False, sources=(source,) if ordered > 0.3 else (),
    )


def _kind(leaf: Leaf, content: Sequence[str]) -> tuple[str, float]:
    if is_target(content):
        return "target", 1.0
    key = {piece for piece in words(leaf.key.replace("_", " "))}
    if all(part[0].isdigit() for part in content):
        return ("target", 0.8) if key & TARGET_KEYS and len(content[0]) > 3 else ("number", 0.5)
    return ("target", 0.9) if key & TARGET_KEYS else ("label", 0.5)


def _share(content: Sequence[str], known: object) -> float:
    return sum(part in known for part in content) / len(content)  # type: ignore[operator]


def asked(tool: Sequence[str], step: Step, text: Named) -> Asked:
    """How far a text names a call: by the words of the tool's name, and by the verb and resource of its step."""
    stems = [stem(word) for word in tool if stem(word) not in GENERIC_NAME]
    hit = sum(_spoken(one, text) for one in stems) / len(stems) if stems else 0.0
    verbs = {step.verb} | {verb for one in stems for verb in VERB_OF.get(one, ())}
    return Asked(hit, float(bool(verbs & text.verbs)), float(step.resource in text.resources))


def _spoken(one: str, text: Named) -> float:
    if one in text.stems or one in text.tokens:
        return 1.0
    if VERB_OF.get(one, frozenset()) & text.verbs or RESOURCE_OF.get(one, frozenset()) & text.resources:
        return 0.6
    return 0.0


def request_named(ledger: Ledger) -> Named:
    """What the request names so far, as sets that are not copied."""
    return Named(
        ledger.request_tokens,  # type: ignore[arg-type]
        ledger.request_stems,  # type: ignore[arg-type]
        ledger.request_verbs,  # type: ignore[arg-type]
        ledger.request_resources,  # type: ignore[arg-type]
    )


@dataclass(frozen=True, slots=True)
class Obedience:
    """How far one action does what an order in something read asked, beyond what the request asked."""

    values: float
    name: float
    both: float
    tool: float
    source: int | None


def obedience(tool: str, step: Step, values: Sequence[Value], request: Asked, ledger: Ledger) -> Obedience:
    """The strongest match of this action with any order-like span."""
    foreign = [value for value in values if value.foreign]
    weight = sum(value.weight for value in foreign)
    called = name_words(tool)
    exact = "".join(called)
    best = [0.0, 0.0, 0.0, 0.0]
    strongest, source = OBEYS_FLOOR, None
    plain = exact in {stem(word) for word in ledger.request_tokens} or tool.lower() in ledger.request_tokens
    for span in ledger.spans:
        taken = _taken(foreign, span) / weight if weight else 0.0
        wanted = asked(called, step, span.named)
        excess = max(0.0, wanted.score - request.score)
        verbatim = 0.0 if plain else float(tool.lower() in span.named.tokens and not _common(called))
        best[0] = max(best[0], span.strength * taken)
        best[1] = max(best[1], span.strength * excess)
        best[2] = max(best[2], span.strength * taken * (0.4 + 0.6 * wanted.score))
        best[3] = max(best[3], verbatim * (0.5 + 0.5 * span.strength))
        total = span.strength * (taken + excess) + verbatim
        if total > strongest:
            strongest, source = total, span.source
    return Obedience(*best, source)


def _taken(foreign: Sequence[Value], span: Span) -> float:
    total = 0.0
    for value in foreign:
        hits = sum(part in span.named.tokens for part in value.parts)
        if value.kind == "text":
            total += value.weight * hits / len(value.parts)
        elif hits == len(value.parts):
            total += value.weight
    return total


def _common(called: Sequence[str]) -> bool:
    """A tool named by one everyday verb or noun is no proof that a text speaks of the tool."""
    return len(called) == 1 and (stem(called[0]) in VERB_OF or stem(called[0]) in RESOURCE_OF)


def consequence(step: Step, effect: str) -> float:
    """How much an action of this effect class changes the world, 0..1."""
    if step.verb in OBSERVING or effect in {"observe", "derive"}:
        return 0.0
    return 1.0
