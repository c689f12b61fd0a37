"""Bodies: what does not fit is refused by name and field, and costs little whatever it holds."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.web.requests import deeper_than

if TYPE_CHECKING:
    from tests.node.web.conftest import Node


BAD_BODIES = [
    (b"", "bad_json", None),
    (b"{", "bad_json", None),
    (b"\xff\xfe", "bad_json", None),
    (b"[]", "bad_field", "body"),
    (b"{}", "bad_field", "actor"),
    (b"[" * 60 + b"]" * 60, "too_deep", None),
    (b'{"actor":{"id":"a","kind":"agent"},"declared":{},"colour":1}', "unknown_field", "colour"),
    (b'{"actor":{"id":"a","kind":"agent","x":1},"declared":{}}', "unknown_field", "actor.x"),
    (b'{"actor":{"id":"a","kind":"robot"},"declared":{}}', "bad_field", "actor.kind"),
    (b'{"actor":{"id":5,"kind":"agent"},"declared":{}}', "bad_field", "actor.id"),
    (b'{"actor":{"id":"a","id":"b","kind":"agent"},"declared":{}}', "duplicate_field", "id"),
    (b'{"actor":{"id":"","kind":"agent"},"declared":{}}', "bad_field", "actor.id"),
    (b'{"actor":{"id":"a","kind":"agent"},"declared":{},"session_id":"a b"}', "bad_field", "session_id"),
    (
        b'{"actor":{"id":"a","kind":"agent"},"declared":{"family":"no-such-family"}}',
        "bad_request",
        "declared.family",
    ),
]


def depth_of(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(depth_of, children), default=0)


@given(
    st.recursive(
        st.text('[]{}"\\n', max_size=6) | st.integers() | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text('[]"\\', max_size=4), inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_depth_is_what_a_reader_of_the_text_finds(value: Any) -> None:
    depth, text = depth_of(value), json.dumps(value).encode()
    assert not deeper_than(depth, text)
    assert depth == 0 or deeper_than(depth - 1, text)


# Each of these made or could make a scan start over at every character.
HOSTILE = {
    "an unterminated string of escaped quotes": b'{"actor":"' + b'\\"' * 500_000,
    "an unterminated string of escapes": b'{"actor":"' + b"\\" * 1_000_001,
    "quotes": b'"' * 1_000_000,
    "an odd backslash at the end": b'"' + b'\\"' * 500_000 + b"\\",
    "openings": b"[{" * 500_000,
    "empty lists": b"[" + b"[]," * 340_000 + b"[]]",
    "digits": b"9" * 1_000_000,
    "one long unknown value": b'{"actor":{"id":"a","kind":"' + b" - at `$" * 120_000 + b'"},"declared":{}}',
    "one long unknown field": b'{"' + b"unknown field `" * 65_000 + b'":1}',
}


@pytest.mark.timeout(60)
async def test_hostile_bodies_are_refused_and_little_of_them_is_said_again(node: Node) -> None:
    headers = {**node.headers("engine"), "Content-Type": "application/json"}
    for name, body in HOSTILE.items():
        answer = await node.client.post("/api/v1/sessions", data=io.BytesIO(body), headers=headers)
        assert answer.status == 400, name
        assert len(await answer.read()) < 2_000, name
    assert await node.unharmed()


BAD_ACTIONS = [
    (b'{"action_id":"1","tool":"t","tool":"u"}', "duplicate_field"),
    (b'{"action_id":"1","tool":"t","arguments":{"a":[{"b":1,"\\u0062":2}]}}', "duplicate_field"),
    (b'{"action_id":"1","tool":"t","t":NaN}', "bad_json"),
    (b'{"action_id":"1","tool":"t","arguments":{"x":1e999}}', "bad_field"),
    (b'{"action_id":"1","tool":"t","arguments":{"x":"\\ud800"}}', "bad_json"),
    (b'{"action_id":"1","tool":"a\\u0000b"}', "bad_request"),
    (b'{"action_id":"1","tool":"t","arguments":null}', "bad_field"),
    (b'{"action_id":"1","tool":"t","arguments":' + b'{"a":' * 40 + b"1" + b"}" * 41, "too_deep"),
]


@pytest.mark.parametrize(("body", "name"), BAD_ACTIONS)
async def test_values_that_json_or_the_store_cannot_hold_are_refused(
    node: Node, body: bytes, name: str
) -> None:
    await node.open_session()
    headers = {**node.headers("engine"), "Content-Type": "application/json"}
    answer = await node.client.post("/api/v1/sessions/s-1/actions", data=body, headers=headers)
    assert answer.status == 400, await answer.text()
    assert node.parts.refusals == {name: 1}
    assert await node.unharmed()


@pytest.mark.parametrize(("body", "name", "field"), BAD_BODIES)
async def test_a_bad_body_is_refused_by_name_and_field(
    node: Node, body: bytes, name: str, field: str | None
) -> None:
    headers = {**node.headers("engine"), "Content-Type": "application/json"}
    answer = await node.client.post("/api/v1/sessions", data=body, headers=headers)
    problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["type"], problem.get("field")) == (400, f"urn:ioint:problem:{name}", field)
    assert node.parts.refusals[name] == 1
    assert await node.unharmed()


async def test_what_is_too_large_is_413(node: Node) -> None:
    headers = {**node.headers("engine"), "Content-Type": "application/json"}
    body = io.BytesIO(b'{"x":"' + b"x" * 1_100_000 + b'"}')
    answer = await node.client.post("/api/v1/sessions", data=body, headers=headers)
    assert answer.status == 413
    await node.open_session()
    action = {"action_id": "1", "tool": "t", "arguments": {"x": "y" * 100_000}}
    assert (await node.post("/api/v1/sessions/s-1/actions", action)).status == 413
    assert node.parts.refusals["too_large"] == 2
    assert await node.unharmed()


async def test_a_form_is_no_json(node: Node) -> None:
    answer = await node.client.post("/api/v1/sessions", data={"a": "b"}, headers=node.headers("engine"))
    assert answer.status == 415
