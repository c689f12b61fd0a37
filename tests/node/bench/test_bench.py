"""What `ioint bench decide` says has the shape that programs rely on, and its parts measure what they name."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from ioint_node.bench import peers
from ioint_node.bench.decide import features_of
from ioint_node.bench.figures import per_cpu, percentile
from ioint_node.bench.memory import again
from ioint_node.bench.workload import ACTIONS, script
from ioint_node.cli.bench import bench
from ioint_node.flows.live import LiveActor
from ioint_node.scoring.features import NAMES
from ioint_node.scoring.model import load_model
from ioint_node.scoring.trust import new_trust

KEYS = {
    "schema", "job", "p50_ms", "p99_ms", "per_cpu_s", "floor_per_cpu_s", "ratio", "peers", "rounds", "machine",
    "versions",
}  # fmt: skip
NOW = 1_790_000_000_000


def test_a_session_of_the_workload_is_the_same_everywhere() -> None:
    assert script(7) == script(7)
    assert script(7) != script(8)
    assert len(script(7).calls) == ACTIONS


def test_some_sessions_read_orders_and_fewer_obey_them() -> None:
    tools = [{call.tool for call in script(number).calls} for number in range(8)]
    orders = [
        any("\n\n" in call.result and "@collect" in call.result for call in script(n).calls) for n in range(8)
    ]
    assert any(orders)
    assert sum({"transfer_money", "share_folder"} & named != set() for named in tools) == 1


def test_the_features_are_those_of_the_model() -> None:
    rows = features_of([script(3)])
    assert len(rows) == ACTIONS
    assert {len(row) for row in rows} == {len(NAMES)}


def test_scikit_learn_decides_as_the_plain_sum_does() -> None:
    model = load_model()
    rows = features_of([script(7)])
    theirs = peers.sklearn_logistic(model)
    for row in rows:
        found = theirs(row)
        assert found[0][1] == pytest.approx(model.drift(row), abs=1e-9)  # type: ignore[index] # a numpy array


def test_a_percentile_is_one_of_the_samples_in_milliseconds() -> None:
    assert percentile([0.004, 0.001, 0.002, 0.003], 50) == 3.0
    assert percentile([0.001], 99) == 1.0


def test_a_rate_is_not_divided_by_less_than_a_tick() -> None:
    assert per_cpu(10, 0.0) == 1_000


def test_another_idle_actor_shares_no_value_that_changes() -> None:
    actor = LiveActor(id="a", trust=new_trust("agent", "", NOW), told_lower=0.5, open_sessions={"s"})
    other = again(actor, "b")
    assert (other.id, other.trust, other.open_sessions) == ("b", actor.trust, {"s"})
    assert other.trust is not actor.trust
    assert other.open_sessions is not actor.open_sessions


@pytest.mark.network
def test_a_short_run_says_what_programs_rely_on() -> None:
    done = CliRunner().invoke(bench, ["decide", "--short", "-o", "json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found.keys() >= KEYS
    assert (found["schema"], found["job"]) == ("ioint.bench/1", "decide")
    assert sum(found["verdicts"].values()) == found["actions"]
    assert found["ratio"] == pytest.approx(found["per_cpu_s"] / found["floor_per_cpu_s"], abs=1e-3)
    assert found["memory"]["bytes_per_actor"] > 0
