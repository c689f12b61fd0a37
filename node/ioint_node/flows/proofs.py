"""Proofs of equivocation: how a member is convicted here, and how the proof reaches every other member.

A proof needs nobody's word. Whoever finds or receives one keeps it, believes its author no more, and says so in its
cursor vector, by which others find out that they lack it and fetch it. A false one costs only who delivered it.
"""

from __future__ import annotations

import logging
from functools import partial

from ioint_protocol import ProtocolError, sync, verify_equivocation
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import Accepted, Decision, Ignored, Rejected
from ioint_node.flows.believe import Believed, believe, put_in_force
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.spread import everyone
from ioint_node.store import log, peers, proofs
from ioint_node.store.engine import Store

_log = logging.getLogger(__name__)


async def receive_proof(parts: ExchangeParts, proof: bytes, delivered_by: str, now: int) -> Decision:
    """Convict whom a proof convicts; it counts whatever state its author is in on the roster."""
    roster, consortium = parts.roster(), parts.consortium()
    if roster is None or consortium is None:
        return Ignored(reason="no_roster")
    try:
        author, seq = verify_equivocation(proof, consortium, roster)
    except ProtocolError as error:
        if error.name == "unknown_member":
            return Ignored(reason="unknown_author")
        if error.name == "unknown_signer":
            return Ignored(reason="unknown_signer")
        return Rejected(reason=error.name)
    if not await convict(parts, author, seq, proof, now):
        return Ignored(reason="duplicate")
    _log.info("proof of equivocation author=%s delivered_by=%s", author, delivered_by)
    return Accepted(author=author, seq=seq, records=0)


async def convict(parts: ExchangeParts, author: str, seq: int, proof: bytes, now: int) -> bool:
    """Keep a verified proof, believe its author no more and tell others; False when it was convicted before."""
    believed = await parts.store.write(
        partial(_convict, parts=parts, author=author, seq=seq, proof=proof, now=now)
    )
    if believed is None:
        return False
    _log.warning("equivocation author=%s seq=%d", author, seq)
    put_in_force(parts, believed)
    parts.notify()
    parts.announce(everyone(parts, {author: sync.CONVICTED}))
    return True


async def answer_proofs(store: Store, body: bytes) -> bytes:
    """Answer `/ioint/proof`: the proofs against the authors asked for, as many as a frame holds.

    Raises:
        ProtocolError: the request is none.
    """
    wanted = sync.decode_proof_request(body)
    async with store.read() as connection:
        return sync.encode_proof_answer(await proofs.of(connection, wanted))


async def _convict(
    connection: AsyncConnection, *, parts: ExchangeParts, author: str, seq: int, proof: bytes, now: int
) -> Believed | None:
    # One proof of an author is enough: nobody can fill the table, and the vector is the same for all.
    if await log.equivocation_of(connection, author) is not None:
        return None
    await log.add_equivocation(connection, author, seq, proof, now)
    await peers.quarantine(connection, author, "equivocation", now)
    return await believe(connection, parts, await log.subjects_of(connection, author), now)
