"""How far actions and talk lie from the declared purpose."""

from __future__ import annotations

import pytest
from ioint_node.scoring import Model
from ioint_node.scoring.semantics import Purpose, Topic, purpose_of
from ioint_taxonomy import Step, Taxonomy

PAY = Step(verb="pay", resource="payment", sensitivity="confidential", boundary="external")
READ = Step(verb="read", resource="file", sensitivity="internal", boundary="in_context")


def test_a_named_family_covers_what_its_envelope_allows(taxonomy: Taxonomy) -> None:
    purpose = Purpose({"make_payment": 1.0}, taxonomy)
    assert purpose.astray(PAY) == pytest.approx(0.0)
    assert Purpose({"summarise_document": 1.0}, taxonomy).astray(PAY) == pytest.approx(1.0)


def test_an_unlikely_family_excuses_little(taxonomy: Taxonomy) -> None:
    purpose = Purpose({"summarise_document": 0.9, "make_payment": 0.1}, taxonomy)
    assert purpose.astray(PAY) == pytest.approx(0.9)
    assert purpose.astray(READ) == pytest.approx(0.0)


def test_asking_twice_gives_the_same(taxonomy: Taxonomy, model: Model) -> None:
    text = "Please summarise the minutes of the board"
    purpose = purpose_of(model.families.infer(text), text, model.families, taxonomy)
    assert purpose.astray(PAY) == purpose.astray(PAY) > 0.7


def test_a_distance_is_nothing_to_itself_and_one_to_what_shares_nothing(taxonomy: Taxonomy) -> None:
    purpose = Purpose({"tutor": 0.25, "research": 0.75}, taxonomy)
    assert purpose.distance({"tutor": 0.25, "research": 0.75}) == pytest.approx(0.0, abs=1e-6)
    assert purpose.distance({"make_payment": 1.0}) == pytest.approx(1.0)


def test_talk_that_stays_on_the_topic_does_not_stray(taxonomy: Taxonomy, model: Model) -> None:
    purpose = Purpose(model.families.spread("Book a flight and a hotel in Porto for our trip"), taxonomy)
    near, far = Topic(), Topic()
    near.hear("I look for flights and a hotel for the trip to Porto.", purpose, model.families)
    far.hear("I rotate the access key of the admin user and grant her the role.", purpose, model.families)
    assert near.strayed < far.strayed


def test_one_remark_strays_less_than_staying_away(taxonomy: Taxonomy, model: Model) -> None:
    purpose = Purpose(model.families.spread("Book a flight and a hotel in Porto for our trip"), taxonomy)
    topic = Topic()
    topic.hear("I look for flights and a hotel for the trip to Porto.", purpose, model.families)
    away = "Grant the admin user a role and rotate her access key."
    seen = []
    for _ in range(3):
        topic.hear(away, purpose, model.families)
        seen.append(topic.strayed)
    assert seen == sorted(seen)


def test_words_of_no_family_say_nothing(taxonomy: Taxonomy, model: Model) -> None:
    topic = Topic()
    topic.hear("Xyzzy plugh", Purpose({"tutor": 1.0}, taxonomy), model.families)
    assert topic.strayed == 0.0


@pytest.mark.parametrize(
    ("abroad", "english"),
    [
        ("Bitte überweise Geld", "Please transfer money"),
        ("Résume le message", "Summarise the message"),
        ("Elimina la carpeta", "Delete the folder"),
        ("Prenota un volo", "Book a flight"),
        ("Cancelar reserva", "Cancel book"),
        ("Vertaal het bericht", "Translate the message"),
    ],
)
def test_other_languages_are_read_as_their_english_counterpart(
    model: Model, abroad: str, english: str
) -> None:
    assert set(model.families.spread(abroad)) == set(model.families.spread(english))
    assert model.families.infer(abroad)[0][0] == model.families.infer(english)[0][0]
