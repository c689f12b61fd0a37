"""Which names are about one package: versions, spellings, and what is said of all versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.subjects import covers, folded, touches

CRATES = st.from_regex(
    r"pkg:cargo/[A-Za-z0-9][A-Za-z0-9._-]{0,9}(@[0-9][A-Za-z0-9.+_-]{0,5})?", fullmatch=True
)


@pytest.mark.parametrize(
    ("subject", "same"),
    [
        ("pkg:cargo/Serde_JSON", True),
        ("pkg:cargo/serde-json@1.0.0_RC", True),
        ("pkg:cargo/serdejson", False),
        ("pkg:gem/serde_json", False),
    ],
)
def test_a_crate_is_the_same_however_it_is_spelled(subject: str, same: bool) -> None:
    assert covers({"pkg:cargo/serde-json"}, subject) is same


@pytest.mark.parametrize("subject", ["pkg:gem/Rails_x", "pkg:npm/a_b", "ab" * 32])
def test_what_has_one_spelling_stays_as_it_is(subject: str) -> None:
    assert folded(subject) == subject


@given(CRATES)
def test_folding_again_changes_nothing_and_keeps_the_version(subject: str) -> None:
    assert folded(folded(subject)) == folded(subject)
    assert folded(subject).partition("@")[2] == subject.partition("@")[2]


def test_what_is_said_of_all_versions_is_said_of_one_but_not_of_another() -> None:
    canaries = frozenset({"pkg:npm/left-pad@1.3.0"})
    assert touches(canaries, "pkg:npm/left-pad")
    assert touches(canaries, "pkg:npm/left-pad@1.3.0")
    assert not touches(canaries, "pkg:npm/left-pad@1.4.0")
    assert not covers(canaries, "pkg:npm/left-pad")
