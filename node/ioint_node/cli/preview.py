"""`ioint preview`: what would leave, before anything leaves."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node.cli.names import or_see
from ioint_node.cli.options import cell, emit, node_options, show_readers, show_table
from ioint_node.config import Config, load_config, load_keys
from ioint_node.flows import preview as preview_flow
from ioint_node.flows.confirming import Confirming
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.roster import open_book
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.scoring.model import load_model
from ioint_node.store.engine import open_store

SAMPLE: Final = (
    "a made-up sample, of nothing that this node saw; "
    "what one of its sessions would tell: `ioint preview --session ID`\n"
)


@click.command(short_help="The exact bytes that would leave, field by field, and why each is safe.")
@click.option("--session", help="What this session would tell; without it, a sample report of the catalogue.")
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What the sessions of a file (docs/sessions.md) would tell, had they happened here today.",
)
@node_options
def preview(*, home: Path, form: str, session: str | None, source: Path | None) -> None:
    """The exact bytes that would leave, field by field, and why each is safe."""
    if session is not None and source is not None:
        raise click.UsageError("--session and --input exclude one another")
    is_sample = session is None and source is None
    with or_see("ioint agents show ACTOR"):  # its newest sessions
        records = asyncio.run(_preview(load_config(home), session, source))
    emit(
        {"items": records, "next": None, "sample": is_sample},
        form=form,
        human=lambda: _show_sample(records) if is_sample else show_records(records),
    )


def show_sample(config: Config) -> None:
    """Show what a report of this node would look like."""
    _show_sample(asyncio.run(_preview(config, None, None)))


def _show_sample(records: Sequence[Mapping[str, Any]]) -> None:
    click.echo(SAMPLE)
    show_records(records)


def show_records(records: Sequence[Mapping[str, Any]]) -> None:
    """Show records as bytes and field by field."""
    if not records:
        click.echo("nothing: no session went far enough out of scope along a pattern that would be told")
    for record in records:
        click.echo(f"record {cell(record['record_id'])}: {cell(record['state'])}, {cell(record['reason'])}")
        click.echo(f"{record['bytes']} bytes: {cell(base64.b64decode(record['bytes_b64']).decode())}\n")
        show_table(record["fields"], ("field", "value", "means", "source", "why"), empty="no field")
        show_readers(record["readers"])


async def _preview(config: Config, session: str | None, source: Path | None) -> list[dict[str, Any]]:
    model, keys, now = load_model(), load_keys(config.home), time.time_ns() // 1_000_000
    async with open_store(config.store_url) as store:
        book = await open_book(store)
        parts = ExchangeParts(
            store=store,
            member=keys.member,
            record_key=None,  # nothing is signed here
            roster=lambda: book.in_force(now),
            consortium=lambda: book.consortium,
            taxonomy=load_taxonomy(),
            catalogue=load_catalogue(),
            beliefs=Beliefs(),
            publish_mode=config.publish,
            detector=model.digest,
            label=config.tlp,
        )
        if source is not None:
            return preview_flow.preview_file(parts, source, model, now)
        sure = Confirming()
        await sure.refresh(store, now)
        return await preview_flow.preview(parts, session, now, sure=sure.threshold(model.thresholds.publish))
