"""What is held in memory of each subject, so that one more record costs what it changes and not what was said before.

A *dossier* is the evidence about one subject as the store has it: what each member said, the groups' voices that
follow, who reported first, and what was concluded last. `Dossiers` keeps the most recently used ones, so many
statements in all; whatever it does not have is read from the store again. It is therefore never the only place of
anything, and forgetting is always safe.

A transaction *takes* the dossiers that it changes and gives them back after its commit. While they are out, and for
ever when the transaction fails, everybody else reads the store; only the last who took a dossier can give it back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from types import MappingProxyType
from typing import Final

from ioint_protocol import Pattern, Roster
from msgspec import Struct, structs

from ioint_node.reputation.anew import Anew
from ioint_node.reputation.breadth import Breadth
from ioint_node.reputation.rule import (
    LIFE_DAYS,
    Network,
    Outcome,
    Scales,
    Statement,
    accuses,
    electorate,
    ruled,
)
from ioint_node.reputation.tally import AUTHOR_RECORDS, Tally

LABELS: Final = ("clear", "green", "amber", "amber_strict", "red")
PUBLIC: Final = "pkg:"  # how every public subject begins, and no pattern does


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierLimits:
    """How much is held in memory."""

    statements: int = 400_000  # in all dossiers together; about 500 bytes each
    subjects: int = 100_000


LIMITS: Final = DossierLimits()
NOTHING_GENERAL: Final[Mapping[str, Dossier]] = MappingProxyType({})


class Said(Statement, frozen=True, kw_only=True, gc=False):
    """A statement with what else its record says that an indicator shows; what only reports have is empty elsewhere.

    `received_at` is RFC 3339 text, `day_from` a UTC day; `pattern` is the novel pattern that a report spells out.
    """

    received_at: str
    tlp: str
    day_from: int = 0
    intents: tuple[str, ...] = ()
    pattern: Pattern | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstReport:
    """When a group's first live report of a pattern came, and whether it was within the group's weekly quota."""

    group: str
    day: int
    counts: bool


class Concluded(Struct, frozen=True, kw_only=True):
    """What the indicator row of a subject says as it is stored: `heard` are the values whose change engines hear of.

    `digest` is of the stored body as a whole; `withdrawn` counts the statements that only a withdrawal ended.
    """

    heard: tuple[object, ...]
    effect: float
    withdrawn: int
    seq: int
    digest: bytes
    tlp: str = ""
    first_reporter: str = ""
    reporters: int = 0


class Heard(Struct, frozen=True, kw_only=True, gc=False):
    """What some reports say beside their voices: who came first and when, the earliest day, the label, the intents.

    `arrival` are the instant (RFC 3339 text) and the author of the first; `label` is the place of the most closed
    label of TLP 2.0 among `LABELS`, sightings and disputes that are heard included.
    """

    arrival: tuple[str, str]
    day_from: int
    label: int
    intents: frozenset[str]


def heard(reports: Collection[Said]) -> Heard | None:
    """What these reports say together; None when there are none."""
    if not reports:
        return None
    return Heard(
        arrival=min([(s.received_at, s.author) for s in reports]),
        day_from=min([s.day_from for s in reports]),
        label=max([LABELS.index(s.tlp) for s in reports]),
        intents=frozenset().union(*[s.intents for s in reports]),
    )


class Dossier:
    """All that is known of one subject.

    `said` is what each author said, in the order of its log; `firsts` the first reports by group; `novel` the pattern
    itself where a report spells it out; `concluded` is None as long as no indicator row was written; `last_day` is the
    day of the newest statement, withdrawals left aside, and 0 when there is none. It is `public` when it is about a
    public subject and no pattern.
    """

    __slots__ = (
        "_labels",
        "_newest",
        "_now",
        "_reworded",
        "_then",
        "_words",
        "concluded",
        "firsts",
        "last_day",
        "novel",
        "public",
        "said",
        "subject",
        "ticket",
    )

    def __init__(
        self,
        subject: str,
        said: Iterable[Said] = (),
        firsts: Iterable[FirstReport] = (),
        concluded: Concluded | None = None,
    ) -> None:
        self.subject = subject
        self.public = subject.startswith(PUBLIC)
        self.said: dict[str, list[Said]] = {}
        self.firsts: dict[str, FirstReport] = {first.group: first for first in firsts}
        self.novel: Pattern | None = None
        self.concluded = concluded
        self.ticket = 0
        self.last_day = 0
        self._newest = 0  # day of anything, withdrawals included
        self._now: Tally[Said] | None = None  # of today
        self._then: Tally[Said] | None = None  # of another day
        self._words: dict[str, Heard] = {}  # by group: what its reports say that are heard today
        self._labels: dict[str, int] = {}  # by group: the most closed label of all of it that is heard today
        self._reworded: set[str] = set()  # groups of which these two are to be made anew
        self.add(said)

    def add(self, said: Iterable[Said]) -> None:
        """Take in what was stored, each author's in the order of its log."""
        came: dict[str, int] = {}  # by author: how much
        for one in said:
            author = one.author
            came[author] = came.get(author, 0) + 1
            known = self.said.get(author)
            if known is None:
                self.said[author] = [one]
            else:
                known.append(one)
            self._date(one)
            if one.pattern is not None and self.novel is None:
                self.novel = one.pattern
        for author in came:
            if len(self.said[author]) > AUTHOR_RECORDS:
                self._drop_oldest(author)
                came[author] = AUTHOR_RECORDS
        for tally in (self._now, self._then):
            if tally is not None:
                for author, new in came.items():
                    tally.changed[author] = tally.changed.get(author, 0) + new

    def _date(self, one: Said) -> None:
        day = one.day
        self._newest = max(self._newest, day)
        if day > self.last_day and one.kind != "withdrawal":
            self.last_day = day

    def _drop_oldest(self, author: str) -> None:
        self.said[author] = self.said[author][-AUTHOR_RECORDS:]
        self._newest = self.last_day = 0
        for said in self.said.values():
            for one in said:
                self._date(one)

    def network(self, scales: Scales, general: Mapping[str, Dossier] = NOTHING_GENERAL) -> Network:
        """The network part of today, given the dossiers of the more general patterns."""
        return self._joined(scales, general).network()

    def outcome(self, scales: Scales, general: Mapping[str, Dossier] = NOTHING_GENERAL) -> Outcome:
        """The same without the voices."""
        return self._joined(scales, general).outcome()

    def score(self, scales: Scales, general: Mapping[str, Dossier] = NOTHING_GENERAL) -> int:
        """The score on the scales of another day."""
        then = self._tallied_then(scales)
        then.join({name: other._tallied_then(scales) for name, other in general.items()})  # noqa: SLF001
        return then.outcome().score

    @property
    def accusers(self) -> tuple[str, ...]:
        """The groups that accuse it by statements about itself, as of the network part of today that was asked for."""
        voices = self._now.voices if self._now is not None else {}
        return tuple([group for group in sorted(voices) if voices[group].accusing > 0])

    def words(self, since_day: int) -> Heard | None:
        """What the reports say that are heard in the network part of today; where none is, those since a day."""
        self._reword()
        groups = self._words.values()
        if not groups:
            return heard(
                [s for said in self.said.values() for s in said if s.kind == "report" and s.day >= since_day]
            )
        return Heard(
            arrival=min([one.arrival for one in groups]),
            day_from=min([one.day_from for one in groups]),
            label=max(self._labels.values()),
            intents=frozenset().union(*{one.intents for one in groups}),
        )

    def closed(self) -> int:
        """The place among `LABELS` of the most closed label of all that is heard in the network part of today."""
        self._reword()
        return max(self._labels.values(), default=0)

    def heard_since(self, day: int) -> bool:
        """Whether anything was said of it on this day or later."""
        return bool(self.said) and self._newest >= day

    def first_since(self, day: int) -> list[FirstReport]:
        """The first reports since a day."""
        return [first for first in self.firsts.values() if first.day >= day]

    @property
    def statements(self) -> int:
        """How many are held."""
        return sum(map(len, self.said.values()))

    def newly_accused_by(self, new: Sequence[Said], scales: Scales) -> frozenset[str]:
        """The groups that accuse this subject by these statements, the last that were added, and did not before.

        It counts as in `rule.accuses`: what was taken back is counted as long as it would have lived.
        """
        came: dict[str, int] = {}  # by author: how much
        for s in new:
            came[s.author] = came.get(s.author, 0) + 1
        # An author that accused before is met at once; only for a new one the others of its group are looked for.
        groups = {
            scales.voters.group_of[s.author]
            for s in new
            if scales.hears(s.author)
            and self._accuses(s, scales)
            and not self._accused_before(s.author, came[s.author], scales)
        }
        return frozenset([group for group in groups if not self._group_accused_before(group, came, scales)])

    def _group_accused_before(self, group: str, came: Mapping[str, int], scales: Scales) -> bool:
        others = [author for author in scales.members[group] if author in self.said]
        return any(self._accused_before(author, came.get(author, 0), scales) for author in others)

    def _accused_before(self, author: str, came: int, scales: Scales) -> bool:
        """Whether an author accused it before its newest statements, so many of them, came."""
        before = islice(reversed(self.said[author]), came, None)
        return scales.hears(author) and any(self._accuses(s, scales) for s in before)

    def _accuses(self, statement: Said, scales: Scales) -> bool:
        return accuses(statement, scales.today, public_subject=self.public)

    def _joined(self, scales: Scales, general: Mapping[str, Dossier]) -> Tally[Said]:
        now = self._tallied_now(scales)
        if general:
            now.join({name: other._tallied_now(scales) for name, other in general.items()})  # noqa: SLF001
        return now

    def _tallied_now(self, scales: Scales) -> Tally[Said]:
        if self._now is None or self._now.scales is not scales:
            self._words, self._labels, self._reworded = {}, {}, set()
            self._now = self._tally(scales)
        self._reworded.update(self._now.hear(self.said))
        return self._now

    def _reword(self) -> None:
        """Note what the reports say that are heard now, of the groups that spoke since."""
        for group in self._reworded:
            voice = self._now.voices.get(group) if self._now else None
            spoken = [s for s in voice.statements if isinstance(s, Said)] if voice else []
            self._labels[group] = max([LABELS.index(s.tlp) for s in spoken], default=0)
            words = heard([s for s in spoken if s.kind == "report"])
            if words is None:
                self._words.pop(group, None)
            else:
                # Who counts more sessions later was first all the same.
                first = min([self._came_first(s) for s in spoken if s.kind == "report"])
                self._words[group] = structs.replace(words, arrival=first)
        self._reworded = set()

    def _came_first(self, report: Said) -> tuple[str, str]:
        """When the first report came that its author still stands by, given one that counts; and the author."""
        said = self.said.get(report.author, ())
        gone = {s.of for s in said if s.kind == "withdrawal"}
        live = (s for s in said if s.kind == "report" and s.id not in gone and report.day - s.day < LIFE_DAYS)
        return min([report.received_at, *(s.received_at for s in live)]), report.author

    def _tallied_then(self, scales: Scales) -> Tally[Said]:
        if self._then is None or self._then.scales is not scales:
            self._then = self._tally(scales)
        self._then.hear(self.said)
        return self._then

    def _tally(self, scales: Scales) -> Tally[Said]:
        tally: Tally[Said] = Tally(self.subject, scales, public_subject=self.public)
        tally.changed = {author: len(said) for author, said in self.said.items()}
        return tally


class Dossiers:
    """The dossiers held in memory, the least recently used going first; and the scales of the day.

    `breadth` says how much each group accuses, `anew` what is to be concluded anew soon.
    """

    def __init__(self, limits: DossierLimits = LIMITS) -> None:
        self._limits = limits
        self._kept: OrderedDict[str, Dossier] = OrderedDict()
        self._statements: dict[str, int] = {}
        self._held = 0
        self._tickets: dict[str, int] = {}
        self._next = count(1)
        self._roster: Roster | None = None
        self._scales: dict[int, Scales] = {}
        self.breadth = Breadth()
        self.anew = Anew()

    def take(self, subjects: Iterable[str]) -> dict[str, Dossier]:
        """The dossiers of these subjects that are held, by subject; they are out until they are given back."""
        found = {subject: self._remove(subject) for subject in subjects}
        return {subject: dossier for subject, dossier in found.items() if dossier is not None}

    def lend(self, dossiers: Iterable[Dossier]) -> None:
        """Note that these are out, taken or read from the store: whoever had them out before cannot give them back."""
        if len(self._tickets) > self._limits.subjects:
            self._tickets.clear()  # of transactions that failed; what is out now will be read again
        for dossier in dossiers:
            dossier.ticket = self._tickets[dossier.subject] = next(self._next)

    def give_back(self, dossiers: Iterable[Dossier]) -> None:
        """Keep dossiers as a commit left them, unless somebody else took them meanwhile."""
        for dossier in dossiers:
            if self._tickets.get(dossier.subject) != dossier.ticket:
                continue
            del self._tickets[dossier.subject]
            self._kept[dossier.subject] = dossier
            self._statements[dossier.subject] = dossier.statements
            self._held += self._statements[dossier.subject]
        while len(self._kept) > self._limits.subjects or self._held > self._limits.statements:
            self._remove(next(iter(self._kept)))

    def clear(self) -> None:
        """Forget everything: another store is read from now on."""
        self._kept.clear()
        self._statements.clear()
        self._tickets.clear()
        self._held = 0

    def scales(self, roster: Roster, today: int, equivocators: Collection[str]) -> Scales:
        """The scales of a day under this roster; the same value as long as nothing about them changes."""
        if self._roster is not roster:
            self._roster, self._scales = roster, {}
        known = self._scales.get(today)
        halvings = self.breadth.halvings
        if known is None or known.equivocators != equivocators or known.halvings is not halvings:
            if len(self._scales) > 4:  # two days are in use at a time
                self._scales.clear()
            known = Scales(
                voters=electorate(roster, today),
                today=today,
                equivocators=frozenset(equivocators),
                ruled=ruled(roster, today),
                halvings=halvings,
            )
            self._scales[today] = known
        return known

    def newly_accusing(
        self, dossier: Dossier, new: Sequence[Said], roster: Roster, today: int
    ) -> frozenset[str]:
        """The groups that accuse a subject by these statements, which its dossier has, and did not before."""
        scales = self._scales.get(today) if self._roster is roster else None
        return frozenset() if scales is None else dossier.newly_accused_by(new, scales)

    def voters(self, roster: Roster, today: int) -> Mapping[str, str]:
        """The group of each member that has a voice."""
        scales = self._scales.get(today) if self._roster is roster else None
        return scales.voters.group_of if scales is not None else electorate(roster, today).group_of

    @property
    def size(self) -> Mapping[str, int]:
        """How many subjects and statements are held."""
        return {"subjects": len(self._kept), "statements": self._held}

    def _remove(self, subject: str) -> Dossier | None:
        dossier = self._kept.pop(subject, None)
        if dossier is not None:
            self._held -= self._statements.pop(subject)
        return dossier
