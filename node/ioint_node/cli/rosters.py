"""The consortium's roster as a home directory holds it.

The database keeps every version; `roster.bin` is the same chain as one file, oldest first, each version behind its
length in four bytes. It is what a newcomer installs, and it holds nothing secret.

The database is imported where it is opened: the commands that only read files do not wait for it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ioint_protocol import ProtocolError

from ioint_node.config import Config, replace_private
from ioint_node.errors import ConfigError

if TYPE_CHECKING:
    from ioint_node.flows.roster import RosterBook
    from ioint_node.store.engine import Store

CHAIN_BYTES: Final = 64 * 1024 * 1024


async def read_book(config: Config) -> RosterBook:
    """The roster in force at this node."""
    from ioint_node.flows.roster import open_book  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store:
        return await open_book(store)


async def install_chain(config: Config, wires: Sequence[bytes]) -> tuple[RosterBook, bool]:
    """Take over the versions that follow from what is there, and write the chain anew.

    Raises:
        ConfigError: a version does not follow.
    """
    from ioint_node.flows.roster import install, open_book  # noqa: PLC0415 - see above
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store:
        book = await open_book(store)
        known = await _wires(store)
        try:
            news = [wire for wire in wires if wire not in known]
            changed = await install(store, book, news, time.time_ns() // 1_000_000)
        except ProtocolError as error:
            raise ConfigError(
                f"the roster is refused ({error}): ask a steward for the whole roster.bin of this consortium"
            ) from None
        chain = b"".join(struct.pack(">I", len(wire)) + wire for wire in await _wires(store))
    replace_private(config.roster_file, chain)
    return book, changed


async def _wires(store: Store) -> list[bytes]:
    from sqlalchemy import select  # noqa: PLC0415 - see above

    from ioint_node.store.schema import rosters  # noqa: PLC0415 - see above

    async with store.read() as connection:
        rows = await connection.execute(select(rosters.c.wire).order_by(rosters.c.version))
        return [bytes(row.wire) for row in rows]


def read_chain(path: Path) -> tuple[bytes, ...]:
    """The versions in a `roster.bin`, oldest first.

    Raises:
        ConfigError: the file cannot be read or is no such chain.
    """
    try:
        with path.open("rb") as file:
            data = file.read(CHAIN_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): name a roster.bin") from None
    wires: list[bytes] = []
    at = 0
    while at < len(data) <= CHAIN_BYTES:
        size = int.from_bytes(data[at : at + 4], "big")
        wires.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    if not wires or at != len(data):
        raise ConfigError(f"{path} is no roster: ask a steward for the roster.bin of the consortium")
    return tuple(wires)
