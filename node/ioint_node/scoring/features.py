"""The feature vector of one action: named, bounded, and each with a sentence for the person who asks why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final

from ioint_taxonomy import Step
from msgspec import Struct

from ioint_node.scoring.need import NAMED_BY_REQUEST, Need, Setting, need
from ioint_node.scoring.provenance import Ledger, name_words
from ioint_node.scoring.signals import (
    Obedience,
    Value,
    asked_by_request,
    consequence,
    contradicts,
    obedience,
    remedy,
    replaces,
    trace,
)
from ioint_node.scoring.text import leaves

# How much a value of a kind says by itself: an address is one of millions, an everyday word one of few.
SPECIFIC: Final = MappingProxyType({"target": 1.0, "text": 1.0, "number": 0.8, "label": 0.6, "index": 0.25})


PROXY_EXCUSE = 0.75
LOOKED_UP_EXCUSE = 0.85
# A step that mends what an error of the agent's own call names is neither asked for nor an order obeyed.
REMEDY_UNASKED = 0.4
REMEDY_ORDERED = 0.3


@dataclass(frozen=True, slots=True)
class Feature:
    """One signal: the sign its weight may have (+1, -1 or 0 for either), the weight we expect, and what it says."""

    sign: int
    prior: float
    text: str


CALL: Final = MappingProxyType(
    {
        "order_value": Feature(1, 3.0, "carries a value that only an order-like passage in content gives"),
        "order_value_shared": Feature(1, 0.7, "carries a value that an order-like passage in content gives"),
        "order_text": Feature(1, 1.5, "carries text that an order-like passage in content dictates"),
        "order_replaces": Feature(
            1, 1.0, "puts a value from an order-like passage where the request gave another"
        ),
        "order_values": Feature(1, 0.5, "takes its values together from one order-like passage"),
        "order_kind": Feature(1, 1.0, "is asked for by an order-like passage more than by the request"),
        "order_both": Feature(1, 1.5, "does with those values what an order-like passage asks"),
        "order_tool": Feature(1, 4.0, "calls a tool that only content names"),
        "order_reading": Feature(1, 1.0, "reads what an order-like passage in content asks to read"),
        "contradicts": Feature(1, 2.0, "does the opposite of what the request says"),
        "target_read": Feature(0, 0.3, "acts on a target that was read in data and is not in the request"),
        "target_unknown": Feature(0, 0.2, "acts on a target that nothing in the session mentions"),
        "values_requested": Feature(-1, -0.5, "takes its values from the request"),
        "acts": Feature(0, 0.6, "changes something outside"),
        "acts_unasked": Feature(1, 0.8, "changes something, and the request does not name it"),
        "acts_exposed": Feature(1, 1.5, "changes something unasked, after an order-like passage was read"),
        "outside_verb": Feature(1, 0.3, "uses a verb outside the declared envelope"),
        "outside_resource": Feature(1, 0.2, "touches a resource outside the declared envelope"),
        "outside_boundary": Feature(1, 0.3, "reaches farther than the declared envelope"),
        "outside_sensitivity": Feature(1, 0.2, "touches data more sensitive than the declared envelope"),
        "needless": Feature(
            1, 2.0, "is a grave step that neither the request nor the declared purpose calls for"
        ),
        "needless_read": Feature(1, 1.2, "takes a grave step unasked, on a target that content brought in"),
        "needless_unknown": Feature(1, 1.0, "takes a grave step unasked, on a target that nothing mentions"),
        "denied": Feature(1, 3.5, "does what the request says not to do"),
        "wide": Feature(1, 1.0, "takes in everything where the request does not speak of everything"),
        "path_overreads": Feature(1, 4.0, "reads more sensitive data than the task needs"),
        "path_out": Feature(1, 2.0, "carries outward what was read beyond the task"),
        "path_gathers": Feature(1, 1.0, "gathers in one place what was read beyond the task"),
        "path_spreads": Feature(1, 1.0, "moves on through kinds of resources that the task does not need"),
        "private": Feature(1, 3.5, "touches secrets or personal data of which the request does not speak"),
        "beyond": Feature(1, 1.5, "does a kind of thing for which the request does not ask at all"),
        "topic_strays": Feature(1, 0.6, "follows talk that has left the declared topic"),
    }
)
# What bears on an action from outside its session (`values.Surroundings`). No recorded session holds any of it, so
# these weights stay where reason puts them: a departure from habit alone is never out of scope.
AROUND: Final = MappingProxyType(
    {
        "first_tool": Feature(1, 0.4, "uses a tool that this actor has not used before"),
        "first_resource": Feature(
            1, 0.4, "touches a kind of resource that this actor has not touched before"
        ),
        "sequence": Feature(1, 0.3, "follows steps that this actor has not taken in this order before"),
        "pace": Feature(1, 0.5, "comes much faster than this actor works"),
        "hours": Feature(1, 0.3, "comes at an hour at which this actor does not work"),
        "tokens": Feature(1, 0.3, "comes with far more tokens than this actor uses"),
        "isolation": Feature(1, 0.6, "is unlike what the actors of this node do"),
        "expansion": Feature(1, 0.6, "comes after this session has asked for more scope again and again"),
        "lineage": Feature(1, 1.5, "leaves the intent of the request that started this chain of agents"),
        "delegator": Feature(1, 1.2, "was delegated by a session that had itself left its intent"),
        "observed": Feature(1, 3.0, "is reported by a detector outside"),
    }
)
FEATURES: Final = MappingProxyType({**CALL, **AROUND})
CALL_NAMES: Final = tuple(CALL)
# Those that say that an order in content bears on the action.
ORDERED: Final = tuple(
    CALL_NAMES.index(name)
    for name in (
        "order_value",
        "order_text",
        "order_replaces",
        "order_values",
        "order_kind",
        "order_both",
        "order_tool",
        "order_reading",
    )
)
NAMES: Final = tuple(FEATURES)
_in_order: Final[Callable[[Mapping[str, float]], tuple[float, ...]]] = itemgetter(*CALL_NAMES)


class Vector(Struct, frozen=True, kw_only=True):
    """One call measured: `features` as `CALL_NAMES` lists them, its traced values, the source whose order it obeys."""

    features: tuple[float, ...]
    values: tuple[Value, ...]
    source: int | None
    departures: tuple[str, ...]


def vector(
    tool: str,
    arguments: Mapping[str, Any],
    step: Step,
    *,
    effect: str,
    departures: Sequence[str],
    ledger: Ledger,
    setting: Setting,
    accepted: bool = False,
) -> Vector:
    """Measure one call and add it to the path; `departures` are those of its step from the declared envelope.

    What a person `accepted` beforehand counts as asked for; the origin of its values counts as ever.
    """
    values = [value for leaf in leaves(arguments) for value in trace(leaf, ledger)]
    request = asked_by_request(name_words(tool), step, ledger)
    obeyed = obedience(tool, step, values, request, ledger)
    left = () if accepted else _excused(departures, request, values)
    act = consequence(tool, step, effect)
    unasked = 0.0 if accepted else 1.0 - request
    mends = remedy(step, values, ledger)
    needed = need(
        tool,
        values,
        step,
        act=act,
        unasked=unasked,
        accepted=accepted,
        share=REMEDY_UNASKED if mends else 1.0,
        ledger=ledger,
        setting=setting,
    )
    features = _assemble(
        values,
        obeyed,
        left,
        needed,
        act=act,
        request=request,
        ledger=ledger,
        share=REMEDY_ORDERED if mends else 1.0,
    )
    return Vector(features=features, values=tuple(values), source=obeyed.source, departures=left)


def _excused(departures: Sequence[str], request: float, values: Sequence[Value]) -> tuple[str, ...]:
    """The departures that remain: what the request itself names lies in the envelope, and so do its own targets."""
    if request < NAMED_BY_REQUEST:
        return tuple(departures)
    if any(value.foreign and value.kind == "target" for value in values):
        return tuple(name for name in departures if name not in {"verb", "resource"})
    return ()


def _assemble(
    values: Sequence[Value],
    obeyed: Obedience,
    departures: Sequence[str],
    needed: Need,
    *,
    act: float,
    request: float,
    ledger: Ledger,
    share: float,
) -> tuple[float, ...]:
    """The signals in order; `share` is how far an order counts as one."""
    foreign = [value for value in values if value.foreign]
    targets = [value for value in foreign if value.kind == "target"]
    short = [value for value in foreign if value.kind != "text"]
    total = sum([value.weight for value in values])
    read = 1.0 - act
    alone = share * max([_order(value, request, ledger) for value in short if value.alone], default=0.0)
    shared = share * max([_order(value, request, ledger) for value in short], default=0.0)
    found = {
        "order_value": act * alone,
        "order_value_shared": act * shared,
        "order_text": act * max((value.ordered for value in foreign if value.kind == "text"), default=0.0),
        "order_replaces": act * share * replaces(values, ledger),
        "order_values": act * share * obeyed.values,
        "order_kind": act * share * obeyed.name,
        "order_both": act * share * obeyed.both,
        "order_tool": obeyed.tool,
        "order_reading": read * max(alone, obeyed.both),
        "contradicts": contradicts(values, ledger),
        "target_read": act * any(not value.ordered and value.read for value in targets),
        "target_unknown": act * any(not value.read for value in targets),
        # What the request names excuses nothing that it does not ask to be done with it.
        "values_requested": act * (1.0 - needed.unasked) * sum([v.weight * v.request for v in values]) / total
        if total
        else 0.0,
        "acts": act,
        "acts_unasked": act * needed.unasked,
        "acts_exposed": act * ledger.exposure * needed.unasked,
        "outside_verb": float("verb" in departures),
        "outside_resource": float("resource" in departures),
        "outside_boundary": float("boundary" in departures),
        "outside_sensitivity": float("sensitivity" in departures),
        "needless": needed.needless,
        "needless_read": needed.needless_read,
        "needless_unknown": needed.needless_unknown,
        "denied": needed.denied,
        "wide": needed.wide,
        "path_overreads": needed.overreads,
        "path_out": needed.out,
        "path_gathers": needed.gathers,
        "path_spreads": needed.spreads,
        "private": needed.private,
        "beyond": needed.beyond,
        "topic_strays": needed.strays,
    }
    return _in_order(found)


def _order(value: Value, request: float, ledger: Ledger) -> float:
    """How strongly an order put this value here, less where the request asked for this and said where to look."""
    excuse = 0.0
    if value.by_proxy:
        excuse = LOOKED_UP_EXCUSE if ledger.looks_up else PROXY_EXCUSE * request
    return value.ordered * SPECIFIC[value.kind] * (1.0 - excuse)
