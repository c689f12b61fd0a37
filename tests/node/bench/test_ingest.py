"""What `ioint bench ingest` and `catchup` say has the shape that programs rely on; their parts do what they name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from ioint_node.bench import floors
from ioint_node.bench.traffic import gather, logs
from ioint_node.cli.bench import bench
from ioint_protocol import Report, parse_segment, verify_segment

KEYS = {
    "schema", "job", "p50_ms", "p99_ms", "per_cpu_s", "floor_per_cpu_s", "ratio", "peers", "rounds", "machine",
    "versions",
}  # fmt: skip
NOW = 1_790_000_000_000


async def test_the_traffic_is_what_members_sign_and_the_same_in_every_run(tmp_path: Path) -> None:
    members = await gather(tmp_path, 3)
    authors = list(members.homes)[1:]
    one, other = (logs(members, authors, NOW)[authors[0]] for _ in range(2))
    first = [one.segment(40), one.segment(40)]
    assert first == [other.segment(40), other.segment(40)]
    said = [verify_segment(parse_segment(w), members.consortium, members.roster) for w in first]
    assert [s.seq for s in said] == [1, 2]
    assert said[1].prev == said[0].head
    kinds = {type(item.record) for s in said for item in s.records}
    assert Report in kinds
    assert len(kinds) > 1
    assert len({item.id for s in said for item in s.records}) == 80


def test_the_floors_store_what_they_are_given(tmp_path: Path) -> None:
    assert floors.signed_lines(tmp_path / "lines.db", 40, 16) > 0
    assert floors.signed_each(tmp_path / "each.db", 40, 16) > 0


def test_an_object_of_the_floor_has_a_kilobyte_and_is_the_same_everywhere() -> None:
    assert floors.sample(7) == floors.sample(7)
    assert floors.sample(7) != floors.sample(8)
    assert 900 < len(json.dumps(floors.sample(7))) < 1_400


def test_a_short_ingest_says_what_programs_rely_on() -> None:
    done = CliRunner().invoke(bench, ["ingest", "--short", "-o", "json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found.keys() >= KEYS
    assert (found["schema"], found["job"]) == ("ioint.bench/1", "ingest")
    assert found["ratio"] == pytest.approx(found["per_cpu_s"] / found["floor_per_cpu_s"], rel=0.01)
    assert found["held"]["statements"] > 0


@pytest.mark.network
def test_a_short_catchup_says_what_programs_rely_on() -> None:
    done = CliRunner().invoke(bench, ["catchup", "--short", "-o", "json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found.keys() >= KEYS
    assert (found["schema"], found["job"]) == ("ioint.bench/1", "catchup")
    assert found["records"] == 3 * 2 * 256
    assert found["times_floor"] > 0
