"""Whose fault it is.

    NodeError
    ├── ConfigError        the operator's: the message ends with what to do
    ├── BusyError          nobody's: too much waits, and the same request may succeed later
    ├── RequestError       the caller's: a request that cannot be served as it is
    │   ├── NotFoundError
    │   ├── ConflictError
    │   └── TooLargeError
    └── PredictionError    the file's: a session that cannot be read

A peer's fault is `ioint_protocol.ProtocolError`. A bug stays whatever Python raises.
"""

from __future__ import annotations


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
