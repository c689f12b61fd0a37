"""Run `ioint bench propagate` and write what it says to `propagate.json` and `propagate.md`.

    python docs/measurements/propagate.py [--gossipsub DIR] [--short] [--out DIR]

Some minutes. Ratios are of one interleaved run; latencies are worth what the machine was worth while it ran.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(*options: str) -> dict[str, Any]:
    """The document of one run."""
    command = [sys.executable, "-m", "ioint_node", "bench", "propagate", "-o", "json", *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def page(found: dict[str, Any]) -> str:
    """The document as a page."""
    line, machine, judged = found["line"], found["machine"], found["segments"]["64"]
    packages = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        "# What one member says, until all others believe it",
        "",
        f"Made by `docs/measurements/propagate.py` on {machine['cores']} x {machine['processor']}, {machine['system']},"
        f" load {machine['load'][0]}, with {packages}.",
        "",
        f"{found['deliveries']:,} deliveries among {line['members']} whole nodes in {found['rounds']} rounds, each"
        " interleaved with what it is compared with. A delivery is one record on disk and believed at one other"
        " member. Each node is a process of its own with its libp2p in another, as shipped, over loopback; CPU seconds"
        " are those of all of them, from the first signature until nothing waits to be sent anywhere, duplicates and"
        f" acknowledgements included. Lifted are {' and '.join(f'`{name}`' for name in found['lifted'])}, the quotas of"
        " an hour; each sender flushes its segments at the size that is measured; nothing else differs from what an"
        " operator runs. Latencies are from the commit at the sender to the commit at the receiver.",
        "",
        "| what | p50, ms | p99, ms | deliveries per CPU second | ours / this |",
        "|---|---|---|---|---|",
        f"| a record, over a line of {line['members']} | {found['p50_ms']:.2f} | {found['p99_ms']:.2f} | | |",
        f"| floor, the same: TCP, a signature verified at each | {line['floor_p50_ms']:.2f} |"
        f" {line['floor_p99_ms']:.2f} | | |",
    ]
    for size, one in found["segments"].items():
        lines += [
            f"| in segments of {size}, to all, as fast as it goes | {one['p50_ms']:.0f} | {one['p99_ms']:.0f} |"
            f" {one['per_cpu_s']:,} | |",
            f"| floor, {size} under one signature | | | {one['floor_per_cpu_s']:,} | {one['ratio']:.3g} |",
        ]
    lines += _peer(found["peers"]["gossipsub"])
    return "\n".join([*lines, "", *_bounds(found, judged), "", *_targets(found)])


def _peer(peer: dict[str, Any]) -> list[str]:
    if "absent" in peer:
        return [f"| js-libp2p gossipsub: {peer['absent']} | | | | |"]
    return [
        f"| js-libp2p gossipsub, a record a message (latency: over the line) | {peer['p50_ms']:.2f} |"
        f" {peer['p99_ms']:.2f} | {peer['per_cpu_s']:,} | {peer['ratio']:.3g} |",
        f"| js-libp2p gossipsub, the bytes of 64 records a message | | | {peer['batch_per_cpu_s']:,} |"
        f" {peer['batch_ratio']:.3g} |",
    ]


def _bounds(found: dict[str, Any], judged: dict[str, Any]) -> list[str]:
    line = found["line"]
    hops = line["members"] - 1
    return [
        "Ours are compared in segments of 64 with gossipsub, and in the same size with the floor. Gossipsub verifies a"
        " signature a message and hands it over; it stores, believes and acknowledges nothing. Its hosts share one"
        " process.",
        "",
        f"A segment costs {found['segment_ms']:.1f} ms of CPU at each member that comes to believe it, whatever it"
        f" carries, and every record in it {found['record_us']:.0f} µs more (the line through segments of 1 and of 256,"
        f" the sender's share included). Of a segment of 64, {judged['libp2p_share']:.0%} is spent in the libp2p"
        f" processes, the rest in the nodes. Before it leaves, noting a record with its reasons takes"
        f" {found['noting_us']} µs at the sender, which no figure above includes.",
        "",
        f"Over the line a record waits {hops} times for other writes to share a transaction with, at most"
        f" {line['company_ms']} ms each, {hops * line['company_ms']} ms in all. The rest of the p50 is reading what is"
        " due, the way through two libp2p processes, the checks, and the disk.",
    ]


def _targets(found: dict[str, Any]) -> list[str]:
    line, peer = found["line"], found["peers"]["gossipsub"]
    against = peer.get("absent") or f"{peer['ratio']:.2f} x"
    return [
        "| target | measured |",
        "|---|---|",
        f"| in segments of 64, ≥ 10 x the records of js gossipsub per CPU second | {against} |",
        f"| a record over a line of five, p50 beside the floor's | {found['p50_ms']:.1f} ms, floor"
        f" {line['floor_p50_ms']:.2f} ms |",
        "",
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gossipsub", type=Path)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    beside = [] if given.gossipsub is None else ["--gossipsub", str(given.gossipsub)]
    found = run(*beside, *(["--short"] if given.short else []))
    (given.out / "propagate.json").write_text(json.dumps(found, indent=1) + "\n")
    (given.out / "propagate.md").write_text(page(found))


if __name__ == "__main__":
    main()
