"""`ioint bench ingest` and `ioint bench catchup`: taking in what members say, beside the least that it can cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import uvloop

from ioint_node.bench import catchup as catchups
from ioint_node.bench import ingest as ingests
from ioint_node.cli.options import cell, emit, format_option, show_fields, show_table
from ioint_node.cli.progress import progress

COLUMNS = ("what", "p50 ms", "p99 ms", "records per CPU second", "ours / floor")


@click.command(short_help="What members deliver: verified, stored and believed.")
@click.option("--short", is_flag=True, help="A few seconds: shows that it works, measures little.")
@format_option
def ingest(*, short: bool, form: str) -> None:
    """What members deliver, verified, stored and believed: full segments and single records, beside their floors.

    Takes some minutes and a temporary directory; the rounds are interleaved, so that the ratios hold on a busy machine
    too. Latencies do not: quote them from a quiet one.
    """
    scale = ingests.SHORT if short else ingests.FULL
    with progress("measuring") as tell:
        found = uvloop.run(ingests.bench_ingest(scale, tell))
    emit(found, form=form, human=lambda: _show_ingest(found))


@click.command(short_help="A member who missed everything, beside copying the same bytes.")
@click.option("--short", is_flag=True, help="A few seconds: shows that it works, measures little.")
@format_option
def catchup(*, short: bool, form: str) -> None:
    """A member who missed 100,000 records brings them over from another, beside copying and verifying the same bytes.

    Runs two whole nodes on this machine for some minutes, in a temporary directory.
    """
    scale = catchups.SHORT if short else catchups.FULL
    with progress("measuring") as tell:
        found = uvloop.run(catchups.bench_catchup(scale, tell))
    emit(found, form=form, human=lambda: _show_catchup(found))


def _show_ingest(found: Mapping[str, Any]) -> None:
    single, alone, machine = found["single"], found["alone"], found["machine"]
    rows = [
        _row("full segments, as a catch-up brings them", found, found["ratio"]),
        _row("  floor: lines under one signature, stored", {"per_cpu_s": found["floor_per_cpu_s"]}),
        _row(f"segments of one record, {single['at_once']} at once", single, single["ratio"]),
        _row("  floor: each signed, stored", {"per_cpu_s": single["floor_per_cpu_s"]}),
        _row("segments of one record, one after the other", alone),
    ]
    show_table(rows, COLUMNS, empty="nothing")
    click.echo()
    show_fields(
        {
            "measured": f"{found['records']} records of {found['members']} members in {found['rounds']} rounds",
            "held": f"{found['held']['statements']} statements about {found['held']['subjects']} subjects in memory",
            "lifted": ", ".join(found["lifted"]),
            "machine": f"{machine['cores']} x {machine['processor']}, load {machine['load'][0]}",
        }
    )


def _show_catchup(found: Mapping[str, Any]) -> None:
    machine = found["machine"]
    show_fields(
        {
            "brought over": f"{found['records']} records of {found['authors']} members, {found['megabytes']} MB",
            "catching up": f"{cell(found['seconds'])} s, {found['per_cpu_s']} records per CPU second",
            "copying": f"{cell(found['copy_s'])} s, and verifying {cell(found['verify_s'])} s,"
            f" {found['floor_per_cpu_s']} records per CPU second",
            "times the floor": found["times_floor"],
            "lifted": ", ".join(found["lifted"]),
            "machine": f"{machine['cores']} x {machine['processor']}, load {machine['load'][0]}",
        }
    )


def _row(what: str, found: Mapping[str, Any], ratio: float | None = None) -> dict[str, object]:
    values = (what, found.get("p50_ms"), found.get("p99_ms"), str(found["per_cpu_s"]), ratio)
    return dict(zip(COLUMNS, values, strict=True))
