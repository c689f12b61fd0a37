"""The outer boundary: what its rules mean, and how a file that is none is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.access.boundary import Boundary, Entity, Question, read_boundary
from ioint_node.errors import ConfigError


def boundary(*rules: dict[str, Any], **rest: Any) -> Boundary:
    return read_boundary(msgspec.json.encode({"schema": "ioint.boundary/1", "rules": rules} | rest))


def asked(action: str = "read", status: object = None, **subject: Any) -> Question:
    properties = {} if status is None else {"status": status}
    return Question(
        subject=Entity(type="user", id="alice", properties=subject),
        action=action,
        resource=Entity(type="record", id="r-1", properties=properties),
    )


def test_what_no_rule_speaks_of_is_denied_unless_the_policy_says_else() -> None:
    assert not boundary().decide(asked())
    assert boundary(default="permit").decide(asked())


def test_a_denial_outweighs_every_permission() -> None:
    everything = {"effect": "permit"}
    assert boundary(everything).decide(asked())
    assert not boundary(everything, {"effect": "deny", "action": {"name": "read"}}, everything).decide(
        asked()
    )


def test_a_condition_that_is_negated_holds_where_there_is_no_value() -> None:
    rule = {"effect": "permit", "resource": {"properties": {"status": {"not": ["archived", "locked"]}}}}
    assert boundary(rule).decide(asked())
    assert boundary(rule).decide(asked(status="active"))
    assert not boundary(rule).decide(asked(status="locked"))


def test_true_is_not_one() -> None:
    rule = {"effect": "permit", "resource": {"properties": {"status": True}}}
    assert boundary(rule).decide(asked(status=True))
    assert not boundary(rule).decide(asked(status=1))


def test_same_compares_what_both_paths_lead_to_and_nothing_is_the_same_as_nothing() -> None:
    rule = {"effect": "permit", "same": [["subject.id", "resource.properties.status"]]}
    assert boundary(rule).decide(asked(status="alice"))
    assert not boundary(rule).decide(asked(status="bob"))
    absent = {"effect": "permit", "same": [["context.a", "context.b"]]}
    assert not boundary(absent).decide(asked())


def test_what_the_policy_knows_of_an_entity_holds_unless_the_request_says_else() -> None:
    known = {"subjects": [{"type": "user", "id": "alice", "properties": {"role": "lead"}}]}
    rule = {"effect": "permit", "subject": {"properties": {"role": "lead"}}}
    assert boundary(rule, **known).decide(asked())
    assert not boundary(rule, **known).decide(asked(role="guest"))


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"{", "not JSON"),
        (b"[]", "boundary"),
        (b'{"schema":"ioint.boundary/2","rules":[]}', "schema"),
        (b'{"schema":"ioint.boundary/1"}', "rules"),
        (b'{"schema":"ioint.boundary/1","rules":[{"effect":"allow"}]}', "rules[0].effect"),
        (b'{"schema":"ioint.boundary/1","rules":[{"effect":"deny","who":{}}]}', "who"),
        (
            b'{"schema":"ioint.boundary/1","rules":[{"effect":"deny","same":[["a.b","subject.id"]]}]}',
            "rules[0].same",
        ),
        (
            b'{"schema":"ioint.boundary/1","rules":[],"subjects":[{"type":"u","id":"a"},{"type":"u","id":"a"}]}',
            "subjects[1]",
        ),
    ],
)
def test_a_file_that_is_no_policy_is_refused_and_the_place_is_named(data: bytes, named: str) -> None:
    with pytest.raises(ConfigError, match=named.replace("[", r"\[").replace(".", r"\.")):
        read_boundary(data)


@given(st.binary(max_size=200))
def test_bytes_are_a_policy_or_a_fault_of_the_operator(data: bytes) -> None:
    with suppress(ConfigError):
        read_boundary(data)


@given(st.sampled_from(["permit", "deny"]), st.booleans(), st.text(max_size=8))
def test_another_denial_never_widens(default: str, soft: bool, status: str) -> None:
    rules = [{"effect": "permit", "action": {"properties": {"soft": True}}}]
    question = Question(
        subject=Entity(type="user", id="alice"),
        action="delete",
        resource=Entity(type="record", id="r-1", properties={"status": status}),
        action_properties={"soft": soft},
    )
    before = boundary(*rules, default=default).decide(question)
    denial = {"effect": "deny", "resource": {"properties": {"status": {"not": "a"}}}}
    assert before or not boundary(*rules, denial, default=default).decide(question)
