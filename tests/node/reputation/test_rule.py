"""The network part: the numbers of SPEC.md, the removal lemma, and what a third of liars can do."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.reputation.rule import (
    MICRO,
    THRESHOLD,
    TIERS,
    Electorate,
    Network,
    Ruled,
    Statement,
    decayed,
    electorate,
    network_part,
    raw_voice,
    removals,
    ruled,
    tenure,
    without_largest,
)
from ioint_protocol import Member, Release, Roster, Ruling

TODAY = 20_000


def founders(count: int) -> Electorate:
    names = [f"g{index:02d}" for index in range(count)]
    return Electorate(
        groups=count,
        group_of={f"m-{name}": name for name in names},
        tenure=dict.fromkeys(names, MICRO),
    )


def report(member: int, *, bad: int = 0, seen: int = 0, day: int = TODAY, name: str = "r") -> Statement:
    author = f"m-g{member:02d}"
    return Statement(
        id=f"{name}-{author}", author=author, kind="report", bad=bad, seen=max(bad, seen), day=day
    )


def dispute(member: int, day: int = TODAY, of: str = "r-m-g00", author: str = "") -> Statement:
    author = author or f"m-g{member:02d}"
    return Statement(id=f"d-{author}-{of}-{day}", author=author, kind="dispute", of=of, day=day)


def sighting(member: int, of: str = "r-m-g00", seen: int = 0, day: int = TODAY) -> Statement:
    author = f"m-g{member:02d}"
    return Statement(id=f"s-{author}-{of}", author=author, kind="sighting", of=of, seen=seen, day=day)


def withdrawal(of: Statement) -> Statement:
    return Statement(id=f"w-{of.id}", author=of.author, kind="withdrawal", of=of.id)


def roster_of(*members: Member, rulings: tuple[Ruling, ...] = ()) -> Roster:
    return Roster(
        version=2,
        consortium="0" * 64,
        issued_day=TODAY,
        expires=0,
        members=members,
        taxonomy=Release(version="2026.11", digest="0" * 64),
        catalogue="0" * 64,
        rulings=rulings,
    )


def part(*said: Statement, groups: int = 5, today: int = TODAY) -> Network:
    return network_part(said, founders(groups), today)


def test_one_first_report_among_five_groups_is_advisory() -> None:
    found = part(report(0))
    assert (found.tier, found.state, found.accusing, found.after_b) == ("advisory", "watched", 677_012, 0)


def test_three_first_reports_among_five_groups_corroborate() -> None:
    found = part(*map(report, range(3)))
    assert (found.tier, found.after_b, found.after_q) == ("corroborated", 1_354_024, 677_012)
    assert (found.score, found.confidence) == (73, 75)


def test_two_reports_with_counts_of_two_corroborate() -> None:
    found = part(report(0, bad=1), report(1, bad=1))
    assert (found.tier, found.after_b, found.after_q) == ("corroborated", 1_000_000, 0)


def test_two_first_reports_do_not_corroborate() -> None:
    assert part(report(0), report(1)).tier == "advisory"


def test_four_first_reports_are_a_consensus() -> None:
    found = part(*map(report, range(4)))
    assert (found.tier, found.state, found.after_q) == ("consensus", "malicious", 1_354_024)


def test_below_four_groups_nothing_is_above_advisory() -> None:
    assert part(*(report(i, bad=5) for i in range(3)), groups=3).tier == "advisory"


def test_benign_voices_make_a_corroborated_pattern_disputed() -> None:
    found = part(*map(report, range(3)), dispute(3), dispute(4))
    assert (found.tier, found.state, found.benign_after_b) == ("disputed", "disputed", 1_000_000)


def test_only_benign_voices_are_benign() -> None:
    assert part(report(1, seen=6)).state == "benign"


def test_nothing_said_is_unknown() -> None:
    assert part().state == "unknown"


def test_a_report_that_is_mostly_good_sessions_is_a_benign_voice() -> None:
    assert raw_voice(report(0, bad=0, seen=6)) == -MICRO


def test_a_report_of_thirty_days_ago_is_no_longer_live() -> None:
    assert part(report(0, day=TODAY - 30)).state == "unknown"
    assert part(report(0, day=TODAY - 29)).state == "watched"


def test_a_report_from_the_day_after_tomorrow_is_not_live() -> None:
    assert part(report(0, day=TODAY + 2)).state == "unknown"
    assert part(report(0, day=TODAY + 1)).state == "watched"


def test_a_voice_loses_a_tenth_each_week() -> None:
    assert [decayed(MICRO, days) for days in (0, 6, 7, 14, 28)] == [MICRO, MICRO, 900_000, 810_000, 656_100]


def test_a_withdrawal_takes_the_voice_away_and_says_so() -> None:
    said = report(0)
    found = part(said, withdrawal(said))
    assert (found.tier, found.state, found.withdrawn) == ("none", "withdrawn", 1)


def test_a_withdrawal_of_one_of_two_reporters_leaves_the_other() -> None:
    said = report(0)
    found = part(said, report(1), withdrawal(said))
    assert (found.state, found.independent) == ("watched", 1)


def test_nobody_withdraws_the_word_of_another() -> None:
    said = report(0)
    foreign = Statement(id="w", author="m-g01", kind="withdrawal", of=said.id)
    assert part(said, foreign).state == "watched"


def test_the_newest_word_of_a_member_replaces_its_older_one() -> None:
    assert part(report(0, name="old"), report(0, bad=1, name="new")).accusing == MICRO


def test_two_members_of_one_group_have_one_voice() -> None:
    voters = Electorate(groups=5, group_of={"a": "g", "b": "g"}, tenure={"g": MICRO})
    said = [Statement(id=f"r{who}", author=who, kind="report", bad=4, seen=4, day=TODAY) for who in "ab"]
    found = network_part(said, voters, TODAY)
    assert (found.accusing, found.independent) == (MICRO, 1)


def test_an_equivocator_has_no_voice() -> None:
    found = network_part([report(0)], founders(5), TODAY, equivocators={"m-g00"})
    assert found.state == "unknown"


def test_a_member_that_is_not_active_has_no_voice() -> None:
    assert part(report(9)).state == "unknown"


def test_a_later_group_is_silent_for_a_week_and_grows_for_twelve() -> None:
    assert [tenure(TODAY, TODAY + days) for days in (0, 6, 7, 14, 7 * 13, 7 * 40)] == [
        0,
        0,
        100_000,
        175_000,
        MICRO,
        MICRO,
    ]


def test_so_many_voices_are_removed() -> None:
    sizes = {n: removals(n) for n in (0, 3, 4, 5, 10, 30, 31, 100)}
    assert sizes == {
        0: (0, 0),
        3: (0, 1),
        4: (1, 2),
        5: (1, 2),
        10: (3, 4),
        30: (3, 10),
        31: (4, 11),
        100: (10, 34),
    }


@given(
    voices=st.lists(st.integers(0, MICRO), max_size=40),
    lies=st.lists(st.integers(0, MICRO), max_size=12),
    spare=st.integers(0, 3),
)
def test_what_is_left_after_removal_is_at_most_what_honest_groups_say(
    voices: list[int], lies: list[int], spare: int
) -> None:
    b = len(lies) + spare
    left = without_largest([*voices, *lies], b)
    assert left <= sum(voices)
    assert left >= sum(voices) - b * MICRO


statements = st.builds(
    report,
    st.integers(0, 9),
    bad=st.integers(0, 30),
    seen=st.integers(0, 30),
    day=st.integers(TODAY - 35, TODAY + 2),
) | st.builds(dispute, st.integers(0, 9), st.integers(TODAY - 35, TODAY + 2))


def everything(author: int) -> st.SearchStrategy[Statement]:
    """All that a member may sign: what it takes back may be its own or another's, and said or not."""
    name = f"m-g{author:02d}"
    numbers = st.integers(0, 3)
    return st.builds(
        lambda kind, number, of, bad, seen, day: Statement(
            id=f"{number}-{name}",
            author=name,
            kind=kind,
            of=f"{of}-{name}" if kind == "withdrawal" else f"{of}-m-g00" if kind == "dispute" else "",
            bad=min(bad, seen),
            seen=seen,
            day=day,
        ),
        st.sampled_from(["report", "report", "sighting", "dispute", "withdrawal"]),
        numbers,
        numbers,
        st.integers(0, 30),
        st.integers(0, 30),
        st.integers(TODAY - 35, TODAY + 2),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[int, int, list[Statement], list[Statement]]:
    """So many groups, the first of whom lie; what all of them say of a pattern, and of a more general one."""
    groups = draw(st.integers(4, 13))
    liars = draw(st.integers(0, removals(groups)[1]))
    about = [draw(st.lists(st.integers(0, groups - 1).flatmap(everything), max_size=20)) for _ in range(2)]
    return groups, liars, about[0], about[1]


def weighed(
    groups: int, said: list[Statement], general: list[Statement], only: range | None = None
) -> Network:
    """The network part of what is said, or of what only some groups say; the others are on the roster all the same."""
    names = {f"m-g{index:02d}" for index in only} if only is not None else None
    kept = [[s for s in each if names is None or s.author in names] for each in (said, general)]
    return network_part(kept[0], founders(groups), TODAY, general={"1" * 64: kept[1]})


def honest_support(groups: int, liars: int, said: list[Statement], general: list[Statement]) -> int:
    """What the honest groups say of the pattern or of the more general one, each with its strongest voice."""
    strongest: dict[str, int] = {}
    for each in (said, general):
        for voice in weighed(groups, each, [], range(liars, groups)).voices:
            strongest[voice.group] = max(strongest.get(voice.group, 0), voice.accusing)
    return sum(strongest.values())


FLAGGED = ("disputed", "corroborated", "consensus")


@settings(max_examples=60)
@given(worlds())
def test_whatever_b_liars_sign_they_lift_nothing_that_honest_groups_do_not_support(
    world: tuple[int, int, list[Statement], list[Statement]],
) -> None:
    groups, liars, said, general = world
    liars = min(liars, removals(groups)[0])
    found = weighed(groups, said, general)
    if honest_support(groups, liars, said, general) < THRESHOLD:
        assert found.tier in ("none", "advisory")


@settings(max_examples=60)
@given(worlds())
def test_whatever_a_third_of_liars_sign_there_is_no_consensus_without_honest_support(
    world: tuple[int, int, list[Statement], list[Statement]],
) -> None:
    groups, liars, said, general = world
    if honest_support(groups, liars, said, general) < THRESHOLD:
        assert weighed(groups, said, general).tier != "consensus"


@settings(max_examples=60)
@given(worlds(), st.integers(0, 4))
def test_what_enough_honest_groups_accuse_is_flagged_whatever_liars_sign(
    world: tuple[int, int, list[Statement], list[Statement]], more: int
) -> None:
    groups, liars, said, general = world
    b, _ = removals(groups)
    liars = min(liars, groups - b - 1)
    honest = [report(index, bad=9, name="h") for index in range(liars, min(groups, liars + b + 1 + more))]
    lies = [s for s in said if s.author in {f"m-g{index:02d}" for index in range(liars)}]
    assert weighed(groups, [*honest, *lies], general).tier in FLAGGED


@settings(max_examples=60)
@given(worlds(), st.integers(0, 12))
def test_benign_voices_take_nothing_below_disputed(
    world: tuple[int, int, list[Statement], list[Statement]], more: int
) -> None:
    groups, _, said, general = world
    before = weighed(groups, said, general)
    silent = sorted(set(range(groups)) - {int(v.group[1:]) for v in before.voices})
    after = weighed(groups, [*said, *map(dispute, silent[:more])], general)
    assert (before.tier in FLAGGED) <= (after.tier in FLAGGED)


def test_four_lying_groups_of_short_tenure_weigh_no_more_than_their_tenure() -> None:
    names = [f"g{index:02d}" for index in range(10)]
    voters = Electorate(
        groups=10,
        group_of={f"m-{name}": name for name in names},
        tenure=dict.fromkeys(names[:6], 100_000) | dict.fromkeys(names[6:], MICRO),
    )
    assert network_part(map(report, range(6)), voters, TODAY).accusing == 6 * 67_701


def test_a_dispute_lapses_after_two_weeks() -> None:
    for days, tier in ((13, "disputed"), (14, "corroborated")):
        assert part(*map(report, range(3)), *(dispute(n, TODAY - days) for n in (3, 4))).tier == tier


def test_a_dispute_speaks_for_as_long_as_a_report_that_it_names_lives() -> None:
    others = [report(1), report(2)]
    first = report(0, day=TODAY - 25)
    assert part(first, *others, dispute(4)).benign == MICRO
    assert part(*others, dispute(4)).benign == 0
    assert part(first, *others, dispute(4), withdrawal(first)).benign == 0
    later = network_part([first, report(1), dispute(4)], founders(5), TODAY + 5)
    assert (later.accusing, later.benign) == (677_012, 0)
    newer = report(0, bad=2, name="newer")
    assert part(first, newer, *others, dispute(4)).benign == MICRO


def test_a_report_judged_false_ends_its_disputes_with_itself_and_no_sooner_than_all_who_signed_it() -> None:
    mine = report(0)
    same = Statement(id=mine.id, author="m-g01", kind="report", day=TODAY)
    said = [mine, same, report(2), dispute(4)]
    for judged, benign in (((mine,), MICRO), ((mine, same), 0)):
        void = frozenset((one.author, one.id) for one in judged)
        assert network_part(said, founders(5), TODAY, ruled=Ruled(void=void)).benign == benign


def test_later_disputes_of_a_report_judged_false_have_no_voice() -> None:
    honest = [report(n, name="h") for n in range(1, 7)]
    liars = [dispute(n, TODAY - 10) for n in range(10, 19)]
    found = network_part(
        [report(0, day=TODAY - 20), *honest, *liars],
        founders(20),
        TODAY,
        ruled=Ruled(void=frozenset({("m-g00", "r-m-g00")})),
    )
    assert (found.benign, found.tier) == (0, "corroborated")


def test_a_sighting_speaks_only_while_a_report_that_it_names_is_of_age_whoever_signed_that() -> None:
    stranger = Statement(id="r", author="stranger", kind="report", day=TODAY - 29)
    seen = sighting(1, of="r")
    assert part(seen).state == "unknown"
    assert part(seen, stranger).accusing == 677_012
    assert network_part([seen, stranger], founders(5), TODAY + 1).state == "unknown"


def test_a_copy_that_was_judged_false_takes_nothing_from_who_said_the_same_rightly() -> None:
    right = report(0)
    copy = Statement(id=right.id, author="m-g01", kind="report", day=TODAY)
    ruled_false = Ruled(void=frozenset({(copy.author, copy.id)}))
    found = network_part(
        [right, copy, sighting(2), dispute(3, TODAY - 14)], founders(5), TODAY, ruled=ruled_false
    )
    assert (found.independent, found.benign) == (2, 0)


def test_a_dispute_that_is_dated_ahead_does_not_outlive_a_ruling_that_the_report_stands() -> None:
    for day, benign in ((TODAY, 0), (TODAY - 1, MICRO)):
        ruled_right = Ruled(stands={"r-m-g00": day})
        ahead = dispute(3, TODAY + 1)
        assert network_part([report(0), ahead], founders(5), TODAY, ruled=ruled_right).benign == benign


def test_a_sighting_of_a_report_judged_false_has_no_voice_and_one_of_a_withdrawn_report_has() -> None:
    false, seen = report(0), [sighting(n, seen=2) for n in (1, 2, 3)]
    ruled_false = Ruled(void=frozenset({(false.author, false.id)}))
    found = network_part([false, *seen], founders(5), TODAY, ruled=ruled_false)
    assert (found.tier, found.state, found.withdrawn) == ("none", "withdrawn", 4)
    assert part(false, *seen, withdrawal(false)).tier == "consensus"


def test_who_disputes_a_record_again_wins_no_time() -> None:
    first, again = dispute(3, TODAY - 14), dispute(3)
    other = dispute(3, of="r-m-g01")
    assert part(report(0), first, again).benign == 0
    assert part(report(0), report(1), first, again, other).benign == MICRO


def test_the_members_of_a_group_have_no_more_time_to_dispute_a_record_than_one() -> None:
    voters = founders(5)
    two = Electorate(groups=5, group_of={**voters.group_of, "m-g04b": "g04"}, tenure=voters.tenure)
    first, again = dispute(4, TODAY - 14), dispute(4, author="m-g04b")
    assert network_part([report(0), first, again], two, TODAY).benign == 0
    assert network_part([report(0), again], two, TODAY).benign == MICRO
    taken_back = [first, again, withdrawal(first)]
    assert network_part([report(0), *taken_back], two, TODAY).benign == 0


def test_a_report_judged_false_is_void_and_shown_as_taken_back() -> None:
    said = report(0)
    found = network_part([said], founders(5), TODAY, ruled=Ruled(void=frozenset({(said.author, said.id)})))
    assert (found.state, found.withdrawn, found.accusing) == ("withdrawn", 1, 0)


def test_disputes_of_a_report_that_stands_are_void() -> None:
    said = [*map(report, range(3)), dispute(3), dispute(4)]
    found = network_part(said, founders(5), TODAY, ruled=Ruled(stands={said[-1].of: TODAY}))
    assert (found.tier, found.benign) == ("corroborated", 0)


def test_under_review_nothing_is_above_disputed_and_nothing_is_lifted() -> None:
    four = list(map(report, range(4)))
    reviewed = network_part(four, founders(5), TODAY, review=True)
    assert (reviewed.tier, reviewed.state, reviewed.review) == ("disputed", "disputed", True)
    assert network_part(four[:1], founders(5), TODAY, review=True).tier == "advisory"


def test_of_a_general_pattern_and_its_special_case_a_group_is_heard_once_and_where_it_is_strongest() -> None:
    found = network_part([report(0), report(1)], founders(5), TODAY, general={"1" * 64: [report(1, bad=4)]})
    assert [(v.accusing, v.via) for v in found.voices] == [(677_012, ""), (MICRO, "1" * 64)]


def test_what_nobody_accuses_itself_is_not_accused_by_what_is_said_of_a_general_pattern() -> None:
    general = {"1" * 64: list(map(report, range(1, 5)))}
    found = network_part([report(0, seen=6)], founders(5), TODAY, general=general)
    assert (found.state, found.accusing) == ("benign", 0)


def test_what_no_more_than_the_loudest_accuse_hears_nothing_of_a_general_pattern() -> None:
    general = {"1" * 64: list(map(report, range(10, 20)))}
    for own, tier in ((3, "advisory"), (4, "consensus")):
        said = [report(n, bad=9, name="own") for n in range(own)]
        found = network_part(said, founders(20), TODAY, general=general)
        assert (found.tier, found.independent) == (tier, own)


def test_a_special_case_is_no_way_out_of_a_review_of_the_general_pattern() -> None:
    own, general = [report(n) for n in range(16, 20)], {"1" * 64: list(map(report, range(15)))}
    reviewed = Ruled(reviewed=frozenset(general))
    found = network_part(own, founders(20), TODAY, ruled=reviewed, general=general)
    assert (found.tier, found.review, found.alone) == ("disputed", True, False)
    assert network_part(own, founders(20), TODAY, general=general).tier == "consensus"


def test_reports_of_a_special_case_do_not_undo_the_disputes_of_the_general_pattern() -> None:
    own = [report(n) for n in range(16, 20)]
    general = [*map(report, range(6)), *map(dispute, range(6, 16))]
    assert part(*general, groups=20).tier == "disputed"
    found = network_part(own, founders(20), TODAY, general={"1" * 64: general})
    assert found.tier == "disputed"
    assert {v.benign_via for v in found.voices if v.benign} == {"1" * 64}


def test_what_is_said_of_a_special_case_itself_needs_no_general_pattern() -> None:
    general = {"1" * 64: [*map(report, range(10)), *map(dispute, range(10, 19))]}
    own = [report(n, name="own") for n in range(19, 12, -1)]
    for reviewed in (frozenset[str](), frozenset(general)):
        found = network_part(own, founders(20), TODAY, ruled=Ruled(reviewed=reviewed), general=general)
        alone = network_part(own, founders(20), TODAY)
        assert (found.tier, found.alone, found.review) == (alone.tier, True, False)
        assert (found.after_b, found.voices) == (alone.after_b, alone.voices)


@settings(max_examples=80)
@given(st.integers(4, 20), st.integers(0, 2**32))
def test_a_special_case_is_believed_by_itself_or_as_if_its_reporters_had_named_the_general_pattern(
    groups: int, seed: int
) -> None:
    draw = Random(seed)  # noqa: S311 - no secret
    said: tuple[list[Statement], list[Statement]] = ([], [])
    for member in range(groups):  # each speaks of one of the two: then a voice is the same wherever it counts
        which = draw.randrange(2)
        first = f"r-m-g{draw.randrange(groups):02d}"
        one = draw.choice(
            [report(member), report(member, bad=3), report(member, seen=6), dispute(member, of=first)]
        )
        said[which].append(one)
    special, general = said
    reports = ({s.id for s in each if s.kind == "report"} for each in said)
    special, general = (
        [s for s in each if not s.of or s.of in ids] for each, ids in zip(said, reports, strict=True)
    )
    found = network_part(special, founders(groups), TODAY, general={"1" * 64: general})
    alone, together = part(*special, groups=groups), part(*special, *general, groups=groups)
    if alone.accusing:
        wide = alone.after_b > 0
        assert found.tier == (max(alone.tier, together.tier, key=TIERS.index) if wide else alone.tier)
        chosen = together if wide and not found.alone else alone
        assert (found.accusing, found.benign) == (chosen.accusing, chosen.benign)
    else:
        assert found == alone


def test_the_roster_says_whose_standing_is_halved_and_for_how_long() -> None:
    rulings = (Ruling(kind="false", author="2" * 32, of="a" * 64, day=TODAY - 83),)
    member = Member(
        id="2" * 32, name="b", node_key="", record_keys=(), group="g", class_="member", since=1, since_day=1
    )
    roster = roster_of(member, rulings=rulings)
    assert electorate(roster, TODAY).standing == {"g": MICRO // 2}
    assert electorate(roster, TODAY + 1).standing == {}
    assert ruled(roster, TODAY).void == {("2" * 32, "a" * 64)}
    assert ruled(roster, TODAY + 1).void == frozenset()


@given(said=st.lists(statements, max_size=30), seed=st.integers(0, 2**32))
def test_the_order_in_which_logs_arrive_changes_no_integer(said: list[Statement], seed: int) -> None:
    by_author: dict[str, list[Statement]] = {}
    for statement in said:
        by_author.setdefault(statement.author, []).append(statement)
    draw, mixed = Random(seed), []  # noqa: S311 - no secret
    queues = list(by_author.values())
    while queues:
        queue = draw.choice(queues)
        mixed.append(queue.pop(0))
        queues = [each for each in queues if each]
    grouped = [s for author in sorted({s.author for s in mixed}) for s in mixed if s.author == author]
    assert network_part(mixed, founders(10), TODAY) == network_part(grouped, founders(10), TODAY)


@given(said=st.lists(statements, max_size=30), groups=st.integers(0, 10))
def test_every_amount_is_an_integer_within_its_bounds(said: list[Statement], groups: int) -> None:
    found = part(*said, groups=groups)
    assert 0 <= found.score <= 100
    assert 0 <= found.confidence <= 100
    assert all(type(v.accusing) is int and 0 <= v.accusing <= MICRO for v in found.voices)
    assert (found.tier in ("corroborated", "consensus")) <= (found.after_b >= THRESHOLD)
