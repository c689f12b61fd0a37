"""Tallies: whatever comes in whatever order, the integers are those of all statements at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.reputation.anew import SUBJECTS, Anew
from ioint_node.reputation.breadth import Breadth
from ioint_node.reputation.dossier import Dossier, Said
from ioint_node.reputation.rule import (
    ACCUSED_SUBJECTS,
    MICRO,
    Electorate,
    Network,
    Ruled,
    Scales,
    Statement,
    halvings,
    network_part,
    raw_voice,
)
from ioint_node.reputation.tally import AUTHOR_RECORDS, MOVES, tallied

TODAY = 20_000
SPECIAL, GENERAL, MORE = "5" * 64, "1" * 64, "2" * 64
SUBJECTS_HERE = [SPECIAL, GENERAL, MORE]
AUTHORS = [f"m{number}" for number in range(9)]
GROUPS = [f"g{number}" for number in range(6)]


# Made by a generator of numbers: drawn value by value, making them takes far longer than what is tested.
def logs_of(seed: int) -> list[tuple[str, Said]]:
    """What members say of three subjects; withdrawals come before and after what they take back, and twice."""
    draw = Random(seed)  # noqa: S311 - no secret
    said: list[tuple[str, Said]] = []
    for number in range(draw.randrange(40)):
        kind = draw.choice(["report", "report", "report", "sighting", "dispute", "withdrawal"])
        seen = draw.randrange(8)
        one = Said(
            id=f"r{number % 12}" if kind == "report" else f"s{number}",  # some sign the same words
            author=draw.choice(AUTHORS),
            kind=kind,
            of="" if kind == "report" else f"r{draw.randrange(12)}",
            bad=draw.randint(0, seen) if kind == "report" else 0,
            seen=seen,
            day=TODAY + 3 - draw.choice([draw.randrange(12), draw.randrange(40)]),
            received_at=f"t{number:02}",
            tlp="green",
        )
        said.append((draw.choice(SUBJECTS_HERE), one))
    return said


def scales_of(seed: int) -> Scales:
    """Some roster, some day, and whatever stewards may have ruled."""
    draw = Random(seed)  # noqa: S311 - no secret
    groups = {author: draw.choice([*GROUPS, ""]) for author in AUTHORS}
    group_of = {author: group for author, group in groups.items() if group}
    names = sorted(set(group_of.values()))
    void = frozenset((draw.choice(AUTHORS), f"r{draw.randrange(12)}") for _ in range(draw.randrange(6)))
    return Scales(
        voters=Electorate(
            groups=len(names),
            group_of=group_of,
            tenure={name: draw.choice([0, 100_000, 475_000, MICRO, MICRO]) for name in names},
            standing={name: MICRO >> draw.randrange(4) for name in names if draw.random() < 0.5},
        ),
        today=TODAY + draw.randint(-3, 3),
        equivocators=frozenset(draw.sample(AUTHORS, draw.randrange(2))),
        ruled=Ruled(
            void=void,
            stands={f"r{draw.randrange(12)}": TODAY - draw.randrange(20) for _ in range(draw.randrange(3))},
            reviewed=frozenset(draw.sample(SUBJECTS_HERE, draw.randrange(2))),
        ),
        halvings={draw.choice(GROUPS): draw.randrange(26) for _ in range(draw.randrange(3))},
    )


def logs() -> st.SearchStrategy[list[tuple[str, Said]]]:
    return st.integers(0, 2**32).map(logs_of)


def scales() -> st.SearchStrategy[Scales]:
    return st.integers(0, 2**32).map(scales_of)


def plain(said: Iterable[tuple[str, Said]], subject: str, on: Scales, general: Sequence[str] = ()) -> Network:
    """The network part from all statements at once, as the specification says it."""
    about: dict[str, list[Statement]] = {name: [] for name in SUBJECTS_HERE}
    for name, one in said:
        about[name].append(one)
    return network_part(
        about[subject],
        on.voters,
        on.today,
        equivocators=on.equivocators,
        ruled=on.ruled,
        halvings=on.halvings,
        review=subject in on.ruled.reviewed,
        general={name: about[name] for name in general},
    )


@settings(max_examples=200)
@given(
    logs(),
    st.lists(scales(), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 2)), max_size=4),
)
def test_after_each_arrival_on_any_day_and_roster_the_numbers_are_those_of_all_at_once(
    said: list[tuple[str, Said]], rosters: list[Scales], steps: list[tuple[int, int]]
) -> None:
    dossiers = {name: Dossier(name) for name in SUBJECTS_HERE}
    end = 0
    for size, which in [*steps, (len(said), 0)]:
        on, new = rosters[which % len(rosters)], said[end : end + size]
        end += len(new)
        for name in SUBJECTS_HERE:
            dossiers[name].add([one for subject, one in new if subject == name])
        above = {name: dossiers[name] for name in (GENERAL, MORE)}
        found = dossiers[SPECIAL].network(on, above)
        assert found == plain(said[:end], SPECIAL, on, (GENERAL, MORE))
        assert dossiers[SPECIAL].score(on, above) == found.score
        assert dossiers[GENERAL].network(on, {MORE: dossiers[MORE]}) == plain(
            said[:end], GENERAL, on, (MORE,)
        )


@settings(max_examples=30)
@given(logs(), scales(), st.integers(0, 2**32))
def test_the_order_in_which_logs_come_changes_nothing(
    said: list[tuple[str, Said]], on: Scales, seed: int
) -> None:
    by_author: dict[str, list[tuple[str, Said]]] = {}
    for subject, one in said:
        by_author.setdefault(one.author, []).append((subject, one))
    draw, mixed = Random(seed), []  # noqa: S311 - no secret
    while by_author:
        author = draw.choice(sorted(by_author))
        mixed.append(by_author[author].pop(0))
        if not by_author[author]:
            del by_author[author]
    dossiers = {name: Dossier(name) for name in SUBJECTS_HERE}
    for subject, one in mixed:
        dossiers[subject].add([one])
        dossiers[subject].outcome(on)
    above = {name: dossiers[name] for name in (GENERAL, MORE)}
    assert dossiers[SPECIAL].network(on, above) == plain(said, SPECIAL, on, (GENERAL, MORE))


@settings(max_examples=30)
@given(logs(), scales())
def test_a_group_has_one_voice_of_at_most_one_however_many_patterns_and_members_it_speaks_by(
    said: list[tuple[str, Said]], on: Scales
) -> None:
    found = plain(said, SPECIAL, on, (GENERAL, MORE))
    groups = [voice.group for voice in found.voices]
    assert groups == sorted(set(groups))
    assert all(0 <= voice.accusing <= MICRO and 0 <= voice.benign <= MICRO for voice in found.voices)


@settings(max_examples=30)
@given(logs(), scales(), st.integers(0, 40))
def test_groups_are_counted_as_new_accusers_once(said: list[tuple[str, Said]], on: Scales, size: int) -> None:
    counted: list[str] = []
    dossier = Dossier(SPECIAL)
    about = [one for subject, one in said if subject == SPECIAL]
    for new in (about[:size], about[size:]):
        dossier.add(new)
        counted += dossier.newly_accused_by(new, on)
    at_once = Dossier(SPECIAL, about)
    assert sorted(counted) == sorted(at_once.newly_accused_by(about, on))


def test_who_follows_a_tally_hears_all_of_it_again_after_more_changes_than_are_remembered() -> None:
    voters = Electorate(groups=2, group_of={"m1": "g1", "m2": "g2"}, tenure={"g1": MICRO, "g2": MICRO})
    on = Scales(voters=voters, today=TODAY)
    special, general = Dossier(SPECIAL), Dossier(GENERAL)
    special.add([Said(id="r", author="m1", kind="report", day=TODAY, received_at="t", tlp="red")])
    for number in range(MOVES + 3):
        seen = number % 6
        one = Said(
            id=f"r{number}", author="m2", kind="report", seen=seen, day=TODAY, received_at="t", tlp="red"
        )
        general.add([one])
        raw = max(0, raw_voice(one))
        assert general.outcome(on).accusing == raw
        if number % 1_000 == 0 or number > MOVES - 3:
            assert special.outcome(on, {GENERAL: general}).accusing == 677_012 + raw


def test_a_dispute_that_comes_late_dates_what_others_of_its_group_said_before() -> None:
    group_of = {"m1": "g1", "m2": "g2", "m3": "g2"}
    on = Scales(
        voters=Electorate(groups=2, group_of=group_of, tenure={"g1": MICRO, "g2": MICRO}), today=TODAY
    )
    report = Said(id="r", author="m1", kind="report", day=TODAY, received_at="t", tlp="red")
    fresh, old = (
        Said(id=f"d{days}", author=who, kind="dispute", of="r", day=TODAY - days, received_at="t", tlp="red")
        for who, days in (("m2", 0), ("m3", 14))
    )
    dossier, heard = Dossier(SPECIAL), []
    for one in (fresh, report, old):
        dossier.add([one])
        heard.append(dossier.outcome(on).benign)
    assert heard == [0, MICRO, 0]


def test_of_one_author_more_records_than_are_looked_at_give_what_the_newest_give() -> None:
    voters = Electorate(groups=5, group_of={"m1": "g1"}, tenure={"g1": MICRO})
    on = Scales(voters=voters, today=TODAY)
    said = [
        Said(
            id=f"r{n}", author="m1", kind="report", seen=n % 6, day=TODAY - n % 40, received_at="t", tlp="red"
        )
        for n in range(AUTHOR_RECORDS + 9)
    ]
    dossier = Dossier(SPECIAL)
    for one in said:
        dossier.add([one])
        kept = tallied(SPECIAL, dossier.said["m1"], on, public_subject=False)
        assert dossier.network(on) == kept.network()


def test_twice_as_many_accused_subjects_halve_the_voice_once_more() -> None:
    counts = [0, 1, 120, 121, 240, 241, 480, 481]
    assert [halvings(count) for count in counts] == [0, 0, 0, 1, 1, 2, 2, 3]


@given(st.integers(0, 10**7))
def test_the_halvings_are_the_fewest_that_bring_the_subjects_within_what_a_voice_bears(count: int) -> None:
    found = halvings(count)
    assert count <= ACCUSED_SUBJECTS << found
    assert found == 0 or count > ACCUSED_SUBJECTS << (found - 1)


def test_a_flood_changes_the_weight_of_others_records_only_when_it_doubles() -> None:
    breadth = Breadth()
    moved = [count for count in range(1, 1_000) if breadth.add(["g1"])]
    assert moved == [121, 241, 481, 961]
    assert breadth.subjects("g1") == 999


def test_the_halvings_are_the_same_object_as_long_as_they_say_the_same() -> None:
    breadth = Breadth()
    assert breadth.correct("g1", 500) == {"g1"}
    before = breadth.halvings
    assert breadth.correct("g1", 481) == breadth.correct("g2", 120) == frozenset()
    assert breadth.halvings is before
    assert breadth.correct("g1", 100) == {"g1"}
    assert breadth.halvings == {}


def test_a_group_that_left_the_roster_is_counted_no_more() -> None:
    breadth = Breadth()
    breadth.correct("g1", 500)
    breadth.correct("g2", 500)
    breadth.keep({"g2"})
    assert (breadth.subjects("g1"), breadth.halvings) == (0, {"g2": 3})


def test_what_waits_to_be_concluded_anew_is_bounded_and_waits_once() -> None:
    anew = Anew()
    anew.subjects(["a", "b", "a"])
    assert anew.take_subjects() == ("a", "b")
    anew.subjects(map(str, range(SUBJECTS + 5)))
    assert len(anew.take_subjects()) == SUBJECTS
    assert anew.take_subjects() == ()
