"""Public subjects that local servers, tools and models are: what is reported of one acts where it is used."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.flows.assess import close
from ioint_node.flows.subjects import NO_SUBJECTS, SUBJECTS_MOST, known_as, parse_subjects
from ioint_node.reputation.view import indicator_id
from ioint_node.scoring.composition import parts_of

from tests.node.assess.scripted import NOW, PATTERN, MakeNode, Node, believe

PAD, CRM, MODEL = "pkg:npm/left-pad", "pkg:npm/%40acme/crm-mcp", "pkg:huggingface/org/m-7b"
SUBJECTS = parse_subjects(
    [f"server:crm={CRM}@1.3.9", f"tool:pad={PAD}", f"model:our m={MODEL}@v2"],
)


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    return make_node(subjects=SUBJECTS, mode="enforce")


def test_a_subject_is_known_under_its_version_without_the_patch_and_by_its_name() -> None:
    assert known_as(f"{CRM}@1.3.9") == (f"{CRM}@1.3.9", f"{CRM}@1.3", CRM)
    assert known_as(PAD) == (PAD,)


@pytest.mark.parametrize(
    "text",
    [
        "crm=pkg:npm/left-pad",
        "host:crm=pkg:npm/left-pad",
        "server:=pkg:npm/left-pad",
        "server:crm",
        "tool:a=b",
    ],
)
def test_a_mapping_of_another_form_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="write server:NAME=pkg:"):
        parse_subjects([text])


@pytest.mark.parametrize(
    "subject", ["pkg:generic/x", "pkg:npm/x?repository_url=https://a.example", "pkg:npm/UPPER", "pkg:"]
)
def test_a_subject_of_no_public_registry_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="package URL of a public registry"):
        parse_subjects([f"server:crm={subject}"])


def test_too_many_mappings_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 256"):
        parse_subjects([f"tool:t{number}={PAD}" for number in range(SUBJECTS_MOST + 1)])


@given(st.text(max_size=20), st.text(max_size=20))
def test_names_that_are_not_mapped_meet_nothing(tool: str, server: str) -> None:
    assert NO_SUBJECTS.met(tool=tool, server=server, made_of=b"") == ()
    if tool != "pad" and server != "crm":
        assert SUBJECTS.met(tool=tool, server=server, made_of=parts_of(model="another")) == ()


def test_a_local_name_is_in_no_text_of_the_mapping() -> None:
    assert "crm=" not in repr(SUBJECTS)
    assert "our m" not in repr(SUBJECTS)


@pytest.mark.parametrize("reported", [f"{CRM}@1.3.9", f"{CRM}@1.3", CRM])
async def test_what_is_reported_of_a_server_acts_on_actions_through_it(node: Node, reported: str) -> None:
    await node.open()
    believe(node, "corroborated", 0.1, groups=3, pattern=reported)
    elsewhere = await node.act("look", 1)
    through = await node.act("look", 2, server="crm")
    rest = await node.act("look", 3)

    assert elsewhere["network"]["effect"] == 0.0
    for decision in (through, rest):
        assert decision["network"]["patterns"] == [reported]
        assert decision["trust"]["used"] == pytest.approx(decision["trust"]["lower"] - 0.1)
        assert (decision["response"], decision["allowed"]) == ("step_up", True)


async def test_a_report_of_another_version_acts_on_nothing(node: Node) -> None:
    await node.open()
    believe(node, "consensus", 0.3, pattern=f"{CRM}@1.4")
    believe(node, "consensus", 0.3, pattern=f"{PAD}@1")
    decision = await node.act("pad", server="crm")

    assert decision["network"]["effect"] == 0.0


async def test_a_model_acts_by_what_its_actor_is_made_of_also_after_a_restart(
    node: Node, make_node: MakeNode
) -> None:
    await node.open("s1", composition={"model": "our m", "prompt_sha256": "", "tools": []})
    await node.act("look", 1, durable=True)
    again = make_node(subjects=SUBJECTS)
    believe(again, "corroborated", 0.1, pattern=MODEL)
    decision = await again.act("look", 2)

    assert decision["network"]["patterns"] == [MODEL]


async def test_a_warning_that_comes_later_acts_when_the_server_is_used_again(node: Node) -> None:
    await node.open()
    await node.act("look", 1, server="crm")
    believe(node, "corroborated", 0.1, pattern=CRM)
    elsewhere = await node.act("look", 2)
    again = await node.act("look", 3, server="crm")

    assert (elsewhere["network"]["effect"], again["network"]["effect"]) == (0.0, 0.1)


async def test_a_session_notes_what_it_went_through_once_and_is_judged_with_it(node: Node) -> None:
    await node.open()
    for number in range(3):
        await node.act("look", number, server="crm")
    await close(node.parts, "s1", "done", NOW)
    rows = await node.rows("select pattern, judged from matches order by seq")

    assert [row["pattern"] for row in rows] == [f"{CRM}@1.3.9", f"{CRM}@1.3", CRM]
    assert {row["judged"] for row in rows} == {"benign"}


async def test_a_used_subject_is_no_pattern_that_is_told_or_hides_one_without_a_name(node: Node) -> None:
    await node.open()
    await node.act("look", 1, server="crm")
    await node.act("clear", 2, server="crm")
    await node.act("match", 3, server="crm")
    await node.flushed()
    nameless, named = node.sightings

    assert nameless.patterns == ()
    assert nameless.path
    assert named.patterns == (PATTERN,)


async def test_engines_hear_of_a_subject_under_its_own_key(node: Node) -> None:
    await node.open()
    believe(node, "precautionary", 0.05, pattern=CRM)
    await node.act("look", server="crm")
    (row,) = await node.rows("select body from stream where event = 'trust'")
    moved = json.loads(row["body"])

    assert moved["subject"] == indicator_id(CRM)
    assert "pattern" not in moved
