"""Founding, joining and steering a consortium from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.node.cli.organisations import Consortium, states


@pytest.fixture
def consortium(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Consortium:
    return Consortium(tmp_path, capsys)


def test_founders_stand_on_version_one_and_everybody_sees_one_consortium(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    made = consortium.json(
        "consortium", "create", "--home", alpha, "--name", "Pact", "--card", consortium.card("beta")
    )
    joined = consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    assert made["version"] == 1
    assert made["name"] == "Pact"
    assert made["consortium"] == joined["consortium"]
    assert made["consortium"].startswith(made["fingerprint"].replace(" ", ""))
    assert states(joined) == {"alpha": "active", "beta": "active"}


def test_a_newcomer_follows_the_whole_chain(consortium: Consortium) -> None:
    alpha, beta, gamma = (consortium.node(name) for name in ("alpha", "beta", "gamma"))
    consortium.json("consortium", "create", "--home", alpha)
    consortium.json("consortium", "admit", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    consortium.json("consortium", "admit", "--home", alpha, "--card", consortium.card("gamma"))
    for home in (beta, gamma):
        shown = consortium.json("consortium", "join", "--home", home, "--roster", alpha / "roster.bin")
        assert shown["version"] == 3
        assert states(shown) == {"alpha": "active", "beta": "active", "gamma": "active"}


def test_a_suspended_member_returns_and_a_removed_one_does_not(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    consortium.node("beta")
    member = json.loads(consortium.card("beta").read_text())["member"]
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    assert (
        states(consortium.json("consortium", "suspend", member[:8], "--home", alpha))["beta"] == "suspended"
    )
    admit = ("consortium", "admit", "--home", alpha, "--card", consortium.card("beta"))
    assert states(consortium.json(*admit))["beta"] == "active"
    assert states(consortium.json("consortium", "remove", member, "--home", alpha))["beta"] == "removed"
    code, _, err = consortium.run(*admit)
    assert code == 1
    assert "new keys" in err


def test_only_a_steward_changes_the_roster(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.node("gamma")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    code, _, err = consortium.run("consortium", "admit", "--home", beta, "--card", consortium.card("gamma"))
    assert code == 1
    assert "steward's key" in err


def test_a_card_that_was_changed_is_refused(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    consortium.node("beta")
    card = json.loads(consortium.card("beta").read_text())
    consortium.card("beta").write_text(json.dumps({**card, "group": "alpha"}))
    code, out, err = consortium.run(
        "consortium", "create", "--home", alpha, "--card", consortium.card("beta")
    )
    assert (code, out) == (1, "")
    assert "bad_signature" in err
    assert "ioint consortium card" in err.splitlines()[-1]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"sig": 1}', '{"sig": "zz"}', "\udcff"])
def test_what_is_no_card_is_refused(consortium: Consortium, text: str) -> None:
    alpha = consortium.node("alpha")
    path = consortium.root / "card.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    code, _, err = consortium.run("consortium", "create", "--home", alpha, "--card", path)
    assert code == 1
    assert "is no valid card" in err


def test_another_consortium_than_the_expected_one_is_refused(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    join = ("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin", "--consortium")
    code, _, err = consortium.run(*join, "ab" * 32)
    assert code == 1
    assert "do not join" in err
    code, _, err = consortium.run("consortium", "show", "--home", beta)
    assert code == 1
    assert "in no consortium" in err


def test_a_node_never_changes_its_consortium(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha)
    consortium.json("consortium", "create", "--home", beta)
    code, _, err = consortium.run("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    assert code == 1
    assert "is in consortium" in err
    code, _, err = consortium.run("consortium", "create", "--home", beta)
    assert code == 1
    assert "home directory of its own" in err


@pytest.mark.parametrize("damage", [b"", b"\0", b"\xff" * 64])
def test_a_damaged_roster_is_refused(consortium: Consortium, damage: bytes) -> None:
    beta = consortium.node("beta")
    path = consortium.root / "roster.bin"
    path.write_bytes(damage)
    code, _, err = consortium.run("consortium", "join", "--home", beta, "--roster", path)
    assert code == 1
    assert "roster.bin" in err.splitlines()[-1]
