"""A Python client of a node: decisions for agents, also while the node is away.

    from ioint_node.client import Client

    with Client.from_token_file("http://127.0.0.1:8470", "agent.token") as client:
        with client.session(actor="a-17", declared="answer questions about orders") as session:
            send = session.guard(send_email)

Small: nothing of the node itself is imported. `docs/client.md` says what holds while no node answers.
"""

from __future__ import annotations

from ioint_node.client.aio import AsyncClient, AsyncSession
from ioint_node.client.errors import (
    ClientError,
    NeedsApproval,
    NodeAwayError,
    NodeRefusedError,
    NoSessionError,
    Refused,
)
from ioint_node.client.limits import ClientLimits
from ioint_node.client.sync import Client, Session
from ioint_node.client.values import (
    AlternativeAnswer,
    Approval,
    Closed,
    Decision,
    FeedbackAnswer,
    Intent,
    Network,
    Opened,
    Reason,
    ScopeAnswer,
    Snapshot,
    Step,
    StreamEvent,
    Trust,
)

__all__ = [
    "AlternativeAnswer",
    "Approval",
    "AsyncClient",
    "AsyncSession",
    "Client",
    "ClientError",
    "ClientLimits",
    "Closed",
    "Decision",
    "FeedbackAnswer",
    "Intent",
    "NeedsApproval",
    "Network",
    "NoSessionError",
    "NodeAwayError",
    "NodeRefusedError",
    "Opened",
    "Reason",
    "Refused",
    "ScopeAnswer",
    "Session",
    "Snapshot",
    "Step",
    "StreamEvent",
    "Trust",
]
