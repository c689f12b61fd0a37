"""Where a delegated session comes from: the chain of sessions above it, from memory and the store."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
from ioint_taxonomy import Envelope

from ioint_node.flows.live import LiveSessions
from ioint_node.scoring.lineage import DEPTH_MOST, Lineage, Link, lineage_of
from ioint_node.scoring.model import Thresholds
from ioint_node.scoring.values import Verdict
from ioint_node.store.engine import Store
from ioint_node.store.lineage import find_head


async def find_lineage(
    store: Store, sessions: LiveSessions, limits: Thresholds, parent: str, *, actor: str, session_id: str
) -> Lineage:
    """Where a session comes from that names this parent; what is not known of the chain is said so.

    Args:
        store: where sessions are kept.
        sessions: memory, where they are newer than on the disk.
        limits: from which drift on a session counts as risky.
        parent: the session that the caller named.
        actor: who acts in the new session.
        session_id: the new session, which may stand in its own chain by mistake or malice.
    """
    chain: list[Link] = []
    seen = {session_id}
    above: str | None = parent
    while above is not None and above not in seen and len(chain) < DEPTH_MOST:
        link = await _link(store, sessions, above)
        if link is None:
            break
        chain.append(link)
        seen.add(above)
        above = link.parent
    return lineage_of(
        parent,
        chain,
        actor=actor,
        borderline=limits.borderline,
        out_of_scope=limits.out_of_scope,
        cut=len(chain) == DEPTH_MOST and above is not None,
        returns=above is not None and above in seen,
    )


async def _link(store: Store, sessions: LiveSessions, session_id: str) -> Link | None:
    live = sessions.get(session_id)
    if live is not None and live.written is not None and not live.written.done():
        # Its parent is on the disk only; a write that fails is its own session's affair.
        with suppress(Exception):
            await asyncio.shield(live.written)
    async with store.read() as connection:
        row = await find_head(connection, session_id)
    if row is None:
        return None
    parent = msgspec.json.decode(row["parent"])["session_id"] if row["parent"] else None
    if live is None:
        return Link(
            session_id=session_id,
            actor=row["actor"],
            families=(row["family"],),
            envelope=Envelope.from_json(msgspec.json.decode(row["envelope"])),
            risk=row["risk"],
            verdict=Verdict(row["verdict"]),
            closed=row["state"] == "closed",
            parent=parent,
        )
    return Link(
        session_id=session_id,
        actor=live.actor.id,
        families=tuple(slug for slug, _ in live.tracker.families),
        envelope=live.tracker.envelope,
        risk=live.tracker.session_risk,
        verdict=live.tracker.verdict,
        closed=live.closed is not None,
        parent=parent,
    )
