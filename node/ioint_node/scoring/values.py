"""The values that scoring takes in and gives out, in the words of the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ioint_taxonomy import Step
from msgspec import Struct


class Verdict(StrEnum):
    """How an action stands to the declared intent."""

    IN_SCOPE = "in_scope"
    BORDERLINE = "borderline"
    OUT_OF_SCOPE = "out_of_scope"


class Response(StrEnum):
    """Continuous adaptive trust: what should happen to the actor, mildest first."""

    NONE = "none"
    NOTIFY = "notify"
    STEP_UP = "step_up"
    REDUCE = "reduce"
    APPROVE = "approve"
    SUSPEND = "suspend"
    RELAUNCH = "relaunch"
    KILL = "kill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a session says it is for.

    `family` is a slug of the taxonomy when the caller names one; else it is inferred from `text`.
    `tools` are the names of the tools that the agent was given, where known.
    """

    text: str = ""
    family: str | None = None
    tools: tuple[str, ...] = ()


class Surroundings(Struct, frozen=True, kw_only=True):
    """What bears on an action from outside its own session, each 0..1, 0 where nothing is known or nothing is unusual.

    The first seven compare the action with the actor's own past, `expansion` with what this session asked for already;
    `lineage` is how far the action leaves the intent of the request that started the chain of agents, `delegator` how
    risky the session was that delegated; `observed` is what detectors outside report.
    """

    first_tool: float = 0.0
    first_resource: float = 0.0
    sequence: float = 0.0
    pace: float = 0.0
    hours: float = 0.0
    tokens: float = 0.0
    isolation: float = 0.0
    expansion: float = 0.0
    lineage: float = 0.0
    delegator: float = 0.0
    observed: float = 0.0

    def values(self) -> tuple[float, ...]:
        """The numbers, in the order of the fields."""
        return (
            self.first_tool,
            self.first_resource,
            self.sequence,
            self.pace,
            self.hours,
            self.tokens,
            self.isolation,
            self.expansion,
            self.lineage,
            self.delegator,
            self.observed,
        )


NOTHING_AROUND = Surroundings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened in a session, in order.

    `kind` is one of prompt, response, reasoning, tool_call, tool_result, observation. `role` of a prompt is
    system, user, orchestrator or memory. `t` is seconds from the start of the session, or None where the source
    has no clock. `arguments` are those of a tool call. `around` is what bore on an action when it was judged: kept,
    so that a session that is followed again is judged the same. Raw text never leaves the node.
    """

    kind: str
    role: str = ""
    tool: str = ""
    server: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False)
    error: str | None = field(default=None, repr=False)
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    t: float | None = None
    action_id: str | None = None
    around: Surroundings = NOTHING_AROUND


class Reason(Struct, frozen=True, kw_only=True):
    """One signal that moved a score: a code, its signed weight in log-odds, and a sentence of our own words."""

    code: str
    weight: float
    text: str


class Judgement(Struct, frozen=True, kw_only=True):
    """What scoring says of one action, before trust, policy and the network.

    `drift` is the calibrated probability 0..1 that this action has left the declared intent. `session_risk` is the
    same for the session so far. `clarity` (O) and `fit` (C) are the terms of the weighted intent score, 0..1;
    `risk_magnitude` (R) is 0..1. `completed` names the patterns that this action completes. `injection` 0..1 is how
    strongly an order in something that was read bears on the action.
    """

    step: Step
    drift: float
    verdict: Verdict
    session_risk: float
    clarity: float
    fit: float
    risk_magnitude: float
    departures: tuple[str, ...]
    reasons: tuple[Reason, ...]
    intents: tuple[tuple[str, float], ...]
    completed: tuple[str, ...]
    injection: float = 0.0
