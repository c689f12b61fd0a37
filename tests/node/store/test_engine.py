"""Writes: one transaction for many, and what callers hear when the disk or another process is in the way."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ioint_node.errors import BusyError, ConfigError
from ioint_node.store import engine, migrate
from ioint_node.store.engine import Store, WriterLimits, open_store
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

LIMITS = WriterLimits(group_s=0.005, lock_s=0.0, probe_s=0.02)
WITHIN_S = 20.0
SECRET = "canary-7391"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ioint.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite+aiosqlite:///{path}", LIMITS) as opened:
        await opened.write(_make_table)
        yield opened


async def _make_table(connection: AsyncConnection) -> None:
    await connection.execute(text("create table said (words text unique)"))


async def _say(connection: AsyncConnection, words: str = SECRET) -> None:
    await connection.execute(text("insert into said values (:words)"), {"words": words})


async def _said(store: Store) -> int:
    async with store.read() as connection:
        return int((await connection.execute(text("select count(*) from said"))).scalar_one())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds the right to write."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


@contextmanager
def full(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No write gets a page of the disk; the message is the one that SQLite gives."""

    async def refuse(_connection: object, _job: object, **_how: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise OperationalError("insert into said values (?)", None, error, hide_parameters=True)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_run_job", refuse)
        yield


async def recovered(store: Store) -> None:
    async with asyncio.timeout(WITHIN_S):
        while store.failing is not None:  # noqa: ASYNC110 - the store has no event for a test to wait on
            await asyncio.sleep(0.01)


async def test_a_group_is_one_transaction(store: Store, path: Path) -> None:
    seen: list[int] = []

    async def look(_connection: AsyncConnection) -> None:
        other = sqlite3.connect(path)
        seen.append(other.execute("select count(*) from said").fetchone()[0])
        other.close()

    await asyncio.gather(store.submit(_say), store.submit(look))
    assert seen == [0]
    assert await _said(store) == 1


async def test_a_job_that_fails_takes_nobody_with_it_and_the_store_goes_on(store: Store) -> None:
    results = await asyncio.gather(
        store.submit(_say), store.submit(_say), store.submit(lambda c: _say(c, "b")), return_exceptions=True
    )
    assert [type(result).__name__ for result in results] == ["NoneType", "IntegrityError", "NoneType"]
    assert await _said(store) == 2
    assert (store.failing, store.failed) == (None, 0)


async def test_an_error_of_a_statement_never_holds_its_values(store: Store) -> None:
    await store.write(_say)
    with pytest.raises(Exception, match="UNIQUE") as caught:
        await store.write(_say)
    assert SECRET not in f"{caught.value!s} {caught.value!r}"


async def test_what_is_committed_survives_a_loss_of_power(store: Store) -> None:
    async with store.read() as connection:
        assert (await connection.execute(text("pragma synchronous"))).scalar_one() == 2
        assert (await connection.execute(text("pragma journal_mode"))).scalar_one() == "wal"


async def test_a_lock_that_goes_in_time_is_waited_out(path: Path) -> None:
    limits = WriterLimits(group_s=0.0, lock_s=WITHIN_S, probe_s=0.02)
    async with open_store(f"sqlite+aiosqlite:///{path}", limits) as store:
        await store.write(_make_table)
        with locked(path):
            write = store.submit(_say)
            # Longer than one attempt of the database itself, so that it is the writer that tries again.
            done, _ = await asyncio.wait([write], timeout=1.2 * engine.BUSY_MS / 1000)
            assert not done
        await asyncio.wait_for(write, WITHIN_S)
        assert (await _said(store), store.failing, store.failed) == (1, None, 0)


async def test_a_lock_that_stays_is_told_to_who_waits_and_to_who_comes_and_goes_by_itself(
    store: Store, path: Path
) -> None:
    with locked(path):
        with pytest.raises(BusyError, match="locked"):
            await asyncio.wait_for(store.write(_say), WITHIN_S)
        assert store.failing is not None
        assert "another process" in store.failing
        with pytest.raises(BusyError, match="locked"):
            store.submit(_say)
        assert store.health.since is not None
        assert store.failed == 1
    await recovered(store)
    await store.write(_say)
    assert await _said(store) == 1


async def test_a_full_disk_fails_the_group_and_all_who_wait_behind_it(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full(path, monkeypatch):
        jobs = [store.submit(_say) for _ in range(LIMITS.group_jobs + 3)]
        results = await asyncio.wait_for(asyncio.gather(*jobs, return_exceptions=True), WITHIN_S)
        assert {type(result) for result in results} == {BusyError}
        assert store.failing is not None
        assert "disk is full" in store.failing
        assert store.failed == len(jobs)
    await recovered(store)
    assert await _said(store) == 0


async def test_a_disk_that_stays_short_of_room_is_not_believed_because_one_page_fits(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full(path, monkeypatch), pytest.raises(BusyError):
        await store.write(_say)
    monkeypatch.setattr(engine, "ROOM_BYTES", 2**62)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(recovered(store), 5 * LIMITS.probe_s)
    monkeypatch.undo()
    await recovered(store)


async def test_failing_writes_are_told_in_one_line_without_values_and_then_seldom(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="ioint_node")
    with full(path, monkeypatch):
        for _ in range(20):
            with pytest.raises(BusyError):
                await store.write(_say)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(recovered(store), 5 * LIMITS.probe_s)
    (record,) = caplog.records
    assert "OperationalError" in record.getMessage()
    assert "free space" in record.getMessage()
    assert SECRET not in caplog.text
    assert "insert into" not in caplog.text
    assert record.exc_info is None
    await recovered(store)
    assert "writes reach the disk again" in caplog.records[-1].getMessage()


async def test_a_store_that_fails_still_stops(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(WITHIN_S), open_store(f"sqlite+aiosqlite:///{path}", LIMITS) as store:
        await store.write(_make_table)
        with full(path, monkeypatch):
            for job in [store.submit(_say) for _ in range(3)]:
                with pytest.raises(BusyError):
                    await job
            monkeypatch.setattr(engine, "ROOM_BYTES", 2**62)


async def test_a_file_that_is_no_database_is_named_with_the_remedy(path: Path) -> None:
    path.write_bytes(b"this was never a database " * 100)
    url = f"sqlite+aiosqlite:///{path}"
    with pytest.raises(ConfigError, match=r"ioint\.db.*backup"):
        await migrate.upgrade(url)
    with pytest.raises(ConfigError, match=r"ioint\.db.*backup"):
        await migrate.current(url)
    with pytest.raises(ConfigError, match=r"ioint\.db.*backup"):
        async with open_store(url):
            pass


async def test_a_database_cut_short_is_named_with_the_remedy(path: Path) -> None:
    url = f"sqlite+aiosqlite:///{path}"
    await migrate.upgrade(url)
    data = bytearray(path.read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"ioint\.db.*backup"):
        await migrate.upgrade(url)
    with pytest.raises(ConfigError, match=r"ioint\.db.*backup"):
        async with open_store(url):
            pass


async def test_a_directory_that_is_not_there_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="check"):
        async with open_store(f"sqlite+aiosqlite:///{tmp_path / 'gone' / 'ioint.db'}"):
            pass


async def test_the_database_and_its_journals_are_for_their_owner_alone(path: Path) -> None:
    await migrate.upgrade(f"sqlite+aiosqlite:///{path}")
    async with open_store(f"sqlite+aiosqlite:///{path}", LIMITS) as store:
        await store.write(_make_table)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {"ioint.db": 0o600, "ioint.db-wal": 0o600, "ioint.db-shm": 0o600}
