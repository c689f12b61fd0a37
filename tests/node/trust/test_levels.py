from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.scoring.levels import (
    AUTONOMY_STEPS,
    CHANGES,
    CONSEQUENTIAL,
    TERMS,
    Friction,
    autonomy,
    friction,
    terms_of,
)
from ioint_node.scoring.response import HARMLESS_CLASSES
from ioint_taxonomy import load_taxonomy


@given(st.floats(0, 1))
def test_the_terms_are_those_of_both_ladders(lower: float) -> None:
    terms = terms_of(lower)

    assert (terms.friction, terms.autonomy) == (friction(lower), autonomy(lower))


@pytest.mark.parametrize("bound", AUTONOMY_STEPS)
def test_terms_begin_at_their_bound(bound: float) -> None:
    assert terms_of(bound).autonomy == terms_of(bound - 1e-9).autonomy + 1


def test_more_trust_never_means_less_time_or_fewer_units() -> None:
    for less, more in pairwise(TERMS):
        for name in ("session_s", "revalidate_s", "grant_s", "grant_units", "pass_s", "budget"):
            assert getattr(less, name) < getattr(more, name), name


def test_more_trust_never_means_more_approvals() -> None:
    for less, more in pairwise(TERMS):
        assert less.approve >= more.approve
        assert less.approve | less.doubted >= more.approve | more.doubted


def test_a_pass_ends_before_its_grant_and_a_grant_before_its_session() -> None:
    for terms in TERMS:
        assert terms.pass_s < terms.grant_s <= terms.session_s
        assert terms.revalidate_s < terms.session_s


def test_strict_means_every_change_and_all_new_scope_is_a_persons() -> None:
    for terms in TERMS:
        strict = terms.friction is Friction.STRICT
        assert (terms.approve == CHANGES) is strict
        assert terms.scope_by_person is strict


def test_the_classes_are_those_of_the_taxonomy() -> None:
    assert {*CHANGES, *HARMLESS_CLASSES} == set(load_taxonomy().verbs.values())
    assert CONSEQUENTIAL < CHANGES


def test_trusted_asks_nobody_for_what_is_in_scope() -> None:
    assert all(not terms.approve for terms in TERMS if terms.friction is Friction.TRUSTED)
