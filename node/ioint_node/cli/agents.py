"""`ioint agents` and `ioint explain`: local trust."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ioint_node.cli.client import connect
from ioint_node.cli.names import or_see
from ioint_node.cli.options import Commands, cell, emit, node_options, show_table, show_tree

COLUMNS = ("id", "kind", "score", "lower", "friction", "autonomy", "used")


@click.group(cls=Commands, short_help="Agents, people and workloads on this node, and the trust in each.")
def agents() -> None:
    """Agents, people and workloads on this node, and the trust in each."""


@agents.command("list")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@node_options
def list_all(*, home: Path, form: str, limit: int) -> None:
    """List actors with their trust, friction and autonomy."""
    rows = list(connect(home).items("api", "v1", "agents", limit=limit))
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(
            [{**row, **row.get("trust", {})} for row in rows],
            COLUMNS,
            empty="no actor: none has opened a session at this node",
        ),
    )


@agents.command("show")
@click.argument("actor")
@node_options
def show(*, home: Path, form: str, actor: str) -> None:
    """Show one actor and the layers of the trust in it."""
    node = connect(home)
    with or_see("ioint agents list"):
        row = node.get("api", "v1", "agents", actor)
    emit(row, form=form, human=lambda: show_tree(row))


@click.command(short_help="One session, action by action: verdicts, reasons, trust, network.")
@click.argument("session")
@node_options
def explain(*, home: Path, form: str, session: str) -> None:
    """One session, action by action: verdicts, reasons, trust, network."""
    node = connect(home)
    with or_see("ioint agents show ACTOR"):  # its newest sessions
        found = node.get("api", "v1", "sessions", session)
    emit(found, form=form, human=lambda: _show_session(found))


def _show_session(found: Mapping[str, Any]) -> None:
    decisions = found.get("decisions") or []
    show_tree({name: value for name, value in found.items() if name != "decisions"})
    for decision in decisions:
        click.echo("")
        step = decision.get("step") or {}
        click.echo(
            f"{cell(decision.get('action_id'))}  {cell(decision.get('verdict'))} → {cell(decision.get('response'))}"
        )
        click.echo(
            f"  {cell(step.get('verb'))} {cell(step.get('resource'))}"
            f"  sensitivity {cell(step.get('sensitivity'))}, boundary {cell(step.get('boundary'))},"
            f" values from {cell(step.get('provenance'))}"
        )
        for reason in decision.get("reasons") or []:
            click.echo(f"  {reason['weight']:+.2f}  {cell(reason['text'])}")
        trust, network = decision.get("trust") or {}, decision.get("network") or {}
        click.echo(
            f"  trust {cell(trust.get('lower'))}, used {cell(trust.get('used'))},"
            f" autonomy {cell(trust.get('autonomy'))};"
            f" network {cell(network.get('tier'))} {cell(network.get('effect'))}"
        )
    if not decisions:
        click.echo("no action yet")
