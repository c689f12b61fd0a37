"""`ioint run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import uvloop

from ioint_node.app import ROLES, run_node
from ioint_node.cli.options import home_option
from ioint_node.config import load_config
from ioint_node.errors import NodeError


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
    try:
        uvloop.run(run_node(load_config(home), roles))
    except BaseExceptionGroup as group:
        # A task group wraps what its tasks raise. A fault that has a remedy is told as such, all else in full.
        fault = _innermost(group)
        if isinstance(fault, (NodeError, OSError)):
            raise fault from None
        raise


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
