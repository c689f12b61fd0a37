"""`ioint approvals`: what waits for a person."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from ioint_taxonomy import load_catalogue

from ioint_node.cli.client import Client, connect
from ioint_node.cli.names import full_id, or_see, short_id
from ioint_node.cli.options import Commands, cell, emit, node_options, show_fields, show_table

CELL_CHARS: Final = 44
LIST: Final = "ioint approvals list"


@click.group(cls=Commands, short_help="What waits for a person: list it, decide it.")
def approvals() -> None:
    """What waits for a person: list it, decide it."""


@approvals.command("list")
@node_options
def list_waiting(*, home: Path, form: str) -> None:
    """List records that wait for approval."""
    rows = list(connect(home).items("api", "v1", "approvals"))
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            [_line(row) for row in rows],
            ("id", "state", "bytes", "pattern", "reason"),
            empty="nothing waits for approval",
        ),
    )


@approvals.command()
@click.argument("record")
@node_options
def show(*, home: Path, form: str, record: str) -> None:
    """Show the exact bytes of a record that waits, field by field."""
    rows = {str(row["id"]): row for row in connect(home).items("api", "v1", "approvals")}
    name = full_id(record, rows, what="waiting record", listed=LIST)
    row = rows.get(name)
    if row is None:
        raise click.ClickException(f"no record {short_id(name)} waits: see `{LIST}`")
    emit(row, form=form, human=lambda: _show_record(row))


@approvals.command()
@click.argument("record")
@click.option("--approve/--refuse", default=None, help="Let it leave, or not; one of them is needed.")
@node_options
def decide(*, home: Path, form: str, record: str, approve: bool | None) -> None:
    """Let a record that waits leave (--approve), or not (--refuse)."""
    if approve is None:
        raise click.UsageError("give --approve to let the record leave, or --refuse to keep it here for good")
    node = connect(home)
    name = full_id(record, _waiting(node), what="waiting record", listed=LIST)
    with or_see(LIST):
        answer = node.post("api", "v1", "approvals", name, body={"approve": approve})
    told = {"record": answer["id"], "state": answer["state"], "reason": answer["reason"]}
    emit(answer, form=form, human=lambda: show_fields(told))


def _waiting(node: Client) -> Iterator[str]:
    return (str(row["id"]) for row in node.items("api", "v1", "approvals"))


def _line(row: Mapping[str, Any]) -> dict[str, object]:
    entry = load_catalogue().entries.get(str(row["subject"]))
    return {
        "id": short_id(row["id"]),
        "state": row["state"],
        "bytes": len(base64.b64decode(row["bytes_b64"])),
        "pattern": short_id(row["subject"]) if entry is None else _cut(entry.title),
        "reason": _cut(str(row["reason"])),
    }


def _cut(text: str) -> str:
    """A text that leaves room for its neighbours; `show` and `-o json` have it whole."""
    return text if len(text) <= CELL_CHARS else f"{text[: CELL_CHARS - 1]}…"


def _show_record(row: Mapping[str, Any]) -> None:
    body = base64.b64decode(row["bytes_b64"])
    show_fields({"record": row["id"], "state": row["state"], "reason": row["reason"]})
    click.echo(f"\n{len(body)} bytes: {cell(body.decode())}\n")
    show_table(row["explain"], ("field", "means", "readers", "why"), empty="no field")
