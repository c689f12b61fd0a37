"""Vectors of the network part of reputation, calculated here once more, line by line as the specification says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seeds import DAY, Case

MICRO = 1_000_000


def make_reputations() -> Case:
    """Statements about one subject and what every node makes of them."""
    cases = []
    for name, members, statements, more in _stories():
        case: Case = {
            "name": name,
            "kind": "pattern",
            "today": DAY,
            "equivocators": [],
            "members": members,
            "statements": statements,
            **more,
        }
        cases.append(case | {"expected": _network_part(case)})
    return {
        "about": "the network part for one subject; each author's statements are in the order of its log",
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


def _sighting(author: str, seen: int = 0, day: int = DAY) -> Case:
    return {"author": author, "kind": "sighting", "id": "s1", "seen": seen, "day": day}


def _dispute(author: str, day: int = DAY, number: int = 1) -> Case:
    return {"author": author, "kind": "dispute", "id": f"d{number}", "day": day}


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


def _network_part(case: Case) -> Case:
    today = case["today"]
    voting = {m["id"]: m for m in case["members"] if m["state"] == "active" and m["class"] == "member"}
    taken_back = {(s["author"], s["of"]) for s in case["statements"] if s["kind"] == "withdrawal"}
    newest: dict[str, Case] = {}
    withdrawn = 0
    for said in case["statements"]:
        author = said["author"]
        if said["kind"] == "withdrawal" or author not in voting or author in case["equivocators"]:
            continue
        if not -1 <= today - said["day"] < 30:
            continue
        if (author, said["id"]) in taken_back:
            withdrawn += 1
        else:
            newest[author] = said
    accusing: dict[str, int] = {}
    benign: dict[str, int] = {}
    fresh = 0
    for author, said in newest.items():
        group = voting[author]["group"]
        weight = _tenure(case["members"], group, today)
        x = _raw(said, case["kind"])
        age = max(0, today - said["day"])
        p, m = _decay(max(x, 0), age) * weight // MICRO, _decay(max(-x, 0), age) * weight // MICRO
        accusing[group] = min(MICRO, accusing.get(group, 0) + p)
        benign[group] = min(MICRO, benign.get(group, 0) + m)
        if _decay(max(x, 0), age) * weight > 0:
            fresh = max(fresh, _decay(MICRO, age))
    n = len({m["group"] for m in voting.values()})
    b, q = min((n - 1) // 3, max(3, -(-n // 10))), -(-n // 3)
    total, against = sum(accusing.values()), sum(benign.values())
    p_b, n_b, p_q = (
        sum(sorted(v.values())[::-1][k:]) for v, k in ((accusing, b), (benign, b), (accusing, q))
    )
    if not newest and withdrawn:
        tier, state = "none", "withdrawn"
    elif total == 0:
        tier, state = "none", "benign" if against else "unknown"
    elif n < 4 or p_b < 750_000:
        tier, state = "advisory", "watched"
    elif 2 * n_b >= p_b:
        tier, state = "disputed", "disputed"
    else:
        tier, state = ("consensus", "malicious") if p_q >= 750_000 else ("corroborated", "suspicious")
    d, k, c = total + against + 750_000, sum(v > 0 for v in accusing.values()), b + 3
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
