"""`ioint token`: who may call the node. Works on the database, with or without a running node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.access.rights import ROLES
from ioint_node.cli.names import or_see
from ioint_node.cli.options import Commands, Whole, emit, node_options, show_fields, show_table
from ioint_node.config import Config, load_config, read_private, replace_private
from ioint_node.config.tls import thumbprint_of_file
from ioint_node.store import tokens as store
from ioint_node.store.clearance import LABELS
from ioint_node.store.engine import open_store
from ioint_node.store.times import to_text

T = TypeVar("T")
LISTED = 1_000
COLUMNS = (
    "id",
    "role",
    "actor",
    "tlp",
    "scopes",
    "age_days",
    "last_used_at",
    "rotated_at",
    "old_until",
    "expires_at",
    "revoked_at",
)


@click.group(cls=Commands, short_help="Tokens for agents, engines, analysts and administrators.")
def token() -> None:
    """Tokens for agents, engines, analysts and administrators.

    A token is shown once, when it is made or rotated; the node keeps only its hash.
    """


@token.command()
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the holder may do.")
@click.option("--actor", help="The one actor of an agent's token.")
@click.option("--tlp", type=click.Choice(LABELS), default="amber", show_default=True, help="Clearance.")
@click.option("--days", type=Whole(1, 3650), help="Expires after so many days; else never.")
@click.option("--scope", help="Less than the role: names with commas between, such as query,opine.")
@click.option(
    "--cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Good only on connections with this client certificate (PEM).",
)
@node_options
def create(
    *,
    home: Path,
    form: str,
    role: str,
    actor: str | None,
    tlp: str,
    days: int | None,
    scope: str | None,
    cert: Path | None,
) -> None:
    """Make a token and show it, this once."""
    if (role == "agent") != bool(actor):
        raise click.UsageError("--actor names the one actor of --role agent; the other roles have none")
    now = time.time_ns() // 1_000_000
    expires = now + days * 86_400_000 if days else None
    scopes = None if scope is None else [name.strip() for name in scope.split(",")]
    bound = None if cert is None else thumbprint_of_file(cert)
    made = write(
        load_config(home),
        lambda connection: store.create(
            connection, role, actor, tlp, expires, scopes=scopes, certificate=bound
        ),
    )
    result = {**asdict(made), "expires": to_text(expires) if expires else None}
    emit(result, form=form, human=lambda: show_fields(result))


@token.command("list")
@node_options
def list_all(*, home: Path, form: str) -> None:
    """List tokens: who, what for, when last used; never a token itself."""

    async def work() -> list[dict[str, object]]:
        async with open_store(load_config(home).store_url) as opened, opened.read() as connection:
            return [asdict(row) for row in await store.list_tokens(connection, LISTED)]

    rows = asyncio.run(work())
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(rows, COLUMNS, empty="no token: make one with `ioint token create`"),
    )


@token.command()
@click.argument("token_id")
@click.option(
    "--grace",
    "grace_s",
    type=Whole(0, store.GRACE_S),
    default=0,
    show_default=True,
    help="Seconds for which the old secret still works.",
)
@node_options
def rotate(*, home: Path, form: str, token_id: str, grace_s: int) -> None:
    """Give a token a new secret and show it, this once; id, role, actor and expiry stay.

    A running node notices within five seconds.
    """
    config = load_config(home)
    local = read_private(config.token_file).decode().strip() if config.token_file.exists() else ""

    async def work(connection: AsyncConnection) -> tuple[store.NewToken, bool]:
        caller = await store.check(connection, local, time.time_ns() // 1_000_000)
        made = await store.rotate(connection, token_id, grace_s=grace_s)
        return made, caller is not None and caller.id == token_id

    with or_see("ioint token list"):
        made, is_local = write(config, work)
    if is_local:  # the commands on this machine go on signing in
        replace_private(config.token_file, made.token.encode() + b"\n")
    expires = to_text(made.expires) if made.expires else None
    result = {**asdict(made), "expires": expires, "grace_s": grace_s}
    emit(result, form=form, human=lambda: show_fields(result))


@token.command()
@click.argument("token_id")
@node_options
def revoke(*, home: Path, form: str, token_id: str) -> None:
    """Make a token worthless; a running node notices within five seconds."""
    with or_see("ioint token list"):
        write(load_config(home), lambda connection: store.revoke(connection, token_id))
    emit({"id": token_id, "revoked": True}, form=form, human=lambda: click.echo(f"{token_id} is revoked"))


def write(config: Config, job: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run one write on a node's database."""

    async def work() -> T:
        async with open_store(config.store_url) as opened:
            return await opened.write(job)

    return asyncio.run(work())
