"""The exchange with other members, put together: what they may ask of us, and when we ask them.

While a roster is in force segments are pushed, announced, pulled and compared. Without one, `/ioint/roster` alone is
asked of and answered to the members of the last roster, until there is a newer one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ioint_protocol import ProtocolError, Roster, parse_segment, sync
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.admission import Accepted, Decision, Ignored
from ioint_node.delivery import Delivery
from ioint_node.errors import BusyError
from ioint_node.flows import believe
from ioint_node.flows.contact import heard_enough
from ioint_node.flows.intake import Intake
from ioint_node.flows.parts import ExchangeParts, News
from ioint_node.flows.proofs import answer_proofs
from ioint_node.flows.refusals import Refusals
from ioint_node.flows.rekeyed import take_back
from ioint_node.flows.roster import Patience, RosterBook, answer_roster, ask_roster, install, look_again
from ioint_node.flows.sync import (
    CaughtUp,
    answer_heads,
    answer_pull,
    bring_announced,
    catch_up,
)
from ioint_node.peers import (
    Announcer,
    AntiEntropyLimits,
    Exchange,
    Handlers,
    Parting,
    PeerAddress,
    PeerUnavailable,
    Puller,
    run_catch_up,
)
from ioint_node.peers.exchange import Answerer
from ioint_node.peers.selection import choose
from ioint_node.store import outbox, peers

SECRET_BYTES = 32
MEET_S = 15.0
"""For so long after the start more members are waited for than are connected, before anything is signed."""
ROSTER_EXPIRED = "the roster has expired: nothing but a newer one is asked for"
PARTING = "the roster lets it in no more"
log = logging.getLogger("ioint")


class Network:
    """The exchange of one node.

    `met` is set once enough members were compared with since the start (`flows.contact`); `connect` makes what speaks
    with members from what they may ask; `settle` takes in a newer roster first; from `seed`, the node key's, the secret
    is derived by which links are chosen; `now` gives Unix milliseconds.
    """

    def __init__(
        self,
        parts: ExchangeParts,
        book: RosterBook,
        refusals: Refusals,
        met: asyncio.Event,
        *,
        seed: bytes,
        connect: Callable[[Handlers], Exchange],
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        settle: Callable[[], None] = lambda: None,
        anti_entropy: AntiEntropyLimits | None = None,
    ) -> None:
        self._parts, self._book, self._refusals, self._met = parts, book, refusals, met
        self._patience = Patience()
        self._now, self._anti_entropy, self._settle = now, anti_entropy, settle
        self._secret = hashlib.blake2b(b"links", key=seed, digest_size=SECRET_BYTES).digest()
        self._peers: tuple[PeerAddress, ...] = ()
        self._waited = False
        self._compared: set[str] = set()  # since the start, until we have met
        self._newest: dict[str, tuple[int, str]] = {}  # of each author, what we told others last
        self._parting = Parting()
        self.intake = Intake(parts, now)
        self.exchange = connect(self._handlers())
        permitted = _Permitted(exchange=self.exchange, parts=parts, parting=self._parting)
        self.announcer = Announcer(permitted, lambda: book.versions.timestamp)
        self.puller = Puller(self.pull)
        self.delivery = Delivery(
            parts.store, permitted, unavailable=PeerUnavailable, has=self.announcer.holders.has, now=now
        )
        self.choose_links(now())

    def loops(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What runs for as long as the node does, by name."""
        return {
            "exchange": self.exchange.run,
            "intake": self.intake.run,
            "delivery": self.delivery.run,
            "announcements": self.announcer.run,
            "pulls": self.puller.run,
            "catch-up": partial(run_catch_up, self.exchange, self.catch_up, self._anti_entropy),
            "hasten": self._hasten,
            "parting": partial(self._parting.run, lambda: self.choose_links(self._now())),
            "meet": self._wait_for_more,
        }

    def tell(self, news: News) -> None:
        """Something was stored: tell others, and look no more at announcements of it."""
        self._newest |= news.heads
        self.announcer.tell(news.to, news.heads)

    def alone(self) -> bool:
        """Whether there is nobody else on the roster."""
        members = self._book.last.members if self._book.last else ()
        return not any(member.state == "active" and member.id != self._parts.member for member in members)

    def choose_links(self, now: int) -> None:
        """Dial whom we chose as of now, and let in every active member of the last roster, and who is parting."""
        found = self._parting.with_parting(self._wanted(now))
        if found != self._peers:
            self._peers = found
            self.exchange.set_peers(found)

    def _wanted(self, now: int) -> tuple[PeerAddress, ...]:
        return peer_addresses(
            self._book.last, self._parts.member or "", secret=self._secret, now_s=now // 1000
        )

    async def look_for_roster(self) -> None:
        """Take over a roster that a command of the operator installed."""
        if await look_again(self._parts.store, self._book):
            await self.roster_changed()

    async def roster_changed(self) -> None:
        """Tell all who are connected, let go who is no active member, and believe by the new roster.

        Who is let go by it is told like the others, and stays for as long as it takes to ask for that roster.
        """
        now, roster, connected = self._now(), self._book.last, self.exchange.connected()
        self._settle()
        self._parting.begin(self._peers, self._wanted(now), connected)
        self.choose_links(now)
        self.announcer.tell(connected, {})
        gone = [member.id for member in roster.members if member.state == "removed"] if roster else []
        await self._parts.store.write(partial(_drop_mail, members=gone))
        log.info("roster version=%d members=%d", self._book.version, len(roster.members) if roster else 0)
        await take_back(self._parts, now)
        # Keys may have changed, and with them what is held: who has what is learned anew.
        self._newest.clear()
        self.announcer.holders.clear()
        await believe.refresh_all(self._parts, now)

    async def catch_up(self, member: str) -> bool:
        """Bring over what a member has and we have not; True when nothing is left to fetch from it."""
        await self._fetch_roster(member)
        if self._parts.roster() is None:
            return True
        with self._blaming(member):
            ask = partial(self._ask, member)
            brought = await catch_up(
                self._parts,
                ask,
                member,
                self._now(),
                receive=self._receive_found,
                spelled=not self._met.is_set(),
            )
        self._note(member, brought)
        level = brought.complete and brought.rejected is None
        if level:  # else it may keep from us what was taken back
            self._parts.beliefs.heard(self._now())
        await self._parts.store.write(lambda connection: peers.note_success(connection, member, self._now()))
        if level:
            self._compare(member)
        return brought.complete

    async def pull(self, member: str, announced: sync.Announcement) -> bool:
        """Bring over what a member announced, if we still lack it; True when nothing of it is left to fetch."""
        if announced.roster > self._book.versions.timestamp:
            await self._fetch_roster(member)
        heads = self._unknown(announced).heads
        if self._parts.roster() is None or not heads:
            return True
        with self._blaming(member):
            brought = await bring_announced(
                self._parts, partial(self._ask, member), member, heads, self._now(), receive=self._receive
            )
        if brought.rejected is not None:
            self._refusals.note(member, brought.rejected)
        return brought.complete

    def _handlers(self) -> Handlers:
        """What members may ask of this node; a request that is none is counted."""
        store = self._parts.store

        async def hear(member: str, body: bytes) -> bytes:
            return self._hear(member, body)

        return Handlers(
            push=self._push,
            heads=self._counted(self._tell_heads),
            pull=self._counted(self._in_force(lambda _, body: answer_pull(store, body))),
            announce=self._counted(hear),
            proof=self._counted(self._in_force(lambda _, body: answer_proofs(store, body))),
            roster=self._counted(self._tell_roster),
        )

    @contextmanager
    def _blaming(self, member: str) -> Iterator[None]:
        """Count what the protocol refuses of a member's answers."""
        try:
            yield
        except ProtocolError as error:
            self._refusals.note(member, error.name)
            raise

    def _counted(self, answer: Answerer) -> Answerer:
        async def respond(member: str, body: bytes) -> bytes:
            with self._blaming(member):
                return await answer(member, body)

        return respond

    def _in_force(self, answer: Answerer) -> Answerer:
        """Give nothing away while no roster says that the asker may have it."""

        async def respond(member: str, body: bytes) -> bytes:
            silent = self._parts.roster() is None or member in self._parting
            return b"" if silent else await answer(member, body)

        return respond

    async def _tell_heads(self, member: str, body: bytes) -> bytes:
        """Answer with our heads; to whom the roster lets in no more, with none."""
        if member in self._parting:
            return sync.encode_heads_answer({}, sync.decode_heads_request(body))
        return await answer_heads(self._parts, body)

    async def _tell_roster(self, member: str, body: bytes) -> bytes:
        answer = await answer_roster(self._book, body)
        self._parting.heard(member)
        return answer

    async def _push(self, member: str, body: bytes) -> bytes:
        """Answer a pushed segment."""
        try:
            decision = await self.intake.receive(body, member)
        except BusyError:
            decision = Ignored(reason="busy")
        self._learn(member, body, decision)
        if isinstance(decision, Accepted):
            return _answer("accepted")
        self._refusals.note(member, decision.reason)
        return _answer("ignored" if isinstance(decision, Ignored) else "rejected", decision.reason)

    async def _receive(
        self, _: ExchangeParts, wires: Sequence[bytes], delivered_by: str, now: int
    ) -> Sequence[Decision]:
        """Receive what a pull brought together with whatever else waits."""
        return await self.intake.receive_all(wires, delivered_by)

    async def _receive_found(
        self, _: ExchangeParts, wires: Sequence[bytes], delivered_by: str, now: int
    ) -> Sequence[Decision]:
        """The same for what comparing brought."""
        return await self.intake.receive_all(wires, delivered_by, fresh=False)

    def _hear(self, member: str, body: bytes) -> bytes:
        """Answer an announcement, and have what we lack of it fetched."""
        announced = sync.decode_announcement(body)
        for author, (seq, _) in announced.heads.items():
            self.announcer.holders.note(member, author, seq)
        if (wanted := self._unknown(announced)).heads or announced.roster > self._book.versions.timestamp:
            self.puller.want(member, wanted)
        return _answer("accepted")

    def _unknown(self, announced: sync.Announcement) -> sync.Announcement:
        """What of an announcement is news as far as memory tells: most is not, and needs no look at the store."""
        heads = {
            author: head
            for author, head in announced.heads.items()
            if (ours := self._newest.get(author)) is None
            or not (ours in {head, sync.CONVICTED} or 0 < head[0] < ours[0])
        }
        return sync.Announcement(heads=heads, roster=announced.roster)

    def _learn(self, member: str, wire: bytes, decision: Decision) -> None:
        """What a push tells of the sender: it has the segment, and what we miss before it."""
        match decision:
            case Accepted(author=author, seq=seq):
                self.announcer.holders.note(member, author, seq)
            case Ignored(reason="duplicate" | "gap" | "fork"):
                segment = parse_segment(wire)
                author, seq, prev = segment.header.author, segment.header.seq, segment.header.prev
                self.announcer.holders.note(member, author, seq)
                if decision.reason == "gap":
                    self.puller.want(member, sync.Announcement(heads={author: (seq, segment.head)}, roster=0))
                if decision.reason == "fork" and seq > 1:
                    # What it has before this one is not what we have there: the two convict their author.
                    self.puller.want(member, sync.Announcement(heads={author: (seq - 1, prev)}, roster=0))

    def _compare(self, member: str) -> None:
        """All that a member has was looked at: perhaps that is enough now to sign anew."""
        if not self._met.is_set():
            self._compared.add(member)
            self._meet()

    def _meet(self) -> None:
        roster = self._parts.roster()
        if self._met.is_set() or roster is None:
            return
        connected = self.exchange.connected()
        if heard_enough(roster, self._parts.member, self._compared, connected, waited=self._waited):
            self._met.set()
            self._compared.clear()
            self._parts.flush_soon()

    async def _wait_for_more(self) -> None:
        """Those that can be reached are enough after a while."""
        await asyncio.sleep(MEET_S)
        self._waited = True
        self._meet()

    def _note(self, member: str, brought: CaughtUp) -> None:
        if brought.rejected is not None:
            self._refusals.note(member, brought.rejected)
        behind = max(0, brought.behind - brought.accepted)
        self.exchange.note_lag(member, behind=behind, ahead=brought.ahead)

    async def _ask(self, member: str, protocol: str, body: bytes) -> bytes:
        if member in self._parting and protocol != sync.ROSTER:
            raise PeerUnavailable(PARTING)
        return await self.exchange.request(member, protocol, body)

    async def _fetch_roster(self, member: str) -> None:
        """Take over what a member has of the roster and we lack; what is refused of it keeps nothing else away."""
        if not self._patience.may_ask(member, self._now()):
            return
        try:
            files = await ask_roster(partial(self._ask, member), self._book.versions)
            changed = bool(files) and await install(self._parts.store, self._book, files, self._now())
            self._patience.note(member, self._now(), refused=False)
        except ProtocolError as error:
            self._patience.note(member, self._now(), refused=True)
            self._refusals.note(member, error.name)
            log.info("member %s: its roster is refused: %s", member, error.name)
            return
        if changed:
            await self.roster_changed()

    async def _hasten(self) -> None:
        """A member is connected: what waits for it need not wait out its pause."""
        reached: set[str] = set()
        woken = asyncio.Event()

        def reach(member: str) -> None:
            reached.add(member)
            woken.set()

        self.exchange.on_connect(reach)
        while True:
            await woken.wait()
            woken.clear()
            while reached:
                with suppress(BusyError):  # then its mail waits out its pause
                    await self.delivery.reachable(reached.pop())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Permitted:
    """The exchange as long as a roster is in force; who is parting is told of the newer one, and nothing else."""

    exchange: Exchange
    parts: ExchangeParts
    parting: Parting

    async def request(self, member: str, protocol: str, body: bytes, timeout_s: float | None = None) -> bytes:
        """The answer of a member.

        Raises:
            PeerUnavailable: there is none, or we have no roster in force, or it does not let this member in.
        """
        if self.parts.roster() is None:
            raise PeerUnavailable(ROSTER_EXPIRED)
        if member in self.parting and protocol != sync.ANNOUNCE:
            raise PeerUnavailable(PARTING)
        return await self.exchange.request(member, protocol, body, timeout_s)


def peer_addresses(
    roster: Roster | None, own: str, *, secret: bytes = b"", now_s: int = 0
) -> tuple[PeerAddress, ...]:
    """Whom to let in, which is every active member but ourselves, and whom of them to dial."""
    if roster is None:
        return ()
    others = [member for member in roster.members if member.state == "active" and member.id != own]
    chosen = choose([member for member in others if member.addresses], secret, now_s)
    return tuple(
        PeerAddress(
            member=member.id,
            peer_id=member.peer_id,
            addresses=member.addresses,
            group=member.group,
            chosen=member.id in chosen,
        )
        for member in others
    )


async def _drop_mail(connection: AsyncConnection, *, members: Sequence[str]) -> None:
    for member in members:
        await outbox.drop(connection, member)


def _answer(result: str, why: str = "") -> bytes:
    return sync.encode_push_answer(sync.PushAnswer(result=result, why=why))
