"""`ioint doctor`: everything that a node needs, checked, each fault with its repair."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from ioint_protocol import Member, Roster, peer_id
from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node.cli.client import connect
from ioint_node.cli.options import emit, node_options
from ioint_node.cli.rosters import applied_at, read_book
from ioint_node.config import Config, Keys, load_config, load_keys, read_private, read_run, refuse_shared
from ioint_node.errors import ConfigError, NodeError
from ioint_node.membership import renewal_due
from ioint_node.store.engine import open_store, touch
from ioint_node.store.migrate import current, newest

MARKS: Final = {True: "ok     ", False: "FAILED ", None: "skipped"}
NOTE: Final = "note   "
WARN_S: Final = 3 * 86_400  # before the timestamp expires, which is signed anew daily

_WAY_BACK: Final = {
    "suspended": "ask a steward, who admits it again with its card",
    "removed": "its keys are never accepted again; `ioint consortium leave` forgets this consortium",
}


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
    waits = applied_at(load_config(home))
    if roster is None:
        return Note(
            "in no consortium: the node scores, and exchanges nothing"
            if waits is None
            else f"in no consortium yet: applied at {waits}, where it asks by itself while it runs"
        )
    if time.time() >= roster.expires:
        raise ConfigError(
            f"roster version {roster.version} has expired: nothing is exchanged; ask a steward for a newer one"
        )
    keys = load_keys(home)
    listed = roster.member(keys.member)
    if listed is None and waits is not None:
        return Note(
            f"applied at {waits}: a steward has to admit this node, which asks by itself while it runs"
        )
    if listed is None:
        raise ConfigError(
            "this node is not on its consortium's roster: send a steward the file of `ioint consortium card`, "
            "or forget it with `ioint consortium leave`"
        )
    if listed.state != "active":
        raise ConfigError(f"this member is {listed.state}: {_WAY_BACK[listed.state]}")
    _check_steward(roster, keys)
    said = f"version {roster.version}, {len(roster.members)} members"
    if coming := _coming_keys(listed, keys):
        return Note(f"{said}; new keys wait until a steward has admitted their card: {', '.join(coming)}")
    if book.held is not None and renewal_due(book.held, time.time_ns() // 1_000_000):
        return Note(f"{said}; what the stewards signed expires soon: let one run `ioint consortium renew`")
    if roster.expires - time.time() < WARN_S:
        return Note(f"{said}; no steward's node has said lately that it is the newest: let one be started")
    return said


def _check_steward(roster: Roster, keys: Keys) -> None:
    """See that the keys are here that the roster names for this steward."""
    seat = next((each for each in roster.council if each.member == keys.member), None)
    if seat is None:
        return
    for name, named, key in (
        ("steward", seat.steward_key, keys.steward_key),
        ("clock", seat.clock_key, keys.clock_key),
    ):
        if key is None or bytes(key.verify_key).hex() != named:
            raise ConfigError(
                f"keys/{name}.key is not the one that the roster names for this steward: put it back from a copy, or "
                "have it replaced (docs/consortium.md, Recover)"
            )


def _coming_keys(listed: Member, keys: Keys) -> list[str]:
    """The keys that this node made and the roster does not name yet."""
    record = [] if keys.record_public.hex() == listed.record_key else ["record"]
    return [*record, *sorted(keys.next_seeds)]


def _check_running(home: Path) -> str:
    node, run = connect(home), read_run(load_config(home))
    if run is not None and run.peer_id != peer_id(load_keys(home).node_public):
        return Note("the roster names a new node key: restart the node")
    if (halted := node.get("api", "v1", "status").get("halted")) is not None:
        raise ConfigError(f"nothing is signed: {halted}")
    waiting = node.get("readyz").get("waiting_for")
    return f"waits for {', '.join(waiting)}" if waiting else "ready"


def _check_peers(home: Path) -> str:
    node = connect(home)
    others = [
        each
        for each in node.get("api", "v1", "members")["items"]
        if not each["own"] and each["state"] == "active"
    ]
    if not others:
        return "no other member is on the roster"
    linked = {
        each["member"]
        for each in node.get("api", "v1", "peers")["items"]
        if each.get("connected_since") is not None
    }
    count = sum(each["id"] in linked for each in others)
    said = f"connected to {count} of {len(others)} other members"
    return (
        said if count else Note(f"{said}: see `ioint peers`, and whether addresses on their cards are right")
    )


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
    ("running", _check_running, ("settings",)),
    ("peers", _check_peers, ("settings", "roster", "running")),
    ("input", _check_input, ("settings", "running")),
)
