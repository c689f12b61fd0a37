"""A change of the roster on its way: a file of its own, that goes from steward to steward until enough have signed.

The TUF library is imported where it is used: other commands do not wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from ioint_protocol import Member, ProtocolError, Roster, Ruling, bundle, check_follows
from nacl.signing import SigningKey

from ioint_node.cli.options import emit, show_table
from ioint_node.cli.rosters import install_files, now_ms, read_files, show_roster
from ioint_node.cli.votes import cast_vote
from ioint_node.config import Config, Keys, change_setting, load_keys, replace_private
from ioint_node.errors import ConfigError

if TYPE_CHECKING:
    from ioint_node.membership import Membership, Proposal

PROPOSALS: Final = "proposal-*.bin"
"""The names of proposals in the home directory."""
SKIPPED: Final = 64
"""Versions by which a proposal may be ahead: as many as are given up, but no number that ends the counting."""
_ASK_AGAIN: Final = "ask the steward who made it for the file again"

proposal_option = click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the proposal goes when other stewards must sign it too.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A proposal for which stewards are still to sign: `missing` of them when this node had."""

    path: Path
    roster: Roster
    missing: int


def read_proposal_file(path: Path) -> Proposal:
    """The proposal that a file holds; its shape is checked, and no signature.

    Raises:
        ConfigError: it cannot be read, is no proposal, or was damaged on its way.
    """
    from ioint_node.membership import read_proposal  # noqa: PLC0415 - see above

    files = read_files(path, "proposal", _ASK_AGAIN)
    with _undamaged(path):
        return read_proposal(files)


@contextmanager
def _undamaged(what: Path | str) -> Iterator[None]:
    """Within it, what the protocol refuses was not what a steward made."""
    try:
        yield
    except ProtocolError as error:
        raise ConfigError(f"{what} is no proposal here, or is damaged ({error}): {_ASK_AGAIN}") from None


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
    cast_vote(config.home, after, proposal.digest)
    if not missing and clock is not None:
        book = asyncio.run(install_files(config, membership.publish(signed, held, clock, now_ms())))
        if name:
            config = change_setting(config, "consortium", name)
        show_roster(config, book, form)
        if form == "human":
            click.echo(_next_step(config, after, held))
        return
    kept = config.home / f"proposal-{after.version}.bin"
    path = target or kept
    for place in {path, kept}:  # the copy here is what `show` tells of
        replace_private(place, bundle.write_bundle(signed.files))
    if name:
        change_setting(config, "consortium", name)
    result = {
        "pending": True,
        "proposal": str(path),
        "missing": missing,
        "version": after.version,
        "threshold": after.threshold,
    }
    # Who steers no more by this signs it too, but has no clock key of afterwards to put it in force with.
    told = (
        f"{stewards(missing)} must sign: give each in turn {path}, to run `ioint consortium sign` on it"
        if missing
        else f"give {path} to a steward who stays: `ioint consortium sign` brings it in force there"
    )
    of = f"version {after.version}, by which {after.threshold} of {len(after.council)} stewards sign"
    emit(result, form=form, human=lambda: click.echo(f"{of}: {told}. Until then nothing has changed"))


def pending(config: Config, held: Membership | None) -> list[Pending]:
    """The proposals of this node that may still come in force, as they left it."""
    found = []
    for path in sorted(config.home.glob(PROPOSALS)):
        try:
            found.append(_pending(path, held))
        except ConfigError:
            continue  # its number is in force, or it was never of this consortium
    return found


def _pending(path: Path, held: Membership | None) -> Pending:
    from ioint_node.membership import missing_signatures  # noqa: PLC0415 - see above

    proposal = read_proposal_file(path)
    return Pending(path=path, roster=proposed(proposal, held), missing=missing_signatures(proposal, held))


def _next_step(config: Config, after: Roster, held: Membership | None) -> str:
    """What is left to do once a roster is in force here."""
    if held is not None:
        return "\nin force here: the running nodes hand it on to all members"
    others = len(after.members) - 1
    if not others:
        return (
            "\nonly this node is a member: others come by `ioint consortium invite`, or by their card and "
            "`admit --card`"
        )
    return (
        f"\nin force here: hand {config.roster_file} to the other members ({others}), who run `ioint consortium join "
        f"--roster roster.bin --consortium {after.consortium}`"
    )


def stewards(missing: int) -> str:
    """Who has to sign still, in words; with enough signatures, who puts them in force."""
    if not missing:
        return "a steward who stays"
    return "1 more steward" if missing == 1 else f"{missing} more stewards"


def check_threshold(threshold: int, stewards: int) -> None:
    """See that so many of so many stewards can be asked to sign.

    Raises:
        ConfigError: they are not more than half of them, or more than there are.
    """
    least = stewards // 2 + 1
    if not stewards:
        raise ConfigError("no steward would be left: bring another with --card first")
    if not least <= threshold <= stewards:
        enough = f"{least}" if least == stewards else f"{least} to {stewards}"
        raise ConfigError(
            f"--threshold {threshold}: of {stewards} stewards {enough} must sign, more than half"
        )


def change_roster(
    config: Config,
    held: Membership,
    form: str,
    target: Path | None,
    *,
    members: Sequence[Member] | None = None,
    rulings: Sequence[Ruling] | None = None,
    version: int | None = None,
) -> None:
    """Propose a roster with these members and rulings, of the next version or a later one, and carry it out.

    What is not given stays as it is.
    """
    from ioint_node.membership import Terms, propose_change  # noqa: PLC0415 - see above

    roster = held.roster
    with possible():
        terms = replace(
            Terms.of(roster),
            members=roster.members if members is None else tuple(members),
            rulings=roster.rulings if rulings is None else tuple(rulings),
        )
        proposal = propose_change(held, terms, now_ms(), version=version)
    carry_out(config, proposal, held, form, target=target)


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


def show_changes(rows: list[dict[str, str]]) -> None:
    """Print what a proposal would change."""
    show_table(rows, ("of", "what", "before", "after"), empty="nothing changes but the dates")


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
