"""`ioint agents` and `ioint explain`: local trust."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ioint_node.cli.client import connect
from ioint_node.cli.names import or_see
from ioint_node.cli.options import Commands, Whole, cell, emit, node_options, show_table, show_tree
from ioint_node.cli.respond import respond
from ioint_node.errors import RequestError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LEGEND = (
    "drift: 0 inside the declared intent, 1 outside · WIS: how well the intent carries it, 1 good, 0 bad ·"
    " the number before a reason: its weight in log-odds, + against the action, - for it"
)
COLUMNS = ("id", "kind", "score", "lower", "friction", "autonomy", "bounded", "used")


@click.group(cls=Commands, short_help="Agents, people and workloads on this node, and the trust in each.")
def agents() -> None:
    """Agents, people and workloads on this node, and the trust in each."""


agents.add_command(respond)


@agents.command("list")
@click.option("--limit", type=Whole(1, 1_000_000), default=100, show_default=True)
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
    """Show one actor: its trust, what is usual for it, what others see of it, its newest sessions."""
    node = connect(home)
    with or_see("ioint agents list"):
        row = node.get("api", "v1", "agents", actor)
    emit(row, form=form, human=lambda: show_tree(row))


@agents.command("baseline")
@click.argument("actor")
@click.option("--input", "source", type=_FILE, required=True, help="Recorded sessions, JSONL or JSONL.gz.")
@click.option("--replace", is_flag=True, help="Forget what was learned before, and begin with these.")
@node_options
def baseline(*, home: Path, form: str, actor: str, source: Path, replace: bool) -> None:
    """Teach an actor's baseline with runs from before it went to work.

    The sessions are judged here; of those that stay inside what they declare, the in-scope steps are sent, without
    arguments and text. Each run counts as one hour of work.
    """
    # Listing actors does not wait for the detector to be imported.
    from ioint_node.cli.progress import progress  # noqa: PLC0415
    from ioint_node.cli.runs import gathered, in_scope_runs  # noqa: PLC0415

    node = connect(home)
    total = {"runs": 0, "steps": 0}
    row: Mapping[str, Any] = {}
    with or_see("ioint agents list"), progress("reading") as tell:
        for portion in gathered(in_scope_runs(source, tell)):
            body = {"runs": portion, "replace": replace and not total["runs"]}
            row = node.post("api", "v1", "agents", actor, "baseline", body=body)
            total = {name: count + row[name] for name, count in total.items()}
    if not total["runs"]:
        raise RequestError(
            f"{source}: no session in it has an in-scope action; see `ioint score --input {source}`"
        )
    result = {"actor": actor, **total, "baseline": row["baseline"]}
    emit(result, form=form, human=lambda: show_tree(result))


@agents.command("import")
@click.argument("source", type=_FILE, metavar="FILE")
@node_options
def import_all(*, home: Path, form: str, source: Path) -> None:
    """Give actors a first opinion from another system, so that day one is not all strict.

    FILE is CSV with a header, or one JSON object a line: id, kind, role, tenure_days, attestation, and owner, who
    answers for the actor, where that is known. It is read whole before anything is sent. What is imported is marked,
    fades, and never reaches the trusted level; the owner stays.
    """
    from ioint_node.cli.runs import newcomers  # noqa: PLC0415 - as above

    node = connect(home)
    items: list[dict[str, Any]] = []
    for portion in list(newcomers(source)):
        items += node.post("api", "v1", "agents", "import", body={"actors": portion})["items"]
    result = {"imported": sum(item["state"] == "imported" for item in items), "items": items}
    emit(
        result,
        form=form,
        human=lambda: show_table(items, ("id", "state", "lower"), empty="no actor in the file"),
    )


@agents.command("override")
@click.argument("actor")
@click.option("--at-most", type=click.Choice(["strict", "standard"]), help="It counts as no more than this.")
@click.option("--at-least", type=click.Choice(["standard"]), help="It counts as no less than this.")
@click.option("--end", is_flag=True, help="End the override that holds.")
@click.option("--reason", help="Why, at most 40 characters.")
@click.option("--days", type=Whole(1, 90), default=7, show_default=True, help="When it ends.")
@node_options
def override(
    *,
    home: Path,
    form: str,
    actor: str,
    at_most: str | None,
    at_least: str | None,
    end: bool,
    reason: str | None,
    days: int,
) -> None:
    """Let an actor count as no more, or no less, than a level for some days.

    Trust itself does not move. What loosens lasts 7 days at most, and not in a session whose risk is clear.
    """
    if sum((at_most is not None, at_least is not None, end)) != 1:
        raise click.UsageError("give one of --at-most, --at-least and --end")
    if not end and not reason:
        raise click.UsageError("--reason is needed: an override is shown with it")
    node = connect(home)
    with or_see("ioint agents list"):
        if end:
            row = node.delete("api", "v1", "agents", actor, "override")
        else:
            way = {"at_most": at_most} if at_most else {"at_least": at_least}
            row = node.post(
                "api", "v1", "agents", actor, "override", body={**way, "reason": reason, "days": days}
            )
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
            f"{cell(decision.get('action_id'))}  {cell(_tool(decision))}: {cell(decision.get('verdict'))}"
            f" → {cell(decision.get('response'))}, {_outcome(decision)}"
        )
        click.echo(f"  drift {_share(decision.get('drift'))}, WIS {_share(decision.get('wis'))}")
        click.echo(
            f"  {cell(step.get('verb'))} {cell(step.get('resource'))}"
            f"  sensitivity {cell(step.get('sensitivity'))}, boundary {cell(step.get('boundary'))},"
            f" values from {cell(step.get('provenance'))}"
        )
        for reason in decision.get("reasons") or []:
            # What bears on the response alone has no weight.
            bears = reason["weight"] and reason["code"] != "network"  # that one lowers trust, and no log-odds
            weight = f"{reason['weight']:+.2f}" if bears else "·"
            click.echo(f"  {weight:>5}  {cell(reason['text'])}")
        trust, network = decision.get("trust") or {}, decision.get("network") or {}
        alone = (network.get("without") or {}).get("response") if network.get("effect") else None
        click.echo(
            f"  trust {cell(trust.get('lower'))}, used {cell(trust.get('used'))},"
            f" autonomy {cell(trust.get('autonomy'))};"
            f" network {cell(network.get('tier'))} {cell(network.get('effect'))}"
            + (f", without it {cell(alone)}" if alone else "")
        )
    if not decisions:
        click.echo("no action yet")
    else:
        click.echo(f"\n{LEGEND}")


def _tool(decision: Mapping[str, Any]) -> object:
    tool, server = decision.get("tool"), decision.get("server")
    return f"{server}/{tool}" if server else tool


def _share(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "-"


def _outcome(decision: Mapping[str, Any]) -> str:
    allowed = "allowed" if decision.get("allowed") else "not allowed"
    return f"{allowed} ({cell(decision.get('mode'))})"
