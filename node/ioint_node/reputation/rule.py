"""The network part of reputation: the same integers at every node with the same logs and the same roster.

This is SPEC.md, "Reputation (network part)", number for number: integers in micro-units (1,000,000 = one full voice),
every division toward minus infinity, and no dependence on the order in which segments arrived. What only a viewer
knows (its own history, precaution) is in `gate`.

The idea: many groups must agree before anything is believed, and the loudest are not heard. Each affiliation group
has one capped voice; the b largest voices are taken away before the sum is compared with a threshold. If at most b
groups lie, the sum that is left is at most what the honest groups say themselves: removing the liars is one way to
take b voices away, and removing the b largest takes away at least as much.

The rule has three stages, so that a record which changes one voice costs no more than that: `standing` (what one
member says now), `voice` (what its group says), `outcome` (what follows from all voices). `network_part` is the three
of them over plain statements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from ioint_protocol import Member, Roster
from msgspec import Struct

MICRO = 1_000_000
LOG_BAD = 2_708_050  # ln(.15 / .01): what one bad session says
LOG_GOOD = -152_469  # ln(.85 / .99): what one good session says
FULL_VOICE_LOG = 4  # log-odds of a full voice
COUNTED_SESSIONS = 40  # volume beyond this buys nothing
SUBJECT_SESSIONS = 3  # fewer say nothing of a public subject
LIFE_DAYS = 30
AHEAD_DAYS = 1  # clocks differ
DISPUTE_DAYS = 14  # within which a ruling takes a dispute up, or it lapses
WEEK_DAYS = 7
TENURE_FIRST, TENURE_STEP, TENURE_WEEKS = 100_000, 75_000, 12
THRESHOLD = 750_000
SMALLEST_CONSORTIUM = 4  # groups; below, one liar is a third
CONFIDENT_BEYOND = 3  # independent groups beyond b that make confidence full

S = TypeVar("S", bound="Statement")


# Made for every record that is kept: a frozen dataclass takes ten times as long to make.
class Statement(Struct, frozen=True, kw_only=True):
    """What one record says of the subject at hand; a member's statements come in the order of its log.

    `kind` is report, sighting, dispute or withdrawal; `of` is the record that a withdrawal takes back. `bad` and
    `seen` are exponents of powers of two. `day` is a UTC day: `day_until` of a report.
    """

    id: str
    author: str
    kind: str
    of: str = ""
    bad: int = 0
    seen: int = 0
    day: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Electorate:
    """Who has a voice: how many groups there are, each active member's group, each group's tenure in micro-units."""

    groups: int
    group_of: Mapping[str, str]
    tenure: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scales:
    """What statements are weighed with: who has a voice, the UTC day, and the members that a proof names.

    Voices weighed with one of them are comparable with one another and with no others.
    """

    voters: Electorate
    today: int
    equivocators: Collection[str] = ()

    def hears(self, author: str) -> bool:
        """Whether this member has a voice at all."""
        return author in self.voters.group_of and author not in self.equivocators


class Voice(Struct, frozen=True, kw_only=True):
    """One group's voice in micro-units, and the live statements that it is made of, in order of their authors.

    `fresh_day` is the day of its newest accusation that has a voice, None where it has none.
    """

    group: str
    accusing: int
    benign: int
    tenure: int
    statements: tuple[Statement, ...]
    fresh_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The network part for one subject, with every integer that led to it.

    `tier` is none, advisory, disputed, corroborated or consensus: precaution is a viewer's own decision. `accusing`
    and `benign` are P and N; `after_b` and `benign_after_b` the same without the b largest groups, `after_q` P
    without the q largest. `independent` counts the groups with a live accusing voice; `freshness` is the decay of the
    newest accusation in micro-units. `withdrawn` counts the statements that only a withdrawal ended.
    """

    tier: str
    state: str
    score: int
    confidence: int
    groups: int
    b: int
    q: int
    accusing: int
    benign: int
    after_b: int
    benign_after_b: int
    after_q: int
    independent: int
    freshness: int
    withdrawn: int
    voices: tuple[Voice, ...]


def electorate(roster: Roster, today: int) -> Electorate:
    """Who has a voice under this roster on this UTC day."""
    voting = [m for m in roster.members if m.state == "active" and m.class_ == "member"]
    listed: dict[str, list[Member]] = {m.group: [] for m in voting}
    for member in roster.members:
        if member.group in listed:
            listed[member.group].append(member)
    return Electorate(
        groups=len(listed),
        group_of={m.id: m.group for m in voting},
        tenure={group: _tenure_of(members, today) for group, members in listed.items()},
    )


def tenure(joined_day: int, today: int) -> int:
    """The tenure, in micro-units, of a group that is no founder: silent for a week, then .1 growing to 1."""
    days = today - joined_day
    if days < WEEK_DAYS:
        return 0
    return TENURE_FIRST + TENURE_STEP * min(TENURE_WEEKS, (days - WEEK_DAYS) // WEEK_DAYS)


def raw_voice(statement: Statement, *, public_subject: bool = False) -> int:
    """A statement's voice before decay, −10⁶ (benign) … 10⁶ (accusing)."""
    return _raw_voice(statement.kind, statement.bad, statement.seen, public_subject)


def decayed(amount: int, age_days: int) -> int:
    """An amount after so many days: nine tenths for each whole week, one step at a time."""
    for _ in range(max(0, age_days) // WEEK_DAYS):
        amount = amount * 9 // 10
    return amount


def removals(groups: int) -> tuple[int, int]:
    """How many of the largest voices go before corroboration (b) and before consensus (q), of so many groups."""
    b = min((groups - 1) // 3, max(3, -(-groups // 10))) if groups else 0
    return b, -(-groups // 3)


def without_largest(voices: Collection[int], count: int) -> int:
    """The sum of the voices without the `count` largest."""
    return sum(sorted(voices, reverse=True)[count:])


def network_part(
    statements: Iterable[Statement],
    voters: Electorate,
    today: int,
    *,
    equivocators: Collection[str] = (),
    public_subject: bool = False,
) -> Network:
    """The network part for one subject on a UTC day; `equivocators` are the members that a proof names."""
    scales = Scales(voters=voters, today=today, equivocators=equivocators)
    said: dict[str, list[Statement]] = {}
    for statement in statements:
        if scales.hears(statement.author):
            said.setdefault(statement.author, []).append(statement)
    spoken: dict[str, list[Statement]] = {}
    withdrawn = 0
    for author in sorted(said):
        newest, gone = standing(said[author], today)
        withdrawn += gone
        if newest is not None:
            spoken.setdefault(voters.group_of[author], []).append(newest)
    voices = [voice(group, spoken[group], scales, public_subject=public_subject) for group in sorted(spoken)]
    return outcome(voices, scales, withdrawn=withdrawn)


def standing(said: Sequence[S], today: int) -> tuple[S | None, int]:
    """What one member says now: its newest live statement, and how many only a withdrawal ended.

    `said` is everything that it signed about the subject, in the order of its log.
    """
    live = [s for s in said if s.kind != "withdrawal" and -AHEAD_DAYS <= today - s.day < LIFE_DAYS]
    if len(live) == len(said):
        return (live[-1] if live else None), 0
    taken_back = {s.of for s in said if s.kind == "withdrawal"}
    left = [s for s in live if s.id not in taken_back]
    return (left[-1] if left else None), len(live) - len(left)


def voice(group: str, spoken: Sequence[Statement], scales: Scales, *, public_subject: bool) -> Voice:
    """What a group says: the newest live statement of each of its members, decayed, with its tenure, and capped."""
    weight, today = scales.voters.tenure.get(group, 0), scales.today
    accusing = benign = 0
    fresh: int | None = None
    for statement in spoken:
        p, m = _parts(
            statement.kind, statement.bad, statement.seen, max(0, today - statement.day), public_subject
        )
        accusing += p * weight // MICRO
        benign += m * weight // MICRO
        if p > 0 and weight > 0 and (fresh is None or statement.day > fresh):
            fresh = statement.day
    return Voice(
        group=group,
        accusing=min(MICRO, accusing),
        benign=min(MICRO, benign),
        tenure=weight,
        statements=tuple(spoken),
        fresh_day=fresh,
    )


def outcome(voices: Collection[Voice], scales: Scales, *, withdrawn: int) -> Network:
    """What follows from the voices of all groups that say something, which come in the order of their names."""
    groups = scales.voters.groups
    accusing, benign = [v.accusing for v in voices], [v.benign for v in voices]
    b, q = removals(groups)
    p, n = sum(accusing), sum(benign)
    accusing.sort(reverse=True)
    after_b, after_q = sum(accusing[b:]), sum(accusing[q:])
    benign_after_b = without_largest(benign, b) if n else 0
    independent = sum(amount > 0 for amount in accusing)
    freshness = _freshness(voices, scales.today)
    tier, state = _tier(
        groups=groups,
        accusing=p,
        benign=n,
        after_b=after_b,
        benign_after_b=benign_after_b,
        after_q=after_q,
        only_withdrawn=not voices and withdrawn > 0,
    )
    return Network(
        tier=tier,
        state=state,
        score=score(voices),
        confidence=_confidence(independent, b + CONFIDENT_BEYOND, freshness),
        groups=groups,
        b=b,
        q=q,
        accusing=p,
        benign=n,
        after_b=after_b,
        benign_after_b=benign_after_b,
        after_q=after_q,
        independent=independent,
        freshness=freshness,
        withdrawn=withdrawn,
        voices=tuple(voices),
    )


def score(voices: Collection[Voice]) -> int:
    """The score that follows from the voices of all groups, 0…100."""
    p, n = sum([v.accusing for v in voices]), sum([v.benign for v in voices])
    return _rounded(100 * p, p + n + THRESHOLD)


def _tenure_of(listed: Sequence[Member], today: int) -> int:
    if any(m.since == 1 for m in listed):
        return MICRO
    return tenure(min(m.since_day for m in listed), today)


# All that a statement can say is a few thousand cases.
@lru_cache(maxsize=16_384)
def _parts(kind: str, bad: int, seen: int, age_days: int, public_subject: bool) -> tuple[int, int]:
    """The accusing and the benign part of a statement of this age."""
    x = _raw_voice(kind, bad, seen, public_subject)
    return decayed(max(x, 0), age_days), decayed(max(-x, 0), age_days)


def _raw_voice(kind: str, bad: int, seen: int, public_subject: bool) -> int:
    if kind == "dispute":
        return -MICRO
    sessions = 1 << (seen if kind == "sighting" else bad)
    total = max(1 << seen, sessions)
    if public_subject and total < SUBJECT_SESSIONS:
        return 0
    log_odds = sessions * LOG_BAD + (total - sessions) * LOG_GOOD
    if total > COUNTED_SESSIONS:
        log_odds = log_odds * COUNTED_SESSIONS // total
    return max(-MICRO, min(MICRO, log_odds // FULL_VOICE_LOG))


def _freshness(voices: Iterable[Voice], today: int) -> int:
    days = [v.fresh_day for v in voices if v.fresh_day is not None]
    return decayed(MICRO, max(0, today - max(days))) if days else 0


def _tier(
    *,
    groups: int,
    accusing: int,
    benign: int,
    after_b: int,
    benign_after_b: int,
    after_q: int,
    only_withdrawn: bool,
) -> tuple[str, str]:
    """The tier and the state: the first rule that holds."""
    rules = (
        (only_withdrawn, "none", "withdrawn"),
        (accusing == 0 and benign == 0, "none", "unknown"),
        (accusing == 0, "none", "benign"),
        (groups < SMALLEST_CONSORTIUM or after_b < THRESHOLD, "advisory", "watched"),
        (2 * benign_after_b >= after_b, "disputed", "disputed"),
        (after_q >= THRESHOLD, "consensus", "malicious"),
    )
    return next(((tier, state) for holds, tier, state in rules if holds), ("corroborated", "suspicious"))


def _confidence(independent: int, enough: int, freshness: int) -> int:
    return _rounded(100 * min(independent, enough) * freshness, enough * MICRO) if independent else 0


def _rounded(numerator: int, denominator: int) -> int:
    """The quotient, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)
