"""What the proxy may cost, and how long it waits for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyLimits:
    """Every bound of the proxy."""

    judged: int = 256  # calls that are judged or run at a time; one more is refused
    tools: int = 256  # names of tools that the node is told
    name_chars: int = 256
    said_chars: int = 2_000  # of a reason as the agent reads it
    wait_s: float = 45.0  # for a person, before an agent is told that its call is held
    ask_s: float = 300.0  # for the answer of the person at the client
    continued: int = 256  # calls that wait for an answer of the client, and tasks that run
    flush_s: float = 5.0  # between two looks at what waits for the node
    close_s: float = 1.0  # to tell the node the end; a client kills what does not end soon
    message_bytes: int = 64 * 1024 * 1024  # of one message of the client
