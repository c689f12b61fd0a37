"""Dossiers: the same numbers as from all statements at once, and never anything of a transaction that failed."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.dossier import Dossier, DossierLimits, Dossiers, Said
from ioint_node.reputation.rule import MICRO, Electorate, Scales, network_part
from ioint_node.reputation.tally import AUTHOR_RECORDS

TODAY = 20_000
AUTHORS = [f"m{number}" for number in range(7)]


def electorate() -> Electorate:
    """Seven members; the last two share a group, and the first has no voice."""
    group_of = {author: f"g{min(number, 5)}" for number, author in enumerate(AUTHORS) if number}
    groups = sorted(set(group_of.values()))
    return Electorate(groups=len(groups), group_of=group_of, tenure=dict.fromkeys(groups, MICRO))


def scales(today: int = TODAY, equivocators: frozenset[str] = frozenset()) -> Scales:
    return Scales(voters=electorate(), today=today, equivocators=equivocators)


def report(author: str, name: str, *, day: int = TODAY, bad: int = 0, at: str = "t1") -> Said:
    return Said(
        id=name,
        author=author,
        kind="report",
        bad=bad,
        seen=bad,
        day=day,
        received_at=at,
        tlp="green",
        day_from=day,
    )


@st.composite
def statements(draw: st.DrawFn) -> list[Said]:
    """What members say one after the other; some of it takes back what they said before."""
    said: list[Said] = []
    for number in range(draw(st.integers(0, 30))):
        author = draw(st.sampled_from(AUTHORS))
        kind = draw(st.sampled_from(["report", "report", "sighting", "dispute", "withdrawal"]))
        own = [s.id for s in said if s.author == author]
        of = draw(st.sampled_from(own)) if own else "nothing"
        seen = draw(st.integers(0, 6))
        said.append(
            Said(
                id=f"r{number}",
                author=author,
                kind=kind,
                of=of if kind == "withdrawal" else "",
                bad=draw(st.integers(0, seen)) if kind == "report" else 0,
                seen=seen,
                day=TODAY + 1 - draw(st.integers(0, 45)),
                received_at=f"t{number:02}",
                tlp=draw(st.sampled_from(["clear", "amber", "red"])),
                day_from=TODAY - 50,
            )
        )
    return said


@given(statements(), st.lists(st.integers(0, 30)), st.sampled_from(["aa" * 32, "pkg:pypi/name"]))
def test_whatever_comes_when_the_numbers_are_those_of_all_statements_at_once(
    said: list[Said], cuts: Sequence[int], subject: str
) -> None:
    now, then, others = scales(), scales(TODAY - 7), scales(equivocators=frozenset({AUTHORS[3]}))
    dossier = Dossier(subject)
    ends = [*sorted(cut for cut in cuts if cut < len(said)), len(said)]
    for start, end in zip([0, *ends], ends, strict=False):
        dossier.add(said[start:end])
        for on in (now, others, now):
            expected = network_part(
                said[:end],
                on.voters,
                on.today,
                equivocators=on.equivocators,
                public_subject=subject.startswith("pkg:"),
            )
            assert dossier.network(on) == expected
        earlier = network_part(
            said[:end], then.voters, then.today, public_subject=subject.startswith("pkg:")
        ).score
        assert dossier.score(then) == earlier


@given(statements())
def test_what_reports_say_is_that_of_the_ones_that_are_heard(said: list[Said]) -> None:
    dossier = Dossier("aa" * 32, said)
    network = dossier.network(scales())
    heard = [s for v in network.voices for s in v.statements if s.kind == "report"]
    words = dossier.words(0)
    reports = heard or [s for s in said if s.kind == "report"]
    if not reports:
        assert words is None
    else:
        assert words is not None
        counted = [s for s in reports if isinstance(s, Said)]
        assert words.arrival <= min((s.received_at, s.author) for s in counted)
        assert words.arrival[1] in {s.author for s in counted}


def test_who_counts_more_sessions_later_was_first_all_the_same() -> None:
    said = [report("m1", "r1", at="t1"), report("m2", "r2", at="t2"), report("m1", "r3", at="t3", bad=1)]
    dossier = Dossier("aa" * 32, said)
    dossier.network(scales())
    words = dossier.words(0)
    assert words is not None
    assert words.arrival == ("t1", "m1")


def test_of_one_author_only_the_newest_records_are_kept() -> None:
    dossier = Dossier("aa" * 32, [report("m1", f"r{number}") for number in range(AUTHOR_RECORDS + 9)])
    dossier.add([report("m1", "last")])
    assert dossier.statements == AUTHOR_RECORDS
    assert dossier.said["m1"][-1].id == "last"


def test_a_dossier_that_is_out_is_nobody_elses() -> None:
    held = Dossiers()
    dossier = Dossier("a", [report("m1", "r")])
    held.lend([dossier])
    held.give_back([dossier])
    assert held.take(["a"]) == {"a": dossier}
    assert held.take(["a"]) == {}


def test_only_the_last_who_took_a_dossier_can_give_it_back() -> None:
    held = Dossiers()
    first, second = Dossier("a", [report("m1", "r")]), Dossier("a", [report("m1", "r"), report("m2", "s")])
    held.lend([first])
    held.lend([second])
    held.give_back([first])
    assert held.take(["a"]) == {}
    held.give_back([second])
    assert held.take(["a"]) == {"a": second}


def test_the_least_recently_used_go_when_there_are_too_many_statements_or_subjects() -> None:
    held = Dossiers(DossierLimits(statements=5, subjects=3))
    for number in range(4):
        dossier = Dossier(f"s{number}", [report("m1", "r"), report("m2", "r")])
        held.lend([dossier])
        held.give_back([dossier])
    assert held.size == {"subjects": 2, "statements": 4}
    assert set(held.take([f"s{number}" for number in range(4)])) == {"s2", "s3"}


def test_what_a_failed_transaction_took_can_be_lent_for_ever_without_growing() -> None:
    held = Dossiers(DossierLimits(subjects=10))
    for number in range(1_000):
        held.lend([Dossier(f"s{number}")])
    assert len(held._tickets) <= 11


def test_who_accuses_a_special_case_itself_is_told_apart_from_who_is_heard_by_a_general_pattern() -> None:
    special = Dossier("aa" * 32, [report("m1", "r1"), report("m2", "r2")])
    general = Dossier("bb" * 32, [report("m2", "r3", bad=3), report("m3", "r4")])
    assert [v.group for v in special.network(scales(), {"bb" * 32: general}).voices] == ["g1", "g2", "g3"]
    assert special.accusers == ("g1", "g2")
