"""The options that every command has, and the one way to show a result."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from ioint_node.config import default_home
from ioint_node.errors import ConfigError

READERS_SHOWN: Final = 20
SENTENCE_CHARS: Final = 1_000
CONSORTIUM_ID: Final = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?")
Function = TypeVar("Function", bound=Callable[..., Any])


class Whole(click.IntRange):
    """A whole number in a range, called so where it is refused."""

    name = "whole number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """How the help writes its value; the range stands beside it."""
        return "NUMBER"


class Fraction(click.FloatRange):
    """A number in a range that need not be whole, called so where it is refused."""

    name = "number"


class ConsortiumId(click.ParamType[str]):
    """A consortium's id, or its fingerprint, which is the first half of it; with or without spaces."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's
        """Give the hex digits alone."""
        digits = "".join(str(value).split()).lower()
        if not CONSORTIUM_ID.fullmatch(digits):
            self.fail("64 hex digits, or the 32 of the fingerprint", param, ctx)
        return digits


def home_option(function: Function) -> Function:
    """Add `--home`."""
    return click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        callback=lambda _context, _parameter, value: default_home(value),
        help="The node's directory; else $IOINT_HOME, else ~/.ioint.",
    )(function)


def format_option(function: Function) -> Function:
    """Add `-o`: for a person, or one JSON document on standard output."""
    return click.option(
        "-o",
        "--format",
        "form",
        type=click.Choice(["human", "json"]),
        default="human",
        show_default=True,
        help="json: one document on standard output and nothing else.",
    )(function)


class Commands(click.Group):
    """A group whose list of commands wraps what each does instead of cutting it."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their whole first sentence."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(SENTENCE_CHARS)) for name, command in commands if command]
            )


def check_place(target: Path) -> None:
    """See that a file can be made in the directory of `target`.

    Raises:
        ConfigError: there is no such directory.
    """
    if not target.absolute().parent.is_dir():
        raise ConfigError(f"{target.parent} is no directory: make it, or name another --output")


def node_options(function: Function) -> Function:
    """Add `--home` and `-o`."""
    return home_option(format_option(function))


def emit(value: object, *, form: str, human: Callable[[], None]) -> None:
    """Show a result: as one JSON document, or as `human` prints it."""
    if form == "json":
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))
    else:
        human()


def show_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one pair a line."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        click.echo(f"{printable(name.ljust(width))}  {cell(value)}")


def show_table(rows: Iterable[Mapping[str, object]], columns: Sequence[str], *, empty: str) -> None:
    """Print rows as a table, or the reason why there are none."""
    lines = [[cell(row.get(column)) for column in columns] for row in rows]
    if not lines:
        click.echo(empty)
        return
    widths = [max(len(text) for text in texts) for texts in zip(columns, *lines, strict=True)]
    for line in [list(columns), *lines]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def show_tree(value: Mapping[str, Any], depth: int = 0) -> None:
    """Print a nested answer: one name a line, its parts indented below it."""
    for name, item in value.items():
        lead = "  " * depth
        if isinstance(item, Mapping) and item:
            click.echo(f"{lead}{printable(name)}")
            show_tree(item, depth + 1)
        elif isinstance(item, list) and item and all(isinstance(each, Mapping) for each in item):
            click.echo(f"{lead}{printable(name)}")
            for number, each in enumerate(item, 1):
                click.echo(f"{lead}  {number}.")
                show_tree(each, depth + 2)
        else:
            show_fields({f"{lead}{name}": item})


def cell(value: object) -> str:
    """A value as a person reads it, without control characters."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{cell(name)} {cell(item)}" for name, item in value.items()) or "-"
    return printable(str(value))


def printable(text: str) -> str:
    """A line of text whose control characters, should it be foreign, cannot move the cursor or end the line.

    Breaks of lines and tabs are blanks.
    """
    return "".join(letter if letter.isprintable() else " " if letter in "\t\n\r" else "�" for letter in text)


def show_readers(readers: Mapping[str, Any]) -> None:
    """Show who will be able to read a record, and what its label lets them pass on."""
    if not readers["members"]:
        click.echo("\nnobody else will be able to read it: this node knows of no other active member")
        return
    names = ", ".join(cell(name) for name in readers["members"][:READERS_SHOWN])
    more = len(readers["members"]) - READERS_SHOWN
    click.echo(
        f"\n{_several(len(readers['members']), 'other member')} of {_several(readers['groups'], 'group')} "
        "will be able to read it"
        f"{': ' if names else ''}{names}{f' and {more} more' if more > 0 else ''}"
    )
    click.echo(
        f"TLP:{cell(readers['tlp']).upper().replace('_', '+')}: they may pass it on {cell(readers['pass_on'])}"
    )


def _several(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
