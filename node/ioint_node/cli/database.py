"""`ioint db`: the schema of the node's database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ioint_node.cli.options import Commands, emit, node_options
from ioint_node.config import load_config
from ioint_node.store.migrate import current, upgrade


@click.group(cls=Commands, short_help="The database's schema.")
def db() -> None:
    """The database's schema."""


@db.command("upgrade")
@node_options
def upgrade_schema(*, home: Path, form: str) -> None:
    """Bring the database to the schema of this release; stop the node first."""
    url = load_config(home).store_url

    async def work() -> dict[str, str | None]:
        return {"from": await current(url), "to": await upgrade(url)}

    result = asyncio.run(work())
    emit(result, form=form, human=lambda: click.echo(f"schema {result['from'] or 'none'} → {result['to']}"))
