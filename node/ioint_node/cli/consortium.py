"""`ioint consortium` and `ioint peers`: who is a member, and how the exchange with them goes.

The commands work on the home directory; a running node takes over a newer roster and passes it on.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from ioint_protocol import Member, Release
from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node.card import own_card
from ioint_node.cli.cards import file_of_card, new_founder, verified_card
from ioint_node.cli.client import connect
from ioint_node.cli.joining import applications_here, card_of, invite, join, settle_application
from ioint_node.cli.leaving import leave
from ioint_node.cli.names import short_id
from ioint_node.cli.options import Commands, Whole, check_place, emit, node_options, show_table
from ioint_node.cli.proposals import (
    Pending,
    carry_out,
    change_roster,
    check_threshold,
    pending,
    possible,
    proposal_option,
    proposed,
    read_proposal_file,
    show_changes,
    stewards,
    told_changes,
)
from ioint_node.cli.rosters import (
    applied_at,
    find_member,
    in_consortium,
    known_height,
    now_ms,
    read_book,
    roster_on_file,
    show_roster,
)
from ioint_node.cli.rotation import rotate
from ioint_node.cli.rulings import rule, show_rulings, told_rulings
from ioint_node.cli.votes import version_past
from ioint_node.config import Config, load_config, load_keys, make_steward_key
from ioint_node.errors import ConfigError
from ioint_node.membership import Membership, Terms, propose_founding
from ioint_node.membership.cards import admitted, founder, read_card, replaced
from ioint_node.store.times import to_text

_NEW_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Commands, short_help="Make, join and steer a consortium.")
def consortium() -> None:
    """Make, join and steer a consortium."""


@consortium.command()
@click.option("--output", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write it here.")
@click.option(
    "--steward", is_flag=True, help="Offer to steer: makes a steward's keys, and names them on the card."
)
@node_options
def card(*, home: Path, form: str, target: Path | None, steward: bool) -> None:
    """Make this organisation's member card: public, to be given to a steward."""
    config, keys = load_config(home), load_keys(home)
    if steward and keys.steward_key is None:
        keys = make_steward_key(home)
    made = own_card(config, keys, roster_on_file(config))
    if target is not None:
        check_place(target)
        target.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    emit(
        made,
        form=form,
        human=lambda: click.echo(str(target) if target is not None else json.dumps(made, indent=2)),
    )


@consortium.command()
@click.option("--name", default="", help="What this node calls the consortium.")
@click.option(
    "--card", "cards", type=_FILE, multiple=True, help="A founder's card; once for each other founder."
)
@click.option(
    "--threshold", type=Whole(1), help="Stewards who must sign a roster; by default more than half."
)
@proposal_option
@node_options
def create(
    *, home: Path, form: str, name: str, cards: tuple[Path, ...], threshold: int | None, target: Path | None
) -> None:
    """Found a consortium: version 1 of the roster, with this node and the given founders.

    Stewards are this node and the founders whose cards were made with `card --steward`.
    """
    config = load_config(home)
    if asyncio.run(read_book(config)).last is not None:
        raise ConfigError(
            "this node is in a consortium: leave it first (`ioint consortium leave`), "
            "or give the second one a home directory of its own"
        )
    own = load_keys(home)
    keys = own if own.steward_key is not None else make_steward_key(home)
    founders = [read_card(json.dumps(own_card(config, keys, None)).encode(), None)]
    for path in cards:
        founders.append(new_founder(path, founders))
    council = tuple(each.steward for each in founders if each.steward is not None)
    signing = threshold or len(council) // 2 + 1
    check_threshold(signing, len(council))
    taxonomy = load_taxonomy()
    terms = Terms(
        members=tuple(founder(each) for each in founders),
        council=council,
        threshold=signing,
        taxonomy=Release(version=taxonomy.version, digest=taxonomy.digest),
        catalogue=load_catalogue().digest,
    )
    with possible():
        proposal = propose_founding(terms, now_ms())
    carry_out(config, proposal, None, form, target=target, name=name)


@consortium.command()
@click.option("--card", "path", type=_FILE, help="The card that the member made.")
@click.option("--application", help="The id of an application that waits here; see `show`.")
@click.option(
    "--replaces", help="The id of the member whose keys were lost, and whose entry the card takes over."
)
@click.option("--export", type=_NEW_FILE, help="Write the card of the application here, for a steward.")
@click.option("--refuse", is_flag=True, help="Tell the applicant no.")
@proposal_option
@node_options
def admit(  # click gives them by name
    *,
    home: Path,
    form: str,
    path: Path | None,
    application: str | None,
    replaces: str | None,
    export: Path | None,
    refuse: bool,
    target: Path | None,
) -> None:
    """Put a member on the roster, a suspended one back, or take over what a member's new card changes."""
    config = load_config(home)
    if (path is None) == (application is None):
        raise click.UsageError("name one of --card FILE and --application ID")
    if application is not None and (export is not None or refuse):
        settle_application(config, form, application, export=export if not refuse else None)
        return
    held = in_consortium(config)
    data = file_of_card(path) if path is not None else card_of(config, application or "")
    new = _entry(config, held, data, replaces)
    others = [member for member in held.roster.members if member.id != new.id]
    change_roster(config, held, form, target, members=[*others, new])


@consortium.command()
@click.argument("member")
@proposal_option
@node_options
def suspend(*, home: Path, form: str, member: str, target: Path | None) -> None:
    """Take a member's voice and connections away until it is admitted again."""
    _set_state(home, form, member, "suspended", target)


@consortium.command()
@click.argument("member")
@proposal_option
@node_options
def remove(*, home: Path, form: str, member: str, target: Path | None) -> None:
    """Take a member off for good: its keys are never accepted again."""
    _set_state(home, form, member, "removed", target)


@consortium.command()
@click.option(
    "--abandon",
    is_flag=True,
    help="Give up a proposal that this steward signed and that will not be finished.",
)
@proposal_option
@node_options
def renew(*, home: Path, form: str, target: Path | None, abandon: bool) -> None:
    """Sign the roster anew as it is, before it expires. A steward who alone is enough has its node do it."""
    config = load_config(home)
    held = in_consortium(config)
    version = version_past(config.home, held.roster) if abandon else None
    change_roster(config, held, form, target, version=version)


@consortium.command("sign")
@click.argument("path", type=_FILE)
@click.option("--yes", is_flag=True, help="Sign without asking: for who has read the table before.")
@click.option("--name", default="", help="What this node calls the consortium.")
@proposal_option
@node_options
def sign_proposal(*, home: Path, form: str, path: Path, yes: bool, name: str, target: Path | None) -> int:
    """Sign, as a steward, a roster that another steward proposed. Shows first what it would change."""
    config = load_config(home)
    held = asyncio.run(read_book(config)).held
    proposal = read_proposal_file(path)
    after = proposed(proposal, held)
    before = None if held is None else held.roster
    rows, rulings = told_changes(before, after), told_rulings(config, before, after)
    if form == "human":
        click.echo(f"consortium {after.consortium}, version {after.version}\n")
        show_rulings(rulings)
        show_changes(rows)
    if not yes and not (form == "human" and sys.stdin.isatty() and click.confirm("\nSign this?")):
        emit(
            {"signed": False, "consortium": after.consortium, "changes": rows, "rulings": rulings},
            form=form,
            human=lambda: click.echo(
                "\nnothing was signed: run it again with --yes when this is what you want"
            ),
        )
        return 1
    carry_out(config, proposal, held, form, target=target or path, name=name)
    return 0


@consortium.command()
@node_options
def show(*, home: Path, form: str) -> None:
    """Show the roster in force, and who applied for membership here."""
    config = load_config(home)
    book = asyncio.run(read_book(config))
    waiting = pending(config, book.held)
    if book.last is None:
        raise ConfigError(f"this node is in no consortium{_on_its_way(config, waiting)}")
    applications = asyncio.run(applications_here(config, book.last))
    for application in applications:
        proposals = [each for each in waiting if each.roster.member(application["member"])]
        if application["state"] == "waiting" and proposals:
            application["state"] = f"proposed, {stewards(proposals[-1].missing)} must sign"
    told = [
        {"version": each.roster.version, "missing": each.missing, "file": str(each.path)} for each in waiting
    ]
    show_roster(config, book, form, applications=applications, proposals=told)


def _on_its_way(config: Config, waiting: Sequence[Pending]) -> str:
    """What a node that is in no consortium waits for, or what it may do."""
    if waiting:
        return f" yet: {stewards(waiting[-1].missing)} must run `ioint consortium sign` on {waiting[-1].path}"
    if (url := applied_at(config)) is not None:
        return f" yet: it applied at {url}, and asks there by itself while it runs"
    return ": `ioint consortium create`, `join --invitation`, or `join --roster FILE`"


for command in (invite, join, leave, rotate, rule):
    consortium.add_command(command)


@click.command(short_help="The other members: connected, lag, last success, what was refused and why.")
@node_options
def peers(*, home: Path, form: str) -> None:
    """The other members: connected, lag, last success, what was refused and why.

    `behind` is how many segments a member had that we lack, `ahead` how many we had that it lacks, when we last asked.
    """
    node = connect(home)
    linked = {row["member"]: row for row in node.get("api", "v1", "peers")["items"]}
    members = node.get("api", "v1", "members")["items"]
    rows = [_peer(row, linked.get(row["id"], {})) for row in members if not row["own"]]
    emit({"items": rows, "next": None}, form=form, human=lambda: _show_peers(rows))


def _show_peers(rows: Sequence[Mapping[str, Any]]) -> None:
    told = [
        {
            **row,
            "id": short_id(row["id"]),
            "state": "quarantined" if row.get("quarantined_at") else row["state"],
            "connected": _second(row["connected_since"]),
            "answered": _second(row["last_success"]),
            "lag": _lag(row),
            "bytes": f"{row.get('bytes_in', 0)} in, {row.get('bytes_out', 0)} out",
        }
        for row in rows
        if row["state"] != "removed"
    ]
    columns = (
        "id",
        "name",
        "state",
        "connected",
        "answered",
        "lag",
        "bytes",
        "version",
        "passed_over",
        "refused",
    )
    show_table(told, columns, empty="no other member is on the roster")
    if restarts := max((row.get("restarts") or 0 for row in rows), default=0):
        click.echo(f"the exchange process was replaced {restarts} times since the node started")


def _second(instant: str | None) -> str | None:
    return instant and f"{instant[:19]}Z"


def _lag(row: Mapping[str, Any]) -> str | None:
    """How many segments it had that we lack, and we had that it lacks; None while that is not known."""
    if row.get("behind") is None:
        return None
    return f"{row['behind']} behind, {row['ahead']} ahead"


def _peer(member: Mapping[str, Any], link: Mapping[str, Any]) -> dict[str, Any]:
    """A member and its link as one row: instants as text, what was refused of its records and of its calls added.

    What was `passed_over` is nobody's fault, and no longer among what was refused.
    """
    refused = Counter(member["refused"]) + Counter(link.get("refused", {})) - Counter(member["passed_over"])
    instants = {name: _instant(link.get(name)) for name in ("connected_since", "last_success")}
    told = {name: value for name, value in member.items() if name != "last_success_at"}
    return {**link, **told, **instants, "refused": dict(sorted(refused.items()))}


def _instant(ms: int | None) -> str | None:
    return None if ms is None else to_text(ms)


def _entry(config: Config, held: Membership, data: bytes, replaces: str | None) -> Member:
    """The entry that a card makes, as a newcomer's, a member's own change, or in the place of one who lost its keys."""
    roster = held.roster
    if replaces is not None:
        lost, card = find_member(roster, replaces), verified_card(data, None)
        with possible():
            return replaced(card, lost, asyncio.run(known_height(config, lost.id)) + 1)
    card = verified_card(data, roster)
    with possible():
        new = admitted(card, roster, sponsor=load_keys(config.home).member)
    _check_height(config, new, roster.member(new.id))
    return new


def _set_state(home: Path, form: str, member: str, state: str, target: Path | None) -> None:
    config = load_config(home)
    held = in_consortium(config)
    found = find_member(held.roster, member)
    if state == "removed" and any(steward.member == found.id for steward in held.roster.council):
        raise ConfigError(f"{found.id} is a steward: first `ioint consortium rotate --steward {found.id}`")
    members = [replace(each, state=state) if each is found else each for each in held.roster.members]
    change_roster(config, held, form, target, members=members)


def _check_height(config: Config, new: Member, before: Member | None) -> None:
    """A new record key begins where nothing is signed yet; else what was signed there would be worth nothing."""
    if before is None or new.record_keys == before.record_keys:
        return
    height = asyncio.run(known_height(config, new.id))
    if new.record_keys[-1].from_seq <= height:
        raise ConfigError(
            f"the card's key begins at segment {new.record_keys[-1].from_seq}, and {height} is known already: "
            "let the member run `ioint consortium rotate --record-key` again"
        )
