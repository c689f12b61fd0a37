"""The file of the outer boundary: read at the start, and again when it changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ioint_node.access.boundary import BYTES, Boundary, read_boundary
from ioint_node.errors import ConfigError

LOOK_S: Final = 1.0  # between looks at whether the file changed
log = logging.getLogger("ioint")


def load_boundary(path: Path) -> Boundary:
    """The policy that the file of `boundary` holds.

    Raises:
        ConfigError: it cannot be read, or is no such policy.
    """
    try:
        with path.open("rb") as file:
            return read_boundary(file.read(BYTES + 1))
    except OSError as error:
        raise ConfigError(f"boundary: {path} cannot be read ({error.strerror}): correct the path") from None


class BoundaryFile:
    """The policy in force; a changed file that is faulty changes nothing, and `fault` says what is wrong with it."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._stamp, self._looked = self._stamped(), clock()
        self._boundary = load_boundary(path)
        self.fault = ""

    def __call__(self) -> Boundary:
        """The newest policy that could be read."""
        if self._clock() - self._looked >= LOOK_S:
            self._looked = self._clock()
            if (stamp := self._stamped()) != self._stamp:
                self._stamp = stamp
                self._read()
        return self._boundary

    def _read(self) -> None:
        try:
            self._boundary, self.fault = load_boundary(self._path), ""
            log.info("boundary_loaded rules=%d", len(self._boundary.rules))
        except ConfigError as error:
            self.fault = str(error)
            log.error("boundary_kept fault=%s", error)

    def _stamped(self) -> tuple[int, int, int]:
        try:
            told = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (told.st_ino, told.st_mtime_ns, told.st_size)
