"""What others see of an actor, as typed observations: detectors, identity providers, checks, people's tools.

The vocabulary is closed. Each kind says what its `value` means, from where on it speaks against an actor (and how
strongly, 0..1), from where on it may speak for one, where it counts, and for how long. A detail is a short code or a
number, never text. Telemetry can be forged: what arrives with the actor's own token may only count against it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from ioint_node.errors import RequestError

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
AHEAD_MS: Final = 300_000  # by which the clock of a source may be ahead of ours
LIFE_MOST_MS: Final = 90 * DAY_MS
DETAIL_CHARS: Final = 48
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*\Z")
_ID: Final = re.compile(r"[!-~]{1,128}\Z")
_SOURCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}\Z")
_FIELDS: Final = frozenset(
    {"id", "source", "kind", "actor", "session_id", "value", "detail", "at", "expires"}
)

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of observation.

    Attributes:
        component: the component of trust that it counts in; its layer is that of the component.
        means: what `value` says, in words.
        low: the least value there is.
        high: the largest value there is.
        against: the values at which concern begins and is full; the second may be the smaller.
        sound: the value from which on it may speak for an actor, or None where it never does.
        weight: units of evidence at full concern, 0 for a kind that bears on drift alone.
        praise: units at or beyond `sound`.
        drift: how much a full concern bears on drift, 0..1.
        life_ms: how long it holds when it does not say.
        detail: the keys that its detail may have.
    """

    component: str
    means: str
    low: float = 0.0
    high: float = 1.0
    against: tuple[float, float] = (0.3, 1.0)
    sound: float | None = None
    weight: float = 0.0
    praise: float = 0.0
    drift: float = 0.0
    life_ms: int = DAY_MS
    detail: frozenset[str] = frozenset()

    def concern(self, value: float) -> float:
        """How strongly a value speaks against the actor, 0..1, in a straight line between the two bounds."""
        begins, full = self.against
        return min(1.0, max(0.0, (value - begins) / (full - begins)))

    def is_sound(self, value: float) -> bool:
        """Whether a value may speak for the actor."""
        if self.sound is None:
            return False
        return value >= self.sound if self.against[1] < self.against[0] else value <= self.sound


_DETECTION = frozenset({"severity", "category", "rule", "count"})
_FALLING = (0.7, 0.0)  # for values of which 1 is good

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "credential_compromise": Kind(
            component="compromise",
            means="how sure it is that a credential of the actor is in other hands",
            against=(0.1, 0.8),
            weight=3.0,
            drift=0.6,
            life_ms=30 * DAY_MS,
            detail=frozenset({"reason", "credential"}),
        ),
        "certificate": Kind(
            component="certificate",
            means="days until the actor's certificate ends; below 0 it has ended or is revoked",
            low=-3_650.0,
            high=3_650.0,
            against=(3.0, -1.0),
            sound=7.0,
            weight=1.0,
            praise=0.3,
            life_ms=7 * DAY_MS,
            detail=frozenset({"issuer", "revoked"}),
        ),
        "mfa": Kind(
            component="authentication",
            means="how strongly the person behind the session signed in: 0 one factor, 1 phishing-resistant",
            against=(0.5, 0.0),
            sound=0.7,
            weight=0.6,
            praise=0.4,
            life_ms=12 * HOUR_MS,
            detail=frozenset({"method"}),
        ),
        "attestation": Kind(
            component="attestation",
            means="how well the running software is attested: 0 refuted, 1 signed and measured",
            against=(0.5, 0.0),
            sound=0.8,
            weight=2.0,
            praise=0.4,
            drift=0.4,
            life_ms=7 * DAY_MS,
            detail=frozenset({"method"}),
        ),
        "edr": Kind(
            component="detectors",
            means="how sure endpoint detection is that the actor's host or process misbehaves",
            weight=1.5,
            drift=1.0,
            detail=_DETECTION,
        ),
        "ebpf": Kind(
            component="detectors",
            means="how sure a kernel sensor is of system calls that the declared intent does not explain",
            weight=1.0,
            drift=1.0,
            life_ms=4 * HOUR_MS,
            detail=_DETECTION,
        ),
        "siem": Kind(
            component="detectors",
            means="how sure a correlation rule is that the actor takes part in an incident",
            weight=1.0,
            drift=0.8,
            detail=_DETECTION,
        ),
        "model_judge": Kind(
            component="detectors",
            means="how likely a local model finds that the session has left its declared intent",
            against=(0.5, 1.0),
            weight=0.5,
            drift=0.6,
            life_ms=4 * HOUR_MS,
            detail=frozenset({"model", "category"}),
        ),
        "prompt_firewall": Kind(
            component="injection",
            means="how sure a prompt firewall is that the session has read an injected order",
            weight=0.5,
            drift=0.8,
            life_ms=4 * HOUR_MS,
            detail=_DETECTION,
        ),
        "output_entropy": Kind(
            component="injection",
            means="bits per byte of what the actor sends out: packed or encrypted data is near 8",
            high=8.0,
            against=(6.0, 7.8),
            weight=0.3,
            drift=0.5,
            life_ms=4 * HOUR_MS,
            detail=frozenset({"encoding"}),
        ),
        "anomaly": Kind(
            component="baseline",
            means="how unusual another detector finds the actor's behaviour",
            weight=0.4,
            drift=0.6,
            detail=_DETECTION,
        ),
        "token_usage": Kind(
            component="baseline",
            means="tokens used, as a multiple of what is usual for this work",
            high=10_000.0,
            against=(3.0, 30.0),
            weight=0.2,
            drift=0.4,
            life_ms=4 * HOUR_MS,
            detail=frozenset({"tokens"}),
        ),
        "session_risk": Kind(
            component="session_risk",
            means="risk that the identity provider gives the person's or workload's session",
            weight=1.0,
            drift=0.5,
            life_ms=12 * HOUR_MS,
            detail=frozenset({"level", "reason"}),
        ),
        "role": Kind(
            component="circumstances",
            means="how far the work lies outside the role of the person it is done for",
            weight=0.3,
            drift=0.4,
            detail=frozenset({"role"}),
        ),
        "place": Kind(
            component="circumstances",
            means="how unusual the place or network is",
            weight=0.2,
            drift=0.3,
            detail=frozenset({"country", "network"}),
        ),
        "hour": Kind(
            component="circumstances",
            means="how unusual the hour is for the person it is done for",
            weight=0.1,
            drift=0.2,
            life_ms=4 * HOUR_MS,
            detail=frozenset({"zone"}),
        ),
        "ticket": Kind(
            component="ticket",
            means="how well an open ticket or purpose covers the work: 0 there is none, 1 it names it",
            against=(0.5, 0.0),
            sound=0.7,
            weight=0.5,
            praise=0.4,
            drift=0.2,
            life_ms=7 * DAY_MS,
            detail=frozenset({"system", "state"}),
        ),
        "topic_drift": Kind(
            component="topic",
            means="how far the conversation has left the topic that it was opened with",
            weight=0.3,
            drift=0.5,
            life_ms=4 * HOUR_MS,
            detail=frozenset({"model"}),
        ),
        "data_classification": Kind(
            component="sensitivity",
            means="ranks by which the data touched is more sensitive than the declared intent needs",
            high=3.0,
            against=(0.0, 2.0),
            weight=0.5,
            drift=0.6,
            detail=frozenset({"label"}),
        ),
        "task_success": Kind(
            component="success",
            means="share of the task that was done, as the one who gave it sees it",
            against=_FALLING,
            sound=0.9,
            weight=0.5,
            praise=0.5,
            life_ms=7 * DAY_MS,
        ),
        "satisfaction": Kind(
            component="satisfaction",
            means="how satisfied the person is that the work was done for",
            against=(0.5, 0.0),
            sound=0.75,
            weight=1.0,
            praise=1.0,
            life_ms=7 * DAY_MS,
        ),
        "validation": Kind(
            component="validation",
            means="share of the checks of a result that passed",
            against=(1.0, 0.0),
            sound=1.0,
            weight=1.0,
            praise=1.0,
            life_ms=7 * DAY_MS,
            detail=frozenset({"checks", "suite"}),
        ),
        "hallucination": Kind(
            component="validation",
            means="how sure a check is that an answer has no ground in what was read",
            weight=0.5,
            drift=0.2,
            life_ms=7 * DAY_MS,
            detail=frozenset({"model", "count"}),
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One observation of an actor, of one session where it names one.

    `value` is in the unit of its kind, None where the source gives none: then it is taken as half a concern.
    `at` and `expires` are Unix milliseconds.
    """

    id: str
    source: str
    kind: str
    actor: str
    session_id: str | None = None
    value: float | None = None
    detail: Mapping[str, Scalar]
    at: int
    expires: int


def check_observation(fields: Mapping[str, Any], *, now: int) -> Observation:
    """The observation that these fields are; `at` and `expires` are Unix milliseconds and may be left out.

    Raises:
        RequestError: a field is missing, unknown or malformed; the message begins with its name.
    """
    for name in fields:
        if name not in _FIELDS:
            raise RequestError(f"{name[:DETAIL_CHARS]}: is no field of an observation")
    named = fields.get("kind")
    kind = KINDS.get(named) if isinstance(named, str) else None
    if kind is None:
        raise RequestError(f"kind: must be one of {', '.join(sorted(KINDS))}")
    at = _moment("at", fields.get("at"), now)
    if at > now + AHEAD_MS:
        raise RequestError(f"at: lies {(at - now) // 1000} s in the future, more than {AHEAD_MS // 1000}")
    expires = _moment("expires", fields.get("expires"), at + kind.life_ms)
    if not at < expires <= at + LIFE_MOST_MS:
        raise RequestError(f"expires: must be after `at`, by {LIFE_MOST_MS // DAY_MS} days at most")
    session = fields.get("session_id")
    return Observation(
        id=_matching("id", fields.get("id"), _ID, "1 to 128 printable ASCII characters without space"),
        source=_matching("source", fields.get("source"), _SOURCE, "1 to 64 letters, digits and `_.:-`"),
        kind=str(fields["kind"]),
        actor=_name("actor", fields.get("actor")),
        session_id=None
        if session is None
        else _matching("session_id", session, _ID, "1 to 128 printable ASCII characters without space"),
        value=_value(kind, fields.get("value")),
        detail=_detail(kind, fields.get("detail")),
        at=at,
        expires=expires,
    )


def concern_of(observation: Observation) -> float:
    """How strongly an observation speaks against its actor, 0..1, whenever it is read."""
    kind = KINDS[observation.kind]
    if observation.value is None:
        return 0.0 if kind.sound is not None else 0.5
    return kind.concern(observation.value)


def drift_of(observation: Observation, now: int) -> float:
    """How much an observation bears on drift now, 0..1: its concern, fading in a straight line until it expires."""
    kind = KINDS[observation.kind]
    if not kind.drift or now >= observation.expires:
        return 0.0
    age = max(0, now - observation.at)
    return kind.drift * concern_of(observation) * (1.0 - age / (observation.expires - observation.at))


def _matching(name: str, value: object, form: re.Pattern[str], said: str) -> str:
    if not isinstance(value, str) or not form.match(value):
        raise RequestError(f"{name}: must be {said}")
    return value


def _name(name: str, value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 256 or not value.isprintable():
        raise RequestError(f"{name}: must be 1 to 256 printable characters")
    return value


def _moment(name: str, value: object, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise RequestError(f"{name}: must be Unix milliseconds")
    return value


def _value(kind: Kind, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError("value: must be a number")
    if not kind.low <= value <= kind.high:
        raise RequestError(f"value: must be {kind.low:g} to {kind.high:g}: {kind.means}")
    return float(value)


def _detail(kind: Kind, value: object) -> Mapping[str, Scalar]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RequestError("detail: must be an object")
    for key, one in value.items():
        if key not in kind.detail:
            known = ", ".join(sorted(kind.detail)) or "nothing"
            raise RequestError(f"detail.{str(key)[:DETAIL_CHARS]}: this kind knows {known}")
        if not _is_scalar(one):
            raise RequestError(
                f"detail.{key}: must be a number, true, false or a code of {DETAIL_CHARS} characters"
            )
    return dict(value)


def _is_scalar(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= DETAIL_CHARS and _CODE.match(value) is not None
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, bool) or (isinstance(value, int) and abs(value) < 1 << 53)
