"""What a viewer makes of those who speak: canaries, newcomers, agreement, agents touched, what is allowed or off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from ioint_node.errors import BusyError, RequestError
from ioint_node.flows import effects
from ioint_node.flows.believe import conclude_anew, refresh_all
from ioint_node.flows.journal import LocalSighting
from ioint_node.flows.publish import propose
from ioint_node.flows.why import why
from ioint_node.reputation.standpoint import Standpoint
from ioint_node.scoring.values import Verdict
from ioint_node.store import overrides
from ioint_node.store.schema import sessions
from ioint_node.store.times import to_text
from ioint_protocol import encode_record, parse_segment, record_id
from sqlalchemy import insert, update

from tests.node.exchange import founded

Make = Callable[..., Awaitable[Any]]
DAY_MS = 86_400_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000
PACKAGE = "pkg:npm/left-pad"


def report(about: str, *, bad: int = 1) -> bytes:
    """The bytes of a report about a pattern or a package."""
    package: dict[str, Any] = (
        {"kind": "subject", "pat": None, "subj": about} if about.startswith("pkg:") else {}
    )
    return encode_record(founded.report(about, bad=bad, **package))


async def reason(node: Any, about: str, now: int = NOW) -> str:
    return str((await why(node.parts, about, now))["local"]["reason"])


async def decide(node: Any, about: str, kind: str, *, expires: int | None = None) -> None:
    await node.store.write(
        partial(
            overrides.put, subject=about, kind=kind, reason="known", by="token:t", expires=expires, now=NOW
        )
    )
    await effects.reconsider(node.parts, about, NOW)


async def sees_actors(node: Any, active: int) -> None:
    """So many agents of this node did something within the last 30 days."""
    row = dict.fromkeys(("declaration", "family", "envelope", "verdict"), "") | {
        "family_confidence": 0.0,
        "state": "closed",
        "risk": 0.0,
        "actions": 0,
        "opened_at": to_text(NOW),
        "updated_at": to_text(NOW - DAY_MS),
    }
    rows = [row | {"id": f"s{number}", "actor": f"a{number}"} for number in range(active)]
    await node.store.write(lambda c: c.execute(insert(sessions), rows))


def with_canaries(node: Any, *names: str) -> Any:
    return replace(node, parts=replace(node.parts, standpoint=Standpoint(canaries=frozenset(names))))


async def test_who_accuses_a_canary_is_not_believed_alone_and_the_canary_shows_nowhere(make: Make) -> None:
    net = await make()
    canary, other, later = net.patterns[:3]
    viewer = with_canaries(net[1], canary)
    await net.hand(net.sign(net[0], 1, "", [report(other)]), viewer, net[0])
    await net.hand(net.sign(net[2], 1, "", [report(later)]), viewer, net[2])
    assert (viewer.effect(other), viewer.effect(later)) == (0.05, 0.05)
    first = net.sign(net[0], 1, "", [report(other)])
    await net.hand(net.sign(net[0], 2, _head(first), [report(canary)]), viewer, net[0])
    assert viewer.belief(canary) is None
    await conclude_anew(viewer.parts, NOW)
    assert (viewer.effect(other), viewer.effect(later)) == (0.0, 0.05)
    assert await reason(viewer, other) == "often_wrong_here"
    assert viewer.parts.standpoint.weight(net.roster.member(net[0].member).group) == 200_000


async def test_who_seconds_the_report_of_a_canary_is_not_demoted_with_its_author(make: Make) -> None:
    net = await make()
    canary = net.patterns[0]
    viewer = with_canaries(net[1], canary)
    first = report(canary, bad=3)
    await net.hand(net.sign(net[0], 1, "", [first]), viewer, net[0])
    seconded = encode_record(founded.sighting(record_id(first), seen=1))
    await net.hand(net.sign(net[2], 1, "", [seconded]), viewer, net[2])
    await refresh_all(viewer.parts, NOW)
    assert viewer.parts.standpoint.caught == {"org0": 1}


async def test_accusing_a_canary_is_remembered_over_a_restart_for_four_weeks(make: Make) -> None:
    net = await make()
    canary, other = net.patterns[:2]
    viewer = with_canaries(net[1], canary)
    await net.hand(net.sign(net[0], 1, "", [report(canary), report(other)]), viewer, net[0])
    fresh = await with_canaries(viewer, canary).restarted()
    assert fresh.parts.standpoint.caught == {"org0": 1}
    await refresh_all(fresh.parts, NOW + 27 * DAY_MS)
    assert fresh.parts.standpoint.caught == {"org0": 1}
    await refresh_all(fresh.parts, NOW + 29 * DAY_MS)
    assert fresh.parts.standpoint.caught == {}


@pytest.mark.parametrize(
    ("canary", "accused"),
    [
        ("pkg:npm/left-pad@1.3.0", "pkg:npm/left-pad"),
        ("pkg:cargo/serde_json", "pkg:cargo/Serde-JSON@1.0"),
        ("pkg:cargo/serde-json@1.0", "pkg:cargo/Serde_JSON"),
    ],
)
async def test_a_canary_is_accused_by_what_is_said_of_all_its_versions_and_in_every_spelling(
    make: Make, canary: str, accused: str
) -> None:
    net = await make()
    viewer = with_canaries(net[1], canary)
    await net.hand(net.sign(net[0], 1, "", [report(accused, bad=2)]), viewer, net[0])
    assert viewer.belief(accused) is None
    assert viewer.parts.standpoint.caught == {"org0": 1}
    fresh = await with_canaries(viewer, canary).restarted()
    assert fresh.parts.standpoint.caught == {"org0": 1}


async def test_nothing_that_leaves_says_what_the_canaries_are(make: Make) -> None:
    net = await make()
    canary = net.patterns[0]
    viewer = with_canaries(net[1], canary)
    await net.hand(net.sign(net[0], 1, "", [report(canary)]), viewer, net[0])
    receipt = await why(viewer.parts, canary, NOW)
    assert receipt["local"]["reason"] == "allowed_here"
    assert "canar" not in str(receipt)
    assert "canar" not in repr(viewer.parts)
    assert await viewer.events("reputation") == []


async def test_who_said_otherwise_than_what_was_seen_here_corroborates_less(make: Make) -> None:
    net = await make()
    viewer, (known, other) = net[4], net.patterns[:2]
    await viewer.history(ordinary=20_000)
    for number in range(14):
        await viewer.see(known, session=f"daily-{number}", judged="benign")
    for node in net.nodes[:2]:
        await net.hand(net.sign(node, 1, "", [report(known), report(other)]), viewer, node)
    assert viewer.effect(other) == 0.10
    await refresh_all(viewer.parts, NOW)
    assert viewer.parts.standpoint.agreement == {"org0": 750_000, "org1": 750_000}
    assert (viewer.belief(other).state, viewer.effect(other)) == ("suspicious", 0.10)
    for number, pattern in enumerate(net.patterns[2:8]):
        for session in range(14):
            await viewer.see(pattern, session=f"daily-{number}-{session}", judged="benign")
    for node in net.nodes[:2]:
        first = net.sign(node, 1, "", [report(known), report(other)])
        bodies = [report(pattern) for pattern in net.patterns[2:8]]
        await net.hand(net.sign(node, 2, _head(first), bodies), viewer, node)
    await refresh_all(viewer.parts, NOW)
    assert viewer.belief(other).state == "suspicious"
    assert viewer.effect(other) == 0.05
    assert (await why(viewer.parts, other, NOW))["local"]["tier"] == "precautionary"


async def test_what_was_flagged_here_corroborates_what_another_group_says_and_the_line_says_so(
    make: Make,
) -> None:
    net = await make()
    pattern, viewer = net.patterns[0], net[4]
    for number in range(2):
        await viewer.see(pattern, session=f"bad-{number}", day=TODAY - 1, judged="flagged")
    await net.hand(net.sign(net[0], 1, "", [report(pattern)]), viewer, net[0])
    assert (viewer.belief(pattern).state, viewer.belief(pattern).tier) == ("watched", "corroborated")
    assert (viewer.effect(pattern), viewer.belief(pattern).reason) == (0.10, "own_evidence")
    assert "our own flagged sessions" in (await why(viewer.parts, pattern, NOW))["line"]


async def test_what_a_new_group_says_is_shown_and_acts_after_the_shadow(make: Make) -> None:
    net = await make()
    pattern, viewer = net.patterns[0], net[1]
    joined = replace(net.roster.member(net[0].member), since=2)
    members = [joined if m.id == joined.id else m for m in net.roster.members]
    roster = replace(net.roster, version=2, members=tuple(members))
    viewer = replace(viewer, parts=replace(viewer.parts, roster=lambda: roster))
    await refresh_all(viewer.parts, NOW)
    await net.hand(net.sign(net[0], 1, "", [report(pattern)]), viewer, net[0])
    assert (viewer.belief(pattern).state, viewer.effect(pattern)) == ("watched", 0.0)
    assert await reason(viewer, pattern) == "new_here"
    fresh = await replace(viewer, parts=replace(viewer.parts, standpoint=Standpoint())).restarted()
    week = NOW + 7 * DAY_MS
    await refresh_all(fresh.parts, week)
    fresh.parts.beliefs.heard(week)
    assert fresh.effect(pattern, week) == 0.05


async def test_what_too_many_agents_meet_in_ordinary_work_waits_for_a_person_also_as_consensus(
    make: Make,
) -> None:
    net = await make()
    pattern, viewer = net.patterns[0], net[4]
    await sees_actors(viewer, 100)
    for number in range(6):
        await viewer.see(pattern, session=f"s{number}", actor=f"a{number}")
    for node in net.nodes[:4]:
        await net.hand(net.sign(node, 1, "", [report(pattern, bad=4)]), viewer, node)
    assert (viewer.belief(pattern).state, viewer.effect(pattern)) == ("malicious", 0.0)
    assert viewer.belief(pattern).reason == "quarantined"
    line = (await why(viewer.parts, pattern, NOW))["line"]
    assert "6 of our 100 agents" in line
    await decide(viewer, pattern, "release", expires=NOW + DAY_MS)
    assert viewer.effect(pattern) == 0.30
    await effects.expire(viewer.parts, NOW + DAY_MS)
    assert viewer.effect(pattern) == 0.0


async def test_agents_that_meet_it_while_it_acts_are_counted_within_seconds(make: Make) -> None:
    net = await make()
    pattern, viewer = net.patterns[0], net[4]
    await sees_actors(viewer, 100)
    for node in net.nodes[:4]:
        await net.hand(net.sign(node, 1, "", [report(pattern, bad=4)]), viewer, node)
    assert viewer.effect(pattern) == 0.30
    for number in range(6):
        await viewer.see(pattern, session=f"s{number}", actor=f"a{number}")
    met = LocalSighting(
        patterns=(pattern,),
        confirmed=False,
        verdict=Verdict.IN_SCOPE,
        session_id="s5",
        actor="a5",
        session_risk=0.1,
        intents=(),
        at=NOW,
    )
    await viewer.store.write(lambda connection: propose(connection, viewer.parts, met, NOW))
    assert viewer.effect(pattern) == 0.30
    await conclude_anew(viewer.parts, NOW)
    assert (viewer.belief(pattern).reason, viewer.effect(pattern)) == ("quarantined", 0.0)


async def test_what_a_receipt_says_is_in_force_within_seconds(make: Make) -> None:
    net = await make()
    pattern, viewer = net.patterns[0], net[1]
    await net.hand(net.sign(net[0], 1, "", [report(pattern)]), viewer, net[0])
    await viewer.store.write(
        partial(overrides.put, subject=pattern, kind="allow", reason="r", by="x", expires=None, now=NOW)
    )
    assert await reason(viewer, pattern) == "allowed_here"
    assert viewer.effect(pattern) == 0.05
    await conclude_anew(viewer.parts, NOW)
    assert viewer.effect(pattern) == 0.0


async def test_an_outbreak_does_not_silence_its_own_warning(make: Make) -> None:
    net = await make()
    pattern, viewer = net.patterns[0], net[4]
    await sees_actors(viewer, 20)
    # Half of the sessions ended, half go on and have left their scope.
    await viewer.store.write(
        lambda c: c.execute(update(sessions).where(sessions.c.id < "s3").values(verdict="out_of_scope"))
    )
    for number, judged in enumerate(("open",) * 3 + ("flagged",) * 3):
        await viewer.see(pattern, session=f"s{number}", actor=f"a{number}", judged=judged)
    for node in net.nodes[:4]:
        await net.hand(net.sign(node, 1, "", [report(pattern, bad=4)]), viewer, node)
    assert viewer.effect(pattern) == 0.30
    own = (await why(viewer.parts, pattern, NOW))["local"]["own_record"]
    assert (own["actors"], own["ordinary_actors"]) == (6, 0)


@pytest.mark.parametrize(("allowed", "said"), [(PACKAGE, f"{PACKAGE}@1.3"), (PACKAGE, PACKAGE)])
async def test_what_was_allowed_before_it_came_is_kept_and_makes_nothing_until_it_ends(
    make: Make, allowed: str, said: str
) -> None:
    net = await make()
    viewer = net[4]
    await decide(viewer, allowed, "allow", expires=NOW + 1_000)
    for node in net.nodes[:3]:
        await net.hand(net.sign(node, 1, "", [report(said, bad=4)]), viewer, node)
    assert viewer.belief(said) is None
    assert await viewer.events("reputation") == []
    assert len(await viewer.vector()) == 3
    await effects.expire(viewer.parts, NOW + 1_000)
    assert viewer.belief(said).state == "malicious"
    assert len(await viewer.events("reputation")) == 1


async def test_one_switch_turns_every_effect_off_at_once_and_on_again(make: Make) -> None:
    net = await make()
    pattern, viewer = net.patterns[0], net[1]
    await net.hand(net.sign(net[0], 1, "", [report(pattern)]), viewer, net[0])
    assert viewer.effect(pattern) == 0.05
    await effects.switch_off(viewer.parts, reason="drill", by="token:t", until=None, now=NOW)
    network = viewer.parts.beliefs.effect_of((pattern,), NOW)
    assert (network.effect, network.off) == (0.0, True)
    assert (viewer.belief(pattern).reason, viewer.belief(pattern).state) == ("switched_off", "watched")
    fresh = await viewer.restarted()
    assert fresh.parts.beliefs.off
    second = net.patterns[1]
    await net.hand(net.sign(net[2], 1, "", [report(second)]), fresh, net[2])
    assert (fresh.belief(second).state, fresh.belief(second).effect) == ("watched", 0.0)
    assert await effects.switch_on(fresh.parts, NOW)
    assert [fresh.effect(name) for name in (pattern, second)] == [0.05, 0.05]
    changes = [body for body in await fresh.events("reputation") if pattern in body]
    assert ['"after":0.05' in body.replace(" ", "") for body in changes] == [True, False, True]


async def test_the_switch_holds_where_nothing_can_be_written_down(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise BusyError("the disk is full")

    net = await make()
    pattern, viewer = net.patterns[0], net[1]
    await net.hand(net.sign(net[0], 1, "", [report(pattern)]), viewer, net[0])
    monkeypatch.setattr(overrides, "put", full)
    with pytest.raises(BusyError):
        await effects.switch_off(viewer.parts, reason="drill", by="token:t", until=None, now=NOW)
    assert viewer.effect(pattern) == 0.0


async def test_effects_that_went_off_for_an_hour_come_back_by_themselves(make: Make) -> None:
    net = await make()
    pattern, viewer = net.patterns[0], net[1]
    await net.hand(net.sign(net[0], 1, "", [report(pattern)]), viewer, net[0])
    until = NOW + 3_600_000
    await effects.switch_off(viewer.parts, reason="drill", by="token:t", until=until, now=NOW)
    await effects.expire(viewer.parts, until - 1)
    assert viewer.parts.beliefs.off
    await effects.expire(viewer.parts, until)
    assert viewer.effect(pattern, until) == 0.05


async def test_people_decide_about_so_much_and_no_more(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    net = await make()
    monkeypatch.setattr(overrides, "LIMIT", 2)
    for pattern in (net.patterns[0], net.patterns[1], net.patterns[1]):
        await decide(net[0], pattern, "allow")
    with pytest.raises(RequestError, match="2 decisions of people hold already"):
        await decide(net[0], net.patterns[2], "allow")


def _head(wire: bytes) -> str:
    return parse_segment(wire).head
