"""What stands in a kept path, and what is looked for in its text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.flows.hunt import look
from ioint_node.flows.paths import STEPS_KEPT, kept, kept_whole, path_of, path_text, traces
from ioint_protocol import Pattern, PatternStep
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import Step, load_taxonomy

TAXONOMY = load_taxonomy()
FAMILY = (("research", 1.0),)
VERBS, RESOURCES, PROVENANCES = (
    ("read", "send", "pay"),
    ("file", "email", "hr_record"),
    ("principal", "tool_output"),
)
WIDE_VERBS = (*VERBS, *(f"@{TAXONOMY.verbs[verb]}" for verb in VERBS))
WIDE_RESOURCES = (*RESOURCES, *(f"@{TAXONOMY.resources[name]}" for name in RESOURCES))


def some(words: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(words), max_size=2, unique=True).map(lambda found: tuple(sorted(found)))


steps = st.builds(
    Step,
    verb=st.sampled_from(VERBS),
    resource=st.sampled_from(RESOURCES),
    sensitivity=st.just("internal"),
    boundary=st.just("organisation"),
    provenance=st.sampled_from(PROVENANCES),
)
patterns = st.builds(
    Pattern,
    steps=st.lists(
        st.builds(
            PatternStep,
            verbs=some(WIDE_VERBS),
            resources=some(WIDE_RESOURCES),
            provenances=some(PROVENANCES),
            outside=st.booleans(),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
)


@given(patterns, st.lists(st.tuples(steps, st.booleans()), max_size=6))
def test_a_path_that_contains_a_pattern_has_its_traces(
    pattern: Pattern, path: list[tuple[Step, bool]]
) -> None:
    text = path_text(FAMILY, [step for step, _ in path], [outside for _, outside in path])
    if look([("s", text)], Matcher({"a" * 64: pattern}, TAXONOMY)):
        assert all(any(one in text for one in part) for part in traces(pattern, TAXONOMY))


def test_most_paths_have_not_even_the_words_of_a_pattern() -> None:
    step = PatternStep(
        verbs=("send",), resources=("email", "file"), provenances=("tool_output",), outside=True
    )
    assert traces(Pattern(steps=(step,)), TAXONOMY) == (
        ('"provenance":"tool_output"',),
        ('"verb":"send","resource":"email"', '"verb":"send","resource":"file"'),
        ("true",),
    )


def test_a_path_is_kept_to_a_bound() -> None:
    step = Step(verb="read", resource="file", sensitivity="internal", boundary="organisation")
    long = kept(FAMILY, (step,) * (STEPS_KEPT + 1), (False,) * (STEPS_KEPT + 1))
    assert len(long.steps) == len(long.outside) == STEPS_KEPT
    assert kept_whole(long.steps, long.outside)
    assert not kept_whole((step,) * (STEPS_KEPT + 1), (False,) * (STEPS_KEPT + 1))
    assert not kept_whole((step, step), (False,))
    assert path_of(path_text(FAMILY, long.steps, long.outside)) == long
