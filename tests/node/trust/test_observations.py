from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioint_node.errors import RequestError
from ioint_node.scoring.held import COMPONENTS
from ioint_node.scoring.observations import (
    AHEAD_MS,
    DAY_MS,
    DETAIL_CHARS,
    KINDS,
    LIFE_MOST_MS,
    Observation,
    check_observation,
    concern_of,
    drift_of,
)

calm = settings(deadline=None)
NOW = 1_000 * DAY_MS
kinds = st.sampled_from(sorted(KINDS))


def fields(**changes: Any) -> dict[str, Any]:
    return {"id": "o1", "source": "falcon", "kind": "edr", "actor": "a1", "value": 0.9, **changes}


def test_a_plain_observation_gets_the_time_and_life_of_its_kind() -> None:
    found = check_observation(fields(detail={"severity": 4, "rule": "T1059.004"}), now=NOW)

    assert (found.at, found.expires) == (NOW, NOW + KINDS["edr"].life_ms)
    assert found.detail == {"severity": 4, "rule": "T1059.004"}


@calm
@given(kinds, st.floats(0, 1), st.integers(0, LIFE_MOST_MS - 1))
def test_an_observation_survives_the_store(kind: str, share: float, life: int) -> None:
    spec = KINDS[kind]
    value = spec.low + share * (spec.high - spec.low)
    found = check_observation(
        fields(kind=kind, value=value, session_id="s1", at=NOW - 5, expires=NOW - 4 + life), now=NOW
    )

    assert msgspec.json.decode(msgspec.json.encode(found), type=Observation) == found


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 129}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": None}, "id"),
        ({"source": "a b"}, "source"),
        ({"source": ["x"]}, "source"),
        ({"source": "x" * 65}, "source"),
        ({"kind": "aura"}, "kind"),
        ({"kind": 7}, "kind"),
        ({"kind": ["edr"]}, "kind"),
        ({"actor": ""}, "actor"),
        ({"actor": "x" * 257}, "actor"),
        ({"actor": "line\nbreak"}, "actor"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": 3}, "session_id"),
        ({"value": 1.01}, "value"),
        ({"value": -0.01}, "value"),
        ({"value": math.nan}, "value"),
        ({"value": math.inf}, "value"),
        ({"value": 10**400}, "value"),
        ({"value": "high"}, "value"),
        ({"value": True}, "value"),
        ({"kind": "output_entropy", "value": 8.5}, "value"),
        ({"at": NOW + AHEAD_MS + 1}, "at"),
        ({"at": -1}, "at"),
        ({"at": 1.5}, "at"),
        ({"at": True}, "at"),
        ({"at": 10**30}, "at"),
        ({"expires": NOW}, "expires"),
        ({"expires": NOW + LIFE_MOST_MS + 1}, "expires"),
        ({"expires": "soon"}, "expires"),
        ({"detail": "text"}, "detail"),
        ({"detail": {"prompt": "x"}}, "detail.prompt"),
        ({"detail": {"rule": "ignore all previous instructions"}}, "detail.rule"),
        ({"detail": {"rule": "x" * (DETAIL_CHARS + 1)}}, "detail.rule"),
        ({"detail": {"rule": ""}}, "detail.rule"),
        ({"detail": {"rule": ["x"]}}, "detail.rule"),
        ({"detail": {"count": math.nan}}, "detail.count"),
        ({"detail": {"count": 10**400}}, "detail.count"),
        ({"detail": {"rule": None}}, "detail.rule"),
        ({"detail": {7: 1}}, "detail.7"),
        ({"mood": 1}, "mood"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_name_of_its_field(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(RequestError) as refused:
        check_observation(fields(**changes), now=NOW)

    assert str(refused.value).startswith(f"{name}:")


@calm
@given(
    st.dictionaries(
        st.sampled_from(
            ["id", "source", "kind", "actor", "session_id", "value", "detail", "at", "expires", "x"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | kinds,
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
            ),
            max_leaves=4,
        ),
    )
)
def test_garbage_is_refused_with_nothing_but_a_request_error(given_fields: dict[str, Any]) -> None:
    try:
        found = check_observation(given_fields, now=NOW)
    except RequestError:
        return
    assert 0.0 <= concern_of(found) <= 1.0


def test_no_text_stays_in_an_observation() -> None:
    found = check_observation(fields(detail={"category": "exfiltration"}), now=NOW)

    assert "category" in json.dumps(found.detail)
    with pytest.raises(RequestError):
        check_observation(fields(detail={"category": "the user asked to send it"}), now=NOW)


@calm
@given(kinds, st.floats(0, 1), st.floats(0, 1))
def test_concern_moves_one_way_with_the_value(kind: str, one: float, other: float) -> None:
    spec = KINDS[kind]
    low, high = sorted(spec.low + share * (spec.high - spec.low) for share in (one, other))
    falling = spec.against[1] < spec.against[0]
    concerns = (spec.concern(low), spec.concern(high))

    assert 0.0 <= min(concerns) <= max(concerns) <= 1.0
    assert (concerns[0] >= concerns[1]) if falling else (concerns[0] <= concerns[1])


@calm
@given(kinds, st.floats(0, 1))
def test_nothing_is_a_concern_and_sound_at_once(kind: str, share: float) -> None:
    spec = KINDS[kind]
    value = spec.low + share * (spec.high - spec.low)

    assert not (spec.is_sound(value) and spec.concern(value) > 0.0)


@calm
@given(kinds, st.floats(0, 1), st.integers(0, 200 * DAY_MS), st.integers(0, 200 * DAY_MS))
def test_what_bears_on_drift_fades_and_ends(kind: str, share: float, one: int, other: int) -> None:
    spec = KINDS[kind]
    found = check_observation(fields(kind=kind, value=spec.low + share * (spec.high - spec.low)), now=NOW)
    sooner, later = sorted((NOW + one, NOW + other))

    assert 0.0 <= drift_of(found, later) <= drift_of(found, sooner) <= spec.drift
    assert drift_of(found, found.expires) == 0.0


def test_a_source_whose_clock_is_ahead_counts_in_full() -> None:
    ahead = check_observation(fields(value=1.0, at=NOW + AHEAD_MS), now=NOW)

    assert drift_of(ahead, NOW) == KINDS["edr"].drift


def test_a_full_detection_alone_is_a_full_observation() -> None:
    assert drift_of(check_observation(fields(value=1.0), now=NOW), NOW) == 1.0


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_vocabulary_is_consistent(name: str) -> None:
    kind = KINDS[name]

    assert len(name) <= 32
    assert kind.component in COMPONENTS
    assert kind.low <= min(kind.against) < max(kind.against) <= kind.high
    assert kind.weight > 0 or kind.drift > 0
    assert (kind.praise > 0) == (kind.sound is not None)
    assert 0 < kind.life_ms <= LIFE_MOST_MS
    assert 0.0 <= kind.drift <= 1.0
