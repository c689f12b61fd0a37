"""The page about filters says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from ioint_node.filtering import KEYS, parse
from ioint_node.filtering.language import CHARS_MOST
from ioint_node.store.filtered import WALK_MOST
from ioint_node.store.saved import SAVED_MOST

PAGE = (Path(__file__).parents[3] / "docs" / "filters.md").read_text("utf-8")


def test_every_key_is_in_the_table_with_its_example_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| `([^|]+)` \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert rows == [(key.name, key.example, key.about) for key in KEYS.values()]


def test_filters_in_the_page_are_filters() -> None:
    examples = [text.strip() for text in re.findall(r"^    (state:.*)$", PAGE, re.MULTILINE)]
    examples += [
        text
        for text in re.findall(r"`([^`]+)`", PAGE)
        if re.match(r"-?(intent|family|score|since)[:>]", text)
    ]
    assert len(examples) >= len(KEYS) // 4
    for text in examples:
        parse(text)


def test_the_bounds_in_the_page_are_those_in_force() -> None:
    for bound in (f"{CHARS_MOST:,} characters", f"{SAVED_MOST} can be saved", f"{WALK_MOST:,} rows"):
        assert bound in PAGE
