"""What `ioint bench query` says has the shape that programs rely on."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from ioint_node.bench import query
from ioint_node.bench.query import CALLS, Scale
from ioint_node.cli.bench import bench

from tests.node.bench.test_ingest import KEYS


@pytest.mark.network
def test_the_document_has_the_shape_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ioint_node.cli.query.SHORT", Scale(rows=400, few=200, rounds=1, requests=8))
    result = CliRunner().invoke(bench, ["query", "--short", "-o", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found.keys() >= KEYS
    assert (found["schema"], found["job"], found["rows"]) == ("ioint.bench/1", "query", 400)
    assert found["calls"].keys() == set(CALLS)
    assert query.WALKED > 0
