"""Recorded sessions as a member of a consortium meets them: what its own detector says, and which patterns complete.

A session is scored once, by a fit that had not seen its part, and kept as what matters afterwards. From this follows
what the member would do alone at any strictness, and what it could tell the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from ioint_node.reputation.gate import Local
from ioint_node.scoring.response import Case, Choice, at_least, choose_response, is_harmless
from ioint_node.scoring.values import Response, Verdict

ORDINARY, RESISTED, UNFINISHED, MALICIOUS = "ordinary", "resisted", "unfinished", "malicious"
NEVER = float("-inf")
UNHEARD: Final = Local(tier="none", effect=0.0, reason="no_accusation")
Warnings = Mapping[str, Local]
NO_WARNINGS: Final[Warnings] = MappingProxyType({})


class Limits(Struct, frozen=True, kw_only=True):
    """The thresholds of the detector for one session, in log-odds of drift."""

    borderline: float
    out_of_scope: float
    publish: float


class Call(Struct, frozen=True, kw_only=True):
    """One judged action: its event, its drift in log-odds, its effect class, the patterns that it completed."""

    event: int
    drift: float
    effect_class: str
    completed: tuple[str, ...] = ()


class Scored(Struct, frozen=True, kw_only=True):
    """A recorded session as one fit judges it.

    `suite` and `task` say where the work comes from, `campaign` whose goal was planted and how ("" where nothing was),
    `kind` is one of the four above. `first_bad` is the event of the first action for the attacker, None where there is
    none.
    """

    id: str
    suite: str
    task: str
    campaign: str
    kind: str
    first_bad: int | None
    limits: Limits
    calls: tuple[Call, ...]

    @property
    def confirmed(self) -> bool:
        """Whether its risk reaches the publish threshold."""
        return any(call.drift >= self.limits.publish for call in self.calls)

    @property
    def flagged(self) -> bool:
        """Whether an action of it was out of scope."""
        return any(call.drift >= self.limits.out_of_scope for call in self.calls)

    @property
    def completed(self) -> tuple[str, ...]:
        """Every pattern that it completes, in order."""
        return patterns_of(self.calls)

    @property
    def in_time(self) -> tuple[Call, ...]:
        """The actions at which it is not too late: up to the first bad one, all where there is none."""
        if self.first_bad is None:
            return self.calls
        return tuple(call for call in self.calls if call.event <= self.first_bad)


def patterns_of(calls: Iterable[Call]) -> tuple[str, ...]:
    """The patterns that some actions complete, each once, in order."""
    return tuple(dict.fromkeys(name for call in calls for name in call.completed))


def margin(session: Scored) -> float:
    """By how much, in log-odds, the session lies over what asks for a step-up in time; below 0 nothing does.

    Both thresholds lowered by s ask for one in the sessions with a margin ≥ −s.
    """
    limits = session.limits
    return max(
        (
            call.drift - (limits.out_of_scope if is_harmless(call.effect_class) else limits.borderline)
            for call in session.in_time
        ),
        default=NEVER,
    )


def stop_margin(session: Scored) -> float:
    """The same over what stops an action, or asks a person about it, in time: any that is out of scope."""
    return max((call.drift - session.limits.out_of_scope for call in session.in_time), default=NEVER)


def alone(session: Scored) -> bool:
    """Whether the member's own verdicts ask for a step-up or more in time."""
    return any(at_least(one.response, Response.STEP_UP) for one in choices(session))


def stopped(session: Scored, warnings: Warnings = NO_WARNINGS) -> bool:
    """Whether own verdicts, and what others say of patterns, stop an action or ask a person about it in time."""
    return any(
        at_least(one.response, Response.APPROVE) or not one.allowed for one in choices(session, warnings)
    )


def choices(session: Scored, warnings: Warnings = NO_WARNINGS) -> Sequence[Choice]:
    """What is done about each action in time, where nothing bears on it but verdicts and what others say of patterns.

    The actor is fully trusted. A warning acts on the action that completes its pattern and on those that follow.
    """
    found, departures, clear, heard = [], 0, False, UNHEARD
    for call in session.in_time:
        completed = (warnings[name] for name in call.completed if name in warnings)
        heard = max((heard, *completed), key=lambda one: one.effect)
        verdict = _verdict(call.drift, session.limits)
        departures += verdict is Verdict.OUT_OF_SCOPE
        clear = clear or call.drift >= session.limits.publish
        found.append(
            choose_response(
                Case(
                    verdict=verdict,
                    wis=1.0,
                    lower=1.0,
                    effect_class=call.effect_class,
                    departures=departures,
                    clear=clear,
                    tier=heard.tier,
                    effect=heard.effect,
                    enforce=True,
                )
            )
        )
    return found


def _verdict(drift: float, limits: Limits) -> Verdict:
    if drift >= limits.out_of_scope:
        return Verdict.OUT_OF_SCOPE
    return Verdict.BORDERLINE if drift >= limits.borderline else Verdict.IN_SCOPE
