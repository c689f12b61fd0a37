"""The stream contract names its tests, and its numbers are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ioint_node.web.limits import WebLimits
from ioint_node.web.stream import GREETING

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "stream-contract.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE)))


def test_every_sentence_of_the_table_has_a_test() -> None:
    table = PAGE.split("## In one table")[1].split("## Door by door")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) > 10
    assert not [row for row in rows if "::test_" not in row]


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_a_test_that_is_named_is_there(module: str, name: str) -> None:
    assert re.search(rf"(?m)^\s*(?:async )?def {name}\(", (ROOT / "tests" / module).read_text())


def test_the_bounds_that_the_page_names_are_those_in_force() -> None:
    limits = WebLimits()
    assert f"Who lets {limits.stream_buffer_bytes // 1_024} KiB wait is cut off" in PAGE
    assert f"at least every {limits.heartbeat_s:g} seconds" in PAGE
    assert (
        f"One token has {limits.streams_per_token} streams, a node {limits.streams:,}, with"
        f" {limits.stream_filters} different filters" in PAGE
    )
    assert b"retry: 2000\n" in GREETING
