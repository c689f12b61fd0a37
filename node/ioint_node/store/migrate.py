"""Bringing a database to the schema of this release: Alembic, called from the program, without ini files."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from ioint_node.errors import ConfigError
from ioint_node.store.engine import make_engine, usable


async def upgrade(url: str) -> str:
    """Make or upgrade the database at an SQLAlchemy URL, in one transaction, and return its revision.

    Raises:
        ConfigError: a newer release has already upgraded this database, or it cannot be opened.
    """
    # A migration that makes a table anew drops the old one, and with it would go the rows that refer to it.
    engine = make_engine(url, foreign_keys=False)
    try:
        async with usable(engine) as connection:
            return await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def current(url: str) -> str | None:
    """The revision of the database at an SQLAlchemy URL, or None where there is no schema yet.

    Raises:
        ConfigError: it cannot be opened.
    """
    engine = make_engine(url)
    try:
        async with usable(engine) as connection:
            return await connection.run_sync(_revision)
    finally:
        await engine.dispose()


def newest() -> str:
    """The revision that this release works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise AssertionError("the package holds no migration")
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> str:
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise ConfigError(
            f"the database is at revision {_revision(connection)}, which this release does not know: "
            "install the newer release again"
        ) from error
    return newest()
