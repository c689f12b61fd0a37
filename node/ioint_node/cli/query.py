"""`ioint bench query`: what clients of TAXII ask most, beside the least that it can cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import uvloop

from ioint_node.bench.query import FULL, SHORT, bench_query
from ioint_node.cli.options import emit, format_option, show_fields, show_table
from ioint_node.cli.progress import progress

COLUMNS = ("what", "p50 ms", "p99 ms", "per CPU second", "floor", "ours / floor", "cost of many")
WORDS = {
    "walk": "a page, each another",
    "page": "the first page again",
    "poll": "nothing new",
    "id": "one object by its id",
    "manifest": "a page of names",
}


@click.command(short_help="What TAXII clients ask of a million indicators.")
@click.option("--short", is_flag=True, help="Half a minute: shows that it works, measures little.")
@format_option
def query(*, short: bool, form: str) -> None:
    """What TAXII clients ask of a million indicators and of ten thousand, with token and labels, beside its floor.

    Takes about ten minutes, and four gigabytes of disk in a temporary directory; the rounds are interleaved, so that
    the ratios hold on a busy machine too. Latencies do not: quote them from a quiet one.
    """
    with progress("measuring") as tell:
        found = uvloop.run(bench_query(SHORT if short else FULL, tell))
    emit(found, form=form, human=lambda: _show(found))


def _show(found: Mapping[str, Any]) -> None:
    rows = [
        {
            "what": WORDS[name],
            "p50 ms": call["p50_ms"],
            "p99 ms": call["p99_ms"],
            "per CPU second": str(call["per_cpu_s"]),
            "floor": str(call["floor_per_cpu_s"]),
            "ours / floor": call["ratio"],
            "cost of many": call["cost_of_many"],
        }
        for name, call in found["calls"].items()
    ]
    show_table(rows, COLUMNS, empty="nothing")
    click.echo()
    machine, first = found["machine"], found["first_walk"]
    show_fields(
        {
            "indicators": f"{found['rows']}; cost of many: against {found['few_rows']}",
            "read for the first time": f"p50 {first['p50_ms']} ms, p99 {first['p99_ms']} ms a page",
            "measured": f"{found['rounds']} rounds, {found['connections']} connections",
            "machine": f"{machine['cores']} x {machine['processor']}, load {machine['load'][0]}",
        }
    )
