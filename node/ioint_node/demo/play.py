"""Replay recorded sessions over HTTP, as an agent's runtime would post them while it works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ioint_node.demo.client import Client
from ioint_node.scoring.predict import read_sessions

ACTING = "tool_call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One session of a file: what was declared, by which agent, and the events in order."""

    session_id: str
    agent: str
    declared: str
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
            "durable": True,  # the story goes on only when what happened is on disk
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
        PredictionError: a line is no session; the message names the line and the fault.
    """
    return [_recorded(session) for session in read_sessions(path)]


def _recorded(session: Mapping[str, Any]) -> Recorded:
    agent = session.get("agent")
    return Recorded(
        session_id=session["session_id"],
        agent=str(agent.get("id")) if isinstance(agent, dict) and agent.get("id") else "agent",
        declared=str(session.get("declared_intent") or ""),
        clock=session.get("time_unit") == "s",
        events=session["events"],
        **_casting(session.get("demo")),
    )


def _casting(value: object) -> dict[str, int]:
    """Who plays a shipped session, and when; any other file may use the word as it likes."""
    if not isinstance(value, dict):
        return {}
    return {name: value[name] for name in ("organisation", "wave") if type(value.get(name)) is int}
