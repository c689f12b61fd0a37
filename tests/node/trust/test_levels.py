from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.gate import EFFECT
from ioint_node.scoring.levels import (
    AUTONOMY_STEPS,
    CHANGES,
    CONSEQUENTIAL,
    TERMS,
    Friction,
    Terms,
    autonomy,
    friction,
    terms_of,
    watched,
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


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize(
    ("tier", "sooner", "lent"),
    [("precautionary", 2, 1), ("disputed", 2, 1), ("corroborated", 3, 3), ("consensus", 7, 7)],
)
def test_a_warning_takes_time_first_from_looking_again_and_then_from_what_is_lent(
    terms: Terms, tier: str, sooner: int, lent: int
) -> None:
    found = watched(terms, tier, EFFECT[tier])

    assert found.revalidate_s == round(terms.revalidate_s / sooner)
    assert found.pass_s == round(terms.pass_s / sooner)
    assert found.grant_s == round(terms.grant_s / lent)


def _timeless(terms: Terms) -> Terms:
    return replace(terms, revalidate_s=0, pass_s=0, grant_s=0)


@given(st.sampled_from(TERMS), st.sampled_from(sorted(EFFECT)), st.floats(0, 0.3))
def test_no_warning_takes_what_may_be_done_or_used_up(terms: Terms, tier: str, effect: float) -> None:
    found = watched(terms, tier, effect)

    assert _timeless(found) == _timeless(terms)


@given(st.sampled_from(TERMS), st.sampled_from(sorted(EFFECT)), st.floats(0, 0.3), st.floats(0, 1))
def test_a_warning_that_fades_gives_time_back(terms: Terms, tier: str, effect: float, left: float) -> None:
    fresh, faded = watched(terms, tier, effect), watched(terms, tier, effect * left)

    for name in ("revalidate_s", "pass_s", "grant_s"):
        assert 1 <= getattr(fresh, name) <= getattr(faded, name) <= getattr(terms, name)
    assert watched(terms, tier, 0.0) is terms
