"""`ioint consortium rotate`: new keys for this node, or another council."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from ioint_protocol import Roster, Steward

from ioint_node.card import own_card
from ioint_node.cli.cards import file_of_card, verified_card
from ioint_node.cli.options import Whole, check_place, emit, node_options
from ioint_node.cli.proposals import (
    carry_out,
    check_threshold,
    possible,
    proposal_option,
)
from ioint_node.cli.rosters import (
    find_member,
    in_consortium,
    known_height,
    now_ms,
)
from ioint_node.config import Config, load_config, load_keys, make_next_keys, make_record_key
from ioint_node.errors import ConfigError
from ioint_node.membership import Membership, Terms, propose_change

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
AHEAD_SEGMENTS: Final = 64
"""Segments that the old record key may still sign until a steward has put the new one on the roster."""


@click.command()
@click.option(
    "--record-key", is_flag=True, help="Make this node a new record key; the result is a card for a steward."
)
@click.option(
    "--node-key", is_flag=True, help="Make this node a new node key; the result is a card for a steward."
)
@click.option(
    "--steward-key", is_flag=True, help="Make this steward new keys, and propose the council with them."
)
@click.option("--steward", "leaving", help="Drop this steward: the id of the member.")
@click.option(
    "--card", "path", type=_FILE, help="The card of a member who becomes a steward (`card --steward`)."
)
@click.option("--threshold", type=Whole(1), help="Stewards who must sign from then on.")
@proposal_option
@node_options
def rotate(
    *,
    home: Path,
    form: str,
    record_key: bool,
    node_key: bool,
    steward_key: bool,
    leaving: str | None,
    path: Path | None,
    threshold: int | None,
    target: Path | None,
) -> None:
    """Change keys: this node's own, or those of the stewards.

    The old keys stay in use until the roster names the new ones.
    """
    config = load_config(home)
    held = in_consortium(config)
    council = bool(leaving or path or threshold)
    if sum((record_key or node_key, steward_key, council)) != 1:
        raise click.UsageError("name --record-key or --node-key, or --steward-key, or --steward and --card")
    if record_key or node_key:
        _own_keys(config, held.roster, form, record=record_key, node=node_key, target=target)
        return
    if steward_key:
        leaving = load_keys(home).member
        if not _sits(held.roster, leaving):
            raise ConfigError("this node is no steward: `ioint consortium card --steward` offers it")
        make_next_keys(home, "steward", "clock")
        card = verified_card(json.dumps(own_card(config, load_keys(home), held.roster)).encode(), held.roster)
        joining = card.steward
    else:
        joining = _offered(held.roster, path)
    _change_council(config, held, form, leaving=leaving, joining=joining, threshold=threshold, target=target)


def _own_keys(
    config: Config, roster: Roster, form: str, *, record: bool, node: bool, target: Path | None
) -> None:
    keys = load_keys(config.home)
    listed = roster.member(keys.member)
    if listed is None:
        raise ConfigError("the roster does not list this node: there is nothing to rotate")
    if record and keys.record_public.hex() == listed.record_key:
        make_record_key(config.home, asyncio.run(known_height(config, keys.member)) + 1 + AHEAD_SEGMENTS)
    if node:
        make_next_keys(config.home, "node")
    card = own_card(config, load_keys(config.home), roster)
    text = json.dumps(card, indent=2)
    if target is not None:
        check_place(target)
        target.write_text(text + "\n", encoding="utf-8")

    def human() -> None:
        click.echo(text if target is None else str(target))
        click.echo("give it to a steward, for `ioint consortium admit --card FILE`", err=True)
        if node:
            click.echo("restart this node once the roster names the new node key", err=True)

    emit(card, form=form, human=human)


def _offered(roster: Roster, path: Path | None) -> Steward | None:
    if path is None:
        return None
    card = verified_card(file_of_card(path), roster, path)
    if card.steward is None:
        raise ConfigError(
            f"{path} offers no steward's keys: let it be made with `ioint consortium card --steward`"
        )
    listed = roster.member(card.member)
    if listed is None or listed.state != "active":
        raise ConfigError(f"{card.name} is no active member: admit it first, `ioint consortium admit --card`")
    return card.steward


def _change_council(
    config: Config,
    held: Membership,
    form: str,
    *,
    leaving: str | None,
    joining: Steward | None,
    threshold: int | None,
    target: Path | None,
) -> None:
    roster = held.roster
    gone = None if leaving is None else find_member(roster, leaving).id
    if gone is not None and not _sits(roster, gone):
        raise ConfigError(f"{gone} is no steward: see `ioint consortium show`")
    new = () if joining is None else (joining,)
    dropped = {gone, *(each.member for each in new)}
    council = (*(each for each in roster.council if each.member not in dropped), *new)
    most = len(council) // 2 + 1
    kept = roster.threshold if most <= roster.threshold <= len(council) else most
    check_threshold(threshold or kept, len(council))
    terms = replace(Terms.of(roster), council=council, threshold=threshold or kept)
    with possible():
        proposal = propose_change(held, terms, now_ms())
    carry_out(config, proposal, held, form, target=target)


def _sits(roster: Roster, member: str) -> bool:
    return any(steward.member == member for steward in roster.council)
