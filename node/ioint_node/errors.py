"""Whose fault it is.

    NodeError
    ├── ConfigError        the operator's: the message ends with what to do
    ├── BusyError          nobody's: too much waits, and the same request may succeed later
    ├── RequestError       the caller's: a request that cannot be served as it is
    │   ├── NotFoundError
    │   ├── ConflictError
    │   └── TooLargeError
    ├── PredictionError    the file's: a session that cannot be read
    ├── ReceiptError       the file's: a receipt that cannot be replayed
    └── BundleError        the file's: a public bundle that must not be believed

A peer's fault is `ioint_protocol.ProtocolError`. A bug stays whatever Python raises.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_SAID_CHARS: Final = 64  # of a name that nobody knows
_LISTED: Final = 8  # a vocabulary of no more is said whole
_NEAR: Final = 3
TAXONOMY_FILE: Final = "ioint_taxonomy/data/taxonomy.json"


class NodeError(Exception):
    """Root of the errors that name a party at fault."""


class ConfigError(NodeError):
    """The operator has to change something; the message ends with what."""


class BusyError(NodeError):
    """A named bound on what may wait is reached; nothing was done, and trying again later is safe."""


class RequestError(NodeError):
    """The caller's request cannot be served as it is."""


class NotFoundError(RequestError):
    """What the caller names does not exist."""


class ConflictError(RequestError):
    """What the caller asks contradicts what is already so."""


class TooLargeError(RequestError):
    """What the caller sent is over a named bound."""


class PredictionError(NodeError):
    """A line of a sessions file cannot be read; the message names the line and the fault."""


class ReceiptError(NodeError):
    """A receipt that is not what a node wrote, or is more than a receipt may be; the message names the line."""


class BundleError(NodeError):
    """A public bundle, or the document of its key, that is not what it should be; nothing in it may be believed."""


def unknown_name(field: str, name: str, known: Iterable[str], section: str) -> RequestError:
    """The error of a name that the taxonomy does not have: the nearest that it has, and where all of them are.

    `section` is the part of the taxonomy that lists them, families or verbs, say.
    """
    said, names = name[:_SAID_CHARS], sorted(known)
    if len(names) <= _LISTED:
        return RequestError(f"{field}: {said!r} is none of {', '.join(names)}")
    near = difflib.get_close_matches(said, names, _NEAR)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return RequestError(
        f"{field}: {said!r} is not in the taxonomy: {meant}all are under `{section}` in {TAXONOMY_FILE}"
    )
