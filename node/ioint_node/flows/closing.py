"""A session ends: what it says of its actor, of the patterns it completed, and of its environment."""

from __future__ import annotations

from collections.abc import Sequence

from ioint_node.flows.assessing import AssessParts, keep_up, write
from ioint_node.flows.decision import evidence_text
from ioint_node.flows.journal import Entry, Judged
from ioint_node.flows.live import Live
from ioint_node.flows.paths import kept_whole, path_text
from ioint_node.flows.recording import changed, hits_of, match_row, session_row
from ioint_node.flows.respond import on_close
from ioint_node.scoring.evidence import SessionFacts, of_close
from ioint_node.scoring.shape import likeness, taken_back, used_share
from ioint_node.scoring.trust import after_all
from ioint_node.scoring.values import Verdict
from ioint_node.store.incidents import Hit
from ioint_node.store.judged import clear_session, departed_actions
from ioint_node.store.times import day_of, to_text


def end(parts: AssessParts, live: Live, outcome: str, now: int) -> None:
    """End a session: trust takes in what it says, its matches are settled, its grants and holds end with it."""
    actor = live.actor
    evidence = of_close(_facts(live, outcome))
    actor.trust = after_all(actor.trust, evidence, now)
    actor.open_sessions.discard(live.id)
    parts.holds.end_session(live.id)
    live.closed, live.outcome = now, outcome
    flagged = live.tracker.verdict is Verdict.OUT_OF_SCOPE and not live.cleared
    missed = _missed(parts, live, now)
    # A session that did nothing says nothing of how rare a pattern is.
    judged = _judged(live, missed, flagged=flagged, now=now) if live.actions else None
    ended = "a session that matched a reported pattern has ended"
    entry = Entry(
        live=live,
        now=now,
        session=session_row(live, to_text(now)),
        trust=actor.trust if evidence else None,
        matches=tuple(match_row(live, hit.pattern, now) for hit in missed),
        hits=missed,
        stream=changed(live, now, evidence_text(evidence), effect=0.0, why=ended),
        judged=judged,
        baseline=actor.baseline if live.actions else None,
        order=on_close(parts.halted, actor.id, live.id, enforce=live.enforced, now=now),
        ended=True,
    )
    write(parts, entry)


async def clear(parts: AssessParts, live: Live, action_id: str) -> None:
    """A person said that an action was right: when that is all that was out of scope, the session is benign."""
    live.answered.add(action_id)
    if live.cleared or live.tracker.verdict is not Verdict.OUT_OF_SCOPE:
        return
    await parts.journal.settled()
    async with parts.store.read() as connection:
        departed = await departed_actions(connection, live.id)
    live.cleared = departed <= live.answered
    if live.cleared and live.closed is not None:
        day = day_of(live.closed)
        await parts.store.write(lambda connection: clear_session(connection, live.id, day))


def _missed(parts: AssessParts, live: Live, now: int) -> tuple[Hit, ...]:
    """What others warn of by now and this session contains, whenever it did that; what is noted already stays."""
    if not live.actions:
        return ()
    keep_up(parts, live, now)
    return hits_of(parts, live, live.tracker.completed, "retro")


def _judged(live: Live, missed: Sequence[Hit], *, flagged: bool, now: int) -> Judged:
    tracker = live.tracker
    return Judged(
        patterns=tuple({**live.completed, **dict.fromkeys(hit.pattern for hit in missed)}),
        flagged=flagged,
        day=day_of(now),
        path=path_text(tracker.families, tracker.steps, tracker.outside),
        whole=kept_whole(tracker.steps, tracker.outside),
    )


def _facts(live: Live, outcome: str) -> SessionFacts:
    steps = live.tracker.steps
    changes, reverted = taken_back(steps)
    return SessionFacts(
        verdict=live.tracker.verdict,
        outcome=outcome,
        actions=live.actions,
        composed=bool(live.actor.trust.composition) and not live.actor.trust.withheld,
        depth=0 if live.lineage is None else live.lineage.depth,
        widenings=live.widenings,
        used_share=used_share(steps, live.tracker.envelope),
        mutations=changes,
        reverted=reverted,
        consistency=likeness(live.unlike, live.actions) if live.actor.baseline.known else None,
    )
