"""What every file of the project keeps to."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import ioint_node
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("taxonomy/ioint_taxonomy", "protocol/ioint_protocol", "node/ioint_node")
NOT_OURS = {".git", ".venv", ".lock", "__pycache__", "dist", "node_modules"}
FILE_BYTES = 1_500_000


def files(*suffixes: str) -> Iterator[Path]:
    """Every file of the tree, without what is made from it."""
    pending = [ROOT]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            if path.is_dir():
                if (
                    path.name not in NOT_OURS
                    and not path.name.endswith("_cache")
                    and path.name != ".hypothesis"
                ):
                    pending.append(path)
            elif not suffixes or path.suffix in suffixes:
                yield path


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def found(pattern: str) -> list[str]:
    """Where a pattern occurs, outside this file."""
    wanted = re.compile(pattern)
    return [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in files()
        if path != Path(__file__) and (match := wanted.search(text_of(path)))
    ]


def test_no_path_of_the_machine_it_was_written_on() -> None:
    assert found(r"/(?:work/(?:main|shared)|root/|tmp/brief)") == []


def test_no_host_of_a_package_registry() -> None:
    assert (
        found(
            r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|crates\.io|proxy\.golang\.org"
        )
        == []
    )


def test_the_project_speaks_of_itself_alone() -> None:
    assert (
        found(r"shared/(?:design|contracts|style-guide|reference|bench|hooks)|INTERFACES\.md|style-guide")
        == []
    )


def test_no_data_set_and_nothing_that_runs_when_it_is_loaded() -> None:
    suffixes = {".gz", ".pkl", ".pickle", ".joblib", ".parquet", ".npz", ".onnx", ".db", ".whl", ".so"}
    # The sessions that the project wrote to practise on are its own, and no recording.
    own = ["node/ioint_node/scoring/practice.jsonl.gz"]
    found = [str(path.relative_to(ROOT)) for path in files() if path.suffix in suffixes]
    assert found == own
    assert [str(path) for path in files() if path.stat().st_size > FILE_BYTES] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is(package: str) -> None:
    silent = [
        str(path)
        for path in (ROOT / package).rglob("*.py")
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_every_package_tells_that_it_is_typed() -> None:
    assert [package for package in PACKAGES if not (ROOT / package / "py.typed").exists()] == []


def test_decisions_are_numbered_without_a_gap_and_titled_with_their_number() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(path.name[:4]) for path in records]
    assert numbers == list(range(1, len(records) + 1))
    for number, path in zip(numbers, records, strict=True):
        assert path.read_text().startswith(f"# {number}. "), path.name


def test_the_version_is_the_same_wherever_it_is_needed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == ioint_node.__version__


def test_the_licences_are_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    assert "CC0 1.0 Universal" in (ROOT / "taxonomy" / "LICENSE").read_text()[:200]


def test_every_link_of_a_document_leads_somewhere() -> None:
    broken = []
    for path in files(".md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            place = target.partition("#")[0]
            if place and "://" not in place and not (path.parent / place).exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []
