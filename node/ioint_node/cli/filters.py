"""`ioint filters`: what is asked for again and again, and what a filter says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ioint_node.cli.client import Client, connect
from ioint_node.cli.options import (
    Commands,
    emit,
    format_option,
    node_options,
    printable,
    show_fields,
    show_table,
)
from ioint_node.errors import NotFoundError, RequestError
from ioint_node.filtering import FilterError, parse


def checked(text: str | None) -> str | None:
    """A filter from the command line, in its one spelling; where it makes no sense is pointed at.

    Raises:
        RequestError: it makes no sense.
    """
    if text is None:
        return None
    try:
        return parse(text).text
    except FilterError as error:
        click.echo(f"{printable(text)}\n{' ' * error.at}^", err=True)
        raise RequestError(f"{error}; see `ioint filters explain` and docs/filters.md") from None


def saved_id(node: Client, name: str | None) -> str | None:
    """The id of the saved filter that has this name or id.

    Raises:
        NotFoundError: there is none.
    """
    if name is None:
        return None
    for one in node.items("api", "v1", "filters"):
        if name in (one["name"], one["id"]):
            return str(one["id"])
    raise NotFoundError(f"no saved filter {name!r}: see `ioint filters list`")


@click.group(cls=Commands, short_help="Filters with a name, and what a filter says.")
def filters() -> None:
    """Filters with a name, and what a filter says."""


@filters.command("list")
@node_options
def list_all(*, home: Path, form: str) -> None:
    """List the saved filters, by name."""
    rows = list(connect(home).items("api", "v1", "filters"))
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            rows, ("name", "text", "id", "created_at", "by"), empty="no filter is saved: `ioint filters save`"
        ),
    )


@filters.command()
@click.argument("name")
@click.argument("text", metavar="FILTER")
@node_options
def save(*, home: Path, form: str, name: str, text: str) -> None:
    """Save a filter under a name: it is a TAXII collection then, and a feed."""
    wanted = checked(text)
    made: dict[str, Any] = connect(home).post("api", "v1", "filters", body={"name": name, "filter": wanted})
    emit(made, form=form, human=lambda: show_fields(made))


@filters.command()
@click.argument("name", metavar="NAME|ID")
@node_options
def delete(*, home: Path, form: str, name: str) -> None:
    """Delete a saved filter, its collection and feed with it."""
    node = connect(home)
    answer = node.delete("api", "v1", "filters", str(saved_id(node, name)))
    emit(answer, form=form, human=lambda: show_fields(answer))


@filters.command()
@click.argument("text", metavar="FILTER")
@format_option
def explain(*, form: str, text: str) -> None:
    """Show how a filter is read: its one spelling, and each term; no node is asked."""
    wanted = parse(str(checked(text)))
    terms = [
        {"term": term.text, "key": term.key.name, "negated": term.negated, "about": term.key.about}
        for term in wanted.terms
    ]
    now = wanted.at(time.time_ns() // 1_000_000).text

    def human() -> None:
        show_fields({"filter": wanted.text, "as of now": now})
        click.echo()
        show_table(terms, ("term", "about"), empty="it asks for everything")

    emit({"text": wanted.text, "now": now, "terms": terms}, form=form, human=human)
