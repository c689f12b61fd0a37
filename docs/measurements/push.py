"""Run `ioint bench push` and write what it says to `push.json` and `push.md`.

    python docs/measurements/push.py [--short] [--out DIR]

Some minutes. Ratios are of one interleaved run; latencies are worth what the machine was worth while it ran.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

NAMES = {"nats": "NATS, core publish and subscribe", "redis": "Redis, publish and subscribe"}


def run(*options: str) -> dict[str, Any]:
    """The document of one run."""
    command = [sys.executable, "-m", "ioint_node", "bench", "push", "-o", "json", *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def page(found: dict[str, Any]) -> str:
    """The document as a page."""
    machine, slow, peers = found["machine"], found["slow"], found["peers"]
    packages = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        "# Events to many subscribers, measured",
        "",
        f"Made by `docs/measurements/push.py` on {machine['cores']} x {machine['processor']}, {machine['system']},"
        f" load {machine['load'][0]}, with {packages}.",
        "",
        f"{found['events']} events of {found['event_bytes']:,} bytes to {found['subscribers']:,} subscribers in"
        f" {found['rounds']} round{'s' if found['rounds'] > 1 else ''}, interleaved with what it is compared with; the"
        " next event is published when everybody has the one before. The node is as it ships: tokens, clearance,"
        " back-pressure, and each event a row committed to SQLite before anybody hears of it, which its CPU seconds"
        " include. Floor and brokers store nothing and ask nobody who they are.",
        "",
        "| what | p50, ms | p99, ms | deliveries per CPU second | push / this |",
        "|---|---|---|---|---|",
        _line("push", found, "1"),
        f"| with {found['filters']} different filters among the subscribers | | | {found['filtered_per_cpu_s']:,} | |",
        f"| replayed from the database to {found['returning']} that come back | | | {found['replay_per_cpu_s']:,} | |",
        f"| floor: the same bytes to each, bare aiohttp in the same process | | | {found['floor_per_cpu_s']:,} |"
        f" {found['ratio']:.2f} |",
    ]
    for name, peer in peers.items():
        lines.append(
            f"| {NAMES[name]}: {peer['absent']} | | | | |"
            if "absent" in peer
            else _line(NAMES[name], peer, f"{peer['ratio']:.2f}")
        )
    lines += [
        "",
        f"Of {slow['events']} large events a subscriber that does not read heard {slow['does_not_read']} and was cut"
        f" off; one that reads, beside it, heard {slow['reads']}.",
        "",
        "| target | measured |",
        "|---|---|",
        f"| ≥ 80,000 deliveries per CPU second | {found['per_cpu_s']:,} |",
        f"| above NATS | {_ratio(peers['nats'])} |",
        f"| ≥ 0.6 x Redis | {_ratio(peers['redis'])} |",
        "",
    ]
    return "\n".join(lines)


def _line(what: str, found: dict[str, Any], ratio: str) -> str:
    return f"| {what} | {found['p50_ms']:.1f} | {found['p99_ms']:.1f} | {found['per_cpu_s']:,} | {ratio} |"


def _ratio(peer: dict[str, Any]) -> str:
    return str(peer["absent"]) if "absent" in peer else f"{peer['ratio']:.2f} x"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    found = run(*(["--short"] if given.short else []))
    (given.out / "push.json").write_text(json.dumps(found, indent=1) + "\n")
    (given.out / "push.md").write_text(page(found))


if __name__ == "__main__":
    main()
