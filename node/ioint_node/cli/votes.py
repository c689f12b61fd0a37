"""What a steward has signed: of one version never two proposals (SPEC, "Roster").

Each of two proposals may look good to whoever gets it; only who signs both lets both come in force, and no rule could
join the halves of the consortium again. So the home keeps, on disk before a signature leaves, what was signed last.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ioint_protocol import Roster

from ioint_node.config import read_private, replace_private
from ioint_node.errors import ConfigError

_FILE: Final = "signed.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """The newest proposal that was signed here: of which consortium and version, and its digest (SHA-256, hex)."""

    consortium: str
    version: int
    digest: str


def last_vote(home: Path, consortium: str) -> Vote | None:
    """What was signed last for a consortium, None for nothing.

    Raises:
        ConfigError: the file cannot be read, or is damaged.
    """
    path = home / "keys" / _FILE
    if not path.exists():
        return None
    try:
        vote = Vote(**json.loads(read_private(path)))
    except (ValueError, TypeError):
        raise ConfigError(
            f"{path} is damaged, and says which proposal was signed last: restore it from a backup"
        ) from None
    return vote if vote.consortium == consortium else None


def cast_vote(home: Path, after: Roster, digest: str) -> None:
    """Note what is about to be signed, on disk before this returns; the same proposal again changes nothing.

    Raises:
        ConfigError: another proposal of this version, or one of a later version, was signed before.
    """
    vote = Vote(consortium=after.consortium, version=after.version, digest=digest)
    with _alone(home) as directory:
        last = last_vote(home, after.consortium)
        if last == vote:
            return
        if last is not None and last.version >= vote.version:
            raise ConfigError(
                f"this steward signed another proposal of version {last.version}: let that one be finished, "
                "or give it up with `ioint consortium renew --abandon`"
            )
        replace_private(home / "keys" / _FILE, json.dumps(asdict(vote)).encode() + b"\n")
        os.fsync(directory)  # or the new name could be gone after a crash


def version_past(home: Path, held: Roster) -> int:
    """The version for a proposal in the place of one that was signed here and is given up.

    It is not the very next one: should the other come in force all the same, its holders can still follow.

    Raises:
        ConfigError: nothing that was signed here waits to come in force.
    """
    last = last_vote(home, held.consortium)
    if last is None or last.version <= held.version:
        raise ConfigError("no proposal that this steward signed is open: run it without --abandon")
    return last.version + 2


@contextmanager
def _alone(home: Path) -> Iterator[int]:
    """Keep other commands on this home out; gives the directory of the keys, open."""
    directory = os.open(home / "keys", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # held for some milliseconds, and ends with the process
        yield directory
    finally:
        os.close(directory)
