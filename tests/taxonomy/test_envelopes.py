import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_taxonomy import Envelope, Step, load_taxonomy

TAXONOMY = load_taxonomy()
STEPS = st.builds(
    Step,
    verb=st.sampled_from(sorted(TAXONOMY.verbs)),
    resource=st.sampled_from(sorted(TAXONOMY.resources)),
    sensitivity=st.sampled_from(sorted(TAXONOMY.sensitivities)),
    boundary=st.sampled_from(sorted(TAXONOMY.boundaries)),
)
ENVELOPES = st.sampled_from([family.envelope for family in TAXONOMY.families.values()])


def step(verb: str, resource: str, sensitivity: str = "public", boundary: str = "in_context") -> Step:
    return Step(verb=verb, resource=resource, sensitivity=sensitivity, boundary=boundary)


def test_what_is_not_known_counts_as_confidential_and_external() -> None:
    assert TAXONOMY.sensitivity_rank("no such word") == TAXONOMY.sensitivity_rank("confidential") == 2
    assert TAXONOMY.boundary_rank("no such word") == TAXONOMY.boundary_rank("external") == 4
    assert TAXONOMY.sensitivity_rank("unknown") == 2
    assert TAXONOMY.boundary_rank("unknown") == 4


def test_a_step_that_leaves_in_every_respect_says_so() -> None:
    summarise = TAXONOMY.families["summarise_document"].envelope
    leaving = step("pay", "secret", "restricted", "external")
    assert summarise.departures(leaving, TAXONOMY) == ("verb", "resource", "sensitivity", "boundary")


def test_reading_the_document_stays_inside_a_summary() -> None:
    summarise = TAXONOMY.families["summarise_document"].envelope
    assert summarise.departures(step("read", "file", "internal"), TAXONOMY) == ()


@pytest.mark.parametrize("slug", sorted(TAXONOMY.families))
def test_thinking_and_asking_a_person_are_within_every_family(slug: str) -> None:
    envelope = TAXONOMY.families[slug].envelope
    assert envelope.departures(step("compute", "none"), TAXONOMY) == ()
    assert envelope.departures(step("escalate", "human", "internal", "same_principal"), TAXONOMY) == ()


@pytest.mark.parametrize(
    "slug", ["answer_question", "research", "summarise_document", "tutor", "unspecified"]
)
def test_a_reading_family_changes_nothing(slug: str) -> None:
    effects = {
        TAXONOMY.verbs[verb] for verb in TAXONOMY.families[slug].envelope.verbs - {"escalate", "create"}
    }
    assert effects == {"observe", "derive"}


@given(ENVELOPES, ENVELOPES, STEPS)
def test_a_union_departs_where_both_do_at_most(one: Envelope, other: Envelope, taken: Step) -> None:
    both = set(one.departures(taken, TAXONOMY)) & set(other.departures(taken, TAXONOMY))
    assert set(one.union(other, TAXONOMY).departures(taken, TAXONOMY)) == both


@given(ENVELOPES)
def test_an_envelope_survives_json(envelope: Envelope) -> None:
    assert Envelope.from_json(envelope.to_json()) == envelope


def test_groups_and_effect_classes_are_partitions() -> None:
    assert sum(len(members) for members in TAXONOMY.groups.values()) == 42
    assert sum(len(members) for members in TAXONOMY.effect_classes.values()) == 26
    assert TAXONOMY.effect_classes["value"] == {"pay", "order"}
    assert TAXONOMY.groups["finance"] == {"financial_account", "payment"}
