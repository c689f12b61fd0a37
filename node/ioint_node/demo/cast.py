"""Who plays what: sessions are given to honest organisations, in two waves.

The first wave meets a consortium that knows nothing. Sessions of the second wave are declared before the first wave
begins and act after it, so that a warning can reach an agent that is already at work. A session of a shipped file
names its organisation and wave; of any other file every second session belongs to the second wave, and the
organisations take turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ioint_node.demo.play import Recorded, read_recorded

SHIPPED = Path(__file__).with_name("sessions.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One session at one organisation. `hold` is how many of its last actions wait for the second wave."""

    recorded: Recorded
    organisation: int
    agent: str
    session_id: str
    wave: int
    hold: int


def cast(path: Path | None, honest: int) -> list[Part]:
    """Give every session of a file (None: the shipped sessions) to one of `honest` organisations."""
    if path is None:
        return [_shipped(recorded, honest) for recorded in read_recorded(SHIPPED)]
    return [_in_turn(recorded, index, honest) for index, recorded in enumerate(read_recorded(path))]


def waves(parts: Sequence[Part], organisation: int) -> tuple[list[Part], list[Part]]:
    """The sessions of one organisation, by wave."""
    own = [part for part in parts if part.organisation == organisation]
    return [part for part in own if part.wave == 1], [part for part in own if part.wave == 2]


def _shipped(recorded: Recorded, honest: int) -> Part:
    return Part(
        recorded=recorded,
        organisation=(recorded.organisation - 1) % honest,
        agent=recorded.agent,
        session_id=recorded.session_id,
        wave=recorded.wave,
        hold=1 if recorded.wave == 2 else 0,
    )


def _in_turn(recorded: Recorded, index: int, honest: int) -> Part:
    wave = 1 + index % 2
    return Part(
        recorded=recorded,
        organisation=(index // 2) % honest if wave == 1 else (index // 2 + 1) % honest,
        agent=f"a-{index}",
        session_id=f"{index}-{recorded.session_id}"[:128],
        wave=wave,
        hold=recorded.actions if wave == 2 else 0,
    )
