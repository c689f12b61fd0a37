"""The indicator row of the contract and the one line that says why, from the network part and the local part."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

from ioint_protocol import Pattern
from ioint_taxonomy import Catalogue, Taxonomy

from ioint_node.reputation.gate import Gate, Grounds, Local, Params
from ioint_node.reputation.rule import LIFE_DAYS, MICRO, Network

SILENT: Final = frozenset({"unknown", "withdrawn"})
"""The states of what nobody's live record says anything of."""
_HEX_64: Final = re.compile(r"[0-9a-f]{64}")
LOCAL_WORDS: Final[Mapping[str, str]] = {
    "no_accusation": "nobody accuses it now",
    "allowed_here": "allowed here by a person",
    "only_our_own": "only we report it: our own evidence already counts",
    "too_broad": "it could be much ordinary work: not specific enough",
    "no_place": "as many novel patterns are matched here as the limit takes, and older ones come first",
    "over_quota": "its reporters made more first reports this week than count",
    "new_here": "its reporters are new here: shown for a while before it acts",
    "often_wrong_here": "its reporters often said otherwise than what we saw ourselves",
    "quarantined": "too many of our agents meet it in ordinary work: waits for a person",
    "switched_off": "the effects of the network are switched off here",
    "not_cheap_here": "acting on it is not measurably cheap here",
    "attention": "consensus, and acting on it is not measurably cheap here: attention only",
    "over_budget": "the tolerance is used up by patterns that more groups report or that cost less",
    "own_record_clean": "our own record speaks for it: capped",
    "precautionary": "acting on it is cheap here: precaution",
    "disputed": "disputed, or under review: a small effect",
    "corroborated": "corroborated, and acting on it is cheap here",
    "own_evidence": "our own flagged sessions with it corroborate what others accuse",
    "consensus": "consensus, and acting on it is cheap here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the live records say beside their voices: who was first, and days.

    `until_day` is the day on which it ends to be valid (`valid_until`). `pattern` is the novel pattern itself where
    there is one.
    """

    intents: tuple[str, ...]
    first_reporter: str
    first_day: int
    last_day: int
    until_day: int
    tlp: str
    pattern: Pattern | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """What this node saw of it itself within 30 days: sessions, and actors."""

    sessions: int
    actors: int


def indicator_id(subject: str) -> str:
    """The id of an indicator: the pattern's, or the SHA-256 of a public subject."""
    return subject if _HEX_64.fullmatch(subject) else hashlib.sha256(subject.encode()).hexdigest()


def valid_until(state: str, last_day: int, today: int) -> int:
    """The UTC day on which what was said last on a day ends to be valid, given the state of today.

    While it is believed, that is the end of a record's life. What was taken back, or is heard no more before its time,
    is valid no longer than it was seen: a reader who looks at this day alone is told what the state tells.
    """
    end = last_day + LIFE_DAYS
    return end if end <= today or state not in SILENT else min(last_day, today)


def label_of(subject: str, catalogue: Catalogue) -> str:
    """What people read in the place of an id: the title of an entry, or the name of a public subject."""
    if (entry := catalogue.entries.get(subject)) is not None:
        return entry.title
    return f"novel pattern {subject[:12]}" if _HEX_64.fullmatch(subject) else subject


def trend(score: int, a_week_ago: int) -> str:
    """Where a score is going: rising, falling or steady."""
    if score == a_week_ago:
        return "steady"
    return "rising" if score > a_week_ago else "falling"


def indicator_row(
    subject: str,
    *,
    network: Network,
    local: Local,
    grounds: Grounds,
    params: Params,
    facts: Facts,
    seen: Sightings,
    trend: str,
    taxonomy: Taxonomy,
    catalogue: Catalogue,
) -> dict[str, Any]:
    """The indicator row of the contract, without its `seq`."""
    entry = catalogue.entries.get(subject)
    is_pattern = _HEX_64.fullmatch(subject) is not None
    return {
        "id": indicator_id(subject),
        "kind": "pattern" if is_pattern else "subject",
        "label": label_of(subject, catalogue),
        "intents": list(facts.intents),
        "layer": _layer(facts.intents, taxonomy),
        "declared": _declared(entry.pattern if entry else None, facts.pattern),
        "state": network.state,
        "score": network.score,
        "confidence": network.confidence,
        "tier": local.tier,
        "effect": local.effect,
        "reporters": network.independent,
        "first_reporter": facts.first_reporter,
        "first_seen": _date(facts.first_day),
        "last_seen": _date(facts.last_day),
        "valid_until": _date(facts.until_day),
        "trend": trend,
        "seen_locally": seen.sessions > 0,
        "local_hits": seen.sessions,
        "blast_radius": seen.actors,
        "disputed": network.benign > 0,
        "revoked": network.state == "withdrawn",
        "tlp": facts.tlp,
        "taxonomy_version": taxonomy.version,
        "reason": local.reason,
        "why": why_line(network, local, grounds, params),
    }


def touched(
    subject: str, novel: Pattern | None, *, taxonomy: Taxonomy, catalogue: Catalogue
) -> dict[str, list[str]]:
    """The verbs and resource classes that the steps of a pattern name, a class or group by its members.

    A subject has none. They stand in an indicator row behind the fields of the contract, for filters.
    """
    entry = catalogue.entries.get(subject)
    if entry is not None:
        return _touched([(step.get("v", ()), step.get("r", ())) for step in entry.pattern["steps"]], taxonomy)
    return _touched([(step.verbs, step.resources) for step in novel.steps] if novel else [], taxonomy)


def _touched(
    steps: Sequence[tuple[Sequence[str], Sequence[str]]], taxonomy: Taxonomy
) -> dict[str, list[str]]:
    return {
        "verbs": _members((name for verbs, _ in steps for name in verbs), taxonomy.effect_classes),
        "resources": _members((name for _, resources in steps for name in resources), taxonomy.groups),
    }


def _members(names: Iterable[str], classes: Mapping[str, frozenset[str]]) -> list[str]:
    return sorted(
        {one for name in names for one in (classes.get(name[1:], ()) if name[0] == "@" else (name,))}
    )


def why_line(network: Network, local: Local, grounds: Grounds, params: Params) -> str:
    """One sentence: who accuses, what is left after removal, what this node makes of it."""
    if network.tier == "none":
        return {
            "withdrawn": "those who reported it have taken it back, or stewards ruled it false",
            "benign": "only benign voices",
            "unknown": "nobody says anything of it now",
        }[network.state]
    return (
        f"{network.independent} of {network.groups} groups accuse; without the {network.b} largest "
        f"{network.after_b / MICRO:.2f} of 0.75 needed; {_benign(network)}; "
        f"{'under review by the stewards; ' if network.review else ''}"
        f"{_weighed(network, grounds)}{_words(local, network, grounds)} ({_rate(grounds.gate(params))})"
    )


def _benign(network: Network) -> str:
    if not network.benign:
        return "nobody speaks for it"
    left = f"{network.benign_after_b / MICRO:.2f} without the {network.b} largest of these"
    return f"benign voices {network.benign / MICRO:.2f}, {left}"


def _weighed(network: Network, grounds: Grounds) -> str:
    if grounds.weighed == network.tier:
        return ""
    return f"{network.tier} there, {grounds.weighed} as the groups weigh here; "


def _words(local: Local, network: Network, grounds: Grounds) -> str:
    if local.reason == "disputed" and network.review:
        return "a small effect till they have looked"
    if local.reason == "quarantined":
        met = f"{grounds.own.ordinary_actors} of our {grounds.active} agents"
        return f"{met} meet it in ordinary work: waits for a person"
    return LOCAL_WORDS[local.reason]


def _rate(gate: Gate) -> str:
    # A bound of 1 is what is known where nothing was counted.
    if gate.bound >= 1:
        return "own rate not known yet"
    return f"own rate at most {1000 * gate.bound:.2f} in 1,000, {gate.by}"


def _layer(intents: Sequence[str], taxonomy: Taxonomy) -> str:
    return next((taxonomy.intents[name].layer for name in intents if name in taxonomy.intents), "")


def _declared(catalogued: Mapping[str, Any] | None, novel: Pattern | None) -> list[str]:
    if catalogued is not None:
        return list(catalogued.get("declared", []))
    return list(novel.declared) if novel else []


@lru_cache(maxsize=1_024)
def _date(day: int) -> str:
    return str(date(1970, 1, 1) + timedelta(days=day))
