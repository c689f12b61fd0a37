"""What assess reads: one largest effect, fading with the silence of the network."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.reputation.beliefs import Belief, Beliefs, Staleness

HOUR_MS = 3_600_000


def belief(name: str, effect: float, tier: str = "corroborated") -> Belief:
    return Belief(pattern=name, state="watched", tier=tier, effect=effect, score=1, confidence=1, groups=1)


def heard_now() -> Beliefs:
    beliefs = Beliefs()
    beliefs.replace([belief("a", 0.05, "precautionary"), belief("b", 0.10), belief("c", 0.0, "advisory")])
    beliefs.heard(0)
    return beliefs


def test_the_largest_effect_counts_and_never_the_sum() -> None:
    found = heard_now().effect_of(("a", "b", "c"), 1_000)
    assert (found.effect, found.tier, found.patterns, found.age_s) == (0.10, "corroborated", ("b", "a"), 1)


def test_a_pattern_that_nobody_believes_has_no_effect() -> None:
    assert heard_now().effect_of(("c", "unheard-of"), 1_000).effect == 0


def test_an_hour_of_silence_changes_nothing() -> None:
    assert heard_now().effect_of(("b",), HOUR_MS).effect == 0.10


def test_after_a_week_of_silence_nothing_is_left() -> None:
    found = heard_now().effect_of(("b",), 7 * 24 * HOUR_MS)
    assert (found.effect, found.tier, found.patterns) == (0.0, "none", ())


@given(st.integers(0, 8 * 24 * HOUR_MS))
def test_what_a_warning_was_before_it_faded_is_told_as_long_as_anything_is_left(now: int) -> None:
    found = heard_now().effect_of(("b",), now)
    assert found.unfaded == (0.10 if found.effect > 0 else 0.0)


def test_a_network_that_was_never_heard_has_no_effect() -> None:
    beliefs = Beliefs()
    beliefs.apply([belief("a", 0.3)])
    assert beliefs.effect_of(("a",), 1_700_000_000_000).effect == 0


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_silence_never_means_more_effect(one: int, other: int) -> None:
    staleness = Staleness()
    assert staleness.left(max(one, other)) <= staleness.left(min(one, other)) <= 1


def test_what_is_switched_off_has_no_effect_and_says_so() -> None:
    beliefs = heard_now()
    beliefs.off = True
    found = beliefs.effect_of(("b",), 1_000)
    assert (found.effect, found.tier, found.patterns, found.off) == (0.0, "none", (), True)


@given(st.integers(0, 8 * 24 * HOUR_MS))
def test_what_is_left_is_one_share_of_every_effect(now: int) -> None:
    beliefs = heard_now()
    left = beliefs.share_left(now)
    assert beliefs.effect_of(("b",), now).effect == round(0.10 * left, 6)
    assert beliefs.effect_of(("a",), now).effect == round(0.05 * left, 6)


def test_a_clock_that_was_ahead_keeps_nothing_fresh() -> None:
    beliefs = heard_now()
    ahead = 60 * 24 * HOUR_MS
    beliefs.heard(ahead)
    beliefs.heard(ahead + 1_000)
    assert beliefs.age_s(ahead + 1_000) == 0
    assert beliefs.age_s(8 * 24 * HOUR_MS) == 8 * 24 * 3_600
    beliefs.heard(9 * 24 * HOUR_MS)
    assert beliefs.age_s(9 * 24 * HOUR_MS + 5_000) == 5


def test_what_is_forgotten_is_nowhere_and_what_is_believed_is_not_forgotten() -> None:
    beliefs = heard_now()
    beliefs.apply(
        [
            Belief(
                pattern="d",
                state="unknown",
                tier="none",
                effect=0.0,
                score=0,
                confidence=0,
                groups=0,
                general=("a",),
            )
        ]
    )
    assert tuple(beliefs.special("a")) == ("d",)
    beliefs.forget(["a", "d", "e"])
    assert (beliefs.get("d"), tuple(beliefs.special("a"))) == (None, ())
    assert beliefs.get("a") is not None
