"""`ioint public`: what this node publishes for everybody, and whether what another one publishes may be believed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from ioint_taxonomy import load_catalogue

from ioint_node.cli.options import Commands, Whole, cell, emit, format_option, node_options, show_fields
from ioint_node.config import Config, load_config, load_feed_key
from ioint_node.errors import BundleError, ConfigError
from ioint_node.flows import public as flow
from ioint_node.formats import bundle
from ioint_node.store.engine import open_store

KEY: Final = re.compile(r"[0-9a-f]{64}")
DOCUMENT_BYTES: Final = 65_536
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Commands, short_help="What is published for everybody, signed: see it, verify it.")
def public() -> None:
    """What is published for everybody, signed: see it, verify it."""


@public.command()
@node_options
def preview(*, home: Path, form: str) -> None:
    """Show what would be published now, whether publishing is on or off."""
    config = load_config(home)
    objects, omitted = asyncio.run(_preview(config))
    emit(
        {"items": list(objects), "next": None, "omitted": omitted, "on": config.publish_public},
        form=form,
        human=lambda: _show(objects, omitted, config),
    )


@public.command("key")
@node_options
def show_key(*, home: Path, form: str) -> None:
    """Show the public key that the bundles of this node are signed with; the first time, make it."""
    key = bytes(load_feed_key(load_config(home).home).verify_key)
    told = {"key": key.hex(), "keyid": bundle.key_id(key)}
    emit(told, form=form, human=lambda: show_fields(told))


@public.command()
@click.argument("file", type=_FILE)
@click.option(
    "--key", "given", required=True, help="64 hex digits, or a file with the publisher's key document."
)
@click.option(
    "--record-key", help="64 hex digits of the member's record key, which must vouch for the key document."
)
@click.option(
    "--at-least", "least", type=Whole(0), default=0, help="The seq of the newest bundle seen before."
)
@format_option
def verify(*, file: Path, given: str, record_key: str | None, least: int, form: str) -> None:
    """Verify a bundle: signed by this key, not over, not older than one seen before, for everybody alone."""
    key = _key(given, record_key)
    body = bundle.opened(_read(file, bundle.ENVELOPE_BYTES), bundle.BUNDLE_TYPE, key)
    found = bundle.checked(body, now=time.time_ns() // 1_000_000, least_seq=least)
    told = {
        "verified": True,
        "seq": found.seq,
        "issued": found.issued,
        "expires": found.expires,
        "indicators": found.indicators,
        "omitted": found.omitted,
    }
    emit(told, form=form, human=lambda: show_fields(told))


async def _preview(config: Config) -> tuple[flow.Objects, int]:
    async with open_store(config.store_url) as store, store.read() as connection:
        return await flow.preview(connection, load_catalogue(), time.time_ns() // 1_000_000)


def _show(objects: Sequence[Mapping[str, Any]], omitted: int, config: Config) -> None:
    for one in objects:
        click.echo(f"{cell(one['name'])}\n  {cell(one['description'])}\n  {cell(one['pattern'])}\n")
    beyond = f", {omitted} more than there is room for" if omitted else ""
    click.echo(f"{len(objects)} indicator{'' if len(objects) == 1 else 's'} with the label TLP:CLEAR{beyond}")
    if not objects:
        click.echo(
            'an indicator has it while all that is heard of it has: label your own by `tlp = "clear"` in '
            "config.toml, or one by `ioint approvals decide ID --approve --tlp clear`"
        )
    if config.publish_public:
        click.echo("they are served to everybody at /feeds/public.json")
    else:
        click.echo(
            f"nothing is published: set publish_public = true in {config.config_file} and restart the node"
        )


def _key(given: str, record_key: str | None) -> bytes:
    if KEY.fullmatch(given):
        if record_key is not None:
            raise click.UsageError("--record-key needs a key document as --key")
        return bytes.fromhex(given)
    if record_key is not None and not KEY.fullmatch(record_key):
        raise click.UsageError("--record-key: write 64 lower-case hex digits")
    document = _read(Path(given), DOCUMENT_BYTES)
    return bundle.key_of(document, bytes.fromhex(record_key) if record_key else None)


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): name another file") from None
    if len(data) > most:
        raise BundleError(f"{path} has more than {most} bytes")
    return data
