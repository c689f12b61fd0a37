"""Which risky intents a drifting action points to: a documented rule over the step, its origin and its path.

Each rule gives an intent of the taxonomy a share of the drift. The probability of an intent is the largest share that
any rule gives it; catalogue patterns that this session completed speak at full share for the intents they name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from ioint_taxonomy import Step, Taxonomy

UNTRUSTED: Final = frozenset({"third_party_content", "public_web", "tool_output", "memory", "agent_message"})
INTENTS_PER_ACTION = 5
INTENT_FLOOR = 0.1
Shares = tuple[tuple[str, float], ...]
_BY_EFFECT: Final[Mapping[str, Shares]] = {"value": (("financial_harm", 0.85),)}
_BY_VERB: Final[Mapping[str, Shares]] = {
    "delete": (("destructive_action", 0.85),),
    "grant": (("permission_tampering", 0.8),),
    "revoke": (("permission_tampering", 0.8),),
    "share": (("permission_tampering", 0.8),),
    "execute": (("unexpected_code_execution", 0.5),),
    "install": (("unexpected_code_execution", 0.5),),
    "deploy": (("unexpected_code_execution", 0.5),),
    "schedule": (("unrequested_persistence", 0.6),),
    "actuate": (("physical_harm", 0.6),),
}
_BY_CHANGED: Final[Mapping[str, Shares]] = {
    "secret": (("account_takeover", 0.8),),
    "identity": (("account_takeover", 0.8),),
    "permission": (("permission_tampering", 0.8),),
    "security_control": (("defence_impairment", 0.7),),
    "log": (("defence_impairment", 0.7),),
    "prompt": (("agent_config_tampering", 0.6),),
    "tool": (("agent_config_tampering", 0.6),),
    "agent": (("agent_config_tampering", 0.6),),
    "memory": (("memory_poisoning", 0.7),),
}
_SENSITIVE = 2
_OUTWARD = 3


def intents_of(
    step: Step,
    path: Sequence[Step],
    *,
    drift: float,
    departures: Sequence[str],
    named_by_patterns: Iterable[str],
    taxonomy: Taxonomy,
) -> tuple[tuple[str, float], ...]:
    """Intents of the taxonomy with probabilities 0..1, most likely first, at most `INTENTS_PER_ACTION`."""
    if drift < INTENT_FLOOR:
        return ()  # no intent is likelier than the drift that it explains
    found: dict[str, float] = {}
    for slug, share in _shares(step, path, departures, taxonomy):
        found[slug] = max(found.get(slug, 0.0), share * drift)
    for slug in named_by_patterns:
        found[slug] = max(found.get(slug, 0.0), drift)
    known = [
        (slug, round(p, 4)) for slug, p in found.items() if slug in taxonomy.intents and p >= INTENT_FLOOR
    ]
    known.sort(key=lambda pair: (-pair[1], -taxonomy.intents[pair[0]].risk, pair[0]))
    return tuple(known[:INTENTS_PER_ACTION])


def _shares(
    step: Step, path: Sequence[Step], departures: Sequence[str], taxonomy: Taxonomy
) -> Iterator[tuple[str, float]]:
    effect = taxonomy.verbs.get(step.verb, "run")
    yield "tool_misuse", 0.4
    yield from _origin(step, departures)
    yield from _BY_VERB.get(step.verb, ())
    yield from _BY_EFFECT.get(effect, ())
    if effect in {"mutate", "run", "authority"}:
        yield from _BY_CHANGED.get(step.resource, ())
    elif step.resource in {"secret", "identity"}:
        yield "credential_harvesting", 0.7
    if effect == "transfer" and taxonomy.boundary_rank(step.boundary) >= _OUTWARD:
        carried = [path[index] for index in step.flow if index < len(path)]
        sensitive = any(taxonomy.sensitivity_rank(one.sensitivity) >= _SENSITIVE for one in carried)
        yield ("external_exfiltration", 0.85) if sensitive else ("confused_deputy", 0.5)


def _origin(step: Step, departures: Sequence[str]) -> Iterator[tuple[str, float]]:
    if step.provenance == "memory":
        yield "memory_poisoning", 0.9
    if step.provenance in UNTRUSTED:
        yield "goal_hijack", 0.9
        yield "indirect_injection", 0.8
    elif departures:
        yield "scope_expansion", 0.6
        yield "goal_drift", 0.5
