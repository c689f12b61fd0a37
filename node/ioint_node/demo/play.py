"""Replay recorded sessions over HTTP, as an agent's runtime would post them while it works."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ioint_node.demo.client import Client
from ioint_node.errors import PredictionError

ACTING = "tool_call"
LINE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One session of a file: what was declared, by which agent, and the events in order."""

    session_id: str
    agent: str
    declared: str
    tools: tuple[str, ...]
    clock: bool
    events: Sequence[Mapping[str, Any]]
    organisation: int = 1  # of a shipped session: who plays it, from 1
    wave: int = 1  # of a shipped session

    @property
    def actions(self) -> int:
        """How many of the events are actions."""
        return sum(1 for event in self.events if event.get("kind") == ACTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What the node answered to one action: the decision, and the trust that it used just before."""

    session_id: str
    agent: str
    decision: Mapping[str, Any]
    used_before: float
    clean_before: bool  # every earlier verdict of this session was in_scope


class Playback:
    """One session being replayed at one node; it can stop before an action and go on later."""

    def __init__(self, client: Client, recorded: Recorded, *, agent: str, session_id: str) -> None:
        self._client = client
        self._recorded = recorded
        self._agent = agent
        self._session_id = session_id
        self._events = iter(enumerate(recorded.events))
        self._used = 0.0
        self._clean = True
        self._last_action: str | None = None
        self.left = recorded.actions

    async def open(self) -> Mapping[str, Any]:
        """Declare the session; the answer holds the authority map and the trust before the first action."""
        actor: dict[str, Any] = {"id": self._agent, "kind": "agent"}
        answer: Mapping[str, Any] = await self._client.post(
            "/api/v1/sessions",
            {"session_id": self._session_id, "actor": actor, "declared": {"text": self._recorded.declared}},
        )
        self._used = float(answer["trust"]["used"])
        return answer

    async def step(self) -> Played | None:
        """Post events up to and with the next action; None when the session has no further action."""
        for index, event in self._events:
            if event.get("kind") == ACTING:
                return await self._act(index, event)
            await self._tell(event)
        return None

    async def close(self) -> None:
        """Say that the session is done."""
        await self._client.post(f"/api/v1/sessions/{self._session_id}/close", {"outcome": "done"})

    async def _act(self, index: int, event: Mapping[str, Any]) -> Played:
        self.left -= 1
        self._last_action = f"e{index}"
        body: dict[str, Any] = {
            "action_id": self._last_action,
            "tool": str(event.get("tool") or "unknown"),
            "arguments": event.get("arguments") or {},
        }
        decision = await self._client.post(
            f"/api/v1/sessions/{self._session_id}/actions", body | self._time(event)
        )
        played = Played(
            session_id=self._session_id,
            agent=self._agent,
            decision=decision,
            used_before=self._used,
            clean_before=self._clean,
        )
        self._used = float(decision["trust"]["used"])
        self._clean = self._clean and decision["verdict"] == "in_scope"
        return played

    async def _tell(self, event: Mapping[str, Any]) -> None:
        kind = str(event.get("kind"))
        body: dict[str, Any] = {"kind": kind, "text": str(event.get("text") or "")}
        if event.get("role"):
            body["role"] = event["role"]
        if event.get("error"):
            body["error"] = str(event["error"])
        if kind == "tool_result" and self._last_action is not None:
            body["action_id"] = self._last_action
        await self._client.post(f"/api/v1/sessions/{self._session_id}/events", body | self._time(event))

    def _time(self, event: Mapping[str, Any]) -> dict[str, float]:
        return {"t": float(event["t"])} if self._recorded.clock and event.get("t") is not None else {}


def read_recorded(path: Path) -> list[Recorded]:
    """Read a file of sessions (JSON lines, `.gz` or not). Answers in the file (`label`) are not looked at.

    Raises:
        PredictionError: a line is not such a session; the message names the line and the fault.
    """
    return [_recorded(path, number, value) for number, value in _lines(path)]


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if len(line) > LINE_BYTES:
                    raise PredictionError(f"{path} line {number}: {len(line)} bytes, more than {LINE_BYTES}")
                if line.strip():
                    yield number, msgspec.json.decode(line)
    except (OSError, EOFError) as error:
        raise PredictionError(f"{path}: {error}") from None
    except msgspec.DecodeError as error:
        raise PredictionError(f"{path} line {number}: not JSON ({error})") from None


def _recorded(path: Path, number: int, value: Any) -> Recorded:  # noqa: ANN401 - just decoded
    if not isinstance(value, dict) or not isinstance(value.get("events"), list):
        raise PredictionError(f"{path} line {number}: not a session: an object with `events` is needed")
    agent = value.get("agent")
    return Recorded(
        session_id=str(value.get("session_id") or f"line-{number}"),
        agent=str(agent.get("id")) if isinstance(agent, dict) and agent.get("id") else "agent",
        declared=str(value.get("declared_intent") or ""),
        tools=tuple(str(tool) for tool in value.get("declared_tools") or ()),
        clock=value.get("time_unit") == "s",
        events=[event for event in value["events"] if isinstance(event, dict)],
        **(value["demo"] if isinstance(value.get("demo"), dict) else {}),
    )
