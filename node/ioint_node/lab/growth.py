"""What the network costs a member as it grows, from what was measured at five and at twenty members.

Nothing is run: it is arithmetic over measured constants. What was not measured, how the cost of a record at one member
grows with the number of its neighbours beyond twenty, is taken to stay as it was at twenty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ioint_node.reputation.rule import LIFE_DAYS

SIZES: Final = (5, 10, 20, 50, 100, 200, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """`docs/measurements`: milliseconds and seconds of CPU, bytes.

    `alone_ms` is a record in a segment of its own at each of twenty whole nodes (`hosts.json`), `record_us` each
    further record in a segment (`propagate.json`), `caught_up_per_s` records of a catch-up per second of CPU and
    `record_bytes` what they weigh (`ingest.json`), `quiet_share` the CPU of twenty nodes with nothing to say.
    """

    alone_ms: float = 31.2
    record_us: float = 130.4
    caught_up_per_s: float = 8_904
    record_bytes: float = 30.9e6 / 102_400
    quiet_share: float = 0.039
    quiet_nodes: int = 20


MEASURED: Final = Measured()


def growth(
    sizes: Iterable[int] = SIZES,
    *,
    records_a_day: float = 10.0,
    together: int = 1,
    measured: Measured = MEASURED,
) -> list[dict[str, Any]]:
    """By members: CPU seconds a day and bytes a day at each, and a newcomer's catch-up of 30 days, in seconds of CPU.

    Every member writes `records_a_day`, `together` of them in a segment.
    """
    rows = []
    for members in sizes:
        records = members * records_a_day
        segment_ms = measured.alone_ms + (together - 1) * measured.record_us / 1_000
        cpu_s = records / together * segment_ms / 1_000
        kept = records * LIFE_DAYS
        rows.append(
            {
                "members": members,
                "records_a_day": round(records),
                "cpu_s_a_day": round(cpu_s, 1),
                "cpu_share": round(cpu_s / 86_400 + measured.quiet_share / measured.quiet_nodes, 4),
                "mb_a_day": round(records * measured.record_bytes / 1e6, 2),
                "kept_mb": round(kept * measured.record_bytes / 1e6, 1),
                "catch_up_cpu_s": round(kept / measured.caught_up_per_s, 1),
            }
        )
    return rows
