"""`ioint bench push`: events to many subscribers, beside the floor and brokers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import uvloop

from ioint_node.bench.push import FULL, SHORT, bench_push
from ioint_node.cli.options import emit, format_option, show_fields, show_table
from ioint_node.cli.progress import progress

PEERS = {"nats": "NATS, core publish and subscribe", "redis": "Redis, publish and subscribe"}


@click.command(short_help="Events to a thousand subscribers, beside the floor and brokers.")
@click.option("--short", is_flag=True, help="A few seconds: shows that it works, measures little.")
@format_option
def push(*, short: bool, form: str) -> None:
    """Events to a thousand subscribers of the stream, beside the floor and brokers.

    Takes about a minute and a temporary directory. NATS and Redis are measured where they are installed. The rounds are
    interleaved, so that the ratios hold on a busy machine too; latencies do not.
    """
    with progress("measuring") as tell:
        found = uvloop.run(bench_push(SHORT if short else FULL, tell))
    emit(found, form=form, human=lambda: _show(found))


def _show(found: Mapping[str, Any]) -> None:
    show_table(_rows(found), ("what", "p50 ms", "p99 ms", "per CPU second", "push / this"), empty="nothing")
    click.echo()
    slow, machine = found["slow"], found["machine"]
    show_fields(
        {
            "who does not read": f"is cut off after {slow['does_not_read']} of {slow['events']} large events,"
            f" of which who reads got {slow['reads']}",
            "measured": f"{found['events']} events of {found['event_bytes']} bytes to {found['subscribers']}"
            f" subscribers in {found['rounds']} rounds",
            "machine": f"{machine['cores']} x {machine['processor']}, load {machine['load'][0]}",
        }
    )


def _rows(found: Mapping[str, Any]) -> list[dict[str, object]]:
    rows = [
        _row("push", found, None),
        {"what": f"with {found['filters']} filters", "per CPU second": found["filtered_per_cpu_s"]},
        {"what": "replayed from the database", "per CPU second": found["replay_per_cpu_s"]},
        {
            "what": "floor: the same bytes to each, bare aiohttp",
            "per CPU second": found["floor_per_cpu_s"],
            "push / this": found["ratio"],
        },
    ]
    for name, peer in found["peers"].items():
        rows.append(
            {"what": f"{PEERS[name]}: {peer['absent']}"}
            if "absent" in peer
            else _row(PEERS[name], peer, peer["ratio"])
        )
    return rows


def _row(what: str, found: Mapping[str, Any], ratio: float | None) -> dict[str, object]:
    return {
        "what": what,
        "p50 ms": found["p50_ms"],
        "p99 ms": found["p99_ms"],
        "per CPU second": str(found["per_cpu_s"]),
        "push / this": ratio,
    }
