"""What may come of asking a node.

ClientError
├── Refused            the action is not allowed; `decision` says why
│   └── NeedsApproval  it waits for a person; `decision.approval` names what waits
├── NodeRefusedError   the node answered that the request cannot be served: a token, a field, a bound
├── NodeAwayError      no node answered, and the request has no answer of the client's own
└── NoSessionError     a guarded function was called outside of any session
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ioint_node.client.values import Decision


class ClientError(Exception):
    """Root of the errors of this package."""


class Refused(ClientError):  # noqa: N818 - an answer that stops the work, named by what it says
    """The action is not allowed; nothing was run."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.why)
        self.decision = decision


class NeedsApproval(Refused):
    """The action is held until a person decides; nothing was run."""


class NodeRefusedError(ClientError):
    """The node does not serve the request as it is; `status` and `name` are those of its problem details."""

    def __init__(self, status: int, name: str, detail: str) -> None:
        super().__init__(f"the node refused ({status} {name}): {detail}")
        self.status = status
        self.name = name


class NodeAwayError(ClientError):
    """No node answered; `sure` says that the request had no effect, `broken` that a connection broke at once."""

    def __init__(self, reason: str, *, sure: bool, broken: bool = False) -> None:
        super().__init__(reason)
        self.sure = sure
        self.broken = broken


class NoSessionError(ClientError):
    """A guarded function was called outside of any session."""
