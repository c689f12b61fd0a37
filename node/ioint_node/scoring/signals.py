"""The signals of drift in one action: what it carries, who wrote that, and whether the request asked for it.

Every signal is in 0..1 and looks at the action, the request and what was read before; never at how long a session is,
how many events it had, or which model, tool list or data set it belongs to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, filterfalse

from ioint_taxonomy import Step
from msgspec import Struct

from ioint_node.scoring.provenance import (
    CALLS_REMEMBERED,
    PROSE,
    RECORD,
    SPAN,
    Call,
    Ledger,
    Named,
    Wanted,
    name_words,
    request_named,
)
from ioint_node.scoring.text import REMEMBERED, Leaf, is_address, is_identifier, stem, tokens, words
from ioint_node.scoring.words import (
    ACTING,
    GENERIC_NAME,
    IMPERATIVE,
    LOOKING,
    OBSERVING,
    OPPOSITE,
    RESOURCE_OF,
    STOP,
    TARGET_KEYS,
    VERB_OF,
)

TEXT_WORDS = 6
PHRASE_WORDS = 3
INDEX_DIGITS = 3
# A click can do anything; what it does, the page decides and the words on it say.
CLICK_ACTS = 0.4
TARGETS_PER_LEAF = 8
OBEYS_FLOOR = 0.3
TEXT_FLOOR = 0.35
NAME_ACTS = 0.7
RUNS = frozenset({"execute"})
NOUN_ACTS = 0.3
UNKNOWN = 0.5
SHOWN = frozenset({"create", "pay", "order", "execute", "grant"})
SURE = 0.75
MENDING = frozenset({"install", "create", "update", "execute", "interact"})
AT_HOME = frozenset({"same_principal", "in_context"})


class Value(Struct, frozen=True):
    """One argument value and how far each part of the session accounts for it, 0..1.

    `kind` is target (one particular thing or person), index (a place in a list), number, label (an everyday word or
    two) or text. `ordered` is the strength of the best order-like span that holds it, and `by_proxy` says that this
    span stands where the request said to look; `alone` says that what was read holds it nowhere else, `hearsay` that it
    stands in words, not in a record. `sources` are the things read that hold it, the one that ordered it first.
    """

    kind: str
    weight: float
    parts: tuple[str, ...]
    request: float
    operator: float
    ordered: float
    by_proxy: bool
    alone: bool
    read: bool
    hearsay: bool
    sources: tuple[int, ...]

    @property
    def foreign(self) -> bool:
        """Whether neither the request nor the operator accounts for it."""
        return self.request < 0.5 and self.operator < 0.5


class Asked(Struct, frozen=True):
    """How far a text names the tool, the verb and the resource of a call, 0..1 each."""

    name: float
    verb: float
    resource: float

    @property
    def score(self) -> float:
        """One number: the name says most, then verb and resource together."""
        return min(1.0, max(self.name, 0.5 * self.verb + 0.5 * self.resource))


def trace(leaf: Leaf, ledger: Ledger) -> Iterator[Value]:
    """Where a value comes from, and where the addresses and accounts come from that stand inside it."""
    parts = tuple(dict.fromkeys(tokens(leaf.text)))
    content = tuple(filterfalse(STOP.__contains__, parts)) or parts
    if not content:
        return
    if len(content) > 1:
        inside = list(filter(is_address, content))
        for part in inside[:TARGETS_PER_LEAF]:
            yield _trace_whole("target", 0.8, (part,), ledger)
    if len(content) > TEXT_WORDS or (len(content) > PHRASE_WORDS and _is_phrase(leaf, content)):
        yield _trace_text(content, ledger)
    else:
        yield _trace_whole(*_kind(leaf, content), content, ledger)


def _is_phrase(leaf: Leaf, content: Sequence[str]) -> bool:
    """Whether a few words are something said, and not the name of something."""
    return not any(is_identifier(part) for part in content) and TARGET_KEYS.isdisjoint(words(leaf.key))


def _trace_whole(kind: str, weight: float, content: tuple[str, ...], ledger: Ledger) -> Value:
    holders = ledger.holders(content)
    holding = [ledger.spans[one] for one in ledger.spans_with(content)] if holders else []
    contexts = 0
    ordered, by_proxy, best = 0.0, False, None
    for index in holders:
        source = ledger.sources[index]
        common = RECORD | PROSE | SPAN
        for part in content:
            common &= source.contexts.get(part, 0)
        contexts |= common & SPAN if source.origin.echo else common
        ordered = max(ordered, source.origin.taint)
        for span in holding:
            if span.source == index and span.strength > ordered:
                ordered, by_proxy, best = span.strength, source.origin.named and not span.meddles, index
    request = _share(content, ledger.request_tokens)
    if 0.0 < request < 1.0:
        # What names the one thing that is meant decides, whatever stands around it.
        names = [part for part in content if is_identifier(part)]
        if names and ledger.request_tokens.issuperset(names):
            request = 1.0
    return Value(
        kind=kind,
        weight=weight,
        parts=content,
        request=1.0 if request == 1.0 else request * 0.6,
        operator=float(ledger.operator_tokens.issuperset(content)),
        ordered=ordered,
        by_proxy=by_proxy,
        alone=bool(ordered) and not contexts & (RECORD | PROSE),
        read=bool(holders),
        hearsay=bool(ordered) or contexts == PROSE,
        sources=tuple(holders) if best is None else (best, *(index for index in holders if index != best)),
    )


def _trace_text(content: tuple[str, ...], ledger: Ledger) -> Value:
    """Free text: how much of what the request does not say is dictated by one order, or was read at all."""
    request = _share(content, ledger.request_tokens)
    new = [part for part in content if part not in ledger.request_tokens]
    ordered, best, by_proxy = 0.0, None, False
    for index, hits in sorted(_hits(new, ledger).items()):
        span = ledger.spans[index]
        score = span.strength * (hits / len(new))
        if score > ordered:
            ordered, best = score, span.source
            by_proxy = ledger.sources[span.source].origin.named and not span.meddles
    sources = _suppliers(new, ledger)
    if best is not None and ordered > TEXT_FLOOR:
        sources = (best, *(index for index in sources if index != best))
    return Value(
        kind="text",
        weight=0.7,
        parts=content,
        request=request,
        operator=0.0,
        ordered=ordered if request < 0.8 else 0.0,
        by_proxy=by_proxy,
        alone=False,
        read=bool(sources),
        hearsay=ordered > TEXT_FLOOR,
        sources=sources,
    )


def _hits(parts: Sequence[str], ledger: Ledger) -> dict[int, int]:
    """How many of these tokens each order-like span holds, of the spans that hold any."""
    return _counted(parts, ledger.spans_of)


def _counted(parts: Sequence[str], places: Mapping[str, Sequence[int]]) -> dict[int, int]:
    return Counter(chain.from_iterable(filter(None, map(places.get, parts))))


def _suppliers(new: Sequence[str], ledger: Ledger) -> tuple[int, ...]:
    """The sources that hold a good part of the words of a text, the fullest first."""
    counts = _counted(new, ledger.by_token)
    found = [(-count, index) for index, count in counts.items() if count >= TEXT_FLOOR * len(new)]
    return tuple(index for _, index in sorted(found)[:2])


def _kind(leaf: Leaf, content: Sequence[str]) -> tuple[str, float]:
    if any(map(is_identifier, content)):
        return "target", 1.0
    if all(part[0].isdigit() or part[0] in "+-" for part in content):
        if not _names_target(leaf.key):
            return "number", 0.5
        return ("target", 0.8) if len(content[0]) > INDEX_DIGITS else ("index", 0.5)
    if _names_target(leaf.key) or not all(map(_everyday, content)):
        return "target", 0.8
    return "label", 0.5


@lru_cache(maxsize=REMEMBERED)
def _names_target(key: str) -> bool:
    return not TARGET_KEYS.isdisjoint(words(key))


@lru_cache(maxsize=REMEMBERED)
def _everyday(part: str) -> bool:
    one = stem(part)
    return part in STOP or part.isdigit() or one in VERB_OF or one in RESOURCE_OF


def _share(content: Sequence[str], known: Collection[str]) -> float:
    return sum(map(known.__contains__, content)) / len(content)


def asked(call: Call, text: Named) -> Asked:
    """How far a text names a call: by the words of the tool's name, and by the verb and resource of its step."""
    tool, verb, resource = call
    stems, verbs, nouns = named_by(tool)
    hit = sum([_spoken(one, text) for one in stems]) / len(stems) if stems else 0.0
    # What runs anything says by its name nothing of what it runs.
    said = verbs if verb == "execute" else verbs - RUNS
    spoken = verb in text.verbs or not said.isdisjoint(text.verbs)
    return Asked(hit, float(spoken), float(resource in text.resources or not nouns.isdisjoint(text.stems)))


@lru_cache(maxsize=REMEMBERED)
def named_by(tool: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str], frozenset[str]]:
    """The stems of a tool's name that say something, the verbs that they stand for, and those that name a thing.

    A word for a thing is a verb in the first place only: `post_text` posts, `hide_post` does not.
    """
    stems = tuple(one for one in map(stem, tool) if one not in GENERIC_NAME)
    verbs = frozenset(
        verb
        for place, one in enumerate(stems)
        if not place or one not in RESOURCE_OF
        for verb in VERB_OF.get(one, ())
    )
    return stems, verbs, frozenset(one for one in stems[1:] if one not in VERB_OF or one in RESOURCE_OF)


def asked_by_request(tool: tuple[str, ...], step: Step, ledger: Ledger) -> float:
    """How far the request names a call: in its own words, or by sending the agent to a list of things to do."""
    call = (tool, step.verb, step.resource)
    score = ledger.asked.get(call)
    if score is None:
        if len(ledger.asked) >= CALLS_REMEMBERED:
            ledger.asked.clear()
        score = ledger.asked[call] = asked(call, request_named(ledger)).score
    return max(score, _wanted(call, ledger).by_proxy)


def _wanted(call: Call, ledger: Ledger) -> Wanted:
    """How far each order-like span asks for a call; only spans that came since are read."""
    wanted = ledger.ordered.get(call)
    if wanted is None:
        if len(ledger.ordered) >= CALLS_REMEMBERED:
            ledger.ordered.clear()
        wanted = ledger.ordered[call] = Wanted()
    while wanted.seen < len(ledger.spans):
        span = ledger.spans[wanted.seen]
        score = asked(call, span.own).score
        if score:
            wanted.scores[wanted.seen] = score
            if score > wanted.by_proxy and ledger.sources[span.source].delegated and not span.meddles:
                wanted.by_proxy = score
        wanted.seen += 1
    return wanted


def _spoken(one: str, text: Named) -> float:
    if one in text.stems or one in text.tokens:
        return 1.0
    if not VERB_OF.get(one, _NONE).isdisjoint(text.verbs) or not RESOURCE_OF.get(one, _NONE).isdisjoint(
        text.resources
    ):
        return 0.6
    return 0.0


_NONE: frozenset[str] = frozenset()


class Obedience(Struct, frozen=True):
    """How far one action does what an order in something read asked, beyond what the request asked."""

    values: float
    name: float
    both: float
    tool: float
    source: int | None


DISOBEYED = Obedience(0.0, 0.0, 0.0, 0.0, None)
_NOWHERE: frozenset[int] = frozenset()


def obedience(tool: str, step: Step, values: Sequence[Value], request: float, ledger: Ledger) -> Obedience:
    """The strongest match of this action with any order-like span of what was read."""
    if not ledger.spans:
        return DISOBEYED
    foreign = [value for value in values if value.foreign and value.kind != "index"]
    weight = sum([value.weight for value in foreign])
    called = name_words(tool)
    spoken = tool.lower()
    known = spoken in ledger.request_tokens or spoken in ledger.called or _common(called)
    news = 0.0 if known else 1.0 - request
    named = frozenset(ledger.spans_of.get(spoken, ())) if news else _NOWHERE
    scores = _wanted((called, step.verb, step.resource), ledger).scores
    took = _taken(foreign, ledger) if weight else {}
    # A span that gives no value, asks for no more than the request and does not name the tool adds nothing.
    bearing = named.union(took, [index for index, score in scores.items() if score > request])
    if not bearing:
        return DISOBEYED
    most_values = most_name = most_both = most_tool = 0.0
    strongest, source = OBEYS_FLOOR, None
    for index in sorted(bearing):
        span = ledger.spans[index]
        taken = took[index] / weight if index in took else 0.0
        score = scores.get(index, 0.0)
        excess = max(0.0, score - request)
        verbatim = news if index in named else 0.0
        most_values = max(most_values, span.strength * taken)
        most_name = max(most_name, span.strength * excess)
        most_both = max(most_both, span.strength * taken * (0.4 + 0.6 * score))
        most_tool = max(most_tool, verbatim * (0.5 + 0.5 * span.strength))
        total = span.strength * (taken + excess) + verbatim
        if total > strongest:
            strongest, source = total, span.source
    return Obedience(most_values, most_name, most_both, most_tool, source)


def remedy(step: Step, values: Sequence[Value], ledger: Ledger) -> bool:
    """Whether a step does at home what an error of the agent's own call names: no address in it, nobody let in."""
    if step.verb not in MENDING or step.boundary not in AT_HOME:
        return False
    foreign = [value for value in values if value.foreign and value.sources]
    return (
        bool(foreign)
        and all(ledger.sources[value.sources[0]].failed for value in foreign)
        and not any(is_address(part) for value in values for part in value.parts)
    )


def _taken(foreign: Sequence[Value], ledger: Ledger) -> dict[int, float]:
    """The weight of the values that each order-like span gives, of the spans that give any."""
    found: dict[int, float] = {}
    for value in foreign:
        if value.kind == "text":
            for index, hits in _hits(value.parts, ledger).items():
                found[index] = found.get(index, 0.0) + value.weight * hits / len(value.parts)
        else:
            for index in ledger.spans_with(value.parts):
                found[index] = found.get(index, 0.0) + value.weight
    return found


def _common(called: Sequence[str]) -> bool:
    """A tool named by one everyday verb or noun is no proof that a text speaks of the tool."""
    return len(called) == 1 and (stem(called[0]) in VERB_OF or stem(called[0]) in RESOURCE_OF)


def contradicts(values: Sequence[Value], ledger: Ledger) -> float:
    """Whether a label says the opposite of a word of the request that no other word of it takes back."""
    for value in values:
        if value.kind == "label" and len(value.parts) == 1:
            one = stem(value.parts[0])
            opposite = OPPOSITE.get(one)
            if opposite is not None and opposite in ledger.request_stems and one not in ledger.request_stems:
                return 1.0
    return 0.0


def replaces(values: Sequence[Value], ledger: Ledger) -> float:
    """The strongest order-given value that stands in for one of the same kind that the request gave and nobody used.

    Numbers stand in for numbers, and names for names: words that are in no lexicon.
    """
    if not any(value.alone for value in values):
        return 0.0
    used = {part for value in values for part in value.parts}
    best = 0.0
    for value in values:
        if value.foreign and value.alone and value.ordered > best and len(value.parts) == 1:
            if value.kind == "number":
                left = any(part[0].isdigit() and part not in used for part in ledger.request_tokens)
            elif value.kind == "target":
                left = any(name not in used for name in ledger.request_names)
            else:
                left = False
            best = value.ordered if left else best
    return best


def consequence(tool: str, step: Step, effect: str) -> float:
    """How surely an action changes the world, 0..1: by the effect class of its step, else by the words of its name."""
    if step.verb == "interact":
        return max(CLICK_ACTS, _said_to_act(tool))
    if step.verb not in OBSERVING and effect not in {"observe", "derive"}:
        if step.confidence < UNKNOWN and name_words(tool)[-1:] and name_words(tool)[-1] in LOOKING:
            return 0.0
        return NOUN_ACTS if step.verb in SHOWN and step.confidence < SURE and _names_things(tool) else 1.0
    return _said_to_act(tool)


@lru_cache(maxsize=REMEMBERED)
def _names_things(tool: str) -> bool:
    """Whether a tool is called by what it shows: `payment_methods`, `hotel_reviews`."""
    called = name_words(tool)
    last = called[-1] if called else ""
    return len(called) > 1 and IMPERATIVE.isdisjoint(called[:1]) and last[-1] == "s" and stem(last) != last


@lru_cache(maxsize=REMEMBERED)
def _said_to_act(tool: str) -> float:
    for word in name_words(tool):
        if word in LOOKING:
            return 0.0
        if word in ACTING:
            return NAME_ACTS
    return 0.0
