"""The network part of reputation: the same integers at every node with the same logs and the same roster.

This is SPEC.md, "Reputation (network part)", number for number: integers in micro-units (1,000,000 = one full voice),
every division toward minus infinity, and no dependence on the order in which segments arrived. What only a viewer
knows (its own history, precaution) is in `gate`.

The idea: many groups must agree before anything is believed, and the loudest are not heard. Each affiliation group
has one capped voice; the b largest voices are taken away before the sum is compared with a threshold. If at most b
groups lie, the sum that is left is at most what the honest groups say themselves: removing the liars is one way to
take b voices away, and removing the b largest takes away at least as much.

The rule has three stages, so that a record which changes one voice costs no more than that: `last_word` (what one
member says now), `voice` (what its group says), `outcome` (what follows from the sums of all voices). `network_part` is
the three of them over plain statements, and `tally` the same kept up to date statement by statement.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from ioint_protocol import Member, Roster
from msgspec import Struct
from msgspec.structs import asdict, replace

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
DISPUTE_DAYS = 14  # a dispute that no ruling took up by then has lapsed
ACCUSED_SUBJECTS = 120  # whose accusations reach more has half a voice for twice as many, and so on
TIERS = ("none", "advisory", "disputed", "corroborated", "consensus")  # of the network part, ascending
MOST_HALVINGS = 20  # nothing is left of a voice after so many

S = TypeVar("S", bound="Statement")


# Made for every record that is kept: a frozen dataclass takes ten times as long to make.
class Statement(Struct, frozen=True, kw_only=True, gc=False):
    """What one record says of the subject at hand; a member's statements come in the order of its log.

    `kind` is report, sighting, dispute or withdrawal; `of` is the record that any but a report names. `bad` and
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
    """Who has a voice: how many groups there are, each active member's group, each group's tenure and standing.

    Both are in micro-units; a group that `standing` does not name has the whole of it.
    """

    groups: int
    group_of: Mapping[str, str]
    tenure: Mapping[str, int]
    standing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """What the stewards' rulings that hold today say.

    `void` are the statements (author, record id) that were judged false, `false` the ids among these;
    `stands` says until which UTC day disputes of a record are void; `reviewed` are the patterns and public subjects
    under review.
    """

    void: frozenset[tuple[str, str]] = frozenset()
    stands: Mapping[str, int] = field(default_factory=dict)
    reviewed: frozenset[str] = frozenset()
    false: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Note the ids."""
        object.__setattr__(self, "false", frozenset([record for _, record in self.void]))


NOTHING_RULED: Final = Ruled()


class Named(NamedTuple):
    """What the voices of sightings and disputes hang on: the reports about the subject, which they name by id.

    `known` are those that are of age, whoever signed them, `live` those that are live; `since` says, by group and
    record, on which UTC day the group disputed it first.
    """

    known: Container[str]
    live: Container[str]
    since: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scales:
    """What statements are weighed with.

    Who has a voice, the UTC day, the members that a proof names, what the stewards ruled, and how often the accusing
    voice of a group that accuses very many subjects is halved (0 where it is not named). Voices weighed with one of
    them are comparable with one another and with no others.
    """

    voters: Electorate
    today: int
    equivocators: Collection[str] = ()
    ruled: Ruled = NOTHING_RULED
    halvings: Mapping[str, int] = field(default_factory=dict)
    members: Mapping[str, Sequence[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Note the members of each group that have a voice."""
        members: dict[str, list[str]] = {}
        for author, group in self.voters.group_of.items():
            members.setdefault(group, []).append(author)
        object.__setattr__(self, "members", members)

    def hears(self, author: str) -> bool:
        """Whether this member has a voice at all."""
        return author in self.voters.group_of and author not in self.equivocators


class Voice(Struct, frozen=True, kw_only=True, gc=False):
    """One group's voice in micro-units, and the live statements that it is made of, in order of their authors.

    `fresh_day` is the day of its newest accusation that has a voice, None where it has none. `tenure`, `standing` and
    `halvings` are what weighed it. `via` and `benign_via` are the more general patterns of which the group said what
    it is heard with here, accusing and benign; they are empty where its own statements say as much.
    """

    group: str
    accusing: int
    benign: int
    tenure: int
    statements: tuple[Statement, ...]
    fresh_day: int | None = None
    standing: int = MICRO
    halvings: int = 0
    via: str = ""
    benign_via: str = ""


class Outcome(Struct, frozen=True, kw_only=True, gc=False):
    """The network part for one subject, with every integer that led to it.

    `tier` is none, advisory, disputed, corroborated or consensus: precaution is a viewer's own decision. `accusing`
    and `benign` are P and N; `after_b` and `benign_after_b` the same without the b largest groups, `after_q` P
    without the q largest. `independent` counts the groups that accuse the subject itself; `freshness` is the decay of
    the newest accusation in micro-units. `withdrawn` counts the statements that only a withdrawal or a ruling ended;
    `review` says that the stewards have it, or what is more general and counts, under review. `alone`: what is said of
    more general patterns was left out, because what is said of this one itself makes a higher tier.
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
    review: bool = False
    alone: bool = False


class Network(Outcome, frozen=True, kw_only=True, gc=False):
    """The network part with the voices of all groups that it is made of, in the order of their names."""

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
        standing=_standings(roster, today),
    )


def ruled(roster: Roster, today: int) -> Ruled:
    """What the rulings of this roster that hold on this UTC day say."""
    holding = [ruling for ruling in roster.rulings if ruling.holds(today)]
    if not holding:
        return NOTHING_RULED
    stands: dict[str, int] = {}
    for ruling in holding:
        if ruling.kind == "stands":
            stands[ruling.of] = max(ruling.day, stands.get(ruling.of, ruling.day))
    return Ruled(
        void=frozenset((ruling.author, ruling.of) for ruling in holding if ruling.kind == "false"),
        stands=stands,
        reviewed=frozenset(ruling.of for ruling in holding if ruling.kind == "review"),
    )


def halvings(subjects: int) -> int:
    """How often the accusing voice of a group that accuses so many subjects is halved."""
    return max(0, (subjects - 1) // ACCUSED_SUBJECTS).bit_length()


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
    ruled: Ruled = NOTHING_RULED,
    halvings: Mapping[str, int] | None = None,
    review: bool = False,
    general: Mapping[str, Iterable[Statement]] | None = None,
) -> Network:
    """The network part for one subject on a UTC day; `equivocators` are the members that a proof names.

    `general` are the statements about each catalogue entry that the pattern is a special case of.
    """
    scales = Scales(
        voters=voters, today=today, equivocators=equivocators, ruled=ruled, halvings=halvings or {}
    )
    voices, withdrawn = voices_of(statements, scales, public_subject=public_subject)
    own = sums_of(voices.values())
    narrow = outcome(own, scales, withdrawn=withdrawn, review=review)
    if not general or not supported(own, scales):
        return with_voices(narrow, voices)
    wide_voices = joined(voices, {name: voices_of(said, scales)[0] for name, said in general.items()})
    reviewed = review or not scales.ruled.reviewed.isdisjoint(general)
    sums = sums_of(wide_voices.values(), accusers=own.accusers)
    found = higher(narrow, outcome(sums, scales, withdrawn=withdrawn, review=reviewed))
    return with_voices(found, voices if found.alone else wide_voices)


def voices_of(
    statements: Iterable[Statement], scales: Scales, *, public_subject: bool = False
) -> tuple[dict[str, Voice], int]:
    """What each group itself says of a subject; and how many statements only a withdrawal or a ruling ended."""
    said: dict[str, list[Statement]] = {}
    for statement in statements:
        said.setdefault(statement.author, []).append(statement)
    named = reports_named(said, scales)
    spoken: dict[str, list[Statement]] = {}
    withdrawn = 0
    for author in sorted(filter(scales.hears, said)):
        word, gone = last_word(said[author], scales, named)
        withdrawn += gone
        if word is not None:
            spoken.setdefault(scales.voters.group_of[author], []).append(word)
    voices = {g: voice(g, words, scales, public_subject=public_subject) for g, words in spoken.items()}
    return voices, withdrawn


def joined(own: Mapping[str, Voice], general: Mapping[str, Mapping[str, Voice]]) -> dict[str, Voice]:
    """The voices about a pattern together with those about more general ones, by name."""
    voices = dict(own)
    for name in sorted(general):
        for group, said in general[name].items():
            heard = wider(voices.get(group), said, name)
            if heard is not None:
                voices[group] = heard
    return voices


def wider(own: Voice | None, general: Voice, name: str) -> Voice | None:
    """The voice of a group about a pattern, given what it says of a more general one of this name.

    Of its accusations the strongest counts, and of its benign voices. Of two equal ones that is the own, or that of the
    name that comes first.
    """
    accusing, benign = (own.accusing, own.benign) if own else (0, 0)
    accuses, absolves = general.accusing > accusing, general.benign > benign
    if not accuses and not absolves:
        return own
    return Voice(
        group=general.group,
        accusing=general.accusing if accuses else accusing,
        benign=general.benign if absolves else benign,
        tenure=general.tenure,
        standing=general.standing,
        halvings=general.halvings,
        statements=own.statements if own else (),
        fresh_day=general.fresh_day if accuses else own.fresh_day if own else None,
        via=name if accuses else own.via if own else "",
        benign_via=name if absolves else own.benign_via if own else "",
    )


def higher(narrow: Outcome, wide: Outcome) -> Outcome:
    """The reading of an accused pattern that holds: of itself alone, or with what is said of more general ones.

    It is that of the higher tier, of equal ones the wide. What is disputed or under review thereby lifts no special
    case, and what is said of the special case itself needs no more general one.
    """
    if TIERS.index(wide.tier) >= TIERS.index(narrow.tier):
        return wide
    return replace(narrow, alone=True)


def supported(own: Sums, scales: Scales) -> bool:
    """Whether more than the b loudest groups accuse a pattern itself.

    Else what is said of more general patterns does not count for it, or b liars could invent special cases.
    """
    return own.p > _largest(own.accusing, removals(scales.voters.groups)[0])


def reports_named(said: Mapping[str, Sequence[Statement]], scales: Scales) -> Named:
    """What sightings and disputes hang on, given all that each author said of the subject."""
    since: dict[tuple[str, str], int] = {}
    known: set[str] = set()
    live: set[str] = set()
    for author, own in said.items():
        reports = known_reports(own, scales.today)
        known |= reports
        if not scales.hears(author):
            continue
        live |= live_reports(author, own, reports, scales.ruled)
        group = scales.voters.group_of[author]
        for of, day in disputed_since(own, scales.today).items():
            since[group, of] = min(day, since.get((group, of), day))
    return Named(known=known, live=live, since=since)


def known_reports(said: Iterable[Statement], today: int) -> frozenset[str]:
    """The ids of one author's reports that are of age."""
    return frozenset([s.id for s in said if s.kind == "report" and of_age(s, today)])


def live_reports(
    author: str, said: Iterable[Statement], reports: frozenset[str], ruled: Ruled
) -> frozenset[str]:
    """Which of an author's reports that are of age it has not taken back, and nobody judged false."""
    taken_back = frozenset([s.of for s in said if s.kind == "withdrawal"])
    return frozenset([name for name in reports - taken_back if (author, name) not in ruled.void])


def disputed_since(said: Iterable[Statement], today: int) -> dict[str, int]:
    """The first day, of those that count today, on which a member disputed each record, taken back or not."""
    since: dict[str, int] = {}
    for statement in said:
        if statement.kind == "dispute" and of_age(statement, today):
            since[statement.of] = min(statement.day, since.get(statement.of, statement.day))
    return since


def last_word(said: Sequence[S], scales: Scales, named: Named) -> tuple[S | None, int]:
    """What one member says now: its newest live statement, and how many only a withdrawal or a ruling ended.

    `said` is everything that it signed about the subject, in the order of its log.
    """
    live = [s for s in said if s.kind != "withdrawal" and lives(s, scales, named)]
    if len(live) == len(said) and not scales.ruled.void:
        return (live[-1] if live else None), 0
    taken_back = {s.of for s in said if s.kind == "withdrawal"}
    left = [s for s in live if s.id not in taken_back and not is_void(s, scales.ruled, named)]
    return (left[-1] if left else None), len(live) - len(left)


def of_age(statement: Statement, today: int) -> bool:
    """Whether a statement is neither too old nor of a day that has not begun anywhere."""
    return -AHEAD_DAYS <= today - statement.day < LIFE_DAYS


def is_void(statement: Statement, ruled: Ruled, named: Named) -> bool:
    """Whether a statement was judged false, or confirms what was, and nobody else who signed that is heard."""
    if (statement.author, statement.id) in ruled.void:
        return True
    return statement.kind == "sighting" and statement.of in ruled.false and statement.of not in named.live


def lives(statement: Statement, scales: Scales, named: Named) -> bool:
    """Whether only a withdrawal, or a ruling that it is false, can keep a statement (no withdrawal) from a voice.

    A sighting speaks only while the report that it names is of age: what is dead may be forgotten, and must not change
    a number. A dispute speaks only while such a report lives, no ruling that came after it says that this stands, and
    its group's time runs: that begins with the first dispute of the record, so that saying it again wins none.
    """
    if not of_age(statement, scales.today):
        return False
    if statement.kind == "sighting":
        return statement.of in named.known
    if statement.kind != "dispute":
        return True
    if statement.of not in named.live or rejected(statement, scales.ruled):
        return False
    group = scales.voters.group_of[statement.author]
    return scales.today < named.since[group, statement.of] + DISPUTE_DAYS


def rejected(dispute: Statement, ruled: Ruled) -> bool:
    """Whether a ruling says that the report which it names stands; a day ahead is no day later, since clocks differ."""
    return dispute.day <= ruled.stands.get(dispute.of, dispute.day - AHEAD_DAYS - 1) + AHEAD_DAYS


def accuses(statement: Statement, today: int, *, public_subject: bool) -> bool:
    """Whether a statement counts among the accusations of its group: taken back or not, as long as it would live."""
    if statement.kind in ("withdrawal", "dispute") or not of_age(statement, today):
        return False
    return _parts(statement.kind, statement.bad, statement.seen, 0, public_subject)[0] > 0


def voice(group: str, spoken: Sequence[Statement], scales: Scales, *, public_subject: bool) -> Voice:
    """What a group says: the newest live statement of each of its members, decayed, weighed, and capped."""
    today, voters = scales.today, scales.voters
    held, trusted = voters.tenure.get(group, 0), voters.standing.get(group, MICRO)
    weight, halved = held * trusted // MICRO, scales.halvings.get(group, 0)
    accusing_weight = weight >> halved
    accusing = benign = 0
    fresh: int | None = None
    for statement in spoken:
        age = today - statement.day
        p, m = _parts(statement.kind, statement.bad, statement.seen, max(age, 0), public_subject)
        accusing += p * accusing_weight // MICRO
        benign += m * weight // MICRO
        if p > 0 and accusing_weight > 0 and (fresh is None or statement.day > fresh):
            fresh = statement.day
    return Voice(
        group=group,
        accusing=min(MICRO, accusing),
        benign=min(MICRO, benign),
        tenure=held,
        standing=trusted,
        halvings=halved,
        statements=tuple(spoken),
        fresh_day=fresh if accusing > 0 else None,
    )


class Sums(Struct, frozen=True, kw_only=True, gc=False):
    """The voices of all groups, as far as the outcome hangs on them; `accusing` and `benign` ascend and are above 0.

    `voices` counts the groups that say anything, `accusers` those that accuse the subject itself; `fresh_day` is the
    day of the newest accusation, None without one.
    """

    accusers: int
    accusing: Sequence[int]
    benign: Sequence[int]
    p: int
    n: int
    voices: int
    fresh_day: int | None


def outcome(sums: Sums, scales: Scales, *, withdrawn: int, review: bool) -> Outcome:
    """What follows from the voices of all groups."""
    groups, accusing, p, n = scales.voters.groups, sums.accusing, sums.p, sums.n
    b, q = removals(groups)
    after_b, after_q = p - _largest(accusing, b), p - _largest(accusing, q)
    benign_after_b = n - _largest(sums.benign, b)
    freshness = 0 if sums.fresh_day is None else decayed(MICRO, max(0, scales.today - sums.fresh_day))
    tier, state = _tier(
        groups=groups,
        accusing=p,
        benign=n,
        after_b=after_b,
        benign_after_b=benign_after_b,
        after_q=after_q,
        only_withdrawn=sums.voices == 0 and withdrawn > 0,
        review=review,
    )
    return Outcome(
        tier=tier,
        state=state,
        score=_rounded(100 * p, p + n + THRESHOLD),
        confidence=_confidence(sums.accusers, b + CONFIDENT_BEYOND, freshness),
        groups=groups,
        b=b,
        q=q,
        accusing=p,
        benign=n,
        after_b=after_b,
        benign_after_b=benign_after_b,
        after_q=after_q,
        independent=sums.accusers,
        freshness=freshness,
        withdrawn=withdrawn,
        review=review,
    )


def with_voices(found: Outcome, voices: Mapping[str, Voice]) -> Network:
    """An outcome together with the voices that it is made of, by group."""
    return Network(**asdict(found), voices=tuple([voices[group] for group in sorted(voices)]))


def sums_of(voices: Collection[Voice], *, accusers: int | None = None) -> Sums:
    """The sums of these voices; of so many groups, where others are heard by more general patterns."""
    accusing = sorted([v.accusing for v in voices if v.accusing > 0])
    benign = sorted([v.benign for v in voices if v.benign > 0])
    return Sums(
        accusers=len(accusing) if accusers is None else accusers,
        accusing=accusing,
        benign=benign,
        p=sum(accusing),
        n=sum(benign),
        voices=len(voices),
        fresh_day=max([v.fresh_day for v in voices if v.fresh_day is not None], default=None),
    )


def _largest(ascending: Sequence[int], count: int) -> int:
    return sum(ascending[-count:]) if count else 0


def _standings(roster: Roster, today: int) -> dict[str, int]:
    """The standing of the groups of whose members' statements some were judged false, in micro-units."""
    halved: dict[str, int] = {}
    for ruling in roster.rulings:
        author = roster.member(ruling.author) if ruling.kind == "false" and ruling.holds(today) else None
        if author is not None:
            halved[author.group] = min(MOST_HALVINGS, halved.get(author.group, 0) + 1)
    return {group: MICRO >> count for group, count in halved.items()}


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


def _tier(
    *,
    groups: int,
    accusing: int,
    benign: int,
    after_b: int,
    benign_after_b: int,
    after_q: int,
    only_withdrawn: bool,
    review: bool,
) -> tuple[str, str]:
    """The tier and the state: the first rule that holds."""
    if only_withdrawn:
        return "none", "withdrawn"
    if accusing == 0:
        return "none", "unknown" if benign == 0 else "benign"
    if groups < SMALLEST_CONSORTIUM or after_b < THRESHOLD:
        return "advisory", "watched"
    if review or 2 * benign_after_b >= after_b:
        return "disputed", "disputed"
    return ("consensus", "malicious") if after_q >= THRESHOLD else ("corroborated", "suspicious")


@lru_cache(maxsize=1_024)
def _confidence(independent: int, enough: int, freshness: int) -> int:
    return _rounded(100 * min(independent, enough) * freshness, enough * MICRO) if independent else 0


def _rounded(numerator: int, denominator: int) -> int:
    """The quotient, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)
