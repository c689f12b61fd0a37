"""`ioint doctor`: everything that a node needs, checked, each fault with its repair."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node.cli.client import connect
from ioint_node.cli.listed import missing_key, under_way
from ioint_node.cli.options import emit, node_options
from ioint_node.cli.rosters import known_height, read_book
from ioint_node.config import Config, load_config, load_keys, read_private, refuse_shared
from ioint_node.errors import ConfigError, NodeError
from ioint_node.membership import renewal_due
from ioint_node.store.engine import open_store, touch
from ioint_node.store.migrate import current, newest

MARKS: Final = {True: "ok     ", False: "FAILED ", None: "skipped"}
NOTE: Final = "note   "
WARN_S: Final = 3 * 86_400  # before the timestamp expires, which is signed anew daily


class Note(str):
    """The detail of a check that found nothing broken, and something that is still to be done."""

    __slots__ = ()


@click.command(short_help="Check everything that this node needs, and say how to repair it.")
@node_options
def doctor(*, home: Path, form: str) -> int:
    """Check everything that this node needs, and say how to repair it. Exit code 1 when a check fails."""
    rows: list[dict[str, Any]] = []
    for name, check, needed in CHECKS:
        missing = [row["check"] for row in rows if row["check"] in needed and not row["ok"]]
        rows.append(_skipped(name, missing[0]) if missing else _examine(name, check, home))
    failed = sum(row["ok"] is False for row in rows)

    def human() -> None:
        for row in rows:
            click.echo(f"{NOTE if row.get('note') else MARKS[row['ok']]}  {row['check']}: {row['detail']}")
        click.echo(
            "everything is in order" if not failed else f"{failed} failed: do what the lines above say"
        )

    emit({"ok": not failed, "checks": rows}, form=form, human=human)
    return 1 if failed else 0


def _examine(name: str, check: Callable[[Path], str], home: Path) -> dict[str, Any]:
    try:
        found = check(home)
        return {"check": name, "ok": True, "detail": found} | (
            {"note": True} if isinstance(found, Note) else {}
        )
    except NodeError as error:
        return {"check": name, "ok": False, "detail": str(error)}


def _skipped(name: str, missing: str) -> dict[str, Any]:
    return {"check": name, "ok": None, "detail": f"needs {missing} first"}


def _check_settings(home: Path) -> str:
    config = load_config(home)
    return f"{config.org}, mode {config.mode}, publish {config.publish}"


def _check_files(home: Path) -> str:
    refuse_shared(load_config(home).private_paths)
    return "settings, keys, tokens and database are readable by their owner alone"


def _check_keys(home: Path) -> str:
    keys = load_keys(home)
    read_private(load_config(home).token_file)
    return f"member {keys.member}"


def _check_taxonomy(_home: Path) -> str:
    return f"taxonomy {load_taxonomy().version}, {len(load_catalogue().entries)} catalogue patterns, digests agree"


def _check_database(home: Path) -> str:
    revision = asyncio.run(current(load_config(home).store_url))
    if revision != newest():
        raise ConfigError(
            f"schema {revision}, this release needs {newest()}: run `ioint db upgrade --home {home}`"
        )
    return f"schema {revision}"


def _check_writes(home: Path) -> str:
    asyncio.run(_try_write(load_config(home)))
    return f"a write reaches the disk, {shutil.disk_usage(home).free / 1e9:.1f} GB are free at {home}"


async def _try_write(config: Config) -> None:
    async with open_store(config.store_url) as store:
        await store.write(touch)


def _check_roster(home: Path) -> str:
    book = asyncio.run(read_book(load_config(home)))
    roster = book.last
    if roster is None:
        return Note("in no consortium: the node scores, and exchanges nothing")
    if time.time() >= roster.expires:
        raise ConfigError(
            f"roster version {roster.version} has expired: nothing is exchanged; ask a steward for a newer one"
        )
    listed = roster.member(load_keys(home).member)
    if listed is None:
        raise ConfigError(
            "this node is not on its consortium's roster: send a steward the file of `ioint consortium card`"
        )
    if listed.state != "active":
        back = (
            ""
            if listed.state == "removed"
            else ": a steward's `ioint consortium admit --card` brings it back"
        )
        raise ConfigError(f"this node is {listed.state} by roster version {roster.version}{back}")
    said = f"version {roster.version}, {len(roster.members)} members"
    if book.held is not None and renewal_due(book.held, time.time_ns() // 1_000_000):
        return Note(f"{said}; what the stewards signed expires soon: let one run `ioint consortium renew`")
    if roster.expires - time.time() < WARN_S:
        return Note(f"{said}; no steward's node has said lately that it is the newest: let one be started")
    return said


def _check_listed(home: Path) -> str:
    config, keys = load_config(home), load_keys(home)
    roster = asyncio.run(read_book(config)).last
    if roster is None:
        return "in no consortium"
    if (missing := missing_key(keys, roster)) is not None:
        raise ConfigError(missing)
    waiting = under_way(keys, roster, asyncio.run(known_height(config, keys.member)))
    return Note("; ".join(waiting)) if waiting else "every key that the roster names for this node is here"


def _check_running(home: Path) -> str:
    node = connect(home)
    if (halted := node.get("api", "v1", "status").get("halted")) is not None:
        raise ConfigError(f"nothing is signed: {halted}")
    waiting = node.get("readyz").get("waiting_for")
    return f"waits for {', '.join(waiting)}" if waiting else "ready"


def _check_peers(home: Path) -> str:
    peers = connect(home).get("api", "v1", "peers")["items"]
    connected = sum(1 for peer in peers if peer["connected_since"] is not None)
    if not peers:
        return "there is nobody else on the roster"
    if not connected:
        return Note(f"connected to none of {len(peers)} members: see `ioint peers`")
    return f"connected to {connected} of {len(peers)} members"


def _check_input(home: Path) -> str:
    if not list(connect(home).items("api", "v1", "sessions", limit=1)):
        return Note(
            "no session was opened here yet: let an agent gateway call POST /api/v1/sessions (README.md)"
        )
    return "sessions arrive"


# Name, check, and the earlier checks without which it would only tell their fault again.
CHECKS: Final[tuple[tuple[str, Callable[[Path], str], tuple[str, ...]], ...]] = (
    ("settings", _check_settings, ()),
    ("files", _check_files, ("settings",)),
    ("keys", _check_keys, ("settings",)),
    ("taxonomy", _check_taxonomy, ()),
    ("database", _check_database, ("settings",)),
    ("writes", _check_writes, ("settings", "database")),
    ("roster", _check_roster, ("settings", "database")),
    ("listed", _check_listed, ("settings", "keys", "database", "roster")),
    ("running", _check_running, ("settings",)),
    ("peers", _check_peers, ("settings", "running")),
    ("input", _check_input, ("settings", "running")),
)
