"""`ioint consortium invite / join`: how a member comes, by an invitation or by a file.

The database and the HTTP client are imported where they are used: other commands do not wait for them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from ioint_protocol import ProtocolError, Roster

from ioint_node.card import add_fingerprint_keys, own_application
from ioint_node.cli.options import ConsortiumId, Whole, cell, check_place, emit, node_options, show_table
from ioint_node.cli.proposals import show_changes, told_changes
from ioint_node.cli.rosters import (
    check_free,
    in_consortium,
    install_files,
    named_consortium,
    now_ms,
    read_book,
    read_roster_file,
    show_roster,
)
from ioint_node.config import (
    Config,
    Keys,
    change_setting,
    load_config,
    load_keys,
    read_run,
    replace_private,
)
from ioint_node.errors import ConfigError
from ioint_node.membership import recall
from ioint_node.membership.invitations import (
    INVITATION_CHARS,
    Invitation,
    check_door,
    new_code,
    read_invitation,
    write_invitation,
)
from ioint_node.store.times import DAY_MS, to_text

if TYPE_CHECKING:
    from ioint_node.applying import Answer
    from ioint_node.flows.roster import RosterBook
    from ioint_node.store.invitations import Application, OpenInvitation

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_POLL_S: Final = 2.0


@click.command()
@click.option("--url", help="Where the applicant reaches this node: https://HOST; by default as it listens.")
@click.option("--days", type=Whole(1, 30), default=7, show_default=True, help="How long it is good.")
@click.option("--output", "target", type=_NEW_FILE, help="Write it here.")
@click.option("--list", "listing", is_flag=True, help="List the invitations that are open; make none.")
@click.option("--revoke", metavar="ID", help="Take back the open invitation with this id; make none.")
@node_options
def invite(  # click gives them by name
    *,
    home: Path,
    form: str,
    url: str | None,
    days: int,
    target: Path | None,
    listing: bool,
    revoke: str | None,
) -> None:
    """Make an invitation: a string with a one-time code, good for one applicant. It is shown this once."""
    config = load_config(home)
    if listing and revoke is not None:
        raise click.UsageError("name one of --list and --revoke")
    if listing:
        _list_open(config, form)
        return
    if revoke is not None:
        gone = asdict(asyncio.run(_revoke(config, revoke)))
        emit(gone, form=form, human=lambda: click.echo(f"invitation {gone['id']} is worth nothing now"))
        return
    held = in_consortium(config)
    identity, code = new_code()
    try:
        text = write_invitation(
            Invitation(url=check_door(url or _own_url(config)), consortium=held.roster.consortium, code=code)
        )
    except ProtocolError as error:
        raise ConfigError(f"the applicant cannot apply there ({error}): name --url https://HOST") from None
    expires = now_ms() + days * DAY_MS
    asyncio.run(_keep(config, identity, code, expires))
    if target is not None:
        check_place(target)
        replace_private(target, text.encode() + b"\n")
    made = {"id": identity, "expires": to_text(expires), "invitation": text}

    def human() -> None:
        click.echo(str(target) if target is not None else text)
        click.echo(
            f"good until {made['expires']}; `ioint consortium invite --revoke {identity}` takes it back",
            err=True,
        )

    emit(made, form=form, human=human)


@click.command()
@click.option("--invitation", "text", help="The invitation, or the file that holds it.")
@click.option("--roster", "path", type=_FILE, help="The roster.bin that a founder gave you.")
@click.option(
    "--consortium",
    "expected",
    type=ConsortiumId(),
    help="Refuse any other consortium than the one with this id, or fingerprint.",
)
@click.option("--name", default="", help="What this node calls the consortium.")
@click.option(
    "--publish", type=click.Choice(["hold", "catalogue", "off"]), help="Set what leaves; see `ioint preview`."
)
@click.option("--wait", "wait_s", type=Whole(0, 3_600), default=0, help="Seconds to wait for admission.")
@click.option("--yes", is_flag=True, help="Install the roster also where it does not list this node.")
@click.option(
    "--replace-fork",
    "fork",
    is_flag=True,
    help="Put the file in the place of a roster that it does not follow from; shows what differs, and asks.",
)
@node_options
def join(
    *,
    home: Path,
    form: str,
    text: str | None,
    path: Path | None,
    expected: str | None,
    name: str,
    publish: str | None,
    wait_s: int,
    yes: bool,
    fork: bool,
) -> int:
    """Join a consortium: apply with an invitation, or install a roster.

    With --roster, compare the id that it shows with what the founders tell you; an invitation holds it.
    """
    if (text is None) == (path is None):
        raise click.UsageError("name one of --invitation TEXT and --roster FILE")
    if fork and path is None:
        raise click.UsageError("--replace-fork goes with --roster FILE")
    config = load_config(home)
    more: dict[str, Any] = {}
    if path is not None:
        may_ask = form == "human" and sys.stdin.isatty()
        book = _take_roster(config, path, expected, may_ask=may_ask, yes=yes, fork=fork)
    else:
        invitation = _given(text or "", expected)
        answer = _apply_until(config, invitation, time.monotonic() + wait_s)
        book = asyncio.run(read_book(config))
        more = {"application": {"id": answer.application, "state": answer.state}}
    if publish is not None:
        config = change_setting(config, "publish", publish)
    if name:
        config = change_setting(config, "consortium", name)
    show_roster(config, book, form, **more)
    state = more["application"]["state"] if more else "admitted"
    if state == "refused":
        click.echo(
            "the inviter refused this node: `ioint consortium leave` forgets that consortium", err=True
        )
        return 1
    if state == "waiting":
        click.echo("a steward has to admit this node; it asks by itself while it runs", err=True)
    if publish is None and config.publish == "hold" and form == "human" and sys.stdin.isatty():
        _ask_to_publish(load_config(home))
    return 0


async def applications_here(config: Config, roster: Roster) -> list[dict[str, Any]]:
    """Who applied with an invitation of this node, and how it stands."""
    from ioint_node.flows.joining import all_applications  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store, store.read() as connection:
        found = await all_applications(connection, roster)
    return [
        {"id": each.id, "member": each.member, "name": each.name, "applied": each.applied_at, "state": state}
        for each, state in found
    ]


def card_of(config: Config, application: str) -> bytes:
    """The card of an application."""
    return asyncio.run(_application(config, application)).card


def settle_application(config: Config, form: str, application: str, *, export: Path | None) -> None:
    """Write an application's card to a file for a steward, or, without one, refuse it."""
    found = asyncio.run(_application(config, application))
    if export is not None:
        check_place(export)
        export.write_bytes(found.card + b"\n")
    else:
        asyncio.run(_refuse(config, found.id))
    done = {"application": found.id, "name": found.name, "card": None if export is None else str(export)}
    emit(
        {**done, "refused": export is None},
        form=form,
        human=lambda: click.echo(str(export) if export is not None else f"{cell(found.name)} is refused"),
    )


def _list_open(config: Config, form: str) -> None:
    rows = [asdict(each) for each in asyncio.run(_still_open(config))]
    emit(
        {"items": rows, "next": None},
        form=form,
        human=lambda: show_table(rows, ("id", "created_at", "expires_at"), empty="no invitation is open"),
    )


async def _still_open(config: Config) -> tuple[OpenInvitation, ...]:
    from ioint_node.store import invitations  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store, store.read() as connection:
        return await invitations.still_open(connection, now_ms())


async def _revoke(config: Config, identity: str) -> OpenInvitation:
    from ioint_node.store import invitations  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store:
        return await store.write(partial(invitations.revoke, identity=identity, now=now_ms()))


def _own_url(config: Config) -> str:
    run = read_run(config)
    return (
        run.url
        if run is not None
        else f"{'https' if config.web_tls_cert else 'http'}://{config.web_host}:{config.web_port}"
    )


async def _keep(config: Config, identity: str, code: str, expires: int) -> None:
    from ioint_node.store import invitations  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store:
        await store.write(
            partial(invitations.create, identity=identity, code=code, now=now_ms(), expires=expires)
        )


async def _application(config: Config, identity: str) -> Application:
    from ioint_node.store import invitations  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store, store.read() as connection:
        return await invitations.application(connection, identity)


async def _refuse(config: Config, identity: str) -> None:
    from ioint_node.store import invitations  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store:
        await store.write(partial(invitations.refuse, identity=identity, now=now_ms()))


def _given(text: str, expected: str | None) -> Invitation:
    file = Path(text)
    try:
        if len(text) < 1_024 and file.is_file():
            with file.open(encoding="utf-8") as opened:
                text = opened.read(INVITATION_CHARS + 1)
        invitation = read_invitation(text)
    except (OSError, ValueError, ProtocolError) as error:
        raise ConfigError(f"this is no invitation ({error}): ask the inviter for it again") from None
    _check_expected(invitation.consortium, expected)
    return invitation


def _take_roster(
    config: Config, path: Path, expected: str | None, *, may_ask: bool, yes: bool, fork: bool
) -> RosterBook:
    """Install the roster of a file, if it is of the expected consortium and lists this node, or else is wanted."""
    files = read_roster_file(path)
    try:
        given = named_consortium(files)
        _check_expected(given, expected)
        last = asyncio.run(check_free(config, given))
        roster = recall(files).roster
    except ProtocolError as error:
        raise ConfigError(f"{path} is no roster ({error}): ask a steward for the roster.bin again") from None
    if last is None and not yes and not _lists(roster, load_keys(config.home)):
        told = f"this node is not on that roster ({', '.join(member.name for member in roster.members)})"
        if not (may_ask and click.confirm(f"{told}. Install it all the same?")):
            raise ConfigError(
                f"{told}: give a steward the file of `ioint consortium card` and join with the roster.bin that "
                "comes of it; --yes installs this one"
            )
    if fork and last is not None and not yes:
        show_changes(told_changes(last, roster))
        if not (may_ask and click.confirm("\nPut that in the place of the roster here?")):
            raise ConfigError("nothing was replaced: run it again with --yes when this is what you want")
    return asyncio.run(install_files(config, files, fork=fork and last is not None))


def _lists(roster: Roster, keys: Keys) -> bool:
    """Whether a roster names one of a node's keys, and not as those of a member that was removed."""
    own = {keys.node_public.hex(), *(bytes(key.verify_key).hex() for key in keys.record_keys)}
    return any(own & set(member.keys) for member in roster.members if member.state != "removed")


def _check_expected(found: str, expected: str | None) -> None:
    if expected is not None and not found.startswith(expected):
        raise ConfigError(f"that is consortium {found}: do not join; ask the founders which id is theirs")


def _apply_until(config: Config, invitation: Invitation, deadline: float) -> Answer:
    """Apply, install what the door gives, and ask again until admitted, refused or out of time."""
    from ioint_node.applying import TurnedAwayError, apply  # noqa: PLC0415 - see above

    last, keys = asyncio.run(check_free(config, invitation.consortium)), load_keys(config.home)
    # While it waits it asks with the same invitation: it may have been admitted meanwhile.
    if last is not None and _lists(last, keys) and not config.invitation_file.exists():
        raise ConfigError("this node is a member already: the invitation is for whom it was made")
    replace_private(config.invitation_file, write_invitation(invitation).encode() + b"\n")
    while True:
        last = asyncio.run(read_book(config)).last
        try:
            application = own_application(config, load_keys(config.home), last, invitation)
            answer = asyncio.run(apply(invitation, application))
        except TurnedAwayError:
            config.invitation_file.unlink(missing_ok=True)
            raise
        last = asyncio.run(install_files(config, answer.files, invitation.consortium)).last
        add_fingerprint_keys(config, load_keys(config.home), last, answer.sealed_keys)
        if answer.state != "waiting":
            config.invitation_file.unlink(missing_ok=True)
        if answer.state != "waiting" or time.monotonic() >= deadline:
            return answer
        time.sleep(_POLL_S)


def _ask_to_publish(config: Config) -> None:
    """Ask once, with the bytes of a report in view, whether catalogue patterns may leave by themselves."""
    from ioint_node.cli.preview import show_sample  # noqa: PLC0415 - loads the model, which no other command here needs

    click.echo("\nThis is what a report of this node looks like, to the byte:\n")
    show_sample(config)
    if click.confirm("\nMay such reports of catalogue patterns leave at once? (no: each is held for you)"):
        change_setting(config, "publish", "catalogue")
