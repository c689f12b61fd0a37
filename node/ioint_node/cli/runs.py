"""Recorded runs of an agent as what a baseline learns from: in-scope steps, without arguments and text."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ioint_protocol.pattern import Matcher
from ioint_taxonomy import load_taxonomy

from ioint_node.errors import RequestError
from ioint_node.scoring.model import load_model
from ioint_node.scoring.predict import events_of, read_sessions
from ioint_node.scoring.tracker import SessionTracker
from ioint_node.scoring.values import Declaration, Verdict

RUNS_AT_ONCE: Final = 64
STEPS_AT_ONCE: Final = 4_000  # of one request, which may have a mebibyte
STEPS_PER_RUN: Final = 2_000
ROWS_AT_ONCE: Final = 500
TENURE_MOST_DAYS: Final = 36_500
COLUMNS: Final = ("id", "kind", "role", "tenure_days", "attestation")
OWNER: Final = "owner"  # who answers for the actor; may be left out

_REMEDY: Final = (
    f"a row has {', '.join(COLUMNS)}, and may have {OWNER}: correct it, then run the command again"
)

Run = list[dict[str, object]]


def in_scope_runs(path: Path, progress: Callable[[int, int], None] | None = None) -> Iterator[Run]:
    """The in-scope steps of each session of a file; none of a session that left its declared intent.

    Raises:
        PredictionError: a line cannot be read.
        OSError: the file cannot be opened.
    """
    model, taxonomy = load_model(), load_taxonomy()
    matcher = Matcher({}, taxonomy)
    for session in read_sessions(path, progress):
        tracker = SessionTracker(
            Declaration(text=str(session.get("declared_intent") or "")),
            model=model,
            matcher=matcher,
            taxonomy=taxonomy,
            catalogue={},
        )
        run: Run = []
        last: float | None = None
        for event in events_of(session):
            judged = tracker.observe(event)
            if judged is None:
                continue
            gap = None if event.t is None or last is None else max(0, round((event.t - last) * 1000))
            last = event.t
            if judged.verdict is Verdict.IN_SCOPE:
                tool = f"{event.server}/{event.tool}" if event.server else event.tool
                step: dict[str, object] = {
                    "tool": tool[:256],
                    "verb": judged.step.verb,
                    "resource": judged.step.resource,
                }
                run.append(step if gap is None else {**step, "gap_ms": gap})
        yield run[:STEPS_PER_RUN] if tracker.verdict is not Verdict.OUT_OF_SCOPE else []


def gathered(runs: Iterator[Run]) -> Iterator[list[Run]]:
    """Runs in portions that one request may carry; empty ones are left out."""
    portion: list[Run] = []
    steps = 0
    for run in runs:
        if not run:
            continue
        if portion and (len(portion) >= RUNS_AT_ONCE or steps + len(run) > STEPS_AT_ONCE):
            yield portion
            portion, steps = [], 0
        portion.append(run)
        steps += len(run)
    if portion:
        yield portion


def newcomers(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The actors of a file in portions: CSV with a header, else one JSON object a line.

    Raises:
        RequestError: a line cannot be read; it names the line and the fault.
        OSError: the file cannot be opened.
    """
    portion: list[dict[str, Any]] = []
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            for number, row in _rows(lines, as_table=path.suffix == ".csv"):
                portion.append(_newcomer(row, number))
                if len(portion) >= ROWS_AT_ONCE:
                    yield portion
                    portion = []
        except (UnicodeDecodeError, csv.Error) as error:
            raise RequestError(f"{path.name}: cannot be read ({error}); {_REMEDY}") from None
    if portion:
        yield portion


def _rows(lines: Iterable[str], *, as_table: bool) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if as_table:
        yield from enumerate(csv.DictReader(lines), 2)
    else:
        yield from ((number, _object(number, line)) for number, line in enumerate(lines, 1))


def _object(number: int, line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"line {number}: not JSON ({error}); {_REMEDY}") from None
    if not isinstance(row, dict):
        raise RequestError(f"line {number}: not a JSON object; {_REMEDY}")
    return row


def _newcomer(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    for name in row:
        if name not in (*COLUMNS, OWNER):
            raise RequestError(
                f"line {number}: {str(name)[:64]!r} is none of {', '.join((*COLUMNS, OWNER))}; {_REMEDY}"
            )
    missing = [name for name in COLUMNS if row.get(name) is None or row[name] == ""]
    if missing:
        raise RequestError(f"line {number}: {missing[0]} is missing; {_REMEDY}")
    try:
        days = float(row["tenure_days"])
    except (TypeError, ValueError):
        days = -1.0
    if not 0.0 <= days <= TENURE_MOST_DAYS:
        raise RequestError(
            f"line {number}: tenure_days is not a number from 0 to {TENURE_MOST_DAYS}; {_REMEDY}"
        )
    owner = {OWNER: str(row[OWNER])} if row.get(OWNER) else {}
    return {**{name: str(row[name]) for name in COLUMNS}, "tenure_days": days, **owner}
