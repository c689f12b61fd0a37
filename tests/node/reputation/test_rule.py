"""The network part: the numbers of SPEC.md, the removal lemma, and what a third of liars can do."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.rule import (
    MICRO,
    THRESHOLD,
    Electorate,
    Network,
    Statement,
    decayed,
    network_part,
    raw_voice,
    removals,
    tenure,
    without_largest,
)

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


def dispute(member: int, day: int = TODAY) -> Statement:
    author = f"m-g{member:02d}"
    return Statement(id=f"d-{author}", author=author, kind="dispute", day=day)


def withdrawal(of: Statement) -> Statement:
    return Statement(id=f"w-{of.id}", author=of.author, kind="withdrawal", of=of.id)


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
    assert part(dispute(1)).state == "benign"


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


@given(said=st.lists(statements, max_size=30), groups=st.integers(4, 10), seed=st.integers(0, 2**32))
def test_no_lie_of_b_groups_lifts_a_pattern_without_honest_support_above_advisory(
    said: list[Statement], groups: int, seed: int
) -> None:
    b, _ = removals(groups)
    liars = {f"m-g{index:02d}" for index in Random(seed).sample(range(groups), b)}  # noqa: S311 - no secret
    found = part(*(s for s in said if s.author in liars), groups=groups)
    assert found.tier in ("none", "advisory")


@given(said=st.lists(statements, max_size=30), groups=st.integers(4, 10))
def test_no_lie_of_a_third_of_the_groups_makes_a_consensus(said: list[Statement], groups: int) -> None:
    _, q = removals(groups)
    liars = {f"m-g{index:02d}" for index in range(q)}
    assert part(*(s for s in said if s.author in liars), groups=groups).tier != "consensus"


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
