"""A consortium of new members for measuring, made by the library alone: homes, databases and the roster in each."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from ioint_protocol import Member, RecordKey, Release, Steward
from ioint_taxonomy import load_catalogue, load_taxonomy
from nacl.signing import SigningKey

from ioint_node import membership
from ioint_node.config import Config, Keys, make_keys, write_config
from ioint_node.flows.roster import install, open_book
from ioint_node.membership import Membership, Terms
from ioint_node.store.engine import open_store
from ioint_node.store.migrate import upgrade

_STEWARD = b"a steward of what is only tested"
_CLOCK = b"the clock of what is only tested"


async def found(homes: Sequence[Path], ports: Sequence[int] = ()) -> list[Config]:
    """Make a member in each of these directories, all founders of one consortium and each a group of its own.

    The roster names loopback and these ports, one for each member. Without any it names no addresses: nobody meets
    anybody before being told whom.
    """
    configs = [
        Config(home=home, org=f"Org {number}", web_port=0, exchange_port=port)
        for number, (home, port) in enumerate(zip(homes, ports or [0] * len(homes), strict=True))
    ]
    keys = []
    for config in configs:
        write_config(config)
        keys.append(make_keys(config.home))
    now = time.time_ns() // 1_000_000
    await _install(configs[0], _founded(configs, keys, now), now)
    for config in configs[1:]:  # a database holds nothing of its member's own yet
        shutil.copyfile(database(configs[0].home), database(config.home))
        database(config.home).chmod(0o600)
    return configs


def database(home: Path) -> Path:
    """Where a member's database is."""
    return home / "ioint.db"


async def _install(config: Config, founded: Membership, now: int) -> None:
    await upgrade(config.store_url)
    async with open_store(config.store_url) as store:
        await install(store, await open_book(store), founded.files, now)


def _founded(configs: Sequence[Config], keys: Sequence[Keys], now: int) -> Membership:
    steward, clock = SigningKey(_STEWARD), SigningKey(_CLOCK)
    members = [
        Member(
            id=own.member,
            name=config.org,
            node_key=own.node_public.hex(),
            record_keys=(RecordKey(key=own.record_public.hex()),),
            group=config.group,
            since=1,
            addresses=(f"/ip4/127.0.0.1/tcp/{config.exchange_port}",) if config.exchange_port else (),
        )
        for config, own in zip(configs, keys, strict=True)
    ]
    seat = Steward(
        member=keys[0].member,
        steward_key=bytes(steward.verify_key).hex(),
        clock_key=bytes(clock.verify_key).hex(),
    )
    terms = Terms(
        members=tuple(sorted(members, key=lambda member: member.id)),
        council=(seat,),
        threshold=1,
        taxonomy=Release(version=load_taxonomy().version, digest=load_taxonomy().digest),
        catalogue=load_catalogue().digest,
    )
    return membership.found(terms, [steward], clock, now)
