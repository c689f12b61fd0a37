"""The one place that decides what should happen to an actor: the strictest of verdict, WIS, level and network.

Graduated: the first action out of scope asks for approval, repetition suspends, and only repetition in a session
whose risk is clear relaunches or kills; a single dip halts nothing. The network asks for a step-up at most, a
consensus of independent groups for an approval, and what the network asks never makes `allowed` false: that takes
local evidence. A step-up is closer checking, not a block.

| when enforcing | `allowed` |
|---|---|
| the verdict is `out_of_scope` | no |
| local evidence asks for none, notify or step_up | yes |
| local evidence asks for reduce | yes for verbs that only look or derive, else no |
| local evidence asks for approve or more | no |
| when observing | yes |
"""

from __future__ import annotations

from dataclasses import dataclass

from ioint_node.scoring.levels import Friction, autonomy, friction
from ioint_node.scoring.values import Response, Verdict

WIS_SAFE = 0.3  # below: closer checking
WIS_POOR = 0.15  # below, and not in scope: the privilege is reduced
DISTRUSTED_BELOW = 0.15  # lower bound of trust under which every change needs a person
HARMLESS_CLASSES = frozenset({"observe", "derive"})
STEP_UP_TIERS = frozenset({"precautionary", "disputed", "corroborated", "consensus"})
CONSENSUS_EFFECT = 0.3  # what a consensus has that the own clean record does not cap
STRICTNESS = {response: rank for rank, response in enumerate(Response)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the response to one action depends on.

    `departures` counts the actions out of scope in this session, this one included. `clear` says that the session's
    risk is over the publish threshold. `lower` is the local lower bound of trust. `uncertain` says that it is not
    sure what the tool does.
    """

    verdict: Verdict
    wis: float
    lower: float
    effect_class: str
    departures: int = 0
    clear: bool = False
    uncertain: bool = False
    tier: str = "none"
    effect: float = 0.0
    enforce: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A response, whether the action may go on, and which inputs asked for this response."""

    response: Response
    allowed: bool
    causes: tuple[str, ...]


def choose_response(case: Case) -> Choice:
    """The strictest of what verdict, WIS, level, uncertainty and network ask for, and what it means in this mode."""
    local = {
        "verdict": _by_verdict(case),
        "wis": _by_wis(case),
        "level": _by_level(case),
        "uncertain": Response.NOTIFY if case.uncertain else Response.NONE,
    }
    asked = {**local, "network": _by_network(case)}
    response = max(asked.values(), key=STRICTNESS.__getitem__)
    causes = (
        tuple(name for name, one in asked.items() if one is response) if response is not Response.NONE else ()
    )
    own = max(local.values(), key=STRICTNESS.__getitem__)
    return Choice(response=response, allowed=not case.enforce or _permits(case, own), causes=causes)


def at_least(response: Response, bound: Response) -> bool:
    """Whether a response is as strict as another or stricter."""
    return STRICTNESS[response] >= STRICTNESS[bound]


def is_harmless(effect_class: str) -> bool:
    """Whether verbs of this effect class only look or derive."""
    return effect_class in HARMLESS_CLASSES


def _by_verdict(case: Case) -> Response:
    harmless = is_harmless(case.effect_class)
    if case.verdict is Verdict.IN_SCOPE:
        return Response.NONE
    if case.verdict is Verdict.BORDERLINE:
        return Response.NOTIFY if harmless else Response.STEP_UP
    if case.clear:
        clear_ladder = (Response.APPROVE, Response.SUSPEND, Response.RELAUNCH, Response.KILL)
        return clear_ladder[min(max(case.departures, 1), 4) - 1]
    if case.departures >= 3:
        return Response.SUSPEND
    return Response.REDUCE if harmless and case.departures <= 1 else Response.APPROVE


def _by_wis(case: Case) -> Response:
    if case.wis >= WIS_SAFE:
        return Response.NONE
    if is_harmless(case.effect_class):
        return Response.NOTIFY
    if case.wis < WIS_POOR and case.verdict is not Verdict.IN_SCOPE:
        return Response.REDUCE
    return Response.STEP_UP


def _by_level(case: Case) -> Response:
    if is_harmless(case.effect_class):
        return Response.NONE
    if case.lower < DISTRUSTED_BELOW:
        return Response.APPROVE
    if autonomy(case.lower) == 1:
        return Response.STEP_UP
    return Response.NOTIFY if friction(case.lower) is Friction.STRICT else Response.NONE


def _by_network(case: Case) -> Response:
    if case.tier not in STEP_UP_TIERS or case.effect <= 0.0:
        return Response.NONE
    if case.tier == "consensus" and case.effect >= CONSENSUS_EFFECT:
        return Response.APPROVE
    return Response.STEP_UP


def _permits(case: Case, own: Response) -> bool:
    if case.verdict is Verdict.OUT_OF_SCOPE:
        return False
    if own is Response.REDUCE:
        return is_harmless(case.effect_class)
    return not at_least(own, Response.APPROVE)
