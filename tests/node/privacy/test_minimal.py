"""Minimal sub-paths: shortest, widest, rare, specific, and completed by the session that they come from."""

from __future__ import annotations

from ioint_node.privacy.minimal import minimal_path
from ioint_node.reputation.novel import too_broad
from ioint_protocol import Pattern, pattern_value
from ioint_protocol.pattern import Path, Paths, Seen
from ioint_taxonomy import Step, load_taxonomy

TAXONOMY = load_taxonomy()
# Everyday work: mail is read and answered, records are read, a page is read and its link is sent on inside.
MAIL = Seen(step=Step(verb="read", resource="email", sensitivity="internal", boundary="in_context"))
RECORD = Seen(
    step=Step(verb="read", resource="customer_record", sensitivity="confidential", boundary="in_context")
)
PAGE = Seen(step=Step(verb="read", resource="web_page", sensitivity="public", boundary="in_context"))


def sent(
    *flow: int, to: str = "external", word: str = "principal", resource: str = "email", outside: bool = False
) -> Seen:
    step = Step(
        verb="send", resource=resource, sensitivity="confidential", boundary=to, provenance=word, flow=flow
    )
    return Seen(step=step, outside=outside)


EVERYDAY = (
    [Path(steps=(MAIL, sent(0)))] * 400
    + [Path(steps=(RECORD, MAIL, sent(1, outside=True)))] * 400
    + [Path(steps=(PAGE, sent(0, to="same_tenant")))] * 400
    + [Path(steps=(RECORD, sent(0, to="same_tenant")))] * 20
)
ORDINARY = Paths(EVERYDAY, TAXONOMY)


def broad(pattern: Pattern) -> str | None:
    return too_broad(pattern, TAXONOMY)


def minimal(path: list[Seen], at: int, ordinary: Paths = ORDINARY) -> Pattern | None:
    return minimal_path(path, at, taxonomy=TAXONOMY, ordinary=ordinary, broad=broad)


def value(path: list[Seen], at: int) -> object:
    found = minimal(path, at)
    return None if found is None else pattern_value(found)


UNTRUSTED = ["agent_message", "memory", "public_web", "third_party_content", "tool_output"]


def test_a_step_that_is_rare_by_itself_is_said_alone_and_widely() -> None:
    pay = Seen(
        step=Step(
            verb="pay",
            resource="payment",
            sensitivity="internal",
            boundary="external",
            provenance="third_party_content",
            flow=(0,),
        ),
        outside=True,
    )
    assert value([MAIL, pay], 1) == {
        "gaps": 1,
        "steps": [{"v": ["@value"], "r": ["@finance"], "b": 4, "p": UNTRUSTED, "x": 1}],
    }


def test_where_the_step_alone_is_everyday_the_source_of_its_data_makes_the_difference() -> None:
    assert value([PAGE, RECORD, MAIL, sent(1, outside=True)], 3) == {
        "gaps": 1,
        "steps": [
            {"v": ["@observe"], "r": ["@person_data"], "s": 2},
            {"v": ["@transfer"], "r": ["@content"], "s": 2, "b": 4, "f": [0], "x": 1},
        ],
    }
