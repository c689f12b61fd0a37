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
from ioint_node.cli.filters import checked, saved_id
from ioint_node.cli.names import PUBLIC, full_id, or_see, pattern_id, short_id
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
from ioint_node.cli.rosters import read_book
from ioint_node.config import load_config
from ioint_node.errors import ConfigError, NotFoundError
from ioint_node.privacy.labels import SHAREABLE
from ioint_node.reputation.disputes import STATES
from ioint_node.store.times import DAY_MS, to_text

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
NOTE_CHARS: Final = 64
ENDINGS: Final = {"csv": "csv", "jsonl": "jsonl", "plain": "txt"}
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
HERE: Final = frozenset({"allow", "mute", "release"})  # told to nobody
MARKS: Final = ("muted", "allowed", "quarantined", "disputed", "revoked")


@click.group(cls=Commands, short_help="What goes round, and what we say about it.")
def indicators() -> None:
    """What goes round, and what we say about it."""


@indicators.command("list")
@click.option("--filter", "terms", help="A filter; docs/filters.md has the language.")
@click.option("--saved", help="The name of a saved filter, which must hold too.")
@click.option("--limit", type=Whole(1, 1_000_000), default=100, show_default=True)
@node_options
def list_all(*, home: Path, form: str, terms: str | None, saved: str | None, limit: int) -> None:
    """List indicators, the newest change first."""
    wanted, node = checked(terms), connect(home)
    asked = {"filter": wanted, "saved": saved_id(node, saved)}
    rows = list(node.items("api", "v1", "indicators", limit=limit, **asked))
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
@click.argument("pattern", metavar="PATTERN|PURL")
@node_options
def show(*, home: Path, form: str, pattern: str) -> None:
    """Show one pattern and its reputation."""
    node = connect(home)
    name = pattern_id(node, pattern)
    with or_see("ioint indicators list"):
        row = node.get("api", "v1", "patterns", name)
    emit(row, form=form, human=lambda: show_tree(row))


@indicators.command()
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--pattern", help="Only those of this pattern.")
@click.option("--limit", type=Whole(1, 1_000_000), default=100, show_default=True)
@node_options
def disputes(*, home: Path, form: str, state: str | None, pattern: str | None, limit: int) -> None:
    """List disputes, the newest first: who disputes which report, until when, and what came of it."""
    node = connect(home)
    name = None if pattern is None else pattern_id(node, pattern)
    rows = list(node.items("api", "v1", "disputes", limit=limit, state=state, pattern=name))
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            [_dispute(row) for row in rows],
            (
                "record",
                "report",
                "label",
                "reporters",
                "disputer",
                "reason",
                "opened",
                "deadline",
                "state",
                "ruled",
            ),
            empty="no dispute: nobody disputes a report that this node holds, or the filter leaves nothing",
        ),
    )


def _dispute(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "record": short_id(row["id"]),
        "report": short_id(row["report"]),
        "reporters": [_who(member) for member in row["reporters"]],
        "disputer": _who(row["disputer"]),
    }


def _who(member: Mapping[str, Any]) -> str:
    return str(member["name"] or short_id(member["id"]))


@indicators.command()
@click.argument("pattern", metavar="PATTERN|PURL")
@click.option("--limit", type=Whole(1, 10_000), default=256, show_default=True, help="Newest records.")
@node_options
def verify(*, home: Path, form: str, pattern: str, limit: int) -> None:
    """Check that members signed what is said of a pattern.

    For each record the node gives a proof of inclusion, which is verified here against the roster, without the node.
    """
    node, book = connect(home), asyncio.run(read_book(load_config(home)))
    if book.last is None or book.consortium is None:
        raise ConfigError("this node is in no consortium: there is nothing to verify against")
    name = pattern if pattern.startswith(PUBLIC) else pattern_id(node, pattern)
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
        # The result was shown, and is the one document of this command.
        told = "not every record is what a member signed: do not rely on them; see `ioint doctor`"
        click.echo(f"ioint: {told}", err=True)
        click.get_current_context().exit(1)


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
    help="The file.",
)
@click.option(
    "--form",
    "written",
    type=click.Choice(list(ENDINGS)),
    default="jsonl",
    show_default=True,
    help="csv: the columns of the contract; jsonl: an object a line; plain: an id or package a line.",
)
@click.option("--filter", "terms", help="A filter, as for `list`.")
@click.option("--saved", help="The name of a saved filter, which must hold too.")
@node_options
def export(
    *, home: Path, form: str, target: Path, written: str, terms: str | None, saved: str | None
) -> None:
    """Write indicators to a file, one a line."""
    check_place(target)
    wanted, node = checked(terms), connect(home)
    asked = {"filter": wanted, "saved": saved_id(node, saved)}
    lines = node.save(target, "feeds", f"indicators.{ENDINGS[written]}", **asked)
    result = {"indicators": lines - (written == "csv"), "output": str(target), "form": written}
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
    if pattern.startswith(PUBLIC):
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


def _opinion(kind: str, text: str, *options: Option) -> None:
    """Add a command that records an opinion of this kind."""

    def give(*, home: Path, form: str, pattern: str, reason: str) -> None:
        node = connect(home)
        answer = _told_of(node, pattern_id(node, pattern), {"kind": kind, "reason": reason}, form)
        if kind == "dispute" and form == "human":
            click.echo(
                f"tell a steward: it lapses on {cell(answer['deadline'])} unless stewards rule, by "
                f"`ioint consortium rule --false {short_id(answer['report'])}`",
                err=True,
            )

    _add(kind, text, give, *options)


def _decision(kind: str, text: str) -> None:
    """Add a command that decides something here, told to nobody, and takes it back."""

    def decide(
        *, home: Path, form: str, pattern: str, reason: str | None, days: int | None, ends: bool
    ) -> None:
        if ends == bool(reason) or (ends and days):
            raise click.UsageError("give a --reason, and --days if you like, or --end to take it back")
        node = connect(home)
        if ends:
            _end(node, kind, pattern, form)
            return
        body = {"kind": kind, "reason": str(reason)}
        if days is not None:
            body["expires"] = to_text(time.time_ns() // 1_000_000 + days * DAY_MS)
        if pattern.startswith(PUBLIC):
            answer = node.post("api", "v1", "overrides", body=body | {"subject": pattern})
            emit(answer, form=form, human=lambda: show_fields(answer))
        else:
            answer = _told_of(node, pattern_id(node, pattern), body, form)
        if form == "human" and answer.get("quarantined") is False:
            click.echo("it is not quarantined: this counts should it be", err=True)

    _add(
        kind,
        text,
        decide,
        click.option(
            "--reason", callback=_note, help="Why, in at most 64 characters; kept here, told to nobody."
        ),
        click.option("--days", type=Whole(1, 3_650), help="How long it holds; a month when not given."),
        click.option("--end", "ends", is_flag=True, help="Take it back: it holds no more."),
    )


def _told_of(node: Client, pattern: str, body: Mapping[str, str], form: str) -> Mapping[str, Any]:
    with or_see(f"ioint indicators show {short_id(pattern)}"):
        answer: Mapping[str, Any] = node.post("api", "v1", "patterns", pattern, "opinion", body=body)
    emit(answer, form=form, human=lambda: show_fields(answer))
    return answer


def _end(node: Client, kind: str, pattern: str, form: str) -> None:
    """Take a decision back; what it is about is found among those that hold, for nobody need have reported it."""
    held = [row["subject"] for row in _decided(node) if row["kind"] == kind]
    listed = "ioint indicators decided"
    name = pattern if pattern.startswith(PUBLIC) else full_id(pattern, held, what="decision", listed=listed)
    if not node.delete("api", "v1", "overrides", kind, subject=name)["removed"]:
        raise NotFoundError(f"{kind} does not hold for {name}: see `{listed}`")
    result = {"subject": name, "kind": kind, "holds": False}
    emit(result, form=form, human=lambda: show_fields(result))


def _decided(node: Client) -> list[Mapping[str, Any]]:
    return [row for row in node.get("api", "v1", "overrides")["items"] if row["kind"] in HERE]


@indicators.command()
@node_options
def decided(*, home: Path, form: str) -> None:
    """List what is allowed, muted or released here, by whom, why and until when."""
    rows = _decided(connect(home))
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            [{**row, "subject": short_id(row["subject"])} for row in rows],
            ("kind", "subject", "reason", "by", "at", "expires_at"),
            empty="nothing is allowed, muted or released here",
        ),
    )


def _add(kind: str, text: str, command: Callable[..., None], *options: Option) -> None:
    added: tuple[Option, ...] = (
        node_options,
        *reversed(options),
        click.argument("pattern", metavar="PATTERN|PURL"),
    )
    made: Callable[..., Any] = command
    for option in added:
        made = option(made)
    indicators.command(kind, help=text)(made)


_opinion("dispute", "An analyst's word that a pattern is a false positive.", _code(DISPUTE_REASONS))
_decision("mute", "Keep a pattern out of the way; its effect stays.")
_decision("allow", "Let a pattern or package have no effect here, also one that nobody reported yet.")
_decision("release", "Let a quarantined pattern act, however many agents of this node meet it.")
_opinion(
    "withdraw", "Take back all that this node said of a pattern, at every member.", _code(WITHDRAWAL_REASONS)
)


@indicators.command("effects")
@click.option("--off", is_flag=True, help="Turn all effects off; neither this nor --on: show.")
@click.option("--on", is_flag=True, help="Turn them on again.")
@click.option("--reason", callback=_note, help="Why they go off, in at most 64 characters; kept here.")
@click.option("--hours", type=Whole(1, 8_760), help="When they come back by themselves.")
@node_options
def effects(*, home: Path, form: str, off: bool, on: bool, reason: str | None, hours: int | None) -> None:
    """Turn all that others say off at once, while decisions go on; or show whether it is."""
    if off and on:
        raise click.UsageError("--off and --on exclude each other")
    if (reason or hours) and not off:
        raise click.UsageError("--reason and --hours go with --off")
    if off and not reason:
        raise click.UsageError("--off needs a --reason")
    node = connect(home)
    if not (off or on):
        answer = node.get("api", "v1", "effects")
    else:
        answer = node.put("api", "v1", "effects", body={"off": off, "reason": reason or "", "hours": hours})
    emit(answer, form=form, human=lambda: show_fields(answer))
