"""`ioint consortium` and `ioint peers`: who is a member, and how the exchange with them goes.

The commands work on the home directory; a running node takes over a newer roster and passes it on.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from ioint_protocol import ProtocolError
from ioint_protocol.members import Member
from ioint_protocol.roster import Release, Roster, VerifiedRoster, sign_roster, verify_roster
from ioint_taxonomy import load_catalogue, load_taxonomy

from ioint_node.cli.cards import make_card, read_card
from ioint_node.cli.client import connect
from ioint_node.cli.names import short_id
from ioint_node.cli.options import Commands, check_place, emit, node_options, show_fields, show_table
from ioint_node.cli.rosters import install_chain, read_book, read_chain
from ioint_node.config import Config, change_setting, load_config, load_keys, make_steward_key
from ioint_node.errors import ConfigError
from ioint_node.store.times import to_text

DAY_S: Final = 86_400
ROSTER_DAYS: Final = 365
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Commands, short_help="Make, join and steer a consortium.")
def consortium() -> None:
    """Make, join and steer a consortium."""


@consortium.command()
@click.option("--output", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write it here.")
@node_options
def card(*, home: Path, form: str, target: Path | None) -> None:
    """Make this organisation's member card: public, to be given to a steward."""
    made = make_card(load_config(home), load_keys(home))
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
@node_options
def create(*, home: Path, form: str, name: str, cards: tuple[Path, ...]) -> None:
    """Found a consortium: a steward's key, and version 1 of the roster with this node and the given founders."""
    config = load_config(home)
    if asyncio.run(read_book(config)).verified is not None:
        raise ConfigError("this node is in a consortium: a second one needs a home directory of its own")
    own = load_keys(home)
    keys = own if own.steward_key is not None else make_steward_key(home)
    taxonomy, today = load_taxonomy(), int(time.time()) // DAY_S
    steward = keys.steward_key
    if steward is None:
        raise AssertionError("a steward's key was made")
    founders = [_own_member(config), *(read_card(path, since=1, sponsor="") for path in cards)]
    roster = Roster(
        version=1,
        issued_day=today,
        expires=(today + ROSTER_DAYS) * DAY_S,
        threshold=1,
        stewards=(bytes(steward.verify_key).hex(),),
        members=tuple(founders),
        taxonomy=Release(version=taxonomy.version, digest=taxonomy.digest),
        catalogue=load_catalogue().digest,
    )
    _publish(config, roster, form, name=name)


@consortium.command()
@click.option("--card", "path", type=_FILE, required=True, help="The card that the newcomer made.")
@node_options
def admit(*, home: Path, form: str, path: Path) -> None:
    """Put a member on the roster, or a suspended one back."""
    roster = _roster_in_force(home)
    new = read_card(path, since=roster.version + 1, sponsor=load_keys(home).member)
    listed = roster.member(new.id)
    if listed is not None and listed.state == "removed":
        raise ConfigError(f"{new.id} was removed for good: let it make a new node with new keys")
    if listed is not None:
        new = replace(listed, name=new.name, node_key=new.node_key, addresses=new.addresses, state="active")
    others = [member for member in roster.members if member.id != new.id]
    _publish(load_config(home), _next(roster, [*others, new]), form)


@consortium.command()
@click.argument("member")
@node_options
def suspend(*, home: Path, form: str, member: str) -> None:
    """Take a member's voice and connections away until it is admitted again."""
    _set_state(home, form, member, "suspended")


@consortium.command()
@click.argument("member")
@node_options
def remove(*, home: Path, form: str, member: str) -> None:
    """Take a member off for good: its keys are never accepted again."""
    _set_state(home, form, member, "removed")


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
    wires = read_chain(path)
    if expected is not None:
        _check_expected(wires, expected)
    if publish is not None:
        config = change_setting(config, "publish", publish)
    _install(config, wires, form, name=name)
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
    verified = asyncio.run(read_book(config)).verified
    if verified is None:
        raise ConfigError("this node is in no consortium: `ioint consortium create`, or `join --roster FILE`")
    _show(config, verified, form)


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


def _own_member(config: Config) -> Member:
    keys = load_keys(config.home)
    made = make_card(config, keys)
    return Member(
        id=keys.member,
        name=config.org,
        node_key=made["node_key"],
        record_key=made["record_key"],
        group=config.group,
        since=1,
        addresses=tuple(made["addresses"]),
    )


def _roster_in_force(home: Path) -> Roster:
    verified = asyncio.run(read_book(load_config(home))).verified
    if verified is None:
        raise ConfigError("this node is in no consortium: make one with `ioint consortium create`")
    return verified.roster


def _set_state(home: Path, form: str, member: str, state: str) -> None:
    roster = _roster_in_force(home)
    found = [each for each in roster.members if len(member) >= 4 and each.id.startswith(member)]
    if len(found) != 1:
        raise ConfigError(f"{member!r} names {len(found)} members: take the id from `ioint consortium show`")
    members = [replace(each, state=state) if each is found[0] else each for each in roster.members]
    _publish(load_config(home), _next(roster, members), form)


def _next(roster: Roster, members: list[Member]) -> Roster:
    today = max(int(time.time()) // DAY_S, roster.issued_day)
    return replace(
        roster,
        version=roster.version + 1,
        issued_day=today,
        expires=(today + ROSTER_DAYS) * DAY_S,
        members=tuple(members),
    )


def _publish(config: Config, roster: Roster, form: str, *, name: str = "") -> None:
    """Sign a roster with this node's steward key and install it."""
    steward = load_keys(config.home).steward_key
    if steward is None:
        raise ConfigError("this node holds no steward's key: run this where the consortium was created")
    try:
        wire = sign_roster(roster, [steward])
    except ProtocolError as error:
        raise ConfigError(f"no such roster can be made ({error}): correct the card or the setting") from None
    _install(config, [wire], form, name=name)


def _install(config: Config, wires: list[bytes] | tuple[bytes, ...], form: str, *, name: str) -> None:
    book, _ = asyncio.run(install_chain(config, wires))
    if book.verified is None:
        raise AssertionError("a roster was installed")
    if name:
        config = change_setting(config, "consortium", name)
    _show(config, book.verified, form)


def _check_expected(wires: tuple[bytes, ...], expected: str) -> None:
    try:
        found = verify_roster(wires[0], None).consortium
    except ProtocolError as error:
        raise ConfigError(f"the roster is refused ({error}): ask a founder for roster.bin again") from None
    if found != expected.replace(" ", "").lower():
        raise ConfigError(
            f"the file is of consortium {found}: do not join; ask the founders which id is theirs"
        )


def _show(config: Config, verified: VerifiedRoster, form: str) -> None:
    roster = verified.roster
    members = [
        {
            "id": member.id,
            "name": member.name,
            "group": member.group,
            "state": member.state,
            "since": member.since,
            "peer_id": member.peer_id,
            "addresses": list(member.addresses),
        }
        for member in roster.members
    ]
    result: dict[str, Any] = {
        "consortium": verified.consortium,
        "fingerprint": " ".join(verified.consortium[at : at + 4] for at in range(0, 32, 4)),
        "name": config.consortium,
        "version": roster.version,
        "expires": datetime.fromtimestamp(roster.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "threshold": roster.threshold,
        "stewards": list(roster.stewards),
        "roster": str(config.roster_file),
    }

    def human() -> None:
        show_fields(result)
        click.echo("")
        show_table(members, ("id", "name", "group", "state", "since", "addresses"), empty="no member")

    emit({**result, "members": members}, form=form, human=human)
