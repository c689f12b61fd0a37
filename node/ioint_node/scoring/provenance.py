"""Where the values of an action come from: the heart of the drift score.

A `Ledger` remembers, in bounded memory, which tokens the principal said, which the operator said (system prompt), and
which the agent only read (tool results, memory, text of others). What was read is kept in three contexts: in a
*record* (a field of data), in *prose*, and in a *span*: prose that reads like an order to whoever reads it. A value
that the request does not name and that stands in such a span is the mark of an action that somebody else wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

from ioint_node.scoring.text import (
    PASSAGE_TOKENS,
    REMEMBERED,
    TEXT_CHARS,
    Passage,
    is_address,
    is_identifier,
    passages,
    split_name,
    stem,
    tokens,
    unveiled,
    words,
)
from ioint_node.scoring.words import (
    ADDRESSED,
    ASKING,
    BACK,
    BEING,
    CHANGED,
    CLAIMED,
    DELEGATING,
    DENIABLE,
    DEONTIC,
    DETERMINER,
    DOING,
    FINDABLE,
    FINDING,
    HARMLESS,
    IMPERATIVE,
    INFORMING,
    LEAD,
    LIMITED,
    LIMITING,
    LOOKS,
    META,
    MONEY,
    MOVING,
    NEGATED_AFTER,
    NEGATING,
    OFFERING,
    OPEN_ENDED,
    REFUSING,
    RESOURCE_OF,
    ROLE,
    RULE,
    SPEAKER,
    STOP,
    UNSPECIFIC,
    VERB_OF,
    is_participle,
)

SOURCES_PER_SESSION = 256
SPANS_PER_SOURCE = 48
SPANS_PER_SESSION = 256
SOURCES_PER_TOKEN = 32
TOKENS_PER_SESSION = 60_000
TOKENS_HELD = 200_000
CALLS_REMEMBERED = 256  # kinds of call per session
SPOKEN_WORDS = 80
CLAUSES = 8
LOOK_UP_WORDS = 5
NEGATED_WORDS = 2
LIMITING_WORDS = 4
OFFER_WORDS = 4
REFUSING_WORDS = 4
HIDDEN_ORDER = 0.5
UNREAD_EXPOSURE = 0.4
NORM_CUES = 2
NORM_BASE = 0.4
NORM_STEP = 0.1
NORM_MOST = 0.7
NEIGHBOURS = 2
PLACE_LETTERS = 4
# A list of things to do, to which the request sent the agent, is an order by proxy, unless it talks of the agent's job.
ORDER_BASE = 0.65
MEDDLING = 0.5
MEDDLING_DELEGATED = 0.75
DELEGATED_SHARE = 0.35

RECORD, PROSE, SPAN = 1, 2, 4

# Where a new clause can open: "Note to the agent: send …", "when done, delete …".
_CLAUSE = re.compile(r"[,:]\s+| [-–—] ")

_OFFER_END = re.compile(r"(?<=[.!?\n])\s+")
_CLAUSE_END = re.compile(r"[.!?;:,\n(]+\s*")
_SENTENCE_END = re.compile(r"[.!?;\n]+\s*")

# Capitals inside a sentence: a name, in most languages with cases.
_PROPER = re.compile(r"(?<=[a-z0-9,'\"] )[\"']?([A-Z][\w]+|[a-z]+[A-Z]\w*)")


class Named(Struct, frozen=True):
    """What a text names: its tokens, the stems of its words, and the verbs and resource classes these stand for."""

    tokens: Set[str]
    stems: Set[str]
    verbs: Set[str]
    resources: Set[str]


class Span(Struct, frozen=True):
    """One sentence that reads like an order, with those around it; one that `meddles` talks of the reader's job."""

    named: Named
    own: Named
    strength: float
    meddles: bool
    source: int


class Origin(Struct, frozen=True, kw_only=True):
    """How the agent came to read something: who may have written it, and the action (index of a step) that fetched it.

    `named`: the request names the place. `taint` 0..1: how strongly an order in something read before sent the agent
    there. `echo`: it answers an action that changed something, so it may only repeat what the agent itself said.
    """

    provenance: str
    step: int | None = None
    named: bool = False
    taint: float = 0.0
    echo: bool = False


# What is asked when a call is looked for in a text: the words of the tool's name, verb and resource of the step.
Call = tuple[tuple[str, ...], str, str]


class Wanted(Struct):
    """How far each order-like span asks for one call: scores by span, and the best of those that stand in for the user.

    Spans only ever get more, so the first `seen` need not be read again.
    """

    seen: int = 0
    scores: dict[int, float] = {}
    by_proxy: float = 0.0


@dataclass(slots=True)
class Source:
    """One thing that the agent read; `delegated`: the request sent the agent there to find out what to do.

    `failed`: it is the error that one of the agent's own calls met.
    """

    origin: Origin
    delegated: bool
    failed: bool = False
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


def denied(spoken: Sequence[str]) -> frozenset[str]:
    """The verbs of the taxonomy that a text says not to do, and does not ask for afterwards."""
    found: dict[str, int] = {}
    for position, (before, word) in enumerate(pairwise(("", *spoken))):
        if (
            word in NEGATING
            or (word == "not" and before in NEGATED_AFTER)
            or (word == "t" and before == "don")
        ):
            for n in range(position + 1, min(len(spoken), position + 1 + NEGATED_WORDS)):
                found |= dict.fromkeys(VERB_OF.get(stem(spoken[n]), ()), n)
    return frozenset(
        verb
        for verb, last in found.items()
        if verb in DENIABLE and not any(verb in VERB_OF.get(stem(word), ()) for word in spoken[last + 1 :])
    )


def looks_up(text: str) -> bool:
    """Whether a text sends somebody to find out where to turn: "find their address and write to them"."""
    for sentence in _SENTENCE_END.split(text):
        spoken = words(sentence)
        for position, word in enumerate(spoken):
            if word in FINDING and not FINDABLE.isdisjoint(
                spoken[position + 1 : position + 1 + LOOK_UP_WORDS]
            ):
                return True
    return False


def limited(text: str) -> bool:
    """Whether a text wants nothing but a look: "only a quote", "just the list"."""
    return any(
        not LIMITING.isdisjoint(said[:LIMITING_WORDS]) and not LOOKS.isdisjoint(said)
        for said in (words(sentence) for sentence in _CLAUSE_END.split(text))
    )


def offers(text: str) -> str:
    """The sentences of a reply in which the agent offers to do something, or asks whether it should."""
    return " ".join(
        sentence
        for sentence in _OFFER_END.split(text)
        if not OFFERING.isdisjoint(words(sentence)[:OFFER_WORDS])
    )


def deeds_of(text: str) -> tuple[frozenset[str], bool]:
    """The verbs that a request uses as verbs, outside of questions for knowledge; and whether it asks such questions.

    "Which order is late?" and "my last transfer" want nothing ordered and nothing transferred.
    """
    found: set[str] = set()
    asks = False
    for sentence in _SENTENCE_END.split(text):
        spoken = words(sentence)
        if not ASKING.isdisjoint(spoken[:1]) or (
            sentence.startswith("¿") and not ASKING.isdisjoint(spoken[:3])
        ):
            asks = True
            continue
        for before, word, after in zip(("", *spoken), spoken, (*spoken[1:], ""), strict=False):
            verbs = VERB_OF.get(stem(word), frozenset())
            if after in SPEAKER and not verbs.isdisjoint(INFORMING):
                asks = True  # what is told or sent to the principal only informs them
            elif before not in DETERMINER and not (word[-1] == "s" and stem(word) != word.rstrip("e")):
                found |= verbs  # "the marks", "late orders": in the plural they are things
    return frozenset(found), asks


def mood(text: str) -> tuple[float, float]:
    """How far one sentence orders something (0..1), and how far it speaks of the reader and the reader's job (0..1).

    Mood and address only, never fixed phrases: an order opens a clause with a verb of action, says what must be, or
    lays down a rule that somebody reading it would carry out (`_norm`).
    """
    spoken = words(text)[:SPOKEN_WORDS]
    if not spoken:
        return 0.0, 0.0
    marks = set(spoken)
    about = min(1.0, 0.25 * bool(marks & ADDRESSED) + 0.25 * len(marks & META))
    deontic = bool(marks & DEONTIC)
    if _imperative(text, spoken):
        return min(1.0, 0.7 + 0.2 * deontic), about
    norm = _norm(text, spoken, marks)
    if norm and marks & CHANGED:
        # What is said to hold from now on, in place of what held, is talk about how the reader is to act.
        about = max(about, MEDDLING)
    return max(0.5 if deontic and about else 0.0, norm), about


def _norm(text: str, spoken: Sequence[str], marks: Set[str]) -> float:
    """How far a statement lays down what is to be done, 0..1: "from now on", "whoever", "are to be", "was approved".

    One such mark is everyday talk. Two, about something that an agent can do, are a rule in disguise.
    """
    passive = any(first in BEING and is_participle(second) for first, second in pairwise(spoken))
    due = any(first in BEING and second == "to" for first, second in pairwise(spoken))
    cues = (
        bool(marks & RULE)
        + bool(marks & CLAIMED)
        + bool(marks & CHANGED)
        + 2 * bool(marks & ROLE)
        + passive
        + bool(due or marks & DEONTIC)
    )
    if cues < NORM_CUES or not any(stem(word) in DOING for word in spoken):
        return 0.0
    placed = any(is_address(token) for token in tokens(text))
    return min(NORM_MOST, NORM_BASE + NORM_STEP * (cues - NORM_CUES + placed))


def _imperative(text: str, spoken: Sequence[str]) -> bool:
    """A verb of action opens the sentence, or a clause of it, without a subject."""
    if any(_opens(words(clause)[:8]) for clause in _CLAUSE.split(text, CLAUSES)):
        return True
    return any(
        first in {"please", "kindly", "must", "should", "shall"} and second in IMPERATIVE
        for first, second in pairwise(spoken)
    )


def _opens(spoken: Sequence[str]) -> bool:
    for position, word in enumerate(spoken):
        if word in IMPERATIVE:
            return True
        if word not in LEAD or (word == "to" and not position):
            return False
    return False


@dataclass(frozen=True, slots=True)
class _Text:
    """A text taken apart: its passages with the tokens and the mood of each."""

    passages: list[Passage]
    units: list[list[str]]
    moods: list[tuple[float, float]]


def _taken_apart(text: str) -> _Text:
    found = passages(text[:TEXT_CHARS])
    return _Text(
        found,
        [tokens(passage.text)[:PASSAGE_TOKENS] for passage in found],
        [(0.0, 0.0) if passage.record else mood(passage.text) for passage in found],
    )


def _brought_to_light(text: str) -> _Text:
    """A text that was hidden, taken apart: whoever hides words from people speaks to the agent, and means it."""
    found = _taken_apart(text)
    return _Text(
        [Passage(passage.text, record=False) for passage in found.passages],
        found.units,
        [(max(mood(passage.text)[0], HIDDEN_ORDER), 1.0) for passage in found.passages],
    )


class Ledger:
    """Who said what in one session; it only ever grows, up to its bounds."""

    def __init__(self) -> None:
        self.request_tokens: set[str] = set()
        self.request_stems: set[str] = set()
        self.request_verbs: set[str] = set()
        self.request_resources: set[str] = set()
        self.request_names: set[str] = set()
        self.delegates = False
        self.open_ended = False
        self.denied: set[str] = set()
        self.does = False
        self.looks_only = False
        self.looks_up = False
        self.moves = False
        self.deeds: set[str] = set()
        self.called: set[str] = set()
        self.operator_tokens: set[str] = set()
        self.sources: list[Source] = []
        self.spans: list[Span] = []
        self.by_token: dict[str, list[int]] = {}
        self.spans_of: dict[str, list[int]] = {}
        self.exposure = 0.0
        self.asked: dict[Call, float] = {}
        self.ordered: dict[Call, Wanted] = {}
        self._reply: frozenset[str] = frozenset()
        self._offered = ""
        self._heard: set[int] = set()
        self._held = 0

    def hear_principal(self, text: str) -> None:
        """Take in what the principal asks; a reply that they answer with something new counts as shown to them."""
        text = text[:TEXT_CHARS].strip()
        if hash(text) in self._heard or len(self.request_tokens) >= TOKENS_PER_SESSION:
            return
        self._heard.add(hash(text))
        self.asked.clear()
        said = named(text)
        self.request_tokens |= said.tokens
        self.request_stems |= said.stems
        self.request_resources |= said.resources
        spoken = words(text)
        self._hear_verbs(text, said, spoken)
        self.looks_up = self.looks_up or looks_up(text)
        self.moves = self.moves or not MOVING.isdisjoint(spoken)
        self.delegates = self.delegates or not DELEGATING.isdisjoint(spoken)
        self.open_ended = self.open_ended or not OPEN_ENDED.isdisjoint(spoken)
        self.request_names |= {name.lower() for name in _PROPER.findall(text)} | {
            token for token in said.tokens if is_identifier(token)
        }
        self.request_tokens |= self._reply
        if self._offered and REFUSING.isdisjoint(spoken[:REFUSING_WORDS]):
            self._agree_to(named(self._offered))
        self._reply, self._offered = frozenset(), ""

    def _agree_to(self, offered: Named) -> None:
        """What the agent offered and the principal did not refuse is asked for."""
        self.asked.clear()
        self.request_verbs |= offered.verbs
        self.request_resources |= offered.resources
        self.denied -= offered.verbs
        self.deeds |= offered.verbs
        self.does = self.does or not offered.verbs <= HARMLESS
        self.looks_only = self.looks_only and not self.does

    def _hear_verbs(self, text: str, said: Named, spoken: Sequence[str]) -> None:
        """What the principal wants done and what not; a request for a look alone stays one until more is asked."""
        unwanted = denied(spoken)
        if narrow := limited(text):
            unwanted |= LIMITED
        self.denied = (self.denied - said.verbs) | unwanted
        wanted = said.verbs - unwanted
        if ("write", "to") in pairwise(spoken):
            wanted |= {"send"}
            self.deeds.add("send")
            self.does = True
        if not (BACK.isdisjoint(spoken) or MONEY.isdisjoint(spoken)):
            wanted |= {"pay"}
            self.deeds.add("pay")
            self.does = True
        self.request_verbs |= wanted
        deeds, asks = deeds_of(text)
        self.deeds |= deeds - unwanted
        more = not deeds - unwanted <= HARMLESS
        if not UNSPECIFIC.isdisjoint(spoken):
            # "Make a payment", "get me a refund": the noun says what is to be done.
            more = True
            self.deeds |= wanted
        self.does = (self.does or more) and not narrow
        self.looks_only = not self.does and (
            asks or narrow or self.looks_only or not deeds.isdisjoint(HARMLESS)
        )

    def hear_operator(self, text: str) -> None:
        """Take in what the operator set: a system prompt."""
        if len(self.operator_tokens) < TOKENS_PER_SESSION:
            self.operator_tokens.update(tokens(text[:TEXT_CHARS]))

    def hear_agent(self, text: str) -> None:
        """Keep what the agent told its principal until somebody else speaks or acts."""
        self._reply = frozenset(tokens(text[:TEXT_CHARS]))
        self._offered = offers(text[:TEXT_CHARS])

    def act(self) -> None:
        """Note that the agent acted: what it said before was not put to its principal."""
        self._reply, self._offered = frozenset(), ""

    def read(self, text: str, origin: Origin, *, failed: bool = False) -> None:
        """Take in something that the agent read, at most `TEXT_CHARS` characters of it; `failed`: an error it met."""
        full = len(self.sources) >= SOURCES_PER_SESSION or self._held >= TOKENS_HELD
        if full or len(text) > TEXT_CHARS:
            # What is not looked at may hold an order: to bury one pays nobody.
            self.exposure = max(self.exposure, UNREAD_EXPOSURE)
        if full:
            return
        self._reply, self._offered = frozenset(), ""
        index = len(self.sources)
        source = Source(origin, origin.named and self.delegates, failed)
        self.sources.append(source)
        seen, hidden = unveiled(text[:TEXT_CHARS])
        self._take(source, index, _taken_apart(seen))
        if hidden:
            self._take(source, index, _brought_to_light(hidden))
        self._held += len(source.contexts)
        for token in source.contexts:
            listed = self.by_token.setdefault(token, [])
            if len(listed) < SOURCES_PER_TOKEN:
                listed.append(index)

    def _take(self, source: Source, index: int, text: _Text) -> None:
        for position, passage in enumerate(text.passages):
            context = SPAN if source.origin.taint else RECORD if passage.record else PROSE
            if text.moods[position][0]:
                context = SPAN
                self._mark(source, index, text, position)
            for token in text.units[position]:
                source.contexts[token] = source.contexts.get(token, 0) | context

    def _mark(self, source: Source, index: int, text: _Text, position: int) -> None:
        if len(source.spans) >= SPANS_PER_SOURCE or len(self.spans) >= SPANS_PER_SESSION:
            return
        around = range(max(0, position - NEIGHBOURS), min(len(text.passages), position + NEIGHBOURS + 1))
        near = [n for n in around if abs(n - position) <= 1 and not text.passages[n].record]
        about = max(text.moods[n][1] for n in around)
        strength = text.moods[position][0] * (ORDER_BASE + (1.0 - ORDER_BASE) * about)
        meddles = about >= (MEDDLING_DELEGATED if source.delegated else MEDDLING)
        if source.delegated and not meddles:
            strength *= DELEGATED_SHARE
        span = Span(
            named=named_in(
                [token for n in near for token in text.units[n]],
                [word for n in near for word in words(text.passages[n].text)],
            ),
            own=named_in(text.units[position], words(text.passages[position].text)),
            strength=strength,
            meddles=meddles,
            source=index,
        )
        for token in span.named.tokens:
            self.spans_of.setdefault(token, []).append(len(self.spans))
        source.spans.append(span)
        self.spans.append(span)
        self.exposure = max(self.exposure, span.strength)

    def names_place(self, parts: Sequence[str]) -> bool:
        """Whether the request names this place: in full, or as one says the name of a file without its ending."""
        if self.request_tokens.issuperset(parts):
            return True
        spoken = _place_stems(parts[0]) if len(parts) == 1 else ()
        return bool(spoken) and self.request_stems.issuperset(spoken)

    def names_site(self, parts: Sequence[str]) -> bool:
        """Whether the request names the site that an address leads to, as people do: without its endings."""
        host = parts[0].partition("/")[0].split(".") if len(parts) == 1 else []
        if len(host) < 2 or "@" in host[0]:
            return False
        return host[-2] in self.request_tokens or stem(host[-2]) in self.request_stems

    def holders(self, parts: Sequence[str]) -> list[int]:
        """Indices of the sources that hold every one of these tokens."""
        return _common(self.by_token, parts)

    def spans_with(self, parts: Sequence[str]) -> list[int]:
        """Indices of the order-like spans that hold every one of these tokens."""
        return _common(self.spans_of, parts)


def _common(places: Mapping[str, list[int]], parts: Sequence[str]) -> list[int]:
    """The places that all of these tokens have in common, in order."""
    lists = [places.get(part) for part in parts]
    found = [one for one in lists if one]
    if not found or len(found) < len(lists):
        return []
    return found[0] if len(found) == 1 else sorted(set(found[0]).intersection(*found[1:]))


@lru_cache(maxsize=REMEMBERED)
def _place_stems(part: str) -> tuple[str, ...]:
    """The stems of the words by which one would say the name of a place."""
    return tuple(stem(word) for word in words(part) if len(word) >= PLACE_LETTERS)


@lru_cache(maxsize=REMEMBERED)
def name_words(tool: str) -> tuple[str, ...]:
    """The words of a tool's name."""
    return tuple(piece for part in tool.replace("-", "_").split("_") for piece in split_name(part))


def request_named(ledger: Ledger) -> Named:
    """What the request names so far: the ledger's own growing sets, not copies."""
    return Named(ledger.request_tokens, ledger.request_stems, ledger.request_verbs, ledger.request_resources)
