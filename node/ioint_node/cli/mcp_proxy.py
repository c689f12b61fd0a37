"""`ioint mcp-proxy`: an MCP server behind the node, for a client that knows of neither."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path

import click

from ioint_node.cli.options import Fraction, home_option
from ioint_node.client import AsyncClient, ClientError
from ioint_node.client.http import read_token
from ioint_node.config import load_config, read_private, read_run
from ioint_node.errors import ConfigError, NodeError

URL = "http://127.0.0.1:8470"
HEADERS = 64


@click.command("mcp-proxy", short_help="An MCP server behind the node, for clients that know of neither.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", help="The server's address of streamable HTTP, instead of a command.")
@click.option(
    "--header-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Headers for --url, `Name: value` a line; readable by its owner alone.",
)
@click.option("--node", help=f"The node's address; else that of the one that runs in --home, else {URL}.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The token for the node, readable by its owner alone; else that of the commands on this machine.",
)
@click.option("--actor", default="", help="Who acts; else mcp:NAME, as the client calls itself.")
@click.option("--on-behalf-of", help="The principal for whom it acts.")
@click.option("--declare", "declared", default="", help="What the agent is for, in a sentence.")
@click.option("--family", help="Its family of declared intent.")
@click.option("--server", default="", help="What the node knows the server as; else as it calls itself.")
@click.option("--declare-tool", is_flag=True, help="Add a tool by which the agent states its task.")
@click.option(
    "--mode",
    type=click.Choice(["node", "watch"]),
    default="node",
    show_default=True,
    help="watch: refuse nothing, and say on standard error what would have been.",
)
@click.option(
    "--wait",
    "wait_s",
    type=Fraction(0, 3600),
    default=45.0,
    show_default=True,
    help="Seconds to wait for a person, before the agent is told that its call is held.",
)
@home_option
def mcp_proxy(
    *,
    home: Path,
    command: tuple[str, ...],
    url: str | None,
    header_file: Path | None,
    node: str | None,
    token_file: Path | None,
    actor: str,
    on_behalf_of: str | None,
    declared: str,
    family: str | None,
    server: str,
    declare_tool: bool,
    mode: str,
    wait_s: float,
) -> int:
    """Stand between an MCP client and an MCP server: `ioint mcp-proxy -- COMMAND…`.

    Every call of a tool is asked of the node first, and its result is told; everything else passes as it is.
    """
    if bool(command) == bool(url):
        raise click.UsageError("give the server's command after --, or its --url")
    if header_file is not None and not url:
        raise click.UsageError("--header-file goes with --url")
    # Who only asks for help does not wait for the protocol's library.
    from ioint_node.proxy.judge import Terms  # noqa: PLC0415
    from ioint_node.proxy.limits import ProxyLimits  # noqa: PLC0415
    from ioint_node.proxy.relay import ServerEnded  # noqa: PLC0415
    from ioint_node.proxy.run import proxy  # noqa: PLC0415

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="ioint mcp-proxy: %(message)s")
    terms = Terms(
        actor=actor,
        declared=declared,
        family=family,
        server=server,
        on_behalf_of=on_behalf_of,
        watch=mode == "watch",
        limits=ProxyLimits(wait_s=wait_s),
    )
    client = _client(home, node, token_file)
    headers = _headers(header_file) if header_file is not None else {}
    serving = proxy(client, terms, command=command, url=url, headers=headers, declare_tool=declare_tool)
    try:
        asyncio.run(_until_told(serving))
    except ServerEnded as error:
        raise NodeError(f"{error}: see what it said above, and start it again") from None
    return 0


async def _until_told(serving: Coroutine[None, None, None]) -> None:
    """Serve until the client leaves, or SIGTERM or SIGINT says to end."""
    task = asyncio.ensure_future(serving)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _client(home: Path, url: str | None, token_file: Path | None) -> AsyncClient:
    """A client of the node that was named, else of the one in the home directory."""
    try:
        token = read_token(token_file) if token_file is not None else _local_token(home)
        return AsyncClient(url or _local_url(home), token)
    except (ClientError, ValueError) as error:
        raise ConfigError(str(error)) from None


def _local_token(home: Path) -> str:
    if not home.is_dir():
        raise ConfigError(f"there is no node in {home}: name the --token-file of one, or run `ioint init`")
    return read_private(load_config(home).token_file).decode().strip()


def _local_url(home: Path) -> str:
    run = read_run(load_config(home)) if home.is_dir() else None
    return URL if run is None else run.url


def _headers(path: Path) -> dict[str, str]:
    """The headers in a private file, `Name: value` a line."""
    lines = [line for line in read_private(path).decode().splitlines() if line.strip()]
    pairs = [line.partition(":") for line in lines[:HEADERS]]
    if any(not (name.strip() and colon) for name, colon, _ in pairs):
        raise ConfigError(f"{path}: a header is `Name: value`, one a line")
    return {name.strip(): value.strip() for name, _, value in pairs}
