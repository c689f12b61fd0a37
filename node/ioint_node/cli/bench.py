"""`ioint bench`: what this node does on this machine, beside its floors and peers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import uvloop

from ioint_node.bench.decide import FULL, SHORT, bench_decide
from ioint_node.cli.ingest import catchup, ingest
from ioint_node.cli.options import Commands, emit, format_option, show_fields, show_table
from ioint_node.cli.progress import progress
from ioint_node.cli.propagate import propagate
from ioint_node.cli.push import push
from ioint_node.cli.query import query

PEERS = {
    "sklearn_logistic": "scikit-learn predict_proba, one row",
    "sklearn_isolation_forest": "scikit-learn IsolationForest(100), one row",
    "cedarpy": "ten Cedar policies, parsed once",
}


@click.group(cls=Commands, short_help="What this node does on this machine, beside its floors and peers.")
def bench() -> None:
    """What this node does on this machine, beside its floors and peers, as ratios of one run."""


bench.add_command(propagate)
bench.add_command(ingest)
bench.add_command(catchup)
bench.add_command(push)
bench.add_command(query)


@bench.command(short_help="One action decided with everything on, in process and over HTTP.")
@click.option("--short", is_flag=True, help="A few seconds: shows that it works, measures little.")
@format_option
def decide(*, short: bool, form: str) -> None:
    """One action decided with everything on, in process and over HTTP, beside its floors and peers.

    Takes about a minute and a temporary directory; the rounds are interleaved, so that the ratios hold on a busy
    machine too. Latencies do not: quote them from a quiet one.
    """
    with progress("measuring") as tell:
        found = uvloop.run(bench_decide(SHORT if short else FULL, tell))
    emit(found, form=form, human=lambda: _show(found))


def _show(found: Mapping[str, Any]) -> None:
    show_table(_rows(found), ("what", "p50 ms", "p99 ms", "per CPU second", "decide / this"), empty="nothing")
    click.echo()
    http, memory, machine = found["http"], found["memory"], found["machine"]
    show_fields(
        {
            "with the results read": f"{found['with_results_per_cpu_s']} actions per CPU second",
            "over HTTP": f"{http['cost_of_empty_post']} times the CPU of an empty POST of a bare aiohttp,"
            f" {http['cost_of_guarded_post']} of one behind the node's guard",
            "idle actor": f"{memory['bytes_per_actor']} bytes, at {memory['actors']} actors",
            "verdicts": found["verdicts"],
            "measured": f"{found['actions']} actions in {found['rounds']} rounds",
            "machine": f"{machine['cores']} x {machine['processor']}, load {machine['load'][0]}",
        }
    )


def _rows(found: Mapping[str, Any]) -> list[dict[str, object]]:
    http = found["http"]
    rows = [
        _row("decide, in process", found, None),
        _row("decide, over HTTP", http, None),
        {"what": "empty POST, bare aiohttp, same process", "per CPU second": http["empty_post_per_cpu_s"]},
        {"what": "empty POST behind the guard", "per CPU second": http["guarded_post_per_cpu_s"]},
        {
            "what": "floor: a sum, a look-up, JSON",
            "per CPU second": found["floor_per_cpu_s"],
            "decide / this": found["ratio"],
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
        "decide / this": ratio,
    }
