"""What a segment that arrived may do to us: checks in the order of their cost, and three answers.

`Accepted` changes the store. `Ignored` costs nobody: the bytes may be fine at another time or for another node.
`Rejected` costs the peer that delivered, never the member named in bytes: bytes that did not verify say nothing about
the signer they name.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from ioint_protocol import (
    ProtocolError,
    Report,
    Roster,
    Segment,
    VerifiedSegment,
    Withdrawal,
    parse_segment,
    verify_segment,
)
from ioint_protocol.limits import LIMITS as PROTOCOL

DAY_S: Final = 86_400
HOUR_MS: Final = 3_600_000
IGNORED: Final = frozenset(
    {
        "duplicate",  # we have it
        "gap",  # a segment before it is missing: catch-up will bring both
        "fork",  # another history than the one we hold: the segment before, from the same peer, is the proof
        "equivocation",  # two signed heads at one height: kept as a proof
        "quarantined",  # its author has signed two histories
        "busy",  # our store takes nothing now: it is to be sent again
        "no_roster",  # we have no roster in force
        "unknown_author",  # our roster, or the sender's, may be behind
        "inactive_author",
        "unknown_signer",  # of a proof: its author's keys have changed, and somebody's roster is behind
        "early",  # says a day that has not begun, or forgets what is still alive: clocks differ
        "quota",  # its author is over its hourly share
    }
)


# What even an honest member that passes on what it has brings now and then: it cannot know what we hold or lack.
PASSED_OVER: Final = frozenset({"duplicate", "gap", "busy", "no_roster", "unknown_author", "inactive_author"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a member may cost us."""

    segment_bytes: int = PROTOCOL.segment_bytes
    clock_skew_days: int = 1
    segments_per_hour: int = 2_000  # one every two seconds; a busier member puts more records into each
    records_per_hour: int = 20_000  # the whole catalogue, each entry said in every size, five times over
    push_bytes: int = 65_536  # of a segment that is passed on whole; a larger one is only announced
    push_members: int = 6  # to whom a segment of our own goes whole
    relay_members: int = 3  # to whom another's segment is passed on whole
    relay_announcements: int = 3  # to whom another's is announced; our own is, to all connected
    flush_records: int = PROTOCOL.segment_records


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """It is stored and believed; `unread` of its records are of a later version, and are only stored."""

    author: str
    seq: int
    records: int
    unread: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """It changes nothing and costs nobody."""

    reason: str

    def __post_init__(self) -> None:
        if self.reason not in IGNORED:
            raise ValueError(f"{self.reason!r} is no reason to ignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """It costs the peer that delivered it; `reason` is a refusal name of the protocol."""

    reason: str


Decision = Accepted | Ignored | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What we hold of an author: the height, hash and `low` of its newest segment; height 0 when there is none.

    `same_height` is the hash that we hold at the height of the segment at hand, or None. `floor` is the highest `low`
    of a header of this author that we verified, at whatever height: what lies below it, nobody needs any more.
    """

    seq: int = 0
    head: str = ""
    low: int = 1
    same_height: str | None = None
    floor: int = 0


NOTHING: Final = Known()


class Places:
    """Where the logs of some authors end, and which segments of theirs are held, as accepting more moves them on.

    `ends` are what is known of each author's newest segment, `held` the hashes that are held by author and height.
    """

    def __init__(
        self,
        ends: Mapping[str, Known],
        held: Mapping[tuple[str, int], str],
        floor: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self._ends, self._held, self._floor = dict(ends), dict(held), floor

    def known(self, author: str, seq: int) -> Known:
        """What is known to place a segment of height `seq`."""
        end = self._ends.get(author, NOTHING)
        return replace(end, same_height=self._held.get((author, seq)), floor=self._floor(author))

    def advance(self, segment: VerifiedSegment) -> None:
        """This segment is accepted."""
        self._ends[segment.author] = Known(seq=segment.seq, head=segment.head, low=segment.low)
        self._held[segment.author, segment.seq] = segment.head


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A segment whose author signed it, and where it stands to the history that we hold."""

    segment: VerifiedSegment
    place: Literal["next", "conflict"]


def check_shape(wire: bytes, limits: Limits) -> Segment | Rejected:
    """Size, then shape; nothing is verified yet."""
    if len(wire) > limits.segment_bytes:
        return Rejected(reason="too_large")
    try:
        return parse_segment(wire)
    except ProtocolError as error:
        return Rejected(reason=error.name)


def check_place(
    seq: int, prev: str, head: str, known: Known, *, low: int
) -> Ignored | Rejected | Literal["next", "conflict"]:
    """Where a segment stands to the author's history that we hold (SPEC, "Place").

    It is the next, a conflict, or neither. `low` is the segment's own; all of it is as untrusted as the segment.
    """
    if known.same_height is not None:
        return Ignored(reason="duplicate") if known.same_height == head else "conflict"
    if known.seq + 1 < seq <= known.floor:
        return "next"
    if seq != known.seq + 1:
        return Ignored(reason="gap")
    if known.seq > 0 and prev != known.head:
        return Ignored(reason="fork")
    if low < known.low:
        return Rejected(reason="rollback")
    return "next"


def check_author(
    author: str, roster: Roster | None, now: int, quarantined: Collection[str]
) -> Ignored | Roster:
    """Whether the author is someone to hear under the roster in force."""
    if roster is None or roster.expires <= now // 1000:
        return Ignored(reason="no_roster")
    member = roster.member(author)
    if member is None:
        return Ignored(reason="unknown_author")
    if member.state != "active":
        return Ignored(reason="inactive_author")
    if author in quarantined:
        return Ignored(reason="quarantined")
    return roster


def check_signature(segment: Segment, consortium: str, roster: Roster) -> VerifiedSegment | Rejected:
    """The signature over the bytes that arrived, and the record bodies against the signed root."""
    try:
        return verify_segment(segment, consortium, roster)
    except ProtocolError as error:
        return Rejected(reason=error.name)


def check_age(segment: VerifiedSegment, now: int, limits: Limits) -> Ignored | None:
    """No record may say a day that has not begun anywhere; what is old is kept for the chain and believed no more."""
    latest = now // 1000 // DAY_S + limits.clock_skew_days
    if any(_day(item.record) > latest for item in segment.records):
        return Ignored(reason="early")
    return None


class Floors:
    """Below which height each author's log need not be known; learned from headers that were verified.

    It is kept in memory alone: it is needed while a log is fetched, and learned anew for that.
    """

    def __init__(self) -> None:
        self._low: dict[str, int] = {}

    def of(self, author: str) -> int:
        """The floor of an author's log, 0 while none is known."""
        return self._low.get(author, 0)

    def learn(self, author: str, low: int) -> None:
        """Note the `low` of a header that an author on the roster signed; it never goes back."""
        self._low[author] = max(low, self.of(author))

    def forget(self, author: str) -> None:
        """What this author signed for stands no more."""
        self._low.pop(author, None)


class Recent:
    """The heads of segments that were stored lately: one that comes again by another way costs one look-up."""

    def __init__(self, limit: int = 65_536) -> None:
        self._heads: OrderedDict[str, None] = OrderedDict()
        self._limit = limit

    def __contains__(self, head: object) -> bool:
        return head in self._heads

    def note(self, head: str) -> None:
        """A segment of this head is on disk."""
        self._heads[head] = None
        while len(self._heads) > self._limit:
            self._heads.popitem(last=False)

    def clear(self) -> None:
        """Forget everything: another store is asked from now on."""
        self._heads.clear()


class Quotas:
    """How much each author has sent within the last hour; bounded by the roster, which is checked before."""

    def __init__(self) -> None:
        self._sent: dict[str, deque[tuple[int, int]]] = {}
        self._records: dict[str, int] = {}

    def admit(self, author: str, records: int, now: int, limits: Limits) -> Ignored | None:
        """Count a segment, or say that its author is over its share."""
        sent = self._sent.setdefault(author, deque())
        while sent and now - sent[0][0] >= HOUR_MS:
            self._records[author] -= sent.popleft()[1]
        total = self._records.get(author, 0)
        if len(sent) >= limits.segments_per_hour or total + records > limits.records_per_hour:
            return Ignored(reason="quota")
        sent.append((now, records))
        self._records[author] = total + records
        return None


def _day(record: object) -> int:
    if isinstance(record, Report):
        return record.day_until
    return 0 if isinstance(record, Withdrawal) else int(getattr(record, "day", 0))
