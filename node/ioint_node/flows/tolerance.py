"""What another tolerance would have done last week: stored drift, held against other thresholds.

Tolerance is false blocks per 1,000 actions. The decisions of the last days keep the drift they were judged by, and a
verdict is a drift and two thresholds: so nothing is judged again, and the answer is exact for the model in force. What
an earlier model judged is counted by the drift that it gave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ioint_node.errors import RequestError
from ioint_node.flows.gap import LoopParts
from ioint_node.scoring.model import Model, Thresholds
from ioint_node.scoring.staging import LEAST_TOLERANCE, MOST_TOLERANCE
from ioint_node.scoring.values import Verdict
from ioint_node.store import proposals
from ioint_node.store.times import DAY_MS, to_text

DAYS: Final = 7
DECISIONS: Final = 50_000  # of the newest that are counted
PAGE: Final = 1_000
FAMILIES: Final = 64


class _Drift(msgspec.Struct, frozen=True):
    """The one field of a stored decision that is read; the rest is passed over."""

    drift: float


async def preview(parts: LoopParts, tolerance: float, now: int) -> dict[str, Any]:
    """The verdicts of the last days by family: as `answered`, at the tolerance in force (`now`), at another (`then`).

    Raises:
        RequestError: the tolerance is out of range.
    """
    model = model_at(parts.shipped, tolerance)
    counts = {name: Counter[tuple[str, str]]() for name in ("answered", "now", "then")}
    total, whole, before = 0, False, None
    while total < DECISIONS:
        async with parts.store.read() as connection:
            rows = await proposals.drifts(connection, since=now - DAYS * DAY_MS, most=PAGE, before=before)
        for _, _, family, verdict, body in rows:
            drift = _decode(body).drift
            counts["answered"][family, verdict] += 1
            counts["now"][family, parts.model.verdict(drift)] += 1
            counts["then"][family, model.verdict(drift)] += 1
        total += len(rows)
        if len(rows) < PAGE:
            whole = True
            break
        before = rows[-1][0], rows[-1][1]
    families = Counter(family for family, _ in counts["now"].elements())
    return {
        "tolerance": {"now": parts.policy.tolerance, "then": tolerance},
        "thresholds": {"now": _told(parts.model.thresholds), "then": _told(model.thresholds)},
        "days": DAYS,
        "since": to_text(now - DAYS * DAY_MS),
        "actions": total,
        "whole": whole,
        "total": {name: _verdicts(counted, families) for name, counted in counts.items()},
        "families": [
            {
                "family": family,
                "actions": actions,
                **{name: _verdicts(counted, (family,)) for name, counted in counts.items()},
            }
            for family, actions in families.most_common(FAMILIES)
        ],
    }


def model_at(shipped: Model, tolerance: float) -> Model:
    """The shipped model at another tolerance.

    Raises:
        RequestError: the tolerance is out of range.
    """
    if not LEAST_TOLERANCE <= tolerance <= MOST_TOLERANCE:
        raise RequestError(f"tolerance: {tolerance:g}, must be {LEAST_TOLERANCE:g} to {MOST_TOLERANCE:g}")
    return shipped.at_tolerance(tolerance)


_decode: Final = msgspec.json.Decoder(_Drift).decode


def _verdicts(
    counted: Mapping[tuple[str, str], int], families: Mapping[str, int] | tuple[str, ...]
) -> dict[str, int]:
    return {
        verdict.value: sum(counted.get((family, verdict.value), 0) for family in families)
        for verdict in Verdict
    }


def _told(thresholds: Thresholds) -> dict[str, float]:
    return {"borderline": thresholds.borderline, "out_of_scope": thresholds.out_of_scope}
