"""`ioint consortium rule`: stewards rule on records, and the second one sees what it signs."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from pathlib import Path

import pytest
from ioint_node.cli import rulings
from ioint_node.cli.doctor import lowered_standing
from ioint_node.cli.rosters import read_book
from ioint_node.config import load_config, load_keys
from ioint_node.errors import ConfigError
from ioint_node.store import log
from ioint_node.store.engine import open_store
from ioint_node.store.log import Arrival
from ioint_node.store.times import day_of, day_text
from ioint_protocol import (
    LIMITS,
    Dispute,
    Member,
    Record,
    Release,
    Report,
    Roster,
    Ruling,
    SigningKey,
    build_segment,
    encode_record,
    parse_segment,
    record_id,
    verify_segment,
)
from ioint_protocol.segment import GENESIS
from ioint_taxonomy import load_catalogue, load_taxonomy

from tests.node.cli.organisations import Consortium
from tests.node.reputation.test_rule import roster_of

NOW = time.time_ns() // 1_000_000
TODAY = day_of(NOW)
PATTERN = min(load_catalogue().entries)
INTENT = min(load_taxonomy().intents)


@pytest.fixture
def consortium(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Consortium:
    return Consortium(tmp_path, capsys)


@pytest.fixture
def two(consortium: Consortium) -> tuple[Path, Path]:
    """Two stewards who both sign."""
    alpha, beta = consortium.node("alpha"), consortium.node("beta", steward=True)
    pending = consortium.json("consortium", "create", "--home", alpha, "--card", consortium.card("beta"))
    consortium.json("consortium", "sign", pending["proposal"], "--home", beta, "--yes")
    consortium.json("consortium", "join", "--home", alpha, "--roster", beta / "roster.bin")
    return alpha, beta


REPORT = Report(
    tax=load_taxonomy().version,
    kind="pattern",
    pat=PATTERN,
    intents=(INTENT,),
    basis="analyst",
    bad=3,
    seen=4,
    agents=1,
    day_from=TODAY - 2,
    day_until=TODAY,
    det="0" * 64,
    tlp="amber",
)


def named(record: Record) -> str:
    return record_id(encode_record(record))


def hear(home: Path, by: Path, *records: Record) -> None:
    """Store what another organisation signed as its first segment, as the exchange does."""

    async def store() -> None:
        config, keys = load_config(home), load_keys(by)
        roster = (await read_book(config)).last
        assert roster is not None
        key = keys.record_key_at(1)
        assert isinstance(key, SigningKey)
        bodies = [encode_record(record) for record in records]
        wire = build_segment(key, roster.consortium, keys.member, 1, GENESIS, 1, bodies)
        segment = verify_segment(parse_segment(wire), roster.consortium, roster)
        async with open_store(config.store_url) as opened:
            await opened.write(partial(log.add_segments, arrivals=[Arrival(segment=segment)], now=NOW))

    asyncio.run(store())


def ruled(consortium: Consortium, home: Path) -> list[tuple[str, str, str]]:
    shown = consortium.json("consortium", "show", "--home", home)
    return [(each["kind"], each["of"], each["author"]) for each in shown["rulings"]]


def propose(consortium: Consortium, home: Path, *words: object) -> str:
    return str(consortium.json("consortium", "rule", *words, "--home", home)["proposal"])


def test_a_second_steward_sees_what_a_record_says_who_signed_it_and_who_disputes_it(
    consortium: Consortium, two: tuple[Path, Path]
) -> None:
    alpha, beta = two
    for home in two:
        hear(home, beta, REPORT, Dispute(of=named(REPORT), reason="too_broad", day=TODAY))
    proposal = propose(consortium, alpha, "--false", named(REPORT)[:8])
    code, out, _ = consortium.run("consortium", "sign", proposal, "--home", beta, "-o", "json")
    assert code == 1
    told = json.loads(out)
    assert told["rulings"] == [
        {
            "ruling": "false",
            "of": named(REPORT),
            "until": day_text(TODAY + 84),
            "signed_by": "beta (group beta)",
            "kind": "report",
            "about": load_catalogue().entries[PATTERN].title,
            "says": f"{INTENT}; sessions: 8–15 bad of 16–31, "
            f"{day_text(TODAY - 2)} to {day_text(TODAY)}, by analyst",
            "disputes": f"beta (group beta): too_broad, {day_text(TODAY)}",
        }
    ]
    about = f"{named(REPORT)} by {consortium.member('beta')}"
    after = f"false from {day_text(TODAY)} until {day_text(TODAY + 84)}"
    assert told["changes"] == [{"of": about, "what": "ruling", "before": "", "after": after}]
    code, out, _ = consortium.run("consortium", "sign", proposal, "--home", beta)
    assert "too_broad" in out
    consortium.json("consortium", "sign", proposal, "--home", beta, "--yes")
    assert ruled(consortium, beta) == [("false", named(REPORT), consortium.member("beta"))]


def test_a_ruling_is_changed_and_dropped(consortium: Consortium, two: tuple[Path, Path]) -> None:
    alpha, beta = two
    hear(alpha, beta, REPORT)
    said = ("false", "stands")
    for kind in said:
        proposal = propose(consortium, alpha, f"--{kind}", named(REPORT)[:12])
        consortium.json("consortium", "sign", proposal, "--home", beta, "--yes")
        consortium.json("consortium", "join", "--home", alpha, "--roster", beta / "roster.bin")
        assert ruled(consortium, alpha) == [(kind, named(REPORT), consortium.member("beta"))]
    proposal = propose(consortium, alpha, "--drop", named(REPORT)[:12], "--review", PATTERN[:10])
    consortium.json("consortium", "sign", proposal, "--home", beta, "--yes")
    assert ruled(consortium, beta) == [("review", PATTERN, "")]


def test_a_dispute_is_ruled_on_by_its_own_id(consortium: Consortium, two: tuple[Path, Path]) -> None:
    alpha, beta = two
    dispute = Dispute(of=named(REPORT), reason="too_broad", day=TODAY)
    hear(alpha, beta, REPORT, dispute)
    propose(consortium, alpha, "--false", named(dispute)[:8])
    told = consortium.fails("consortium", "rule", "--stands", named(dispute)[:8], "--home", alpha)
    assert "is a dispute: only a report can stand" in told


def test_what_two_members_signed_alike_needs_the_author(
    consortium: Consortium, two: tuple[Path, Path]
) -> None:
    alpha, beta = two
    for by in two:
        hear(alpha, by, REPORT)
    told = consortium.fails("consortium", "rule", "--false", named(REPORT), "--home", alpha)
    assert "--author" in told
    author = consortium.member("beta")
    proposal = propose(consortium, alpha, "--false", named(REPORT), "--author", author[:8])
    consortium.json("consortium", "sign", proposal, "--home", beta, "--yes")
    assert ruled(consortium, beta) == [("false", named(REPORT), author)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--false", "abc"), "give at least its first 8 hex digits"),
        (("--false", "0" * 12), "no report, sighting or dispute begins with"),
        (("--false", "0" * 64), "holds no record"),
        (("--review", "0" * 12), "no pattern begins with"),
        (("--review", "pkg:nowhere/x"), "is no package URL"),
        (("--drop", "0" * 12), "names 0 rulings in force"),
        (("--review", PATTERN, "--review", PATTERN), "two rulings about the same"),
    ],
)
def test_what_cannot_be_ruled_on_is_told(
    consortium: Consortium, two: tuple[Path, Path], words: tuple[str, ...], told: str
) -> None:
    assert told in consortium.fails("consortium", "rule", *words, "--home", two[0])


def test_naming_nothing_is_a_question_of_usage(consortium: Consortium, two: tuple[Path, Path]) -> None:
    code, _, err = consortium.run("consortium", "rule", "--home", two[0])
    assert code == 2
    assert "--false, --stands, --review and --drop" in err


def test_a_record_that_a_steward_does_not_hold_is_told_so(
    consortium: Consortium, two: tuple[Path, Path]
) -> None:
    alpha, beta = two
    hear(alpha, beta, REPORT)
    proposal = propose(consortium, alpha, "--false", named(REPORT))
    _, out, _ = consortium.run("consortium", "sign", proposal, "--home", beta, "-o", "json")
    (row,) = json.loads(out)["rulings"]
    assert row["says"] == "not held here: ask the steward who proposes it"


def roster(*held: Ruling) -> Roster:
    return Roster(
        version=2,
        consortium="c" * 64,
        issued_day=TODAY,
        members=(),
        taxonomy=Release(version="2026.11", digest="0" * 64),
        catalogue="1" * 64,
        rulings=held,
    )


def about(number: int, day: int = TODAY) -> Ruling:
    return Ruling(kind="false", author="a" * 32, of=f"{number:064x}", day=day)


def test_the_rulings_of_the_next_roster_are_bounded_and_without_those_that_are_over() -> None:
    old = about(0, TODAY - 84)
    full = roster(old, *(about(number) for number in range(1, LIMITS.rulings + 1)))
    kept = rulings.ruled(full, [], [], TODAY)
    assert (len(kept), old in kept) == (LIMITS.rulings, False)
    with pytest.raises(
        ConfigError, match=f"room for {LIMITS.rulings} rulings.* wait for {day_text(TODAY + 84)}"
    ):
        rulings.ruled(full, [about(900)], [], TODAY)
    assert len(rulings.ruled(full, [about(900)], [f"{1:064x}"], TODAY)) == LIMITS.rulings


def test_doctor_says_that_stewards_ruled_against_this_members_group() -> None:
    us, colleague, other = (
        Member(id=digit * 32, name=digit, node_key="", record_keys=(), group=group, since=1)
        for digit, group in (("a", "g"), ("b", "g"), ("c", "h"))
    )
    told = [Ruling(kind="false", author=each.id, of="0" * 64, day=20_000) for each in (us, colleague, other)]
    roster = roster_of(us, colleague, other, rulings=tuple(told))
    found = lowered_standing(roster, us, 20_001)
    assert found is not None
    assert "2 of what group g said" in found
    assert "counts 1/4" in found
    assert lowered_standing(roster, us, 20_084) is None
