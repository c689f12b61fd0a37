"""`ioint simulate`: the rule as it is shipped, attacked in seeded worlds, beside what others use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ioint_node.app import params_of
from ioint_node.cli.options import Commands, Whole, emit, format_option
from ioint_node.cli.progress import progress
from ioint_node.cli.rosters import now_ms, read_book
from ioint_node.config import load_config
from ioint_node.errors import ConfigError
from ioint_node.lab.attacks import ATTACKS
from ioint_node.lab.bounds import document
from ioint_node.lab.growth import growth
from ioint_node.lab.plots import plot
from ioint_node.lab.runs import Job, Row, full_plan, own_plan, run_all, short_plan
from ioint_node.lab.world import MOST_GROUPS
from ioint_node.reputation.gate import PARAMS, Params
from ioint_node.reputation.rule import electorate
from ioint_node.store.times import day_of

NETWORK_COLUMNS = {
    "members": "members",
    "records_a_day": "records a day",
    "cpu_s_a_day": "CPU s a day",
    "cpu_share": "share of a core",
    "mb_a_day": "MB a day",
    "kept_mb": "MB of 30 days",
    "catch_up_cpu_s": "catch-up, CPU s",
}


@click.group(
    cls=Commands,
    invoke_without_command=True,
    short_help="Attack the reputation rule in simulated consortia, beside other rules.",
)
@click.option("--short", is_flag=True, help="The release gate: under two minutes on two cores.")
@click.option(
    "--home",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Attack this node's settings and the groups of its roster, with their tenure.",
)
@click.option("--orgs", type=Whole(1, MOST_GROUPS), help="A consortium of so many organisations.")
@click.option("--hostile", type=Whole(0, MOST_GROUPS), help="So many hostile among them; by default a third.")
@click.option("--attack", type=click.Choice(sorted(ATTACKS)), help="One attack; by default each of them.")
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Of the worlds.")
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write plots (SVG) into this directory.",
)
@format_option
@click.pass_context
def simulate(context: click.Context, /, **options: Any) -> int | None:  # noqa: ANN401 - options of click
    """Attack the reputation rule in simulated consortia, beside other rules.

    Runs the code that a node runs, on worlds drawn from the seed. Exit code 1 when a bound is broken. Without --orgs,
    --home, --hostile and --attack, the plan of a release is run: some minutes, --short under two.
    """
    if context.invoked_subcommand is not None:
        return None
    form, plots, jobs = options["form"], options["plots"], _plan(options)
    with progress("simulating") as tell:
        rows = run_all(jobs, tell)
    found = document(rows)
    emit(found, form=form, human=lambda: _show(found))
    if plots is not None:
        for path in plot(found["table"], plots):
            click.echo(path, err=True)
    return 0 if found["passed"] else 1


@simulate.command(short_help="What the network costs a member as it grows, by measured constants.")
@click.option(
    "--records", type=click.FloatRange(0.1, 1e6), default=10.0, show_default=True, help="Of a member and day."
)
@click.option("--together", type=Whole(1, 256), default=1, show_default=True, help="Records in a segment.")
@format_option
def network(*, records: float, together: int, form: str) -> None:
    """What the network costs a member as it grows: CPU, bytes, and a newcomer's catch-up.

    Arithmetic over what was measured with five and twenty nodes on one machine; nothing is run.
    """
    rows = growth(records_a_day=records, together=together)
    found = {"schema": "ioint.simulate/1", "passed": True, "bounds": [], "table": rows}
    shown = [[str(row[name]) for name in NETWORK_COLUMNS] for row in rows]
    emit(found, form=form, human=lambda: _print(None, tuple(NETWORK_COLUMNS.values()), shown))


def _plan(options: Mapping[str, Any]) -> list[Job]:
    home, orgs, hostile, attack = (options[name] for name in ("home", "orgs", "hostile", "attack"))
    if home is None and orgs is None and hostile is None and attack is None:
        return short_plan(options["seed"]) if options["short"] else full_plan(options["seed"])
    params, tenures = (PARAMS, ()) if home is None else _of_node(home)
    orgs = orgs or len(tenures) or 30
    hostile = orgs // 3 if hostile is None else hostile
    if hostile >= orgs:
        raise click.UsageError(f"{hostile} hostile of {orgs} organisations: at least one must be honest")
    return own_plan(
        orgs=orgs,
        hostile=hostile,
        attacks=[attack] if attack else sorted(ATTACKS),
        seeds=1 if options["short"] else 3,
        seed=options["seed"],
        params=params,
        tenures=tenures,
    )


def _of_node(home: Path) -> tuple[Params, tuple[int, ...]]:
    """What this node is ready to pay, and the tenure of the groups of its roster."""
    config = load_config(home)
    roster = asyncio.run(read_book(config)).last
    if roster is None:
        raise ConfigError("this node is in no consortium: give --orgs instead of --home")
    voters = electorate(roster, day_of(now_ms()))
    return params_of(config), tuple(voters.tenure[group] for group in sorted(voters.tenure))


def _show(found: Mapping[str, Any]) -> None:
    rows = found["table"]
    for title, part, columns, cells in _TABLES:
        chosen = [cells(row) for row in rows if row["part"] == part]
        if chosen:
            _print(title, columns, chosen)
    _print(
        "Bounds",
        ("bound", "limit", "value", "holds"),
        [
            [b["name"], f"{_SIDES[b['side']]} {b['limit']:g}", f"{b['value']:g}", _holds(b)]
            for b in found["bounds"]
        ],
    )
    click.echo("every bound holds" if found["passed"] else "a bound is broken")
    click.echo(LEGEND)


LEGEND = (
    "lift: later victims that were warned in time, of those that saw nothing themselves · friction: extra checks, "
    "and worst of one member · under: benign actions whose trust was lowered · damage: trust that liars took · "
    "delay: till the first effect · weeks: till it is seen · all of it: docs/reputation.md"
)
_SIDES = {"most": "≤", "least": "≥"}


def _holds(bound: Mapping[str, Any]) -> str:
    over = bound["value"] > bound["limit"] if bound["side"] == "most" else bound["value"] < bound["limit"]
    return "NO" if over else "yes"


def _print(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # Wider than most terminals: a line that wraps can be read, a cell that is cut off cannot.
    Console(width=160).print(table)


def _world(row: Row) -> str:
    return (
        f"{row['orgs']} orgs, {row['hostile']} {row['attack']}" if row["hostile"] else f"{row['orgs']} orgs"
    )


def _percent(values: Sequence[float] | None) -> str:
    return "-" if values is None else " / ".join(f"{100 * value:.0f}" for value in values)


def _patterns(row: Row) -> list[str]:
    delay = row["delay_h"][0]
    return [
        _world(row),
        row["rule"],
        _percent(row["lift"]),
        " / ".join(f"{value:.2f}" for value in row["friction"]),
        f"{100 * row['under']:.2f}",
        f"{row['worst']:.2f}",
        f"{row['damage']:.3f}",
        _percent([row["flagged"], row["false_flagged"], row["false_corroborated"]]),
        "-" if delay is None else f"{delay:.0f}",
    ]


def _subjects(row: Row) -> list[str]:
    hidden = row["seen"]
    return [
        _world(row),
        row["rule"],
        _percent([row["tpr"], row["fpr"]]),
        f"{row['effect']:.2f}",
        _percent(row["slander"]),
        "-" if hidden is None else f"{100 * hidden:.0f}",
        f"{row['weeks']:.0f}",
    ]


def _flips(row: Row) -> list[str]:
    return [
        f"{row['orgs']} orgs, {row['users']} honest users",
        row["rule"],
        *("never" if needed is None else f"{needed:.0f}" for needed in row["slander"]),
        {None: "never", 0: "not seen"}.get(row["hide"], f"{row['hide'] or 0:.0f}"),
    ]


_TABLES: tuple[tuple[str, str, tuple[str, ...], Callable[[Row], list[str]]], ...] = (
    (
        "Patterns: later victims that saw nothing themselves, and what benign actions pay (per 1,000)",
        "patterns",
        (
            "world",
            "rule",
            "lift ≥.05/≥.10/.30 %",
            "friction .05/.10/.30",
            "under %",
            "worst",
            "damage",
            "TPR/FPR/≥.10 %",
            "delay h",
        ),
        _patterns,
    ),
    (
        "Public subjects, 12 weeks",
        "subjects",
        ("world", "rule", "TPR/FPR %", "effect", "slander ≥.05/≥.10/.30 %", "hidden still seen %", "weeks"),
        _subjects,
    ),
    (
        "Fewest colluders that flip one subject",
        "flip",
        ("subject", "rule", "≥ .05", "≥ .10", ".30", "hide it"),
        _flips,
    ),
)
