"""The network part of one subject, kept up to date statement by statement: the same integers as `rule.network_part`.

A statement changes the voice of one group. The voices of the others stand in ascending order, so that the outcome is
a removal and an insertion in a list of at most as many numbers as there are groups, and sums of its end.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from operator import attrgetter
from typing import Final, Generic, TypeVar

from ioint_node.reputation.rule import (
    Named,
    Network,
    Outcome,
    Scales,
    Statement,
    Sums,
    Voice,
    disputed_since,
    higher,
    is_void,
    known_reports,
    last_word,
    live_reports,
    lives,
    outcome,
    supported,
    voice,
    wider,
    with_voices,
)

S = TypeVar("S", bound=Statement)
AUTHOR_RECORDS: Final = 256
"""About one subject, of one author: whoever says more drowns only itself out, and every node drops the same."""
ANSWERS: Final = frozenset({"sighting", "dispute"})
LOOKING_BACK: Final = frozenset({"withdrawal", "dispute"})  # what they do depends on what was said before
_author = attrgetter("author")
MOVES: Final = 4_096
"""How many changes of a tally are remembered for those who follow it; with one more they look at all of it again."""
_STAMPS: Final = count(1)
UNNAMED: Final = Named(known=(), live=(), since={})
NOTHING: Final[frozenset[str]] = frozenset()


class _Balance:
    """Voices, counted in and out: their amounts, ascending and above 0, and when accusations were fresh."""

    __slots__ = ("_fresh", "accusing", "benign", "n", "p")

    def __init__(self) -> None:
        self.accusing: list[int] = []
        self.benign: list[int] = []
        self.p = self.n = 0
        self._fresh: dict[int, int] = {}  # by day: how many groups made their newest accusation then

    def count(self, heard: Voice, one: int) -> None:
        """Count a voice in (1) or out (-1)."""
        if heard.accusing:
            _move(self.accusing, heard.accusing, one)
            self.p += one * heard.accusing
        if heard.benign:
            _move(self.benign, heard.benign, one)
            self.n += one * heard.benign
        day = heard.fresh_day
        if day is not None:
            left = self._fresh.get(day, 0) + one
            if left:
                self._fresh[day] = left
            else:
                del self._fresh[day]

    def sums(self, voices: int, *, accusers: int | None = None) -> Sums:
        """The sums of the voices that are counted, of so many groups; so many accuse the subject itself."""
        return Sums(
            accusers=len(self.accusing) if accusers is None else accusers,
            accusing=self.accusing,
            benign=self.benign,
            p=self.p,
            n=self.n,
            voices=voices,
            fresh_day=max(self._fresh, default=None),
        )


class _Reports:
    """Which reports are known and live, and since when each group disputes which: as `rule.reports_named`.

    Kept up to date author by author, and only of subjects that somebody sights or disputes.
    """

    __slots__ = (
        "_answers",
        "_disputed",
        "_known",
        "_known_by",
        "_live",
        "_live_by",
        "_scales",
        "_since",
        "_withdrew",
        "named",
    )

    def __init__(self, scales: Scales) -> None:
        self._scales = scales
        self._known: dict[str, int] = {}  # by report: how many signed it
        self._live: dict[str, int] = {}
        self._known_by: dict[str, frozenset[str]] = {}  # by author: its reports
        self._live_by: dict[str, frozenset[str]] = {}
        self._answers: dict[str, set[str]] = {}  # by record: who named it in a sighting or dispute
        self._disputed: dict[str, dict[str, int]] = {}  # by author: since when it disputes which record
        self._since: dict[tuple[str, str], int] = {}
        self._withdrew: set[str] = set()  # authors that took anything back
        self.named = Named(known=self._known.keys(), live=self._live.keys(), since=self._since)

    def look(self, author: str, said: Sequence[Statement], new: int) -> set[str]:
        """Look at what an author said, so many of it new; returns whose answers may have won or lost their voice."""
        added = said[-new:]
        if new >= len(said) or author in self._withdrew or any(s.kind in LOOKING_BACK for s in added):
            return self._look_at_all(author, said)
        known = known_reports(added, self._scales.today)
        moved = self._sign(author, self._known_by.get(author, NOTHING) | known, added)
        return self._answering(moved)

    def _look_at_all(self, author: str, said: Sequence[Statement]) -> set[str]:
        if any(s.kind == "withdrawal" for s in said):
            self._withdrew.add(author)
        moved = self._answering(self._sign(author, known_reports(said, self._scales.today), said))
        if self._scales.hears(author):
            moved |= self._date(author, disputed_since(said, self._scales.today))
        return moved

    def _sign(self, author: str, known: frozenset[str], said: Sequence[Statement]) -> set[str]:
        """Note which reports an author signed, and what it answers; returns the reports for which that changed much."""
        moved = _recount(self._known, self._known_by.get(author, NOTHING), known)
        self._known_by[author] = known
        if self._scales.hears(author):
            live = live_reports(author, said, known, self._scales.ruled)
            moved |= _recount(self._live, self._live_by.get(author, NOTHING), live)
            self._live_by[author] = live
            for one in said:
                if one.kind in ANSWERS:
                    self._answers.setdefault(one.of, set()).add(author)
        return moved

    def _answering(self, reports: Iterable[str]) -> set[str]:
        return {author for report in reports for author in self._answers.get(report, ())}

    def _date(self, author: str, disputed: dict[str, int]) -> set[str]:
        """Note since when an author disputes what; returns the members of its group that dispute the same."""
        before = self._disputed.get(author, {})
        if disputed == before:
            return set()
        self._disputed[author] = disputed
        group_of = self._scales.voters.group_of
        group, moved = group_of[author], set()
        for record in disputed.keys() | before.keys():
            members = [
                one
                for one in self._answers[record]
                if group_of[one] == group and record in self._disputed.get(one, {})
            ]
            moved.update(members)
            if members:
                self._since[group, record] = min([self._disputed[one][record] for one in members])
            else:
                del self._since[group, record]
        return moved


class Tally(Generic[S]):
    """Who is heard of a subject on some scales, and what follows; made anew only where something was said.

    `changed` says of whom something came since, and how many of its newest statements that are; `voices` what each
    group says itself. `moves` are the groups that spoke since it got its `stamp`, which no other tally has.
    """

    __slots__ = (
        "_general",
        "_gone",
        "_own",
        "_pulled",
        "_reports",
        "_taken_back",
        "_wide",
        "_wide_review",
        "_wide_voices",
        "_withdrawn",
        "changed",
        "moves",
        "public_subject",
        "review",
        "scales",
        "stamp",
        "voices",
    )

    def __init__(self, subject: str, scales: Scales, *, public_subject: bool) -> None:
        self.scales = scales
        self.public_subject = public_subject
        self.review = subject in scales.ruled.reviewed
        self.changed: dict[str, int] = {}
        self.voices: dict[str, Voice] = {}
        self.moves: list[str] = []
        self.stamp = next(_STAMPS)
        self._own = _Balance()
        self._wide: _Balance | None = (
            None  # with what is said of more general patterns, as soon as there are such
        )
        self._wide_voices: dict[str, Voice] = {}
        self._wide_review = False
        self._reports: _Reports | None = None
        self._gone: dict[str, int] = {}  # by author: statements that only a withdrawal or a ruling ended
        self._withdrawn = 0
        self._taken_back: dict[str, frozenset[str]] = {}  # by author: what it withdrew
        self._general: dict[
            str, dict[str, Voice]
        ] = {}  # what is said of more general patterns, by name and group
        self._pulled: dict[
            str, tuple[int, int]
        ] = {}  # stamp and moves of the tallies that are in it, by name

    def hear(self, said: Mapping[str, Sequence[S]]) -> Collection[str]:
        """Bring the voices up to date with what the authors in `changed` said; returns the groups that said it."""
        scales, groups, came = self.scales, [], self.changed
        self.changed = {}
        moved = self._look(said, came)
        for author, new in [*came.items(), *((author, len(said[author])) for author in moved)]:
            if scales.hears(author):
                group = scales.voters.group_of[author]
                groups.append(group)
                self._speak(group, author, self._last_word(author, group, said[author], new))
        self.moves += groups
        if len(self.moves) > MOVES:
            self.moves, self.stamp = [], next(_STAMPS)
        return groups

    def join(self, general: Mapping[str, Tally[S]]) -> None:
        """Bring what groups say of more general patterns up to date; the tallies are of the same scales."""
        if not general:
            return
        if self._wide is None:
            self._wide, self._wide_voices = _Balance(), {}
            for group in self.voices:
                self._hear_of(group, self._wide)
        self._wide_review = self.review or any(other.review for other in general.values())
        for name, other in general.items():
            known = self._general.setdefault(name, {})
            stamp, place = self._pulled.get(name, (0, 0))
            moved = other.moves[place:] if stamp == other.stamp else known.keys() | other.voices.keys()
            self._pulled[name] = (other.stamp, len(other.moves))
            for group in moved:
                said = other.voices.get(group)
                if said is not None:
                    known[group] = said
                else:
                    known.pop(group, None)
                self._hear_of(group, self._wide)

    def outcome(self) -> Outcome:
        """What follows from all voices."""
        wide = self._wide_outcome()
        # No sum of accusations is less where more is heard: only what disputes or reviews it makes that tier lower.
        if wide is not None and wide.tier != "disputed":
            return wide
        sums = self._own.sums(len(self.voices))
        narrow = outcome(sums, self.scales, withdrawn=self._withdrawn, review=self.review)
        return narrow if wide is None else higher(narrow, wide)

    def network(self) -> Network:
        """What follows from all voices, with the voices."""
        wide, found = self._wide_outcome(), self.outcome()
        return with_voices(found, self.voices if wide is None or found.alone else self._wide_voices)

    def _wide_outcome(self) -> Outcome | None:
        """What follows when more general patterns are heard too; None where they are not."""
        own = self._own.sums(len(self.voices))
        if self._wide is None or not supported(own, self.scales):
            return None
        sums = self._wide.sums(len(self._wide_voices), accusers=own.accusers)
        return outcome(sums, self.scales, withdrawn=self._withdrawn, review=self._wide_review)

    def _look(self, said: Mapping[str, Sequence[S]], came: Mapping[str, int]) -> set[str]:
        """Look at who reports and names what; returns the authors whose answers may have won or lost their voice."""
        if self._reports is None:
            if not any(s.kind in ANSWERS for author, new in came.items() for s in said[author][-new:]):
                return set()
            self._reports, came = _Reports(self.scales), {author: len(each) for author, each in said.items()}
        reports = self._reports
        return {moved for author, new in came.items() for moved in reports.look(author, said[author], new)}

    @property
    def _named(self) -> Named:
        return UNNAMED if self._reports is None else self._reports.named

    def _speak(self, group: str, author: str, word: S | None) -> None:
        """Make the voice of a group anew, of which this is what one member says now."""
        before = self.voices.get(group)
        spoken: list[Statement] = [] if word is None else [word]
        if before is not None:
            others = [s for s in before.statements if s.author != author]
            if others:
                spoken = sorted([*others, *spoken], key=_author)
        own = voice(group, spoken, self.scales, public_subject=self.public_subject) if spoken else None
        _replace(self.voices, self._own, group, own)
        if self._wide is not None:
            self._hear_of(group, self._wide)

    def _last_word(self, author: str, group: str, said: Sequence[S], new: int) -> S | None:
        """What an author says now, of whom so many of the newest statements came since."""
        newest = said[-new:]
        if new >= len(said) or not LOOKING_BACK.isdisjoint([s.kind for s in newest]):
            word, gone = last_word(said, self.scales, self._named)
            taken_back = frozenset([s.of for s in said if s.kind == "withdrawal"])
            if taken_back:
                self._taken_back[author] = taken_back
        else:
            word, gone = self._follow(author, group, newest)
        before = self._gone.get(author, 0)
        if gone != before:
            self._withdrawn += gone - before
            self._gone[author] = gone
        return word

    def _follow(self, author: str, group: str, new: Sequence[S]) -> tuple[S | None, int]:
        """The last word of an author who only added reports and sightings, and how many statements are gone."""
        scales, named = self.scales, self._named
        taken_back, gone = self._taken_back.get(author, ()), self._gone.get(author, 0)
        word: S | None = None
        for statement in new:
            if lives(statement, scales, named):
                if statement.id in taken_back or is_void(statement, scales.ruled, named):
                    gone += 1
                else:
                    word = statement
        if word is None and group in self.voices:
            spoken = self.voices[group].statements
            word = next((s for s in spoken if s.author == author), None)  # type: ignore[assignment]
        return word, gone

    def _hear_of(self, group: str, wide: _Balance) -> None:
        """Hear what a group says of the subject and of more general patterns."""
        now = self.voices.get(group)
        for name in sorted(self._general):
            said = self._general[name].get(group)
            if said is not None:
                now = wider(now, said, name)
        _replace(self._wide_voices, wide, group, now)


def tallied(subject: str, statements: Iterable[S], scales: Scales, *, public_subject: bool) -> Tally[S]:
    """The tally of statements about a subject, each author's in the order of its log."""
    said: dict[str, list[S]] = {}
    for statement in statements:
        said.setdefault(statement.author, []).append(statement)
    tally: Tally[S] = Tally(subject, scales, public_subject=public_subject)
    tally.changed.update((author, len(each)) for author, each in said.items())
    tally.hear(said)
    return tally


def _replace(voices: dict[str, Voice], balance: _Balance, group: str, now: Voice | None) -> None:
    """Put the voice of a group in the place of the one that it had."""
    before = voices.pop(group, None)
    if before is not None:
        balance.count(before, -1)
    if now is not None:
        voices[group] = now
        balance.count(now, 1)


def _recount(signers: dict[str, int], before: frozenset[str], now: frozenset[str]) -> set[str]:
    """Count which reports an author signed; returns those that nobody signed before, or nobody signs now."""
    moved = set()
    for report in before ^ now:
        count = signers.get(report, 0) + (1 if report in now else -1)
        if count == 0:
            del signers[report]
        else:
            signers[report] = count
        if count == 0 or (count == 1 and report in now):
            moved.add(report)
    return moved


def _move(ascending: list[int], amount: int, one: int) -> None:
    """Put an amount in its place (1), or take it away (-1)."""
    if one > 0:
        insort(ascending, amount)
    else:
        del ascending[bisect_left(ascending, amount)]
