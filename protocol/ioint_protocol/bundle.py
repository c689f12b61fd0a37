"""The files of a roster, and how they travel together (SPEC, "Roster").

A roster is five kinds of files. Whoever hands it over gives them by name, and whoever gets it needs nothing else: no
file is asked for in the midst of checking another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from ioint_protocol import frame
from ioint_protocol.errors import ProtocolError
from ioint_protocol.frame import Reader
from ioint_protocol.limits import LIMITS

Files: TypeAlias = Mapping[str, bytes]  # by name

_MAGIC: Final = b"IORB"
_NAME_CHARS: Final = 80
_NAME: Final = re.compile(
    r"(?P<version>[1-9][0-9]{0,15})\.(?P<versioned>root|snapshot|targets)\.json"
    r"|(?P<timestamp>timestamp)\.json|[0-9a-f]{64}\.(?P<roster>roster)\.json"
)
SIZES: Final = {
    "root": LIMITS.root_bytes,
    "timestamp": LIMITS.timestamp_bytes,
    "snapshot": LIMITS.snapshot_bytes,
    "targets": LIMITS.targets_bytes,
    "roster": LIMITS.roster_bytes,
}
KINDS: Final = tuple(SIZES)


def kind_of(name: str) -> str:
    """Give what a file is, one of `KINDS`, by its name.

    Raises:
        ProtocolError: `bad_frame` when no file of a roster is called so.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ProtocolError("bad_frame", "a name that no file of a roster has")
    return found["versioned"] or found["timestamp"] or found["roster"]


def version_of(name: str) -> int:
    """Give the version in a file's name, 0 where the name has none."""
    found = _NAME.fullmatch(name)
    return int(found["version"]) if found is not None and found["version"] else 0


def newest_root(files: Files) -> int:
    """Give the highest version of a root among files, 0 when there is none."""
    return max((version_of(name) for name in files if kind_of(name) == "root"), default=0)


def in_order(files: Files) -> list[str]:
    """Give the names in the order in which the files are needed: roots ascending, then what each next file names."""
    return sorted(files, key=lambda name: (KINDS.index(kind_of(name)), version_of(name)))


def check_sizes(files: Files) -> None:
    """Refuse a file that is larger than its kind may be.

    Raises:
        ProtocolError: `too_large`, `bad_frame`.
    """
    for name, data in files.items():
        frame.check_size(data, SIZES[kind_of(name)])


def write_files(files: Files) -> bytes:
    """Give files one after another, in the order in which they are needed: each name, then its bytes."""
    check_sizes(files)
    return b"".join(
        frame.block(1, name.encode("ascii")) + frame.block(4, files[name]) for name in in_order(files)
    )


def read_files(data: bytes) -> dict[str, bytes]:
    """Take files apart; nothing about them is checked but name and size.

    Raises:
        ProtocolError: `bad_frame`, `too_large`.
    """
    return _read_rest(Reader(data))


def write_bundle(files: Files) -> bytes:
    """Give files as one file that can be handed over."""
    return frame.opening(_MAGIC) + write_files(files)


def read_bundle(data: bytes) -> dict[str, bytes]:
    """Take such a file apart.

    Raises:
        ProtocolError: `bad_frame`, `too_large`.
    """
    frame.check_size(data, LIMITS.bundle_bytes)
    reader = Reader(data)
    reader.magic(_MAGIC)
    return _read_rest(reader)


def _read_rest(reader: Reader) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    while not reader.at_end:
        name = reader.block(1, _NAME_CHARS).decode("latin-1")
        if name in files:
            raise ProtocolError("bad_frame", f"{name} twice")
        files[name] = reader.block(4, SIZES[kind_of(name)])
    return files
