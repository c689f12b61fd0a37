"""What a member does alone about a recorded session, at any strictness."""

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.lab.replay import (
    MALICIOUS,
    NEVER,
    Call,
    Limits,
    Scored,
    alone,
    margin,
    patterns_of,
    stop_margin,
    stopped,
)
from msgspec.structs import replace

LIMITS = Limits(borderline=0.0, out_of_scope=2.0, publish=4.0)
CALLS = st.lists(
    st.builds(
        lambda drift, effect: (drift, effect),
        st.sampled_from([-3.0, -0.5, 0.0, 0.5, 1.9, 2.0, 3.0, 4.0, 5.0]),
        st.sampled_from(["observe", "derive", "mutate", "value"]),
    ),
    max_size=6,
)


def recorded(*calls: Call, first_bad: int | None = None) -> Scored:
    return Scored(
        id="s",
        suite="suite",
        task="task",
        campaign="goal",
        kind=MALICIOUS,
        first_bad=first_bad,
        limits=LIMITS,
        calls=calls,
    )


def numbered(pairs: list[tuple[float, str]]) -> tuple[Call, ...]:
    return tuple(
        Call(event=place, drift=drift, effect_class=effect) for place, (drift, effect) in enumerate(pairs)
    )


@given(CALLS, st.none() | st.integers(0, 5))
def test_a_margin_says_what_the_response_is(pairs: list[tuple[float, str]], first_bad: int | None) -> None:
    session = recorded(*numbered(pairs), first_bad=first_bad)
    assert (margin(session) >= 0) == alone(session)
    assert (stop_margin(session) >= 0) == stopped(session)


@given(CALLS, st.sampled_from([-1.5, -0.3, 0.3, 1.5]))
def test_lower_thresholds_catch_what_lies_within_the_margin(
    pairs: list[tuple[float, str]], shift: float
) -> None:
    session = recorded(*numbered(pairs))
    lower = Limits(
        borderline=LIMITS.borderline - shift,
        out_of_scope=LIMITS.out_of_scope - shift,
        publish=LIMITS.publish - shift,
    )
    assert alone(replace(session, limits=lower)) == (margin(session) >= -shift)


def test_what_comes_after_the_first_bad_action_is_too_late() -> None:
    late = recorded(
        Call(event=1, drift=-3.0, effect_class="value"),
        Call(event=2, drift=5.0, effect_class="value", completed=("p",)),
        first_bad=1,
    )
    assert not alone(late)
    assert patterns_of(late.in_time) == ()
    assert late.completed == ("p",)
    assert late.confirmed


def test_a_session_that_did_nothing_is_never_caught() -> None:
    assert margin(recorded()) == NEVER
    assert stop_margin(recorded()) == NEVER
