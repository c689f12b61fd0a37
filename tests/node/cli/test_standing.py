"""How a node stands in its consortium, as `show` and `doctor` tell it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from ioint_node.config import load_config, load_keys
from ioint_node.store.engine import open_store
from ioint_node.store.schema import segments
from ioint_protocol import build_segment, parse_segment

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


def examined(consortium: Consortium, home: Path, check: str = "roster") -> dict[str, Any]:
    """What `doctor` says of the roster, or of another check."""
    _, out, _ = consortium.run("doctor", "--home", home, "-o", "json")
    found: dict[str, Any] = next(row for row in json.loads(out)["checks"] if row["check"] == check)
    return found


async def sign_up_to(home: Path, seq: int) -> None:
    """Let a node hold one segment of its own log, of this height."""
    keys = load_keys(home)
    wire = build_segment(keys.record_key, "c" * 64, keys.member, seq, "1" * 64, 1, [b"x"])
    row = {
        "author": keys.member,
        "seq": seq,
        "head": parse_segment(wire).head,
        "wire": wire,
        "records": 1,
        "received_at": "",
        "delivered_by": None,
    }
    async with open_store(load_config(home).store_url) as store:
        await store.write(lambda connection: connection.execute(segments.insert(), [row]))


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
    told = examined(consortium, pair[0], "listed")
    assert (told["ok"], f"keys/{name}.key" in told["detail"]) == (False, True)


def test_a_node_key_that_the_roster_does_not_name_is_told(
    consortium: Consortium, pair: tuple[Path, Path]
) -> None:
    (pair[1] / "keys" / "node.key").write_text("ab" * 32 + "\n")
    told = examined(consortium, pair[1], "listed")
    assert (told["ok"], "another node key" in told["detail"]) == (False, True)


def test_a_node_key_that_waits_for_the_roster_is_told_until_it_is_named(
    consortium: Consortium, pair: tuple[Path, Path]
) -> None:
    alpha, beta = pair
    card = consortium.root / "new.json"
    consortium.json("consortium", "rotate", "--node-key", "--home", beta, "--output", card)
    told = examined(consortium, beta, "listed")
    assert (told.get("note"), "a new node key waits" in told["detail"]) == (True, True)
    consortium.json("consortium", "admit", "--home", alpha, "--card", card)
    take_over(consortium, beta, alpha)
    assert "note" not in examined(consortium, beta, "listed")


def test_a_record_key_that_waits_for_the_roster_and_then_for_its_height_is_told_with_that(
    consortium: Consortium, pair: tuple[Path, Path]
) -> None:
    alpha, beta = pair
    card = consortium.root / "new.json"
    rotate = ("consortium", "rotate", "--record-key", "--home", beta, "--output", card)
    begins = consortium.json(*rotate)["from_seq"]
    told = [examined(consortium, beta, "listed")["detail"]]
    consortium.json("consortium", "admit", "--home", alpha, "--card", card)
    take_over(consortium, beta, alpha)
    told.append(examined(consortium, beta, "listed")["detail"])
    asyncio.run(sign_up_to(beta, begins))
    told.append(examined(consortium, beta, "listed")["detail"])
    assert told == [
        f"a new record key is to sign from segment {begins} on, 0 are signed, and the roster does not name it yet: "
        "give a steward the file of `ioint consortium card`",
        f"the new record key signs from segment {begins} on; 0 are signed, by the old one",
        "every key that the roster names for this node is here",
    ]


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
