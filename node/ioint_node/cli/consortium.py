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

from ioint_node.cli.cards import card_in, own_card
from ioint_node.cli.client import connect
from ioint_node.cli.names import short_id
from ioint_node.cli.options import Commands, check_place, emit, node_options, show_table
from ioint_node.cli.rosters import (
    carry_out,
    change_members,
    check_proposal,
    find_member,
    in_consortium,
    install_files,
    known_height,
    now_ms,
    possible,
    read_book,
    read_roster_file,
    show_changes,
    show_roster,
    told_changes,
)
from ioint_node.config import Config, change_setting, load_config, load_keys, make_steward_key
from ioint_node.errors import ConfigError
from ioint_node.membership import Terms, propose_founding, read_proposal
from ioint_node.membership.cards import admitted, founder, read_card, replaced
from ioint_node.store.times import to_text

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_output_option = click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the proposal goes when other stewards must sign it too.",
)


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
    made = own_card(config, keys)
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
    "--threshold", type=click.IntRange(1), help="Stewards who must sign a roster; by default more than half."
)
@_output_option
@node_options
def create(
    *, home: Path, form: str, name: str, cards: tuple[Path, ...], threshold: int | None, target: Path | None
) -> None:
    """Found a consortium: version 1 of the roster, with this node and the given founders.

    Stewards are this node and the founders whose cards were made with `card --steward`.
    """
    config = load_config(home)
    if asyncio.run(read_book(config)).last is not None:
        raise ConfigError("this node is in a consortium: a second one needs a home directory of its own")
    own = load_keys(home)
    keys = own if own.steward_key is not None else make_steward_key(home)
    founders = [
        read_card(json.dumps(own_card(config, keys)).encode(), None),
        *(card_in(path, None) for path in cards),
    ]
    council = tuple(each.steward for each in founders if each.steward is not None)
    taxonomy = load_taxonomy()
    terms = Terms(
        members=tuple(founder(each) for each in founders),
        council=council,
        threshold=threshold or len(council) // 2 + 1,
        taxonomy=Release(version=taxonomy.version, digest=taxonomy.digest),
        catalogue=load_catalogue().digest,
    )
    with possible():
        proposal = propose_founding(terms, now_ms())
    carry_out(config, proposal, None, form, target=target, name=name)


@consortium.command()
@click.option("--card", "path", type=_FILE, required=True, help="The card that the member made.")
@click.option(
    "--replaces", help="The id of the member whose keys were lost, and whose entry these take over."
)
@_output_option
@node_options
def admit(*, home: Path, form: str, path: Path, replaces: str | None, target: Path | None) -> None:
    """Put a member on the roster, a suspended one back, or take over what a member's new card changes."""
    config = load_config(home)
    held = in_consortium(config)
    roster = held.roster
    if replaces is None:
        card = card_in(path, roster)
        with possible():
            new = admitted(card, roster, sponsor=load_keys(home).member)
        _check_height(config, new, roster.member(new.id))
    else:
        lost, card = find_member(roster, replaces), card_in(path, None)
        with possible():
            new = replaced(card, lost, asyncio.run(known_height(config, lost.id)) + 1)
    others = [member for member in roster.members if member.id != new.id]
    change_members(config, held, [*others, new], form, target)


@consortium.command()
@click.argument("member")
@_output_option
@node_options
def suspend(*, home: Path, form: str, member: str, target: Path | None) -> None:
    """Take a member's voice and connections away until it is admitted again."""
    _set_state(home, form, member, "suspended", target)


@consortium.command()
@click.argument("member")
@_output_option
@node_options
def remove(*, home: Path, form: str, member: str, target: Path | None) -> None:
    """Take a member off for good: its keys are never accepted again."""
    _set_state(home, form, member, "removed", target)


@consortium.command()
@_output_option
@node_options
def renew(*, home: Path, form: str, target: Path | None) -> None:
    """Sign the roster anew as it is, before it expires. A steward who alone is enough has its node do it."""
    config = load_config(home)
    held = in_consortium(config)
    change_members(config, held, held.roster.members, form, target)


@consortium.command("sign")
@click.argument("path", type=_FILE)
@click.option("--yes", is_flag=True, help="Sign without asking: for who has read the table before.")
@_output_option
@node_options
def sign_proposal(*, home: Path, form: str, path: Path, yes: bool, target: Path | None) -> int:
    """Sign, as a steward, a roster that another steward proposed. Shows first what it would change."""
    config = load_config(home)
    held = asyncio.run(read_book(config)).held
    with possible():
        proposal = read_proposal(read_roster_file(path))
    check_proposal(proposal, held)
    rows = told_changes(None if held is None else held.roster, proposal.roster)
    if form == "human":
        click.echo(f"consortium {proposal.roster.consortium}, version {proposal.roster.version}\n")
        show_changes(rows)
    if not yes and not (form == "human" and sys.stdin.isatty() and click.confirm("\nSign this?")):
        emit(
            {"signed": False, "consortium": proposal.roster.consortium, "changes": rows},
            form=form,
            human=lambda: click.echo(
                "\nnothing was signed: run it again with --yes when this is what you want"
            ),
        )
        return 1
    carry_out(config, proposal, held, form, target=target or path)
    return 0


@consortium.command()
@click.option("--roster", "path", type=_FILE, required=True, help="The roster.bin that a founder gave you.")
@click.option("--consortium", "expected", help="Refuse any other consortium than the one with this id.")
@click.option("--name", default="", help="What this node calls the consortium.")
@click.option(
    "--publish", type=click.Choice(["hold", "catalogue", "off"]), help="Set what leaves; see `ioint preview`."
)
@node_options
def join(*, home: Path, form: str, path: Path, expected: str | None, name: str, publish: str | None) -> None:
    """Install a consortium's roster. Compare the id that it shows with what the founders tell you."""
    config = load_config(home)
    wanted = expected.replace(" ", "").lower() if expected is not None else None
    book = asyncio.run(install_files(config, read_roster_file(path), wanted))
    if publish is not None:
        config = change_setting(config, "publish", publish)
    if name:
        config = change_setting(config, "consortium", name)
    show_roster(config, book, form)
    if publish is None and config.publish == "hold" and form == "human" and sys.stdin.isatty():
        _ask_to_publish(load_config(home))


def _ask_to_publish(config: Config) -> None:
    """Ask once, with the bytes of a report in view, whether catalogue patterns may leave by themselves."""
    from ioint_node.cli.preview import show_sample  # noqa: PLC0415 - loads the model, which no other command here needs

    click.echo("\nThis is what a report of this node looks like, to the byte:\n")
    show_sample(config)
    if click.confirm("\nMay such reports of catalogue patterns leave at once? (no: each is held for you)"):
        change_setting(config, "publish", "catalogue")


@consortium.command()
@node_options
def show(*, home: Path, form: str) -> None:
    """Show the roster in force."""
    config = load_config(home)
    book = asyncio.run(read_book(config))
    if book.last is None:
        raise ConfigError("this node is in no consortium: `ioint consortium create`, or `join --roster FILE`")
    show_roster(config, book, form)


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
    columns = ("id", "name", "state", "connected_since", "last_success", "behind", "ahead", "in", "out")
    told = [
        {**row, "id": short_id(row["id"]), "in": row.get("bytes_in"), "out": row.get("bytes_out")}
        for row in rows
    ]
    empty = "no other member is on the roster"
    show_table(told, (*columns, "version", "refused", "quarantined_at"), empty=empty)
    if restarts := max((row.get("restarts") or 0 for row in rows), default=0):
        click.echo(f"the exchange process was replaced {restarts} times since the node started")


def _peer(member: Mapping[str, Any], link: Mapping[str, Any]) -> dict[str, Any]:
    """A member and its link as one row: instants as text, what was refused of its records and of its calls added."""
    refused = Counter(member["refused"]) + Counter(link.get("refused", {}))
    instants = {name: _instant(link.get(name)) for name in ("connected_since", "last_success")}
    told = {name: value for name, value in member.items() if name != "last_success_at"}
    return {**link, **told, **instants, "refused": dict(sorted(refused.items()))}


def _instant(ms: int | None) -> str | None:
    return None if ms is None else to_text(ms)


def _set_state(home: Path, form: str, member: str, state: str, target: Path | None) -> None:
    config = load_config(home)
    held = in_consortium(config)
    found = find_member(held.roster, member)
    if state == "removed" and any(steward.member == found.id for steward in held.roster.council):
        raise ConfigError(f"{found.id} is a steward: first `ioint consortium rotate --steward {found.id}`")
    members = [replace(each, state=state) if each is found else each for each in held.roster.members]
    change_members(config, held, members, form, target)


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
