"""`ioint approvals`: what waits for a person."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from ioint_taxonomy import load_catalogue

from ioint_node.cli.client import Client, connect
from ioint_node.cli.names import full_id, or_see, pattern_id, short_id
from ioint_node.cli.options import (
    Commands,
    Whole,
    cell,
    emit,
    node_options,
    show_fields,
    show_readers,
    show_table,
    show_tree,
)
from ioint_node.privacy.labels import SHAREABLE
from ioint_node.privacy.standing import CATEGORIES

ACTION_DIGITS: Final = 20  # the first twelve of a held action's id are its instant, which others may share
SHOWN: Final = {"record": "id", "state": "state", "class": "category", "tlp": "tlp", "reason": "reason"}
STANDING: Final = "ioint approvals standing"
LIST: Final = "ioint approvals list"
WAITS: Final = "approval that waits"


@click.group(cls=Commands, short_help="What waits for a person: list it, decide it.")
def approvals() -> None:
    """What waits for a person: actions that are held, changes of an envelope, records that would leave."""


@approvals.command("list")
@click.option("--kind", type=click.Choice(["action", "envelope", "record"]), help="Only these.")
@node_options
def list_waiting(*, home: Path, form: str, kind: str | None) -> None:
    """List what waits for approval."""
    rows = list(connect(home).items("api", "v1", "approvals", kind=kind))
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            [_line(row) for row in rows],
            ("id", "kind", "class", "tlp", "since", "about", "why"),
            empty="nothing waits for approval",
        ),
    )


@approvals.command()
@click.argument("approval")
@node_options
def show(*, home: Path, form: str, approval: str) -> None:
    """Show one of them whole: the exact bytes of a record, a held action with its reasons, a change."""
    rows = {str(row["id"]): row for row in connect(home).items("api", "v1", "approvals")}
    name = full_id(approval, rows, what=WAITS, listed=LIST)
    row = rows.get(name)
    if row is None:
        raise click.ClickException(f"no approval {short_id(name)} waits: see `{LIST}`")
    emit(row, form=form, human=lambda: _show_record(row) if _kind(row) == "record" else show_tree(row))


@approvals.command("left")
@node_options
def list_left(*, home: Path, form: str) -> None:
    """List what left this node, the newest first."""
    rows = list(connect(home).items("api", "v1", "outgoing", state="left"))
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            [{**_line(row), "left": row["left_at"], "tlp": row["tlp"]} for row in rows],
            ("id", "left", "tlp", "about", "why"),
            empty="nothing ever left this node",
        ),
    )


@approvals.command()
@click.argument("approval")
@click.option("--approve", is_flag=True, help="Let it happen.")
@click.option("--refuse", is_flag=True, help="End it; one of the two is needed.")
@click.option(
    "--workflow-gap", is_flag=True, help="The held action was the work: propose that its envelope holds it."
)
@click.option("--tlp", type=click.Choice(SHAREABLE), help="The label with which a record leaves.")
@node_options
def decide(
    *, home: Path, form: str, approval: str, approve: bool, refuse: bool, workflow_gap: bool, tlp: str | None
) -> None:
    """Let what waits happen (--approve), or not (--refuse).

    A record leaves or never does; a held action may be done once within an hour, or not; a change of an envelope
    holds from the next session on, or does not.
    """
    if approve == refuse:  # both contradict one another, and a refusal cannot be taken back
        raise click.UsageError("give one of --approve, to let it happen, and --refuse, to end it")
    if workflow_gap and not approve:
        raise click.UsageError(
            "--workflow-gap says that the action was the work, --refuse that it was not: give --approve, or omit it"
        )
    node = connect(home)
    name = full_id(approval, _waiting(node), what=WAITS, listed=LIST)
    body: dict[str, Any] = {"approve": approve}
    body |= {"workflow_gap": True} if workflow_gap else {}
    body |= {"tlp": tlp} if tlp else {}
    with or_see(LIST):
        answer = node.post("api", "v1", "approvals", name, body=body)
    emit(answer, form=form, human=lambda: show_fields(_decided(answer)))


@approvals.command("standing")
@node_options
def list_standing(*, home: Path, form: str) -> None:
    """What may leave without being asked for each time, and all that ever might."""
    rows = list(connect(home).items("api", "v1", "standing-approvals"))
    columns = ("id", "scope", "value", "until", "reason", "by")
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            [{**row, "id": str(row["id"])[:ACTION_DIGITS], "until": _until(row)} for row in rows],
            columns,
            empty="no standing approval was ever given",
        ),
    )


@approvals.command()
@click.option("--pattern", help="This pattern: its id, or the beginning of it.")
@click.option("--intent", help="Catalogue patterns of this risky intent.")
@click.option("--layer", help="Catalogue patterns of this layer.")
@click.option("--class", "category", type=click.Choice(CATEGORIES), help="This class.")
@click.option("--reason", required=True, help="Why, in at most 64 characters; kept here, told to nobody.")
@click.option("--days", type=Whole(1, 366), default=30, show_default=True, help="For how long.")
@node_options
def allow(
    *,
    home: Path,
    form: str,
    pattern: str | None,
    intent: str | None,
    layer: str | None,
    category: str | None,
    reason: str,
    days: int,
) -> None:
    """Let reports of one kind leave under `publish = hold` without asking each time.

    What else holds them back still does: five people for a novel pattern, a doubled count, how specific a pattern is.
    """
    given = {"pattern": pattern, "intent": intent, "layer": layer, "class": category}
    chosen = {name: value for name, value in given.items() if value is not None}
    if len(chosen) != 1:
        raise click.UsageError("give one of --pattern, --intent, --layer and --class")
    node = connect(home)
    if pattern is not None:
        chosen["pattern"] = pattern_id(node, pattern)
    row = node.post("api", "v1", "standing-approvals", body={**chosen, "reason": reason, "days": days})
    emit(row, form=form, human=lambda: show_fields(row))


@approvals.command()
@click.argument("approval")
@node_options
def revoke(*, home: Path, form: str, approval: str) -> None:
    """Take a standing approval back; what left stays out."""
    node = connect(home)
    ids = (str(row["id"]) for row in node.items("api", "v1", "standing-approvals"))
    name = full_id(approval, ids, what="standing approval", listed=STANDING)
    with or_see(STANDING):
        row = node.delete("api", "v1", "standing-approvals", name)
    emit(row, form=form, human=lambda: show_fields(row))


def _until(row: Mapping[str, Any]) -> str:
    return str(row["expires_at"]) if row["revoked_at"] is None else f"revoked by {row['revoked_by']}"


def _waiting(node: Client) -> Iterator[str]:
    return (str(row["id"]) for row in node.items("api", "v1", "approvals"))


def _kind(row: Mapping[str, Any]) -> str:
    return str(row["kind"]) if row["kind"] in ("action", "envelope") else "record"


def _line(row: Mapping[str, Any]) -> dict[str, object]:
    kind = _kind(row)
    if kind == "action":
        step, advice = row["decision"]["step"], row["recommendation"]
        about = f"{row['actor']}: {row['tool']} ({step['verb']} {step['resource']})"
        why = f"{advice['advice']}: {advice['why']}"
    elif kind == "envelope":
        about = f"{row['family']}, {row['actor'] or 'every actor'}"
        why = str(row["text"])
    else:
        entry = load_catalogue().entries.get(str(row["subject"]))
        size = len(base64.b64decode(row["bytes_b64"]))
        about = f"{size} bytes: {short_id(row['subject']) if entry is None else entry.title}"
        why = str(row["reason"])
    return {
        "id": str(row["id"])[:ACTION_DIGITS] if kind == "action" else short_id(row["id"]),
        "kind": kind,
        "class": row["category"] if kind == "record" else "",
        "tlp": row["tlp"] if kind == "record" else "",
        "since": row["at"],
        "about": about,
        "why": why,
    }


def _decided(answer: Mapping[str, Any]) -> dict[str, object]:
    kind = _kind(answer)
    told: dict[str, object] = {kind: answer["id"], "state": answer["state"]}
    if kind == "action":
        told["until"] = answer["expires_at"]
        if answer["proposal"] is not None:
            told["proposal"] = answer["proposal"]
    elif kind == "envelope":
        told["until"] = answer["expires_at"]
    else:
        told["reason"] = answer["reason"]
    return told


def _show_record(row: Mapping[str, Any]) -> None:
    body = base64.b64decode(row["bytes_b64"])
    show_fields({name: row[key] for name, key in SHOWN.items()})
    click.echo(f"\n{len(body)} bytes: {cell(body.decode())}\n")
    show_table(row["explain"], ("field", "value", "means", "source", "why"), empty="no field")
    show_readers(row["readers"])
