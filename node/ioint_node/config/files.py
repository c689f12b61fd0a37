"""Files and directories that only their owner can reach."""

from __future__ import annotations

import os
import shlex
import stat
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ioint_node.errors import ConfigError

OTHERS: Final = 0o077  # the mode bits of everybody but the owner


def make_home(home: Path) -> None:
    """Make the directory with mode 0700, or make sure that nobody else can enter the one that is there.

    Raises:
        ConfigError: it cannot be made, or others can enter it.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_shared(home, "0700")
    except OSError as error:
        raise ConfigError(
            f"{home} cannot be made ({error.strerror}): name a directory you may write with --home"
        ) from None


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read.

    Raises:
        ConfigError: there is a file of that name, or it cannot be made.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} exists: it is kept; name another directory with --home") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}): check its directory") from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, in place of the one that is there, all at once."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    temporary.unlink(missing_ok=True)
    write_private(temporary, data)
    temporary.replace(path)


def read_private(path: Path) -> bytes:
    """Read a file that only its owner may read.

    Raises:
        ConfigError: it is missing, or its mode lets others read it.
    """
    try:
        _refuse_shared(path, "0600")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): make it with `ioint init`") from None


def refuse_shared(paths: Iterable[Path]) -> None:
    """Make sure that only their owner can reach these files and directories; those that are missing are passed over.

    Raises:
        ConfigError: others can reach some of them; it names each, and the one command that repairs all.
    """
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in paths if path.exists()}
    if shared := {path: mode for path, mode in modes.items() if mode & OTHERS}:
        listed = ", ".join(f"{path} ({mode:04o})" for path, mode in shared.items())
        command = shlex.join(["chmod", "go-rwx", *map(str, shared)])
        raise ConfigError(f"others can reach {listed}: run `{command}`")


def _refuse_shared(path: Path, wanted: str) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS:
        raise ConfigError(f"{path} has mode {mode:04o}, others can reach it: run `chmod {wanted} {path}`")
