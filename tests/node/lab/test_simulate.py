"""`ioint simulate`: its document, its exit code, an operator's own settings, and what growth costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ioint_node.cli.main import main
from ioint_node.cli.simulate import simulate
from ioint_node.lab.bounds import document, passed
from ioint_node.lab.growth import MEASURED, growth
from ioint_node.lab.plots import plot
from ioint_node.lab.runs import Job, do, full_plan, own_plan, run_all, short_plan, together
from ioint_node.lab.world import Nature
from ioint_node.reputation.gate import PARAMS

PLACE = Path(__file__).parents[3] / "docs" / "measurements"
TINY = Nature(patterns=60, days=21, campaigns=3)


def rows() -> list[dict[str, Any]]:
    jobs = [Job(part="lemma", orgs=7), Job(part="flip", orgs=10)]
    jobs += [
        Job(part="patterns", orgs=7, hostile=h, attack=attack, nature=TINY, seed=seed)
        for h, attack in ((0, "none"), (2, "joint"))
        for seed in (1, 2)
    ]
    return run_all([*jobs, Job(part="subjects", orgs=30)], workers=1)


def test_a_tiny_gate_keeps_every_bound_but_the_lift_of_a_tiny_world() -> None:
    found = document(rows())
    assert found["schema"] == "ioint.simulate/1"
    assert [b["name"] for b in found["bounds"] if not passed([b])] in ([], ["blind sessions warned"])
    assert json.loads(json.dumps(found)) == found
    assert {row["seeds"] for row in found["table"] if row["part"] == "patterns"} == {2}


def test_a_broken_bound_is_seen() -> None:
    found = rows()
    lemma = next(row for row in found if row["part"] == "lemma")
    assert not document([*found, lemma | {"orgs": 8, "by_b": 0.1}])["passed"]


def test_over_seeds_lifts_weigh_by_their_sessions_and_the_worst_stays_the_worst() -> None:
    case = do(Job(part="patterns", orgs=5, nature=TINY))
    one = case | {"blind": 1, "lift": (0.0, 0.0, 0.0), "worst": 3.0, "delay_h": (None, 4.0)}
    other = case | {"blind": 3, "lift": (1.0, 0.0, 0.0), "worst": 1.0, "delay_h": (2.0, 6.0)}
    (merged,) = together([one, other])
    assert merged["lift"][0] == pytest.approx(0.75)
    assert (merged["blind"], merged["worst"], merged["delay_h"]) == (4, 3.0, [None, 5.0])


def test_the_plans_hold_every_attack_and_compare_rules_in_the_same_worlds() -> None:
    for plan in (short_plan(), full_plan()):
        worlds: dict[str, set[tuple[int, int, str, int]]] = {}
        for job in plan:
            if job.part == "patterns" and job.attack in {"none", "joint"} and job.orgs == 30:
                worlds.setdefault(job.rule, set()).add((job.orgs, job.hostile, job.attack, job.seed))
        assert len(set(map(frozenset, worlds.values()))) == 1


def test_an_operator_attacks_the_own_tolerance_and_the_own_tenures() -> None:
    (quiet, attacked) = own_plan(
        orgs=3, hostile=1, attacks=["slander"], seeds=1, seed=0, params=PARAMS, tenures=(10, 20, 30)
    )
    assert (quiet.hostile, attacked.attack, attacked.tenures) == (0, "slander", (10, 20, 30))


def test_the_command_prints_one_document_and_says_by_its_exit_code_whether_it_passed() -> None:
    words = ["--short", "--orgs", "4", "--hostile", "1", "--attack", "slander", "-o", "json"]
    result = CliRunner().invoke(simulate, words, standalone_mode=False)
    found = json.loads(result.stdout)
    assert result.return_value == (0 if found["passed"] else 1)
    assert {row["attack"] for row in found["table"]} == {"none", "slander"}


def test_more_hostile_than_there_are_is_refused() -> None:
    result = CliRunner().invoke(simulate, ["--orgs", "4", "--hostile", "4"])
    assert result.exit_code == 2
    assert "at least one must be honest" in result.output


def test_growth_stands_on_what_was_measured() -> None:
    hosts, propagate, ingest = (
        json.loads((PLACE / f"{name}.json").read_text()) for name in ("hosts", "propagate", "ingest")
    )
    assert hosts["report"]["cpu_ms_per_record_and_node"] == MEASURED.alone_ms
    assert (hosts["quiet"]["cpu_share"], hosts["nodes"]) == (MEASURED.quiet_share, MEASURED.quiet_nodes)
    assert propagate["record_us"] == MEASURED.record_us
    caught_up = ingest["catchup"]
    assert caught_up["per_cpu_s"] == MEASURED.caught_up_per_s
    assert caught_up["megabytes"] * 1e6 / caught_up["records"] == pytest.approx(MEASURED.record_bytes)


def test_twice_the_members_cost_twice_as_much() -> None:
    one, other = growth((50, 100))
    assert other["cpu_s_a_day"] == pytest.approx(2 * one["cpu_s_a_day"])
    assert other["kept_mb"] == pytest.approx(2 * one["kept_mb"], rel=0.02)


def test_plots_are_written_where_matplotlib_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    written = plot(document(rows())["table"], tmp_path)
    assert [path.name for path in written] == ["reputation-lift.svg", "reputation-levels.svg"]
    assert all(path.read_text().startswith("<?xml") for path in written)


def test_a_home_gives_its_settings_and_the_groups_of_its_roster(tmp_path: Path) -> None:
    home = tmp_path / "node"
    assert (
        main(["init", "--home", str(home), "--org", "Alpha", "--web-port", "0", "--exchange-port", "0"]) == 0
    )
    alone = CliRunner().invoke(simulate, ["--home", str(home)])
    assert "give --orgs instead" in str(alone.exception)
    assert main(["consortium", "create", "--home", str(home)]) == 0
    result = CliRunner().invoke(
        simulate, ["--home", str(home), "--short", "-o", "json"], standalone_mode=False
    )
    assert {row["orgs"] for row in json.loads(result.stdout)["table"]} == {1}
