"""One action, decided: what memory becomes, what is answered, and what is to be written. No waiting in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ioint_node.access.budget import capped, due, to_json
from ioint_node.flows import holding
from ioint_node.flows.assessing import AssessParts, keep_up, meet, parent_of, warnings_of
from ioint_node.flows.decision import (
    Weighed,
    decision_of,
    evidence_text,
    is_uncertain,
    warning_of,
)
from ioint_node.flows.journal import Entry, LocalSighting
from ioint_node.flows.live import MARK_MS, Live
from ioint_node.flows.paths import path_text
from ioint_node.flows.recording import ENCODER, changed, event_row, hits_of, match_row, session_row
from ioint_node.flows.requests import ActionRequest
from ioint_node.flows.respond import of_action as order_of
from ioint_node.reputation.beliefs import NetworkEffect
from ioint_node.scoring.around import surroundings, unusual_of
from ioint_node.scoring.bounds import bounded
from ioint_node.scoring.evidence import ActionFacts, of_action, signs_of
from ioint_node.scoring.isolation import row_of
from ioint_node.scoring.levels import CHANGES, terms_of, watched
from ioint_node.scoring.lineage import risk_above
from ioint_node.scoring.response import Case, choose_response
from ioint_node.scoring.shape import unlikeness
from ioint_node.scoring.tracker import Measured
from ioint_node.scoring.trust import Evidence, after_all, change_text, recently_changed
from ioint_node.scoring.values import NOTHING_AROUND, Event, Judgement, Surroundings, Verdict
from ioint_node.scoring.wis import time_left, wis
from ioint_node.store.actors import MARKS_ROWS
from ioint_node.store.held import APPROVED
from ioint_node.store.responses import ACTIVE
from ioint_node.store.times import to_text


def decide(
    parts: AssessParts, live: Live, request: ActionRequest, digest: str, now: int
) -> tuple[str, Entry]:
    """Judge an action, let trust and network bear on it, choose the response; DECISION as JSON, and what to write."""
    hold = holding.standing(parts.holds, live.id, request, now)
    halted = parts.halted.state_of(live.actor.id) != ACTIVE
    approved = hold is not None and hold.state == APPROVED and not halted
    known, was_clear = len(live.completed), live.clear
    event, judgement = _judge(parts, live, request, now)
    around = event.around
    through = meet(parts, live, event)
    fresh = tuple(live.completed)[known:]
    for pattern in fresh:
        _mark(live, pattern, now)
    _note_early(parts, live, fresh, through, now)
    evidence: tuple[Evidence, ...] = ()
    if approved:
        # A person answered for this one: it is no departure of the actor's.
        live.departures -= judgement.verdict is Verdict.OUT_OF_SCOPE
        live.answered.add(request.action_id)
    else:
        evidence = _evidence(
            parts,
            live,
            judgement,
            around,
            now,
            first_clear=live.clear and not was_clear,
            told=request.told,
        )
        live.actor.trust = after_all(live.actor.trust, evidence, now)
        if judgement.verdict is Verdict.OUT_OF_SCOPE:
            live.actor.depart(now)
            live.cleared = False
    begun = judgement.verdict is Verdict.IN_SCOPE and _learn(
        parts, live, request, judgement, around=around, now=now
    )
    cost = live.draw(judgement, parts.taxonomy, now, approved=approved)
    weighed = _weigh(parts, live, request, judgement, cost=cost, approved=approved, now=now)
    settled = holding.settle(
        parts.holds,
        hold,
        weighed.choice,
        decision_id=weighed.decision_id,
        session_id=live.id,
        actor=live.actor.id,
        request=request,
        now=now,
    )
    decision = decision_of(weighed, settled.approval, parts.taxonomy)
    body = ENCODER.encode(decision).decode()
    live.answer(request.action_id, digest, body)
    if weighed.alternative is not None:
        live.offer(weighed.decision_id, weighed.alternative)
    before, live.response = live.response, weighed.choice.response
    order = order_of(
        parts.halted,
        live.actor.id,
        live.id,
        decision,
        weighed.choice,
        before=before,
        enforce=live.enforced and not request.told,
        now=now,
    )
    held = None
    if settled.hold is not None:
        held = holding.row_of(
            settled.hold,
            actor=live.actor.id,
            request=request,
            decision=decision,
            causes=weighed.choice.causes,
            now=now,
        )
    network = weighed.network
    moves = changed(
        live,
        now,
        evidence_text(evidence),
        lower=weighed.trust["lower"],
        effect=network.effect,
        why=weighed.warning or "the network no longer warns",
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
        matches=tuple(match_row(live, pattern, now, action_id=request.action_id) for pattern in fresh),
        hits=hits_of(parts, live, fresh, "live") if fresh else (),
        trust=live.actor.trust if evidence else None,
        baseline=live.actor.baseline if begun else None,
        order=order,
        held=held,
        used=settled.used,
        stream=moves,
        sighting=_sighting(parts, live, judgement, now),
    )
    return body, entry


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


def _judge(parts: AssessParts, live: Live, request: ActionRequest, now: int) -> tuple[Event, Judgement]:
    """The action as an event with all that bore on it, and its judgement."""
    keep_up(parts, live, now)
    event = Event(
        kind="tool_call",
        tool=request.tool,
        server=request.server,
        arguments=request.arguments,
        t=request.t,
        action_id=request.action_id,
    )
    measured = live.follow(event)
    if measured is None:
        raise TypeError("the tracker did not take the event for an action")
    around = _around(parts, live, request, measured, now)
    live.unlike += unlikeness(around)
    if around is not NOTHING_AROUND:
        event = replace(event, around=around)
    return event, live.judge(measured, around, publish=parts.model.thresholds.publish)


def _around(
    parts: AssessParts, live: Live, request: ActionRequest, measured: Measured, now: int
) -> Surroundings:
    actor = live.actor
    return surroundings(
        tool=request.name,
        step=measured.step,
        at=now,
        taxonomy=parts.taxonomy,
        departures=len(measured.departures),
        baseline=actor.baseline,
        pulse=live.pulse,
        forest=parts.isolation.forest,
        widenings=live.widenings,
        lineage=live.lineage,
        delegator=_delegator(parts, live),
        observed=actor.reported(live.id, now),
        tokens=live.tokens,
    )


def _delegator(parts: AssessParts, live: Live) -> float:
    """How risky the session that delegated this one has become since, 0..1."""
    above = parent_of(parts, live)
    if above is None:
        return 0.0
    limits = parts.model.thresholds
    return risk_above(above.tracker.session_risk, limits.borderline, limits.out_of_scope)


def _evidence(
    parts: AssessParts,
    live: Live,
    judgement: Judgement,
    around: Surroundings,
    now: int,
    *,
    first_clear: bool,
    told: bool,
) -> tuple[Evidence, ...]:
    step, taxonomy = judgement.step, parts.taxonomy
    effect_class = taxonomy.verbs.get(step.verb, "run")
    most = live.tracker.envelope.max_sensitivity
    facts = ActionFacts(
        verdict=judgement.verdict,
        departures=live.departures,
        doubts=live.doubts,
        first_clear=first_clear,
        effect_class=effect_class,
        # What is told together was not done together.
        burst=live.actor.burst(now) if effect_class in CHANGES and not told else 0,
        surroundings=around,
        injection=judgement.injection,
        over=max(0, taxonomy.sensitivity_rank(step.sensitivity) - taxonomy.sensitivity_rank(most)),
        seen=live.signs,
    )
    found = of_action(facts)
    if signs := signs_of(facts):
        live.signs.update(signs)
    return found


def _learn(
    parts: AssessParts,
    live: Live,
    request: ActionRequest,
    judgement: Judgement,
    *,
    around: Surroundings,
    now: int,
) -> bool:
    """Take an in-scope action for usual; True when the baseline is to be written."""
    baseline = live.actor.baseline
    parts.isolation.take(
        baseline.salt,
        lambda: row_of(unusual_of(around), judgement.step, len(judgement.departures), parts.taxonomy),
    )
    return baseline.learn(request.name, judgement.step, now, pulse=live.pulse, tokens=live.tokens)


def _mark(live: Live, pattern: str, now: int) -> None:
    marks = live.actor.marks
    marks.pop(pattern, None)
    marks[pattern] = now
    if len(marks) > MARKS_ROWS:
        del marks[next(iter(marks))]


def _note_early(
    parts: AssessParts, live: Live, fresh: Sequence[str], through: Sequence[str], now: int
) -> None:
    """Note what was met before anybody warned of it; whoever goes `through` a subject again meets it again."""
    for pattern in (*fresh, *through):
        if parts.beliefs.effect_of((pattern,), now).effect:
            live.early.discard(pattern)
        elif pattern in fresh:
            live.early.add(pattern)


def _weigh(
    parts: AssessParts,
    live: Live,
    request: ActionRequest,
    judgement: Judgement,
    *,
    cost: float,
    approved: bool,
    now: int,
) -> Weighed:
    network = network_of(parts, live, now)
    trust = live.trust_view(now, network.effect)
    lower = bounded(trust["lower"], live.actor.bound, now, clear=live.clear)
    terms = terms_of(lower)
    live.budget = capped(live.budget, terms.budget)
    # A warning asks for a step-up of every action anyway: it only says how soon to look again.
    budget = to_json(live.budget, cost, watched(terms, network.tier, network.effect), now)
    left = time_left(live.elapsed_ms(now), terms.session_s * 1_000)
    score = wis(judgement.clarity, judgement.fit, judgement.risk_magnitude, left)
    effect_class = parts.taxonomy.verbs.get(judgement.step.verb, "run")
    uncertain = is_uncertain(judgement.step.confidence, effect_class)
    state = parts.halted.state_of(live.actor.id)
    # Who is halted is halted in every session of a node that enforces, also where enforcing is staged.
    enforced = live.enforced or (state != ACTIVE and parts.policy.staging.enforce)
    # What was told afterwards has been done: there is nothing to stop.
    enforced = enforced and not request.told
    choice = choose_response(
        Case(
            verdict=judgement.verdict,
            wis=score,
            lower=lower,
            effect_class=effect_class,
            departures=live.actor.departures(live.departures, now),
            clear=live.clear,
            uncertain=uncertain,
            tier=network.tier,
            effect=network.unfaded,
            spent=budget["spent"],
            due=due(live.budget, terms, now),
            state=state,
            approved=approved,
            observed=live.actor.reported(live.id, now),
            enforce=enforced,
        )
    )
    belief = parts.beliefs.get(network.patterns[0]) if network.patterns else None
    borderline = judgement.verdict is Verdict.BORDERLINE
    return Weighed(
        # Ordered within a session, also for actions of one millisecond.
        decision_id=f"{now:012x}{live.actions:04x}{live.nonce}",
        action_id=request.action_id,
        judgement=judgement,
        wis=score,
        left=left,
        choice=choice,
        uncertain=uncertain,
        trust=trust,
        network=network,
        warning=warning_of(network, belief),
        changed=change_text(live.actor.trust) if recently_changed(live.actor.trust, now) else "",
        enforce=enforced,
        budget=budget,
        warnings=warnings_of(parts, live),
        alternative=parts.narrower(judgement.step, live.tracker.envelope, parts.taxonomy)
        if borderline
        else None,
    )


def _sighting(parts: AssessParts, live: Live, judgement: Judgement, now: int) -> LocalSighting | None:
    """What others may want to hear: a pattern was completed, and something about the session is new since."""
    flagged = live.tracker.verdict is Verdict.OUT_OF_SCOPE
    sure = parts.confirming.threshold(parts.model.thresholds.publish)
    confirmed = judgement.session_risk >= sure
    # A subject that was used is no sign of what is wrong with it: only a person reports one.
    patterns = live.patterns
    seen = (len(patterns), confirmed, flagged)
    if not (patterns or confirmed) or seen == live.sighted:
        return None
    live.sighted = seen
    tracker = live.tracker
    nameless = confirmed and not patterns
    return LocalSighting(
        patterns=patterns,
        confirmed=confirmed,
        verdict=live.tracker.verdict,
        session_id=live.id,
        actor=live.actor.id,
        session_risk=judgement.session_risk,
        intents=tuple(slug for slug, _ in judgement.intents),
        at=now,
        principal=live.principal,
        departed=flagged and live.departures > 0 and not live.cleared,
        step=len(tracker.steps) - 1,
        path=path_text(tracker.families, tracker.steps, tracker.outside) if nameless else "",
    )
