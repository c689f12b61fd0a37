"""`ioint init`: making a node."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
from ioint_protocol.keys import peer_id

from ioint_node.cli.options import Whole, emit, node_options, show_fields
from ioint_node.config import Config, make_keys, write_config, write_private
from ioint_node.config.settings import MODES, PUBLISH_MODES
from ioint_node.errors import ConfigError
from ioint_node.store import tokens
from ioint_node.store.engine import open_store
from ioint_node.store.migrate import upgrade


@click.command(short_help="Make a node: settings, keys, database, a token for this machine.")
@click.option("--org", required=True, help="The organisation's name, as other members will see it.")
@click.option("--group", default="", help="Affiliation group: organisations of one owner share one voice.")
@click.option("--mode", type=click.Choice(MODES), default="observe", show_default=True)
@click.option("--publish", type=click.Choice(PUBLISH_MODES), default="hold", show_default=True)
@click.option("--web-port", type=Whole(0, 65_535), default=8470, show_default=True)
@click.option(
    "--exchange-host", default="127.0.0.1", show_default=True, help="Where other members connect to."
)
@click.option("--exchange-port", type=Whole(0, 65_535), default=4470, show_default=True)
@click.option(
    "--announce", multiple=True, help="An address where members reach this node: /dns4/HOST/tcp/PORT."
)
@node_options
def init(*, home: Path, form: str, announce: tuple[str, ...], **settings: Any) -> None:  # noqa: ANN401 - of Config
    """Make a node: settings, keys, database, a token for this machine.

    Nothing that is there is overwritten. The settings can be changed later in config.toml.
    """
    config = Config(home=home, announce=announce, **settings)
    if config.config_file.exists():
        raise ConfigError(
            f"{config.config_file} exists: it is kept; start that node with `ioint run --home {config.home}`, "
            "or name another directory with --home"
        )
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
    await upgrade(config.store_url)
    async with open_store(config.store_url) as store:
        made = await store.write(lambda connection: tokens.create(connection, "admin", None, "red", None))
    return made.token
