"""The whole story on real parts: processes, libp2p on loopback, databases, and a member that lies."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ioint_protocol.records import decode_record

pytestmark = [pytest.mark.network, pytest.mark.timeout(240)]
DATA = Path(os.environ.get("IOINT_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
KEYS = {
    "schema", "story_complete", "broken_link", "organisations", "sessions", "actions", "verdicts",
    "reports_published", "reports_received", "propagation_ms", "first_report_s", "first_trust_change_s",
    "bytes_left", "patterns", "trust_changes", "engine_events", "soc_objects", "hostile", "nodes",
}  # fmt: skip


def demo(*options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "ioint_node", "demo", "--exit", "-o", "json", *options],
        capture_output=True, timeout=220, check=False,
    )  # fmt: skip
    assert done.stdout.count(b"\n") == 1, done.stderr.decode()[-2000:]
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    homes = tmp_path_factory.mktemp("demo") / "homes"
    code, summary = demo("--keep", str(homes))
    assert code == 0, summary
    return summary


def test_the_story_is_complete_and_the_summary_has_the_keys_of_the_contract(told: Mapping[str, Any]) -> None:
    assert set(told) == KEYS
    assert told["schema"] == "ioint.demo/1"
    assert (told["story_complete"], told["broken_link"]) == (True, None)
    assert told["actions"] == sum(told["verdicts"].values())


def test_trust_moves_by_the_effect_and_by_nothing_else(told: Mapping[str, Any]) -> None:
    assert told["trust_changes"]
    for change in told["trust_changes"]:
        assert change["cause"] == "network"
        assert change["after"] == pytest.approx(change["without_network"] - change["effect"], abs=1e-3)
        assert 0 < change["effect"] <= 0.30


def test_what_left_is_records_of_the_protocol_and_names_nobody(told: Mapping[str, Any]) -> None:
    assert told["bytes_left"]
    for item in told["bytes_left"]:
        body = base64.b64decode(item["bytes_b64"])
        decode_record(body)
        for private in (b"brackenfield", b"supplier", b"a-03", b"ledgers", b"org1"):
            assert private not in body


def test_the_hostile_member_has_no_effect_and_is_quarantined(told: Mapping[str, Any]) -> None:
    hostile = told["hostile"]
    assert hostile["effect"] == 0.0
    assert hostile["quarantined"] is True
    assert min(hostile["attacks"].values()) > 0
    assert hostile["refused"]["replay"] > 0
    assert hostile["slandered_pattern"] in {row["id"] for row in told["patterns"]}


def test_every_arrival_was_measured(told: Mapping[str, Any]) -> None:
    assert told["propagation_ms"]["n"] >= told["reports_published"] * (told["organisations"] - 2)
    assert told["propagation_ms"]["max"] > 0


def test_no_secret_stands_in_a_log_and_no_home_is_open(told: Mapping[str, Any]) -> None:
    for node in told["nodes"]:
        home = Path(node["home"])
        assert home.stat().st_mode & 0o077 == 0
        log = (home / "node.log").read_text()
        secrets = [(home / "local.token").read_text().strip()]
        secrets += [key.read_text().strip() for key in (home / "keys").iterdir()]
        assert not any(secret in log for secret in secrets)
        assert "Traceback" not in log


def test_without_the_network_the_same_agents_keep_their_trust() -> None:
    code, summary = demo("--cut-network")
    assert code == 1
    assert summary["broken_link"] == "receive"
    assert summary["story_complete"] is False
    assert summary["trust_changes"] == []
    assert summary["reports_published"] > 0


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"the development sessions are not at {DATA}")
def test_recorded_sessions_tell_the_same_story_or_the_link_at_which_it_stops(tmp_path: Path) -> None:
    sample = tmp_path / "sample.jsonl"
    sample.write_bytes(b"".join(fixed_sample()))
    code, summary = demo("--sessions", str(sample))
    assert summary["sessions"] == 30
    assert summary["hostile"]["effect"] == 0.0
    assert (code == 0) == summary["story_complete"] == (summary["broken_link"] is None)


def fixed_sample() -> Iterator[bytes]:
    """Every n-th session of the largest file: thirty, attacked or not."""
    with gzip.open(DATA / "dev-agentdojo.jsonl.gz", "rb") as file:
        for number, line in enumerate(file):
            if number % 140 == 0 and number < 140 * 30:
                yield line
