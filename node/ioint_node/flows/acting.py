"""One action, decided: what memory becomes, what is answered, and what is to be written. No waiting in here."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import reduce
from typing import Any

from ioint_node.flows.assessing import AssessParts, matcher_of
from ioint_node.flows.decision import (
    Weighed,
    decision_of,
    evidence_text,
    is_uncertain,
    network_text,
)
from ioint_node.flows.journal import Entry, LocalSighting, StreamEvent
from ioint_node.flows.live import MARK_MS, Live
from ioint_node.flows.recording import ENCODER, changed, event_row, session_row
from ioint_node.flows.requests import ActionRequest
from ioint_node.reputation.beliefs import NetworkEffect
from ioint_node.scoring.evidence import of_action
from ioint_node.scoring.response import Case, Choice, at_least, choose_response
from ioint_node.scoring.trust import after, recently_changed, view
from ioint_node.scoring.values import Event, Judgement, Response, Verdict
from ioint_node.scoring.wis import time_left, wis
from ioint_node.store.actors import MARKS_ROWS
from ioint_node.store.times import day_of, to_text


def decide(
    parts: AssessParts, live: Live, request: ActionRequest, digest: str, now: int
) -> tuple[dict[str, Any], Entry]:
    """Judge an action, let trust and network bear on it, choose the response, and say what to write."""
    event = Event(
        kind="tool_call",
        tool=request.tool,
        server=request.server,
        arguments=request.arguments,
        t=request.t,
        action_id=request.action_id,
    )
    known, was_clear = len(live.completed), live.clear
    judgement = _judge(parts, live, event, now)
    fresh = tuple(live.completed)[known:]
    _mark(live, fresh, now)
    live.early.update(pattern for pattern in fresh if not parts.beliefs.effect_of((pattern,), now).effect)
    evidence = of_action(
        judgement.verdict,
        departures=live.departures,
        doubts=live.doubts,
        first_clear=live.clear and not was_clear,
    )
    live.actor.trust = reduce(lambda trust, one: after(trust, one, now), evidence, live.actor.trust)
    weighed = _weigh(parts, live, request, judgement, now)
    decision = decision_of(weighed, parts.taxonomy)
    body = ENCODER.encode(decision).decode()
    live.answer(request.action_id, digest, body)
    if weighed.alternative is not None:
        live.offer(weighed.decision_id, weighed.alternative)
    network = weighed.network
    moves = changed(
        live,
        now,
        evidence_text(evidence),
        lower=weighed.trust["lower"],
        effect=network.effect,
        why=network_text(network, weighed.groups) if network.effect else "the network no longer warns",
        pattern=network.patterns[0] if network.patterns else None,
    )
    at = to_text(now)
    entry = Entry(
        live=live,
        now=now,
        events=(event_row(live, "tool_call", event, at),),
        decision={
            "id": weighed.decision_id,
            "session_id": live.id,
            "action_id": request.action_id,
            "request_hash": digest,
            "actor": live.actor.id,
            "verdict": judgement.verdict.value,
            "response": weighed.choice.response.value,
            "effect": network.effect,
            "body": body,
            "at": at,
        },
        session=session_row(live, at),
        matches=tuple(_match_row(live, pattern, request.action_id, now) for pattern in fresh),
        trust=live.actor.trust if evidence else None,
        stream=(*moves, *_response_event(live, decision, weighed.choice)),
        sighting=_sighting(live, judgement, now),
    )
    return decision, entry


def network_of(parts: AssessParts, live: Live, now: int) -> NetworkEffect:
    """What the network takes off: for patterns this session completed, and a consensus the actor matched of late.

    A warning acts on the action that completes its pattern and on the rest of that session, not backwards.
    """
    here = parts.beliefs.effect_of(live.completed.keys() - live.early, now)
    followed = [
        pattern
        for pattern, at in live.actor.marks.items()
        if now - at < MARK_MS
        and (belief := parts.beliefs.get(pattern)) is not None
        and belief.tier == "consensus"
    ]
    marked = parts.beliefs.effect_of(followed, now) if followed else here
    return marked if marked.effect > here.effect else here


def _judge(parts: AssessParts, live: Live, event: Event, now: int) -> Judgement:
    matcher = matcher_of(parts, now)
    if matcher is not live.matcher:
        live.tracker.use_matcher(matcher)
        live.matcher = matcher
    measured = live.follow(event)
    if measured is None:
        raise TypeError("the tracker did not take the event for an action")
    return live.judge(measured, event.around, publish=parts.model.thresholds.publish)


def _mark(live: Live, fresh: tuple[str, ...], now: int) -> None:
    marks = live.actor.marks
    for pattern in fresh:
        marks.pop(pattern, None)
        marks[pattern] = now
        if len(marks) > MARKS_ROWS:
            del marks[next(iter(marks))]


def _weigh(parts: AssessParts, live: Live, request: ActionRequest, judgement: Judgement, now: int) -> Weighed:
    network = network_of(parts, live, now)
    trust = view(live.actor.trust, now, network.effect)
    left = time_left(live.elapsed_ms(now), parts.limits.grant_ms)
    score = wis(judgement.clarity, judgement.fit, judgement.risk_magnitude, left)
    effect_class = parts.taxonomy.verbs.get(judgement.step.verb, "run")
    uncertain = is_uncertain(judgement.step.confidence, effect_class)
    choice = choose_response(
        Case(
            verdict=judgement.verdict,
            wis=score,
            lower=trust["lower"],
            effect_class=effect_class,
            departures=live.departures,
            clear=live.clear,
            uncertain=uncertain,
            tier=network.tier,
            effect=network.effect,
            enforce=parts.mode == "enforce",
        )
    )
    belief = parts.beliefs.get(network.patterns[0]) if network.patterns else None
    borderline = judgement.verdict is Verdict.BORDERLINE
    return Weighed(
        # Ordered within a session, also for actions of one millisecond.
        decision_id=f"{now:012x}{live.actions:04x}{secrets.token_hex(8)}",
        action_id=request.action_id,
        judgement=judgement,
        wis=score,
        left=left,
        choice=choice,
        uncertain=uncertain,
        trust=trust,
        network=network,
        groups=belief.groups if belief else 0,
        changed=recently_changed(live.actor.trust, now),
        enforce=parts.mode == "enforce",
        alternative=parts.narrower(judgement.step, live.tracker.envelope, parts.taxonomy)
        if borderline
        else None,
    )


def _match_row(live: Live, pattern: str, action_id: str, now: int) -> Mapping[str, Any]:
    return {
        "pattern": pattern,
        "session_id": live.id,
        "actor": live.actor.id,
        "action_id": action_id,
        "day": day_of(now),
        "at": to_text(now),
        "judged": "open",
    }


def _response_event(live: Live, decision: Mapping[str, Any], choice: Choice) -> tuple[StreamEvent, ...]:
    before, live.response = live.response, choice.response
    if not at_least(choice.response, Response.REDUCE):
        return ()
    reasons = decision["reasons"]
    body = {
        "actor": live.actor.id,
        "session_id": live.id,
        "action_id": decision["action_id"],
        "decision_id": decision["decision_id"],
        "before": before.value,
        "after": choice.response.value,
        "state": decision["verdict"],
        "effect": decision["network"]["effect"],
        "reason": reasons[0]["text"] if reasons else ", ".join(choice.causes),
    }
    return (StreamEvent(event="response", body=body),)


def _sighting(live: Live, judgement: Judgement, now: int) -> LocalSighting | None:
    """What others may want to hear: a pattern was completed, and something about the session is new since."""
    flagged = live.tracker.verdict is Verdict.OUT_OF_SCOPE
    seen = (len(live.completed), live.clear, flagged)
    if not live.completed or seen == live.sighted:
        return None
    live.sighted = seen
    return LocalSighting(
        patterns=tuple(live.completed),
        confirmed=live.clear,
        verdict=live.tracker.verdict,
        session_id=live.id,
        actor=live.actor.id,
        session_risk=judgement.session_risk,
        intents=tuple(slug for slug, _ in judgement.intents),
        at=now,
    )
