"""`ioint status`: whether the node runs, and with whom it exchanges."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from ioint_node.cli.client import connect
from ioint_node.cli.options import emit, node_options, show_tree
from ioint_node.cli.rosters import applied_at
from ioint_node.config import load_config, read_run

# What is looked for first; the rest follows.
FIRST: Final = (
    "org",
    "running",
    "waiting_for",
    "halted",
    "url",
    "mode",
    "publish",
    "effects",
    "roster",
    "peers",
    "indicators",
)


@click.command(short_help="Whether the node runs, where, and with whom it exchanges.")
@node_options
def status(*, home: Path, form: str) -> int:
    """Whether the node runs, where, and with whom it exchanges. Exit code 1 when it does not run."""
    config = load_config(home)
    running = read_run(config)
    result: dict[str, Any] = {"home": str(home), "org": config.org, "running": running is not None}
    if (waits := applied_at(config)) is not None:
        result["applied_at"] = waits
    if running is not None:
        result |= {"url": running.url, "pid": running.pid, "peer_id": running.peer_id}
        result |= connect(home).get("api", "v1", "status")

    def human() -> None:
        show_tree({name: result[name] for name in FIRST if name in result} | result)
        if running is None:
            click.echo(f"start it with `ioint run --home {home}`")

    emit(result, form=form, human=human)
    return 0 if running is not None else 1
