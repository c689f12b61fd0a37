"""Our own log has one history, whatever happens to the database.

Two segments of one height, both signed by us, convict us at every member for ever. A database that is older than what
we published (a restored copy, a lost file, a power cut after a commit that was not yet on disk) would make us sign the
second. So the newest segments are also kept in an *anchor* outside the database, written before the transaction that
stores them commits. What the anchor has and the log lacks is entered again instead of signed anew; what neither has is
brought by the members, who hold our log as they hold everybody's; until then nothing is signed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from ioint_protocol import (
    ProtocolError,
    Record,
    Report,
    Segment,
    Unread,
    VerifiedRecord,
    VerifiedSegment,
    envelope,
    frame,
    parse_segment,
    record_pattern,
    sync,
    verify_segment,
)
from ioint_protocol.segment import GENESIS
from nacl.signing import SigningKey
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.parts import Anchor, ExchangeParts
from ioint_node.privacy.egress import EgressError
from ioint_node.privacy.explain import explain
from ioint_node.store import labels, log, outgoing
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.times import to_text

DAY_MS: Final = 86_400_000
ANCHORED_SEGMENTS: Final = 8
"""How many commits of our own log may be lost at once and still be repaired alone; their bytes fit one frame."""
LEFT_BEFORE: Final = "left before this database was lost or replaced"
CONVICTED: Final = (
    "two segments of height {seq} carry this node's signature, and members no longer hear it. Nothing more is signed. "
    "Ask a steward to remove this member, make a new home with `ioint init`, and let its new card be admitted"
)
BEHIND: Final = (
    "this database ends at segment {here} of the own log, and {there} were signed: it is an older copy. Nothing is "
    "signed until members have delivered the missing ones; they do so on contact: see `ioint peers`. If no member ever "
    "had them, put the newest copy of the database back"
)
FORKED: Final = (
    "this database holds another segment {seq} of the own log than the one that was signed last: it is not this "
    "member's. Nothing is signed. Put the newest copy of the database back"
)
UNREADABLE: Final = (
    "the anchor of the own log cannot be read ({why}). Nothing is signed. Put it back from a copy, or, when this node "
    "has left the consortium for which it was made, move it away"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The log is whole: the next segment follows number `seq`, whose hash is `prev`."""

    seq: int
    prev: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """This segment was signed before, is the next of the log, and is not in the database."""

    segment: VerifiedSegment


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """Nothing may be signed; `reason` says why and what to do."""

    reason: str


Outlook: TypeAlias = Next | Lost | Halted


class FileAnchor:
    """An anchor in a file beside the keys. It has one writer, so that it is read from disk once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: bytes | None = None

    def read(self) -> bytes | None:
        """What was written last, or None."""
        if self._held is None:
            with suppress(FileNotFoundError):
                self._held = self._path.read_bytes()
        return self._held

    def write(self, wire: bytes) -> None:
        """Replace the file as a whole, through to the disk."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(wire)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        # The name is in the folder: without this a power cut may bring the older file back.
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._held = wire


async def outlook(connection: AsyncConnection, parts: ExchangeParts, member: str) -> Outlook:
    """What comes next in the log of `member`, who is us."""
    proven = await log.equivocation_of(connection, member)
    if proven is not None:
        return Halted(reason=CONVICTED.format(seq=proven))
    try:
        signed = {s.header.seq: s for s in anchored(parts.anchor) if s.header.author == member}
    except (ProtocolError, OSError) as error:
        return Halted(reason=UNREADABLE.format(why=error))
    seq, prev = await log.head(connection, member) or (0, GENESIS)
    newest = max(signed, default=0)
    if newest > seq:
        return _missing(parts, signed, seq=seq, prev=prev)
    if newest:
        held = await log.known(connection, member, newest)
        if held.same_height != signed[newest].head:
            return Halted(reason=FORKED.format(seq=newest))
    return Next(seq=seq, prev=prev)


def anchored(anchor: Anchor) -> tuple[Segment, ...]:
    """The segments that an anchor holds, the newest first.

    Raises:
        ProtocolError: it holds something else.
    """
    held = anchor.read()
    return () if held is None else tuple(map(parse_segment, sync.decode_pull_answer(held)))


def fasten(anchor: Anchor, wire: bytes) -> None:
    """Add a segment to the anchor, before the transaction that stores it commits; the oldest fall out."""
    older = [segment.wire for segment in anchored(anchor)][: ANCHORED_SEGMENTS - 1]
    anchor.write(sync.encode_pull_answer([wire, *older]))


async def signed_for_another(
    connection: AsyncConnection, member: str, key_at: Callable[[int], SigningKey], consortium: str
) -> bool:
    """Whether the own log was signed for another consortium: nobody in this one could verify its beginning."""
    newest = await log.head(connection, member)
    wire = None if newest is None else await log.wire_of(connection, member, newest[0])
    if wire is None:
        return False
    segment = parse_segment(wire)
    key = bytes(key_at(segment.header.seq).verify_key)
    try:
        frame.verify_all(
            segment.signatures, (key,), envelope.payload_type("segment", consortium), segment.header_bytes
        )
    except ProtocolError:
        return True
    return False


async def note_left(
    connection: AsyncConnection, parts: ExchangeParts, segment: VerifiedSegment, now: int
) -> None:
    """Note what left in a segment of ours that this database did not know: it must not leave again."""
    for item in segment.records:
        await outgoing.add(connection, await _left_before(connection, parts, item, now))
    await outgoing.mark_left(connection, [item.id for item in segment.records], segment.seq, now)


def _missing(parts: ExchangeParts, signed: dict[int, Segment], *, seq: int, prev: str) -> Outlook:
    follows = signed.get(seq + 1)
    if follows is None:
        return Halted(reason=BEHIND.format(here=seq, there=max(signed)))
    if follows.header.prev != prev:
        return Halted(reason=FORKED.format(seq=seq))
    roster, consortium = parts.roster(), parts.consortium()
    if roster is None or consortium is None:
        return Halted(reason=BEHIND.format(here=seq, there=max(signed)))
    try:
        return Lost(segment=verify_segment(follows, consortium, roster))
    except ProtocolError as error:
        return Halted(reason=UNREADABLE.format(why=error))


async def _about(
    connection: AsyncConnection, parts: ExchangeParts, record: Record | Unread
) -> tuple[str, str]:
    """What a record of ours is about, and its label: its own, or that of what it names."""
    match record:
        case Report():
            return record_pattern(record) or record.subj or "", record.tlp
        case Unread():
            return "", log.UNLABELLED
        case _:
            subject = await log.subject_of(connection, record.of)
            return subject, await labels.label_of(connection, record.of, parts.member)


async def _left_before(
    connection: AsyncConnection, parts: ExchangeParts, item: VerifiedRecord, now: int
) -> Outgoing:
    record = item.record
    subject, label = await _about(connection, parts, record)
    try:
        rows = explain(item.body, parts.taxonomy, parts.catalogue, parts.audience(), label=label)
    except EgressError:
        rows = []  # it speaks the words of an older release; its bytes are listed all the same
    said = record.day_until * DAY_MS if isinstance(record, Report) else now
    return Outgoing(
        id=item.id,
        kind=log.KINDS[type(record)],
        subject=subject,
        body=item.body,
        explain=rows,
        state="left",
        reason=LEFT_BEFORE,
        not_before=to_text(min(said, now)),
        at=to_text(min(said, now)),
        tlp=label,
    )
