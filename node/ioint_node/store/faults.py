"""The faults of a database that no caller can help: which they are, what to do, and how seldom they are told."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

Fault = Literal["full", "locked", "closed", "broken", "damaged", "unreachable"]
REMEDIES: Final[Mapping[Fault, str]] = {
    "full": "the disk is full: free space, then writing goes on by itself",
    "locked": "another process holds the database locked: end it, then writing goes on by itself",
    "closed": "the database cannot be opened for writing: check the owner and mode of its file and directory",
    "broken": "the disk under the database fails: check it, its quota and the system's log",
    "damaged": "the database is damaged: stop the node and restore a backup",
    "unreachable": "the database does not answer: check that its server runs and has room",
}
LOG_EVERY_S: Final = 60.0
CAUSES: Final = 16  # errors behind one error that are looked at
# What talking to a database can raise: wrapped, as its driver raises it, or from the socket.
DATABASE_ERRORS: Final = (SQLAlchemyError, sqlite3.Error, OSError)
_PRIMARY: Final = 0xFF  # the low byte of an SQLite code: its class
_OF_SQLITE: Final[Mapping[int, Fault]] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_READONLY: "closed",
    sqlite3.SQLITE_PERM: "closed",
    sqlite3.SQLITE_CANTOPEN: "closed",
    sqlite3.SQLITE_IOERR: "broken",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
}
# Classes of SQLSTATE: connection, resources, operator's intervention, the server's system.
_OF_SERVER: Final = frozenset({"08", "53", "57", "58"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether writes reach the disk: the fault while they do not, since when (Unix ms), how many were lost so far."""

    fault: Fault | None = None
    since: int | None = None
    failed: int = 0


@dataclass(slots=True)
class Seldom:
    """Lets one line through in each period and counts the others."""

    every_s: float = LOG_EVERY_S
    _next_s: float = field(default=float("-inf"), init=False)
    _unsaid: int = field(default=0, init=False)

    def due(self, now_s: float) -> int | None:
        """None while the line must wait, else how many waited before it."""
        if now_s < self._next_s:
            self._unsaid += 1
            return None
        unsaid, self._unsaid, self._next_s = self._unsaid, 0, now_s + self.every_s
        return unsaid


def fault_of(error: BaseException) -> Fault | None:
    """The fault of the database behind an error, or None when what was asked of it is at fault."""
    for cause in _causes(error):
        if fault := _fault_of_one(cause):
            return fault
    return None


def described(error: BaseException) -> str:
    """An error in a few words for the log: never its statement, and no value that a caller gave."""
    inner = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(inner, sqlite3.Error):
        return f"{type(error).__name__}: {inner}"  # SQLite names tables and columns, not what is in them
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(CAUSES):
        if cause is None:
            return
        yield cause
        if isinstance(cause, DBAPIError) and isinstance(cause.orig, BaseException):
            yield cause.orig
        cause = cause.__cause__ or cause.__context__


def _fault_of_one(error: BaseException) -> Fault | None:
    if isinstance(error, sqlite3.Error):
        return _OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & _PRIMARY)
    if isinstance(error, DBAPIError):
        return "unreachable" if error.connection_invalidated else None
    return "unreachable" if str(getattr(error, "sqlstate", ""))[:2] in _OF_SERVER else None
