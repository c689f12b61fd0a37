"""`ioint preview`: what would leave, before anything leaves."""

from __future__ import annotations

from pathlib import Path

import click

from ioint_node.cli.client import connect
from ioint_node.cli.options import cell, emit, node_options


@click.command(short_help="The exact bytes that would leave, field by field, and why each is safe.")
@click.option("--session", help="What this session would tell; without it, a sample report of the catalogue.")
@node_options
def preview(*, home: Path, form: str, session: str | None) -> None:
    """The exact bytes that would leave, field by field, and why each is safe."""
    records = list(connect(home).items("api", "v1", "preview", session=session))

    def human() -> None:
        if not records:
            click.echo("nothing: this session completed no pattern that would be told")
        for record in records:
            click.echo(f"{cell(record.get('kind'))} {cell(record.get('id'))}")
            click.echo(f"  bytes  {cell(record.get('body') or record.get('bytes_b64'))}")
            for item in record.get("explain") or []:
                click.echo(
                    f"  {cell(item.get('field'))} = {cell(item.get('value'))}: {cell(item.get('why'))}"
                )

    emit({"items": records, "next": None}, form=form, human=human)
