"""Vectors of the pattern language and of the messages between members."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ioint_protocol import pattern, sync
from seeds import Case, raw_json

# A vocabulary of its own, so that these vectors do not depend on a release of the taxonomy.
VOCABULARY = {
    "verbs": {"read": "observe", "search": "observe", "send": "transfer", "pay": "value"},
    "resources": {"message": "communication", "file": "content", "payment": "value"},
    "sensitivities": {"public": 0, "internal": 1, "confidential": 2, "restricted": 3},
    "boundaries": {"in_context": 0, "same_tenant": 2, "external": 4, "public": 5},
}


def make_patterns() -> Case:
    """Patterns with their ids, patterns that are refused, and what sessions complete."""
    accepted: list[tuple[str, Any]] = [
        ("one step", {"gaps": 1, "steps": [{"v": ["pay"]}]}),
        ("no gaps", {"gaps": 0, "steps": [{"v": ["read"]}, {"v": ["send"]}]}),
        ("declared", {"declared": ["code_review", "customer_support"], "gaps": 1, "steps": [{"x": 1}]}),
        (
            "every key",
            {
                "gaps": 1,
                "steps": [
                    {"r": ["file"], "v": ["@observe"]},
                    {
                        "b": 4,
                        "f": [0],
                        "p": ["tool_output"],
                        "r": ["@communication"],
                        "s": 2,
                        "v": ["send"],
                        "x": 1,
                    },
                ],
            },
        ),
        ("a word of a later taxonomy", {"gaps": 1, "steps": [{"v": ["teleport"]}]}),
    ]
    parsed: list[Case] = [
        {"name": name, "pattern": value, "id": pattern.pattern_id(value)} for name, value in accepted
    ]
    parsed += [
        {"name": name, "pattern": value, "refusal": "bad_pattern"} for name, value in _refused_patterns()
    ]
    return {
        "about": "patterns with their ids; sessions: completed[i] are the patterns that step i completes; whether one"
        " pattern is a special case of another; and the canonical form of a pattern",
        "patterns": parsed,
        "vocabulary": VOCABULARY,
        "sessions": list(_sessions()),
        "special_cases": [
            {"name": name, "special": special, "general": general, "implied": int(implied)}
            for name, special, general, implied in _special_cases()
        ],
        "canonical": [
            {"name": name, "pattern": value, "canonical": form} for name, value, form in _canonical_forms()
        ],
    }


def _refused_patterns() -> Iterable[tuple[str, Any]]:
    step = {"v": ["read"]}
    yield "not an object", [step]
    yield "without steps", {"gaps": 1}
    yield "without gaps", {"steps": [step]}
    yield "no steps", {"gaps": 1, "steps": []}
    yield "nine steps", {"gaps": 1, "steps": [step] * 9}
    yield "an unknown key", {"gaps": 1, "steps": [step], "note": "x"}
    yield "a step with an unknown key", {"gaps": 1, "steps": [{"v": ["read"], "t": ["mail.read"]}]}
    yield "a step that asks nothing", {"gaps": 1, "steps": [{}]}
    yield "an empty list", {"gaps": 1, "steps": [{"v": []}]}
    yield "an unsorted list", {"gaps": 1, "steps": [{"v": ["send", "read"]}]}
    yield "a verb twice", {"gaps": 1, "steps": [{"v": ["read", "read"]}]}
    yield "a verb in prose", {"gaps": 1, "steps": [{"v": ["Read mail"]}]}
    yield "seventeen verbs", {"gaps": 1, "steps": [{"v": [f"v{n:02}" for n in range(17)]}]}
    yield "a class of provenance", {"gaps": 1, "steps": [{"p": ["@untrusted"]}]}
    yield "gaps 2", {"gaps": 2, "steps": [step]}
    yield "x 0", {"gaps": 1, "steps": [{"x": 0}]}
    yield "sensitivity 0, which asks nothing", {"gaps": 1, "steps": [{"s": 0, "v": ["read"]}]}
    yield "boundary 0, which asks nothing", {"gaps": 1, "steps": [{"b": 0, "v": ["read"]}]}
    yield "no gaps in one step", {"gaps": 0, "steps": [step]}
    yield "sensitivity 4", {"gaps": 1, "steps": [{"s": 4}]}
    yield "boundary 6", {"gaps": 1, "steps": [{"b": 6}]}
    yield "flow from itself", {"gaps": 1, "steps": [{"f": [0]}]}
    yield "flow from a later step", {"gaps": 1, "steps": [step, {"f": [1]}]}
    yield "flow unsorted", {"gaps": 1, "steps": [step, step, {"f": [1, 0]}]}
    yield "empty flow", {"gaps": 1, "steps": [step, {"f": []}]}
    yield "declared empty", {"declared": [], "gaps": 1, "steps": [step]}
    yield "declared with a name", {"declared": ["Customer support"], "gaps": 1, "steps": [step]}


def act(
    verb: str,
    resource: str = "file",
    sensitivity: str = "internal",
    boundary: str = "same_tenant",
    **more: object,
) -> Case:
    """Give one step of a session."""
    return {"verb": verb, "resource": resource, "sensitivity": sensitivity, "boundary": boundary, **more}


def _sessions() -> Iterable[Case]:
    read, search, send, pay = act("read"), act("search"), act("send", "message"), act("pay", "payment")
    two = {"gaps": 1, "steps": [{"v": ["read"]}, {"v": ["send"]}]}
    tight = {**two, "gaps": 0}
    flow = {"gaps": 1, "steps": [{"v": ["@observe"]}, {"f": [0], "v": ["send"]}]}
    both = {"gaps": 1, "steps": [{"v": ["read"]}, {"v": ["search"]}, {"f": [0, 1], "v": ["send"]}]}
    bounds = {"gaps": 1, "steps": [{"b": 4, "s": 2}]}
    origin = {"gaps": 1, "steps": [{"p": ["memory", "tool_output"]}]}
    outside = {"gaps": 1, "steps": [{"r": ["@communication"], "x": 1}]}
    same = {"gaps": 1, "steps": [{"v": ["read"]}, {"v": ["@observe"]}]}
    support = {"declared": ["customer_support"], **two}

    def case(
        name: str, value: Case, steps: list[Case], completed: list[int], families: tuple[str, ...] = ()
    ) -> Case:
        return {
            "name": name,
            "pattern": value,
            "families": list(families),
            "steps": steps,
            "completed": [int(i in completed) for i in range(len(steps))],
        }

    yield case("in order", two, [read, send], [1])
    yield case("out of order", two, [send, read], [])
    yield case("a gap, allowed", two, [read, pay, send], [2])
    yield case("a gap, not allowed", tight, [read, pay, send], [])
    yield case("no gap, at the second try", tight, [read, pay, read, send], [3])
    yield case("once per session", two, [read, send, read, send], [1])
    yield case("one step is not two", same, [read], [])
    yield case("two of one class", same, [read, search], [1])
    yield case("data flows", flow, [read, send | {"flow": [0]}], [1])
    yield case("no data flows", flow, [read, send], [])
    yield case("data of the later reading", flow, [read, read, send | {"flow": [1]}], [2])
    yield case("data of the earlier reading", flow, [read, read, send | {"flow": [0]}], [2])
    yield case("not through a third step", flow, [read, pay | {"flow": [0]}, send | {"flow": [1]}], [])
    yield case("data of both", both, [read, read, search, send | {"flow": [1, 2]}], [3])
    yield case("data of one of two", both, [read, search, send | {"flow": [0]}, send | {"flow": [0, 1]}], [3])
    yield case(
        "least ranks",
        bounds,
        [
            act("read", boundary="external", sensitivity="internal"),
            act("read", boundary="same_tenant", sensitivity="restricted"),
            act("read", boundary="public", sensitivity="confidential"),
        ],
        [2],
    )
    yield case(
        "unknown is not safe", bounds, [act("read", boundary="elsewhere", sensitivity="undetermined")], [0]
    )
    yield case("an unknown verb is of no class", flow, [act("peek"), send | {"flow": [0]}], [])
    yield case(
        "provenance", origin, [read | {"provenance": "user"}, read, read | {"provenance": "memory"}], [2]
    )
    yield case("outside the envelope", outside, [send, send | {"outside": 1}], [1])
    yield case("the family it is about", support, [read, send], [1], ("customer_support",))
    yield case("another family", support, [read, send], [], ("code_review",))
    yield case("one of several families", support, [read, send], [1], ("code_review", "customer_support"))


def _special_cases() -> Iterable[tuple[str, Case, Case, bool]]:
    read, search, send, pay = {"v": ["read"]}, {"v": ["search"]}, {"v": ["send"]}, {"v": ["pay"]}
    observe = {"v": ["@observe"]}

    def path(*steps: Case, gaps: int = 1, **more: object) -> Case:
        return {"gaps": gaps, "steps": list(steps), **more}

    def given(*flow: int, v: str = "send") -> Case:
        return {"v": [v], "f": list(flow)}

    both = path(read, send)
    yield "itself", both, both, True
    yield "fewer steps", path(read, search, send), both, True
    yield "more steps", both, path(read, search, send), False
    yield "another order", path(send, read), both, False
    yield "a verb of the class", path(read), path(observe), True
    yield "the class for a verb", path(observe), path(read), False
    yield "all verbs of the class", path(observe), path({"v": ["read", "search"]}), True
    yield "a class that is not known", path({"v": ["@later"]}), path(observe), False
    yield "a word that is not known, and itself", path({"v": ["later"]}), path({"v": ["later", "read"]}), True
    yield "any verb, where one is asked for", path({"s": 2}), path({"s": 2, "v": ["read"]}), False
    yield (
        "all verbs that are known, where none is asked for",
        path({"v": ["@observe", "@transfer", "@value"]}),
        path({"s": 1}),
        False,
    )
    yield "a class of the group", path({"r": ["file"]}), path({"r": ["@content", "payment"]}), True
    yield "a higher rank", path({"s": 3, "b": 5}), path({"s": 2, "b": 4}), True
    yield "a lower rank", path({"s": 1}), path({"s": 2}), False
    yield "fewer provenances", path({"p": ["memory"]}), path({"p": ["memory", "tool_output"]}), True
    yield "any provenance", path(read), path({"p": ["memory"]}), False
    yield "outside", path({"v": ["read"], "x": 1}), path(read), True
    yield "not said to be outside", path(read), path({"x": 1}), False
    yield "without gaps, where they are allowed", path(read, send, gaps=0), both, True
    yield "gaps, where they are not allowed", both, path(read, send, gaps=0), False
    yield "gaps, in one step", both, path(send), True
    yield "a part without gaps", path(read, search, send, gaps=0), path(search, send, gaps=0), True
    yield "not a part without gaps", path(read, search, send, gaps=0), path(read, send, gaps=0), False
    yield "flow, where none is asked for", path(read, given(0)), both, True
    yield "no flow", both, path(read, given(0)), False
    yield "flow to another place", path(pay, read, given(1)), path(read, given(0)), True
    yield "flow from elsewhere", path(read, search, given(1)), path(read, given(0)), False
    yield "flow through a third", path(read, given(0, v="search"), given(1)), path(read, given(0)), False
    yield (
        "another match for each choice",
        path(read, {"v": ["read", "send"], "f": [0]}, given(1)),
        path(read, given(0)),
        True,
    )
    yield "a family", path(read, declared=["code_review"]), path(read), True
    yield "every family", path(read), path(read, declared=["code_review"]), False
    yield (
        "one family of two",
        path(read, declared=["code_review"]),
        path(read, declared=["code_review", "customer_support"]),
        True,
    )
    yield (
        "two families, where one is asked for",
        path(read, declared=["code_review", "customer_support"]),
        path(read, declared=["code_review"]),
        False,
    )


def _canonical_forms() -> Iterable[tuple[str, Case, Case]]:
    def one(**step: object) -> Case:
        return {"gaps": 1, "steps": [step]}

    yield "already", one(v=["read", "send"]), one(v=["read", "send"])
    yield "a verb beside its class", one(v=["@observe", "read", "send"]), one(v=["@observe", "send"])
    yield "a class beside its group", one(r=["@content", "file", "message"]), one(r=["@content", "message"])
    yield (
        "all verbs of a class, which a later one may join",
        one(v=["read", "search"]),
        one(v=["read", "search"]),
    )
    yield "a word that is not known", one(v=["@observe", "later"]), one(v=["@observe", "later"])


def make_messages() -> Case:
    """Requests and answers, and those that are refused."""
    author, other, head = "a" * 32, "b" * 32, "c" * 64
    vector = {author: (3, head), other: (1, head)}
    heads = {author: [3, head], other: [1, head]}
    wires = [b"one", b"two"]
    cases: list[Case] = [
        {"message": "push_answer", "value": {"r": "ignored", "why": "duplicate"}},
        {"message": "heads_request", "value": {"have": sync.vector_hash(vector)}},
        {"message": "heads_answer", "value": {"r": "same"}},
        {"message": "heads_answer", "value": {"r": "heads", "heads": heads}},
        {"message": "heads_answer", "value": {"r": "heads", "heads": {author: list(sync.CONVICTED)}}},
        {"message": "pull_request", "value": {"author": author, "from": 4, "to": 259}},
        {"message": "announcement", "value": {"heads": heads, "roster": 7}},
        {"message": "announcement", "value": {"heads": {}, "roster": 0}},
        {"message": "proof_request", "value": {"of": [author, other]}},
        {"message": "roster_request", "value": {"root": 2, "timestamp": 1_796_000_000}},
    ]
    for case in cases:
        case["bytes"] = raw_json(case["value"]).hex()
    for name, data in (
        ("pull_answer", sync.encode_pull_answer(wires)),
        ("proof_answer", sync.encode_proof_answer(wires)),
    ):
        cases.append({"message": name, "wires": [w.hex() for w in wires], "bytes": data.hex()})
    cases.append({"message": "pull_answer", "wires": [], "bytes": ""})
    refused: list[tuple[str, bytes, str]] = [
        ("push_answer", raw_json({"r": "maybe", "why": ""}), "bad_field"),
        ("push_answer", raw_json({"r": "accepted"}), "bad_shape"),
        ("push_answer", raw_json({"r": "rejected", "why": "It was bad"}), "bad_field"),
        ("heads_request", raw_json({"have": "0"}), "bad_field"),
        ("heads_answer", raw_json({"r": "heads"}), "bad_shape"),
        ("heads_answer", raw_json({"r": "same", "heads": {}}), "bad_shape"),
        ("heads_answer", raw_json({"r": "heads", "heads": {"a": [1, head]}}), "bad_field"),
        ("heads_answer", raw_json({"r": "heads", "heads": {author: [0, head]}}), "bad_field"),
        ("heads_answer", raw_json({"r": "heads", "heads": {author: [1]}}), "bad_shape"),
        ("heads_answer", raw_json({"r": "heads", "heads": {author: [1, sync.CONVICTED[1]]}}), "bad_field"),
        ("announcement", raw_json({"heads": heads}), "bad_shape"),
        ("announcement", raw_json({"heads": {author: [0, head]}, "roster": 1}), "bad_field"),
        ("announcement", raw_json({"heads": heads, "roster": -1}), "bad_field"),
        ("proof_request", raw_json({"of": []}), "bad_field"),
        ("proof_request", raw_json({"of": [other, author]}), "bad_field"),
        ("proof_answer", b"\0\0\x08\x01" + bytes(2_049), "too_large"),
        ("pull_request", raw_json({"author": author, "from": 0, "to": 1}), "bad_field"),
        ("pull_request", raw_json({"author": author, "from": 2, "to": 1}), "bad_field"),
        ("pull_request", raw_json({"author": author, "from": 1, "to": 257}), "bad_field"),
        ("roster_request", raw_json({"root": -1, "timestamp": 0}), "bad_field"),
        ("roster_answer", b"\x0etimestamp.json\xff\xff\xff\xff", "too_large"),
        ("roster_answer", b"\x0dsnapshot.json\0\0\0\x01a", "bad_frame"),
        ("pull_answer", b"\0\0\0\x02a", "bad_frame"),
        ("pull_answer", b"\0\0\0\0", "bad_frame"),
        ("pull_answer", b"\xff\xff\xff\xff", "too_large"),
    ]
    cases += [{"message": name, "bytes": data.hex(), "refusal": refusal} for name, data, refusal in refused]
    return {"about": "the bytes of each message and what they say", "cases": cases}
