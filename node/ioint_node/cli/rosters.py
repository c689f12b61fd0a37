"""The consortium's roster as a home directory holds it, and a change of it on its way.

The database keeps the files; `roster.bin` is the same as one file. It is what a newcomer installs, and it holds nothing
secret. A change that more than one steward must sign travels as a file of its own, a proposal.

The database and the TUF library are imported where they are used: other commands do not wait for them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from ioint_protocol import LIMITS, Files, Member, ProtocolError, Roster, bundle, check_follows
from nacl.signing import SigningKey

from ioint_node.cli.options import emit, show_fields, show_table
from ioint_node.cli.votes import cast_vote
from ioint_node.config import Config, Keys, change_setting, load_keys, replace_private, settle_keys
from ioint_node.errors import ConfigError

if TYPE_CHECKING:
    from ioint_node.flows.roster import RosterBook
    from ioint_node.membership import Membership, Proposal


_ASK_AGAIN: Final = "ask the steward who made it for the file again"
SKIPPED: Final = 64
"""Versions by which a proposal may be ahead: as many as are given up, but no number that ends the counting."""

proposal_option = click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the proposal goes when other stewards must sign it too.",
)


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
    from ioint_node.flows.ownlog import signed_for_another  # noqa: PLC0415 - see above
    from ioint_node.flows.roster import install, open_book, replace_fork  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    keys = load_keys(config.home)
    async with open_store(config.store_url) as store:
        book = await open_book(store)
        try:
            given = named_consortium({**book.files, **files})
            check_one_consortium(book.last, given)
            async with store.read() as connection:
                if book.last is None and await signed_for_another(
                    connection, keys.member, keys.record_key_at, given
                ):
                    raise ConfigError(
                        "what this node said in another consortium is in this home: "
                        "give this consortium a home of its own (`ioint init --home`)"
                    )
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


def check_one_consortium(last: Roster | None, given: str) -> None:
    """See that this node is in no other consortium.

    Raises:
        ConfigError: it is.
    """
    if last is not None and last.consortium != given:
        raise ConfigError(
            f"this node is in consortium {last.consortium} already, and that is {given}: leave the first "
            "(`ioint consortium leave`), or give the second a home directory of its own"
        )


def read_roster_file(path: Path) -> dict[str, bytes]:
    """The files in a `roster.bin`, unverified.

    Raises:
        ConfigError: it cannot be read, or is no such file.
    """
    return _read_bundle(path, "roster", "ask a steward for the roster.bin again")


def read_proposal_file(path: Path) -> Proposal:
    """The proposal that a file holds; its shape is checked, and no signature.

    Raises:
        ConfigError: it cannot be read, is no proposal, or was damaged on its way.
    """
    from ioint_node.membership import read_proposal  # noqa: PLC0415 - see above

    files = _read_bundle(path, "proposal", _ASK_AGAIN)
    with _undamaged(path):
        return read_proposal(files)


@contextmanager
def _undamaged(what: Path | str) -> Iterator[None]:
    """Within it, what the protocol refuses was not what a steward made."""
    try:
        yield
    except ProtocolError as error:
        raise ConfigError(f"{what} is no proposal here, or is damaged ({error}): {_ASK_AGAIN}") from None


def _read_bundle(path: Path, what: str, remedy: str) -> dict[str, bytes]:
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


def carry_out(
    config: Config,
    proposal: Proposal,
    held: Membership | None,
    form: str,
    *,
    target: Path | None = None,
    name: str = "",
) -> None:
    """Sign a proposal as this node's steward; install it when that is enough, else leave it as a file for the others.

    Raises:
        ConfigError: this node is no steward of this consortium, or no such roster can be.
    """
    from ioint_node import membership  # noqa: PLC0415 - see above

    after = proposal.roster_after(held)
    signers, clock = _signers(load_keys(config.home), after, held)
    if not signers:
        raise ConfigError("this node holds no steward's key of this consortium: run this at a steward's node")
    signed = proposal
    for key in signers:
        signed = membership.sign(signed, key)
    missing = membership.missing_signatures(signed, held)
    if not missing and clock is None:
        raise ConfigError("this node is no steward any more by this proposal: let one that stays sign last")
    cast_vote(config.home, after, proposal.digest)
    if not missing and clock is not None:
        book = asyncio.run(install_files(config, membership.publish(signed, held, clock, now_ms())))
        if name:
            config = change_setting(config, "consortium", name)
        show_roster(config, book, form)
        return
    path = target or config.home / f"proposal-{after.version}.bin"
    replace_private(path, bundle.write_bundle(signed.files))
    if name:
        change_setting(config, "consortium", name)
    result = {"pending": True, "proposal": str(path), "missing": missing, "version": after.version}
    emit(
        result,
        form=form,
        human=lambda: click.echo(
            f"{missing} more stewards must sign: give each in turn {path}, to run `ioint consortium sign` on it"
        ),
    )


def change_members(
    config: Config,
    held: Membership,
    members: Sequence[Member],
    form: str,
    target: Path | None,
    *,
    version: int | None = None,
) -> None:
    """Propose a roster with these members, of the next version or a later one, and carry it out."""
    from ioint_node.membership import Terms, propose_change  # noqa: PLC0415 - see above

    with possible():
        terms = replace(Terms.of(held.roster), members=tuple(members))
        proposal = propose_change(held, terms, now_ms(), version=version)
    carry_out(config, proposal, held, form, target=target)


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
    """The member whose id begins so.

    Raises:
        ConfigError: none, or more than one.
    """
    found = [each for each in roster.members if len(text) >= 4 and each.id.startswith(text)]
    if len(found) != 1:
        raise ConfigError(f"{text!r} names {len(found)} members: take the id from `ioint consortium show`")
    return found[0]


async def known_height(config: Config, member: str) -> int:
    """The newest segment of a member's log that this node holds, 0 for none."""
    from ioint_node.store import log  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store, store.read() as connection:
        return (await log.head(connection, member) or (0, ""))[0]


@contextmanager
def possible() -> Iterator[None]:
    """Within it, what the protocol refuses is the operator's to correct."""
    try:
        yield
    except ProtocolError as error:
        remedy = (
            "let it make a new node with new keys"
            if error.name == "inactive_member"
            else "correct the card, the setting or the file"
        )
        raise ConfigError(f"no such roster can be made ({error}): {remedy}") from None


def proposed(proposal: Proposal, held: Membership | None) -> Roster:
    """The roster of a proposal, if it may follow that in force.

    Raises:
        ConfigError: it is not.
    """
    from ioint_node.membership import check_signed  # noqa: PLC0415 - see above

    version = 0 if held is None else held.roster.version
    with _undamaged("the proposal"):
        after = proposal.roster_after(held)
    if not version < after.version <= version + SKIPPED:
        raise ConfigError(
            f"the proposal is for version {after.version}, and version {version} is in force: "
            "make it anew, or install the newest roster first"
        )
    with _undamaged("the proposal"):
        check_signed(proposal, held)
    try:
        if held is not None:
            check_follows(after, held.roster)
    except ProtocolError as error:
        raise ConfigError(f"the proposal may not follow ({error}): do not sign it") from None
    return after


def told_changes(before: Roster | None, after: Roster) -> list[dict[str, str]]:
    """What a roster would change, one row for each field."""
    from ioint_node.membership.changes import changes  # noqa: PLC0415 - see above

    return [asdict(change) for change in changes(before, after)]


def show_roster(config: Config, book: RosterBook, form: str, **more: Any) -> None:  # noqa: ANN401 - goes into a JSON document
    """Show the newest roster that a book holds, and what else there is to say of it."""
    roster = book.last
    if roster is None:
        raise AssertionError("a roster was installed")
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
    result: dict[str, Any] = {
        "consortium": roster.consortium,
        "fingerprint": " ".join(roster.consortium[at : at + 4] for at in range(0, 32, 4)),
        "name": config.consortium,
        "version": roster.version,
        "expires": datetime.fromtimestamp(roster.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "threshold": roster.threshold,
        "stewards": list(roster.stewards),
        "roster": str(config.roster_file),
    }

    def human() -> None:
        show_fields({name: value for name, value in result.items() if name != "stewards"})
        click.echo("")
        show_table(members, ("id", "name", "group", "state", "since", "addresses"), empty="no member")
        click.echo("")
        show_table(council, ("member", "steward_key", "clock_key"), empty="no steward")
        for name, told in more.items():
            click.echo(f"\n{name}")
            show_table(told if isinstance(told, list) else [told], tuple(_columns(told)), empty="none")

    emit({**result, "members": members, "council": council, **more}, form=form, human=human)


def _columns(told: list[dict[str, Any]] | dict[str, Any]) -> dict[str, Any]:
    rows = told if isinstance(told, list) else [told]
    return rows[0] if rows else {}


def show_changes(rows: list[dict[str, str]]) -> None:
    """Print what a proposal would change."""
    show_table(rows, ("of", "what", "before", "after"), empty="nothing changes but the dates")


def now_ms() -> int:
    """The time of this machine."""
    return time.time_ns() // 1_000_000


def _signers(
    keys: Keys, after: Roster, held: Membership | None
) -> tuple[list[SigningKey], SigningKey | None]:
    """This node's steward's keys, of before and after, and its clock key after."""
    stewards = {*after.stewards, *(() if held is None else held.roster.stewards)}
    clocks = {steward.clock_key for steward in after.council}
    signing = [key for key in (keys.steward_key, keys.next_key("steward")) if _among(key, stewards)]
    clock = next((key for key in (keys.clock_key, keys.next_key("clock")) if _among(key, clocks)), None)
    return [key for key in signing if key is not None], clock


def _among(key: SigningKey | None, named: Collection[str]) -> bool:
    return key is not None and bytes(key.verify_key).hex() in named


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
