"""`ioint streams`: who hears security events (SSF), and the key that signs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ioint_node.cli.client import connect
from ioint_node.cli.names import full_id
from ioint_node.cli.options import Commands, emit, node_options, show_fields, show_table
from ioint_node.config import load_config

LIST = "ioint streams list"
COLUMNS = ("id", "by", "tlp", "method", "status", "attempts", "last_status", "heard_at", "endpoint_url")


@click.group(cls=Commands, short_help="Who hears security events (SSF), and the key that signs them.")
def streams() -> None:
    """Who hears security events (SSF), and the key that signs them."""


@streams.command("list")
@node_options
def list_all(*, home: Path, form: str) -> None:
    """List the streams of all receivers: how each stands, and how the newest delivery went."""
    rows = _rows(home)
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(rows, COLUMNS, empty="nobody hears security events: docs/ssf.md tells how"),
    )


@streams.command("set")
@click.argument("stream")
@click.option(
    "--status",
    type=click.Choice(["enabled", "paused", "disabled"]),
    required=True,
    help="paused holds events, disabled drops them.",
)
@click.option("--reason", default="", help="What the receiver is told.")
@node_options
def set_status(*, home: Path, form: str, stream: str, status: str, reason: str) -> None:
    """Enable, pause or disable a stream; its receiver is told."""
    name = full_id(stream, [str(row["id"]) for row in _rows(home)], what="stream", listed=LIST)
    body = {"status": status, "reason": reason}
    done = connect(home).post("api", "v1", "ssf", "streams", name, body=body)
    emit(done, form=form, human=lambda: show_fields(done))


@streams.command("rotate-key")
@node_options
def rotate_key(*, home: Path, form: str) -> None:
    """Make a new key: receivers find it at once, and it signs a day later; the old one stays a day more."""
    from ioint_node.config.signal_keys import rotate_signal_key  # noqa: PLC0415 - heavy, and needed here alone

    kid, since_s = rotate_signal_key(load_config(home).signal_key_file)
    made = {"kid": kid, "signs_from_s": since_s}
    emit(made, form=form, human=lambda: show_fields(made))


def _rows(home: Path) -> list[dict[str, Any]]:
    return list(connect(home).get("api", "v1", "ssf", "streams")["items"])
