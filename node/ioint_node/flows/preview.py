"""What would leave, before anything does: of a session, of a file of sessions, or a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ioint_protocol.pattern import Matcher, parse_pattern

from ioint_node.flows.draft import draft_report, sample_report
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.seconding import told_of
from ioint_node.scoring.model import Model
from ioint_node.scoring.predict import events_of, read_sessions
from ioint_node.scoring.tracker import SessionTracker
from ioint_node.scoring.values import Declaration, Verdict
from ioint_node.store import sessions


async def preview(
    parts: ExchangeParts, session_id: str | None, now: int, *, sure: float
) -> list[dict[str, Any]]:
    """The exact bytes that a session would make leave, field by field; without a session, a sample.

    A session whose risk is below `sure`, the publish threshold, tells nothing by itself but that it met what another
    group reports; each record says so.

    Raises:
        NotFoundError: no such session.
    """
    if session_id is None:
        first = min(parts.catalogue.entries.values(), key=lambda entry: entry.slug)
        return [sample_report(parts, first.id, now).to_json()]
    async with parts.store.read() as connection:
        detail = await sessions.get_session(connection, session_id)
        confirmed = float(detail["risk"]) >= sure
        departed = detail["verdict"] == Verdict.OUT_OF_SCOPE and not detail["cleared"]
        drafts = []
        for pattern in sorted({str(match["pattern"]) for match in detail["patterns"]}):
            told = await told_of(
                connection, parts, pattern, session_id, confirmed=confirmed, departed=departed, now=now
            )
            # Where nothing leaves, the report that would says why.
            drafts.append(
                told
                or await draft_report(
                    connection, parts, pattern, session_id, confirmed=confirmed, basis="threshold", now=now
                )
            )
    return [draft.to_json() for draft in drafts if draft is not None]


def preview_file(parts: ExchangeParts, source: Path, model: Model, now: int) -> list[dict[str, Any]]:
    """What the sessions of a file would make leave, had they happened here today: one first report for each pattern.

    Raises:
        PredictionError: a line is no session; the message names it.
    """
    patterns = {name: parse_pattern(entry.pattern) for name, entry in parts.catalogue.entries.items()}
    matcher = Matcher(patterns, parts.taxonomy)
    told: set[str] = set()
    for session in read_sessions(source):
        declaration = Declaration(text=str(session.get("declared_intent") or ""))
        tracker = SessionTracker(declaration, model=model, matcher=matcher, taxonomy=parts.taxonomy)
        judged = [tracker.observe(event) for event in events_of(session)]
        if tracker.session_risk >= model.thresholds.publish:
            told.update(pattern for one in judged if one is not None for pattern in one.completed)
    return [sample_report(parts, pattern, now).to_json() for pattern in sorted(told)]
