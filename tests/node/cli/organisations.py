"""Homes of organisations below one directory, and commands on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ioint_node.cli import main


class Consortium:
    """Homes below one directory, and commands on them."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capture = capture

    def node(self, name: str, *, steward: bool = False) -> Path:
        """A new node with its card beside its home."""
        home = self.root / name
        self.json("init", "--home", home, "--org", name)
        offer = ("--steward",) if steward else ()
        self.json("consortium", "card", "--home", home, "--output", self.card(name), *offer)
        return home

    def member(self, name: str) -> str:
        """The member id by the card that was made first."""
        return str(json.loads(self.card(name).read_text())["member"])

    def fails(self, *words: object) -> str:
        """The last line of a command that has to fail."""
        code, _, err = self.run(*words)
        assert code == 1, err
        return err.splitlines()[-1]

    def card(self, name: str) -> Path:
        return self.root / f"{name}.json"

    def run(self, *words: object) -> tuple[int, str, str]:
        self._capture.readouterr()
        code = main([str(word) for word in words])
        printed = self._capture.readouterr()
        return code, printed.out, printed.err

    def json(self, *words: object) -> dict[str, Any]:
        code, out, err = self.run(*words, "-o", "json")
        assert code == 0, err
        document: dict[str, Any] = json.loads(out)
        return document


def states(shown: dict[str, Any]) -> dict[str, str]:
    return {member["name"]: member["state"] for member in shown["members"]}
