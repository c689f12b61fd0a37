"""How a node stands in its consortium, as `show` and `doctor` tell it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.node.cli.organisations import Consortium


@pytest.fixture
def consortium(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Consortium:
    return Consortium(tmp_path, capsys)


@pytest.fixture
def pair(consortium: Consortium) -> tuple[Path, Path]:
    """A steward and a member."""
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    take_over(consortium, beta, alpha)
    return alpha, beta


def take_over(consortium: Consortium, home: Path, source: Path) -> dict[str, Any]:
    return consortium.json("consortium", "join", "--home", home, "--roster", source / "roster.bin")


def examined(consortium: Consortium, home: Path) -> dict[str, Any]:
    """What `doctor` says of the roster."""
    _, out, _ = consortium.run("doctor", "--home", home, "-o", "json")
    found: dict[str, Any] = next(row for row in json.loads(out)["checks"] if row["check"] == "roster")
    return found


def test_a_suspended_member_is_told_so(consortium: Consortium, pair: tuple[Path, Path]) -> None:
    alpha, beta = pair
    assert examined(consortium, beta)["ok"]
    consortium.json("consortium", "suspend", consortium.member("beta"), "--home", alpha)
    assert take_over(consortium, beta, alpha)["this_node"] == "suspended"
    told = examined(consortium, beta)
    assert (told["ok"], "this member is suspended" in told["detail"]) == (False, True)


@pytest.mark.parametrize("name", ["steward", "clock"])
def test_a_steward_whose_key_is_gone_is_told_so(
    consortium: Consortium, pair: tuple[Path, Path], name: str
) -> None:
    (pair[0] / "keys" / f"{name}.key").unlink()
    told = examined(consortium, pair[0])
    assert (told["ok"], f"keys/{name}.key" in told["detail"]) == (False, True)


@pytest.mark.parametrize("name", ["node", "record"])
def test_keys_that_wait_for_the_roster_are_told(
    consortium: Consortium, pair: tuple[Path, Path], name: str
) -> None:
    alpha, beta = pair
    card = consortium.root / "new.json"
    consortium.json("consortium", "rotate", f"--{name}-key", "--home", beta, "--output", card)
    told = examined(consortium, beta)
    assert (told.get("note"), told["detail"].endswith(f"admitted their card: {name}")) == (True, True)
    consortium.json("consortium", "admit", "--home", alpha, "--card", card)
    take_over(consortium, beta, alpha)
    assert "note" not in examined(consortium, beta)


def test_a_founder_whose_proposal_is_under_way_is_told_so(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    beta = consortium.node("beta", steward=True)
    away = consortium.root / "proposal.bin"
    create = ("consortium", "create", "--home", alpha, "--card", consortium.card("beta"), "--output", away)
    consortium.json(*create)
    told = consortium.fails("consortium", "show", "--home", alpha)
    assert "1 more steward must run `ioint consortium sign`" in told
    consortium.json("consortium", "sign", away, "--home", beta, "--yes")
    take_over(consortium, alpha, beta)
    assert consortium.json("consortium", "show", "--home", alpha)["proposals"] == []


def test_a_change_that_waits_for_signatures_is_listed(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    beta = consortium.node("beta", steward=True)
    made = consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "sign", made["proposal"], "--home", beta, "--yes")
    take_over(consortium, alpha, beta)
    consortium.json("consortium", "renew", "--home", alpha)
    waiting = consortium.json("consortium", "show", "--home", alpha)["proposals"]
    assert waiting == [{"version": 2, "missing": 1, "file": str(alpha / "proposal-2.bin")}]
