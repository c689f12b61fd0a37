"""What guarded functions and sessions have in common, for threads and for tasks."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

from ioint_node.client.errors import NeedsApproval, Refused
from ioint_node.client.limits import ClientLimits
from ioint_node.client.values import Decision

# The session that guarded functions of a client act in, innermost last.
CURRENT: Final[ContextVar[tuple[Any, ...]]] = ContextVar("ioint_sessions", default=())


def new_id() -> str:
    """An action id that nobody used."""
    return secrets.token_hex(12)


def arguments_by_name(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """What a call gives each parameter, defaults included; `self` and `cls` are no arguments."""
    signature = inspect.signature(function)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named |= value
        elif name not in {"self", "cls"} and not (kind is inspect.Parameter.VAR_POSITIONAL and not value):
            named[name] = value
    return named


def refusal(decision: Decision) -> Refused:
    """The error of a decision that does not allow."""
    return NeedsApproval(decision) if decision.held else Refused(decision)


def pauses(limits: ClientLimits, wait_s: float) -> list[float]:
    """How long to wait before each look at whether a person has decided, `wait_s` in all."""
    found, left, pause = [], wait_s, limits.poll_s
    while left > 0:
        found.append(min(pause, left))
        left -= pause
        pause = min(1.5 * pause, limits.poll_most_s)
    return found


def outcome_of(error: BaseException | None) -> str:
    """How a session ended by how its block ended."""
    if error is None:
        return "done"
    return (
        "failed"
        if isinstance(error, Exception) and not isinstance(error, asyncio.CancelledError)
        else "aborted"
    )


def said_of(error: BaseException) -> str:
    """An error as the node is told of it."""
    return f"{type(error).__name__}: {error}"
