"""How the commands on this machine find the node that runs in a home directory."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from ioint_node.config.files import replace_private
from ioint_node.config.settings import Config


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
