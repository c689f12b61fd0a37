"""A number leaves with all that it is made of, and is computed again from that alone: `export`, then `replay`.

A replay believes nothing that it can verify: the roster by its signatures from the first root on, each segment by its
author's, the number by computing it in an empty store through the same code that receives and believes. What no
signature covers is the exporter's word: its local part, and that nothing was left out (docs/receipt.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from ioint_protocol import (
    LIMITS,
    ProtocolError,
    Roster,
    Segment,
    VerifiedSegment,
    bundle,
    verify_equivocation,
    verify_segment,
)
from ioint_protocol.segment import EVERY_STATE
from ioint_taxonomy import Catalogue, Taxonomy
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node import membership
from ioint_node.admission import Limits, Places, Rejected, check_age, check_place, check_shape
from ioint_node.errors import ReceiptError
from ioint_node.flows.believe import enter, reload
from ioint_node.flows.evidence import general_of
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.why import Weighed, check_said, weigh
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.reputation.derivation import network_record
from ioint_node.reputation.gate import Local, judge
from ioint_node.reputation.receipt import (
    SCHEMA,
    AnyLine,
    Closing,
    LeftOut,
    LocalLine,
    NetworkLine,
    Opening,
    Proof,
    RosterFile,
    SegmentLine,
    Writer,
    first_difference,
    plain,
    read,
)
from ioint_node.reputation.rule import LIFE_DAYS
from ioint_node.store import listings, log, proofs
from ioint_node.store.engine import Store, open_store
from ioint_node.store.log import Arrival
from ioint_node.store.migrate import upgrade
from ioint_node.store.times import day_of

SEGMENTS_READ: Final = 64  # in one transaction: a slow reader keeps no connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a receipt says, and what was computed from it.

    `difference` names the first value of the network part, `local_difference` of the local part, that is not the same;
    None where all are. A receipt that is not `complete` proves nothing, whatever is the same. `local` is None in a
    receipt without one.
    """

    opening: Opening
    closing: Closing
    roster: Roster
    segments: int
    records: int
    network: dict[str, Any]
    network_here: dict[str, Any]
    difference: str | None
    local: LocalLine | None
    local_here: Local | None
    local_difference: str | None

    @property
    def same(self) -> bool:
        """Whether the number is proven: everything was there, and all of it came out alike."""
        return self.closing.complete and self.difference is None and self.local_difference is None


async def export(
    parts: ExchangeParts, subject: str, now: int, *, clearance: str, with_local: bool = True
) -> AsyncIterator[bytes]:
    """The lines of the receipt of a pattern or subject, for a reader with this clearance.

    A segment in which stands anything that the reader may not see stays here; the receipt then says that it is not
    complete.

    Raises:
        NotFoundError: nobody ever said anything of it, or there is no roster to read it by.
        ReceiptError: it does not fit the bounds of a receipt.
    """
    async with parts.store.read() as connection:
        weighed = await weigh(connection, parts, subject, now)
        check_said(parts, weighed, clearance)
        files = await listings.all_roster_files(connection)
        bearing = await _bearing(connection, parts, weighed, now)
        against = await proofs.of(connection, {author for author, _ in bearing})
    roster, writer = weighed.roster, Writer()
    opening = Opening(
        schema=SCHEMA,
        subject=subject,
        consortium=roster.consortium,
        at=now,
        roster=roster.version,
        taxonomy=parts.taxonomy.version,
        catalogue=parts.catalogue.digest,
    )
    yield writer.line(opening)
    named = {str(row["name"]): bytes(row["body"]) for row in files}
    for name in bundle.in_order(named):
        yield writer.line(RosterFile(name=name, body=named[name]))
    for proof in against:
        yield writer.line(Proof(proof=proof))
    for start in range(0, len(bearing), SEGMENTS_READ):
        wanted = bearing[start : start + SEGMENTS_READ]
        async with parts.store.read() as connection:
            lines = [await _segment_line(connection, writer, *place, clearance) for place in wanted]
        for line in filter(None, lines):
            yield line
    yield writer.line(NetworkLine(network=network_record(weighed.case.network)))
    if with_local:
        yield writer.line(_local_line(parts, weighed))
    yield writer.close()


async def _bearing(
    connection: AsyncConnection, parts: ExchangeParts, weighed: Weighed, now: int
) -> tuple[tuple[str, int], ...]:
    """The segments that bear on the number: what was said of the subject, and what its weights were counted from.

    All general patterns are among the subjects, also those that no voice comes from: a part of what was said of one,
    that happens to stand in another segment, could say more than all of it.
    """
    # How often a voice is halved follows from how many subjects its group accuses. Of the others no more is needed:
    # what is missing can only make a count smaller, and theirs was small enough.
    halved = {voice.group for voice in weighed.case.network.voices if voice.halvings}
    return await log.segments_about(
        connection,
        (weighed.case.subject, *general_of(parts, weighed.case.dossier)),
        authors=[member.id for member in weighed.roster.members if member.group in halved],
        since_day=day_of(now) - LIFE_DAYS,
    )


async def _segment_line(
    connection: AsyncConnection, writer: Writer, author: str, seq: int, clearance: str
) -> bytes:
    """The line of a segment, or nothing and the reason noted."""
    wire = await log.wire_of(connection, author, seq)
    if wire is None:
        writer.leave_out(LeftOut(author=author, seq=seq, reason="forgotten"))
        return b""
    if await listings.hidden_in(connection, author, seq, clearance=clearance):
        writer.leave_out(LeftOut(author=author, seq=seq, reason="label"))
        return b""
    return writer.segment(author, seq, wire)


def _local_line(parts: ExchangeParts, weighed: Weighed) -> LocalLine:
    return LocalLine(grounds=weighed.grounds, params=parts.params, judged=weighed.local)


@dataclass(slots=True)
class _Unpacked:
    """The lines of a receipt by what they are."""

    opening: Opening | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    proofs: list[bytes] = field(default_factory=list)
    wires: list[bytes] = field(default_factory=list)
    network: dict[str, Any] = field(default_factory=dict)
    local: LocalLine | None = None
    closing: Closing | None = None


async def replay(
    chunks: Iterable[bytes],
    folder: Path,
    *,
    taxonomy: Taxonomy,
    catalogue: Catalogue,
    consortium: str | None = None,
) -> Replayed:
    """Compute a receipt's number again, in an empty store that is made in `folder`.

    `consortium` is the id that the reader trusts, or its fingerprint; None takes the receipt's own, and the reader has
    to compare it.

    Raises:
        ReceiptError: the file is not what a node wrote, or something in it does not verify; the message names it.
    """
    said = _unpack(read(chunks))
    opening, closing = said.opening, said.closing
    if opening is None or closing is None:
        raise AssertionError("every receipt that was read to its end has them")
    _check_opening(opening, taxonomy, catalogue, consortium)
    roster = _roster(said, opening)
    convicted = [_convicted(proof, roster) for proof in said.proofs]
    segments = _verified(said.wires, roster, opening.at)
    url = f"sqlite+aiosqlite:///{folder / 'replay.db'}"
    await upgrade(url)
    async with open_store(url) as store:
        parts = _parts(store, roster, taxonomy, catalogue)
        await store.write(partial(_convict, convicted=convicted, now=opening.at))
        await _enter(parts, roster, segments, opening.at)
        async with store.read() as connection:
            weighed = await weigh(connection, parts, opening.subject, opening.at)
    here = plain(network_record(weighed.case.network))
    judged = _judged(said.local)
    return Replayed(
        opening=opening,
        closing=closing,
        roster=roster,
        segments=len(segments),
        records=sum(len(segment.records) for segment in segments),
        network=said.network,
        network_here=here,
        difference=first_difference(said.network, here, "network"),
        local=said.local,
        local_here=judged,
        local_difference=_local_difference(said.local, judged, here),
    )


def _unpack(lines: Iterable[AnyLine]) -> _Unpacked:
    said, roster_bytes = _Unpacked(), 0
    for line in lines:
        match line:
            case Opening():
                _check_schema(line)
                said.opening = line
            case RosterFile():
                roster_bytes += len(line.body)
                if line.name in said.files or roster_bytes > LIMITS.bundle_bytes:
                    raise ReceiptError(f"roster: {line.name!r:.96} twice, or too many bytes of files")
                said.files[line.name] = line.body
            case Proof():
                said.proofs.append(line.proof)
            case SegmentLine():
                said.wires.append(line.wire)
            case NetworkLine():
                said.network = line.network
            case LocalLine():
                said.local = line
            case Closing():
                said.closing = line
    return said


def _check_schema(opening: Opening) -> None:
    if opening.schema != SCHEMA:
        raise ReceiptError(f"schema {opening.schema!r:.64}: this release replays {SCHEMA}")


def _check_opening(
    opening: Opening,
    taxonomy: Taxonomy,
    catalogue: Catalogue,
    consortium: str | None,
) -> None:
    if consortium is not None and not opening.consortium.startswith(consortium):
        raise ReceiptError(f"it is of consortium {opening.consortium!r:.80}, not {consortium}")
    if len(opening.subject) > LIMITS.subject_chars:
        raise ReceiptError(f"subject: {len(opening.subject)} characters, more than {LIMITS.subject_chars}")
    if not 0 <= opening.at < (LIMITS.day + 1) * 86_400_000:
        raise ReceiptError(f"at: {opening.at} is no time")
    words = (opening.taxonomy, opening.catalogue)
    if words != (taxonomy.version, catalogue.digest):
        raise ReceiptError(
            f"it was computed with taxonomy {opening.taxonomy!r:.32} and catalogue {opening.catalogue[:12]!r}, and "
            f"this release has {taxonomy.version} and {catalogue.digest[:12]}: replay it with the release of that time"
        )


def _roster(said: _Unpacked, opening: Opening) -> Roster:
    """The roster by the signatures on its files, as it was in force at the receipt's time."""
    try:
        roster = membership.recall(said.files).roster
    except ProtocolError as error:
        raise ReceiptError(f"roster: {error}") from None
    if roster.consortium != opening.consortium:
        raise ReceiptError(f"roster: of consortium {roster.consortium}, the receipt says another")
    if roster.version != opening.roster:
        raise ReceiptError(f"roster: version {roster.version}, the receipt says {opening.roster}")
    if roster.expires <= opening.at // 1000:
        raise ReceiptError("roster: it had expired when the receipt was made")
    return roster


def _convicted(proof: bytes, roster: Roster) -> tuple[str, int, bytes]:
    try:
        return (*verify_equivocation(proof, roster.consortium, roster), proof)
    except ProtocolError as error:
        raise ReceiptError(f"proof: {error}") from None


def _verified(wires: Sequence[bytes], roster: Roster, at: int) -> list[VerifiedSegment]:
    """The segments, each signed by its author; those that follow one another belong to one history.

    What lies between two others need not be there, as at a node that begins with what is still needed of a log. A
    member that has left or was convicted may have signed what others name: the rule decides who is heard.
    """
    places = Places({}, {}, lambda _: LIMITS.integer)
    limits = Limits()
    verified = []
    for number, wire in enumerate(wires, 1):
        shaped = check_shape(wire, limits)
        if isinstance(shaped, Rejected):
            raise ReceiptError(f"segment {number}: {shaped.reason}")
        segment = _signed(shaped, roster, number)
        place = check_place(
            segment.seq,
            segment.prev,
            segment.head,
            places.known(segment.author, segment.seq),
            low=segment.low,
        )
        if place != "next":
            named = "conflict" if isinstance(place, str) else place.reason
            raise ReceiptError(
                f"segment {number}: does not go on from what the receipt has of its log ({named})"
            )
        if check_age(segment, at, limits) is not None:
            raise ReceiptError(f"segment {number}: says a day after that of the receipt")
        places.advance(segment)
        verified.append(segment)
    return verified


def _signed(segment: Segment, roster: Roster, number: int) -> VerifiedSegment:
    try:
        return verify_segment(segment, roster.consortium, roster, states=EVERY_STATE)
    except ProtocolError as error:
        raise ReceiptError(f"segment {number}: {error}") from None


def _parts(store: Store, roster: Roster, taxonomy: Taxonomy, catalogue: Catalogue) -> ExchangeParts:
    """A node that is nobody, signs nothing and tells nobody."""
    return ExchangeParts(
        store=store,
        member=None,
        record_key=None,
        roster=lambda: roster,
        consortium=lambda: roster.consortium,
        taxonomy=taxonomy,
        catalogue=catalogue,
        beliefs=Beliefs(),
        publish_mode="hold",
        detector="",
    )


async def _convict(
    connection: AsyncConnection, *, convicted: Sequence[tuple[str, int, bytes]], now: int
) -> None:
    for author, seq, proof in convicted:
        await log.add_equivocation(connection, author, seq, proof, now)


async def _enter(parts: ExchangeParts, roster: Roster, segments: Sequence[VerifiedSegment], now: int) -> None:
    """Store and believe all of them in one transaction: what names another finds it, in whatever order they come."""
    arrivals = [Arrival(segment=segment) for segment in segments]
    await parts.store.write(lambda connection: enter(connection, parts, roster, arrivals, now), alone=True)
    # As after a restart: what is held in memory follows from the store alone.
    await reload(parts, now)


def _judged(local: LocalLine | None) -> Local | None:
    if local is None:
        return None
    try:
        return judge(local.grounds, local.params)
    except (ValueError, ArithmeticError) as error:
        raise ReceiptError(f"local: grounds that no node judges from ({error!s:.96})") from None


def _local_difference(local: LocalLine | None, judged: Local | None, network: dict[str, Any]) -> str | None:
    if local is None or judged is None:
        return None
    tier = first_difference(local.grounds.network, network["tier"], "local.grounds.network")
    return tier or first_difference(plain(local.judged), plain(judged), "local")
