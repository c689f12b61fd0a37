"""`ioint why`: the receipt for a number, as a table, as a file, and computed again from such a file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ioint_node.cli.client import connect
from ioint_node.cli.names import LEAST_DIGITS, PUBLIC, or_see, pattern_id, short_id
from ioint_node.cli.options import ConsortiumId, cell, check_place, emit, node_options, printable, show_fields
from ioint_node.errors import ConfigError, ReceiptError
from ioint_node.reputation.derivation import counted
from ioint_node.reputation.receipt import LIMITS, plain
from ioint_node.reputation.rule import MICRO
from ioint_node.reputation.view import indicator_id

if TYPE_CHECKING:
    from ioint_node.flows.receipt import Replayed

PIPED_COLUMNS: Final = 160  # of a table that no terminal shows
COLOURS: Final[Mapping[str, str]] = {
    "malicious": "bold red",
    "suspicious": "red",
    "watched": "yellow",
    "disputed": "magenta",
    "benign": "green",
}
MICRO_UNITS: Final = frozenset({"accusing", "benign", "tenure", "standing", "raw", "decayed"})
PLACED: Final = frozenset(
    {"group", "members", "removed_for", "fresh_day"}
)  # of a voice, in columns of their own
COUNTS: Final = ("bad", "seen")  # of a statement: buckets, told as numbers of sessions
GROUNDS: Final[Mapping[str, str]] = {
    "network": "tier of the network",
    "calibrated": "tier, weighed here",
    "others": "another group accuses",
    "others_after_b": "others, less the largest",
    "public_subject": "a package",
    "first": "within weekly quota",
    "known": "reporters known here",
    "agreed": "reporters agreed here",
    "rate": "own rate",
    "base": "signed base rate",
    "own": "own record",
    "active": "agents of 30 days",
    "released": "released here",
    "allowed": "allowed here",
    "switched_off": "effects switched off",
    "novel": "not in the catalogue",
    "broad": "too broad",
    "placed": "has a place to be matched",
    "fits": "fits the tolerance",
}  # docs/receipt.md says what each is
FINGERPRINT: Final = range(0, 32, 4)  # as `ioint consortium show` writes it


@click.command(short_help="The receipt for a pattern's number: whose voices, which rule.")
@click.argument("pattern", metavar="PATTERN|PURL")
@click.option(
    "--export",
    "target",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write it with all that it is made of to a file, and compute it again from that.",
)
@click.option("--network-only", is_flag=True, help="With --export: leave out what only this node knows.")
@click.option(
    "--replay",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compute such a file's number again, in an empty store; needs no node.",
)
@click.option(
    "--consortium",
    type=ConsortiumId(),
    help="With --replay: the id, or fingerprint, that the file must be of.",
)
@node_options
def why(
    *,
    home: Path,
    form: str,
    pattern: str,
    target: Path | None,
    network_only: bool,
    source: Path | None,
    consortium: str | None,
) -> None:
    """The receipt for a pattern's number: whose voices, which rule.

    The network part is the same at every node with the same records and roster; the local part is this node's own.
    """
    if target is not None and source is not None:
        raise click.UsageError("--export and --replay exclude each other")
    if network_only and target is None:
        raise click.UsageError("--network-only goes with --export")
    if consortium is not None and source is None:
        raise click.UsageError("--consortium goes with --replay")
    if source is not None:
        _replay(source, pattern, consortium, form)
    elif target is not None:
        _export(home, pattern, target, form, part="network" if network_only else None)
    else:
        _show(home, pattern, form)


def _show(home: Path, pattern: str, form: str) -> None:
    node = connect(home)
    name = pattern_id(node, pattern)
    with or_see(_shown_by(pattern, name)):
        receipt = node.get("api", "v1", "patterns", name, "why")
    emit(receipt, form=form, human=lambda: print_receipt(receipt))


def _export(home: Path, pattern: str, target: Path, form: str, *, part: str | None) -> None:
    """Write the file, and see that it says what it is to say: nobody should find out elsewhere that it does not."""
    check_place(target)
    if target.exists():
        raise ConfigError(f"{target} is there already: move it away, or name another --export")
    node = connect(home)
    name = pattern_id(node, pattern)
    with or_see(_shown_by(pattern, name)):
        receipt = node.fetch("api", "v1", "patterns", name, "why", "export", part=part)
    target.write_bytes(receipt)
    found = _computed(target, None)
    result = {"pattern": name, "output": str(target), "bytes": len(receipt)} | _summary(found)
    emit(result, form=form, human=lambda: show_fields(result))
    _end(found)


def _replay(source: Path, pattern: str, consortium: str | None, form: str) -> None:
    found = _computed(source, consortium)
    name, given = indicator_id(found.opening.subject), _known_as(pattern)
    if len(given) < LEAST_DIGITS or not name.startswith(given):
        raise ReceiptError(f"{source} is the receipt of {cell(found.opening.subject)}: name that")
    result = (
        {"pattern": name, "subject": found.opening.subject}
        | _summary(found)
        | {
            "network": {"in_the_file": found.network, "here": found.network_here},
            "local": None
            if found.local is None
            else {
                "in_the_file": plain(found.local.judged),
                "here": plain(found.local_here),
                "grounds": plain(found.local.grounds),
                "params": plain(found.local.params),
            },
        }
    )
    emit(result, form=form, human=lambda: _print_replay(result))
    _end(found)


def _shown_by(pattern: str, name: str) -> str:
    """The command that shows what there is of a pattern; a package that nobody spoke of has nothing to show."""
    return (
        "ioint indicators list" if pattern.startswith(PUBLIC) else f"ioint indicators show {short_id(name)}"
    )


def _known_as(pattern: str) -> str:
    """The id of a public subject by its package URL; what is given of a pattern's id is left as it is."""
    return indicator_id(pattern) if pattern.startswith(PUBLIC) else pattern.lower()


def _computed(source: Path, consortium: str | None) -> Replayed:
    """What comes out of a receipt's file, computed in a directory that is gone afterwards.

    Raises:
        ReceiptError: something in it does not verify.
    """
    # The database is imported where it is used: a look at a receipt does not wait for it.
    from ioint_taxonomy import load_catalogue, load_taxonomy  # noqa: PLC0415

    from ioint_node.flows.receipt import replay  # noqa: PLC0415

    try:
        with source.open("rb") as file, TemporaryDirectory(prefix="ioint-receipt-") as folder:
            lines = iter(partial(file.readline, LIMITS.line_bytes + 1), b"")
            return asyncio.run(
                replay(
                    lines,
                    Path(folder),
                    taxonomy=load_taxonomy(),
                    catalogue=load_catalogue(),
                    consortium=consortium,
                )
            )
    except ReceiptError as error:
        raise ReceiptError(f"{source} is refused: {error}; do not rely on it") from None
    except OSError as error:
        raise ConfigError(f"{source} cannot be read ({error.strerror}): name the file of a receipt") from None


def _summary(found: Replayed) -> dict[str, Any]:
    roster = found.roster.consortium
    return {
        "same": found.same,
        "complete": found.closing.complete,
        "left_out": found.closing.omitted,
        "difference": found.difference or found.local_difference,
        "consortium": roster,
        "fingerprint": " ".join(roster[at : at + 4] for at in FINGERPRINT),
        "roster_version": found.roster.version,
        "segments": found.segments,
        "records": found.records,
        "state": found.network_here["state"],
        "tier": found.network_here["tier"],
        "score": found.network_here["score"],
        "confidence": found.network_here["confidence"],
    }


def _end(found: Replayed) -> None:
    """End the command with code 1 where the number is not proven; the result itself has been shown."""
    message = _fault(found)
    if message is not None:
        click.echo(f"ioint: {printable(message)}", err=True)
        click.get_current_context().exit(1)


def _fault(found: Replayed) -> str | None:
    """Why the number is not proven, and what to do; None where it is."""
    if not found.closing.complete:
        named = ", ".join(f"{one.author[:8]}/{one.seq} ({one.reason})" for one in found.closing.left_out[:4])
        return (
            f"the receipt is not complete, so that nothing it says is proven: {found.closing.omitted} segments were "
            f"left out ({named}); export it with a token that may see them all"
        )
    if (difference := found.difference or found.local_difference) is not None:
        return f"it does not come out alike: {difference}: do not rely on it; `ioint why` tells what this node has"
    return None


def print_receipt(receipt: Mapping[str, Any]) -> None:
    """Print a receipt for a person: what is believed, whose voices, the arithmetic, and what this node makes of it."""
    console, network, local = _console(), receipt["network"], receipt["local"]
    head = Text(cell(receipt["indicator"]["label"] if receipt["indicator"] else receipt["pattern"]), "bold")
    head.append(f"  {cell(network['state'])}", COLOURS.get(network["state"], "dim"))
    head.append(f"  score {network['score']} of 100, confidence {network['confidence']}")
    console.print(head)
    console.print(Text(cell(receipt["line"])))
    voices = network["voices"]
    weights = [name for name in (voices[0] if voices else ()) if name not in PLACED]
    _print_table(
        console,
        "Voices (1 is a full one)",
        ("group", *weights, "removed for"),
        [
            (voice["group"], *(_amount(name, voice[name]) for name in weights), voice["removed_for"])
            for voice in voices
        ],
    )
    told = [one for voice in voices for one in voice["members"]]
    columns = [name for name in (told[0] if told else ()) if name not in {"of", "raw", "decayed", *COUNTS}]
    _print_table(
        console,
        "What they are made of",
        (*columns, "sessions", "says", "left of it"),
        [
            (
                *(short_id(one[name]) if name == "record" else one[name] for name in columns),
                counted(one["kind"], one["bad"], one["seen"]),
                _amount("raw", one["raw"]),
                _amount("decayed", one["decayed"]),
            )
            for one in told
        ],
    )
    steps = [(one["step"], one["text"]) for one in network["steps"]]
    _print_table(console, "How the number came about", ("step", "arithmetic"), steps)
    judged = f"{local['tier']}, effect {local['effect']:.2f}: {local['reason'].replace('_', ' ')}"
    now = {
        name: local[name] for name in ("effect_now", "silence_s", "share_left", "weights") if name in local
    }
    grounds = [(GROUNDS.get(name, name), _ground(name, value)) for name, value in local["grounds"].items()]
    rows = [("judged", judged), *grounds, *now.items()]
    _print_table(console, "What this node makes of it", ("ground", "value"), rows)
    left_out = receipt.get("records_left_out", 0)  # an older node lists all of them
    _print_table(
        console,
        f"Records, and {left_out} more that do not count" if left_out else "Records",
        ("record", "kind", "member", "segment", "day", "counts", "why not"),
        [
            (
                short_id(one["id"]),
                one["kind"],
                one["member"],
                one["segment"],
                one["day"],
                one["counts"],
                one["silent"],
            )
            for one in receipt["records"]
        ],
    )


def _print_replay(result: Mapping[str, Any]) -> None:
    console = _console()
    plain_rows = {name: value for name, value in result.items() if not isinstance(value, Mapping)}
    _print_table(console, "Replayed", ("", "value"), [*plain_rows.items()])
    for part in ("network", "local"):
        told = result[part]
        if told is None:
            continue
        theirs, ours = told["in_the_file"], told["here"]
        names = [name for name in ours if not isinstance(ours[name], list)]
        _print_table(
            console,
            f"The {part} part",
            ("", "in the file", "here"),
            [(name, theirs.get(name), ours[name]) for name in names],
            marked={name for name in names if theirs.get(name) != ours[name]},
        )


def _print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    marked: Iterable[str] = (),
) -> None:
    """Print rows under a title, those whose first cell is `marked` in red; nothing when there are none."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        # Text that came from elsewhere is text, and no markup.
        table.add_row(*(Text(cell(value)) for value in row), style="red" if row[0] in set(marked) else "")
    if table.row_count:
        console.print()
        console.print(table)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_COLUMNS)


def _ground(name: str, value: Any) -> object:  # noqa: ANN401 - a value of a JSON document
    return value if value is None or name != "others_after_b" else f"{value / MICRO:.3f}"


def _amount(name: str, value: Any) -> object:  # noqa: ANN401 - a value of a JSON document
    """A weight in micro-units as the fraction that people read, anything else as it is."""
    return f"{value / MICRO:.3f}" if name in MICRO_UNITS else value
