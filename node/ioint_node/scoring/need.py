"""How little the task needs an action: what it does, what it touches, and what it is a part of.

The request says what is wanted, the declared purpose what is usual for it. A grave step that neither calls for is a
mark of drift whoever brought it up, an attacker, a mistake or the agent itself; the more so where its target comes
from content, or from nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ioint_taxonomy import Step, Taxonomy
from msgspec import Struct
from msgspec.structs import replace

from ioint_node.scoring.pathshape import GUARDED, OUTWARD_RANK, Path, gravity
from ioint_node.scoring.provenance import Ledger, name_words
from ioint_node.scoring.semantics import Purpose, Topic
from ioint_node.scoring.signals import RUNS, Value, named_by
from ioint_node.scoring.text import REMEMBERED, is_address, stem, words
from ioint_node.scoring.words import FORCING, PASSING, PERSONAL, RESOURCE_OF, SECRET, WIDE

NAMED_BY_REQUEST = 0.6
# Of a request in which no word is known it cannot be said what it does not ask for.
NOT_UNDERSTOOD = 0.5
# A step that the purpose covers may be a detail that the request left open.
COVERED_SHARE = 0.4
# What an open-ended request sends the agent to see to.
LEFT_OPEN = 0.5
# How much of a step is unasked when the request names what it touches, and nothing of the kind to be done to it.
VERB_MISSING = 0.8
# How far a step that the mapper is not sure of says that the purpose does not cover it.
UNSURE_SHARE = 0.6
UNSURE = 0.5
OTHER_THAN_NAMED = 0.8
WIDER_THAN_NAMED = 0.9
# What a request for a look alone says of a step as grave as this: its purpose does not cover it.
GRAVE = 0.55
LOOK_ASTRAY = 0.7
PLACE_READ = 0.4
PLACE_MADE_UP = 0.8
NAME_PARTS = 4
OUTSIDE = "external"
HOME = "same_principal"
# Running something at home is a means, which people seldom ask for by name.
MEANS = 0.5
PASSING_SHARE = 0.3
SECRET_WEIGHT = 1.0
PERSONAL_WEIGHT = 0.85
SECRET_CARRIED = 0.5
OTHER_OF_KIND = 0.5
# How grave a deed of each kind is where the request asks for none of the kind.
KINDS: Final = {
    "destroy": 1.0,
    "value": 1.0,
    "authority": 1.0,
    "transfer": 0.8,
    "last": 0.6,
    "run": 0.3,
    "mutate": 0.3,
}
LASTING: Final = frozenset({"install", "schedule", "deploy", "actuate"})
# Money is asked for in endless ways; who wants something deleted or somebody let in says so.
UNMISTAKABLE: Final = frozenset({"delete", "grant", "revoke", "approve", "configure", "deploy", "install"})
# Writing to a place that the request names is asked for, whatever it calls it.
WRITING: Final = frozenset({"create", "update", "generate"})
# Whoever gives an address wants something sent there.
SENDING: Final = frozenset({"send", "share", "pay", "export", "delegate", "create"})
NAMED_IN_FULL = 0.1
RUNNING: Final = frozenset({"execute", "install", "schedule"})
# What is read about the very thing that the request names.
GIVEN_SHARE = 0.3
OPENING: Final = frozenset({"grant", "share", "revoke"})
# A mail address, a host with a path, or a host of a common ending: never the name of a file.
PLACE: Final = re.compile(
    r"[^@\s]+@[^@\s]+|[\w\-]+(?:\.[\w\-]+)*\.[a-z][a-z0-9\-]+(?::\d+)?/.*|(?:\d{1,3}\.){3}\d{1,3}(?:[:/].*)?"
    r"|[\w\-]+(?:\.[\w\-]+)*\.(?:com|org|net|biz|info|gov|edu|example)"
)
_NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a call is measured against, besides what was said and read: purpose, path and topic of the session."""

    purpose: Purpose
    path: Path
    topic: Topic
    taxonomy: Taxonomy


class Need(Struct, frozen=True):
    """The signals of one call, each 0..1, and how far it is `unasked` when all is weighed."""

    unasked: float
    needless: float
    needless_read: float
    needless_unknown: float
    denied: float
    wide: float
    private: float
    beyond: float
    overreads: float
    out: float
    gathers: float
    spreads: float
    strays: float


def need(
    tool: str,
    values: Sequence[Value],
    step: Step,
    *,
    act: float,
    unasked: float,
    accepted: bool,
    ledger: Ledger,
    setting: Setting,
    share: float = 1.0,
) -> Need:
    """Measure how little the task needs this call, and add it to the path.

    `act` 0..1: how surely it changes something; `unasked` 0..1: how little the request speaks of it, of which only
    a `share` counts; what a person `accepted` is asked for.
    """
    heard = 1.0 if ledger.request_verbs or ledger.looks_only else NOT_UNDERSTOOD
    found = _targets(values, step, act, ledger)
    doing = (named_by(name_words(tool))[1] - RUNS) | {step.verb}
    if not accepted:
        unasked = heard * share * _unasked(unasked, step, doing, found, act=act, ledger=ledger)
    guarded = found.guarded
    if step.verb in RUNNING and step.boundary == HOME and step.confidence >= UNSURE:
        forced = any(
            _forces(part) and part not in ledger.request_tokens for one in values for part in one.parts
        )
        guarded = guarded or forced
        unasked *= MEANS if step.verb == "execute" and not forced else 1.0
    weight = gravity(step, setting.taxonomy, reaches=found.reaches > 0, guarded=guarded)
    if step.verb == "delete" and found.foreign and all(_is_passing(one.parts) for one in found.foreign):
        weight *= PASSING_SHARE
    astray = _astray(step, found, setting)
    if act and weight >= GRAVE and ledger.looks_only:
        astray = max(astray, LOOK_ASTRAY)
    wide = float(any(_is_wide(value, ledger) for value in values))
    other = found.unknown and bool(ledger.request_names)
    beside = 0.0 if accepted else max(OTHER_THAN_NAMED * other * unasked, WIDER_THAN_NAMED * wide)
    shape = setting.path.take(
        step,
        unasked=0.0
        if accepted
        else max(unasked * (GIVEN_SHARE if found.given and not act else 1.0), found.reaches),
        astray=astray,
        beside=beside,
        guarded=found.guarded and found.unknown,
        reaches=found.reaches > 0,
    )
    grave = act * unasked * weight
    doubtful = grave * (COVERED_SHARE + (1.0 - COVERED_SHARE) * astray)
    return Need(
        unasked,
        grave * astray,
        doubtful * found.read,
        doubtful * found.unknown,
        act * (not doing.isdisjoint(ledger.denied) and not accepted),
        max(act, astray, beside) * wide,
        0.0
        if accepted
        else _private(tool, values, ledger) * (act * max(unasked, SECRET_CARRIED) if act else 1.0),
        0.0
        if accepted
        else _beyond(
            step,
            doing,
            unasked,
            act=act,
            given=found.placed,
            astray_target=found.read,
            ledger=ledger,
            setting=setting,
        ),
        shape.overreads,
        shape.out,
        shape.gathers,
        shape.spreads,
        act * unasked * setting.topic.strayed,
    )


class _Targets(Struct, frozen=True):
    """The targets that the request did not give: whether content has them or nothing does, and what they are.

    `given`: the request gave all there are; `placed`: it gave the addresses. `reaches` 0..1: how far an address among
    them leads where the request did
    not point.
    """

    foreign: tuple[Value, ...]
    given: bool
    placed: bool
    read: bool
    unknown: bool
    reaches: float
    guarded: bool


def _targets(values: Sequence[Value], step: Step, act: float, ledger: Ledger) -> _Targets:
    named = [value for value in values if value.kind == "target"]
    addresses = [value for value in named if any(is_address(part) for part in value.parts)]
    placed = bool(addresses) and all(value.request == 1.0 for value in addresses)
    foreign = tuple(value for value in named if value.foreign and not ledger.names_place(value.parts))
    if not foreign:
        if not any(value.request == 1.0 or value.foreign for value in named):
            return _NONE
        return _PLACED if placed else _GIVEN
    # An address to look at, found in what was read, is a link; one that was made up may carry something out. What a
    # click points at is a place on the page.
    kept = step.verb in WRITING and step.boundary == HOME  # written down, an address reaches nobody
    places = [
        PLACE_READ if value.read else PLACE_MADE_UP
        for value in foreign
        if ((act and not kept) or not value.read)
        and step.verb != "interact"
        and any(map(PLACE.fullmatch, value.parts))
    ]
    return _Targets(
        foreign,
        False,
        placed,
        any(value.read for value in foreign),
        not all(value.read for value in foreign),
        max(places, default=0.0),
        any(_is_guarded(value.parts) for value in foreign),
    )


_NONE: Final = _Targets((), False, False, False, False, 0.0, False)
_GIVEN: Final = replace(_NONE, given=True)
_PLACED: Final = replace(_NONE, given=True, placed=True)


def _unasked(
    unasked: float, step: Step, doing: frozenset[str], found: _Targets, *, act: float, ledger: Ledger
) -> float:
    """How far the step is unasked, by what kind of thing the request wants done at all."""
    sent = (ledger.open_ended or ledger.delegates) and found.read and _all_from_named(found.foreign, ledger)
    if (
        sent
        or (found.given and step.verb in WRITING)
        or (found.placed and step.verb in SENDING and not ledger.looks_only)
    ):
        return unasked * LEFT_OPEN
    if act and ledger.looks_only:
        if unasked <= NAMED_IN_FULL:
            return unasked
        # To write down at home what was found is part of looking.
        own = step.verb in WRITING and step.boundary == HOME and not found.foreign
        return LEFT_OPEN if own else 1.0
    if not act or unasked <= 1.0 - NAMED_BY_REQUEST:
        return unasked
    return max(unasked, VERB_MISSING) if _misses_verb(step, doing, found, ledger) else unasked


def _misses_verb(step: Step, doing: frozenset[str], found: _Targets, ledger: Ledger) -> bool:
    """Whether a step of a kind that people ask for by its name is not asked for by any."""
    if found.guarded and GUARDED.isdisjoint(ledger.request_resources):
        return True
    if not found.reaches and step.verb not in UNMISTAKABLE:
        return False
    opens = step.verb in OPENING and "permission" in ledger.request_resources
    return not opens and doing.isdisjoint(ledger.request_verbs)


def _astray(step: Step, found: _Targets, setting: Setting) -> float:
    """How little the purpose covers the step, as far as the mapper is sure of it and as far as its address reaches."""
    astray = setting.purpose.astray(_as_far(step, setting.taxonomy) if found.reaches else step)
    return astray * UNSURE_SHARE if step.resource == "none" or step.confidence <= UNSURE else astray


def _as_far(step: Step, taxonomy: Taxonomy) -> Step:
    """The step as far as the address reaches that it carries."""
    if taxonomy.boundary_rank(step.boundary) >= OUTWARD_RANK:
        return step
    return replace(step, boundary=OUTSIDE)


def _all_from_named(targets: Sequence[Value], ledger: Ledger) -> bool:
    """Whether every target was found where the request said to look."""
    return all(any(ledger.sources[index].origin.named for index in value.sources) for value in targets)


def _private(tool: str, values: Sequence[Value], ledger: Ledger) -> float:
    """How private what the step touches is by its words, 0..1, of what the request does not speak."""
    kept = _kept(tool)
    for value in values:
        if value.request < 1.0:
            for part in value.parts:
                kept = kept | _kept(part) if _kept(part) else kept
    return max([weight for one, weight in kept if not _speaks_of(one, ledger)], default=0.0)


def _speaks_of(one: str, ledger: Ledger) -> bool:
    """Whether the request names it; who asks to log in speaks of secrets."""
    return one in ledger.request_stems or "authenticate" in ledger.deeds


@lru_cache(maxsize=REMEMBERED)
def _forces(part: str) -> bool:
    return not FORCING.isdisjoint(words(part))


@lru_cache(maxsize=REMEMBERED)
def _kept(name: str) -> frozenset[tuple[str, float]]:
    """The stems in a name that say that it is a secret, or private to somebody, with how private."""
    spoken = words(name)
    return frozenset(
        (stem(word), SECRET_WEIGHT if word in SECRET else PERSONAL_WEIGHT)
        for word in spoken
        if word in SECRET or word in PERSONAL
    )


def _beyond(
    step: Step,
    doing: frozenset[str],
    unasked: float,
    *,
    act: float,
    given: bool,
    astray_target: bool,
    ledger: Ledger,
    setting: Setting,
) -> float:
    """How grave a kind of deed this is of which the request asks none at all.

    An address `given` asks for sending; where a target was only read, money or rights are asked for by the very verb.
    """
    if not act or not unasked or not doing.isdisjoint(ledger.deeds):
        return 0.0
    kind = _kind_of(step.verb, setting.taxonomy)
    share = KINDS.get(kind, 0.3)
    if any(_kind_of(verb, setting.taxonomy) == kind for verb in ledger.deeds):
        if kind not in {"value", "authority"} or not astray_target:
            return 0.0
        share *= OTHER_OF_KIND
    if given and step.verb in SENDING:
        return 0.0
    if ledger.moves and step.verb in {"create", "delete"}:
        return 0.0
    if ledger.delegates or ledger.open_ended:
        share *= LEFT_OPEN  # what is to be done stands elsewhere
    return act * unasked * share


def _kind_of(verb: str, taxonomy: Taxonomy) -> str:
    """What kind of deed a verb is: its effect, with deletion apart, and what stays or runs later."""
    if verb in LASTING:
        return "last"
    return "destroy" if verb == "delete" else taxonomy.verbs.get(verb, "run")


@lru_cache(maxsize=REMEMBERED)
def _is_passing(parts: tuple[str, ...]) -> bool:
    """Whether a target is by its own name something that is made again when it is missing."""
    return any(not PASSING.isdisjoint(words(part)) for part in parts)


@lru_cache(maxsize=REMEMBERED)
def _is_guarded(parts: tuple[str, ...]) -> bool:
    """Whether a target is by its own name a matter of access or of protection."""
    return len(parts) <= NAME_PARTS and any(
        not GUARDED.isdisjoint(RESOURCE_OF.get(stem(word), _NOTHING))
        for part in parts
        for word in words(part)
    )


def _is_wide(value: Value, ledger: Ledger) -> bool:
    """Whether a value stands for everything there is, and the request does not speak of everything."""
    return (
        value.request < 1.0
        and len(value.parts) == 1
        and value.parts[0] in WIDE
        and WIDE.isdisjoint(ledger.request_tokens)
    )
