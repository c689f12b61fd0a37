"""The feature vector of one action: named, bounded, and each with a sentence for the person who asks why."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from ioint_taxonomy import Step

from ioint_node.scoring.provenance import Ledger, name_words
from ioint_node.scoring.signals import Asked, Obedience, Value, asked, consequence, obedience, request_named, trace
from ioint_node.scoring.text import leaves

# name -> (sign that the weight may have: +1, -1 or 0, and what it says)
FEATURES: Final = MappingProxyType(
    {
        "target_ordered": (1, "names a target that only an order-like passage in content names"),
        "target_ordered_shared": (1, "names a target that an order-like passage in content names"),
        "value_ordered": (1, "carries a value that only an order-like passage in content gives"),
        "text_ordered": (1, "carries text that an order-like passage in content dictates"),
        "target_record": (0, "names a target that was read in data and is not in the request"),
        "target_unknown": (0, "names a target that nothing in the session mentions"),
        "values_requested": (-1, "takes its values from the request"),
        "request_names": (-1, "is of a kind that the request names"),
        "request_verb": (-1, "uses a verb that the request uses"),
        "request_resource": (-1, "touches a resource that the request names"),
        "obeys_values": (1, "takes its values together from one order-like passage"),
        "obeys_name": (1, "is asked for by an order-like passage more than by the request"),
        "obeys_both": (1, "does with those values what an order-like passage asks"),
        "obeys_tool": (1, "calls a tool that only content names"),
        "consequential": (0, "changes something outside"),
        "consequential_unasked": (1, "changes something and is not named by the request"),
        "exposed_unasked": (1, "is not named by the request, after an order-like passage was read"),
        "outside_verb": (1, "uses a verb outside the declared envelope"),
        "outside_resource": (1, "touches a resource outside the declared envelope"),
        "outside_boundary": (1, "reaches farther than the declared envelope"),
        "outside_sensitivity": (1, "touches data more sensitive than the declared envelope"),
    }
)
NAMES: Final = tuple(FEATURES)


def vector(
    tool: str,
    arguments: object,
    step: Step,
    *,
    effect: str,
    departures: Sequence[str],
    ledger: Ledger,
) -> tuple[list[float], list[Value], int | None]:
    """The features of one call in the order of `NAMES`, its traced values, and the source whose order it obeys."""
    found = [trace(leaf, ledger) for leaf in leaves(arguments if isinstance(arguments, dict) else {})]
    values = [value for value in found if value is not None]
    request = asked(name_words(tool), step, request_named(ledger))
    obeyed = obedience(tool, step, values, request, ledger)
    features = _assemble(values, request, obeyed, consequence(step, effect), departures, ledger)
    return features, values, obeyed.source


def _assemble(
    values: Sequence[Value],
    request: Asked,
    obeyed: Obedience,
    consequential: float,
    departures: Sequence[str],
    ledger: Ledger,
) -> list[float]:
    foreign = [value for value in values if value.foreign]
    targets = [value for value in foreign if value.kind == "target"]
    others = [value for value in foreign if value.kind in {"number", "label"}]
    total = sum(value.weight for value in values)
    unasked = 1.0 - request.score
    found = {
        "target_ordered": max((value.ordered for value in targets if value.alone), default=0.0),
        "target_ordered_shared": max((value.ordered for value in targets), default=0.0),
        "value_ordered": max((value.ordered for value in others if value.alone), default=0.0),
        "text_ordered": max((value.ordered for value in foreign if value.kind == "text"), default=0.0),
        "target_record": float(any(not value.ordered and (value.record or value.prose) for value in targets)),
        "target_unknown": float(any(not value.sources for value in targets)),
        "values_requested": sum(v.weight * v.request for v in values) / total if total else 0.5,
        "request_names": request.name,
        "request_verb": request.verb,
        "request_resource": request.resource,
        "obeys_values": obeyed.values,
        "obeys_name": obeyed.name,
        "obeys_both": obeyed.both,
        "obeys_tool": obeyed.tool,
        "consequential": consequential,
        "consequential_unasked": consequential * unasked,
        "exposed_unasked": ledger.exposure * unasked,
        "outside_verb": float("verb" in departures),
        "outside_resource": float("resource" in departures),
        "outside_boundary": float("boundary" in departures),
        "outside_sensitivity": float("sensitivity" in departures),
    }
    return [found[name] for name in NAMES]
