"""`ioint incidents`: own sessions that contain what others warn of, and what we make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from ioint_node.cli.client import PAGE_ITEMS, PAGES, connect
from ioint_node.cli.names import or_see, pattern_id
from ioint_node.cli.options import (
    Commands,
    Whole,
    cell,
    check_place,
    emit,
    node_options,
    show_fields,
    show_table,
    show_tree,
)
from ioint_node.errors import RequestError
from ioint_node.store.incidents import CLOSED_AS, FOUND, STATES

COLUMNS: Final = ("id", "state", "found", "tier", "label", "sessions", "agent", "assignee", "opened_at")
LINE_BYTES: Final = 1 << 20  # the longest finding that is looked for at the end of a file
_LISTED: Final = "ioint incidents list"
_note_option = click.option("--note", "text", default="", help="Why; kept with it, told to nobody outside.")


@click.group(
    cls=Commands, short_help="Own sessions that contain what others warn of, and what we make of them."
)
def incidents() -> None:
    """Own sessions that contain what others warn of, and what we make of them."""


@incidents.command("list")
@click.option("--state", type=click.Choice((*STATES, "unsettled")), help="`unsettled`: open or assigned.")
@click.option("--pattern", help="Its id, or the first digits of it.")
@click.option("--agent", "actor", help="Of this agent alone.")
@click.option("--session", help="Of this session alone.")
@click.option("--assignee", help="Given to this person.")
@click.option("--found", type=click.Choice(FOUND), help="As it happened, or looking back.")
@click.option("--limit", type=Whole(1, 1_000_000), default=100, show_default=True)
@node_options
def list_all(*, home: Path, form: str, limit: int, pattern: str | None, **wanted: str | None) -> None:
    """List incidents, the newest first."""
    node = connect(home)
    named = pattern_id(node, pattern) if pattern else None
    rows = list(node.items("api", "v1", "incidents", limit=limit + 1, pattern=named, **wanted))
    more, rows = len(rows) > limit, rows[:limit]
    emit(
        {"items": rows, "next": None, "more": more},
        form=form,
        human=lambda: show_table(
            [_shown(row) for row in rows],
            COLUMNS,
            empty="no incident: no own session contains what others warn of, or the options leave nothing",
        ),
    )


@incidents.command()
@click.argument("incident")
@node_options
def show(*, home: Path, form: str, incident: str) -> None:
    """Show one incident with all that was done to it."""
    with or_see(_LISTED):
        found = connect(home).get("api", "v1", "incidents", incident)
    emit(found, form=form, human=lambda: _show(found))


def _show(found: Mapping[str, Any]) -> None:
    show_tree(found)
    if found["session_id"]:
        click.echo(f"\nwhat it did: `ioint explain {cell(found['session_id'])}`")


@incidents.command()
@click.argument("incident")
@click.argument("who")
@node_options
def assign(*, home: Path, form: str, incident: str, who: str) -> None:
    """Give an incident to somebody; "" gives it back."""
    _act(home, form, incident, {"do": "assign", "assignee": who})


@incidents.command("note")
@click.argument("incident")
@click.argument("text")
@node_options
def add_note(*, home: Path, form: str, incident: str, text: str) -> None:
    """Say something of an incident."""
    _act(home, form, incident, {"do": "note", "note": text})


@incidents.command("close")
@click.argument("incident")
@click.option("--as", "closed_as", type=click.Choice(tuple(CLOSED_AS)), required=True, help="What it was.")
@_note_option
@node_options
def close_one(*, home: Path, form: str, incident: str, closed_as: str, text: str) -> None:
    """Close an incident as what it was; that judges its matches, and the answer offers what may be said next."""
    _act(home, form, incident, {"do": "close", "closed_as": closed_as, "note": text})


@incidents.command()
@click.argument("incident")
@_note_option
@node_options
def reopen(*, home: Path, form: str, incident: str, text: str) -> None:
    """Take a closing back."""
    _act(home, form, incident, {"do": "reopen", "note": text})


@incidents.command("export")
@click.option(
    "--form", "kind", type=click.Choice(("ocsf",)), default="ocsf", show_default=True, help="Of each line."
)
@click.option("--after", help="Go on from here; else from where the file ends.")
@click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    required=True,
    help="One JSON object per line; they are added to what is there.",
)
@node_options
def export(*, home: Path, form: str, kind: str, after: str | None, target: Path) -> None:
    """Write incidents and actions out of scope to a file for a SIEM, the oldest first."""
    check_place(target)
    after = _reached(target) if after is None else after
    node, count = connect(home), 0
    with target.open("ab") as file:
        for _ in range(PAGES):
            lines = node.fetch("feeds", f"{kind}.jsonl", limit=PAGE_ITEMS, after=after).splitlines(
                keepends=True
            )
            if not lines:
                break
            file.writelines(lines)
            count += len(lines)
            after = json.loads(lines[-1])["unmapped"]["ioint"]["after"]
    result = {"findings": count, "output": str(target), "after": after}
    emit(result, form=form, human=lambda: show_fields(result))


def _reached(target: Path) -> str | None:
    """Where the export that wrote this file ended; None where there is nothing yet.

    Raises:
        RequestError: its last line is no finding of this node.
    """
    if not target.is_file() or not (size := target.stat().st_size):
        return None
    with target.open("rb") as file:
        file.seek(max(0, size - LINE_BYTES))
        end = file.read()
    last = end.removesuffix(b"\n").rpartition(b"\n")[2]
    try:
        if not end.endswith(b"\n"):
            raise ValueError("cut")
        return str(json.loads(last)["unmapped"]["ioint"]["after"])
    except (ValueError, LookupError, TypeError):
        raise RequestError(
            f"the last line of {target} is no finding, so where to go on is not known: mend it, name another "
            "file, or say --after"
        ) from None


def _act(home: Path, form: str, incident: str, body: Mapping[str, Any]) -> None:
    with or_see(_LISTED):
        made = connect(home).post("api", "v1", "incidents", incident, body=dict(body))
    emit(made, form=form, human=lambda: show_tree(made))


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the list as people read it."""
    state = f"closed: {row['closed_as']}" if row["closed_as"] else row["state"]
    warning = "" if row["warning"] == "live" else f", warning {row['warning']}"
    return {
        **row,
        "state": state + warning,
        "sessions": row["session_id"] or row["sessions"],
        "agent": row["actor"],
    }
