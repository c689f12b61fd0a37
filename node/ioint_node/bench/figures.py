"""Numbers out of samples, and what they were measured on."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SCHEMA = "ioint.bench/1"
PACKAGES = (
    "ioint",
    "aiohttp",
    "aiosqlite",
    "cedarpy",
    "msgspec",
    "numpy",
    "scikit-learn",
    "sqlalchemy",
    "uvloop",
)
TICK_S = 0.01  # the grain of a process's CPU time: less was not seen


@dataclass(slots=True)
class Rounds:
    """What the rounds found, by name: so many a CPU second, and latencies in seconds."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, rate: float, latencies: Sequence[float] = ()) -> None:
        """Keep what one phase of one round found."""
        self.rates.setdefault(name, []).append(rate)
        self.latencies.setdefault(name, []).extend(latencies)


def middle(values: Sequence[float]) -> float:
    """The median over the rounds."""
    return statistics.median(values)


def percentile(seconds: Sequence[float], percent: int) -> float:
    """A percentile of latencies, in milliseconds."""
    ordered = sorted(seconds)
    return round(1_000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 4)


def brief(value: float) -> float:
    """A ratio at three significant digits, however small it is."""
    return float(f"{value:.3g}")


def per_cpu(count: int, cpu_s: float) -> float:
    """How many a second of CPU."""
    return count / max(cpu_s, TICK_S)


def machine() -> dict[str, Any]:
    """Processor, cores, load and system."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def versions(*more: str) -> dict[str, str]:
    """Python, the packages that do the work, and `more`; one that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
