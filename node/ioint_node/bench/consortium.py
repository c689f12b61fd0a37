"""A consortium of new members for measuring, made by the library alone: homes, databases and the roster in each."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from ioint_protocol import Member, Release, Roster, sign_roster
from ioint_taxonomy import load_catalogue, load_taxonomy
from nacl.signing import SigningKey

from ioint_node.config import Config, Keys, make_keys, write_config
from ioint_node.flows.roster import install, open_book
from ioint_node.store.engine import open_store
from ioint_node.store.migrate import upgrade

DAY_S = 86_400
VALID_DAYS = 30
STEWARD = SigningKey(b"a steward of what is only tested")


async def found(homes: Sequence[Path]) -> None:
    """Make a member in each of these directories, all founders of one consortium and each a group of its own.

    The roster names no addresses: nobody meets anybody before being told whom.
    """
    configs = [
        Config(home=home, org=f"Org {number}", web_port=0, exchange_port=0)
        for number, home in enumerate(homes)
    ]
    keys = []
    for config in configs:
        write_config(config)
        keys.append(make_keys(config.home))
    await _install(configs[0], _roster(configs, keys))
    for config in configs[1:]:  # a database holds nothing of its member's own yet
        shutil.copyfile(database(configs[0].home), database(config.home))
        database(config.home).chmod(0o600)


def database(home: Path) -> Path:
    """Where a member's database is."""
    return home / "ioint.db"


async def _install(config: Config, roster: Roster) -> None:
    await upgrade(config.store_url)
    wire = sign_roster(roster, [STEWARD])
    async with open_store(config.store_url) as store:
        await install(store, await open_book(store), [wire], time.time_ns() // 1_000_000)


def _roster(configs: Sequence[Config], keys: Sequence[Keys]) -> Roster:
    today = int(time.time()) // DAY_S
    members = [_member(config, own) for config, own in zip(configs, keys, strict=True)]
    return Roster(
        version=1,
        issued_day=today,
        expires=(today + VALID_DAYS) * DAY_S,
        threshold=1,
        stewards=(bytes(STEWARD.verify_key).hex(),),
        members=tuple(sorted(members, key=lambda member: member.id)),
        taxonomy=Release(version=load_taxonomy().version, digest=load_taxonomy().digest),
        catalogue=load_catalogue().digest,
    )


def _member(config: Config, keys: Keys) -> Member:
    return Member(
        id=keys.member,
        name=config.org,
        node_key=keys.node_public.hex(),
        record_key=keys.record_public.hex(),
        group=config.group,
        sponsor="",
        class_="member",
        since=1,
        addresses=(),
        state="active",
    )
