"""`ioint init`, `status` and `doctor`: making and diagnosing a node."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from ioint_protocol.keys import peer_id
from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node.cli.client import connect
from ioint_node.cli.options import emit, node_options, show_fields, show_tree
from ioint_node.cli.rosters import read_book
from ioint_node.config import (
    Config,
    load_config,
    load_keys,
    make_keys,
    read_private,
    read_run,
    write_config,
    write_private,
)
from ioint_node.config.settings import MODES, PUBLISH_MODES
from ioint_node.errors import ConfigError, NodeError
from ioint_node.store import tokens
from ioint_node.store.engine import open_store
from ioint_node.store.migrate import current, newest, upgrade


@click.command(short_help="Make a node: settings, keys, database, a token for this machine.")
@click.option("--org", required=True, help="The organisation's name, as other members will see it.")
@click.option("--group", default="", help="Affiliation group: organisations of one owner share one voice.")
@click.option("--mode", type=click.Choice(MODES), default="observe", show_default=True)
@click.option("--publish", type=click.Choice(PUBLISH_MODES), default="hold", show_default=True)
@click.option("--web-port", type=click.IntRange(0, 65_535), default=8470, show_default=True)
@click.option(
    "--exchange-host", default="127.0.0.1", show_default=True, help="Where other members connect to."
)
@click.option("--exchange-port", type=click.IntRange(0, 65_535), default=4470, show_default=True)
@click.option(
    "--announce", multiple=True, help="An address where members reach this node: /dns4/HOST/tcp/PORT."
)
@node_options
def init(*, home: Path, form: str, announce: tuple[str, ...], **settings: Any) -> None:  # noqa: ANN401 - of Config
    """Make a node: settings, keys, database, a token for this machine.

    Nothing that is there is overwritten. The settings can be changed later in config.toml.
    """
    config = Config(home=home, announce=announce, **settings)
    write_config(config)
    keys = make_keys(config.home)
    token = asyncio.run(_prepare_store(config))
    write_private(config.token_file, token.encode() + b"\n")
    result = {
        "home": str(config.home),
        "org": config.org,
        "group": config.group,
        "member": keys.member,
        "peer_id": peer_id(keys.node_public),
        "mode": config.mode,
        "publish": config.publish,
    }

    def human() -> None:
        show_fields(result)
        click.echo(f"\nstart it with `ioint run --home {config.home}`")

    emit(result, form=form, human=human)


async def _prepare_store(config: Config) -> str:
    os.umask(0o077)  # the database, too, is for its owner alone
    await upgrade(config.store_url)
    async with open_store(config.store_url) as store:
        made = await store.write(lambda connection: tokens.create(connection, "admin", None, "red", None))
    return made.token


@click.command(short_help="Whether the node runs, where, and with whom it exchanges.")
@node_options
def status(*, home: Path, form: str) -> int:
    """Whether the node runs, where, and with whom it exchanges. Exit code 1 when it does not run."""
    config = load_config(home)
    running = read_run(config)
    result: dict[str, Any] = {"home": str(home), "org": config.org, "running": running is not None}
    if running is not None:
        result |= {"url": running.url, "pid": running.pid, "peer_id": running.peer_id}
        result |= connect(home).get("api", "v1", "status")

    def human() -> None:
        show_tree(result)
        if running is None:
            click.echo(f"start it with `ioint run --home {home}`")

    emit(result, form=form, human=human)
    return 0 if running is not None else 1


@click.command(short_help="Check everything that this node needs, and say how to repair it.")
@node_options
def doctor(*, home: Path, form: str) -> int:
    """Check everything that this node needs, and say how to repair it. Exit code 1 when a check fails."""
    rows = [_examine(name, check, home) for name, check in CHECKS]
    failed = sum(not row["ok"] for row in rows)

    def human() -> None:
        for row in rows:
            click.echo(f"{'ok    ' if row['ok'] else 'FAILED'}  {row['check']}: {row['detail']}")
        click.echo(
            "everything is in order" if not failed else f"{failed} failed: do what the lines above say"
        )

    emit({"ok": not failed, "checks": rows}, form=form, human=human)
    return 1 if failed else 0


def _examine(name: str, check: Callable[[Path], str], home: Path) -> dict[str, Any]:
    try:
        return {"check": name, "ok": True, "detail": check(home)}
    except NodeError as error:
        return {"check": name, "ok": False, "detail": str(error)}


def _check_settings(home: Path) -> str:
    config = load_config(home)
    return f"{config.org}, mode {config.mode}, publish {config.publish}"


def _check_keys(home: Path) -> str:
    keys = load_keys(home)
    read_private(load_config(home).token_file)
    return f"member {keys.member}, readable by their owner alone"


def _check_taxonomy(_home: Path) -> str:
    return f"taxonomy {load_taxonomy().version}, {len(load_catalogue().entries)} catalogue patterns, digests agree"


def _check_database(home: Path) -> str:
    revision = asyncio.run(current(load_config(home).store_url))
    if revision != newest():
        raise ConfigError(
            f"schema {revision}, this release needs {newest()}: run `ioint db upgrade --home {home}`"
        )
    return f"schema {revision}"


def _check_roster(home: Path) -> str:
    book = asyncio.run(read_book(load_config(home)))
    if book.verified is None:
        return "in no consortium: the node scores, and exchanges nothing"
    roster = book.verified.roster
    if time.time() >= roster.expires:
        raise ConfigError(
            f"roster version {roster.version} has expired: nothing is exchanged; ask a steward for a newer one"
        )
    if roster.member(load_keys(home).member) is None:
        raise ConfigError(
            "this node is not on its consortium's roster: send a steward the file of `ioint consortium card`"
        )
    return f"version {roster.version}, {len(roster.members)} members"


def _check_running(home: Path) -> str:
    waiting = connect(home).get("readyz").get("waiting_for")
    return f"waits for {', '.join(waiting)}" if waiting else "ready"


def _check_input(home: Path) -> str:
    if not list(connect(home).items("api", "v1", "sessions", limit=1)):
        raise ConfigError(
            "no session has ever been opened here: let an agent gateway call POST /api/v1/sessions (README.md)"
        )
    return "sessions arrive"


CHECKS: Final[tuple[tuple[str, Callable[[Path], str]], ...]] = (
    ("settings", _check_settings),
    ("keys", _check_keys),
    ("taxonomy", _check_taxonomy),
    ("database", _check_database),
    ("roster", _check_roster),
    ("running", _check_running),
    ("input", _check_input),
)
