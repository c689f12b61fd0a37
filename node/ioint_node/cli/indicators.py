"""`ioint indicators`: what goes round, and what we say about it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import click
from ioint_protocol import ProtocolError, Roster, verify_inclusion
from ioint_protocol.records import DISPUTE_REASONS, WITHDRAWAL_REASONS

from ioint_node.cli.client import Client, connect
from ioint_node.cli.names import or_see, pattern_id, short_id
from ioint_node.cli.options import (
    Commands,
    Whole,
    check_place,
    emit,
    node_options,
    show_fields,
    show_table,
    show_tree,
)
from ioint_node.cli.rosters import read_book
from ioint_node.config import load_config
from ioint_node.errors import ConfigError, NodeError, NotFoundError
from ioint_node.privacy.labels import SHAREABLE
from ioint_node.store.times import DAY_MS, to_text

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
NOTE_CHARS: Final = 64
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
    "tlp",
    "marks",
    "why",
)
HERE: Final = ("allow", "mute", "release")  # told to nobody, and possible before anything came
MARKS: Final = ("muted", "allowed", "quarantined", "disputed", "revoked")


@click.group(cls=Commands, short_help="What goes round, and what we say about it.")
def indicators() -> None:
    """What goes round, and what we say about it."""


@indicators.command("list")
@click.option("--filter", "terms", help="A filter; docs/api.md has the language.")
@click.option("--limit", type=Whole(1, 1_000_000), default=100, show_default=True)
@node_options
def list_all(*, home: Path, form: str, terms: str | None, limit: int) -> None:
    """List indicators, the newest change first."""
    rows = list(connect(home).items("api", "v1", "indicators", limit=limit, filter=terms))
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            [
                {**row, "id": short_id(row["id"]), "marks": [mark for mark in MARKS if row[mark]]}
                for row in rows
            ],
            COLUMNS,
            empty="no indicator: no member has reported anything yet, or the filter leaves nothing",
        ),
    )


@indicators.command()
@click.argument("pattern")
@node_options
def show(*, home: Path, form: str, pattern: str) -> None:
    """Show one pattern and its reputation."""
    node = connect(home)
    name = pattern_id(node, pattern)
    with or_see("ioint indicators list"):
        row = node.get("api", "v1", "patterns", name)
    emit(row, form=form, human=lambda: show_tree(row))


@indicators.command()
@click.argument("pattern")
@click.option("--limit", type=Whole(1, 10_000), default=256, show_default=True, help="Newest records.")
@node_options
def verify(*, home: Path, form: str, pattern: str, limit: int) -> None:
    """Check that members signed what is said of a pattern.

    For each record the node gives a proof of inclusion, which is verified here against the roster, without the node.
    """
    node, book = connect(home), asyncio.run(read_book(load_config(home)))
    if book.last is None or book.consortium is None:
        raise ConfigError("this node is in no consortium: there is nothing to verify against")
    name = pattern_id(node, pattern)
    said = list(node.items("api", "v1", "records", subject=name, limit=limit))
    rows = [_verified(node, record, book.last, book.consortium) for record in said]
    result = {"items": rows, "next": None, "ok": all(row["ok"] for row in rows)}
    emit(
        result,
        form=form,
        human=lambda: show_table(
            [{**row, "record": short_id(row["record"])} for row in rows],
            ("record", "kind", "author", "seq", "ok", "fault"),
            empty="no record: no member has said anything of it",
        ),
    )
    if not result["ok"]:
        raise NodeError(
            "not every record is what a member signed: do not rely on them; see `ioint audit verify`"
        )


def _verified(node: Client, record: dict[str, Any], roster: Roster, consortium: str) -> dict[str, Any]:
    """One record of a list, and whether its proof convinces us."""
    row = {
        "record": record["id"],
        "kind": record["kind"],
        "author": record["author"],
        "ok": True,
        "fault": None,
    }
    try:
        (item,) = node.get("api", "v1", "records", record["id"], "proof", author=record["author"])["items"]
        proof = base64.b64decode(item["proof_b64"], validate=True)
        found = verify_inclusion(proof, consortium, roster)
        if (found.author, found.record.body) != (record["author"], base64.b64decode(record["bytes_b64"])):
            raise ProtocolError("bad_root", "the proof is of another record")
    except (ProtocolError, NotFoundError, ValueError) as error:
        return {**row, "seq": None, "ok": False, "fault": str(error)}
    return {**row, "seq": found.seq}


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
    check_place(target)
    count = 0
    with target.open("w", encoding="utf-8") as file:
        for row in connect(home).items("api", "v1", "indicators", filter=terms):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    result = {"indicators": count, "output": str(target)}
    emit(result, form=form, human=lambda: show_fields(result))


def _note(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not 1 <= len(value) <= NOTE_CHARS:
        raise click.BadParameter(f"{len(value)} characters, must be 1 to {NOTE_CHARS}")
    return value


@indicators.command("novel")
@click.option(
    "--draft",
    "target",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write those that may become catalogue entries, for a steward to name and rate.",
)
@node_options
def list_novel(*, home: Path, form: str, target: Path | None) -> None:
    """List novel patterns that several independent groups report: candidates for the next catalogue."""
    if target is not None:
        check_place(target)
    rows = list(connect(home).items("api", "v1", "novel-patterns"))
    result: dict[str, Any] = {"items": rows, "next": None}
    if target is not None:
        entries = catalogue_entries(rows)
        target.write_text(json.dumps({"entries": entries}, indent=1) + "\n", encoding="utf-8")
        result |= {"entries": len(entries), "output": str(target)}
    emit(result, form=form, human=lambda: _show_novel(rows, result))


def catalogue_entries(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Candidates as entries of `catalogue.json`; what only a person can say is left empty.

    Left out is what is not specific, and what an entry of the catalogue says already.
    """
    return [
        {
            "id": row["id"],
            "slug": "",
            "title": "",
            "pattern": row["pattern"],
            "intents": [],
            "risk": 0,
            "response": "",
            "base_rate": [row["base"]["matches"], row["base"]["sessions"]],
        }
        for row in rows
        if row["refused"] is None and not row["covered_by"]
    ]


def _show_novel(rows: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> None:
    show_table(
        [
            {
                "id": short_id(row["id"]),
                "groups": row["groups"],
                "ordinary": f"{row['base']['matches']} of {row['base']['sessions']} sessions",
                "steps": len(row["pattern"]["steps"]),
                "note": row["refused"] or ", ".join(row["covered_by"]) or "a candidate",
            }
            for row in rows
        ],
        ("id", "groups", "ordinary", "steps", "note"),
        empty="no novel pattern that two independent groups report",
    )
    if "output" in result:
        show_fields({"entries": result["entries"], "output": result["output"]})


@indicators.command()
@click.argument("pattern", metavar="PATTERN|PURL")
@click.option("--reason", callback=_note, help="Why; a report has no field for it: not kept.")
@click.option("--tlp", type=click.Choice(SHAREABLE), help="Its label; that of the settings when not given.")
@click.option(
    "--values",
    type=click.File("r", encoding="utf-8"),
    help="A file, or - : values, one a line, of which keyed fingerprints go with it.",
)
@click.option(
    "--intent", "intents", multiple=True, help="Of a package: the risky intent that it was seen to have."
)
@click.option("--exact-version", is_flag=True, help="Of a package: its whole version is the point.")
@node_options
def confirm(
    *,
    home: Path,
    form: str,
    pattern: str,
    reason: str | None,
    tlp: str | None,
    values: TextIO | None,
    intents: tuple[str, ...],
    exact_version: bool,
) -> None:
    """An analyst's word that a pattern is real, or that a public package (pkg:npm/NAME@VERSION) is.

    A package is told only when its name is known to be public, and without its patch version.
    """
    node = connect(home)
    body: dict[str, Any] = {"tlp": tlp} if tlp else {}
    if pattern.startswith("pkg:"):
        if values is not None:
            raise click.UsageError("--values goes with a pattern")
        body |= {"subject": pattern, "intents": list(intents), "exact": exact_version}
        answer = node.post("api", "v1", "subjects", body=body)
    else:
        if intents or exact_version:
            raise click.UsageError("--intent and --exact-version go with a package")
        name = pattern_id(node, pattern)
        listed = [line.strip() for line in values] if values is not None else []
        body |= {"kind": "confirm", "values": [line for line in listed if line]}
        body |= {"reason": reason} if reason else {}
        with or_see(f"ioint indicators show {short_id(name)}"):
            answer = node.post("api", "v1", "patterns", name, "opinion", body=body)
    emit(answer, form=form, human=lambda: show_fields(answer))


def _code(reasons: frozenset[str]) -> Option:
    """The reason of a record: a word of the protocol's list, which the other members read."""
    kind = click.Choice(sorted(reasons))
    return click.option("--reason", type=kind, required=True, help="Why; the other members read this word.")


_KEPT: Final = click.option(
    "--reason",
    required=True,
    callback=_note,
    help="Why, in at most 64 characters; kept here, told to nobody.",
)
_DAYS: Final = click.option("--days", type=Whole(1, 3_650), help="How long it holds; a month when not given.")


def _opinion(kind: str, text: str, *options: Option) -> None:
    """Add a command that records an opinion of this kind."""

    def give(*, home: Path, form: str, pattern: str, reason: str | None, days: int | None = None) -> None:
        node = connect(home)
        body = {"kind": kind}
        if reason is not None:
            body["reason"] = reason
        if days is not None:
            body["expires"] = to_text(time.time_ns() // 1_000_000 + days * DAY_MS)
        if kind in HERE and pattern.startswith("pkg:"):
            answer = node.post("api", "v1", "overrides", body=body | {"subject": pattern})
            emit(answer, form=form, human=lambda: show_fields(answer))
            return
        name = pattern_id(node, pattern)
        with or_see(f"ioint indicators show {short_id(name)}"):
            answer = node.post("api", "v1", "patterns", name, "opinion", body=body)
        emit(answer, form=form, human=lambda: show_fields(answer))

    command: Callable[..., Any] = give
    added: tuple[Option, ...] = (node_options, *reversed(options), click.argument("pattern"))
    for option in added:
        command = option(command)
    indicators.command(kind, help=text)(command)


_opinion("dispute", "An analyst's word that a pattern is a false positive.", _code(DISPUTE_REASONS))
_opinion("mute", "Keep a pattern out of the way; its effect stays.", _KEPT, _DAYS)
_opinion(
    "allow",
    "Let a pattern or package have no effect here, also one that nobody reported yet.",
    _KEPT,
    _DAYS,
)
_opinion(
    "release", "Let a quarantined pattern act, however many agents of this node it touches.", _KEPT, _DAYS
)
_opinion(
    "withdraw", "Take back all that this node said of a pattern, at every member.", _code(WITHDRAWAL_REASONS)
)


@indicators.command("effects")
@click.option("--off/--on", "off", default=None, help="Turn all effects off, or on again; neither: show.")
@click.option("--reason", callback=_note, help="Why they go off, in at most 64 characters; kept here.")
@click.option("--hours", type=Whole(1, 8_760), help="When they come back by themselves.")
@node_options
def effects(*, home: Path, form: str, off: bool | None, reason: str | None, hours: int | None) -> None:
    """Turn all that others say off at once, while decisions go on; or show whether it is."""
    node = connect(home)
    if off is None:
        if reason or hours:
            raise click.UsageError("--reason and --hours go with --off")
        answer = node.get("api", "v1", "effects")
    elif off and not reason:
        raise click.UsageError("--off needs a --reason")
    else:
        answer = node.put("api", "v1", "effects", body={"off": off, "reason": reason or "", "hours": hours})
    emit(answer, form=form, human=lambda: show_fields(answer))
