"""Real nodes on hosts of their own: delay, broken connections, cut cables, crashes, newcomers, and a hostile member.

Before and after each test all nodes that run hold the same; what one test says is there in the next.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import pytest
import pytest_asyncio
from ioint_node.demo.stage import command

from tests.hosts.consortium import CALM_S, Consortium, Host, until
from tests.hosts.mallory import Mallory, mallory_at
from tests.hosts.netns import EXCHANGE_PORT, Memory, own_address
from tests.hosts.relay import FAIR, STORMY

pytestmark = [pytest.mark.network, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

ROOM_BYTES: Final = 96 * 2**20
"""How much a process of the victim may grow under attack: a few connections' unread bytes."""
ROSTER_S: Final = 75.0
"""A newer roster comes with the next meeting, or else with the turn of a member that is asked every 30 s."""
RESTARTS: Final = "ioint_exchange_restarts"
STRANGERS: Final = "ioint_strangers_not_a_member"
AHEAD_S: Final = 23 * 3_600  # its day is ours or the next, at any time of ours


async def test_nothing_is_lost_or_doubled_over_slow_lines_that_break(consortium: Consortium) -> None:
    consortium.relay.weather = STORMY
    try:
        for _ in range(3):
            await asyncio.gather(*(host.dispute(2) for host in consortium.running))
            consortium.relay.break_links()  # with what was just said under way
        await consortium.agree()
    finally:
        consortium.relay.weather = FAIR
    await consortium.meet()
    await consortium.believe_the_same()


async def test_a_member_that_nobody_can_connect_to_takes_part_in_full(consortium: Consortium) -> None:
    alpha, delta = consortium["alpha"], consortium["delta"]
    assert (await alpha.peers())[delta.member]["addresses"] == []
    with alpha.space.socket() as knock, pytest.raises(ConnectionRefusedError):
        knock.connect((own_address(delta.number), EXCHANGE_PORT))
    await asyncio.gather(alpha.dispute(1), delta.dispute(1))
    await consortium.agree()
    await consortium.meet()


async def test_both_sides_of_a_cut_cable_go_on_and_are_one_again_when_it_heals(
    consortium: Consortium,
) -> None:
    alpha, bravo, charlie, delta = (consortium[name] for name in ("alpha", "bravo", "charlie", "delta"))
    with consortium.network.parted():
        west, east = await asyncio.gather(alpha.dispute(2), delta.dispute(2))
        await asyncio.gather(bravo.until_holds(west), charlie.until_holds(east))
        assert not west & (await charlie.holds()).keys()
        assert not east & (await bravo.holds()).keys()
    await consortium.agree()
    await consortium.believe_the_same()


async def test_a_node_that_lost_power_loses_nothing_and_catches_up(consortium: Consortium) -> None:
    bravo = consortium["bravo"]
    others = [host for host in consortium.running if host is not bravo]
    await bravo.dispute(2)
    await bravo.stop(kill=True)  # with what it just said under way
    await asyncio.gather(*(host.dispute(2) for host in others))
    await consortium.start(bravo)
    await consortium.agree()
    await consortium.meet()


async def test_decisions_go_on_while_the_exchange_process_is_killed_again_and_again(
    consortium: Consortium,
) -> None:
    alpha = consortium["alpha"]
    took: list[float] = []
    before = await alpha.metric(RESTARTS)
    for count in (1, 2):
        _, child = alpha.pids
        os.kill(child, signal.SIGKILL)

        async def replaced(told: float = before + count) -> bool:
            took.append(await alpha.decides())
            return await alpha.metric(RESTARTS) >= told and await alpha.serves()

        await until(replaced, "the exchange process is replaced, and the node tells so")
    assert max(took) < CALM_S
    assert {row["restarts"] for row in (await alpha.peers()).values()} == {before + 2}
    await asyncio.gather(alpha.dispute(1), consortium["charlie"].dispute(1))
    await consortium.agree()
    await consortium.meet()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mallory(consortium: Consortium) -> AsyncIterator[Mallory]:
    """The hostile member, with a key that is on the roster."""
    shown = await command("consortium", "show", "--home", str(consortium["alpha"].home), "-o", "json")
    async with mallory_at(consortium["mallory"], json.loads(shown)["consortium"]) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def old_roster(consortium: Consortium, mallory: Mallory) -> str:
    """The roster before the newcomer, as a node hands it out, in hex."""
    return str(await mallory.does("roster_of", consortium["alpha"]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def newcomer(consortium: Consortium, old_roster: str) -> Host:
    """A member that is admitted while the others run; nobody can connect to it, and its clock is almost a day ahead."""
    echo = await consortium.add("echo", "east", reachable=False, ahead_s=AHEAD_S)
    alpha = consortium["alpha"]
    await command("consortium", "admit", "--home", str(alpha.home), "--card", str(echo.card))
    await command("consortium", "join", "--home", str(echo.home), "--roster", str(alpha.home / "roster.bin"))

    async def listed() -> bool:
        return echo.member in await alpha.members()

    await until(listed, "the running steward takes the newcomer over")
    # Members ask for the roster whenever they meet.
    consortium.relay.break_links()
    await consortium.start(echo)
    await consortium.meet(ROSTER_S)
    return echo


async def test_a_newcomer_gets_all_that_was_said_before_it_came(
    consortium: Consortium, newcomer: Host
) -> None:
    await consortium.agree()
    assert await newcomer.holds()


async def test_two_members_that_nobody_can_connect_to_hear_of_one_another(
    consortium: Consortium, newcomer: Host
) -> None:
    delta = consortium["delta"]
    assert (await newcomer.peers())[delta.member]["connected_since"] is None
    said, other = await asyncio.gather(newcomer.dispute(1), delta.dispute(1))
    await asyncio.gather(delta.until_holds(said), newcomer.until_holds(other))


async def test_a_member_whose_clock_is_almost_a_day_ahead_is_heard_and_hears(
    consortium: Consortium, newcomer: Host
) -> None:
    await asyncio.gather(newcomer.dispute(2), consortium["bravo"].dispute(1))
    await consortium.agree()


@pytest.fixture(scope="module")
def memory(consortium: Consortium, newcomer: Host) -> Memory:
    """Of the victim's two processes, from before the attacks."""
    return Memory(*consortium["alpha"].pids)


async def test_a_roster_that_was_replaced_is_refused(
    consortium: Consortium, memory: Memory, mallory: Mallory, newcomer: Host, old_roster: str
) -> None:
    alpha, hostile = consortium["alpha"], consortium["mallory"].member
    assert await mallory.does("stale_roster", alpha, stale=old_roster) > 0
    await until(refuses(alpha, hostile, Counter(), "rollback"), "the refusal is counted")
    assert newcomer.member in await alpha.members()


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("lie", ""),  # well-formed, signed and false: it is heard like any other member's word
        ("replay", "duplicate"),
        # What is counted late must not be taken for the next one's: equal names stand apart.
        ("garbage", "bad_frame"),
        ("changed_byte", "bad_root"),
        ("oversized_frame", "frame_too_large"),
        ("thousand_streams", "too_many_streams"),
        ("lying_source", "bad_frame"),
        ("forged_proof", "bad_signature"),
        ("pull_flood", "too_many_calls"),
        ("ten_megabytes", "bad_frame"),
        ("beyond_the_window", "buffers_full"),
        ("muxer_garbage", ""),  # no frame to name: the connection ends
    ],
)
async def test_an_attack_is_refused_by_name_and_the_others_go_on(
    consortium: Consortium, memory: Memory, mallory: Mallory, case: str, reason: str
) -> None:
    alpha, bravo, hostile = consortium["alpha"], consortium["bravo"], consortium["mallory"].member
    before = await alpha.refused(hostile)
    outcome, said = await asyncio.gather(mallory.does(case, alpha, author=bravo.member), bravo.dispute(1))
    await asyncio.gather(*(host.until_holds(said) for host in consortium.running))
    if reason:
        await until(refuses(alpha, hostile, before, reason), f"{case} is counted as {reason}: {outcome}")


async def test_idle_connections_from_one_address_keep_no_member_out(
    consortium: Consortium, memory: Memory
) -> None:
    alpha, delta = consortium["alpha"], consortium["delta"]

    async def full() -> bool:
        return await alpha.metric("ioint_strangers_too_many_from_address") > 0

    async def again() -> bool:
        # Nobody can connect to delta: it is delta that has come in.
        return bool(((await alpha.peers())[delta.member]["connected_since"] or 0) > since)

    async with mallory_at(consortium["mallory"], consortium="") as flooding:
        flood = asyncio.create_task(flooding.does("idle_connections", alpha))
        await until(full, "connections are refused")
        since = (await alpha.peers())[delta.member]["connected_since"]
        consortium.relay.break_links(alpha.number, delta.number)
        await until(again, "a member connects while the flood is on")
        assert not flood.done()
        flood.cancel()


async def test_who_reads_no_answers_is_cut_off(
    consortium: Consortium, memory: Memory, mallory: Mallory
) -> None:
    alpha, bravo = consortium["alpha"], consortium["bravo"]
    outcome = await mallory.does("slow_reader", alpha, author=bravo.member)
    assert outcome.startswith("ended"), outcome
    said = await bravo.dispute(1)
    await asyncio.gather(*(host.until_holds(said) for host in consortium.running))


async def test_two_histories_of_one_member_put_it_into_quarantine_at_every_node(
    consortium: Consortium, memory: Memory, mallory: Mallory
) -> None:
    hostile = consortium["mallory"].member
    assert (await mallory.does("equivocate", consortium["bravo"]))[-1] == "equivocation"

    async def everywhere() -> bool:
        pages = await asyncio.gather(*(host.members() for host in consortium.running))
        found = [{member for member, row in page.items() if row["quarantined_at"]} for page in pages]
        return all(each == {hostile} for each in found)

    await until(everywhere, "every node has the proof")


async def test_a_removed_member_is_let_in_nowhere(
    consortium: Consortium, memory: Memory, mallory: Mallory
) -> None:
    steward, hostile = consortium["alpha"], consortium["mallory"].member
    await command("consortium", "remove", "--home", str(steward.home), hostile)

    async def everywhere() -> bool:
        pages = await asyncio.gather(*(host.members() for host in consortium.running))
        return all(page[hostile]["state"] == "removed" for page in pages)

    await until(everywhere, "every node has the newer roster", ROSTER_S)
    for host in (steward, consortium["bravo"], consortium["charlie"]):
        before = await host.metric(STRANGERS)

        async def kept_out(host: Host = host, before: float = before) -> bool:
            outcome = str(await mallory.tries("connect", host))
            return outcome.startswith("failed") and await host.metric(STRANGERS) > before

        await until(kept_out, f"{host.name} refuses mallory's key")


async def test_after_all_attacks_nothing_is_lost_and_the_victim_has_not_grown(
    consortium: Consortium, memory: Memory
) -> None:
    await asyncio.gather(*(host.dispute(1) for host in consortium.running))
    await consortium.agree()
    await consortium.meet()
    assert memory.grown < ROOM_BYTES


def refuses(host: Host, member: str, before: Counter[str], reason: str) -> Callable[[], Awaitable[bool]]:
    """Whether more was refused of a member under this name than before."""

    async def counted() -> bool:
        return (await host.refused(member))[reason] > before[reason]

    return counted
