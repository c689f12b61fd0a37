"""`ioint run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import uvloop

from ioint_node.app import run_node
from ioint_node.cli.options import home_option
from ioint_node.config import load_config

ROLES: Final = ("web", "scorer", "exchange", "jobs")


def _roles(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in ROLES:
            raise click.BadParameter(f"{name!r} is none of {', '.join(ROLES)}")
    return names


@click.command(short_help="Run the node until it is told to stop.")
@click.option(
    "--role",
    "roles",
    callback=_roles,
    default=",".join(ROLES),
    show_default=True,
    help="Which parts run here.",
)
@home_option
def run(*, home: Path, roles: Sequence[str]) -> None:
    """Run the node until it is told to stop (Ctrl-C or SIGTERM)."""
    uvloop.run(run_node(load_config(home), roles))
