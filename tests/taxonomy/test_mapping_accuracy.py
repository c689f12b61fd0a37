"""How far words alone get: every tool of the curated map, read without it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import ioint_taxonomy
import pytest
from ioint_taxonomy import load_taxonomy, map_call

DATA = Path(ioint_taxonomy.__file__).parent / "data"
PAGE = Path(__file__).parents[2] / "docs" / "taxonomy.md"


def labelled() -> Iterator[tuple[str, str, str]]:
    for entry in json.loads((DATA / "tools.json").read_text("utf-8"))["servers"].values():
        for meaning, names in entry["tools"].items():
            verb, resource = meaning.split()
            for name in names.split():
                yield name, verb, resource


def percentages() -> dict[str, int]:
    effects = load_taxonomy().verbs
    rows = [(map_call(name, curated=False), verb, resource) for name, verb, resource in labelled()]
    hits = {
        "verb": sum(call.verb == verb for call, verb, _ in rows),
        "class": sum(call.resource == resource for call, _, resource in rows),
        "both": sum((call.verb, call.resource) == (verb, resource) for call, verb, resource in rows),
        "effect class": sum(effects[call.verb] == effects[verb] for call, verb, _ in rows),
    }
    return {name: round(100 * count / len(rows)) for name, count in hits.items()}


def test_the_page_states_the_measured_accuracy() -> None:
    stated = dict(
        re.findall(r"^\| (verb|class|both|effect class) \| (\d+) % \|", PAGE.read_text("utf-8"), re.MULTILINE)
    )
    assert {name: int(figure) for name, figure in stated.items()} == percentages()


@pytest.mark.parametrize(
    ("figure", "least"), [("verb", 80), ("class", 75), ("both", 65), ("effect class", 88)]
)
def test_words_alone_are_right_this_often(figure: str, least: int) -> None:
    assert percentages()[figure] >= least
