"""A council of several stewards: proposals and their signatures, lost and rotated keys."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ioint_node import membership
from ioint_node.cli import proposals
from ioint_node.cli.rosters import now_ms
from ioint_node.config import load_config, load_keys
from ioint_node.membership import Terms
from ioint_node.store.engine import open_store
from ioint_node.store.schema import segments
from ioint_protocol import ProtocolError, SigningKey, build_segment
from ioint_protocol.segment import GENESIS, parse_segment

from tests.node.cli.organisations import Consortium, states
from tests.node.membership.founding import FIRST, NOW, seeded


@pytest.fixture
def consortium(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Consortium:
    return Consortium(tmp_path, capsys)


@pytest.fixture
def three(consortium: Consortium) -> tuple[Path, Path, Path]:
    """Three stewards, of whom two sign: founded by the first, signed by the second, joined by the third."""
    alpha = consortium.node("alpha")
    beta, gamma = (consortium.node(name, steward=True) for name in ("beta", "gamma"))
    pending = consortium.json(
        "consortium", "create", "--home", alpha,
        "--card", consortium.card("beta"), "--card", consortium.card("gamma"),
    )  # fmt: skip
    assert pending["missing"] == 1
    founded = consortium.json("consortium", "sign", pending["proposal"], "--home", beta, "--yes")
    assert founded["threshold"] == 2
    for home in (alpha, gamma):
        consortium.json("consortium", "join", "--home", home, "--roster", beta / "roster.bin")
    return alpha, beta, gamma


def sign(consortium: Consortium, pending: dict[str, Any], home: Path) -> dict[str, Any]:
    return consortium.json("consortium", "sign", pending["proposal"], "--home", home, "--yes")


def test_two_of_three_stewards_found_and_change_a_consortium(
    consortium: Consortium, three: tuple[Path, Path, Path]
) -> None:
    alpha, _, gamma = three
    consortium.node("delta")
    pending = consortium.json("consortium", "admit", "--home", alpha, "--card", consortium.card("delta"))
    assert consortium.json("consortium", "show", "--home", alpha)["version"] == 1
    done = sign(consortium, pending, gamma)
    assert (done["version"], states(done)["delta"]) == (2, "active")


def test_a_proposal_says_what_it_would_change_before_it_is_signed(
    consortium: Consortium, three: tuple[Path, Path, Path]
) -> None:
    alpha, beta, _ = three
    gone = consortium.member("gamma")
    pending = consortium.json("consortium", "suspend", gone, "--home", alpha)
    code, out, _ = consortium.run("consortium", "sign", pending["proposal"], "--home", beta, "-o", "json")
    told = json.loads(out)
    assert (code, told["signed"]) == (1, False)
    assert told["changes"] == [{"of": gone, "what": "state", "before": "active", "after": "suspended"}]


def test_the_same_steward_twice_is_still_one(consortium: Consortium, three: tuple[Path, Path, Path]) -> None:
    pending = consortium.json("consortium", "suspend", consortium.member("gamma"), "--home", three[0])
    assert sign(consortium, pending, three[0])["missing"] == 1


def test_a_proposal_for_another_version_is_not_signed(
    consortium: Consortium, three: tuple[Path, Path, Path]
) -> None:
    alpha, beta, gamma = three
    old = consortium.json("consortium", "renew", "--home", alpha)
    new = consortium.json("consortium", "renew", "--home", gamma)
    sign(consortium, new, beta)
    assert "make it anew" in consortium.fails("consortium", "sign", old["proposal"], "--home", beta, "--yes")


def test_a_proposal_that_was_changed_on_its_way_is_refused(
    consortium: Consortium, three: tuple[Path, Path, Path]
) -> None:
    alpha, beta, _ = three
    path = Path(
        consortium.json("consortium", "suspend", consortium.member("gamma"), "--home", alpha)["proposal"]
    )
    good = path.read_bytes()
    for spoiled in (
        good.replace(b'"suspended"', b'"removed"  '),
        good[:-1],
        b"",
        good.replace(b'"version":2', b'"version":3'),
        good.replace(b'"expires":"20', b'"expires":"21'),
        good.replace(b'"sig":"', b'"sig":"0'),
    ):
        assert spoiled != good
        path.write_bytes(spoiled)
        told = consortium.fails("consortium", "sign", path, "--home", beta, "--yes")
        assert told.startswith("ioint: ")
        assert told.endswith("ask the steward who made it for the file again")


def test_whichever_letter_of_a_proposal_is_changed_it_is_refused_by_name() -> None:
    terms = replace(Terms.of(FIRST.roster), threshold=4)
    proposal = membership.sign(membership.propose_change(FIRST, terms, NOW + 1_000), seeded("a steward"))
    assert membership.missing_signatures(proposal, FIRST) == 3
    for name, data in proposal.files.items():
        for at in range(0, len(data), 29):
            changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            with pytest.raises(ProtocolError):
                membership.check_signed(membership.read_proposal({**proposal.files, name: changed}), FIRST)


def test_what_is_no_proposal_is_told_so(consortium: Consortium, three: tuple[Path, Path, Path]) -> None:
    told = consortium.fails("consortium", "sign", consortium.card("beta"), "--home", three[0], "--yes")
    assert "beta.json is no proposal" in told
    told = consortium.fails("consortium", "sign", three[1] / "roster.bin", "--home", three[0], "--yes")
    assert "roster.bin is no proposal" in told


def test_the_others_recover_from_a_lost_stewards_key(
    consortium: Consortium, three: tuple[Path, Path, Path]
) -> None:
    alpha, beta, gamma = three
    for name in ("steward", "clock"):
        (gamma / "keys" / f"{name}.key").unlink()
    again = consortium.root / "again.json"
    consortium.json("consortium", "card", "--steward", "--home", gamma, "--output", again)
    pending = consortium.json(
        "consortium", "rotate", "--home", alpha, "--steward", consortium.member("gamma"), "--card", again
    )
    done = sign(consortium, pending, beta)
    assert done["threshold"] == 2
    consortium.json("consortium", "join", "--home", gamma, "--roster", beta / "roster.bin")
    pending = consortium.json("consortium", "renew", "--home", gamma)
    assert sign(consortium, pending, beta)["version"] == 3


def test_a_steward_is_dropped_and_signs_nothing_any_more(
    consortium: Consortium, three: tuple[Path, Path, Path]
) -> None:
    alpha, beta, gamma = three
    gone = consortium.member("gamma")
    assert "is a steward" in consortium.fails("consortium", "remove", gone, "--home", alpha)
    pending = consortium.json("consortium", "rotate", "--home", alpha, "--steward", gone)
    sign(consortium, pending, beta)
    consortium.json("consortium", "join", "--home", gamma, "--roster", beta / "roster.bin")
    assert "no steward's key" in consortium.fails("consortium", "renew", "--home", gamma)


@pytest.mark.parametrize("proposer", ["stays", "goes"])
def test_one_of_two_stewards_is_dropped_in_whatever_order_they_sign(
    consortium: Consortium, proposer: str
) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta", steward=True)
    made = consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    sign(consortium, made, beta)
    consortium.json("consortium", "join", "--home", alpha, "--roster", beta / "roster.bin")
    first, second = (alpha, beta) if proposer == "stays" else (beta, alpha)
    drop = ("consortium", "rotate", "--steward", consortium.member("beta"), "--home", first)
    pending = consortium.json(*drop)
    assert (pending["missing"], pending["threshold"]) == (1, 1)
    done = sign(consortium, pending, second)
    if second == beta:
        assert (done["pending"], done["missing"]) == (True, 0)
        done = sign(consortium, pending, alpha)
    assert (done["version"], len(done["stewards"])) == (2, 1)


def test_a_steward_alone_takes_new_keys_into_use(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    consortium.json("consortium", "create", "--home", alpha)
    before = load_keys(alpha)
    done = consortium.json("consortium", "rotate", "--steward-key", "--home", alpha)
    after = load_keys(alpha)
    assert after.steward_key is not None
    assert done["stewards"] == [bytes(after.steward_key.verify_key).hex()]
    assert after.steward_seed != before.steward_seed
    assert after.clock_seed != before.clock_seed
    assert not after.next_seeds
    assert consortium.json("consortium", "renew", "--home", alpha)["version"] == 3


def test_a_threshold_of_half_is_refused(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    consortium.node("beta", steward=True)
    create = ("consortium", "create", "--home", alpha, "--card", consortium.card("beta"), "--threshold", 1)
    assert consortium.fails(*create).endswith("--threshold 1: of 2 stewards 2 must sign, more than half")


def test_more_signatures_than_stewards_are_not_asked_for(
    consortium: Consortium, three: tuple[Path, Path, Path]
) -> None:
    rotate = ("consortium", "rotate", "--home", three[0], "--threshold", 4)
    assert "of 3 stewards 2 to 3 must sign" in consortium.fails(*rotate)


def test_a_founder_is_named_once(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    consortium.node("beta")
    twice = ("--card", consortium.card("beta")) * 2
    assert "beta is among the founders" in consortium.fails("consortium", "create", "--home", alpha, *twice)
    own = ("consortium", "create", "--home", alpha, "--card", consortium.card("alpha"))
    assert "alpha is among the founders" in consortium.fails(*own)


def test_a_steward_is_a_member_first(consortium: Consortium) -> None:
    alpha = consortium.node("alpha")
    consortium.node("beta", steward=True)
    consortium.json("consortium", "create", "--home", alpha)
    rotate = ("consortium", "rotate", "--home", alpha, "--card", consortium.card("beta"))
    assert "admit it first" in consortium.fails(*rotate)


def test_who_is_no_steward_makes_no_stewards_keys(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    assert "no steward" in consortium.fails("consortium", "rotate", "--steward-key", "--home", beta)
    assert not load_keys(beta).next_seeds


def test_the_last_signature_says_what_the_others_do(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta", steward=True)
    made = consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    sign = ("consortium", "sign", made["proposal"], "--home", beta, "--yes", "--name", "Pact")
    code, out, _ = consortium.run(*sign)
    assert code == 0
    shown = consortium.json("consortium", "show", "--home", beta)
    assert out.splitlines()[-1].endswith(
        f"ioint consortium join --roster roster.bin --consortium {shown['consortium']}`"
    )
    assert shown["name"] == "Pact"


def test_who_founds_alone_is_told_how_others_come(consortium: Consortium) -> None:
    code, out, _ = consortium.run("consortium", "create", "--home", consortium.node("alpha"))
    assert (code, "only this node is a member" in out) == (0, True)


def test_a_roster_says_which_of_its_dates_is_renewed_daily(consortium: Consortium) -> None:
    made = consortium.json("consortium", "create", "--home", consortium.node("alpha"))
    dates = [made["newest_until"], made["roster_until"], made["stewards_until"]]
    assert dates == sorted(dates)
    assert made["expires"] == dates[0]
    assert len(set(dates)) == 3


def test_a_record_key_is_rotated_by_a_card_of_the_old_one(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    old, card = load_keys(beta), consortium.root / "new.json"
    made = consortium.json("consortium", "rotate", "--record-key", "--home", beta, "--output", card)
    new = load_keys(beta)
    assert made["member"] == old.member == new.member
    assert made["record_key"] == new.record_public.hex() != old.record_public.hex()
    consortium.json("consortium", "admit", "--home", alpha, "--card", card)
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    begins = made["from_seq"]
    assert bytes(new.record_key_at(begins - 1).verify_key) == old.record_public
    assert bytes(new.record_key_at(begins).verify_key) == new.record_public
    assert consortium.json("consortium", "card", "--home", beta)["record_key"] == new.record_public.hex()
    admit = ("consortium", "admit", "--home", alpha, "--card", consortium.card("beta"))
    assert "is an older card" in consortium.fails(*admit)


def test_a_record_key_cannot_begin_where_something_is_signed_already(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    card = consortium.root / "new.json"
    made = consortium.json("consortium", "rotate", "--record-key", "--home", beta, "--output", card)
    asyncio.run(know(alpha, made["member"], made["from_seq"]))
    assert "is known already" in consortium.fails("consortium", "admit", "--home", alpha, "--card", card)


def test_a_member_that_lost_its_keys_comes_back_with_a_fresh_card(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    lost = consortium.member("beta")
    asyncio.run(know(alpha, lost, 7))
    beta.rename(consortium.root / "burnt")
    fresh = consortium.node("beta")
    done = consortium.json(
        "consortium", "admit", "--home", alpha, "--card", consortium.card("beta"), "--replaces", lost
    )
    assert [member["id"] for member in done["members"]][1:] == [lost]
    consortium.json("consortium", "join", "--home", fresh, "--roster", alpha / "roster.bin")
    assert load_keys(fresh).member == lost
    assert consortium.json("consortium", "card", "--home", fresh)["member"] == lost


def test_a_new_node_key_is_used_once_the_roster_names_it(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    old, card = load_keys(beta).node_public, consortium.root / "new.json"
    made = consortium.json("consortium", "rotate", "--node-key", "--home", beta, "--output", card)
    assert load_keys(beta).node_public == old
    consortium.json("consortium", "admit", "--home", alpha, "--card", card)
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    assert load_keys(beta).node_public.hex() == made["node_key"]
    assert not (beta / "keys" / "node-next.key").exists()


@pytest.mark.parametrize("lost", [("steward",), ("clock",), ("steward", "clock")])
def test_a_steward_without_its_keys_does_not_rotate_them_and_is_left_as_it_was(
    consortium: Consortium, lost: tuple[str, ...]
) -> None:
    alpha = consortium.node("alpha")
    consortium.json("consortium", "create", "--home", alpha)
    for name in lost:
        (alpha / "keys" / f"{name}.key").unlink()
    before = sorted((alpha / "keys").iterdir())
    assert "is not here" in consortium.fails("consortium", "rotate", "--steward-key", "--home", alpha)
    assert sorted((alpha / "keys").iterdir()) == before


def test_a_member_that_is_no_steward_makes_no_stewards_keys(consortium: Consortium) -> None:
    alpha, beta = consortium.node("alpha"), consortium.node("beta")
    consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    before = sorted((beta / "keys").iterdir())
    assert "is no steward" in consortium.fails("consortium", "rotate", "--steward-key", "--home", beta)
    assert sorted((beta / "keys").iterdir()) == before


async def know(home: Path, author: str, seq: int) -> None:
    """Let a node hold one segment of this height."""
    key = SigningKey(b"k" * 32)
    wire = build_segment(key, "c" * 64, author, seq, "1" * 64 if seq > 1 else GENESIS, 1, [b"x"])
    row = {
        "author": author,
        "seq": seq,
        "head": parse_segment(wire).head,
        "wire": wire,
        "records": 1,
        "received_at": "",
        "delivered_by": None,
    }
    async with open_store(load_config(home).store_url) as store:
        await store.write(lambda connection: connection.execute(segments.insert(), [row]))


def test_a_steward_never_signs_two_proposals_of_one_version(
    consortium: Consortium, three: tuple[Path, Path, Path]
) -> None:
    alpha, _, gamma = three
    for name in ("delta", "epsilon"):
        consortium.node(name)
    first = consortium.json("consortium", "admit", "--home", alpha, "--card", consortium.card("delta"))
    second = consortium.json("consortium", "admit", "--home", gamma, "--card", consortium.card("epsilon"))
    for home, other in ((gamma, first), (alpha, second)):
        said = consortium.fails("consortium", "sign", other["proposal"], "--home", home, "--yes")
        assert "signed another proposal of version 2" in said


def test_what_a_steward_signed_is_kept_where_nobody_else_reads_it(
    consortium: Consortium, three: tuple[Path, Path, Path]
) -> None:
    consortium.json("consortium", "renew", "--home", three[0])
    kept = three[0] / "keys" / "signed.json"
    assert (kept.stat().st_mode & 0o777, json.loads(kept.read_text())["version"]) == (0o600, 2)


def test_stewards_who_signed_one_proposal_each_go_on_past_them(
    consortium: Consortium, three: tuple[Path, Path, Path]
) -> None:
    alpha, beta, gamma = three
    for home in three:
        consortium.json("consortium", "renew", "--home", home)
    pending = consortium.json("consortium", "renew", "--abandon", "--home", alpha)
    assert sign(consortium, pending, gamma)["version"] == 4
    consortium.json("consortium", "join", "--home", beta, "--roster", gamma / "roster.bin")
    assert "no proposal" in consortium.fails("consortium", "renew", "--abandon", "--home", beta)


@pytest.fixture
def forked(
    consortium: Consortium, three: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """Two rosters of version 2, at beta and, a little later, at gamma, which forgot what it signed."""
    alpha, beta, gamma = three
    for name in ("delta", "epsilon"):
        consortium.node(name)
    first = consortium.json("consortium", "admit", "--home", alpha, "--card", consortium.card("delta"))
    second = consortium.json("consortium", "admit", "--home", gamma, "--card", consortium.card("epsilon"))
    sign(consortium, second, beta)
    (gamma / "keys" / "signed.json").unlink()
    later = now_ms() + 2_000
    monkeypatch.setattr(proposals, "now_ms", lambda: later)
    sign(consortium, first, gamma)
    return beta, gamma


def test_an_operator_takes_the_other_roster_of_a_fork(
    consortium: Consortium, forked: tuple[Path, Path]
) -> None:
    beta, gamma = forked
    join = ("consortium", "join", "--home", beta, "--roster", gamma / "roster.bin")
    assert "--replace-fork" in consortium.fails(*join)
    assert "nothing was replaced" in consortium.fails(*join, "--replace-fork")
    shown = consortium.json(*join, "--replace-fork", "--yes")
    assert set(states(shown)) == {"alpha", "beta", "gamma", "delta"}


def test_an_older_roster_is_no_fork(consortium: Consortium, three: tuple[Path, Path, Path]) -> None:
    alpha, beta, _ = three
    old = consortium.root / "old.bin"
    old.write_bytes((alpha / "roster.bin").read_bytes())
    sign(consortium, consortium.json("consortium", "renew", "--home", alpha), beta)
    assert "rollback" in consortium.fails(
        "consortium", "join", "--home", beta, "--roster", old, "--replace-fork", "--yes"
    )
