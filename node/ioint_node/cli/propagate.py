"""`ioint bench propagate`: what one member says at all others, beside its floor and gossipsub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import uvloop

from ioint_node.bench.gossipsub import installed
from ioint_node.bench.propagate import FULL, JUDGED, SHORT, bench_propagate
from ioint_node.cli.options import emit, format_option, show_fields, show_table
from ioint_node.cli.progress import progress

COLUMNS = ("what", "p50 ms", "p99 ms", "per CPU second", "ours / this")


@click.command(short_help="What one member says, on disk and believed at all others.")
@click.option(
    "--short", is_flag=True, help="A few seconds and three members: shows that it works, measures little."
)
@click.option(
    "--gossipsub",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder where js-libp2p's packages are installed: measure its gossipsub beside.",
)
@format_option
def propagate(*, short: bool, folder: Path | None, form: str) -> None:
    """What one member says, on disk and believed at all others, beside its floor and gossipsub.

    Runs five whole nodes on this machine for some minutes, in a temporary directory; the rounds are interleaved, so
    that the ratios hold on a busy machine too. Latencies do not: quote them from a quiet one.
    """
    gossipsub = None if folder is None else installed(folder)
    with progress("measuring") as tell:
        found = uvloop.run(bench_propagate(SHORT if short else FULL, gossipsub, tell))
    emit(found, form=form, human=lambda: _show(found))


def _show(found: Mapping[str, Any]) -> None:
    show_table(_rows(found), COLUMNS, empty="nothing")
    click.echo()
    judged, machine = found["segments"][str(JUDGED)], found["machine"]
    show_fields(
        {
            "CPU": f"{found['segment_ms']} ms for a segment to be believed at one member, and {found['record_us']} µs"
            f" for each record in it; of {JUDGED} records, {judged['libp2p_share']:.0%} in the libp2p processes",
            "noting a record": f"{found['noting_us']} µs before it leaves, not counted above",
            "lifted": ", ".join(found["lifted"]),
            "measured": f"{found['deliveries']} deliveries among {found['line']['members']} members in"
            f" {found['rounds']} rounds",
            "machine": f"{machine['cores']} x {machine['processor']}, load {machine['load'][0]}",
        }
    )


def _rows(found: Mapping[str, Any]) -> list[dict[str, object]]:
    line = found["line"]
    rows = [
        _row(f"a record, over a line of {line['members']}", found["p50_ms"], found["p99_ms"]),
        _row("  the same, floor", line["floor_p50_ms"], line["floor_p99_ms"]),
    ]
    for size, one in found["segments"].items():
        rows.append(_row(f"in segments of {size}, to all", one["p50_ms"], one["p99_ms"], one["per_cpu_s"]))
        rows.append(_row("  the same, floor", rate=one["floor_per_cpu_s"], ratio=one["ratio"]))
    peer = found["peers"]["gossipsub"]
    if "absent" in peer:
        return [*rows, {"what": f"js gossipsub: {peer['absent']}"}]
    return [
        *rows,
        _row(
            "js gossipsub, a record a message",
            peer["p50_ms"],
            peer["p99_ms"],
            peer["per_cpu_s"],
            peer["ratio"],
        ),
        _row(f"js gossipsub, {JUDGED} a message", rate=peer["batch_per_cpu_s"], ratio=peer["batch_ratio"]),
    ]


def _row(
    what: str,
    p50_ms: float | None = None,
    p99_ms: float | None = None,
    rate: int | None = None,
    ratio: float | None = None,
) -> dict[str, object]:
    return {
        "what": what,
        "p50 ms": p50_ms,
        "p99 ms": p99_ms,
        "per CPU second": None if rate is None else str(rate),
        COLUMNS[-1]: ratio,
    }
