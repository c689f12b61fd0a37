"""Run the demo several times and write what its summaries say to `demo.json` and `demo.md`.

    python docs/measurements/demo.py [--runs N] [--out DIR]

Times count from the start of `ioint demo` on an environment that is built; all nodes share this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

KEPT = (
    "story_complete", "broken_link", "organisations", "sessions", "actions", "verdicts", "reports_published",
    "reports_received", "propagation_ms", "first_report_s", "first_trust_change_s", "engine_events", "soc_objects",
    "hostile",
)  # fmt: skip


def run(*options: str) -> dict[str, Any]:
    """The summary of one run."""
    command = [sys.executable, "-m", "ioint_node", "demo", "--exit", "-o", "json", *options]
    done = subprocess.run(command, capture_output=True, check=False)
    told = json.loads(done.stdout)
    return {
        "options": list(options),
        **{key: told[key] for key in KEPT},
        "trust_changes": [
            {key: change[key] for key in ("organisation", "agent", "before", "after", "effect", "at_s")}
            for change in told["trust_changes"]
        ],
    }


def page(runs: list[dict[str, Any]], machine: str) -> str:
    """The summaries as a table."""
    lines = [
        "# The demo, measured",
        "",
        f"Made by `docs/measurements/demo.py` on {machine}. Each row is one run of `ioint demo --exit -o json`.",
        "",
        "| options | complete | first report, s | first change of trust, s | arrivals | delay p50, ms | delay max, ms "
        "| hostile effect | refused |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for told in runs:
        delay, hostile = told["propagation_ms"], told["hostile"]
        complete = "yes" if told["story_complete"] else f"no: {told['broken_link']}"
        lines.append(
            f"| {' '.join(told['options']) or '–'} | {complete} | {told['first_report_s'] or '–'} "
            f"| {told['first_trust_change_s'] or '–'} | {delay['n']} | {delay['p50']:.0f} | {delay['max']:.0f} "
            f"| {hostile['effect']:.2f} | {sum(hostile['refused'].values())} |"
        )
    lines += ["", "The delay counts from the commit at the sender to the commit at a receiver.", ""]
    return "\n".join(lines)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    runs = [*(run() for _ in range(given.runs)), run("--cut-network")]
    (given.out / "demo.json").write_text(json.dumps({"machine": machine, "runs": runs}, indent=1) + "\n")
    (given.out / "demo.md").write_text(page(runs, machine))


if __name__ == "__main__":
    main()
