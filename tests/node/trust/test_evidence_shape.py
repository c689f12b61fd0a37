from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.scoring.shape import likeness, taken_back, unlikeness, used_share
from ioint_node.scoring.values import NOTHING_AROUND, Surroundings
from ioint_taxonomy import Envelope, Step

ENVELOPE = Envelope(
    verbs=frozenset({"read", "create"}),
    resources=frozenset({"file", "email"}),
    max_sensitivity="internal",
    max_boundary="same_tenant",
)


def step(said: str) -> Step:
    verb, resource = said.split()
    return Step(verb=verb, resource=resource, sensitivity="internal", boundary="same_tenant")


verbs = st.sampled_from(["read", "list", "create", "update", "delete", "grant", "revoke", "send"])
steps = st.lists(
    st.tuples(verbs, st.sampled_from(["file", "email"])).map(lambda one: step(" ".join(one))), max_size=20
)


@pytest.mark.parametrize(
    ("path", "share"),
    [
        (["read file"], 0.5),
        (["read file", "create file"], 0.75),
        (["read file", "create email"], 1.0),
        (["send database"], 0.0),
        ([], None),
    ],
)
def test_what_was_used_of_an_envelope(path: list[str], share: float | None) -> None:
    assert used_share(map(step, path), ENVELOPE) == share


def test_of_an_empty_envelope_nothing_can_be_used() -> None:
    empty = Envelope(
        verbs=frozenset(), resources=frozenset(), max_sensitivity="public", max_boundary="in_context"
    )

    assert used_share([step("read file")], empty) is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (["create file", "read file", "delete file"], (1, 1)),
        (["grant secret", "list secret", "revoke secret"], (1, 1)),
        (["create file", "delete file"], (2, 0)),
        (["read file", "create file", "delete file"], (2, 0)),
        (["create file", "read email", "delete file"], (2, 0)),
        (["delete file"], (1, 0)),
        (["create file", "read file", "delete file", "delete file"], (2, 1)),
        (["read file", "send email"], (0, 0)),
    ],
)
def test_what_was_taken_back_after_a_look(path: list[str], found: tuple[int, int]) -> None:
    assert taken_back(map(step, path)) == found


@given(steps)
def test_no_more_is_taken_back_than_was_changed(path: list[Step]) -> None:
    changes, reverted = taken_back(path)

    assert 0 <= reverted <= changes <= len(path)


@given(steps)
def test_a_share_is_a_share(path: list[Step]) -> None:
    share = used_share(path, ENVELOPE)

    assert share is None or 0.0 <= share <= 1.0


def test_an_ordinary_session_is_like_the_others_and_a_strange_one_is_not() -> None:
    assert unlikeness(NOTHING_AROUND) == 0.0
    assert unlikeness(Surroundings(first_tool=0.3, hours=0.9)) == 0.9
    assert likeness(0.0, 4) == 1.0
    assert likeness(3.0, 4) == 0.25
    assert likeness(9.0, 4) == 0.0
    assert likeness(0.0, 0) is None
