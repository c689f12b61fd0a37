"""The network part of reputation: the same integers at every node with the same logs and the same roster.

This is SPEC.md, "Reputation (network part)", number for number: integers in micro-units (1,000,000 = one full voice),
every division toward minus infinity, and no dependence on the order in which segments arrived. What only a viewer
knows (its own history, precaution) is in `gate`.

The idea: many groups must agree before anything is believed, and the loudest are not heard. Each affiliation group
has one capped voice; the b largest voices are taken away before the sum is compared with a threshold. If at most b
groups lie, the sum that is left is at most what the honest groups say themselves: removing the liars is one way to
take b voices away, and removing the b largest takes away at least as much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ioint_protocol import Roster

MICRO = 1_000_000
LOG_BAD = 2_708_050  # ln(.15 / .01): what one bad session says
LOG_GOOD = -152_469  # ln(.85 / .99): what one good session says
FULL_VOICE_LOG = 4  # log-odds of a full voice
COUNTED_SESSIONS = 40  # volume beyond this buys nothing
SUBJECT_SESSIONS = 3  # fewer say nothing of a public subject
LIFE_DAYS = 30
AHEAD_DAYS = 1  # clocks differ
WEEK_DAYS = 7
TENURE_FIRST, TENURE_STEP, TENURE_WEEKS = 100_000, 75_000, 12
THRESHOLD = 750_000
SMALLEST_CONSORTIUM = 4  # groups; below, one liar is a third
CONFIDENT_BEYOND = 3  # independent groups beyond b that make confidence full


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One group's voice in micro-units, and the live statements that it is made of."""

    group: str
    accusing: int
    benign: int
    tenure: int
    statements: tuple[Statement, ...]


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
    return Electorate(
        groups=len({m.group for m in voting}),
        group_of={m.id: m.group for m in voting},
        tenure={group: _tenure_in(roster, group, today) for group in {m.group for m in voting}},
    )


def tenure(joined_day: int, today: int) -> int:
    """The tenure, in micro-units, of a group that is no founder: silent for a week, then .1 growing to 1."""
    days = today - joined_day
    if days < WEEK_DAYS:
        return 0
    return TENURE_FIRST + TENURE_STEP * min(TENURE_WEEKS, (days - WEEK_DAYS) // WEEK_DAYS)


def raw_voice(statement: Statement, *, public_subject: bool = False) -> int:
    """A statement's voice before decay, −10⁶ (benign) … 10⁶ (accusing)."""
    if statement.kind == "dispute":
        return -MICRO
    bad = 1 << (statement.seen if statement.kind == "sighting" else statement.bad)
    total = max(1 << statement.seen, bad)
    if public_subject and total < SUBJECT_SESSIONS:
        return 0
    log_odds = bad * LOG_BAD + (total - bad) * LOG_GOOD
    if total > COUNTED_SESSIONS:
        log_odds = log_odds * COUNTED_SESSIONS // total
    return max(-MICRO, min(MICRO, log_odds // FULL_VOICE_LOG))


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
    newest, withdrawn = _newest_live(statements, voters, today, equivocators)
    voices = _voices(newest, voters, today, public_subject=public_subject)
    accusing, benign = [v.accusing for v in voices], [v.benign for v in voices]
    b, q = removals(voters.groups)
    after_b, benign_after_b = without_largest(accusing, b), without_largest(benign, b)
    after_q = without_largest(accusing, q)
    independent = sum(amount > 0 for amount in accusing)
    freshness = _freshness(voices, today, public_subject=public_subject)
    tier, state = _tier(
        groups=voters.groups,
        accusing=sum(accusing),
        benign=sum(benign),
        after_b=after_b,
        benign_after_b=benign_after_b,
        after_q=after_q,
        only_withdrawn=not newest and withdrawn > 0,
    )
    return Network(
        tier=tier,
        state=state,
        score=_rounded(100 * sum(accusing), sum(accusing) + sum(benign) + THRESHOLD),
        confidence=_confidence(independent, b + CONFIDENT_BEYOND, freshness),
        groups=voters.groups,
        b=b,
        q=q,
        accusing=sum(accusing),
        benign=sum(benign),
        after_b=after_b,
        benign_after_b=benign_after_b,
        after_q=after_q,
        independent=independent,
        freshness=freshness,
        withdrawn=withdrawn,
        voices=voices,
    )


def _tenure_in(roster: Roster, group: str, today: int) -> int:
    listed = [m for m in roster.members if m.group == group]
    if any(m.since == 1 for m in listed):
        return MICRO
    return tenure(min(m.since_day for m in listed), today)


def _newest_live(
    statements: Iterable[Statement], voters: Electorate, today: int, equivocators: Collection[str]
) -> tuple[tuple[Statement, ...], int]:
    """Each member's newest live statement, sorted by member, and how many only a withdrawal ended."""
    said, taken_back = [], set()
    for statement in statements:
        if statement.kind == "withdrawal":
            taken_back.add((statement.author, statement.of))
        elif (
            -AHEAD_DAYS <= today - statement.day < LIFE_DAYS
            and statement.author in voters.group_of
            and statement.author not in equivocators
        ):
            said.append(statement)
    newest = {s.author: s for s in said if (s.author, s.id) not in taken_back}
    withdrawn = sum((s.author, s.id) in taken_back for s in said)
    return tuple(newest[author] for author in sorted(newest)), withdrawn


def _voices(
    newest: Iterable[Statement], voters: Electorate, today: int, *, public_subject: bool
) -> tuple[Voice, ...]:
    by_group: dict[str, list[Statement]] = {}
    for statement in newest:
        by_group.setdefault(voters.group_of[statement.author], []).append(statement)
    found = []
    for group, spoken in sorted(by_group.items()):
        weight = voters.tenure.get(group, 0)
        parts = [_parts(s, today, public_subject=public_subject) for s in spoken]
        found.append(
            Voice(
                group=group,
                accusing=min(MICRO, sum(p * weight // MICRO for p, _ in parts)),
                benign=min(MICRO, sum(m * weight // MICRO for _, m in parts)),
                tenure=weight,
                statements=tuple(spoken),
            )
        )
    return tuple(found)


def _parts(statement: Statement, today: int, *, public_subject: bool) -> tuple[int, int]:
    x = raw_voice(statement, public_subject=public_subject)
    age = today - statement.day
    return decayed(max(x, 0), age), decayed(max(-x, 0), age)


def _freshness(voices: Sequence[Voice], today: int, *, public_subject: bool) -> int:
    ages = [
        max(0, today - s.day)
        for v in voices
        for s in v.statements
        if v.tenure > 0 and _parts(s, today, public_subject=public_subject)[0] > 0
    ]
    return decayed(MICRO, min(ages)) if ages else 0


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
