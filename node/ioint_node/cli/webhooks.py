"""`ioint webhooks`: where the stream is posted to, how that goes, and what was given up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from ioint_node.cli.client import connect
from ioint_node.cli.filters import saved_id
from ioint_node.cli.names import or_see
from ioint_node.cli.options import Commands, Whole, emit, node_options, show_fields, show_table
from ioint_node.store.clearance import LABELS
from ioint_node.store.subscriptions import EVENTS
from ioint_node.store.webhooks import GRACE_S
from ioint_node.webhook_keys import SCHEMES

PATH: Final = ("api", "v1", "webhooks")
LIST: Final = "ioint webhooks list"


@click.group(cls=Commands, short_help="Where the stream is posted to, how that goes, what was given up.")
def webhooks() -> None:
    """Where the stream is posted to, how that goes, and what was given up."""


@webhooks.command("list")
@node_options
def list_all(*, home: Path, form: str) -> None:
    """List webhooks with how the newest attempt went; never a secret."""
    rows = list(connect(home).items(*PATH))
    columns = ("id", "state", "url", "events", "filter", "cursor", "delivered", "last_status")
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(rows, columns, empty="no webhook: make one with `ioint webhooks create`"),
    )


@webhooks.command()
@click.argument("url")
@click.option(
    "--event", "events", type=click.Choice(EVENTS), multiple=True, help="Only these, given once each."
)
@click.option("--filter", "text", help="Of events about indicators, those that fit.")
@click.option("--saved", help="The same by the name of a saved filter.")
@click.option("--actor", help="Of events about actors, those of this one.")
@click.option("--tlp", type=click.Choice(LABELS), help="Clearance; else all that the token may see.")
@click.option(
    "--scheme", type=click.Choice(SCHEMES), default="v1", show_default=True, help="Shared or public key."
)
@node_options
def create(
    *,
    home: Path,
    form: str,
    url: str,
    events: tuple[str, ...],
    text: str | None,
    saved: str | None,
    actor: str | None,
    tlp: str | None,
    scheme: str,
) -> None:
    """Have rows of the stream posted to URL; shows the secret, or the public key, this once."""
    node = connect(home)
    asked = {
        "filter": text,
        "saved": saved_id(node, saved),
        "actor": actor,
        "tlp": tlp,
        "events": list(events) or None,
    }
    body = {name: value for name, value in asked.items() if value is not None}
    _told(node.post(*PATH, body={"url": url, "scheme": scheme, **body}), form)


@webhooks.command()
@click.argument("webhook")
@node_options
def show(*, home: Path, form: str, webhook: str) -> None:
    """Show how one stands: where it is, how many rows behind, what was delivered and what was given up."""
    with or_see(LIST):
        _told(connect(home).get(*PATH, webhook), form)


@webhooks.command()
@click.argument("webhook")
@node_options
def test(*, home: Path, form: str, webhook: str) -> None:
    """Post a ping now and say what came of it; exit code 1 when it was not taken."""
    with or_see(LIST):
        found = connect(home).post(*PATH, webhook, "test", body={})
    _told(found, form)
    if not found["taken"]:
        raise click.ClickException(f"the ping was not taken: {found['status']}")


@webhooks.command()
@click.argument("webhook")
@node_options
def enable(*, home: Path, form: str, webhook: str) -> None:
    """Let one that is disabled, or waits, go on where it is."""
    with or_see(LIST):
        _told(connect(home).post(*PATH, webhook, "enable", body={}), form)


@webhooks.command()
@click.argument("webhook")
@click.option("--from", "begin", type=Whole(1, 10**18 - 1), required=True, help="The seq of the first row.")
@node_options
def replay(*, home: Path, form: str, webhook: str, begin: int) -> None:
    """Have rows that are still kept posted once more, from one on."""
    with or_see(LIST):
        _told(connect(home).post(*PATH, webhook, "replay", body={"from": begin}), form)


@webhooks.command()
@click.argument("webhook")
@click.option("--scheme", type=click.Choice(SCHEMES), help="How the new key signs; else as before.")
@click.option(
    "--grace",
    "grace_s",
    type=Whole(0, GRACE_S),
    default=86_400,
    show_default=True,
    help="Seconds for which the old key signs too.",
)
@node_options
def rotate(*, home: Path, form: str, webhook: str, scheme: str | None, grace_s: int) -> None:
    """Give one a new key and show it, this once."""
    body = {"grace_s": grace_s, **({} if scheme is None else {"scheme": scheme})}
    with or_see(LIST):
        _told(connect(home).post(*PATH, webhook, "rotate", body=body), form)


@webhooks.command()
@click.argument("webhook")
@click.option("--replay", "again", is_flag=True, help="Have them posted once more.")
@click.option("--drop", is_flag=True, help="Drop them.")
@click.option("--seq", type=Whole(0, 10**18 - 1), help="Only this one.")
@node_options
def dead(*, home: Path, form: str, webhook: str, again: bool, drop: bool, seq: int | None) -> None:
    """List what was given up and why; or have it posted once more, or drop it."""
    if again and drop:
        raise click.UsageError("--replay or --drop, not both")
    client, path = connect(home), (*PATH, webhook, "dead")
    with or_see(LIST):
        if again:
            _told(client.post(*path, "replay", body={} if seq is None else {"seq": seq}), form)
            return
        if drop:
            _told(client.delete(*path, seq=seq), form)
            return
        rows = [row for row in client.items(*path) if seq in (None, row["seq"])]
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            rows, ("seq", "event", "at", "attempts", "reason", "due"), empty="nothing was given up"
        ),
    )


@webhooks.command()
@click.argument("webhook")
@node_options
def remove(*, home: Path, form: str, webhook: str) -> None:
    """Remove one, with what it has not heard and what was given up."""
    with or_see(LIST):
        connect(home).delete(*PATH, webhook)
    emit({"id": webhook, "removed": True}, form=form, human=lambda: click.echo(f"{webhook} is removed"))


def _told(found: Mapping[str, Any], form: str) -> None:
    emit(found, form=form, human=lambda: show_fields(found))
