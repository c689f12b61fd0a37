"""What is said elsewhere: of a more general pattern, or of very many subjects; and who is believed otherwise by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ioint_node.admission import Accepted
from ioint_node.flows.believe import conclude_anew, refresh_all, reload
from ioint_node.flows.receive import receive_segments
from ioint_node.flows.why import why
from ioint_node.reputation.lineage import lineage
from ioint_protocol import Dispute, Pattern, encode_record, parse_pattern, pattern_id, record_id

from tests.node.exchange.said import DAY_MS, NOW, TODAY, chain, report

Make = Callable[..., Awaitable[Any]]


async def say(net: Any, number: int, bodies: Sequence[bytes]) -> None:
    """One member's first segment, as the last of the nodes receives it."""
    author = net[number]
    (wire,) = chain(net, author, bodies)
    (answer,) = await receive_segments(net[4].parts, [wire], author.member, NOW)
    assert isinstance(answer, Accepted)


def related(net: Any) -> tuple[str, str]:
    """An entry of the catalogue and one that it is a special case of."""
    among = lineage(net[4].parts.catalogue, net[4].parts.taxonomy)
    entries = sorted(net[4].parts.catalogue.entries)
    return next((name, above[0]) for name in entries if (above := among.general(name)))


async def test_what_is_said_of_a_general_pattern_counts_for_a_special_case_that_somebody_accuses(
    make: Make,
) -> None:
    net = await make()
    special, general = related(net)
    await say(net, 0, [report(special)])
    await say(net, 3, [report(special)])
    assert net[4].belief(special).state == "watched"
    await say(net, 1, [report(general)])
    parts = net[4].parts
    await conclude_anew(parts, NOW)
    assert (net[4].belief(special).groups, net[4].belief(general).groups) == (2, 1)
    assert (net[4].belief(special).state, net[4].belief(general).state) == ("suspicious", "watched")
    voices = (await why(parts, special, NOW))["network"]["voices"]
    assert sorted(voice["via"] for voice in voices) == ["", "", general]
    # Who is heard by the general pattern alone does not share the cost of the special one.
    assert net[4].belief(special).accusers == ("org0", "org3")


async def test_a_dispute_of_a_general_pattern_reaches_its_special_cases(make: Make) -> None:
    net = await make()
    parts, (special, general) = net[4].parts, related(net)
    await say(net, 0, [report(special, bad=2)])
    await say(net, 1, [report(special, bad=2), report(general)])
    disputed = report(general, bad=2)
    await say(net, 2, [disputed])
    await conclude_anew(parts, NOW)
    assert net[4].belief(special).benign == 0
    await say(net, 3, [encode_record(Dispute(of=record_id(disputed), reason="expected_use", day=TODAY))])
    await conclude_anew(parts, NOW)
    assert net[4].belief(special).benign == 1_000_000


async def test_what_nobody_accuses_itself_is_not_shown_because_a_general_pattern_is_accused(
    make: Make,
) -> None:
    net = await make()
    special, general = related(net)
    await say(net, 1, [report(general)])
    await conclude_anew(net[4].parts, NOW)
    assert net[4].parts.beliefs.get(special) is None


async def test_a_group_that_accuses_very_many_subjects_is_heard_with_half_its_voice(make: Make) -> None:
    net = await make()
    pattern, parts = net.patterns[0], net[4].parts
    await say(net, 0, [report(pattern)])
    await say(net, 1, [report(f"pkg:pypi/package-{number}", bad=2) for number in range(121)])
    await say(net, 2, [report(pattern)])
    assert net[4].belief("pkg:pypi/package-7").accusing == 1_000_000
    await conclude_anew(parts, NOW)
    assert parts.dossiers.anew.take_subjects() == ()
    assert net[4].belief("pkg:pypi/package-7").accusing == 500_000
    assert net[4].belief(pattern).accusing == 2 * 677_012
    (voice,) = (await why(parts, "pkg:pypi/package-7", NOW))["network"]["voices"]
    assert voice["halvings"] == 1


async def test_how_much_each_group_accuses_is_counted_from_the_store_after_a_restart(make: Make) -> None:
    net = await make()
    parts = net[4].parts
    await say(net, 1, [report(f"pkg:pypi/package-{number}", bad=2 * (number > 4)) for number in range(200)])
    group = net.roster.member(net[1].member).group
    assert parts.dossiers.breadth.subjects(group) == 195  # of a package fewer than three sessions say nothing
    parts.dossiers.breadth.keep([])
    await reload(parts, NOW)
    assert parts.dossiers.breadth.subjects(group) == 195
    await refresh_all(parts, NOW + 40 * DAY_MS)
    assert parts.dossiers.breadth.subjects(group) == 0


async def test_what_a_novel_pattern_is_a_special_case_of_is_learned_after_it_came(make: Make) -> None:
    net = await make()
    parts, (_, general) = net[4].parts, related(net)
    entry = parse_pattern(parts.catalogue.entries[general].pattern)
    novel = Pattern(declared=entry.declared, gaps=entry.gaps, steps=(*entry.steps, entry.steps[-1]))
    name = pattern_id(novel)
    one = 677_012
    await say(net, 0, [report(name, novel=novel)])
    await say(net, 3, [report(name, novel=novel)])
    await say(net, 1, [report(general)])
    assert net[4].belief(name).accusing == 2 * one
    assert (await why(parts, name, NOW))["network"]["accusing"] == 3 * one
    await conclude_anew(parts, NOW)
    assert net[4].belief(name).accusing == 3 * one
    await say(net, 2, [report(general)])
    await conclude_anew(parts, NOW)
    assert (net[4].belief(name).accusing, net[4].belief(name).groups) == (4 * one, 2)
