"""One session of the workload, played into the flows of a node in this process, and what each step took."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from ioint_node.bench.workload import Script
from ioint_node.flows.assess import ActionRequest, AssessParts, OpenSession, answer, observe, open_session
from ioint_node.scoring.values import Declaration, Event


@dataclass(slots=True)
class Played:
    """Seconds: of each action, and of CPU for the events between them; the answers to the actions."""

    latencies: list[float] = field(default_factory=list)
    events_cpu_s: float = 0.0
    answers: list[str] = field(default_factory=list)

    @property
    def verdicts(self) -> Counter[str]:
        """How often each verdict was given."""
        return Counter(msgspec.json.decode(one)["verdict"] for one in self.answers)


async def play(
    parts: AssessParts, session_id: str, actor: str, script: Script, into: Played | None = None
) -> Played:
    """Open a session, and let it ask, act and read as its script says; it stays open."""
    played = into if into is not None else Played()
    declared = Declaration(text=script.declared)
    await open_session(parts, OpenSession(session_id=session_id, actor=actor, declared=declared), _now())
    await observe(parts, session_id, Event(kind="prompt", role="user", text=script.prompt), _now())
    for number, call in enumerate(script.calls):
        action_id = f"c{number}"
        request = ActionRequest(
            action_id=action_id, tool=call.tool, arguments=call.arguments, t=float(number)
        )
        now, begin = _now(), time.perf_counter()
        body = await answer(parts, session_id, request, now)
        played.latencies.append(time.perf_counter() - begin)
        played.answers.append(body)
        begin = time.thread_time()
        result = Event(
            kind="tool_result", tool=call.tool, text=call.result, action_id=action_id, t=number + 0.5
        )
        await observe(parts, session_id, result, _now())
        played.events_cpu_s += time.thread_time() - begin
        await asyncio.sleep(0)  # as between two requests: the writer gets its turn
    return played


def _now() -> int:
    return time.time_ns() // 1_000_000
