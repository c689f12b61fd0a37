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
    Network,
    Outcome,
    Scales,
    Statement,
    Sums,
    Voice,
    last_word,
    lives,
    outcome,
    stronger,
    voice,
    with_voices,
)

S = TypeVar("S", bound=Statement)
AUTHOR_RECORDS: Final = 256
"""About one subject, of one author: whoever says more drowns only itself out, and every node drops the same."""
LOOKING_BACK: Final = frozenset({"withdrawal", "dispute"})  # what they do depends on what was said before
_author = attrgetter("author")
MOVES: Final = 4_096
"""How many changes of a tally are remembered for those who follow it; with one more they look at all of it again."""
_STAMPS: Final = count(1)


class Tally(Generic[S]):
    """Who is heard of a subject on some scales, and what follows; made anew only where something was said.

    `changed` says of whom something came since, and how many of its newest statements that are; `voices` what each
    group says itself. `moves` are the groups that spoke since it got its `stamp`, which no other tally has.
    """

    __slots__ = (
        "_accusers",
        "_accusing",
        "_benign",
        "_fresh",
        "_general",
        "_gone",
        "_heard",
        "_n",
        "_p",
        "_pulled",
        "_taken_back",
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
        self._heard = self.voices  # with what groups say of more general patterns, as soon as there are such
        self._accusing: list[int] = []  # of those, ascending and above 0
        self._benign: list[int] = []
        self._fresh: dict[int, int] = {}  # by day: how many groups made their newest accusation then
        self._p = self._n = 0
        self._accusers = 0  # groups that accuse the subject itself
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
        scales, groups = self.scales, []
        for author, new in self.changed.items():
            if scales.hears(author):
                group = scales.voters.group_of[author]
                groups.append(group)
                self._speak(group, author, self._last_word(author, group, said[author], new))
        self.changed = {}
        self.moves += groups
        if len(self.moves) > MOVES:
            self.moves, self.stamp = [], next(_STAMPS)
        return groups

    def join(self, general: Mapping[str, Tally[S]]) -> None:
        """Bring what groups say of more general patterns up to date; the tallies are of the same scales."""
        if general and self._heard is self.voices:
            self._heard = dict(self.voices)
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
                self._hear_of(group)

    def outcome(self) -> Outcome:
        """What follows from all voices."""
        accused = self._accusers > 0  # else nothing that is said of more general patterns counts here
        return outcome(
            Sums(
                accusing=self._accusing if accused else (),
                benign=self._benign,
                p=self._p if accused else 0,
                n=self._n,
                voices=len(self.voices),
                fresh_day=max(self._fresh) if accused else None,
            ),
            self.scales,
            withdrawn=self._withdrawn,
            review=self.review,
        )

    def network(self) -> Network:
        """What follows from all voices, with the voices."""
        heard = self._heard if self._accusers > 0 else self.voices
        return with_voices(self.outcome(), [heard[group] for group in sorted(heard)])

    def _last_word(self, author: str, group: str, said: Sequence[S], new: int) -> S | None:
        """What an author says now, of whom so many of the newest statements came since."""
        newest = said[-new:]
        if new >= len(said) or not LOOKING_BACK.isdisjoint([s.kind for s in newest]):
            word, gone = last_word(said, self.scales)
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
        """The last word of an author who only added to what it said, and how many statements are gone."""
        today, ruled = self.scales.today, self.scales.ruled
        taken_back, gone = self._taken_back.get(author, ()), self._gone.get(author, 0)
        word: S | None = None
        for statement in new:
            if lives(statement, today, ruled):
                if statement.id in taken_back or (author, statement.id) in ruled.void:
                    gone += 1
                else:
                    word = statement
        if word is None and group in self.voices:
            spoken = self.voices[group].statements
            word = next((s for s in spoken if s.author == author), None)  # type: ignore[assignment]
        return word, gone

    def _speak(self, group: str, author: str, word: S | None) -> None:
        """Make the voice of a group anew, of which this is what one member says now."""
        before = self.voices.get(group)
        spoken: list[Statement] = [] if word is None else [word]
        if before is not None:
            others = [s for s in before.statements if s.author != author]
            if others:
                spoken = sorted([*others, *spoken], key=_author)
        own = voice(group, spoken, self.scales, public_subject=self.public_subject) if spoken else None
        self._accusers += _accuses(own) - _accuses(before)
        if self._heard is self.voices:
            self._replace(group, own)
            return
        if own is not None:
            self.voices[group] = own
        else:
            self.voices.pop(group, None)
        self._hear_of(group)

    def _hear_of(self, group: str) -> None:
        """Hear the strongest of what a group says of the subject and of more general patterns."""
        now = self.voices.get(group)
        for name in sorted(self._general):
            said = self._general[name].get(group)
            if said is not None and said.accusing > 0:
                now = stronger(now, said, name)
        self._replace(group, now)

    def _replace(self, group: str, now: Voice | None) -> None:
        """Put the voice of a group where it stands among the others now."""
        before = self._heard.get(group)
        if before is not None:
            self._count(before, -1)
        if now is not None:
            self._heard[group] = now
            self._count(now, 1)
        elif before is not None:
            del self._heard[group]

    def _count(self, heard: Voice, one: int) -> None:
        """Count a voice in (1) or out (-1)."""
        if heard.accusing:
            _move(self._accusing, heard.accusing, one)
            self._p += one * heard.accusing
        if heard.benign:
            _move(self._benign, heard.benign, one)
            self._n += one * heard.benign
        day = heard.fresh_day
        if day is not None:
            left = self._fresh.get(day, 0) + one
            if left:
                self._fresh[day] = left
            else:
                del self._fresh[day]


def tallied(subject: str, statements: Iterable[S], scales: Scales, *, public_subject: bool) -> Tally[S]:
    """The tally of statements about a subject, each author's in the order of its log."""
    said: dict[str, list[S]] = {}
    for statement in statements:
        said.setdefault(statement.author, []).append(statement)
    tally: Tally[S] = Tally(subject, scales, public_subject=public_subject)
    tally.changed.update((author, len(each)) for author, each in said.items())
    tally.hear(said)
    return tally


def _accuses(voice: Voice | None) -> bool:
    return voice is not None and voice.accusing > 0


def _move(ascending: list[int], amount: int, one: int) -> None:
    """Put an amount in its place (1), or take it away (-1)."""
    if one > 0:
        insort(ascending, amount)
    else:
        del ascending[bisect_left(ascending, amount)]
