"""`ioint doctor`: everything that a node needs, checked, each fault with its repair."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from ioint_protocol import Member, Roster
from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node.cli.client import connect
from ioint_node.cli.listed import missing_key, under_way
from ioint_node.cli.options import emit, node_options, printable
from ioint_node.cli.rosters import applied_at, known_height, read_book
from ioint_node.config import Config, load_boundary, load_config, load_keys, read_private, refuse_shared
from ioint_node.errors import ConfigError, NodeError
from ioint_node.membership import renewal_due
from ioint_node.store.engine import open_store, touch
from ioint_node.store.migrate import current, newest
from ioint_node.store.times import DAY_MS, day_text

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
            click.echo(
                f"{NOTE if row.get('note') else MARKS[row['ok']]}  {row['check']}: {printable(row['detail'])}"
            )
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
        return {"check": name, "ok": False, "detail": str(error).removeprefix(f"{name}: ")}


def _skipped(name: str, missing: str) -> dict[str, Any]:
    return {"check": name, "ok": None, "detail": f"needs {missing} first"}


def _check_settings(home: Path) -> str:
    config = load_config(home)
    return f"{config.org}, mode {config.mode}, publish {config.publish}"


def _check_boundary(home: Path) -> str:
    config = load_config(home)
    if not config.boundary:
        return "none: whoever asks brings its own base decision, or none"
    found = load_boundary(home / config.boundary)
    said = f"{len(found.rules)} rules, {len(found.subjects)} subjects, {len(found.resources)} resources"
    if config.run_file.exists() and config.config_file.stat().st_mtime > config.run_file.stat().st_mtime:
        # Else a node that was never restarted would look as if it denied what it lets through.
        return Note(
            f"{said}; config.toml changed after the node started: restart it if the boundary is new there"
        )
    return said


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
    listed = roster.member(load_keys(home).member)
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
    said = f"version {roster.version}, {len(roster.members)} members"
    if (lowered := lowered_standing(roster, listed, time.time_ns() // 1_000_000 // DAY_MS)) is not None:
        return Note(f"{said}; {lowered}")
    if book.held is not None and renewal_due(book.held, time.time_ns() // 1_000_000):
        return Note(f"{said}; what the stewards signed expires soon: let one run `ioint consortium renew`")
    if roster.expires - time.time() < WARN_S:
        return Note(f"{said}; no steward's node has said lately that it is the newest: let one be started")
    return said


def lowered_standing(roster: Roster, member: Member, today: int) -> str | None:
    """What stewards ruled against a member's group that holds on a UTC day, and what follows; None where nothing is."""
    group = {each.id for each in roster.members if each.group == member.group}
    against = [
        ruling
        for ruling in roster.rulings
        if ruling.kind == "false" and ruling.author in group and ruling.holds(today)
    ]
    if not against:
        return None
    until = day_text(max(ruling.until for ruling in against))
    return (
        f"stewards judged {len(against)} of what group {member.group} said to be false: its voice counts "
        f"1/{1 << len(against)}, and in full from {until} on; see `ioint consortium show`"
    )


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
    config = load_config(home)
    status = connect(home).get("api", "v1", "status")
    if (halted := status["halted"]) is not None:
        raise ConfigError(f"nothing is signed: {halted}")
    if "exchange" in status["waiting_for"]:
        raise ConfigError(
            f"the exchange does not listen on {config.exchange_host} port {config.exchange_port}: "
            "see whether another program does, and the node's log"
        )
    effects = status["effects"]
    if effects["off"]:
        until = f"until {effects['expires_at']}" if effects["expires_at"] else "until somebody says --on"
        return Note(
            f"the effects of the network are off {until} ({effects['reason']}): `ioint indicators effects --on`"
        )
    return f"waits for {', '.join(status['waiting_for'])}" if status["waiting_for"] else "ready"


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
        # A node that hears of no agent protects nobody, and looks healthy in all else.
        raise ConfigError(
            "nothing has arrived yet, so nothing is judged: let an agent gateway call POST /api/v1/sessions "
            "(README.md), or an OpenTelemetry exporter send spans to /v1/traces (docs/otlp.md)"
        )
    return "sessions arrive"


def _check_streams(home: Path) -> str:
    rows = connect(home).get("api", "v1", "ssf", "streams")["items"]
    if not rows:
        return "nobody hears security events"
    failing = [row for row in rows if row["attempts"] or (row["status"] == "paused" and row["reason"])]
    if failing:
        first = failing[0]
        said = first["reason"] or f"{first['attempts']} failed attempts: {first['last_status']}"
        return Note(
            f"security events: {len(failing)} of {len(rows)} streams do not go on; {first['id']}: {said}; "
            "see `ioint streams list`"
        )
    return f"security events: all of {len(rows)} streams go on"


# Name, check, and the earlier checks without which it would only tell their fault again.
CHECKS: Final[tuple[tuple[str, Callable[[Path], str], tuple[str, ...]], ...]] = (
    ("settings", _check_settings, ()),
    ("boundary", _check_boundary, ("settings",)),
    ("files", _check_files, ("settings",)),
    ("keys", _check_keys, ("settings",)),
    ("taxonomy", _check_taxonomy, ()),
    ("database", _check_database, ("settings",)),
    ("writes", _check_writes, ("settings", "database")),
    ("roster", _check_roster, ("settings", "database")),
    ("listed", _check_listed, ("settings", "keys", "database", "roster")),
    ("running", _check_running, ("settings",)),
    ("peers", _check_peers, ("settings", "roster", "running")),
    ("input", _check_input, ("settings", "running")),
    ("streams", _check_streams, ("settings", "running")),
)
