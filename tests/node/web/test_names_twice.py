"""A name that is given twice in one object is found, wherever it stands and however it is written."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.web.limits import WebLimits
from ioint_node.web.problems import Refusal
from ioint_node.web.requests import ActionBody, decode

NAMES = st.sampled_from(["a", "b", "\\u0061", 'x\\"', "y:", "{", "[z", "\\\\"])
LEAVES = st.sampled_from(["1", "2.5", "true", "null", '"a:b"', '"{\\"a\\":1"', '"\\\\"', '""'])


def _object(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(NAMES, inside).map(lambda both: f'"{both[0]}" : {both[1]}')
    return st.lists(pair, max_size=4).map(lambda pairs: "{" + ",".join(pairs) + "}")


def _list(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inside, max_size=3).map(lambda items: "[" + ",".join(items) + "]")


VALUES = st.recursive(LEAVES, lambda inside: _object(inside) | _list(inside), max_leaves=12)


def twice(text: str) -> bool:
    """By reading every object's names one after the other."""
    found = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found.append(len({name for name, _ in pairs}) < len(pairs))
        return dict(pairs)

    json.loads(text, object_pairs_hook=note)
    return any(found)


@given(VALUES)
def test_what_is_refused_is_what_names_something_twice(value: str) -> None:
    body = f'{{"action_id":"1","tool":"t","arguments":{{"given":{value}}}}}'
    try:
        decode(body.encode(), ActionBody, WebLimits())
        refused = None
    except Refusal as refusal:
        refused = refusal.name
    assert refused == ("duplicate_field" if twice(body) else None)
