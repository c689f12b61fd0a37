"""`ioint indicators` and `ioint why`: what goes round, and the receipt for a number."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from ioint_node.cli.client import connect
from ioint_node.cli.options import emit, node_options, show_fields, show_table, show_tree
from ioint_node.store.times import DAY_MS, to_text

COLUMNS = (
    "id",
    "label",
    "state",
    "score",
    "confidence",
    "tier",
    "reporters",
    "seen_locally",
    "last_seen",
    "why",
)


@click.group(short_help="What goes round, and what we say about it.")
def indicators() -> None:
    """What goes round, and what we say about it."""


@indicators.command("list")
@click.option("--filter", "terms", help="A filter; docs/api.md has the language.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@node_options
def list_all(*, home: Path, form: str, terms: str | None, limit: int) -> None:
    """List indicators, the newest change first."""
    rows = list(connect(home).items("api", "v1", "indicators", limit=limit, filter=terms))
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            [{**row, "id": str(row["id"])[:12]} for row in rows],
            COLUMNS,
            empty="no indicator: no member has reported anything yet, or the filter leaves nothing",
        ),
    )


@indicators.command()
@click.argument("pattern")
@node_options
def show(*, home: Path, form: str, pattern: str) -> None:
    """Show one pattern and its reputation."""
    row = connect(home).get("api", "v1", "patterns", pattern)
    emit(row, form=form, human=lambda: show_tree(row))


@indicators.command()
@click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    required=True,
    help="One JSON object per line.",
)
@click.option("--filter", "terms", help="A filter, as for `list`.")
@node_options
def export(*, home: Path, form: str, target: Path, terms: str | None) -> None:
    """Write indicators to a file, one JSON object per line."""
    count = 0
    with target.open("w", encoding="utf-8") as file:
        for row in connect(home).items("api", "v1", "indicators", filter=terms):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    result = {"indicators": count, "output": str(target)}
    emit(result, form=form, human=lambda: show_fields(result))


def _opinion(kind: str, text: str) -> None:
    """Add a command that records an opinion of this kind."""

    @indicators.command(kind, help=text)
    @click.argument("pattern")
    @click.option("--reason", required=True, help="Why, in at most 64 characters; kept with the decision.")
    @click.option("--days", type=click.IntRange(1, 3_650), help="How long it holds; a month when not given.")
    @node_options
    def give(*, home: Path, form: str, pattern: str, reason: str, days: int | None) -> None:
        body = {"kind": kind, "reason": reason}
        if days is not None:
            body["expires"] = to_text(time.time_ns() // 1_000_000 + days * DAY_MS)
        answer = connect(home).post("api", "v1", "patterns", pattern, "opinion", body=body)
        emit(answer, form=form, human=lambda: show_fields(answer))


for _kind, _text in (
    ("confirm", "An analyst's word that a pattern is real."),
    ("dispute", "An analyst's word that a pattern is a false positive."),
    ("mute", "Keep a pattern out of the way; its effect stays."),
    ("allow", "Let a pattern have no effect here."),
    ("withdraw", "Take back all that this node said of a pattern, at every member."),
):
    _opinion(_kind, _text)


@click.command(short_help="The receipt for a pattern's number: whose voices, which rule.")
@click.argument("pattern")
@node_options
def why(*, home: Path, form: str, pattern: str) -> None:
    """The receipt for a pattern's number: whose voices, which rule.

    The network part is the same at every node with the same records and roster; the local part is this node's own.
    """
    receipt = connect(home).get("api", "v1", "patterns", pattern, "why")
    emit(receipt, form=form, human=lambda: show_tree(receipt))
