"""The keys that sign security events: RSA, since the standard demands it, in one file with when each begins to sign."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from ioint_node.config.files import read_private, replace_private, write_private
from ioint_node.errors import ConfigError
from ioint_node.signals.sets import OVERLAP_S, KeySet, SigningKey, make_pem


class SignalKeys:
    """The keys of a node, made at their first use and read again when the file has changed; for any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int], KeySet] | None = None

    def __call__(self) -> KeySet:
        """The keys as they are now.

        Raises:
            ConfigError: the file is unreadable, readable by others, or holds something else.
        """
        with self._lock:
            if not self._path.exists():
                write_private(self._path, _written([_made(0)]))
            found = self._path.stat()
            version = (found.st_mtime_ns, found.st_ino)
            if self._read is None or self._read[0] != version:
                self._read = (version, _parsed(self._path))
            return self._read[1]


def rotate_signal_key(path: Path) -> tuple[str, int]:
    """Make a key that signs after the overlap, and forget those that have stopped for as long; its id, and when.

    Raises:
        ConfigError: the keys cannot be read or written, or one waits already.
    """
    now_s = int(time.time())
    kept = SignalKeys(path)()
    if kept.keys[-1].since_s > now_s:
        raise ConfigError(
            f"a key waits already, from {kept.keys[-1].since_s} (Unix seconds): let it begin first"
        )
    published = {key.kid for key in kept.published(now_s)}
    entries = [one for one in _entries(path) if _key(one, path).kid in published]
    fresh = _made(now_s + OVERLAP_S)
    replace_private(path, _written([*entries, fresh]))
    return _key(fresh, path).kid, now_s + OVERLAP_S


def _made(since_s: int) -> dict[str, Any]:
    return {"since": since_s, "pem": make_pem().decode()}


def _written(entries: list[dict[str, Any]]) -> bytes:
    return json.dumps({"keys": entries}, indent=1).encode() + b"\n"


def _parsed(path: Path) -> KeySet:
    return KeySet(keys=tuple(_key(one, path) for one in _entries(path)))


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(read_private(path))["keys"]
        ordered = sorted(entries, key=lambda one: int(one["since"]))
    except (ValueError, KeyError, TypeError):
        raise _unreadable(path) from None
    if not ordered:
        raise _unreadable(path)
    return ordered


def _key(entry: dict[str, Any], path: Path) -> SigningKey:
    try:
        return SigningKey.of_pem(entry["pem"].encode(), int(entry["since"]))
    except (ValueError, KeyError, AttributeError):
        raise _unreadable(path) from None


def _unreadable(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} does not hold the keys of security events: restore it from a backup, or remove it"
    )
