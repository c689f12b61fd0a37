"""Each guarantee of the threat model names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "threat-model.md"
LINK = re.compile(r"\[[^\]]+\]\((\.\./tests/[\w/]+\.py)#(\w+)\)")
LINKS = sorted(set(LINK.findall(DOCUMENT.read_text())))


def guarantees() -> list[str]:
    """The rows of its tables, without their heads."""
    lines = DOCUMENT.read_text().splitlines()
    return [line for line in lines if line.startswith("| ") and not line.startswith("| against |")]


@pytest.mark.parametrize(("file", "test"), LINKS)
def test_every_test_that_it_names_exists(file: str, test: str) -> None:
    tree = ast.parse((DOCUMENT.parent / file).read_text())
    defined = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert test.startswith("test_")
    assert test in defined


def test_every_guarantee_names_a_test() -> None:
    assert len(guarantees()) > 15
    promised = [row for row in guarantees() if "| none," not in row]
    assert [row[:60] for row in promised if not LINK.search(row)] == []


def test_it_says_what_is_not_claimed() -> None:
    text = DOCUMENT.read_text().partition("## What is not claimed")[2]
    assert all(word in text for word in ("Anonymity", "Differential privacy", "Truth"))
