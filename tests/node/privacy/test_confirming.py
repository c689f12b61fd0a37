"""From which risk on a session is confirmed: at most one benign session in 10,000 is reported."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.privacy.confirming import BENIGN_PER_FALSE, own_threshold, tolerated

RISKS = st.floats(0.0, 1.0)


def test_before_ten_thousand_benign_sessions_own_history_says_nothing() -> None:
    assert own_threshold(judged=BENIGN_PER_FALSE - 1, riskiest=[0.999, 0.99]) == 0.0


def test_with_ten_thousand_one_of_them_may_be_reported() -> None:
    assert 0.97 < own_threshold(judged=BENIGN_PER_FALSE, riskiest=[0.999, 0.97]) <= 0.999


@given(st.lists(RISKS, min_size=1, max_size=40), st.integers(0, 60_000))
def test_at_most_one_benign_session_in_ten_thousand_reaches_the_threshold(
    risks: list[float], judged: int
) -> None:
    judged = max(judged, len(risks))
    ranked = sorted(risks, reverse=True)
    threshold = own_threshold(judged=judged, riskiest=ranked[: tolerated(judged) + 1])
    reported = sum(risk >= threshold for risk in risks)
    assert (
        judged < BENIGN_PER_FALSE or reported <= judged / BENIGN_PER_FALSE or len(risks) <= tolerated(judged)
    )


@given(st.lists(RISKS, min_size=2, max_size=40))
def test_as_many_as_are_tolerated_still_reach_it(risks: list[float]) -> None:
    ranked = sorted(set(risks), reverse=True)
    if len(ranked) > 1:
        assert own_threshold(judged=BENIGN_PER_FALSE, riskiest=ranked[:2]) <= ranked[0]
