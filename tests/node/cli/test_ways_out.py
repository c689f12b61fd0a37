"""Mistakes in making and joining a consortium that are easy to make, and the way back from each."""

from __future__ import annotations

import asyncio
from pathlib import Path

import ioint_node.cli.consortium as consortium_commands
import pytest
from ioint_node.cli.rosters import now_ms
from ioint_node.config import load_config, load_keys
from ioint_node.store.engine import open_store
from ioint_node.store.schema import segments
from ioint_protocol import build_segment
from ioint_protocol.segment import GENESIS, parse_segment

from tests.node.cli.organisations import Consortium, states


@pytest.fixture
def consortium(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Consortium:
    return Consortium(tmp_path, capsys)


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute passes: what one node founds in one second is one consortium."""
    monkeypatch.setattr(consortium_commands, "now_ms", lambda: now_ms() + 60_000)


def test_who_founded_alone_by_mistake_leaves_and_founds_again(
    consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha = consortium.node("alpha")
    consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--name", "Pact")
    create = ("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    assert "ioint consortium leave" in consortium.fails(*create)
    left = consortium.json("consortium", "leave", "--home", alpha, "--yes")
    assert (left["left"], left["withdrawn"], left["done"]) == (True, 0, True)
    assert not (alpha / "roster.bin").exists()
    assert not load_config(alpha).consortium
    later(monkeypatch)
    assert states(consortium.json(*create)) == {"alpha": "active", "beta": "active"}


def test_a_roster_that_does_not_list_the_node_is_installed_only_on_demand(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha)
    join = ("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    told = consortium.fails(*join)
    assert "is not on that roster (alpha)" in told
    assert "ioint consortium card" in told
    assert "in no consortium" in consortium.fails("consortium", "show", "--home", beta)
    assert states(consortium.json(*join, "--yes")) == {"alpha": "active"}


def test_who_is_on_no_roster_forgets_it_and_joins_the_right_one(consortium: Consortium) -> None:
    alpha, beta, gamma = (consortium.node(name) for name in ("alpha", "beta", "gamma"))
    consortium.json("consortium", "create", "--home", alpha)
    consortium.json("consortium", "create", "--home", gamma, "--card", consortium.card("beta"))
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin", "--yes")
    right = ("consortium", "join", "--home", beta, "--roster", gamma / "roster.bin")
    assert "ioint consortium leave" in consortium.fails(*right)
    consortium.json("consortium", "leave", "--home", beta, "--yes")
    assert states(consortium.json(*right)) == {"gamma": "active", "beta": "active"}


def test_who_was_removed_forgets_the_roster(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    join = ("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    consortium.json(*join)
    consortium.json("consortium", "remove", consortium.member("beta"), "--home", alpha)
    consortium.json(*join)
    assert consortium.json("consortium", "leave", "--home", beta, "--yes")["left"]
    assert "is not on that roster" in consortium.fails(*join)


def test_the_last_steward_leaves_when_all_others_were_removed(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "remove", consortium.member("beta"), "--home", alpha)
    assert consortium.json("consortium", "leave", "--home", alpha, "--yes")["left"]


def test_who_is_in_no_consortium_has_nothing_to_leave(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    assert "nothing to leave" in consortium.fails("consortium", "leave", "--home", alpha, "--yes")


def test_a_member_with_others_leaves_by_its_running_node_alone(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    assert "ioint run" in consortium.fails("consortium", "leave", "--home", alpha, "--yes")


def test_what_was_said_in_one_consortium_does_not_go_into_another(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    asyncio.run(say(alpha, "ab" * 32))
    assert "home of its own" in consortium.fails("consortium", "create", "--home", alpha)


def test_the_fingerprint_names_a_consortium_as_its_id_does(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    made = consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    join = ("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin", "--consortium")
    assert "do not join" in consortium.fails(*join, "0" * 32)
    code, _, err = consortium.run(*join, made["consortium"][:31])
    assert (code, "64 hex digits" in err) == (2, True)
    assert consortium.json(*join, made["fingerprint"])["consortium"] == made["consortium"]
    assert consortium.json(*join, made["consortium"].upper())["version"] == 1


def test_a_home_with_words_for_another_consortium_keeps_no_invitation(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha)
    made = consortium.json("consortium", "invite", "--home", alpha, "--url", "http://127.0.0.1:1")
    asyncio.run(say(beta, "ab" * 32))
    join = ("consortium", "join", "--home", beta, "--invitation", made["invitation"])
    assert "home of its own" in consortium.fails(*join)
    assert not (beta / "invitation").exists()


def test_an_inviter_who_is_away_is_told_in_one_phrase(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha)
    made = consortium.json("consortium", "invite", "--home", alpha, "--url", "http://127.0.0.1:1")
    told = consortium.fails("consortium", "join", "--home", beta, "--invitation", made["invitation"])
    assert "no answer from http://127.0.0.1:1 (Connection refused)" in told
    # The application waits for it to come back; who does not want to wait leaves.
    assert "applied at http://127.0.0.1:1" in consortium.fails("consortium", "show", "--home", beta)
    assert consortium.json("consortium", "leave", "--home", beta, "--yes")["left"]


def test_who_was_removed_is_told_so_by_its_old_card_too(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    card = consortium.root / "new.json"
    consortium.json("consortium", "rotate", "--record-key", "--home", beta, "--output", card)
    consortium.json("consortium", "admit", "--home", alpha, "--card", card)
    consortium.json("consortium", "remove", consortium.member("beta"), "--home", alpha)
    admit = ("consortium", "admit", "--home", alpha, "--card", consortium.card("beta"))
    assert "beta was removed for good" in consortium.fails(*admit)


async def say(home: Path, consortium: str) -> None:
    """Put a first segment into a node's own log, signed for a consortium."""
    keys = load_keys(home)
    wire = build_segment(keys.record_key, consortium, keys.member, 1, GENESIS, 1, [b'{"v":1}'])
    row = {
        "author": keys.member,
        "seq": 1,
        "head": parse_segment(wire).head,
        "wire": wire,
        "records": 1,
        "received_at": "2026-11-01T00:00:00.000Z",
    }
    async with open_store(load_config(home).store_url) as store:
        await store.write(lambda connection: connection.execute(segments.insert().values(row)))
