"""What happens in a session, as evidence for or against its actor.

Harm counts at once, good only when the session is closed. A pattern counts and one anomaly does not: the first
borderline action of a session costs nothing, later ones a little, and each kind stops counting after a few, so that
one bad session is one bad session.
"""

from __future__ import annotations

from ioint_node.scoring.trust import ATTACK, LAYERS, Evidence
from ioint_node.scoring.values import Verdict

DEPARTURES_COUNTED = 4
DOUBTS_COUNTED = 6
WIDENINGS_FREE = 1
WIDENINGS_COUNTED = 5
UNNAMED_COMPOSITION = (
    0.7  # what a session says of the identity of an actor that does not say what it is made of
)
FEEDBACK_WEIGHTS = {
    "approve": 0.5,
    "reject": 0.5,
    "override": 0.25,
    "correct": 0.25,
    "satisfied": 1.0,
    "dissatisfied": 1.0,
    "validation": 1.0,
}


def of_action(verdict: Verdict, *, departures: int, doubts: int, first_clear: bool) -> tuple[Evidence, ...]:
    """What one action says; `departures` and `doubts` count those of the session, this one included.

    `first_clear` says that with this action the risk of the session became clear.
    """
    found = []
    if verdict is Verdict.OUT_OF_SCOPE and departures <= DEPARTURES_COUNTED:
        found.append(_bad("out_of_scope", "behaviour", 1.0 if departures == 1 else 0.5))
        if departures == 1:
            found.append(_bad("out_of_scope", "context", 0.5))
    if verdict is Verdict.OUT_OF_SCOPE and first_clear:
        found.append(_bad(ATTACK, "behaviour", 2.0))
    if verdict is Verdict.BORDERLINE and 1 < doubts <= DOUBTS_COUNTED:
        found.append(_bad("borderline", "behaviour", 0.1))
    return tuple(found)


def of_close(verdict: Verdict, outcome: str, *, actions: int, composed: bool) -> tuple[Evidence, ...]:
    """What a whole session says: its worst verdict, its outcome, and whether the actor named its composition.

    A session that did nothing, or was given up, says nothing.
    """
    if not actions or outcome == "aborted":
        return ()
    if verdict is Verdict.OUT_OF_SCOPE:
        return (_bad("failed_session", "outcome", 0.5),) if outcome == "failed" else ()
    share = 1.0 if verdict is Verdict.IN_SCOPE else 0.5
    weights = dict.fromkeys(LAYERS, share)
    weights["identity"] *= 1.0 if composed else UNNAMED_COMPOSITION
    if outcome == "failed":
        del weights["outcome"]
    good = tuple(_good("clean_session", layer, weight) for layer, weight in weights.items())
    return good if outcome == "done" else (*good, _bad("failed_session", "outcome", 0.25))


def of_alternative(*, accepted: bool) -> tuple[Evidence, ...]:
    """Taking the narrower way speaks for an actor, refusing it a little against."""
    if accepted:
        return (_good("alternative_accepted", "behaviour", 0.25),)
    return (_bad("alternative_refused", "behaviour", 0.1),)


def of_widening(widenings: int) -> tuple[Evidence, ...]:
    """Asking for more scope is normal once in a session; repeated expansion costs."""
    if WIDENINGS_FREE < widenings <= WIDENINGS_COUNTED:
        return (_bad("repeated_widening", "context", 0.2),)
    return ()


def of_feedback(kind: str, *, positive: bool) -> tuple[Evidence, ...]:
    """What a person or a check answered; this is the evidence that could have been negative."""
    code = "validation" if kind == "validation" else "feedback"
    return (Evidence(kind=code, layer="outcome", weight=FEEDBACK_WEIGHTS[kind], positive=positive),)


def _good(kind: str, layer: str, weight: float) -> Evidence:
    return Evidence(kind=kind, layer=layer, weight=weight, positive=True)


def _bad(kind: str, layer: str, weight: float) -> Evidence:
    return Evidence(kind=kind, layer=layer, weight=weight, positive=False)
