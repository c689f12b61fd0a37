"""Patterns and sessions to draw, in a vocabulary so small that they often meet."""

from __future__ import annotations

from hypothesis import strategies as st
from ioint_protocol.pattern import Pattern, PatternStep
from ioint_taxonomy import Step, Taxonomy

TAXONOMY = Taxonomy(
    version="2026.11",
    digest="0" * 64,
    layers=(),
    intents={},
    families={},
    verbs={"read": "observe", "search": "observe", "send": "transfer"},
    resources={"file": "content", "message": "communication"},
    resource_classes={},
    sensitivities={"public": 0, "internal": 1, "confidential": 2, "restricted": 3},
    boundaries={
        name: rank
        for rank, name in enumerate(
            ("in_context", "same_principal", "same_tenant", "partner", "external", "public")
        )
    },
    provenances=(),
    data_kinds=(),
)
VERBS = ("read", "search", "send", "juggle")
Session = list[tuple[Step, bool]]


def sorted_terms(*terms: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(terms), max_size=2).map(lambda chosen: tuple(sorted(chosen)))


@st.composite
def pattern_steps(draw: st.DrawFn, index: int) -> PatternStep:
    flow = draw(st.sets(st.integers(0, index - 1), max_size=2)) if index else set()
    step = PatternStep(
        verbs=draw(sorted_terms("read", "search", "send", "@observe")),
        resources=draw(sorted_terms("file", "@communication")),
        sensitivity=draw(st.none() | st.integers(1, 3)),
        boundary=draw(st.none() | st.integers(1, 5)),
        provenances=draw(sorted_terms("memory", "user")),
        flow=tuple(sorted(flow)),
        outside=draw(st.booleans()),
    )
    return step if step != PatternStep() else PatternStep(sensitivity=1)


@st.composite
def patterns(draw: st.DrawFn, most: int = 4) -> Pattern:
    count = draw(st.integers(1, most))
    return Pattern(
        declared=draw(sorted_terms("code_review", "customer_support")),
        gaps=draw(st.integers(0, 1)) if count > 1 else 1,
        steps=tuple(draw(pattern_steps(index)) for index in range(count)),
    )


@st.composite
def loose_patterns(draw: st.DrawFn) -> Pattern:
    """Patterns that short sessions complete often."""
    steps = []
    for index in range(draw(st.integers(1, 3))):
        flow = draw(st.sets(st.integers(0, index - 1), max_size=2)) if index else set()
        verbs = draw(sorted_terms("read", "send", "@observe"))
        steps.append(PatternStep(verbs=verbs or ("@observe",), flow=tuple(sorted(flow))))
    return Pattern(gaps=draw(st.integers(0, 1)), steps=tuple(steps))


@st.composite
def sessions(draw: st.DrawFn, most: int = 5) -> Session:
    session: Session = []
    for index in range(draw(st.integers(0, most))):
        flow = draw(st.sets(st.integers(0, index - 1), max_size=2)) if index else set()
        step = Step(
            verb=draw(st.sampled_from(VERBS)),
            resource=draw(st.sampled_from(("file", "message", "cake"))),
            sensitivity=draw(st.sampled_from(("public", "restricted", "whatever"))),
            boundary=draw(st.sampled_from(("in_context", "external", "whatever"))),
            provenance=draw(st.sampled_from(("memory", "user", "unknown"))),
            flow=tuple(sorted(flow)),
        )
        session.append((step, draw(st.booleans())))
    return session


def step(verb: str, *flow: int) -> tuple[Step, bool]:
    return Step(verb=verb, resource="file", sensitivity="internal", boundary="same_tenant", flow=flow), False
