"""What `ioint bench propagate` says has the shape that programs rely on, and its parts measure what they name."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from ioint_node.bench.consortium import database, found
from ioint_node.bench.gossipsub import PACKAGES, SCRIPT, installed
from ioint_node.bench.member import Recorder
from ioint_node.bench.network import Network, Seat, full, line
from ioint_node.bench.orders import Ready, Rest
from ioint_node.bench.place import BenchError
from ioint_node.bench.relay import Ear, framed, relay
from ioint_node.bench.sayings import CYCLE, Speaker
from ioint_node.cli.bench import bench
from ioint_node.config import load_config, load_keys
from ioint_node.flows.roster import open_book
from ioint_node.privacy.egress import check_record
from ioint_node.store.engine import open_store
from ioint_node.store.schema import metadata, segments
from ioint_node.store.times import from_text
from ioint_protocol import Report, Sighting, record_id
from ioint_taxonomy import load_catalogue, load_taxonomy
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey
from sqlalchemy import create_engine

KEYS = {
    "schema", "job", "p50_ms", "p99_ms", "per_cpu_s", "floor_per_cpu_s", "ratio", "peers", "rounds", "machine",
    "versions",
}  # fmt: skip
NOW = 1_790_000_000_000
MANY = 1_024
KEY = SigningKey(b"k" * 32)


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return Speaker(taxonomy=load_taxonomy(), catalogue=load_catalogue(), detector="de" * 32, today=20_000)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """A recorder of one log, beside a database that is empty."""
    engine = create_engine(f"sqlite:///{tmp_path / 'ioint.db'}")
    metadata.create_all(engine)
    engine.dispose()
    with closing(sqlite3.connect(tmp_path / "ioint.db")) as connection:
        yield Recorder(connection, {"author": 0})


def commit(recorder: Recorder, *heights: int) -> None:
    """Segments of the one log come to the database."""
    for height in heights:
        recorder.database.execute(
            f"insert into {segments.name} (author, seq, head, wire, records, received_at) values (?, ?, '', '', 1, '')",  # noqa: S608
            ("author", height),
        )
    recorder.database.commit()


def test_no_two_records_are_the_same(speaker: Speaker) -> None:
    assert len(set(speaker.bodies(range(MANY)))) == MANY


def test_every_record_is_one_that_a_member_may_send(speaker: Speaker) -> None:
    for body in speaker.bodies(range(MANY)):
        check_record(body, speaker.taxonomy, speaker.catalogue)


def test_what_is_said_after_many_rounds_still_differs(speaker: Speaker) -> None:
    late = range(10**6, 10**6 + MANY)
    assert set(speaker.bodies(late)).isdisjoint(speaker.bodies(range(MANY)))


def test_of_eight_records_six_report_and_two_name_the_first_of_them(speaker: Speaker) -> None:
    for first in range(0, MANY, CYCLE):
        numbers = range(first, first + CYCLE)
        said, bodies = [speaker.record(number) for number in numbers], list(speaker.bodies(numbers))
        assert [type(record) for record in said] == [Report] * 6 + [Sighting] * 2
        assert [record.of for record in said if isinstance(record, Sighting)] == [*map(record_id, bodies[:2])]


def test_a_record_is_noted_under_what_it_is_about_and_in_its_order(speaker: Speaker) -> None:
    noted = list(speaker.noted(range(CYCLE), NOW))
    assert [one.subject for one in noted[6:]] == [one.subject for one in noted[:2]]
    assert [from_text(one.at) for one in noted] == [NOW - CYCLE + 1 + place for place in range(CYCLE)]


def test_in_a_line_everybody_meets_neighbours_only() -> None:
    met = [[other for other in range(4) if line(one, other)] for one in range(4)]
    assert met == [[1], [0, 2], [1, 3], [2]]
    assert [other for other in range(3) if full(1, other)] == [0, 2]


async def test_founders_share_a_roster_that_names_no_address(tmp_path: Path) -> None:
    homes = [tmp_path / "one", tmp_path / "two"]
    await found(homes)
    for home in homes:
        async with open_store(load_config(home).store_url) as store:
            roster = (await open_book(store)).in_force(time.time_ns() // 1_000_000)
        assert roster is not None
        assert {member.id for member in roster.members} == {load_keys(each).member for each in homes}
        assert [member.addresses for member in roster.members] == [(), ()]
        assert database(home).stat().st_mode & 0o077 == 0


async def test_each_segment_is_seen_once_and_at_the_commit_that_brought_it(recorder: Recorder) -> None:
    commit(recorder, 1)
    recorder.look()
    commit(recorder, 2, 3)
    recorder.look()
    recorder.look()
    first, second, third = await recorder.until("author", 0, 3)
    assert first < second == third


async def test_who_follows_a_log_waits_for_its_height(recorder: Recorder) -> None:
    waiting = asyncio.create_task(recorder.until("author", 1, 2))
    commit(recorder, 1)
    recorder.look()
    await asyncio.sleep(0)
    assert not waiting.done()
    commit(recorder, 2)
    recorder.look()
    assert len(await waiting) == 1


def test_the_floor_hears_frames_however_they_are_cut() -> None:
    heard: list[bytes] = []
    ear = Ear(KEY.verify_key, heard.append)
    frames = [framed(KEY, body) for body in (b"one", b"", b"three")]
    stream = b"".join(frames)
    for at in range(0, len(stream), 7):
        ear.data_received(stream[at : at + 7])
    assert heard == frames


def test_the_floor_verifies() -> None:
    frame = framed(KEY, b"body")
    with pytest.raises(BadSignatureError):
        Ear(KEY.verify_key, lambda _: None).data_received(frame[:-1] + b"Y")


@pytest.mark.network
@pytest.mark.parametrize("in_line", [True, False])
async def test_at_the_floor_everybody_hears_everything(*, in_line: bool) -> None:
    done = await relay(4, [b"one", b"two", b"three"], in_line=in_line)
    assert len(done.latencies) == 3
    assert all(latency > 0 for latency in done.latencies)


def test_a_folder_without_the_packages_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=f"npm install {PACKAGES[0]} "):
        installed(tmp_path)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js here")
def test_the_script_of_gossipsub_can_be_read() -> None:
    subprocess.run(["node", "--check", str(SCRIPT)], check=True, timeout=30)  # noqa: S607


@pytest.mark.network
async def test_a_member_that_ended_is_no_answer_and_uses_no_cpu() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    seat = Seat(process=process, told=Ready(member="m", peer_id="p", addresses=(), child=process.pid))
    with pytest.raises(BenchError, match="ended while"):
        await seat.ask(Rest())
    await process.wait()
    with pytest.raises(BenchError, match="ended while"):
        Network((seat,)).cpu()


@pytest.mark.network
def test_a_short_run_says_what_programs_rely_on() -> None:
    done = CliRunner().invoke(bench, ["propagate", "--short", "-o", "json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told.keys() >= KEYS
    assert (told["schema"], told["job"]) == ("ioint.bench/1", "propagate")
    assert told["deliveries"] == 2 * (8 + 2 * 64 + 256)
    assert told["line"]["records"] == 8
    assert told["ratio"] == pytest.approx(told["per_cpu_s"] / told["floor_per_cpu_s"], rel=0.02)
    assert 0 < told["p50_ms"] <= told["p99_ms"]
    assert "absent" in told["peers"]["gossipsub"]
