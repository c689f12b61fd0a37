"""`ioint consortium leave`: how a member goes, and how a home gets free of a roster that it does not belong to.

The database is imported where it is used: other commands do not wait for it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, Final

import click
from ioint_protocol import Roster

from ioint_node.cli.client import Client, connect
from ioint_node.cli.options import Whole, emit, node_options, show_fields
from ioint_node.cli.proposals import PROPOSALS
from ioint_node.cli.rosters import read_book
from ioint_node.config import Config, change_setting, load_config, load_keys, read_run
from ioint_node.errors import ConfigError

_POLL_S: Final = 0.5
_NOBODY: Final[dict[str, Any]] = {"standing": 0, "unsigned": 0, "undelivered": {}, "done": True}


@click.command()
@click.option(
    "--within",
    "within_s",
    type=Whole(0, 86_400),
    default=300,
    show_default=True,
    help="Seconds to wait.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--now",
    "at_once",
    is_flag=True,
    help="Leave even if some members have not heard by then, or as a steward without handing over.",
)
@node_options
def leave(*, home: Path, form: str, within_s: int, yes: bool, at_once: bool) -> int:
    """Leave the consortium: take back everything that this node said, wait until the others heard it, run alone.

    Who is no member, or the only one, has nobody to tell, and only forgets the roster and its application.
    """
    from ioint_node.flows.leaving import nobody_hears  # noqa: PLC0415 - see above

    config, member = load_config(home), load_keys(home).member
    roster = asyncio.run(read_book(config)).last
    if roster is None and not config.invitation_file.exists():
        raise ConfigError("this node is in no consortium: there is nothing to leave")
    silent = roster is None or nobody_hears(roster, member)
    question = "Forget this consortium?" if silent else "Take everything back and leave?"
    if not yes and not (form == "human" and sys.stdin.isatty() and click.confirm(question)):
        raise ConfigError("leaving takes back all that this node said: run it again with --yes")
    if silent:
        seen: dict[str, Any] = {"withdrawn": 0, **_NOBODY}
    else:
        seen = _take_back(connect(home), time.monotonic() + within_s, at_once=at_once)
    left = seen["done"] or at_once
    if left:
        _forget(config, at_once=at_once)
    result = {"left": left, "withdrawn": seen["withdrawn"], "member": member, **seen}

    def human() -> None:
        show_fields(result)
        if not left:
            click.echo("some have not heard yet: run this again later, or with --now")
        elif not silent:
            click.echo(f"ask a steward for: {_farewell(roster, member)}")

    emit(result, form=form, human=human)
    return 0 if left else 1


def _farewell(roster: Roster | None, member: str) -> str:
    """What the stewards who stay have to run."""
    steers = roster is not None and any(steward.member == member for steward in roster.council)
    first = f"ioint consortium rotate --steward {member}, then " if steers else ""
    return f"{first}ioint consortium remove {member}"


def _take_back(node: Client, deadline: float, *, at_once: bool) -> dict[str, Any]:
    """Withdraw everything, and wait for the members to hear it; returns how far that came."""
    made = node.post("api", "v1", "consortium", "leave", body={"at_once": at_once})
    shown = ""
    while True:
        seen: dict[str, Any] = node.get("api", "v1", "consortium", "leave")
        told = f"{seen['standing']} still count, {len(seen['undelivered'])} members have not heard all"
        if told != shown:
            click.echo(told, err=True)
            shown = told
        if seen["done"] or time.monotonic() >= deadline:
            return {"withdrawn": made["withdrawn"], **seen}
        time.sleep(_POLL_S)


def _forget(config: Config, *, at_once: bool) -> None:
    """Run alone from now on: by the running node, or else in its home."""
    if read_run(config) is not None:
        connect(config.home).post("api", "v1", "consortium", "leave", body={"end": True, "at_once": at_once})
    else:
        asyncio.run(_forget_roster(config))
    config.roster_file.unlink(missing_ok=True)
    config.invitation_file.unlink(missing_ok=True)
    for proposal in config.home.glob(PROPOSALS):
        proposal.unlink(missing_ok=True)
    if config.consortium:
        change_setting(config, "consortium", "")


async def _forget_roster(config: Config) -> None:
    from ioint_node.flows.leaving import forget  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store:
        await store.write(forget)
