"""`ioint score`: sessions in, one line of predictions for each out, in the same order; labels are never read."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, NoReturn

from ioint_protocol.pattern import Matcher
from ioint_taxonomy import Taxonomy, load_taxonomy

from ioint_node.errors import PredictionError
from ioint_node.scoring.model import Model, load_model
from ioint_node.scoring.tracker import SessionTracker
from ioint_node.scoring.values import Declaration, Event

KINDS: Final = frozenset({"prompt", "response", "reasoning", "tool_call", "tool_result", "observation"})
LINE_CHARS = 64 * 1024 * 1024
EVENTS_PER_SESSION = 100_000
TIME_S = 2**53  # how far `t` may lie from the start
DIGITS = 6

_TEXTS: Final = ("role", "tool", "text", "server", "action_id")
# Where others keep what is looked for here: unknown keys are ignored, but a missing one is not read past such a key.
_ELSEWHERE: Final = {
    "declared_intent": ("declared", "intent", "declaration"),
    "arguments": ("args", "argument", "input", "parameters", "params"),
    "text": ("content", "message", "output", "result"),
}


def predict_file(
    input: Path,  # noqa: A002 - the name of the option
    output: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    model: Model | None = None,
    taxonomy: Taxonomy | None = None,
) -> int:
    """Score every session of a file and return how many; `progress` hears bytes read and bytes in all.

    Raises:
        PredictionError: a line cannot be read; it names the line and the fault, and no output file is left.
        OSError: the input cannot be opened or the output cannot be written.
    """
    model = model or load_model()
    taxonomy = taxonomy or load_taxonomy()
    matcher = Matcher({}, taxonomy)
    part = output.with_name(f".{output.name}.part")
    count = 0
    try:
        with _writer(part, compressed=output.suffix == ".gz") as out:
            for session in read_sessions(input, progress):
                out.write(json.dumps(predict_session(session, model, matcher, taxonomy)) + "\n")
                count += 1
        part.replace(output)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    return count


def predict_session(
    session: Mapping[str, Any], model: Model, matcher: Matcher, taxonomy: Taxonomy
) -> dict[str, Any]:
    """The prediction for one session that `read_sessions` gave: `session_id`, `risk`, `verdicts`, `event_risk`."""
    tracker = SessionTracker(
        Declaration(text=str(session.get("declared_intent") or "")),
        model=model,
        matcher=matcher,
        taxonomy=taxonomy,
        catalogue={},
    )
    judged = [tracker.observe(event) for event in events_of(session)]
    return {
        "session_id": session["session_id"],
        "risk": round(tracker.session_risk, DIGITS),
        "verdicts": [None if one is None else one.verdict.value for one in judged],
        "event_risk": [None if one is None else round(one.drift, DIGITS) for one in judged],
    }


def read_sessions(
    path: Path, progress: Callable[[int, int], None] | None = None
) -> Iterator[Mapping[str, Any]]:
    """The checked sessions of a JSON lines file, plain or gzip, one at a time.

    Raises:
        PredictionError: names the line and the fault.
        OSError: the file cannot be opened.
    """
    total = path.stat().st_size
    number = 0
    with path.open("rb") as raw, _reader(raw, compressed=path.suffix == ".gz") as lines:
        try:
            while line := lines.readline(LINE_CHARS + 1):
                number += 1
                if len(line) > LINE_CHARS:
                    _fault(number, f"longer than {LINE_CHARS} characters")
                yield _session(line, number)
                if progress is not None:
                    progress(raw.tell(), total)
        except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
            raise PredictionError(f"line {number + 1}: cannot be read ({error})") from error


def events_of(session: Mapping[str, Any]) -> Iterator[Event]:
    """The events of a session in order; `t` of a source that only counts events is no clock."""
    clock = session.get("time_unit") == "s"
    for event in session["events"]:
        yield Event(
            kind=event["kind"],
            role=event.get("role") or "",
            tool=event.get("tool") or "",
            server=event.get("server"),
            arguments=event.get("arguments") or {},
            text=event.get("text") or "",
            error=error if isinstance(error := event.get("error"), str) and error else None,
            t=event.get("t") if clock else None,
            action_id=event.get("action_id"),
        )


def _session(line: str, number: int) -> Mapping[str, Any]:
    try:
        session: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PredictionError(f"line {number}: not JSON ({error})") from error
    if not isinstance(session, dict):
        _fault(number, "not a JSON object")
    if not isinstance(session.get("session_id"), str):
        _fault(number, "session_id is missing or not a string")
    declared = session.get("declared_intent")
    if declared is not None and not isinstance(declared, str):
        _fault(number, "declared_intent is not a string")
    _look_elsewhere(session, "declared_intent", "", number)
    events = session.get("events")
    if not isinstance(events, list):
        _fault(number, "events is missing or not a list")
    if len(events) > EVENTS_PER_SESSION:
        _fault(number, f"{len(events)} events, more than {EVENTS_PER_SESSION}")
    for index, event in enumerate(events):
        _check(event, number, index)
    return session


def _check(event: Any, number: int, index: int) -> None:  # noqa: ANN401 - any JSON value
    if not isinstance(event, dict):
        _fault(number, f"events[{index}] is not an object")
    if event.get("kind") not in KINDS:
        _fault(
            number, f"events[{index}].kind is {event.get('kind')!r}, not one of {', '.join(sorted(KINDS))}"
        )
    for name in _TEXTS:
        if event.get(name) is not None and not isinstance(event[name], str):
            _fault(number, f"events[{index}].{name} is not a string")
    if event.get("error") is not None and not isinstance(event["error"], str | bool):
        _fault(number, f"events[{index}].error is not a string")
    if event.get("arguments") is not None and not isinstance(event["arguments"], dict):
        _fault(number, f"events[{index}].arguments is not an object")
    if event.get("t") is not None and not _is_time(event["t"]):
        _fault(number, f"events[{index}].t is not a number of seconds within {TIME_S}")
    if event["kind"] == "tool_call":
        if not event.get("tool"):
            _fault(number, f"events[{index}] is a tool_call without a tool")
        _look_elsewhere(event, "arguments", f"events[{index}].", number)
    elif event.get("error") is None:
        _look_elsewhere(event, "text", f"events[{index}].", number)


def _is_time(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, int | float) and not isinstance(value, bool) and -TIME_S <= value <= TIME_S


def _look_elsewhere(item: Mapping[str, Any], key: str, place: str, number: int) -> None:
    """Refuse an item that keeps under another name what it would be judged by; silence would judge it by nothing."""
    other = None if key in item else next((name for name in _ELSEWHERE[key] if name in item), None)
    if other is not None:
        _fault(number, f"{place}{key} is missing, and {place}{other} is not read: call it {key}")


def _fault(number: int, fault: str) -> NoReturn:
    raise PredictionError(f"line {number}: {fault}")


def _reader(raw: IO[bytes], *, compressed: bool) -> IO[str]:
    source = gzip.GzipFile(fileobj=raw, mode="rb") if compressed else raw
    return io.TextIOWrapper(source, encoding="utf-8")


def _writer(path: Path, *, compressed: bool) -> IO[str]:
    if compressed:
        return io.TextIOWrapper(gzip.GzipFile(path, "wb", mtime=0), encoding="utf-8")
    return path.open("w", encoding="utf-8")
