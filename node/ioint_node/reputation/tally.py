"""The network part of one subject, kept up to date statement by statement: the same integers as `rule.network_part`.

A statement changes the voice of one group. The voices of the others stand in ascending order, so that the outcome is
a removal and an insertion in a list of at most as many numbers as there are groups, and sums of its end.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Final, Generic, TypeVar

from ioint_node.reputation.rule import (
    Network,
    Outcome,
    Scales,
    Statement,
    Sums,
    Voice,
    last_word,
    outcome,
    stronger,
    voice,
    with_voices,
)

S = TypeVar("S", bound=Statement)
_VERSIONS: Final = count(1)  # no two states of any tallies have the same


class Tally(Generic[S]):
    """Who is heard of a subject on some scales, and what follows; made anew only where something was said.

    `changed` are the authors of whom something came since; `spoken` the newest live statements by group and author;
    `voices` what each group says itself.
    """

    __slots__ = (
        "_accusers",
        "_accusing",
        "_benign",
        "_days",
        "_general",
        "_gone",
        "_heard",
        "_n",
        "_p",
        "_pulled",
        "_withdrawn",
        "changed",
        "public_subject",
        "review",
        "scales",
        "spoken",
        "version",
        "voices",
    )

    def __init__(self, subject: str, scales: Scales, *, public_subject: bool) -> None:
        self.scales = scales
        self.public_subject = public_subject
        self.review = subject in scales.ruled.reviewed
        self.changed: set[str] = set()
        self.spoken: dict[str, dict[str, S]] = {}
        self.voices: dict[str, Voice] = {}
        self.version = next(_VERSIONS)
        self._heard: dict[str, Voice] = {}  # by group, with what it says of more general patterns
        self._accusing: list[int] = []  # of those, ascending and above 0; the same for the other two
        self._benign: list[int] = []
        self._days: list[int] = []
        self._p = self._n = 0
        self._accusers = 0  # groups that accuse the subject itself
        self._gone: dict[str, int] = {}  # by author: statements that only a withdrawal or a ruling ended
        self._withdrawn = 0
        self._general: dict[
            str, dict[str, Voice]
        ] = {}  # by name and group: what is said of more general patterns
        self._pulled: dict[str, int] = {}  # by name: the version of its tally that is in `_general`

    def hear(self, said: Mapping[str, Sequence[S]]) -> set[str]:
        """Bring the voices up to date with what the authors in `changed` said; returns the groups that said it."""
        scales = self.scales
        groups = {self._stand(author, said[author]) for author in self.changed if scales.hears(author)}
        self.changed = set()
        for group in groups:
            spoken = self.spoken[group]
            words = [spoken[author] for author in sorted(spoken)] if len(spoken) > 1 else [*spoken.values()]
            own = voice(group, words, scales, public_subject=self.public_subject) if words else None
            self._speak(group, own)
        if groups:
            self.version = next(_VERSIONS)
        return groups

    def join(self, general: Mapping[str, Tally[S]]) -> None:
        """Bring what groups say of more general patterns up to date; the tallies are of the same scales."""
        for name, other in general.items():
            if self._pulled.get(name) == other.version:
                continue
            self._pulled[name] = other.version
            before, now = self._general.get(name, {}), other.voices
            self._general[name] = dict(now)
            for group in before.keys() | now.keys():
                if before.get(group) is not now.get(group):
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
                fresh_day=self._days[-1] if accused else None,
            ),
            self.scales,
            withdrawn=self._withdrawn,
            review=self.review,
        )

    def network(self) -> Network:
        """What follows from all voices, with the voices."""
        heard = self._heard if self._accusers > 0 else self.voices
        return with_voices(self.outcome(), [heard[group] for group in sorted(heard)])

    def _stand(self, author: str, said: Sequence[S]) -> str:
        """Note what an author says now, and return its group."""
        word, gone = last_word(said, self.scales)
        group = self.scales.voters.group_of[author]
        spoken = self.spoken.setdefault(group, {})
        if word is not None:
            spoken[author] = word
        else:
            spoken.pop(author, None)
        self._withdrawn += gone - self._gone.get(author, 0)
        self._gone[author] = gone
        return group

    def _speak(self, group: str, own: Voice | None) -> None:
        before = self.voices.get(group)
        self._accusers += (own is not None and own.accusing > 0) - (
            before is not None and before.accusing > 0
        )
        if own is not None:
            self.voices[group] = own
        else:
            self.voices.pop(group, None)
        self._hear_of(group)

    def _hear_of(self, group: str) -> None:
        """Put the voice of a group where it stands among the others now."""
        now = self.voices.get(group)
        for name in sorted(self._general):
            said = self._general[name].get(group)
            if said is not None and said.accusing > 0:
                now = stronger(now, said, name)
        before = self._heard.pop(group, None)
        if before is not None:
            self._p -= _take(self._accusing, before.accusing)
            self._n -= _take(self._benign, before.benign)
            _take(self._days, before.fresh_day or 0)
        if now is not None:
            self._heard[group] = now
            self._p += _put(self._accusing, now.accusing)
            self._n += _put(self._benign, now.benign)
            _put(self._days, now.fresh_day or 0)


def tallied(subject: str, statements: Iterable[S], scales: Scales, *, public_subject: bool) -> Tally[S]:
    """The tally of statements about a subject, each author's in the order of its log."""
    said: dict[str, list[S]] = {}
    for statement in statements:
        said.setdefault(statement.author, []).append(statement)
    tally: Tally[S] = Tally(subject, scales, public_subject=public_subject)
    tally.changed.update(said)
    tally.hear(said)
    return tally


def _put(ascending: list[int], amount: int) -> int:
    """Put an amount in its place, unless it is 0; returns it."""
    if amount > 0:
        insort(ascending, amount)
    return amount


def _take(ascending: list[int], amount: int) -> int:
    """Take an amount away, unless it is 0; returns it."""
    if amount > 0:
        del ascending[bisect_left(ascending, amount)]
    return amount
