"""The consortium's roster as a home directory holds it.

The database keeps the files; `roster.bin` is the same as one file. It is what a newcomer installs, and it holds nothing
secret.

The database and the TUF library are imported where they are used: other commands do not wait for them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from ioint_protocol import LIMITS, Files, Member, ProtocolError, Roster, bundle

from ioint_node.cli.options import emit, show_fields, show_table
from ioint_node.config import Config, load_keys, read_private, replace_private, settle_keys
from ioint_node.errors import ConfigError
from ioint_node.store.times import day_text

MEMBER_DIGITS: Final = 4  # of an id, at least, to name a member

if TYPE_CHECKING:
    from ioint_node.flows.roster import RosterBook
    from ioint_node.membership import Membership
    from ioint_node.store.engine import Store


async def read_book(config: Config) -> RosterBook:
    """The roster in force at this node."""
    from ioint_node.flows.roster import open_book  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store:
        return await open_book(store)


async def install_files(
    config: Config, files: Files, consortium: str | None = None, *, fork: bool = False
) -> RosterBook:
    """Take over files that follow from what is there, or with `fork` replace it, and write `roster.bin` anew.

    Raises:
        ConfigError: they do not follow, or are of another consortium than the expected one, or than this node was in.
    """
    from ioint_node.flows.roster import install, open_book, replace_fork  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store:
        book = await open_book(store)
        try:
            await _check_free(config, store, book, named_consortium({**book.files, **files}))
            if fork:
                await replace_fork(store, book, files, now_ms())
            else:
                await install(store, book, files, now_ms(), consortium=consortium)
        except ProtocolError as error:
            raise ConfigError(f"the roster is refused ({error}): {_remedy(error.name)}") from None
    replace_private(config.roster_file, bundle.write_bundle(book.files))
    if book.last is not None:
        settle_keys(config.home, book.last)
    return book


async def check_free(config: Config, consortium: str) -> Roster | None:
    """See that this node may be in a consortium; give its newest roster of it, if any.

    Raises:
        ConfigError: it is in another one, or has said something in another one that is in its log.
    """
    from ioint_node.flows.roster import open_book  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store:
        book = await open_book(store)
        await _check_free(config, store, book, consortium)
    return book.last


async def _check_free(config: Config, store: Store, book: RosterBook, consortium: str) -> None:
    from ioint_node.flows.ownlog import signed_for_another  # noqa: PLC0415 - see above

    if book.last is not None and book.last.consortium != consortium:
        raise ConfigError(
            f"this node is in consortium {book.last.consortium} already, and that is {consortium}: leave the first "
            "(`ioint consortium leave`), or give the second a home directory of its own"
        )
    if book.last is not None:
        return
    keys = load_keys(config.home)
    async with store.read() as connection:
        if await signed_for_another(connection, keys.member, keys.record_key_at, consortium):
            raise ConfigError(
                "what this node said in another consortium is in this home: "
                "give this consortium a home of its own (`ioint init --home`)"
            )


def named_consortium(files: Files) -> str:
    """The id of the consortium that files are of, by the first root.

    Raises:
        ProtocolError: there is none among them, or its shape is wrong.
    """
    from ioint_node.membership import consortium_of  # noqa: PLC0415 - see above
    from ioint_node.membership.files import root_name  # noqa: PLC0415 - see above

    first = root_name(1)
    if first not in files:
        raise ProtocolError("missing_file", f"{first} was not given")
    return consortium_of(files[first])


def read_roster_file(path: Path) -> dict[str, bytes]:
    """The files in a `roster.bin`, unverified.

    Raises:
        ConfigError: it cannot be read, or is no such file.
    """
    return read_files(path, "roster", "ask a steward for the roster.bin again")


def read_files(path: Path, what: str, remedy: str) -> dict[str, bytes]:
    """The files in a file that holds several, as a roster or a proposal does; unverified.

    Raises:
        ConfigError: it cannot be read, or is no such file.
    """
    try:
        with path.open("rb") as file:
            files = bundle.read_bundle(file.read(LIMITS.bundle_bytes + 1))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): name the file of a {what}") from None
    except ProtocolError as error:
        raise ConfigError(f"{path} is no {what} ({error}): {remedy}") from None
    if not files:
        raise ConfigError(f"{path} is empty: {remedy}")
    return files


def roster_on_file(config: Config) -> Roster | None:
    """The roster by `roster.bin`, without a look into the database; None when there is none.

    Raises:
        ConfigError: the file was changed.
    """
    from ioint_node.membership import recall  # noqa: PLC0415 - see above

    if not config.roster_file.exists():
        return None
    try:
        return recall(read_roster_file(config.roster_file)).roster
    except ProtocolError as error:
        raise ConfigError(
            f"{config.roster_file} is not what this node wrote ({error}): join again with a steward's roster.bin"
        ) from None


def applied_at(config: Config) -> str | None:
    """Where this node's application waits, None when it waits nowhere.

    Raises:
        ConfigError: the invitation that it applies with cannot be read, or others can read it.
    """
    if not config.invitation_file.exists():
        return None
    from ioint_node.membership.invitations import read_invitation  # noqa: PLC0415 - see above

    try:
        return read_invitation(read_private(config.invitation_file).decode()).url
    except (ValueError, ProtocolError) as error:
        raise ConfigError(
            f"{config.invitation_file} is no invitation ({error}): join again with the one that you were given"
        ) from None


def own_state(config: Config, roster: Roster) -> str:
    """How this node stands on a roster: as it lists it, else `waiting` for who applied, or `not listed`."""
    listed = roster.member(load_keys(config.home).member)
    if listed is not None:
        return listed.state
    return "not listed" if applied_at(config) is None else "waiting"


def in_consortium(config: Config) -> Membership:
    """What this node holds of its consortium's roster.

    Raises:
        ConfigError: it is in none.
    """
    held = asyncio.run(read_book(config)).held
    if held is None:
        raise ConfigError("this node is in no consortium: make one with `ioint consortium create`")
    return held


def find_member(roster: Roster, text: str) -> Member:
    """The member whose id begins so, or that has this name.

    Raises:
        ConfigError: none, or more than one.
    """
    found = [
        each
        for each in roster.members
        if each.name == text or (len(text) >= MEMBER_DIGITS and each.id.startswith(text))
    ]
    if len(found) != 1:
        raise ConfigError(f"{text!r} names {len(found)} members: take the id from `ioint consortium show`")
    return found[0]


async def known_height(config: Config, member: str) -> int:
    """The newest segment of a member's log that this node holds, or has a proof of two of; 0 for none."""
    from ioint_node.store import log  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store, store.read() as connection:
        held, _ = await log.head(connection, member) or (0, "")
        # A key that began below a proof would take the proof back.
        return max(held, await log.equivocation_of(connection, member) or 0)


def show_roster(config: Config, book: RosterBook, form: str, **more: Any) -> None:  # noqa: ANN401 - goes into a JSON document
    """Show the newest roster that a book holds, and what else there is to say of it."""
    from ioint_node.membership import dates  # noqa: PLC0415 - see above

    roster = book.last
    if roster is None or book.held is None:
        raise AssertionError("a roster was installed")
    until = dates(book.held)
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
    council = [asdict(steward) for steward in roster.council]
    rulings = [
        {**asdict(ruling), "day": day_text(ruling.day), "until": day_text(ruling.until)}
        for ruling in roster.rulings
    ]
    result: dict[str, Any] = {
        "consortium": roster.consortium,
        "fingerprint": " ".join(roster.consortium[at : at + 4] for at in range(0, 32, 4)),
        "name": config.consortium,
        "version": roster.version,
        "expires": _instant(roster.expires),
        "stewards_until": _instant(until.stewards),
        "roster_until": _instant(until.roster),
        "newest_until": _instant(until.newest),
        "threshold": roster.threshold,
        "stewards": list(roster.stewards),
        "roster": str(config.roster_file),
        "this_node": own_state(config, roster),
        "applied_at": applied_at(config),
    }

    def human() -> None:
        told = {name: value for name, value in result.items() if name not in {"stewards", "expires"}}
        show_fields(
            told | {"newest_until": f"{result['newest_until']}: a steward's node says it anew every day"}
        )
        click.echo("")
        show_table(members, ("id", "name", "group", "state", "since", "addresses"), empty="no member")
        click.echo("")
        show_table(council, ("member", "steward_key", "clock_key"), empty="no steward")
        if rulings:
            click.echo("\nrulings")
            show_table(rulings, ("kind", "of", "author", "day", "until"), empty="")
        for name, told in more.items():
            click.echo(f"\n{name}")
            show_table(told if isinstance(told, list) else [told], tuple(_columns(told)), empty="none")

    emit(
        {**result, "members": members, "council": council, "rulings": rulings, **more}, form=form, human=human
    )


def _instant(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _columns(told: list[dict[str, Any]] | dict[str, Any]) -> dict[str, Any]:
    rows = told if isinstance(told, list) else [told]
    return rows[0] if rows else {}


def now_ms() -> int:
    """The time of this machine."""
    return time.time_ns() // 1_000_000


def _remedy(name: str) -> str:
    match name:
        case "expired":
            return "ask a steward for a newer roster.bin, and see that this machine's clock is right"
        case "wrong_consortium":
            return "do not join; ask the founders which id is theirs"
        case "rollback":
            return "what is in force here is newer; there is nothing to do"
        case "roster_fork" | "member_changed":
            return (
                "the stewards signed two rosters that do not agree, or this is a false one: ask several of them which "
                "one goes on, and take that with `ioint consortium join --roster FILE --replace-fork`"
            )
    return "ask a steward for the whole roster.bin of this consortium"
