"""Vectors of the network part of reputation, calculated here once more, line by line as the specification says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seeds import DAY, Case

MICRO = 1_000_000
SUBJECT = "5" * 64


def make_reputations() -> Case:
    """Statements about one subject and what every node makes of them."""
    cases = []
    for name, members, statements, more in (*_stories(), *_ruled_stories(), *_general_stories()):
        case: Case = {
            "name": name,
            "kind": "pattern",
            "subject": SUBJECT,
            "today": DAY,
            "equivocators": [],
            "rulings": [],
            "breadth": {},
            "members": members,
            "statements": statements,
            "general": {},
            **more,
        }
        cases.append(case | {"expected": _network_part(case)})
    return {
        "about": "the network part for one subject; each author's statements are in the order of its log; groups that"
        " breadth does not name accuse little; general holds what is said of the entries of the catalogue that the"
        " subject is a special case of",
        "cases": cases,
    }


def _members(count: int, **late: Any) -> list[Case]:  # noqa: ANN401  # fields of the last member
    members = [
        {
            "id": f"m{n}",
            "group": f"g{n}",
            "class": "member",
            "state": "active",
            "since": 1,
            "since_day": DAY - 400,
        }
        for n in range(count)
    ]
    members[-1].update(late)
    return members


def _report(author: str, bad: int = 0, seen: int | None = None, day: int = DAY, number: int = 1) -> Case:
    seen = bad if seen is None else seen
    return {"author": author, "kind": "report", "id": f"r{number}", "bad": bad, "seen": seen, "day": day}


def _sighting(author: str, seen: int = 0, day: int = DAY, of: str = "r1") -> Case:
    return {"author": author, "kind": "sighting", "id": "s1", "of": of, "seen": seen, "day": day}


def _dispute(author: str, day: int = DAY, number: int = 1, of: str = "r1") -> Case:
    return {"author": author, "kind": "dispute", "id": f"d{number}", "of": of, "day": day}


def _ruling(kind: str, author: str = "m0", of: str = "r1", day: int = DAY) -> Case:
    return {"kind": kind, "author": "" if kind == "review" else author, "of": of, "day": day}


def _withdrawal(author: str, of: str = "r1") -> Case:
    return {"author": author, "kind": "withdrawal", "id": "w1", "of": of}


def _stories() -> Iterable[tuple[str, list[Case], list[Case], Case]]:
    five, ten = _members(5), _members(10)
    three = [_report("m0"), _report("m1"), _report("m2")]
    yield "silence", five, [], {}
    yield "one first report", five, [_report("m0")], {}
    yield "two first reports", five, three[:2], {}
    yield "three first reports", five, three, {}
    yield "two reports with a count of two", five, [_report("m0", 1), _report("m1", 1)], {}
    yield "four first reports", five, [*three, _report("m3")], {}
    yield "a sighting speaks like a report", five, [*three[:2], _sighting("m2")], {}
    yield "three groups are never more than advised", _members(3), three, {}
    yield "one dispute of two", five, [*three, _dispute("m3")], {}
    yield "two disputes", five, [*three, _dispute("m3"), _dispute("m4")], {}
    yield "only disputes", five, [_dispute("m0"), _dispute("m1")], {}
    yield "mostly benign", five, [_report("m0", 0, 6)], {}
    yield "more than forty sessions", five, [_report("m0", 4, 6), _report("m1", 5, 7)], {}
    yield "a week old", five, [_report("m0", day=DAY - 7), *three[1:]], {}
    yield "four weeks old", five, [_report(f"m{n}", 1, day=DAY - 28) for n in range(3)], {}
    yield "thirty days old", five, [_report("m0", day=DAY - 30)], {}
    yield "of tomorrow", five, [_report("m0", day=DAY + 1)], {}
    yield "of the day after", five, [_report("m0", day=DAY + 2)], {}
    yield "the newest statement counts", five, [_report("m0", 3), _dispute("m0")], {}
    yield (
        "a withdrawn dispute uncovers the report",
        five,
        [_report("m0", 3), _dispute("m0"), _withdrawal("m0", "d1")],
        {},
    )
    yield "everything withdrawn", five, [_report("m0"), _withdrawal("m0")], {}
    yield "another's withdrawal changes nothing", five, [_report("m0"), _withdrawal("m1")], {}
    yield "same bytes, two members, one withdrawal", five, [*three, _withdrawal("m0")], {}
    yield "an equivocator is silent", five, three, {"equivocators": ["m0"]}
    yield "a suspended member is silent", _members(5, state="suspended"), [*three, _report("m4")], {}
    yield "an observer is silent", _members(5, **{"class": "observer"}), [*three, _report("m4")], {}
    yield (
        "two members of one group",
        _members(5, group="g0"),
        [_report("m0"), _report("m4"), _report("m1")],
        {},
    )
    for days in (6, 7, 13, 14, 90, 91, 400):
        joined = _members(5, since=9, since_day=DAY - days)
        yield f"a group of {days} days", joined, [*three[:2], _report("m4")], {}
    yield (
        "two sessions say nothing of a subject",
        five,
        [_report(f"m{n}", 1) for n in range(3)],
        {"kind": "subject"},
    )
    yield "four sessions do", five, [_report(f"m{n}", 1, 2) for n in range(3)], {"kind": "subject"}
    yield "ten groups, four first reports", ten, [_report(f"m{n}") for n in range(4)], {}
    yield "ten groups, five first reports", ten, [_report(f"m{n}") for n in range(5)], {}
    yield "forty groups, five liars", _members(40), [_report(f"m{n}", 9) for n in range(5)], {}
    yield "forty groups, fifteen voices", _members(40), [_report(f"m{n}", 9) for n in range(15)], {}


def _ruled_stories() -> Iterable[tuple[str, list[Case], list[Case], Case]]:
    five = _members(5)
    three = [_report("m0"), _report("m1"), _report("m2")]
    four = [*three, _report("m3")]
    for days in (13, 14):
        disputed = [*three, _dispute("m3", DAY - days), _dispute("m4", DAY - days)]
        yield f"two disputes of {days} days", five, disputed, {}
        yield (
            f"two disputes of {days} days, and one of three who signed the report was wrong",
            five,
            disputed,
            {"rulings": [_ruling("false", "m0", "r1", DAY - days + 13)]},
        )
    all_false = {"rulings": [_ruling("false", f"m{n}") for n in range(3)]}
    newer = [_report(f"m{n}", number=2) for n in range(3)]
    yield "disputes end with the report that they name", five, [*three, _dispute("m3"), *newer], all_false
    withdrawn = [*three, _dispute("m3"), *(_withdrawal(f"m{n}") for n in range(3)), *newer]
    yield "and when all who signed it took it back", five, withdrawn, {}
    old = [*(_report(f"m{n}", day=DAY - 30) for n in range(3)), _dispute("m3"), *newer]
    yield "and when it is too old", five, old, {}
    for days in (29, 30):
        seen = [_report("m0", day=DAY - days), *(_sighting(f"m{n}", 2, DAY - 5) for n in (1, 2, 3))]
        yield f"sightings of what was reported {days} days ago", five, seen, {}
    yield "sightings of what nobody said", five, [*three, _sighting("m3", 2, of="r9")], {}
    yield (
        "disputes of tomorrow and a ruling of today",
        five,
        [*three, _dispute("m3", DAY + 1), _dispute("m4", DAY + 1)],
        {"rulings": [_ruling("stands")]},
    )
    yield "a dispute of what nobody said", five, [*three, _dispute("m3", of="r9")], {}
    yield (
        "sightings of a report that was judged false",
        five,
        [_report("m0"), *(_sighting(f"m{n}", 2) for n in (1, 2, 3)), _report("m4", 2, number=2)],
        {"rulings": [_ruling("false")]},
    )
    yield (
        "sightings of a report of two, one of them judged false",
        five,
        [_report("m0"), *(_sighting(f"m{n}", 2) for n in (1, 2, 3)), _report("m4")],
        {"rulings": [_ruling("false")]},
    )
    yield (
        "sightings of a report that was taken back",
        five,
        [_report("m0"), *(_sighting(f"m{n}", 2) for n in (1, 2, 3)), _withdrawal("m0")],
        {},
    )
    for day in (DAY - 13, DAY - 14):
        yield (
            f"two members of a group dispute it, one of them {DAY - day} days ago",
            _members(6, group="g4"),
            [*three, _dispute("m3", day), _dispute("m4", day), _dispute("m5"), _report("m4", 3, number=7)],
            {},
        )
    again = [
        _dispute("m3", DAY - 14),
        _dispute("m4", DAY - 14),
        _dispute("m3", number=2),
        _dispute("m4", number=2),
    ]
    yield "disputes that are said again win no time", five, [*three, *again], {}
    yield (
        "nor when the first are taken back",
        five,
        [*three, *again, _withdrawal("m3", "d1"), _withdrawal("m4", "d1")],
        {},
    )
    other = [_report("m2", number=2), _dispute("m3", number=3, of="r2"), _dispute("m4", number=3, of="r2")]
    yield "disputes of another report have their own time", five, [*three, *again, *other], {}
    yield (
        "said again after a month they begin anew",
        five,
        [*three, _dispute("m3", DAY - 30), _dispute("m4", DAY - 30), *again[2:]],
        {},
    )
    yield "a lapsed dispute uncovers the report", five, [_report("m0"), _dispute("m0", DAY - 14)], {}
    yield (
        "two disputes, rejected",
        five,
        [*three, _dispute("m3"), _dispute("m4")],
        {"rulings": [_ruling("stands")]},
    )
    yield (
        "one dispute rejected, one made later",
        five,
        [*three, _dispute("m3", DAY - 1), _dispute("m4"), _dispute("m2", number=2)],
        {"rulings": [_ruling("stands", day=DAY - 1)]},
    )
    for days in (0, 83, 84):
        ruling = {"rulings": [_ruling("false", day=DAY - days, of="r9")]}
        yield f"judged false {days} days ago", five, four, ruling
    yield "a report judged false", five, three, {"rulings": [_ruling("false")]}
    yield "the only report judged false", five, three[:1], {"rulings": [_ruling("false")]}
    yield (
        "judged false three times",
        five,
        four,
        {"rulings": [_ruling("false", of=f"r{number}") for number in (7, 8, 9)]},
    )
    yield (
        "judged false and of short tenure",
        _members(5, since=9, since_day=DAY - 30),
        [*three[:2], _report("m4", 1)],
        {"rulings": [_ruling("false", "m4", "r9")]},
    )
    for kind in (three, four):
        for days in (0, 13, 14):
            review = {"rulings": [_ruling("review", of=SUBJECT, day=DAY - days)]}
            yield f"{len(kind)} reports, under review for {days} days", five, kind, review
    yield "another is under review", five, four, {"rulings": [_ruling("review", of="6" * 64)]}
    for count in (120, 121, 240, 241, 10**9):
        yield (
            f"a group that accuses {count}",
            five,
            [*three[:2], _report("m2", 1)],
            {"breadth": {"g2": count}},
        )
    yield (
        "a benign voice of a group that accuses many",
        five,
        [*three, _dispute("m3"), _dispute("m4")],
        {"breadth": {"g3": 999, "g4": 999}},
    )


def _general_stories() -> Iterable[tuple[str, list[Case], list[Case], Case]]:
    five, more, most = _members(5), "1" * 64, "2" * 64
    three = [_report("m0"), _report("m1"), _report("m2")]
    two = three[:2]
    yield (
        "a more general pattern",
        five,
        two,
        {"general": {more: [_report("m2"), _report("m3"), _dispute("m4")]}},
    )
    yield (
        "a more general pattern of what one accuses",
        five,
        two[:1],
        {"general": {more: [*three, _report("m3")]}},
    )
    yield (
        "one voice for both",
        five,
        two,
        {"general": {more: [_report("m0", 1), _report("m1", 1)]}},
    )
    yield (
        "two more general patterns",
        five,
        two,
        {"general": {more: [_report("m2", day=DAY - 7)], most: [_report("m2"), _report("m3", day=DAY - 9)]}},
    )
    yield (
        "the same voice twice",
        five,
        [_report("m0", 3, 7, DAY), _report("m4"), _report("m3")],
        {"general": {more: [_report("m0", 3, 7, DAY)], most: [_report("m1", day=DAY - 20)]}},
    )
    yield "nobody accuses it itself", five, [_report("m0", 0, 6)], {"general": {more: three}}
    yield (
        "of what is more general something is withdrawn",
        five,
        [_report("m0"), _report("m4")],
        {"general": {more: [*three[1:], _withdrawal("m1")]}},
    )
    ten = _members(10)
    disputed = [_report("m4"), _report("m5"), *(_dispute(f"m{n}") for n in (0, 6, 7, 8))]
    yield (
        "a special case of what is disputed",
        ten,
        [_report(f"m{n}") for n in range(4)],
        {"general": {more: disputed, most: [_dispute("m8"), _report("m9", 0, 6)]}},
    )
    yield (
        "a special case of what is disputed, with support of its own",
        ten,
        [_report(f"m{n}") for n in range(5)],
        {"general": {more: [*three, *(_dispute(f"m{n}") for n in range(3, 10))]}},
    )
    for own in (1, 4, 5):
        yield (
            f"{own} reports of a special case of what is under review",
            ten,
            [_report(f"m{n}") for n in range(own)],
            {
                "general": {more: [_report(f"m{n}", 2) for n in range(1, 9)]},
                "rulings": [_ruling("review", of=more)],
            },
        )


def _network_part(case: Case) -> Case:
    """By itself, and where that has support also widely: the reading with the higher tier, else the wide one."""
    rulings = _holding(case)
    voting = _voting(case)
    newest, withdrawn = _newest(case["statements"], case, voting, rulings)
    own = _group_voices(newest, case, voting, rulings)
    ended = not newest and withdrawn > 0
    accusers = sum(accusing > 0 for accusing, _, _ in own.values())
    narrow = _reading(own, case, {case["subject"]}, accusers, ended=ended)
    if narrow["P_b"] == 0 or not case["general"]:
        return narrow
    heard = dict(own)
    for name in sorted(case["general"]):
        said, _ = _newest(case["general"][name], case, voting, rulings)
        for group, (accusing, benign, day) in _group_voices(said, case, voting, rulings).items():
            p, m, fresh = heard.get(group, (0, 0, 0))
            heard[group] = (max(p, accusing), max(m, benign), day if accusing > p else fresh)
    wide = _reading(heard, case, {case["subject"], *case["general"]}, accusers, ended=ended)
    tiers = ["none", "advisory", "disputed", "corroborated", "consensus"]
    return narrow if tiers.index(narrow["tier"]) > tiers.index(wide["tier"]) else wide


def _holding(case: Case) -> list[Case]:
    return [r for r in case["rulings"] if case["today"] < r["day"] + (14 if r["kind"] == "review" else 84)]


def _voting(case: Case) -> dict[str, Case]:
    return {m["id"]: m for m in case["members"] if m["state"] == "active" and m["class"] == "member"}


def _reading(
    heard: dict[str, tuple[int, int, int]], case: Case, subjects: set[str], accusers: int, *, ended: bool
) -> Case:
    """Rules 7 to 10 for these voices."""
    today = case["today"]
    accusing_voices = [accusing for accusing, _, _ in heard.values()]
    benign_voices = [benign for _, benign, _ in heard.values()]
    days = [day for accusing, _, day in heard.values() if accusing > 0]
    fresh = _decay(MICRO, max(0, today - max(days))) if days else 0
    n = len({m["group"] for m in _voting(case).values()})
    b, q = min((n - 1) // 3, max(3, -(-n // 10))), -(-n // 3)
    total, against = sum(accusing_voices), sum(benign_voices)
    p_b, n_b, p_q = (
        sum(sorted(v)[::-1][k:]) for v, k in ((accusing_voices, b), (benign_voices, b), (accusing_voices, q))
    )
    review = any(r["kind"] == "review" and r["of"] in subjects for r in _holding(case))
    if ended:
        tier, state = "none", "withdrawn"
    elif total == 0:
        tier, state = "none", "benign" if against else "unknown"
    elif n < 4 or p_b < 750_000:
        tier, state = "advisory", "watched"
    elif review or 2 * n_b >= p_b:
        tier, state = "disputed", "disputed"
    else:
        tier, state = ("consensus", "malicious") if p_q >= 750_000 else ("corroborated", "suspicious")
    d, k, c = total + against + 750_000, accusers, b + 3
    return {
        "n": n,
        "b": b,
        "q": q,
        "P": total,
        "N": against,
        "P_b": p_b,
        "N_b": n_b,
        "P_q": p_q,
        "tier": tier,
        "state": state,
        "score": (200 * total + d) // (2 * d),
        "confidence": (200 * min(k, c) * fresh + c * MICRO) // (2 * c * MICRO) if k else 0,
    }


def _newest(
    statements: list[Case], case: Case, voting: dict[str, Case], rulings: list[Case]
) -> tuple[dict[str, Case], int]:
    """The newest live statement of each member, and how many only a withdrawal or a ruling ended."""
    today = case["today"]
    heard = [s for s in statements if s["author"] in voting and s["author"] not in case["equivocators"]]
    told = [s for s in heard if s["kind"] != "withdrawal" and -1 <= today - s["day"] < 30]
    gone = {(s["author"], s["of"]) for s in statements if s["kind"] == "withdrawal"}
    gone |= {(r["author"], r["of"]) for r in rulings if r["kind"] == "false"}
    reports = {s["id"] for s in told if s["kind"] == "report" and (s["author"], s["id"]) not in gone}
    known = {s["id"] for s in statements if s["kind"] == "report" and -1 <= today - s["day"] < 30}
    false = {r["of"] for r in rulings if r["kind"] == "false"} - reports
    newest: dict[str, Case] = {}
    ended = 0
    for said in told:
        if said["kind"] == "sighting" and said["of"] not in known:
            continue
        if said["kind"] == "dispute":
            of, group = said["of"], voting[said["author"]]["group"]
            rejected = any(
                r["kind"] == "stands" and r["of"] == of and r["day"] + 1 >= said["day"] for r in rulings
            )
            days = [
                s["day"]
                for s in told
                if s["kind"] == "dispute" and s["of"] == of and voting[s["author"]]["group"] == group
            ]
            if of not in reports or rejected or today >= min(days) + 14:
                continue
        if (said["author"], said["id"]) in gone or (said["kind"] == "sighting" and said["of"] in false):
            ended += 1
        else:
            newest[said["author"]] = said
    return newest, ended


def _group_voices(
    newest: dict[str, Case], case: Case, voting: dict[str, Case], rulings: list[Case]
) -> dict[str, tuple[int, int, int]]:
    """P, N and the fresh day of each group."""
    voices: dict[str, tuple[int, int, int]] = {}
    for author, said in newest.items():
        group = voting[author]["group"]
        listed = {m["id"] for m in case["members"] if m["group"] == group}
        judged = sum(r["kind"] == "false" and r["author"] in listed for r in rulings)
        weight = _tenure(case["members"], group, case["today"]) * (MICRO // 2**judged) // MICRO
        often = 0
        while case["breadth"].get(group, 0) > 120 * 2**often:
            often += 1
        x, age = _raw(said, case["kind"]), max(0, case["today"] - said["day"])
        accusing, benign = _decay(max(x, 0), age), _decay(max(-x, 0), age)
        p, m, day = voices.get(group, (0, 0, 0))
        voices[group] = (
            p + accusing * (weight // 2**often) // MICRO,
            m + benign * weight // MICRO,
            max(day, said["day"]) if accusing * (weight // 2**often) > 0 else day,
        )
    return {group: (min(MICRO, p), min(MICRO, m), day) for group, (p, m, day) in voices.items()}


def _tenure(members: list[Case], group: str, today: int) -> int:
    listed = [m for m in members if m["group"] == group]
    if any(m["since"] == 1 for m in listed):
        return MICRO
    days = today - min(m["since_day"] for m in listed)
    return 0 if days < 7 else 100_000 + 75_000 * min(12, (days - 7) // 7)


def _raw(said: Case, kind: str) -> int:
    if said["kind"] == "dispute":
        return -MICRO
    flagged = 2 ** (said["seen"] if said["kind"] == "sighting" else said["bad"])
    total = max(2 ** said["seen"], flagged)
    if kind == "subject" and total < 3:
        return 0
    log_odds = flagged * 2_708_050 + (total - flagged) * -152_469
    if total > 40:
        log_odds = log_odds * 40 // total
    return max(-MICRO, min(MICRO, log_odds // 4))


def _decay(amount: int, age: int) -> int:
    for _ in range(age // 7):
        amount = amount * 9 // 10
    return amount
