"""`ioint policy`: what is enforced, what it would have done, and changes of what a declared intent may do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from ioint_node.cli.client import Client, connect
from ioint_node.cli.names import LEAST_DIGITS, or_see, short_id
from ioint_node.cli.options import (
    Commands,
    Fraction,
    Whole,
    cell,
    emit,
    node_options,
    show_fields,
    show_table,
    show_tree,
)
from ioint_node.config import Config, load_boundary, load_config
from ioint_node.errors import ConfigError, NotFoundError, RequestError
from ioint_node.scoring.staging import LEAST_TOLERANCE, MOST_TOLERANCE

SHOW: Final = "ioint policy show"
ALL_DIGITS: Final = 32
POLICIES: Final = ("api", "v1", "policies")
COLUMNS: Final = ("id", "state", "family", "actor", "change", "would allow", "still stopped", "until")
VERDICTS: Final = ("in_scope", "borderline", "out_of_scope")


@click.group(cls=Commands, short_help="What is enforced, what it would have done, and what an intent may do.")
def policy() -> None:
    """What is enforced, what it would have done, and changes of what a declared intent may do."""


@policy.command()
@click.argument("proposal", required=False)
@node_options
def show(*, home: Path, form: str, proposal: str | None) -> None:
    """Show the policy in force and the proposed changes, or one of them with what speaks for it."""
    node = connect(home)
    if proposal is not None:
        found = node.get(*POLICIES, _full(node, proposal))
        emit(found, form=form, human=lambda: show_tree(found))
        return
    in_force = node.get(*POLICIES, limit=1)["in_force"]
    rows = list(node.items(*POLICIES))
    waiting = _waiting_settings(load_config(home), in_force)

    def human() -> None:
        show_tree(in_force)
        if waiting:
            click.echo(f"config.toml has another {', '.join(waiting)}: restart the node to take it up")
        click.echo("")
        show_table(
            [_line(row) for row in rows],
            COLUMNS,
            empty="no change of an envelope was proposed: `ioint policy propose`",
        )

    emit({"in_force": in_force, "waiting": waiting, "items": rows, "next": None}, form=form, human=human)


@policy.command()
@click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Check this file, not the one of the settings.",
)
@node_options
def boundary(*, home: Path, form: str, path: Path | None) -> None:
    """Check the policy of who may do what at all, and tell what is in it; needs no running node."""
    if path is None:
        if not (named := load_config(home).boundary):
            raise ConfigError(
                'no boundary is loaded: name its file in config.toml, `boundary = "boundary.json"`'
            )
        path = home / named
    found = load_boundary(path)
    told = {
        "default": "permit" if found.permits else "deny",
        "rules": len(found.rules),
        "subjects": len(found.subjects),
        "resources": len(found.resources),
        "actions": list(found.actions),
    }
    emit(told, form=form, human=lambda: show_fields(told))


@policy.command()
@click.option(
    "--tolerance",
    type=Fraction(LEAST_TOLERANCE, MOST_TOLERANCE),
    required=True,
    help="False blocks per 1,000 actions.",
)
@node_options
def test(*, home: Path, form: str, tolerance: float) -> None:
    """Tell what another tolerance would have done last week, by family."""
    found = connect(home).get(*POLICIES, "preview", tolerance=f"{tolerance:.6f}".rstrip("0").rstrip("."))
    emit(found, form=form, human=lambda: _show_preview(found))


@policy.command()
@click.argument("proposal")
@node_options
def replay(*, home: Path, form: str, proposal: str) -> None:
    """Hold a proposed change against the past sessions as of now; nothing is written."""
    node = connect(home)
    found = node.get(*POLICIES, _full(node, proposal), "replay")
    emit(found, form=form, human=lambda: _show_past(found))


@policy.command()
@click.option("--session", "session_id", help="The session of an action that was the work; with --action.")
@click.option("--action", "action_id", help="That action: the proposal is what it needed.")
@click.option("--everyone", is_flag=True, help="With --action: for every actor of that family.")
@click.option("--family", help="The family whose envelope would change.")
@click.option("--actor", help="For this actor alone; else for every one.")
@click.option("--verb", "verbs", multiple=True, help="A verb; repeat it. Left out: those of the family.")
@click.option("--resource", "resources", multiple=True, help="A resource class; repeat it.")
@click.option("--sensitivity", help="The most sensitive data it reaches.")
@click.option("--boundary", help="The farthest it reaches.")
@click.option("--narrower", is_flag=True, help="Cut the family's envelope to this; holds at once.")
@click.option("--days", type=Whole(1, 3_650), help="With --narrower: how long it holds (90).")
@node_options
def propose(
    *,
    home: Path,
    form: str,
    session_id: str | None,
    action_id: str | None,
    everyone: bool,
    family: str | None,
    actor: str | None,
    verbs: tuple[str, ...],
    resources: tuple[str, ...],
    sensitivity: str | None,
    boundary: str | None,
    narrower: bool,
    days: int | None,
) -> None:
    """Propose a change of what an intent may do: by an action that was the work, or by name.

    What widens waits for `ioint policy accept`; what narrows holds at once.
    """
    given: dict[str, object | None] = {
        "session_id": session_id,
        "action_id": action_id,
        "family": family,
        "actor": actor,
        "sensitivity": sensitivity,
        "boundary": boundary,
        "days": days,
    }
    body: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    flags = {"everyone": everyone, "narrower": narrower}
    lists = {"verbs": list(verbs), "resources": list(resources)}
    body |= {name: value for name, value in (flags | lists).items() if value}
    with or_see("ioint policy propose --help"):
        made = connect(home).post(*POLICIES, body=body)
    emit(made, form=form, human=lambda: _show_past({**made, "past": made["evidence"]["past"]}))


@policy.command()
@click.argument("proposal")
@click.option("--days", type=Whole(1, 3_650), help="How long it holds; 90 when not given.")
@click.option("--for-good", is_flag=True, help="It has no end.")
@node_options
def accept(*, home: Path, form: str, proposal: str, days: int | None, for_good: bool) -> None:
    """Accept a proposed change: the next such session is in scope."""
    if for_good and days is not None:
        raise click.UsageError("--days and --for-good exclude one another")
    terms: dict[str, object] = {"days": days} if days is not None or for_good else {}
    _decide(home, form, proposal, {"accept": True, **terms})


@policy.command()
@click.argument("proposal")
@node_options
def refuse(*, home: Path, form: str, proposal: str) -> None:
    """Refuse a proposed change."""
    _decide(home, form, proposal, {"accept": False})


@policy.command()
@click.argument("proposal")
@node_options
def withdraw(*, home: Path, form: str, proposal: str) -> None:
    """Take an accepted change back: from the next session on it holds no longer."""
    node = connect(home)
    name = _full(node, proposal)
    with or_see(SHOW):
        made = node.post(*POLICIES, name, "withdraw", body={})
    emit(made, form=form, human=lambda: _show_state(made))


def _decide(home: Path, form: str, proposal: str, body: Mapping[str, object]) -> None:
    node = connect(home)
    name = _full(node, proposal)
    with or_see(SHOW):
        made = node.post(*POLICIES, name, body=body)
    emit(made, form=form, human=lambda: _show_state(made))


def _full(node: Client, given: str) -> str:
    """The id of the one proposal that begins with these hex digits."""
    digits = given.lower()
    if len(digits) == ALL_DIGITS:
        return digits
    if len(digits) < LEAST_DIGITS or not all(letter in "0123456789abcdef" for letter in digits):
        raise RequestError(f"{given[:ALL_DIGITS]!r} is no id of a proposal: see `{SHOW}`")
    found = [str(row["id"]) for row in node.items(*POLICIES) if str(row["id"]).startswith(digits)]
    if len(found) > 1:
        raise RequestError(f"more than one proposal begins with {digits}: give more digits of its id")
    if not found:
        raise NotFoundError(f"no proposal begins with {digits}: see `{SHOW}`")
    return found[0]


def _waiting_settings(config: Config, in_force: Mapping[str, Any]) -> list[str]:
    """The settings of the file that the running node has not taken up."""
    stage, fail = in_force["enforcement"], in_force["fail_mode"]
    written = config.policy(b"").to_json()
    closed = [effect for effect, how in fail.items() if how == "closed"]
    differ = {
        "mode": config.mode != stage["mode"],
        "tolerance": config.tolerance != in_force["tolerance"],
        "enforce_share": config.enforce_share != stage["share"],
        "enforce_families": bool(config.enforce_families or stage["families"])
        and written["enforcement"]["families"] != stage["families"],
        "enforce_agents": bool(config.enforce_agents or stage["agents"])
        and written["enforcement"]["agents"] != stage["agents"],
        "fail_closed": stage["mode"] == "enforce" and set(config.fail_closed) != set(closed),
    }
    return [name for name, differs in differ.items() if differs]


def _line(row: Mapping[str, Any]) -> dict[str, object]:
    past = row["evidence"].get("past") or {}
    return {
        "id": short_id(row["id"]),
        "state": row["state"],
        "family": row["family"],
        "actor": row["actor"] or "everyone",
        "change": row["text"],
        "would allow": (past.get("allowed") or {}).get("sessions"),
        "still stopped": (past.get("stopped") or {}).get("sessions"),
        "until": row["expires_at"],
    }


def _show_state(made: Mapping[str, Any]) -> None:
    show_fields(
        {"proposal": made["id"], "state": made["state"], "change": made["text"], "until": made["expires_at"]}
    )


def _show_past(found: Mapping[str, Any]) -> None:
    """A proposal and the past sessions that it would have allowed, would not, or would have stopped."""
    past = found["past"]
    show_fields(
        {
            "proposal": found["id"],
            "state": found["state"],
            "for": f"{found['family']}, {found['actor'] or 'everyone'}",
            "change": found["text"],
            "looked at": f"{past['sessions']} sessions of {past['days']} days, {past['followed']} followed again",
        }
    )
    for name, title in (
        ("allowed", "would have been allowed"),
        ("stopped", "would still have been stopped"),
        ("outside", "would have been outside"),
    ):
        part = past.get(name)
        if part is None:
            continue
        click.echo(f"\n{title}: {part['sessions']} sessions")
        if part["items"]:
            show_table(part["items"], ("session_id", "actor", "actions", "ordered", "why"), empty="")
    if (past.get("stopped") or {}).get("ordered"):
        click.echo(
            f"\n{cell(past['stopped']['ordered'])} of these take what they do from content, not from the request:"
            " no change of an envelope lets them pass"
        )


def _show_preview(found: Mapping[str, Any]) -> None:
    bounds, limits = found["tolerance"], found["thresholds"]
    show_fields(
        {
            "tolerance": f"{cell(bounds['now'])} now, {cell(bounds['then'])} asked",
            "out of scope from": f"{limits['now']['out_of_scope']:.4f} now, {limits['then']['out_of_scope']:.4f} asked",
            "borderline from": f"{limits['now']['borderline']:.4f} now, {limits['then']['borderline']:.4f} asked",
            "actions": f"{found['actions']} since {found['since']}"
            + ("" if found["whole"] else ", the newest of more"),
        }
    )
    click.echo("")
    rows = [{"family": "all", "actions": found["actions"], **found["total"]}, *found["families"]]
    table = [
        {
            "family": row["family"],
            "actions": row["actions"],
            **{
                verdict: f"{row['answered'][verdict]} / {row['now'][verdict]} / {row['then'][verdict]}"
                for verdict in VERDICTS
            },
        }
        for row in rows
    ]
    show_table(table, ("family", "actions", *VERDICTS), empty="no action")
    click.echo("\nas answered / at the tolerance in force / at the one asked")
