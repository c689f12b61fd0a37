"""What assess holds in memory: the open sessions and their actors, both bounded, both rebuilt from the store.

A session or an actor that falls out of the bound stays reachable as long as somebody still works with it or its
writes are not on disk; so nobody ever reads a state from the store that memory has already left behind.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol
from weakref import WeakValueDictionary

from ioint_protocol.pattern import Matcher, parse_pattern
from ioint_taxonomy import Catalogue, Envelope, Step, Taxonomy

from ioint_node.access.budget import IN_SCOPE_COUNTS, Budget, begun_budget, renew, spend, still_spent
from ioint_node.flows.habits import new_baseline
from ioint_node.flows.requests import declaration_of
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.reputation.dossier import PUBLIC
from ioint_node.reputation.view import indicator_id
from ioint_node.scoring.around import tokens_of
from ioint_node.scoring.baseline import NO_PULSE, Baseline, Pulse, beat
from ioint_node.scoring.bounds import Bound, bounded, bounded_view
from ioint_node.scoring.levels import Terms, terms_of
from ioint_node.scoring.lineage import Lineage
from ioint_node.scoring.observations import Observation, drift_of
from ioint_node.scoring.tracker import Measured
from ioint_node.scoring.trust import Trust, lower_bound, used, view
from ioint_node.scoring.values import Declaration, Event, Judgement, Response, Surroundings, Verdict
from ioint_node.store.actors import DEPARTED_KEPT, DEPARTED_MS

SESSIONS = 2_000
ACTORS = 100_000
ANSWERS_KEPT = 64  # per session; older ones are read from the store
NOVEL_KEPT = 64  # completed patterns per session that the catalogue does not have; its own always have room
SUBJECTS_KEPT = 64  # public subjects that a session went through
MOVE_TOLD = 0.01  # of the trust used, from which engines are told
MATCHER_CHECK_MS = 250
MARK_MS = 7 * 86_400_000  # for how long a consensus follows an actor that has matched
BURST_MS = 60_000
BURST_KEPT = 32  # consequential actions of an actor, within that time
ELSEWHERE_MOST = 2  # departures that those of an actor's other sessions count for
VIEW_MS = 60_000  # within which forgetting moves TRUST by less than its last decimal


class Tracker(Protocol):
    """What assess needs of `scoring.tracker.SessionTracker`."""

    families: tuple[tuple[str, float], ...]
    envelope: Envelope
    session_risk: float
    verdict: Verdict

    @property
    def steps(self) -> tuple[Step, ...]:
        """The path so far."""

    @property
    def outside(self) -> tuple[bool, ...]:
        """Of each step that was judged, whether it left the envelope."""

    @property
    def completed(self) -> Iterable[str]:
        """The patterns that the path so far contains, told or not."""

    def measure(self, event: Event) -> Measured | None:
        """Take in one event, and measure it if it is an action."""

    def judge(self, measured: Measured, around: Surroundings) -> Judgement:
        """Judge a measured action together with what bears on it from outside the session."""

    def redeclare(self, declaration: Declaration) -> None:
        """Take a new declaration."""

    def has_entry(self, pattern: str) -> bool:
        """Whether the catalogue has a pattern."""

    def use_matcher(self, matcher: Matcher) -> None:
        """Match against another set of patterns."""


@dataclass(slots=True, kw_only=True, weakref_slot=True)
class LiveActor:
    """An actor in memory. `effects` is what the network takes off in each open session, where it takes anything.

    `told_lower` and `told_effect` are what engines were last told; `marks` is the newest match of each pattern (ms).
    `baseline` is what is usual for it, `observed` what detectors outside say that bears on drift, `bound` what a person
    decided of its level, `acted` when it lately did something that leaves a change, `credential_at` when its credential
    was last looked at (both ms). `departed` is when it lately left the scope of a session, `lately` what it lately
    spent of trust budgets, in units as of `spent_at` (ms). `owner` is who answers for it, as imported.
    """

    id: str
    trust: Trust
    told_lower: float
    told_effect: float = 0.0
    effects: dict[str, float] = field(default_factory=dict)
    open_sessions: set[str] = field(default_factory=set)
    marks: dict[str, int] = field(default_factory=dict)
    baseline: Baseline = field(default_factory=new_baseline)
    observed: tuple[Observation, ...] = ()
    bound: Bound | None = None
    acted: array[int] = field(default_factory=partial(array, "q"))
    credential_at: int = 0
    departed: tuple[int, ...] = ()
    lately: float = 0.0
    spent_at: int = 0
    owner: str = ""

    def depart(self, now: int) -> None:
        """Note an action out of scope that nobody had approved."""
        recent = [at for at in self.departed if now - at < DEPARTED_MS]
        self.departed = (*recent[1 - DEPARTED_KEPT :], now)

    def departures(self, here: int, now: int) -> int:
        """The departures that a response goes by: those of a session, and of the last hour's in others each second.

        Others count for `ELSEWHERE_MOST` at most: an actor with many sessions is wrong now and then, and one action
        out of scope must not end it, while the fifth in an hour suspends it wherever it happens.
        """
        if not self.departed or not here:
            return here
        recent = sum(now - at < DEPARTED_MS for at in self.departed)
        return here + min(ELSEWHERE_MOST, max(0, recent - here) // 2)

    def charge(self, units: float, now: int) -> None:
        """Note units that a session of this actor drew on its trust budget."""
        self.lately = self.spent_lately(now) + units
        self.spent_at = max(now, self.spent_at)

    def spent_lately(self, now: int) -> float:
        """The units that this actor spent in all its sessions, as far as they are not forgotten."""
        return still_spent(self.lately, now - self.spent_at)

    def burst(self, now: int) -> int:
        """Note an action that leaves a change, and count those of the last minute, this one included."""
        recent = [at for at in self.acted if now - at < BURST_MS]
        self.acted = array("q", [*recent[1 - BURST_KEPT :], now])
        return len(self.acted)

    def reported(self, session_id: str, now: int) -> float:
        """What detectors outside say of an action of this session now, 0..1: the strongest of what holds."""
        if not self.observed:
            return 0.0
        holding = (one for one in self.observed if one.session_id is None or one.session_id == session_id)
        return max((drift_of(one, now) for one in holding), default=0.0)

    def moves(
        self, session_id: str, *, lower: float, effect: float, reason: str, why: str, pattern: str | None
    ) -> list[dict[str, Any]]:
        """What engines must hear now that trust is `lower` and the network takes `effect` in this session.

        Args:
            session_id: the session in which it happened.
            lower: the local lower bound of trust.
            effect: what the network takes off, 0 for nothing.
            reason: why the local part moved.
            why: why the network's part moved.
            pattern: the pattern or public subject that the network's part comes from.
        """
        if effect > 0.0:
            self.effects[session_id] = effect
        else:
            self.effects.pop(session_id, None)
        total = max(self.effects.values()) if self.effects else 0.0
        if lower == self.told_lower and total == self.told_effect:
            return []
        told: list[dict[str, Any]] = []
        before, after = used(self.told_lower, self.told_effect), used(lower, self.told_effect)
        if _moved(before, after):
            row = {"before": before, "after": after, "effect": self.told_effect, "cause": "local"}
            told.append(row | {"reason": reason})
            self.told_lower = lower
        before, after = used(self.told_lower, self.told_effect), used(self.told_lower, total)
        if _moved(before, after):
            row = {"before": before, "after": after, "effect": total, "cause": "network"}
            told.append(row | {"reason": why} | _about(pattern))
            self.told_effect = total
        return [{"actor": self.id, "session_id": session_id, **row} for row in told]


@dataclass(slots=True, kw_only=True, weakref_slot=True)
class Live:
    """A session in memory: its tracker and what assess counts beside it; times in Unix milliseconds.

    `opening` is the JSON that it was opened with. `declared_t` and `last_t` are seconds of the session's own clock.
    `completed` holds completed patterns and public subjects that it went through (`pkg:…`), in order.
    `hashes` names every answered action, `offered` the alternatives and `alternatives` the answers to them. `early` are
    completed patterns of which nobody had warned then: they open an incident, and take nothing off here. A session that
    is rebuilt does not know them and counts every pattern, which errs toward caution. `enforced` says that its
    decisions are to be obeyed. `signs` counts what `evidence.SIGNS` its actions showed, `unlike` sums how unlike the
    actor's earlier sessions they were. `tokens` are those that were told since the last action, `declared_as` is the
    newest declaration after the opening. `nonce` are random bits that no id of a decision can be guessed without,
    `viewed` is the trust that was last shown: of which value, in which period, less which effect. `principal` is the
    digest of whom the session is about. `answered` are the actions of which a person said that they were right,
    `cleared` says that these are all that it did out of scope.
    """

    id: str
    actor: LiveActor
    tracker: Tracker
    matcher: Matcher
    opening: str
    declared: int
    budget: Budget
    closed: int | None = None
    outcome: str | None = None
    declared_t: float = 0.0
    last_t: float = 0.0
    actions: int = 0
    events: int = 0
    departures: int = 0
    doubts: int = 0
    declarations: int = 1  # scope requests count too
    widenings: int = 0
    clear: bool = False
    response: Response = Response.NONE
    hashes: dict[str, str] = field(default_factory=dict)
    answers: OrderedDict[str, str] = field(default_factory=OrderedDict)
    completed: dict[str, None] = field(default_factory=dict)
    early: set[str] = field(default_factory=set)
    feedbacks: set[tuple[str, str | None, bool, bool]] = field(default_factory=set)
    offered: OrderedDict[str, Any] = field(default_factory=OrderedDict)
    alternatives: dict[str, bool] = field(default_factory=dict)
    sighted: tuple[int, bool, bool] = (0, False, False)
    envelope: tuple[Envelope, str] | None = None
    written: asyncio.Future[None] | None = None
    declared_as: Declaration | None = None
    enforced: bool = False
    lineage: Lineage | None = None
    pulse: Pulse = NO_PULSE
    tokens: float | None = None
    unlike: float = 0.0
    signs: Counter[str] = field(default_factory=Counter)
    nonce: str = field(default_factory=partial(secrets.token_hex, 8))
    principal: str = ""
    answered: set[str] = field(default_factory=set)
    cleared: bool = False
    viewed: tuple[Trust, int, float, dict[str, Any]] | None = None

    def follow(self, event: Event) -> Measured | None:
        """Let the tracker see an event; an action comes back measured, to be judged."""
        measured = self.tracker.measure(event)
        self.events += 1
        if event.t is not None:
            self.last_t = max(self.last_t, event.t)
        self.actions += measured is not None
        return measured

    def judge(self, measured: Measured, around: Surroundings, *, publish: float) -> Judgement:
        """Let the tracker judge an action and count what came of it; the same live and when a session is rebuilt."""
        judgement = self.tracker.judge(measured, around)
        self.departures += judgement.verdict is Verdict.OUT_OF_SCOPE
        self.doubts += judgement.verdict is Verdict.BORDERLINE
        self.clear = self.clear or judgement.session_risk >= publish
        if judgement.completed:
            room = NOVEL_KEPT - sum(not self.tracker.has_entry(name) for name in self.patterns)
            for pattern in judgement.completed:
                entry = self.tracker.has_entry(pattern)
                if entry or room > 0:
                    room -= not entry and pattern not in self.completed
                    self.completed[pattern] = None
        return judgement

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns that it completed."""
        return tuple([name for name in self.completed if not name.startswith(PUBLIC)])

    def meet(self, subjects: Sequence[str]) -> None:
        """Note the public subjects that an action goes through."""
        for subject in subjects:
            if len(self.completed) - len(self.patterns) < SUBJECTS_KEPT:
                self.completed[subject] = None

    def hear(self, event: Event) -> None:
        """Keep what an event tells of the next action besides its text: the tokens that it takes."""
        told = tokens_of(event.data)
        if told is not None:
            self.tokens = (self.tokens or 0.0) + told

    def spend(self, step: Step, taxonomy: Taxonomy, at: int) -> float:
        """Let an access draw on the trust budget, and return its cost in units."""
        self.budget, cost = spend(self.budget, step, taxonomy, at)
        self.pulse = beat(self.pulse, step, at)
        self.tokens = None
        return cost

    def lessen(self, now: int) -> None:
        """Let a budget of which nothing was drawn hold no more than it would if the session began now.

        Sessions may be opened beforehand, as many as are wanted: what bounds them is read when they are used.
        """
        begun = begun_budget(self.terms(now), now, self.actor.spent_lately(now))
        if begun.granted < self.budget.left:
            looked = self.budget
            self.budget = replace(begun, renewed_at=looked.renewed_at, whole_at=looked.whole_at)

    def draw(self, judgement: Judgement, taxonomy: Taxonomy, now: int, *, approved: bool) -> float:
        """Let an action draw on the trust budget now, and its actor remember it; its cost in units."""
        if self.actions == 1:
            self.lessen(now)
        cost = self.spend(judgement.step, taxonomy, now)
        asked_for = approved or judgement.verdict is Verdict.IN_SCOPE
        self.actor.charge(cost * IN_SCOPE_COUNTS if asked_for else cost, now)
        return cost

    @property
    def declaration(self) -> Declaration:
        """What the session says it is for, as it says now."""
        return self.declared_as or declaration_of(self.opening)

    def redeclare(self, declaration: Declaration, at: int, taxonomy: Taxonomy) -> None:
        """Take a new declaration, which starts a new grant of time and renews the trust budget."""
        before = self.tracker.envelope
        self.tracker.redeclare(declaration)
        self.declared_as = declaration
        self.widenings += before.union(self.tracker.envelope, taxonomy) != before
        self.declarations += 1
        self.declared = at
        self.declared_t = self.last_t
        self.renew(at, by_person=False)

    def renew(self, at: int, *, by_person: bool) -> None:
        """The actor was looked at again: its trust budget is renewed."""
        self.budget = renew(self.budget, self.terms(at), at, by_person=by_person)

    def lower(self, now: int) -> float:
        """The lower bound of trust that levels are read from here: the actor's, as a person may have bounded it."""
        return bounded(lower_bound(self.actor.trust, now), self.actor.bound, now, clear=self.clear)

    def trust_view(self, now: int, effect: float) -> dict[str, Any]:
        """TRUST of the contract; levels as a person may have bounded them, which it then says."""
        return bounded_view(self._viewed(now, effect), self.actor.bound, now, clear=self.clear)

    def _viewed(self, now: int, effect: float) -> dict[str, Any]:
        trust, period = self.actor.trust, now // VIEW_MS
        known = self.viewed
        if known is not None and known[0] is trust and known[1] == period and known[2] == effect:
            return known[3]
        shown = view(trust, now, effect)
        self.viewed = (trust, period, effect, shown)
        return shown

    def terms(self, now: int) -> Terms:
        """What the actor's trust means in this session."""
        return terms_of(self.lower(now))

    def ask(self, wanted: Envelope, taxonomy: Taxonomy) -> bool:
        """Take a request for scope, and return whether the envelope holds it already."""
        held = self.tracker.envelope.union(wanted, taxonomy) == self.tracker.envelope
        self.declarations += 1
        self.widenings += not held
        return held

    def envelope_text(self) -> str:
        """The envelope as JSON, made anew only when the tracker has another one."""
        if self.envelope is None or self.envelope[0] is not self.tracker.envelope:
            text = json.dumps(self.tracker.envelope.to_json(), separators=(",", ":"))
            self.envelope = (self.tracker.envelope, text)
        return self.envelope[1]

    def elapsed_ms(self, now: int) -> int:
        """How long the declaration has been used: by this node's clock, or the session's own where that says more."""
        # The session's clock is the caller's word: it can make a declaration older, never younger.
        return max(now - self.declared, int((self.last_t - self.declared_t) * 1000))

    def answer(self, action_id: str, digest: str, body: str) -> None:
        """Keep what was answered to an action."""
        self.hashes[action_id] = digest
        self.answers[action_id] = body
        if len(self.answers) > ANSWERS_KEPT:
            self.answers.popitem(last=False)

    def offer(self, alternative_id: str, alternative: Mapping[str, Any]) -> None:
        """Keep a narrower alternative that was offered."""
        self.offered[alternative_id] = alternative
        if len(self.offered) > ANSWERS_KEPT:
            self.offered.popitem(last=False)


class LiveSessions:
    """The bounded maps. `limit` sessions and `actors` actors are kept, those used last; `loading` guards rebuilding."""

    def __init__(self, limit: int = SESSIONS, *, actors: int = ACTORS) -> None:
        self._limit = limit
        self._most_actors = actors
        self._sessions: OrderedDict[str, Live] = OrderedDict()
        self._actors: OrderedDict[str, LiveActor] = OrderedDict()
        self._session_refs: WeakValueDictionary[str, Live] = WeakValueDictionary()
        self._actor_refs: WeakValueDictionary[str, LiveActor] = WeakValueDictionary()
        self._settling: set[asyncio.Future[None]] = set()
        self.loading = asyncio.Lock()

    def get(self, session_id: str) -> Live | None:
        """The session, if it is in memory."""
        live = self._sessions.get(session_id)
        if live is not None:
            self._sessions.move_to_end(session_id)
            return live
        live = self._session_refs.get(session_id)
        if live is not None:
            self.put(live)
        return live

    def put(self, live: Live) -> None:
        """Hold a session; the one that was used longest ago may fall out."""
        self._sessions[live.id] = live
        self._session_refs[live.id] = live
        self._sessions.move_to_end(live.id)
        if len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)

    def open(self) -> tuple[Live, ...]:
        """The sessions in memory that are not closed."""
        return tuple(live for live in self._session_refs.values() if live.closed is None)

    def actor(self, actor_id: str) -> LiveActor | None:
        """The actor, if it is in memory."""
        actor = self._actor_refs.get(actor_id)
        if actor is not None:
            self.put_actor(actor)
        return actor

    def put_actor(self, actor: LiveActor) -> None:
        """Hold an actor; the one that was used longest ago may fall out."""
        self._actors[actor.id] = actor
        self._actor_refs[actor.id] = actor
        self._actors.move_to_end(actor.id)
        if len(self._actors) > self._most_actors:
            self._actors.popitem(last=False)

    def forget(self, live: Live) -> None:
        """Give up what memory holds of a session, its actor and the actor's other sessions; the store knows better."""
        for session_id in (live.id, *live.actor.open_sessions):
            self._sessions.pop(session_id, None)
            other = self._session_refs.pop(session_id, None)
            if other is not None and other.written is not None and not other.written.done():
                self._settling.add(other.written)
                other.written.add_done_callback(self._settling.discard)
        self._actors.pop(live.actor.id, None)
        self._actor_refs.pop(live.actor.id, None)

    async def settled(self) -> None:
        """Wait until what was forgotten is on disk, as far as it still goes there."""
        if self._settling:
            await asyncio.wait(self._settling)


class Matching:
    """The matcher in force: the catalogue's patterns and the novel ones that are believed."""

    def __init__(self) -> None:
        self._matcher: Matcher | None = None
        self._checked = 0

    def current(self, catalogue: Catalogue, taxonomy: Taxonomy, beliefs: Beliefs, now: int) -> Matcher:
        """The matcher; whether the novel patterns have changed is looked up at most every `MATCHER_CHECK_MS`."""
        if self._matcher is None:
            named = {name: parse_pattern(entry.pattern) for name, entry in catalogue.entries.items()}
            self._matcher = Matcher(named, taxonomy)
        elif abs(now - self._checked) < MATCHER_CHECK_MS:
            return self._matcher
        self._checked = now
        wanted, there = beliefs.patterns(), self._matcher.patterns
        fresh = {name: pattern for name, pattern in wanted.items() if name not in there}
        gone = [name for name in there if name not in wanted and name not in catalogue.entries]
        if fresh or gone:
            self._matcher = self._matcher.changed(fresh, gone)
        return self._matcher


def _about(pattern: str | None) -> dict[str, str]:
    """What a row for engines names: a pattern, or a public subject, each as its indicator does."""
    if pattern is None:
        return {}
    return {"subject" if pattern.startswith(PUBLIC) else "pattern": indicator_id(pattern)}


def _moved(before: float, after: float) -> bool:
    # Both have four decimals: a move of exactly the bound must not be lost to the representation.
    return round(abs(after - before), 4) >= MOVE_TOLD
