"""Where the values of an action come from: the heart of the drift score.

A `Ledger` remembers, in bounded memory, which tokens the principal said, which the operator said (system prompt), and
which the agent only read (tool results, memory, text of others). What was read is kept in three contexts: in a
*record* (a field of data), in *prose*, and in a *span*: prose that reads like an order to whoever reads it. A value
that the request does not name and that stands in such a span is the mark of an action that somebody else wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ioint_node.scoring.text import TEXT_CHARS, Passage, is_identifier, passages, split_name, stem, tokens, words
from ioint_node.scoring.words import (
    ADDRESSED,
    DEONTIC,
    IMPERATIVE,
    LEAD,
    META,
    RESOURCE_OF,
    STOP,
    VERB_OF,
)

SOURCES_PER_SESSION = 256
SPANS_PER_SOURCE = 48
SPANS_PER_SESSION = 512
SOURCES_PER_TOKEN = 32
TOKENS_PER_SESSION = 60_000
PROMPTS_PER_SESSION = 512
SPAN_FLOOR = 0.3

RECORD, PROSE, SPAN = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Named:
    """What a text names: its tokens, the stems of its words, and the verbs and resource classes these stand for."""

    tokens: frozenset[str]
    stems: frozenset[str]
    verbs: frozenset[str]
    resources: frozenset[str]


@dataclass(frozen=True, slots=True)
class Span:
    """One sentence that reads like an order, with the sentences around it, in what the agent read."""

    named: Named
    own: Named
    strength: float
    source: int


@dataclass(slots=True)
class Source:
    """One thing that the agent read; `step` is the action that fetched it."""

    provenance: str
    step: int | None
    contexts: dict[str, int] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)


def named(text: str) -> Named:
    """What a text names, by the project's own lexicon."""
    return named_in(tokens(text), words(text))


def named_in(found: Iterable[str], spoken: Iterable[str]) -> Named:
    """As `named`, from tokens and words."""
    stems = frozenset(stem(word) for word in spoken if word not in STOP)
    return Named(
        frozenset(found),
        stems,
        frozenset(verb for one in stems for verb in VERB_OF.get(one, ())),
        frozenset(resource for one in stems for resource in RESOURCE_OF.get(one, ())),
    )


def order_strength(text: str) -> float:
    """How much one sentence reads like an order to its reader, 0..1; mood and address, never fixed phrases."""
    spoken = words(text)[:80]
    if not spoken:
        return 0.0
    imperative = _imperative(spoken)
    marks = set(spoken)
    deontic = bool(marks & DEONTIC)
    addressed = bool(marks & ADDRESSED)
    about_job = min(2, len(marks & META))
    if not imperative and not (deontic and (addressed or about_job)):
        return 0.1 * about_job
    base = 0.55 if imperative else 0.35
    return min(1.0, base + 0.15 * deontic + 0.1 * addressed + 0.1 * about_job)


def _imperative(spoken: Sequence[str]) -> bool:
    """A verb of action opens the sentence, or a clause of it, without a subject."""
    position = 0
    while position < len(spoken) and position < 8 and spoken[position] in LEAD:
        if position and spoken[position - 1] in {"have", "want", "would", "like"}:
            break
        position += 1
    if position < len(spoken) and spoken[position] in IMPERATIVE:
        return True
    return any(
        first in {"please", "kindly", "then", "thus", "must", "should", "to", "and", "you"}
        and second in IMPERATIVE
        and (first != "and" or index > 0)
        and (first not in {"to", "and", "you"} or bool({"need", "have", "please", "you"} & set(spoken[:index])))
        for index, (first, second) in enumerate(zip(spoken, spoken[1:], strict=False))
    )


class Ledger:
    """Who said what in one session; it only ever grows, up to its bounds."""

    def __init__(self) -> None:
        self.request_tokens: set[str] = set()
        self.request_stems: set[str] = set()
        self.request_verbs: set[str] = set()
        self.request_resources: set[str] = set()
        self.operator_tokens: set[str] = set()
        self.operator_stems: set[str] = set()
        self.sources: list[Source] = []
        self.spans: list[Span] = []
        self.by_token: dict[str, list[int]] = {}
        self.exposure = 0.0
        self._reply: frozenset[str] = frozenset()
        self._heard: set[str] = set()

    def hear_principal(self, text: str) -> None:
        """Take in what the principal asks; a reply that they answer with something new counts as shown to them."""
        text = text[:TEXT_CHARS].strip()
        if text in self._heard or len(self._heard) >= PROMPTS_PER_SESSION:
            return
        self._heard.add(text)
        said = named(text)
        self.request_tokens |= said.tokens
        self.request_stems |= said.stems
        self.request_verbs |= said.verbs
        self.request_resources |= said.resources
        self.request_tokens |= self._reply
        self._reply = frozenset()

    def hear_operator(self, text: str) -> None:
        """Take in what the operator set: a system prompt."""
        said = named(text[:TEXT_CHARS])
        self.operator_tokens |= said.tokens
        self.operator_stems |= said.stems

    def hear_agent(self, text: str) -> None:
        """Keep what the agent told its principal until somebody else speaks or acts."""
        self._reply = frozenset(tokens(text[:TEXT_CHARS]))

    def act(self) -> None:
        """Note that the agent acted: what it said before was not put to its principal."""
        self._reply = frozenset()

    def read(self, text: str, *, provenance: str, step: int | None = None) -> None:
        """Take in something that the agent read, at most `TEXT_CHARS` characters of it."""
        if len(self.sources) >= SOURCES_PER_SESSION or len(self.by_token) >= TOKENS_PER_SESSION:
            return
        self._reply = frozenset()
        index = len(self.sources)
        source = Source(provenance, step)
        self.sources.append(source)
        self._take(source, index, passages(text[:TEXT_CHARS]))
        for token in source.contexts:
            listed = self.by_token.setdefault(token, [])
            if len(listed) < SOURCES_PER_TOKEN:
                listed.append(index)

    def _take(self, source: Source, index: int, found: list[Passage]) -> None:
        units = [tokens(passage.text) for passage in found]
        strengths = [0.0 if passage.record else order_strength(passage.text) for passage in found]
        for position, passage in enumerate(found):
            strength = strengths[position]
            context = RECORD if passage.record else PROSE
            if strength >= SPAN_FLOOR:
                context = SPAN
                self._mark(source, index, found, units, strengths, position)
            for token in units[position]:
                source.contexts[token] = source.contexts.get(token, 0) | context

    def _mark(
        self,
        source: Source,
        index: int,
        found: list[Passage],
        units: list[list[str]],
        strengths: list[float],
        position: int,
    ) -> None:
        if len(source.spans) >= SPANS_PER_SOURCE or len(self.spans) >= SPANS_PER_SESSION:
            return
        near = [n for n in range(max(0, position - 1), min(len(found), position + 2)) if not found[n].record]
        around = max((strengths[n] for n in near if n != position), default=0.0)
        own = named_in(units[position], words(found[position].text))
        wide = named_in(
            [token for n in near for token in units[n]], [word for n in near for word in words(found[n].text)]
        )
        span = Span(wide, own, min(1.0, strengths[position] + 0.2 * around), index)
        source.spans.append(span)
        self.spans.append(span)
        self.exposure = max(self.exposure, span.strength)

    def holders(self, parts: Sequence[str]) -> list[int]:
        """Indices of the sources that hold every one of these tokens."""
        lists = [self.by_token.get(part, []) for part in parts]
        if not lists or not all(lists):
            return []
        common = set(min(lists, key=len))
        for listed in lists:
            common &= set(listed)
        return sorted(common)


def is_target(parts: Sequence[str]) -> bool:
    """Whether a value names one particular thing: an address, an account, a path."""
    return any(is_identifier(part) for part in parts)


def name_words(tool: str) -> tuple[str, ...]:
    """The words of a tool's name."""
    return tuple(piece for part in tool.replace("-", "_").split("_") for piece in split_name(part))
