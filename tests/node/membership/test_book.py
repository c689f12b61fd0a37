"""The roster in force at a node: kept, asked for, given, and at a steward's node kept fresh."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from ioint_node.flows.roster import (
    FIRST_PAUSE_S,
    MOST_PAUSE_S,
    Ask,
    Patience,
    RosterBook,
    answer_roster,
    ask_roster,
    install,
    keep_fresh,
    look_again,
    open_book,
)
from ioint_node.membership import Membership, found, stamp
from ioint_node.store.engine import Store, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.store.schema import roster_files
from ioint_protocol import ProtocolError, sync
from ioint_protocol.sync import RosterVersions
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.membership.founding import (
    DAY_MS,
    FIRST,
    NOW,
    TERMS,
    after,
    seat,
    seeded,
    stewards,
    with_state,
)

OLD = found(TERMS, stewards("abc"), seeded("a clock"), NOW - 8 * DAY_MS)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'node.db'}"
    await upgrade(url)
    async with open_store(url) as opened:
        yield opened


async def put(connection: AsyncConnection, held: Membership) -> None:
    """What a node took over before it ran out."""
    rows = [{"name": name, "body": data, "installed_at": ""} for name, data in held.files.items()]
    await connection.execute(roster_files.insert(), rows)


def peer(book: RosterBook) -> Ask:
    async def ask(protocol: str, body: bytes) -> bytes:
        assert protocol == sync.ROSTER
        return await answer_roster(book, body)

    return ask


async def test_what_was_taken_over_is_there_after_a_restart(store: Store) -> None:
    assert await install(store, await open_book(store), FIRST.files, NOW)
    again = await open_book(store)
    assert again.held == FIRST
    assert again.in_force(NOW) == FIRST.roster


async def test_the_same_again_changes_nothing(store: Store) -> None:
    book = await open_book(store)
    assert await install(store, book, FIRST.files, NOW)
    assert not await install(store, book, FIRST.files, NOW)


async def test_what_is_refused_leaves_the_roster_as_it_was(store: Store) -> None:
    book = await open_book(store)
    await install(store, book, FIRST.files, NOW)
    with pytest.raises(ProtocolError, match="wrong_consortium"):
        await install(store, book, OLD.files, NOW, consortium=None)
    assert (await open_book(store)).held == FIRST


async def test_an_expired_roster_is_not_in_force_and_still_says_whom_to_ask(store: Store) -> None:
    book = RosterBook(OLD)
    assert book.in_force(NOW) is None
    assert book.last == OLD.roster
    assert book.in_force(NOW - 2 * DAY_MS) == OLD.roster


async def test_a_node_recovers_when_a_newer_timestamp_comes(store: Store) -> None:
    await store.write(lambda connection: put(connection, OLD))
    book = await open_book(store)
    assert book.in_force(NOW) is None
    other = RosterBook(after(OLD, now=NOW))
    assert await install(store, book, await ask_roster(peer(other), book.versions), NOW)
    assert book.in_force(NOW) is not None


async def test_a_running_node_takes_over_what_a_command_installed(store: Store) -> None:
    running, command = await open_book(store), await open_book(store)
    await install(store, command, FIRST.files, NOW)
    assert await look_again(store, running)
    assert running.held == FIRST
    assert not await look_again(store, running)


async def test_of_two_that_write_at_once_the_second_takes_nothing_back(store: Store) -> None:
    running = await open_book(store)
    await install(store, running, FIRST.files, NOW)
    command = await open_book(store)
    second = after(FIRST, members=with_state(FIRST, "f", "suspended"))
    await install(store, command, second.files, NOW)
    assert not await install(store, running, stamp(FIRST, seeded("a clock"), NOW + 2_000), NOW)
    assert (await open_book(store)).version == 2


async def test_a_peer_gives_what_is_newer_and_nothing_else(store: Store) -> None:
    second = after(FIRST, by="bcd", clock="b", council=(*TERMS.council[1:], seat("f")))
    ask = peer(RosterBook(second))
    everything = await ask_roster(ask, RosterVersions())
    assert everything == dict(second.files)
    newer = await ask_roster(ask, FIRST.versions)
    assert set(everything) - set(newer) == {"1.root.json"}
    assert await ask_roster(ask, second.versions) == {}


def test_whose_roster_was_refused_is_asked_again_after_a_pause_that_grows() -> None:
    patience, now = Patience(), NOW
    for pause_s in (FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S):
        patience.note("a", now, refused=True)
        assert not patience.may_ask("a", now + pause_s * 1000 - 1)
        now += pause_s * 1000
        assert patience.may_ask("a", now)
    assert patience.may_ask("b", NOW)


def test_the_pause_has_an_end_and_a_good_roster_ends_it() -> None:
    patience = Patience()
    for _ in range(100):
        patience.note("a", NOW, refused=True)
    assert patience.may_ask("a", NOW + MOST_PAUSE_S * 1000)
    patience.note("a", NOW, refused=False)
    assert patience.may_ask("a", NOW)


async def test_an_endless_answer_is_cut_off() -> None:
    async def endless(_protocol: str, body: bytes) -> bytes:
        have = sync.decode_roster_request(body).root
        return sync.encode_roster_answer(
            {f"{have + 1}.root.json": b"x"}, RosterVersions(root=have + 1), RosterVersions(root=have)
        )

    with pytest.raises(ProtocolError, match="too_large"):
        await ask_roster(endless, RosterVersions())


async def test_a_stewards_node_signs_the_timestamp_daily(store: Store) -> None:
    book = await open_book(store)
    yesterday = found(TERMS, stewards("abc"), seeded("a clock"), NOW - DAY_MS)
    await install(store, book, yesterday.files, NOW)
    fresh = partial(keep_fresh, store, book, NOW, clock=seeded("b clock"), steward=seeded("b steward"))
    assert await fresh()
    assert not await fresh()
    assert book.last is not None
    assert book.last.expires == (NOW + 7 * DAY_MS) // 1000
    assert book.version == 1


async def test_any_other_node_signs_nothing(store: Store) -> None:
    book = RosterBook(OLD)
    assert not await keep_fresh(store, book, NOW, clock=None, steward=None)
    assert not await keep_fresh(store, book, NOW, clock=seeded("f clock"), steward=seeded("f steward"))


async def test_a_steward_who_alone_is_enough_renews_the_roster_before_it_expires(store: Store) -> None:
    alone = replace(TERMS, council=TERMS.council[:1], threshold=1)
    aged = found(alone, stewards("a"), seeded("a clock"), NOW - 61 * DAY_MS)
    book = RosterBook(aged)
    await store.write(lambda connection: put(connection, aged))
    assert await keep_fresh(store, book, NOW, clock=seeded("a clock"), steward=seeded("a steward"))
    assert book.version == 2
    assert book.in_force(NOW) is not None
