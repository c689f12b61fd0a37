"""Run `ioint bench decide` and write what it says to `decide.json` and `decide.md`.

    python docs/measurements/decide.py [--short] [--out DIR]

About a minute. Ratios are of one interleaved run; latencies are worth what the machine was worth while it ran.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

NAMES = {
    "sklearn_logistic": "scikit-learn `predict_proba`, one row",
    "sklearn_isolation_forest": "scikit-learn `IsolationForest(100).score_samples`, one row",
    "cedarpy": "cedarpy, ten policies parsed once",
}


def run(*options: str) -> dict[str, Any]:
    """The document of one run."""
    command = [sys.executable, "-m", "ioint_node", "bench", "decide", "-o", "json", *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def page(found: dict[str, Any]) -> str:
    """The document as a page."""
    http, memory, machine = found["http"], found["memory"], found["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        "# One decision, measured",
        "",
        f"Made by `docs/measurements/decide.py` on {machine['cores']} x {machine['processor']}, {machine['system']},"
        f" load {machine['load'][0]}, with {packages}.",
        "",
        f"{found['actions']} actions of sessions of fifty in {found['rounds']} rounds, each round interleaved with what"
        " it is compared with. Everything is on: model, matcher with the whole catalogue, warnings of others, trust,"
        " and the decision, the event and the session written to SQLite. CPU seconds are those of the process, its"
        " database thread included.",
        "",
        "| what | p50, ms | p99, ms | per CPU second | decide / this |",
        "|---|---|---|---|---|",
        _line("decide, in process", found, "1"),
        f"| the same, with what each action reads counted in | | | {found['with_results_per_cpu_s']:,} | |",
        _line(f"decide, over HTTP, {http['connections']} connections", http, ""),
        f"| empty POST of a bare aiohttp in the same process | | | {http['empty_post_per_cpu_s']:,} | |",
        "| empty POST behind the node's guard (token, rights, errors, counts), in the same process | | |"
        f" {http['guarded_post_per_cpu_s']:,} | |",
        f"| floor: a logistic sum, a look-up, JSON | | | {found['floor_per_cpu_s']:,} | {found['ratio']:.4f} |",
    ]
    for name, peer in found["peers"].items():
        lines.append(
            f"| {NAMES[name]}: {peer['absent']} | | | | |"
            if "absent" in peer
            else _line(NAMES[name], peer, f"{peer['ratio']:.2f}")
        )
    lines += [
        "",
        f"Over HTTP a decision costs {http['cost_of_empty_post']:.1f} times the CPU of an empty POST of a bare aiohttp,"
        f" and {http['cost_of_guarded_post']:.1f} times that of an empty POST behind the node's guard. An idle actor"
        f" takes {memory['bytes_per_actor']:,} bytes, at {memory['actors']:,} actors.",
        "",
        "| target | measured |",
        "|---|---|",
        f"| in process p50 ≤ 0.3 ms | {found['p50_ms']:.3f} ms |",
        f"| in process p99 ≤ 1 ms | {found['p99_ms']:.3f} ms |",
        f"| ≥ 3,000 actions per CPU second | {found['per_cpu_s']:,} |",
        f"| over HTTP ≤ 3 x an empty POST | {http['cost_of_empty_post']:.1f} x of a bare aiohttp,"
        f" {http['cost_of_guarded_post']:.1f} x behind the guard |",
        f"| ≤ 4,096 bytes for an idle actor at 100,000 | {memory['bytes_per_actor']:,} |",
        "",
    ]
    return "\n".join(lines)


def _line(what: str, found: dict[str, Any], ratio: str) -> str:
    return f"| {what} | {found['p50_ms']:.3f} | {found['p99_ms']:.3f} | {found['per_cpu_s']:,} | {ratio} |"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    found = run(*(["--short"] if given.short else []))
    (given.out / "decide.json").write_text(json.dumps(found, indent=1) + "\n")
    (given.out / "decide.md").write_text(page(found))


if __name__ == "__main__":
    main()
