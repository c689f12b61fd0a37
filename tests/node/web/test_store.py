"""The tables this package owns: migrations, tokens, the stream, overrides, instants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.errors import ConfigError, NotFoundError, RequestError
from ioint_node.store import migrate, overrides, stream, tokens
from ioint_node.store.clearance import visible
from ioint_node.store.engine import Store, open_store
from ioint_node.store.schema import metadata
from ioint_node.store.schema import tokens as tokens_table
from ioint_node.store.times import from_text, to_text
from sqlalchemy import Connection, select, text
from sqlalchemy.ext.asyncio import create_async_engine

NOW = 1_763_647_200_123


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'node.db'}"
    await migrate.upgrade(url)
    async with open_store(url) as store:
        yield store


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_an_instant_survives_its_text(ms: int) -> None:
    assert from_text(to_text(ms)) == ms


@given(st.lists(st.integers(min_value=0, max_value=4_102_444_800_000), max_size=8))
def test_texts_sort_as_their_instants_do(moments: list[int]) -> None:
    assert sorted(map(to_text, moments)) == [to_text(ms) for ms in sorted(moments)]


@pytest.mark.parametrize("bad", ["", "now", "2026-11-20", "2026-11-20T10:00:00", "2026-13-40T10:00:00Z"])
def test_what_is_no_instant_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_text(bad)


def test_an_offset_is_understood() -> None:
    assert to_text(from_text("2026-11-20T11:00:00+01:00")) == "2026-11-20T10:00:00.000Z"


async def test_the_migrations_make_the_schema_of_this_release(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'node.db'}"
    assert await migrate.current(url) is None
    assert await migrate.upgrade(url) == migrate.newest()
    assert await migrate.current(url) == migrate.newest()

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    engine = create_async_engine(url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_a_second_upgrade_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'node.db'}"
    assert await migrate.upgrade(url) == await migrate.upgrade(url)


async def test_a_database_of_a_newer_release_is_refused_with_the_remedy(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'node.db'}"
    await migrate.upgrade(url)
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(ConfigError, match=r"9999.*install the newer release"):
        await migrate.upgrade(url)


async def test_a_token_opens_what_it_was_made_for_and_is_kept_nowhere(store: Store) -> None:
    made = await store.write(lambda c: tokens.create(c, "agent", "a-1", "green", None, now=NOW))
    async with store.read() as connection:
        caller = await tokens.check(connection, made.token, NOW)
        row = (await connection.execute(select(tokens_table))).one()
    assert caller == tokens.Caller(id=made.id, role="agent", actor="a-1", tlp="green", expires=None)
    assert made.token.startswith("ioint_")
    assert made.token not in repr(made)
    assert made.token not in str(row)


@pytest.mark.parametrize(
    ("role", "actor", "tlp", "expires"),
    [
        ("root", None, "amber", None),
        ("agent", None, "amber", None),
        ("soc", "a-1", "amber", None),
        ("soc", None, "purple", None),
        ("soc", None, "amber", NOW),
    ],
)
async def test_a_token_without_sense_is_not_made(
    store: Store, role: str, actor: str | None, tlp: str, expires: int | None
) -> None:
    with pytest.raises(RequestError):
        await store.write(lambda c: tokens.create(c, role, actor, tlp, expires, now=NOW))


async def test_a_revoked_token_stops_at_once_and_revoking_twice_is_harmless(store: Store) -> None:
    cache = tokens.TokenCache(store)
    made = await store.write(lambda c: tokens.create(c, "soc", None, "amber", None, now=NOW))
    assert await cache.check(made.token, NOW) is not None
    for _ in range(2):
        await store.write(lambda c: tokens.revoke(c, made.id, now=NOW))
        cache.forget(made.id)
    assert await cache.check(made.token, NOW) is None
    with pytest.raises(NotFoundError):
        await store.write(lambda c: tokens.revoke(c, "nothing", now=NOW))


async def test_a_token_revoked_by_another_process_stops_when_the_memory_of_it_is_stale(store: Store) -> None:
    limits = tokens.CacheLimits(fresh_ms=1_000)
    cache = tokens.TokenCache(store, limits)
    made = await store.write(lambda c: tokens.create(c, "soc", None, "amber", None, now=NOW))
    assert await cache.check(made.token, NOW) is not None
    await store.write(lambda c: tokens.revoke(c, made.id, now=NOW))
    assert await cache.check(made.token, NOW + 1_001) is None


async def test_an_expired_token_opens_nothing_even_from_memory(store: Store) -> None:
    cache = tokens.TokenCache(store)
    made = await store.write(lambda c: tokens.create(c, "soc", None, "amber", NOW + 10, now=NOW))
    assert await cache.check(made.token, NOW) is not None
    assert await cache.check(made.token, NOW + 10) is None


async def test_the_memory_of_tokens_is_bounded_and_the_use_is_noted(store: Store) -> None:
    cache = tokens.TokenCache(store, tokens.CacheLimits(callers=2, note_use_ms=1))
    made = [
        await store.write(lambda c: tokens.create(c, "soc", None, "amber", None, now=NOW)) for _ in range(4)
    ]
    for one in made:
        assert await cache.check(one.token, NOW) is not None
    assert len(cache._callers) == 2
    await store.write(lambda c: tokens.note_use(c, {}))  # behind the queued note
    async with store.read() as connection:
        assert any(row.last_used_at == to_text(NOW) for row in await tokens.list_tokens(connection))


async def test_the_stream_is_ordered_filtered_by_clearance_and_never_reuses_a_number(store: Store) -> None:
    async def write(label: str, at: int) -> int:
        return await store.write(lambda c: stream.append(c, "trust", {"actor": label}, label, at))

    seqs = [await write(label, NOW + i) for i, label in enumerate(("clear", "red", "green"))]
    assert seqs == sorted(set(seqs))
    async with store.read() as connection:
        rows = await stream.since(connection, 0, 10, "green")
        assert [row.tlp for row in rows] == ["clear", "green"]
        assert await stream.high_water(connection) == seqs[-1]
    assert await store.write(lambda c: stream.trim(c, NOW + 99)) == 2
    async with store.read() as connection:
        assert await stream.oldest(connection) == seqs[-1] == await stream.high_water(connection)
    assert await write("clear", NOW) == seqs[-1] + 1


@pytest.mark.parametrize(("event", "tlp"), [("gossip", "clear"), ("trust", "purple")])
async def test_an_event_outside_the_contract_is_not_written(store: Store, event: str, tlp: str) -> None:
    with pytest.raises(ValueError, match=event if event == "gossip" else tlp):
        await store.write(lambda c: stream.append(c, event, {}, tlp, NOW))


async def test_an_override_replaces_its_like_and_runs_out(store: Store) -> None:
    async def put(reason: str, expires: int | None) -> None:
        await store.write(
            lambda c: overrides.put(
                c, subject="ab", kind="mute", reason=reason, by="t1", expires=expires, now=NOW
            )
        )

    await put("first", None)
    await put("second", NOW + 5)
    async with store.read() as connection:
        (one,) = await overrides.active(connection, NOW, kind="mute", subject="ab")
        assert one.reason == "second"
        assert await overrides.active(connection, NOW + 5) == ()
    assert await store.write(lambda c: overrides.expire(c, NOW + 5)) == ("ab",)
    assert await store.write(lambda c: overrides.remove(c, "ab", "mute")) is False


def test_clearance_reads_downward_and_unknown_labels_are_refused() -> None:
    assert visible("green") == ("clear", "green")
    with pytest.raises(ValueError, match=r".+"):
        visible("white")
