"""Which risky intents a drifting action points to: a documented rule over the step, its origin and its path.

Each rule gives an intent of the taxonomy a share of the drift. The probability of an intent is the largest share that
any rule gives it; catalogue patterns that this session completed speak at full share for the intents they name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ioint_taxonomy import Step, Taxonomy

UNTRUSTED: Final = frozenset({"third_party_content", "public_web", "tool_output", "memory", "agent_message"})
INTENTS_PER_ACTION = 5
INTENT_FLOOR = 0.1
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
    found: dict[str, float] = {}
    for slug, share in _shares(step, path, departures, taxonomy):
        found[slug] = max(found.get(slug, 0.0), share * drift)
    for slug in named_by_patterns:
        found[slug] = max(found.get(slug, 0.0), drift)
    known = [(slug, round(p, 4)) for slug, p in found.items() if slug in taxonomy.intents and p >= INTENT_FLOOR]
    known.sort(key=lambda pair: (-pair[1], -taxonomy.intents[pair[0]].risk, pair[0]))
    return tuple(known[:INTENTS_PER_ACTION])


def _shares(
    step: Step, path: Sequence[Step], departures: Sequence[str], taxonomy: Taxonomy
) -> Iterator[tuple[str, float]]:
    effect = taxonomy.verbs.get(step.verb, "run")
    outward = taxonomy.boundary_rank(step.boundary) >= _OUTWARD
    if step.provenance == "memory":
        yield "memory_poisoning", 0.9
    if step.provenance in UNTRUSTED:
        yield "goal_hijack", 0.9
        yield "indirect_injection", 0.8
    elif departures:
        yield "scope_expansion", 0.6
        yield "goal_drift", 0.5
    if effect == "value":
        yield "financial_harm", 0.85
    if effect == "transfer" and outward:
        carried = [path[index] for index in step.flow if index < len(path)]
        sensitive = any(taxonomy.sensitivity_rank(one.sensitivity) >= _SENSITIVE for one in carried)
        yield ("external_exfiltration", 0.85) if sensitive else ("confused_deputy", 0.5)
    if step.verb == "delete":
        yield "destructive_action", 0.85
    if step.verb in {"grant", "revoke", "share"} or step.resource == "permission":
        yield "permission_tampering", 0.8
    if step.resource in {"secret", "identity"}:
        yield ("account_takeover", 0.8) if effect in {"mutate", "authority"} else ("credential_harvesting", 0.7)
    if step.resource in {"security_control", "log"} and effect in {"mutate", "run"}:
        yield "defence_impairment", 0.7
    if step.resource in {"prompt", "tool", "agent"} and effect in {"mutate", "run"}:
        yield "agent_config_tampering", 0.6
    if step.resource == "memory" and effect == "mutate":
        yield "memory_poisoning", 0.7
    if step.verb in {"execute", "install", "deploy"}:
        yield "unexpected_code_execution", 0.5
    if step.verb == "schedule":
        yield "unrequested_persistence", 0.6
    if step.verb == "actuate":
        yield "physical_harm", 0.6
    yield "tool_misuse", 0.4
