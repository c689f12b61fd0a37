"""What steps do together that none of them does alone."""

from __future__ import annotations

import pytest
from ioint_node.scoring.pathshape import Path, Shape, gravity
from ioint_taxonomy import Step, Taxonomy


def step(verb: str, resource: str, sensitivity: str = "internal", boundary: str = "same_principal") -> Step:
    return Step(verb=verb, resource=resource, sensitivity=sensitivity, boundary=boundary)


SALARIES = step("read", "hr_record", "restricted")
OUT = step("send", "email", "confidential", "external")


def taken(
    path: Path, one: Step, *, unasked: float = 1.0, astray: float = 1.0, reaches: bool = False
) -> Shape:
    return path.take(one, unasked=unasked, astray=astray, reaches=reaches)


def test_sending_alone_takes_nothing_out(taxonomy: Taxonomy) -> None:
    assert taken(Path(taxonomy), OUT).out == 0.0


def test_sending_after_needless_reading_takes_it_out(taxonomy: Taxonomy) -> None:
    path = Path(taxonomy)
    taken(path, SALARIES)
    assert taken(path, OUT).out == pytest.approx(1.0)


def test_reading_within_the_task_weighs_little(taxonomy: Taxonomy) -> None:
    path = Path(taxonomy)
    taken(path, SALARIES, unasked=0.0, astray=0.0)
    assert taken(path, OUT).out < 0.2


def test_several_sources_each_within_the_task_add_up(taxonomy: Taxonomy) -> None:
    one, several = Path(taxonomy), Path(taxonomy)
    taken(one, step("read", "customer_record", "confidential"), unasked=0.0)
    for resource in ("customer_record", "payment", "health_record"):
        taken(several, step("read", resource, "confidential"), unasked=0.0)
    assert taken(several, OUT).out > taken(one, OUT).out > 0.0


def test_an_asked_destination_takes_nothing_out(taxonomy: Taxonomy) -> None:
    path = Path(taxonomy)
    taken(path, SALARIES)
    assert taken(path, OUT, unasked=0.0).out == 0.0


def test_a_link_that_was_made_up_takes_out_as_a_mail_does(taxonomy: Taxonomy) -> None:
    path = Path(taxonomy)
    taken(path, SALARIES)
    fetch = step("read", "web_page", "public")
    assert taken(path, fetch, reaches=True).out > 0.5
    assert taken(path, fetch).out == 0.0


def test_packing_what_was_read_beyond_the_task_is_gathering(taxonomy: Taxonomy) -> None:
    path = Path(taxonomy)
    taken(path, SALARIES)
    assert taken(path, step("create", "file")).gathers == pytest.approx(1.0)
    assert taken(Path(taxonomy), step("create", "file")).gathers == 0.0


def test_reading_beyond_need_again_weighs_more(taxonomy: Taxonomy) -> None:
    path = Path(taxonomy)
    first, second = taken(path, SALARIES), taken(path, step("read", "secret", "restricted"))
    assert 0.0 < first.overreads < second.overreads < 1.0
    assert taken(path, step("read", "file"), astray=0.0).overreads == 0.0


def test_moving_on_through_groups_of_resources_is_spreading(taxonomy: Taxonomy) -> None:
    path = Path(taxonomy)
    seen = [taken(path, step("read", name)).spreads for name in ("infrastructure", "database", "identity")]
    assert seen == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("one", "least", "most"),
    [
        (step("read", "secret", "restricted"), 0.0, 0.0),
        (step("generate", "file"), 0.0, 0.0),
        (step("create", "file"), 0.2, 0.5),
        (step("delete", "database"), 0.9, 1.0),
        (step("update", "security_control"), 1.0, 1.0),
        (step("pay", "payment", "confidential", "external"), 1.0, 1.0),
        (step("escalate", "human"), 0.0, 0.0),
    ],
)
def test_gravity_is_of_what_cannot_be_taken_back(
    taxonomy: Taxonomy, one: Step, least: float, most: float
) -> None:
    assert least <= gravity(one, taxonomy) <= most


def test_an_address_and_a_guarded_name_make_a_small_step_grave(taxonomy: Taxonomy) -> None:
    small = step("create", "file")
    assert gravity(small, taxonomy, reaches=True) > gravity(small, taxonomy)
    assert gravity(small, taxonomy, guarded=True) == 1.0
