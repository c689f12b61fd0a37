"""What happened here as OCSF 1.8.0 Detection Findings (class 2004): incidents, and actions out of scope.

These tell of own agents and are for the own SIEM. What an agent was asked, what it said and what it passed to a tool is
in none of them: an action is what it is in the abstract vocabulary. The object for AI agents is in no released schema
yet, so an agent stands among the resources; what OCSF has no word for is in `unmapped.ioint`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ioint_taxonomy import Taxonomy

from ioint_node.formats.names import unix_ms

SCHEMA_VERSION: Final = "1.8.0"
CLASS: Final = 2004
CREATE, UPDATE, CLOSE = 1, 2, 3
ATLAS: Final = "atlas"
_ACTIVITIES: Final = {CREATE: "Create", UPDATE: "Update", CLOSE: "Close"}
_SEVERITIES: Final = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}
_STATUSES: Final = {1: "New", 2: "In Progress", 4: "Resolved"}
_CONFIDENCES: Final = {1: "Low", 2: "Medium", 3: "High"}
_RISKS: Final = {0: "Info", 1: "Low", 2: "Medium", 3: "High", 4: "Critical"}
_OF_TIER: Final = {"precautionary": 3, "corroborated": 4, "consensus": 5}
_OF_RESPONSE: Final = {
    "none": 2,
    "notify": 2,
    "step_up": 3,
    "reduce": 3,
    "approve": 4,
    "suspend": 4,
    "relaunch": 4,
    "kill": 5,
}
_OF_NOTE: Final = {"opened": (CREATE, 1), "closed": (CLOSE, 4)}
_OF_STATE: Final = {"open": 1, "assigned": 2, "closed": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that was done to an incident, and the incident as it is now; times are RFC 3339 text.

    `what` and `said` are those of the note of it, `seq` its number. `intents` (slugs), `risk` and `confidence`
    (0 to 100) are of the pattern, as far as they are known; `pattern` is "" where the reader may not know it.
    """

    seq: int
    what: str
    said: str
    at: str
    incident: str
    pattern: str
    label: str
    session: str | None
    actor: str | None
    found: str
    tier: str
    state: str
    sessions: int
    opened_at: str
    intents: tuple[str, ...] = ()
    risk: int | None = None
    confidence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """An action that was found out of scope: the DECISION of the contract, whose it was and when (RFC 3339 text)."""

    session: str
    actor: str
    at: str
    decision: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What all findings share: the version of this product, the taxonomy, and the names of ATLAS's techniques by id."""

    version: str
    taxonomy: Taxonomy
    techniques: Mapping[str, str]


def of_step(step: Step, frame: Frame) -> dict[str, Any]:
    """The finding of something that was done to an incident; its activities follow the incident's life."""
    activity, status = _OF_NOTE.get(step.what, (UPDATE, _OF_STATE[step.state]))
    if step.what == "reopened":
        status = 2
    named = f"{step.label}: {_several(step.sessions, 'own session')} with a pattern that others warn of"
    made = {
        **_base(activity, _OF_TIER.get(step.tier, 2), step.at, f"incident-{step.seq}", frame),
        "message": named,
        "status_id": status,
        "status": _STATUSES[status],
        "count": step.sessions,
        "is_alert": activity == CREATE,
        "finding_info": {
            "uid": step.incident,
            "title": step.label,
            "desc": "An own session contains a pattern that members of the consortium warn of.",
            "types": ["Indicator of Intent"],
            "created_time": unix_ms(step.opened_at),
            "modified_time": unix_ms(step.at),
            "analytic": {"type_id": 1, "type": "Rule", "name": step.label, "uid": step.pattern or "hidden"},
            **_attacks(step.intents, frame),
        },
        "evidences": [{"data": {"pattern": step.pattern, "session": step.session, "found": step.found}}],
        "resources": _resources(step.actor),
        "unmapped": {
            "ioint": {
                "what": step.what,
                "pattern": step.pattern,
                "session": step.session,
                "tier": step.tier,
                "found": step.found,
                "intents": list(step.intents),
            }
        },
        **_risk(step.risk),
        **_confidence(step.confidence),
    }
    if step.what == "closed":
        # What a person wrote beside it may name anything.
        made["status_detail"] = step.said.partition(":")[0]
    return made


def of_deviation(found: Deviation, frame: Frame) -> dict[str, Any]:
    """The finding of an action out of scope."""
    told = found.decision
    step = told["step"]
    enforced = told["mode"] == "enforce"
    action = 3 if not enforced else 1 if told["allowed"] else 2
    intents = [intent["slug"] for intent in told["intents"]]
    title = f"Action out of scope: {step['verb']} {step['resource']}"
    return {
        **_base(
            CREATE, _OF_RESPONSE.get(told["response"], 3), found.at, f"decision-{told['decision_id']}", frame
        ),
        "message": title,
        "status_id": 1,
        "status": _STATUSES[1],
        "is_alert": True,
        "action_id": action,
        "action": {1: "Allowed", 2: "Denied", 3: "Observed"}[action],
        "disposition_id": {1: 1, 2: 2, 3: 17}[action],
        "disposition": {1: "Allowed", 2: "Blocked", 3: "Logged"}[action],
        "finding_info": {
            "uid": told["decision_id"],
            "title": title,
            "desc": "An agent did, or tried to do, what its declared task does not cover.",
            "types": ["Intent Deviation"],
            "created_time": unix_ms(found.at),
            **_attacks(intents, frame),
        },
        "evidences": [
            {
                "api": {"operation": step["verb"]},
                "data": {
                    "session": found.session,
                    "action": told["action_id"],
                    "reasons": [reason["code"] for reason in told["reasons"]],
                },
            }
        ],
        "resources": [
            *_resources(found.actor),
            {"name": step["resource"], "type": "resource class", "criticality": step["sensitivity"]},
        ],
        "unmapped": {
            "ioint": {
                "session": found.session,
                "drift": told["drift"],
                "wis": told["wis"],
                "response": told["response"],
                "mode": told["mode"],
                "boundary": step["boundary"],
                "provenance": step["provenance"],
                "intents": intents,
                "trust": told["trust"]["lower"],
                "network_effect": told["network"]["effect"],
            }
        },
        **_risk(round(100 * told["drift"])),
        **_confidence(round(100 * step["confidence"])),
    }


def _base(activity: int, severity: int, at: str, uid: str, frame: Frame) -> dict[str, Any]:
    return {
        "activity_id": activity,
        "activity_name": _ACTIVITIES[activity],
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Detection Finding: {_ACTIVITIES[activity]}",
        "severity_id": severity,
        "severity": _SEVERITIES[severity],
        "time": unix_ms(at),
        "timezone_offset": 0,
        "metadata": {
            "version": SCHEMA_VERSION,
            "uid": uid,
            "product": {"name": "IOINT", "vendor_name": "IOINT", "version": frame.version},
            "log_name": "ioint",
            "original_time": at,
            **({"profiles": ["security_control"]} if uid.startswith("decision-") else {}),
        },
    }


def _attacks(intents: Sequence[str], frame: Frame) -> dict[str, Any]:
    """The techniques of ATLAS that intents are mapped to, each once."""
    found = dict(techniques(intents, frame.taxonomy))
    made = [_technique(name, edition, frame.techniques) for name, edition in found.items()]
    return {"attacks": made} if made else {}


def techniques(intents: Iterable[str], taxonomy: Taxonomy) -> Iterable[tuple[str, str]]:
    """The ids of ATLAS that intents are mapped to, each with the edition; one may come more than once."""
    for slug in intents:
        if (intent := taxonomy.intents.get(slug)) is not None:
            for (framework, edition), names in intent.mappings.items():
                if framework == ATLAS:
                    yield from ((name, edition) for name in names)


def _technique(name: str, edition: str, names: Mapping[str, str]) -> dict[str, Any]:
    parent, _, _ = name.rpartition(".")
    if parent in names:  # AML.T0051 is a technique, AML.T0051.001 one of its parts
        return {
            "version": edition,
            "technique": {"uid": parent, "name": names[parent]},
            "sub_technique": {"uid": name, "name": names.get(name, name)},
        }
    return {"version": edition, "technique": {"uid": name, "name": names.get(name, name)}}


def _resources(actor: str | None) -> list[dict[str, Any]]:
    return [] if actor is None else [{"uid": actor, "type": "AI agent"}]


def _risk(score: int | None) -> dict[str, Any]:
    if score is None:
        return {}
    level = min(4, max(0, score) // 20)
    return {"risk_score": score, "risk_level_id": level, "risk_level": _RISKS[level]}


def _confidence(score: int | None) -> dict[str, Any]:
    if score is None:
        return {}
    level = 1 if score < 30 else 2 if score < 70 else 3
    return {"confidence_score": score, "confidence_id": level, "confidence": _CONFIDENCES[level]}


def _several(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
