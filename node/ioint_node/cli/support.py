"""`ioint support-dump`: what somebody who helps needs to know of this node, and nothing of what it has seen.

Versions, settings, the schema and counts. A setting is shown when it is a number, a switch or one word of a closed
list; of any other it is said whether it was set, since it may name an organisation, a host or a path.
"""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import click
from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node import __version__
from ioint_node.cli.client import connect
from ioint_node.cli.options import check_place, emit, node_options, show_tree
from ioint_node.config import Config, load_config, read_run
from ioint_node.errors import NodeError
from ioint_node.scoring.model import load_model
from ioint_node.store.counts import row_counts, value_counts
from ioint_node.store.engine import open_store
from ioint_node.store.migrate import current, newest

SCHEMA: Final = "ioint.support/1"
PACKAGES: Final = (
    "aiohttp",
    "aiosqlite",
    "libp2p",
    "msgspec",
    "numpy",
    "pynacl",
    "scikit-learn",
    "sqlalchemy",
    "trio",
    "uvloop",
)
CHOICES: Final = frozenset({"mode", "publish", "tlp", "fail_closed"})
# Of the running node's own account: numbers, and words of the program.
TOLD: Final = (
    "mode",
    "publish",
    "network_age_s",
    "peers",
    "indicators",
    "stream_seq",
    "responses",
    "waiting_for",
    "refused",
)


@click.command(
    "support-dump", short_help="Versions, settings and counts for somebody who helps; nothing that was seen."
)
@click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write it to a file; otherwise it is shown.",
)
@node_options
def support_dump(*, home: Path, form: str, target: Path | None) -> None:
    """Versions, settings, schema and counts, for somebody who helps.

    No name, text, id, address or path is in it, and no secret. Read it before you send it: it is not long.
    """
    config = load_config(home)
    if target is not None:
        check_place(target)
    dump = asyncio.run(_dump(config))
    dump["running"] = _running(config)
    if target is not None:
        target.write_text(json.dumps(dump, indent=1) + "\n", encoding="utf-8")
    emit(dump, form=form, human=lambda: show_tree({"output": str(target)} if target else dump))


async def _dump(config: Config) -> dict[str, Any]:
    async with open_store(config.store_url) as store, store.read() as connection:
        rows, values = await row_counts(connection), await value_counts(connection)
    taxonomy, catalogue = load_taxonomy(), load_catalogue()
    return {
        "schema": SCHEMA,
        "versions": {
            "ioint": __version__,
            "python": platform.python_version(),
            "system": platform.system(),
            "machine": platform.machine(),
            **{name: _version(name) for name in PACKAGES},
        },
        "taxonomy": {"version": taxonomy.version, "digest": taxonomy.digest},
        "catalogue": {"digest": catalogue.digest, "patterns": len(catalogue.entries)},
        "model": load_model().digest,
        "settings": _settings(config),
        "database": {
            "kind": config.store_url.partition("+")[0],
            "schema": await current(config.store_url),
            "newest": newest(),
            "rows": rows,
            "values": values,
        },
    }


def _settings(config: Config) -> dict[str, Any]:
    """Every setting by name: its value where that can be nothing of ours, else whether it was set, or how many."""
    plain = Config(home=config.home, org="o")
    shown: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if isinstance(value, bool | int | float) or item.name in CHOICES:
            shown[item.name] = list(value) if isinstance(value, tuple) else value
        elif isinstance(value, tuple):
            shown[item.name] = f"{len(value)} entries"
        elif item.name != "home":
            shown[item.name] = "default" if value == getattr(plain, item.name) else "set"
    return shown


def _running(config: Config) -> Mapping[str, Any] | None:
    """What the running node tells of itself; None when none runs or it does not answer."""
    if read_run(config) is None:
        return None
    try:
        told = connect(config.home).get("api", "v1", "status")
    except (NodeError, click.ClickException, OSError):
        return None
    return {name: told.get(name) for name in TOLD} | {"halted": told.get("halted") is not None}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
