"""Indicator rows for tools that read lines: CSV (RFC 4180), JSON Lines, and plain names.

A spreadsheet takes a cell that begins like a formula for one, and labels come from others: such a cell gets an
apostrophe before it, and breaks of lines in a cell become blanks.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

Row = Mapping[str, Any]
COLUMNS: Final = (
    "id", "kind", "label", "intents", "layer", "declared", "state", "score", "confidence", "tier", "effect",
    "reporters", "first_reporter", "first_seen", "last_seen", "valid_until", "trend", "seen_locally", "local_hits",
    "blast_radius", "disputed", "revoked", "tlp", "taxonomy_version", "why", "seq",
)  # fmt: skip
"""The columns of the contract, in its order."""
# The last four are the wide forms of the first, which some take for them.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_BREAKS: Final = re.compile(r"[\r\n\t\v\f\x00\x85\u2028\u2029]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way to write rows: what stands before them, and each of them, as bytes."""

    name: str
    media_type: str
    head: bytes
    line: Callable[[Row], bytes]


def csv_line(cells: Iterable[object]) -> bytes:
    """One line of cells; a list is its items with semicolons between them, nothing an empty cell."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow([_cell(value) for value in cells])
    return written.getvalue().encode()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list() | tuple():
            return _defused(";".join(map(str, value)))
        case _:
            return _defused(str(value))


def _defused(text: str) -> str:
    # The blanks that a reader strips may stand before a formula too.
    text = _BREAKS.sub(" ", text)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def _json_line(row: Row) -> bytes:
    return msgspec.json.encode(row) + b"\n"


def _plain_line(row: Row) -> bytes:
    name = row["label"] if row["kind"] == "subject" else row["id"]
    return _BREAKS.sub(" ", str(name)).encode() + b"\n"


FORMS: Final[Mapping[str, Form]] = {
    form.name: form
    for form in (
        Form(
            name="csv",
            media_type="text/csv; charset=utf-8; header=present",
            head=csv_line(COLUMNS),
            line=lambda row: csv_line([row.get(name) for name in COLUMNS]),
        ),
        Form(name="jsonl", media_type="application/jsonl", head=b"", line=_json_line),
        Form(name="txt", media_type="text/plain; charset=utf-8", head=b"", line=_plain_line),
    )
}
"""The forms by the ending of their files."""
