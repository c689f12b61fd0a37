"""DECISION of the contract, and the sentences in it: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ioint_taxonomy import Envelope, Taxonomy
from msgspec import Struct

from ioint_node.reputation.beliefs import Belief, NetworkEffect
from ioint_node.reputation.gate import EFFECT
from ioint_node.scoring.evidence import text_of
from ioint_node.scoring.response import WIS_SAFE, Choice, is_harmless
from ioint_node.scoring.trust import Evidence
from ioint_node.scoring.values import Judgement, Reason, Response

UNCERTAIN_BELOW = 0.4  # confidence of the mapping under which a changing verb is at least told
CACHE_S = {"strict": 5, "standard": 30, "trusted": 120}
FORGOTTEN = "evidence is forgotten with time"


class Weighed(Struct, frozen=True, kw_only=True):
    """All that goes into one decision; `warning` says in a line what the network's largest effect comes from."""

    decision_id: str
    action_id: str
    judgement: Judgement
    wis: float
    left: float
    choice: Choice
    uncertain: bool
    trust: Mapping[str, Any]
    network: NetworkEffect
    warning: str
    changed: str
    enforce: bool
    budget: Mapping[str, Any]
    warnings: tuple[str, ...]
    alternative: Mapping[str, Any] | None


def is_uncertain(confidence: float, effect_class: str) -> bool:
    """Whether it is not sure what a tool does while it may change or send something.

    The verdict stays what it is; the response becomes at least `notify`. So that an unknown tool is never silent,
    and never a false block either.
    """
    return confidence < UNCERTAIN_BELOW and not is_harmless(effect_class)


def decision_of(weighed: Weighed, approval: Mapping[str, Any] | None, taxonomy: Taxonomy) -> dict[str, Any]:
    """DECISION, as JSON values; `approval` is what waits for a person, or was approved."""
    judgement, network = weighed.judgement, weighed.network
    step = judgement.step
    return {
        "decision_id": weighed.decision_id,
        "action_id": weighed.action_id,
        "verdict": judgement.verdict.value,
        "drift": round(judgement.drift, 4),
        "wis": round(weighed.wis, 4),
        "response": weighed.choice.response.value,
        "allowed": weighed.choice.allowed,
        "mode": "enforce" if weighed.enforce else "observe",
        "step": {
            "verb": step.verb,
            "resource": step.resource,
            "sensitivity": step.sensitivity,
            "boundary": step.boundary,
            "provenance": step.provenance,
            "flow": list(step.flow),
            "confidence": round(step.confidence, 4),
        },
        "reasons": [
            {"code": reason.code, "weight": round(reason.weight, 4), "text": reason.text}
            for reason in (*judgement.reasons, *reasons_of(weighed))
        ],
        "intents": [
            {
                "id": taxonomy.intents[slug].id if slug in taxonomy.intents else slug,
                "slug": slug,
                "p": round(p, 4),
            }
            for slug, p in judgement.intents
        ],
        "alternative": dict(weighed.alternative) if weighed.alternative else None,
        "trust": weighed.trust,
        "network": {
            "effect": network.effect,
            "tier": network.tier,
            "patterns": list(network.patterns),
            "age_s": network.age_s,
            "without": {"trust": weighed.trust["lower"], "response": weighed.choice.own.value},
            "off": network.off,
        },
        "cache_ttl_s": cache_ttl_s(weighed, taxonomy),
        "budget": weighed.budget,
        "approval": approval,
        "warnings": list(weighed.warnings),
    }


def cache_ttl_s(weighed: Weighed, taxonomy: Taxonomy) -> int:
    """For how long an engine may repeat this decision for the same action: only where nothing was asked for."""
    if weighed.choice.response is not Response.NONE or weighed.network.effect > 0.0:
        return 0
    if not is_harmless(taxonomy.verbs.get(weighed.judgement.step.verb, "run")):
        return 0
    return CACHE_S[weighed.trust["friction"]]


def reasons_of(weighed: Weighed) -> list[Reason]:
    """What besides the scoring's own signals bore on the response; a weight here is in the unit of its text."""
    found = []
    if weighed.network.effect > 0.0:
        tipped = "; at the edge of the declaration it makes a person's word necessary"
        text = weighed.warning + (tipped if weighed.choice.tipped else "")
        found.append(Reason(code="network", weight=weighed.network.effect, text=text))
    if weighed.uncertain:
        text = "it is not certain what this tool does, and it may change or send something"
        found.append(Reason(code="uncertain_mapping", weight=0.0, text=text))
    if weighed.wis < WIS_SAFE:
        text = (
            "the declaration has expired"
            if weighed.left <= 0.0
            else "carried too little by the declared intent"
        )
        found.append(Reason(code="wis", weight=round(weighed.wis - WIS_SAFE, 4), text=text))
    if "level" in weighed.choice.causes:
        text = f"trust {weighed.trust['lower']:.2f} is {weighed.trust['friction']}: changes are accompanied"
        found.append(Reason(code="level", weight=0.0, text=text))
    if "budget" in weighed.choice.causes:
        spent = "is spent" if weighed.budget["spent"] else "is due for a new look"
        text = f"the trust budget of this session {spent}: declare again, or let a person approve"
        found.append(Reason(code="budget", weight=0.0, text=text))
    if "state" in weighed.choice.causes:
        text = "this actor is halted until a person releases it"
        found.append(Reason(code="halted", weight=0.0, text=text))
    if "approved" in weighed.choice.causes:
        found.append(Reason(code="approved", weight=0.0, text="a person approved exactly this action"))
    if weighed.changed:
        found.append(Reason(code="composition_changed", weight=0.0, text=weighed.changed))
    return found


def warning_of(network: NetworkEffect, belief: Belief | None) -> str:
    """What the network says of the pattern with the largest effect, `belief` what is believed of it; "" for nothing."""
    if network.effect <= 0.0 or belief is None:
        return ""
    parts = [network_text(network, belief.groups)]
    if belief.reason == "attention":
        parts.append("a consensus, and acting on it is not measurably cheap here")
    if belief.effect < EFFECT.get(belief.tier, 0.0):
        parts.append(f"no more than {_short(belief.effect)} since our own record of it is clean")
    if network.effect < belief.effect and network.age_s is not None:
        parts.append(f"fading from {_short(belief.effect)}, nothing was heard for {_span(network.age_s)}")
    return "; ".join(parts)


def network_text(network: NetworkEffect, groups: int) -> str:
    """What the network says, in one line: "2 independent groups, precautionary, effect .05"."""
    named = f"{groups} independent group{'' if groups == 1 else 's'}"
    return f"{named}, {network.tier}, effect {_short(network.effect)}"


def evidence_text(evidence: Sequence[Evidence]) -> str:
    """Why local trust moved: the heaviest piece of evidence, in words."""
    if not evidence:
        return FORGOTTEN
    return text_of(max(evidence, key=lambda one: one.weight).kind)


def families_for(wanted: Envelope, taxonomy: Taxonomy, *, most: int = 3) -> tuple[str, ...]:
    """The families whose envelope holds what is wanted, the least risky first."""
    holding = [
        (family.risk, slug)
        for slug, family in taxonomy.families.items()
        if family.envelope.union(wanted, taxonomy) == family.envelope
    ]
    return tuple(slug for _, slug in sorted(holding)[:most])


def _short(effect: float) -> str:
    return f"{effect:.2f}".removeprefix("0")


def _span(seconds: int) -> str:
    return f"{seconds // 86_400} days" if seconds >= 2 * 86_400 else f"{seconds // 3_600} hours"
