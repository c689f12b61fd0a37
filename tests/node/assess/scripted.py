from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ioint_node.flows.assess import ActionRequest, AssessParts, LocalSighting, OpenSession, act, open_session
from ioint_node.reputation.beliefs import Belief
from ioint_node.scoring.evidence import SessionFacts, of_close, of_feedback
from ioint_node.scoring.tracker import Measured
from ioint_node.scoring.trust import after_all
from ioint_node.scoring.values import Declaration, Event, Judgement, Reason, Surroundings, Verdict
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import Envelope, Step, load_catalogue
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

NOW = 1_790_000_000_000
PATTERN = next(iter(load_catalogue().entries))
TRUST_KEYS = ["score", "lower", "layers", "friction", "autonomy", "used", "components"]


class ScriptedTracker:
    """A tracker that judges by the tool's name alone: `out`, `edge`, `clear`, `match`, `odd`, anything else is fine."""

    def __init__(self, declaration: Declaration, **_parts: object) -> None:
        self.families: tuple[tuple[str, float], ...] = ((declaration.family or "research", 0.9),)
        self.envelope = Envelope(
            verbs=frozenset({"read", "create"}),
            resources=frozenset({"file"}),
            max_sensitivity="internal",
            max_boundary="organisation",
        )
        self.session_risk = 0.0
        self.verdict = Verdict.IN_SCOPE

    @property
    def steps(self) -> tuple[Step, ...]:
        return ()

    @property
    def outside(self) -> tuple[bool, ...]:
        return ()

    @property
    def completed(self) -> tuple[str, ...]:
        return ()

    def has_entry(self, pattern: str) -> bool:
        return pattern == PATTERN

    def redeclare(self, declaration: Declaration) -> None:
        self.families = ((declaration.family or "research", 0.8),)
        if declaration.text == "wider":
            verbs = self.envelope.verbs | {"send"}
            self.envelope = Envelope(
                verbs=verbs,
                resources=self.envelope.resources,
                max_sensitivity=self.envelope.max_sensitivity,
                max_boundary=self.envelope.max_boundary,
            )

    def use_matcher(self, matcher: Matcher) -> None:
        pass

    def measure(self, event: Event) -> Measured | None:
        if event.kind != "tool_call":
            return None
        step = Step(
            verb="read" if event.tool in {"look", "match"} else "create",
            resource="file",
            sensitivity="internal",
            boundary="organisation",
            provenance="principal",
            confidence=0.2 if event.tool == "odd" else 0.9,
        )
        self._tool = event.tool
        return Measured(step=step, features=(), departures=())

    def judge(self, measured: Measured, around: Surroundings) -> Judgement:
        tool = self._tool
        verdict = {
            "out": Verdict.OUT_OF_SCOPE,
            "clear": Verdict.OUT_OF_SCOPE,
            "edge": Verdict.BORDERLINE,
        }.get(tool, Verdict.IN_SCOPE)
        order = list(Verdict)
        self.verdict = max(self.verdict, verdict, key=order.index)
        self.session_risk = max(self.session_risk, {"out": 0.7, "clear": 1.0, "edge": 0.5}.get(tool, 0.1))
        return Judgement(
            step=measured.step,
            drift=self.session_risk,
            verdict=verdict,
            session_risk=self.session_risk,
            clarity=0.9,
            fit=0.9,
            risk_magnitude=0.4,
            departures=(),
            reasons=(Reason(code="scripted", weight=0.5, text="as the script says"),),
            intents=(("goal_hijack", 0.4),) if verdict is not Verdict.IN_SCOPE else (),
            completed=(PATTERN,) if tool == "match" else (),
        )


@dataclass
class Node:
    """The parts of one node, what it told, and a way to start it anew on the same database."""

    parts: AssessParts
    sightings: list[LocalSighting] = field(default_factory=list)
    told: list[bool] = field(default_factory=list)

    async def open(
        self,
        session_id: str = "s1",
        *,
        actor: str = "a1",
        now: int = NOW,
        **more: Any,
    ) -> dict[str, Any]:
        request = OpenSession(
            session_id=session_id, actor=actor, declared=Declaration(text="look it up"), **more
        )
        return await open_session(self.parts, request, now)

    async def act(
        self,
        tool: str,
        number: int = 1,
        *,
        session: str = "s1",
        now: int = NOW,
        **more: Any,
    ) -> dict[str, Any]:
        request = ActionRequest(action_id=f"c{number}", tool=tool, **more)
        return await act(self.parts, session, request, now)

    def seasoned(self, actor: str = "a1", *, days: int = 5) -> None:
        """Give an actor days of good sessions, and people who were asked and content."""
        live = self.parts.live.actor(actor)
        assert live is not None
        good = SessionFacts(verdict=Verdict.IN_SCOPE, outcome="done", actions=5, composed=True)
        for day in range(days):
            for hour in range(4):
                at = NOW - (days - day) * 86_400_000 + hour * 3_600_000
                said = of_feedback("satisfied", positive=True, source=f"person-{hour}")
                live.trust = after_all(live.trust, (*of_close(good), *said), at)

    async def flushed(self) -> None:
        """Wait until all that was answered is on disk."""

        async def nothing(_connection: AsyncConnection) -> None:
            return None

        await self.parts.store.write(nothing)

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        await self.flushed()
        async with self.parts.store.read() as connection:
            return [dict(row) for row in (await connection.execute(text(sql))).mappings()]


MakeNode = Callable[..., Node]


def believe(node: Node, tier: str, effect: float, *, groups: int = 2, pattern: str = PATTERN) -> None:
    state = {"consensus": "malicious", "none": "unknown"}.get(tier, "watched")
    node.parts.beliefs.apply(
        [
            Belief(
                pattern=pattern, state=state, tier=tier, effect=effect, score=50, confidence=50, groups=groups
            )
        ]
    )
