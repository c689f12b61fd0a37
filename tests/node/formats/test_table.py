"""Rows as lines: what a spreadsheet would run is text, and a line is a row."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.formats.table import COLUMNS, FORMS, csv_line

ROW = dict.fromkeys(COLUMNS) | {"id": "ab" * 32, "kind": "pattern", "label": "a label", "seq": 7}


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\n=1", "\uff1d1", '=HYPERLINK("x")']
)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    (cells,) = csv.reader(io.StringIO(csv_line([text]).decode()))
    assert cells[0].startswith("'")


def test_cells_say_what_values_are() -> None:
    assert (
        csv_line([None, True, False, 0.05, -1, ["a", "b"], [], 'say "x"'])
        == b',true,false,0.05,-1,a;b,,"say ""x"""\r\n'
    )


@given(st.lists(st.text(), min_size=2, max_size=5))
def test_a_row_is_one_line_whatever_is_in_it(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    line = csv_line(texts)
    assert line.count(b"\n") == 1
    (cells,) = csv.reader(io.StringIO(line.decode(), newline=""))
    assert len(cells) == len(texts)


def test_the_plain_form_names_a_pattern_by_its_id_and_a_package_by_its_name() -> None:
    line = FORMS["txt"].line
    assert line(ROW) == b"ab" * 32 + b"\n"
    assert line(ROW | {"kind": "subject", "label": "pkg:npm/left-pad"}) == b"pkg:npm/left-pad\n"
