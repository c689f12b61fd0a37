from __future__ import annotations

from ioint_node.scoring.baseline import HOUR_MS, NO_PULSE, Baseline, beat
from ioint_taxonomy import Step

MONDAY = 20_773 * 24 * HOUR_MS  # 2026-11-16
DAY_MS = 24 * HOUR_MS
SALT = 0x5EED


def step(verb: str = "read", resource: str = "file", boundary: str = "same_tenant") -> Step:
    return Step(verb=verb, resource=resource, sensitivity="internal", boundary=boundary)


USUAL = (
    ("files/read", step("read", "file")),
    ("mail/search", step("search", "email")),
    ("calendar/list", step("list", "calendar_event")),
)


def worked(days: int = 28, *, hours: range = range(9, 17), gap_ms: int = 10_000) -> Baseline:
    """An actor that has worked office hours on working days: three tools in turn, an action every ten seconds."""
    baseline = Baseline(SALT)
    for day in range(days):
        if (MONDAY // DAY_MS + day + 3) % 7 >= 5:
            continue
        for hour in hours:
            at, pulse = MONDAY + day * DAY_MS + hour * HOUR_MS, NO_PULSE
            for turn in range(12):
                tool, one = USUAL[turn % 3]
                baseline.learn(tool, one, at, pulse=pulse, tokens=1_000 + 50 * (turn % 3))
                pulse = beat(pulse, one, at)
                at += gap_ms + 700 * (turn % 3)
    return baseline


AFTER = MONDAY + 28 * DAY_MS + 10 * HOUR_MS  # a Monday at ten
