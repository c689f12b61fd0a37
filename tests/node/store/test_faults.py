"""Which errors are the database's, and how they are told."""

from __future__ import annotations

import sqlite3

import pytest
from ioint_node.store.faults import REMEDIES, Seldom, described, fault_of
from sqlalchemy.exc import IntegrityError, OperationalError


def sqlite_error(code: int, message: str = "as SQLite says") -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (sqlite3.SQLITE_FULL, "full"),
        (sqlite3.SQLITE_BUSY, "locked"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "locked"),
        (sqlite3.SQLITE_READONLY, "closed"),
        (sqlite3.SQLITE_CANTOPEN, "closed"),
        (sqlite3.SQLITE_IOERR_WRITE, "broken"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
        (sqlite3.SQLITE_NOTADB, "damaged"),
        (sqlite3.SQLITE_CONSTRAINT, None),
        (sqlite3.SQLITE_ERROR, None),
    ],
)
def test_a_fault_is_known_by_its_code_also_inside_another_error(code: int, fault: str | None) -> None:
    inner = sqlite_error(code)
    assert fault_of(inner) == fault
    assert fault_of(OperationalError("select 1", None, inner)) == fault


def test_a_fault_is_found_behind_the_error_of_its_own_clean_up() -> None:
    outer = OperationalError("rollback to savepoint", None, sqlite_error(sqlite3.SQLITE_ERROR))
    outer.__context__ = sqlite_error(sqlite3.SQLITE_FULL)
    assert fault_of(outer) == "full"


def test_a_server_that_shuts_down_or_has_no_room_is_a_fault() -> None:
    class ServerError(Exception):
        sqlstate = "53100"

    assert fault_of(ServerError()) == "unreachable"
    ServerError.sqlstate = "23505"
    assert fault_of(ServerError()) is None


def test_every_fault_says_what_to_do() -> None:
    assert all(": " in sentence for sentence in REMEDIES.values())


def test_an_error_is_described_without_statement_or_values() -> None:
    inner = sqlite_error(sqlite3.SQLITE_CONSTRAINT, "UNIQUE constraint failed: t.x")
    told = described(IntegrityError("insert into t values (?)", ("canary-7391",), inner))
    assert told == "IntegrityError: UNIQUE constraint failed: t.x"
    try:
        raise KeyError("canary-7391")
    except KeyError as error:
        told = described(error)
    assert told.startswith("KeyError at test_faults.py:")
    assert "canary" not in told


def test_a_line_is_let_through_once_in_its_period_and_knows_how_many_were_not() -> None:
    seldom = Seldom(every_s=60.0)
    assert [seldom.due(at) for at in (0.0, 1.0, 59.0)] == [0, None, None]
    assert seldom.due(60.0) == 2
    assert seldom.due(61.0) is None
