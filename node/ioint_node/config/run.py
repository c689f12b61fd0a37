"""How the commands on this machine find the node that runs in a home directory."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ioint_node.config.files import refuse_shared, replace_private
from ioint_node.config.settings import Config
from ioint_node.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Where a running node is reached."""

    url: str
    pid: int
    peer_id: str


def write_run(config: Config, run: RunInfo) -> None:
    """Tell the commands on this machine where the node listens."""
    body = json.dumps({"url": run.url, "pid": run.pid, "peer_id": run.peer_id})
    replace_private(config.run_file, body.encode())


def read_run(config: Config) -> RunInfo | None:
    """The node that runs in this home directory, or None; what one that was killed left counts as none."""
    try:
        data = json.loads(config.run_file.read_bytes())
        run = RunInfo(url=str(data["url"]), pid=int(data["pid"]), peer_id=str(data["peer_id"]))
        os.kill(run.pid, 0)  # signal 0 asks only whether the process is there
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return run


def clear_run(config: Config) -> None:
    """The node has stopped."""
    config.run_file.unlink(missing_ok=True)


@contextmanager
def hold_home(config: Config) -> Iterator[None]:
    """Hold the home directory for one running node; the system lets go of it however the process ends.

    Raises:
        ConfigError: another process runs this node, or others can reach what is its owner's alone.
    """
    refuse_shared(config.private_paths)
    handle = os.open(config.home, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"a node runs in {config.home} already: stop it first, or name another --home"
            ) from None
        yield
    finally:
        os.close(handle)
