"""Cases drawn by chance, in the form of vectors, with what this implementation says of each."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ioint_protocol import ProtocolError, canonical, records
from ioint_protocol.limits import LIMITS
from ioint_protocol.pattern import Matcher, implies, parse_pattern
from ioint_taxonomy import Step, Taxonomy

Case = dict[str, Any]

# Values of which most are of the wrong type, form or range for any one field.
STRAY: tuple[Any, ...] = (
    -1, 0, 1, 2, 30, 31, 100_000, 100_001, LIMITS.integer,
    "", "a", "A", "@a", "a b", "f" * 32, "f" * 63, "f" * 64, "F" * 64, "x" * 64, "x" * 65,
    "clear", "pattern", "subject", "analyst", "mistake", "2026.11", "2026.11.1234", "2026.1",
    "pkg:npm/a", "pkg:npm/%40a/b@1.0.0-rc.1+b", "pkg:npm/@a/b", "pkg:npm/a@", "pkg:npm/a@" + "1" * 41,
    "pkg:npm/" + "a" * 101, "pkg:pypi/a-b", "pkg:pypi/a_b", "pkg:pypi/a--b", "pkg:cargo/A-b_c",
    "pkg:docker/a.b/c", "pkg:docker/a_b/c", "pkg:github/A/b", "pkg:huggingface/a/b.c",
    [], {}, [0], ["a"], ["a", "b"], ["b", "a"], ["a", "a"],
)  # fmt: skip
# What a reader of JSON or of a frame may stumble over.
PIECES = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b"1.0", b"1e2", b"1e400", b"null", b"true", b" ",
    b"\\n", b"\\u0041", b"\xc3\xa9", b"\xff", b'"a":1,', b"9007199254740993", b"NaN", b"\0", b"-0", b"[[[[[[[[[",
)  # fmt: skip
NAMES = ("zz", "tax", "kind", "pat", "subj", "seen", "day", "of", "v", "f", "x", "declared")


def damaged(
    chance: random.Random, sound: list[Case], field: str, read: Callable[[bytes], Case], count: int
) -> Iterator[Case]:
    """Cases whose bytes, in hex under `field`, have one fault; `read` gives what they say where they are accepted."""
    for number in range(count):
        data = _one_fault(chance, bytes.fromhex(chance.choice(sound)[field]))
        case: Case = {"name": str(number), field: data.hex()}
        try:
            yield case | read(data)
        except ProtocolError as error:
            yield case | {"refusal": error.name}


def _one_fault(chance: random.Random, data: bytes) -> bytes:
    at = chance.randint(0, len(data))
    match chance.randrange(4):
        case 0 if at < len(data):
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        case 1:
            return data[:at] + data[at + chance.randint(1, 3) :]
        case 2:
            return data[:at] + data[max(0, at - 8) : at] + data[at:]
        case _:
            return data[:at] + chance.choice(PIECES) + data[at:]


def damaged_records(chance: random.Random, sound: list[Case], count: int) -> Iterator[Case]:
    """Records with one fault, or with none where the change is harmless."""
    for number in range(count):
        value = copy.deepcopy(chance.choice(sound))
        _damage(chance, value)
        body = canonical.encode(value)
        case: Case = {"name": str(number), "body": body.decode("ascii")}
        try:
            found = records.decode_record(body)
        except ProtocolError as error:
            yield case | {"refusal": error.name}
        else:
            later = {"unread": found.v} if isinstance(found, records.Unread) else {}
            yield case | {"id": records.record_id(body)} | later


def _damage(chance: random.Random, value: Case) -> None:
    holder, key = chance.choice(list(_places(value)))
    match chance.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[chance.choice(NAMES)] = copy.deepcopy(chance.choice(STRAY))
        case _:
            holder[key] = copy.deepcopy(chance.choice(STRAY))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


class Sessions:
    """Patterns and sessions in one vocabulary, with a word that it does not know in every place."""

    def __init__(self, chance: random.Random, vocabulary: Mapping[str, Any], taxonomy: Taxonomy) -> None:
        self._chance = chance
        self._taxonomy = taxonomy
        self._verbs = [*vocabulary["verbs"], "later"]
        self._resources = [*vocabulary["resources"], "later"]
        self._classes = [f"@{name}" for name in sorted({*vocabulary["verbs"].values(), "later"})]
        self._groups = [f"@{name}" for name in sorted({*vocabulary["resources"].values(), "later"})]
        self._sensitivities = [*vocabulary["sensitivities"], "later"]
        self._boundaries = [*vocabulary["boundaries"], "later"]

    def completed(self, number: int) -> Case:
        """A session, and at which of its steps a pattern is complete."""
        pattern = self.pattern()
        families = self._some(["a", "b", "c"], 0)
        steps = [self._step(at) for at in range(self._chance.choice([3, 6, 9]))]
        matcher = Matcher({"it": parse_pattern(pattern)}, self._taxonomy)
        state, found = matcher.start(tuple(families)), []
        for value in steps:
            rest = {**value, "flow": tuple(value["flow"])}
            outside = bool(rest.pop("outside"))
            state, now = matcher.advance(state, Step(**rest), outside)
            found.append(len(now))
        case = {"pattern": pattern, "families": families, "steps": steps, "completed": found}
        return {"name": str(number), **case}

    def special(self, number: int) -> Case:
        """Two patterns, and whether the one is a special case of the other."""
        general = self.pattern()
        special = self._narrowed(general) if self._chance.random() < 0.7 else self.pattern()
        implied = implies(parse_pattern(special), parse_pattern(general), self._taxonomy)
        return {"name": str(number), "special": special, "general": general, "implied": int(implied)}

    def pattern(self) -> Case:
        steps = [self._asked(at) for at in range(self._chance.choice([1, 2, 2, 3]))]
        pattern: Case = {"gaps": 1 if len(steps) == 1 else self._chance.choice([0, 1, 1]), "steps": steps}
        return pattern | ({"declared": ["a", "b"]} if self._chance.random() < 0.1 else {})

    def _asked(self, at: int) -> Case:
        draw = self._chance.random
        step: Case = {"v": self._some(self._verbs + self._classes)} if draw() < 0.8 else {"x": 1}
        if draw() < 0.2:
            step["r"] = self._some(self._resources + self._groups)
        if draw() < 0.1:
            step["s"] = self._chance.randint(1, 3)
        if draw() < 0.1:
            step["b"] = self._chance.randint(1, 5)
        if draw() < 0.1:
            step["p"] = self._some(["memory", "tool_output", "user"])
        if at and draw() < 0.4:
            step["f"] = self._some(list(range(at)))
        return step

    def _narrowed(self, general: Case) -> Case:
        """The same with more asked of one step, or a step more at the end."""
        special = copy.deepcopy(general)
        step = self._chance.choice(special["steps"])
        step.update(self._chance.choice([{"x": 1}, {"s": 3}, {"b": 5}, {"v": self._some(self._verbs)}]))
        if self._chance.random() < 0.3:
            special["steps"].append({"v": self._some(self._verbs)})
        return special

    def _step(self, at: int) -> Case:
        pick = self._chance.choice
        return {
            "verb": pick(self._verbs),
            "resource": pick(self._resources),
            "sensitivity": pick(self._sensitivities),
            "boundary": pick(self._boundaries),
            "provenance": pick(["memory", "tool_output", "user"]),
            "flow": self._some(list(range(at)), 0),
            "outside": int(self._chance.random() < 0.2),
        }

    def _some(self, values: list[Any], least: int = 1) -> list[Any]:
        return sorted(self._chance.sample(values, min(len(values), self._chance.randint(least, 2))))


TODAY = 20_777
SUBJECT, GENERAL = "5" * 64, ("1" * 64, "2" * 64)
STATES = ("active",) * 8 + ("suspended", "removed")
SINCE_DAYS = (0, 6, 7, 13, 14, 20, 90, 91, 400)
AGES = (-2, -1, 0, 0, 1, 6, 7, 13, 14, 29, 30, 40)
BUCKETS = (0, 1, 2, 3, 5, 6, 10, 30)


def opinions(chance: random.Random, count: int) -> Iterator[Case]:
    """Rosters and logs about one subject, of which somebody has to say what they come to."""
    for number in range(count):
        members = [_member(chance, at) for at in range(chance.choice([1, 3, 4, 5, 8, 15, 40]))]
        yield {
            "name": str(number),
            "kind": "pattern" if number % 3 else "subject",
            "subject": SUBJECT,
            "members": members,
            "statements": _logs(chance, members),
            "general": {
                name: _logs(chance, members)
                for name in GENERAL[: chance.choice([0, 0, 1, 2]) if number % 3 else 0]
            },
            "equivocators": [member["id"] for member in members if chance.random() < 0.05],
            "rulings": [_ruling(chance) for _ in range(chance.choice([0, 0, 1, 3]))],
            "breadth": {member["group"]: chance.choice([1, 121, 999]) for member in members[:1]},
            "today": TODAY,
        }


def _ruling(chance: random.Random) -> Case:
    kind = chance.choice(["false", "false", "stands", "review"])
    day = TODAY - chance.choice((0, 5, 13, 14, 83, 84))
    if kind == "review":
        return {"kind": kind, "author": "", "of": chance.choice([SUBJECT, *GENERAL]), "day": day}
    said = chance.choice(["report-20777-0-0", "report-20776-0-0", "dispute-20777-None-None"])
    return {"kind": kind, "author": f"m{chance.randrange(4)}", "of": said, "day": day}


def _logs(chance: random.Random, members: list[Case]) -> list[Case]:
    """What members say of a subject; sightings and disputes name what some of them report, or what nobody does."""
    said = [one for member in members for one in _log(chance, member["id"])]
    reports = [one["id"] for one in said if one["kind"] == "report"]
    for one in said:
        if one["kind"] in ("sighting", "dispute"):
            one["of"] = chance.choice([*reports, "nothing"])
    return said


def _member(chance: random.Random, at: int) -> Case:
    return {
        "id": f"m{at}",
        "group": f"g{chance.randint(0, at) if chance.random() < 0.3 else at}",
        "class": "observer" if chance.random() < 0.1 else "member",
        "state": chance.choice(STATES),
        "since": chance.choice([1, 1, 2, 5]),
        "since_day": TODAY - chance.choice(SINCE_DAYS),
    }


def _log(chance: random.Random, author: str) -> list[Case]:
    """Statements of one author, none twice: what is the same has the same id."""
    said: dict[str, Case] = {}
    for number in range(chance.choice([0, 0, 1, 1, 1, 2, 3, 5])):
        kind = chance.choice(["report", "report", "sighting", "dispute", "withdrawal"])
        case: Case = {"author": author, "kind": kind}
        if kind == "withdrawal":
            case |= {"of": chance.choice([*said, "another's"]), "id": f"w{number}"}
        else:
            case["day"] = TODAY - chance.choice(AGES)
            if kind != "dispute":
                case["seen"] = chance.choice(BUCKETS)
            if kind == "report":
                case["bad"] = chance.randint(0, case["seen"])
            case["id"] = "-".join(str(case.get(name)) for name in ("kind", "day", "seen", "bad"))
        said.setdefault(case["id"], case)
    return list(said.values())


def sound_records(vectors: Mapping[str, Any]) -> list[Case]:
    """The record bodies that the vectors accept."""
    return [json.loads(case["body"]) for case in vectors["cases"] if "id" in case]
