"""Changes of an envelope as values."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.scoring.changes import Change, cut, holds, needed_by
from ioint_taxonomy import Envelope, Step, load_taxonomy

TAXONOMY = load_taxonomy()


def some(names: object) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(sorted(names)), max_size=4)  # type: ignore[call-overload]


envelopes = st.builds(
    Envelope,
    verbs=some(TAXONOMY.verbs),
    resources=some(TAXONOMY.resources),
    max_sensitivity=st.sampled_from(sorted(TAXONOMY.sensitivities)),
    max_boundary=st.sampled_from(sorted(TAXONOMY.boundaries)),
)
steps = st.builds(
    Step,
    verb=st.sampled_from(sorted(TAXONOMY.verbs)),
    resource=st.sampled_from(sorted(TAXONOMY.resources)),
    sensitivity=st.sampled_from([*sorted(TAXONOMY.sensitivities), "unknown"]),
    boundary=st.sampled_from(sorted(TAXONOMY.boundaries)),
)


@given(steps)
def test_what_a_step_needs_holds_it_and_nothing_stronger(step: Step) -> None:
    change = needed_by(step)
    assert change.wider
    assert change.envelope.departures(step, TAXONOMY) == ()
    assert (change.envelope.verbs, change.envelope.resources) == (
        frozenset({step.verb}),
        frozenset({step.resource}),
    )


@given(envelopes, envelopes, steps)
def test_a_cut_holds_what_lies_in_both(one: Envelope, two: Envelope, step: Step) -> None:
    both = cut(one, two, TAXONOMY)
    inside = not one.departures(step, TAXONOMY) and not two.departures(step, TAXONOMY)
    assert (not both.departures(step, TAXONOMY)) == inside
    assert holds(one, both, TAXONOMY)
    assert holds(two, both, TAXONOMY)


@given(envelopes, envelopes)
def test_an_envelope_holds_another_when_their_union_adds_nothing(one: Envelope, two: Envelope) -> None:
    union = one.union(two, TAXONOMY)
    assert holds(union, one, TAXONOMY)
    assert holds(one, two, TAXONOMY) == holds(one, union, TAXONOMY)


@given(envelopes, st.booleans())
def test_a_change_is_json_and_comes_back(envelope: Envelope, wider: bool) -> None:
    change = Change(wider=wider, envelope=envelope)
    assert Change.from_json(json.loads(json.dumps(change.to_json()))) == change
    assert change.text.startswith("also" if wider else "only")
