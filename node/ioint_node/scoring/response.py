"""The one place that decides what should happen to an actor: the strictest of everything that bears on an action.

Graduated: the first action out of scope asks for approval, repetition suspends, and only repetition in a session
whose risk is clear relaunches or kills; a single dip halts nothing. What bears on it: the verdict, the weighted intent
score, the terms of the actor's level (`levels.TERMS`), its trust budget, what detectors outside report, the network,
and whether the actor is suspended. The network asks for a step-up at most, a consensus of independent groups for an
approval, and what the network asks never makes `allowed` false by itself: that takes local evidence. It *tips* the
scales where there is some: a change at the edge of the declaration, which alone is checked more closely, waits for a
person when a corroborated warning is about this very session. A step-up is closer checking, not a block. What a person
approved is told and allowed, unless the actor itself is halted. What silence leaves of a warning asks for what all of
it would: half a warning that a person is to be asked is none.

| the network says of this session | in scope | a change at the edge | out of scope |
|---|---|---|---|
| precautionary, disputed, or an effect below .10 | step_up, goes on | step_up, goes on | as without it |
| corroborated, from .10 | step_up, goes on | approve, waits | as without it |
| consensus, from .10 | approve from .30, goes on | approve, waits | as without it |

| when enforcing | `allowed` |
|---|---|
| the actor is suspended, or waits to be relaunched or killed | no |
| a person approved this very action | yes |
| the verdict is `out_of_scope` | no |
| local evidence asks for none, notify or step_up | yes |
| local evidence asks for reduce | yes for verbs that only look or derive, else no |
| local evidence asks for approve or more | no |
| when observing | yes |
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ioint_node.scoring.levels import CHANGES, SUPPORTED_TIERS, terms_of
from ioint_node.scoring.values import Response, Verdict

WIS_SAFE = 0.3  # below: closer checking
WIS_POOR = 0.15  # below, and not in scope: the privilege is reduced
OBSERVED_DOUBT = 0.5  # what detectors outside report, 0..1, from which an action is checked more closely
OBSERVED_GRAVE = 0.8  # from which a person is asked before something changes
HARMLESS_CLASSES = frozenset({"observe", "derive"})
STEP_UP_TIERS = frozenset({"precautionary", "disputed", "corroborated", "consensus"})
TIPPING_EFFECT = (
    0.1  # of a warning that more groups support than may lie, and that makes doubt of our own count
)
CONSENSUS_EFFECT = 0.3  # what a consensus has that the own clean record does not cap
STRICTNESS = {response: rank for rank, response in enumerate(Response)}
# What may ask for a response, in the order of `Choice.causes`.
CAUSES = ("state", "verdict", "wis", "level", "budget", "observed", "uncertain", "network")
STATES = {
    "active": Response.NONE,
    "suspended": Response.SUSPEND,
    "relaunch": Response.RELAUNCH,
    "killed": Response.KILL,
}


class Case(Struct, frozen=True, kw_only=True):
    """What the response to one action depends on.

    Attributes:
        verdict: how the action stands to the declared intent.
        wis: the weighted intent score, 0..1.
        lower: the local lower bound of trust, 0..1.
        effect_class: of the action's verb, one of the taxonomy's.
        departures: the actions out of scope in this session, this one included, those that a person approved not.
        clear: the session's risk is over the publish threshold.
        uncertain: it is not sure what the tool does.
        tier: of the network's warning.
        effect: what the network takes off while it is heard, 0..1; 0 when silence has left nothing of it.
        spent: the trust budget is used up.
        due: the actor is to be looked at again before it goes on as before.
        state: one of `STATES`; an actor that is not active stays so in all its sessions until a person releases it.
        approved: a person approved exactly this action in this session.
        observed: what detectors outside report of the actor, 0..1.
        enforce: what is asked for is also done.
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
    spent: bool = False
    due: bool = False
    state: str = "active"
    approved: bool = False
    observed: float = 0.0
    enforce: bool = False


class Choice(Struct, frozen=True, kw_only=True):
    """A response, whether the action may go on, and which inputs asked for this response.

    `own` is what would be asked for if no other member had said anything; `tipped` says that a warning made a person's
    word necessary where the node's own doubt alone would not have.
    `ring` says that engines and orchestrators must be told: the approvals that a level asks for every day, and what is
    refused because an actor is halted already, are answers to the caller alone.
    """

    response: Response
    allowed: bool
    causes: tuple[str, ...]
    own: Response = Response.NONE
    tipped: bool = False
    ring: bool = False

    @property
    def held(self) -> bool:
        """Whether the action waits for a person, who can let it go on."""
        return self.response is Response.APPROVE and not self.allowed


NOTHING_ASKED = Choice(response=Response.NONE, allowed=True, causes=())


def choose_response(case: Case) -> Choice:
    """The strictest of what everything that bears on an action asks for, and what it means in this mode.

    Raises:
        KeyError: a state that is none of `STATES`.
    """
    state = STATES[case.state]
    if case.approved and state is Response.NONE:
        return Choice(response=Response.NOTIFY, allowed=True, causes=("approved",), own=Response.NOTIFY)
    local = (
        state,
        _by_verdict(case),
        _by_wis(case),
        _by_level(case),
        _by_budget(case),
        _by_observed(case),
        Response.NOTIFY if case.uncertain else Response.NONE,
    )
    own = _strictest(local)
    network = _by_network(case)
    tips = _tips(case) and not at_least(own, Response.APPROVE)
    tipped = Response.APPROVE if tips else Response.NONE
    response = _strictest((own, network, tipped))
    if response is Response.NONE:
        return NOTHING_ASKED
    asked = (*local, _strictest((network, tipped)))
    causes = tuple(name for name, one in zip(CAUSES, asked, strict=True) if one is response)
    return Choice(
        response=response,
        allowed=not case.enforce or _permits(case, _strictest((own, tipped))),
        causes=causes,
        own=own,
        tipped=tips,
        ring=at_least(response, Response.REDUCE) and "state" not in causes and causes != ("level",),
    )


def at_least(response: Response, bound: Response) -> bool:
    """Whether a response is as strict as another or stricter."""
    return STRICTNESS[response] >= STRICTNESS[bound]


def is_harmless(effect_class: str) -> bool:
    """Whether verbs of this effect class only look or derive."""
    return effect_class in HARMLESS_CLASSES


def _strictest(asked: Iterable[Response]) -> Response:
    found = Response.NONE
    for one in asked:
        # Most ask for nothing, and that needs no look into the order.
        if one is not Response.NONE and STRICTNESS[one] > STRICTNESS[found]:
            found = one
    return found


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
    terms = terms_of(case.lower)
    if case.effect_class in terms.approve:
        return Response.APPROVE
    edge = case.verdict is Verdict.BORDERLINE
    if case.effect_class in terms.doubted and (edge or case.uncertain or case.observed >= OBSERVED_DOUBT):
        return Response.APPROVE
    if case.effect_class in terms.step_up or (edge and terms.step_up_edge):
        return Response.STEP_UP
    return Response.NONE


def _by_budget(case: Case) -> Response:
    if case.spent:
        # Looking is what most of a budget goes to: a budget that stopped only changes would bound nothing.
        return Response.APPROVE
    if case.due:
        return Response.NOTIFY if is_harmless(case.effect_class) else Response.STEP_UP
    return Response.NONE


def _by_observed(case: Case) -> Response:
    if case.observed < OBSERVED_DOUBT:
        return Response.NONE
    if case.observed < OBSERVED_GRAVE:
        return Response.NOTIFY if is_harmless(case.effect_class) else Response.STEP_UP
    return Response.STEP_UP if is_harmless(case.effect_class) else Response.APPROVE


def _by_network(case: Case) -> Response:
    if case.tier not in STEP_UP_TIERS or case.effect <= 0.0:
        return Response.NONE
    if case.tier == "consensus" and case.effect >= CONSENSUS_EFFECT:
        return Response.APPROVE
    return Response.STEP_UP


def _tips(case: Case) -> bool:
    """Whether a warning makes the node's own doubt about a change weigh as much as that of a person is asked for."""
    supported = case.tier in SUPPORTED_TIERS and case.effect >= TIPPING_EFFECT
    return supported and case.verdict is Verdict.BORDERLINE and case.effect_class in CHANGES


def _permits(case: Case, own: Response) -> bool:
    if case.verdict is Verdict.OUT_OF_SCOPE:
        return False
    if own is Response.REDUCE:
        return is_harmless(case.effect_class)
    return not at_least(own, Response.APPROVE)
