"""Measure the step mapper without the curated map, and write `mapping.md` and `mapping.json`.

    python docs/measurements/mapping.py [-o DIR] [--errors]

Every call is mapped by the words of the name, the arguments and the hints alone. Two sets of labels serve: the curated
map itself, each of its servers read as if it were not in it, and `mapping_tools.json`, tools of other servers that were
labelled by hand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ioint_taxonomy
from ioint_taxonomy import MappedCall, load_taxonomy, map_call
from ioint_taxonomy.reach import boundary_of, sensitivity_of

LABELS = Path(__file__).parent / "mapping_tools.json"
CURATED = Path(ioint_taxonomy.__file__).parent / "data" / "tools.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A call and what it is: verb, resource, boundary, sensitivity."""

    part: str
    server: str
    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    verb: str
    resource: str
    boundary: str
    sensitivity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A labelled call and what the mapper made of it."""

    label: Labelled
    call: MappedCall

    @property
    def both(self) -> bool:
        """Whether verb and resource are right."""
        return (self.call.verb, self.call.resource) == (self.label.verb, self.label.resource)


MEASURES: Mapping[str, Callable[[Outcome], bool]] = {
    "verb": lambda one: one.call.verb == one.label.verb,
    "effect class": lambda one: _effect(one.call.verb) == _effect(one.label.verb),
    "resource class": lambda one: one.call.resource == one.label.resource,
    "verb and class": lambda one: one.both,
    "boundary": lambda one: one.call.boundary == one.label.boundary,
    "sensitivity": lambda one: one.call.sensitivity == one.label.sensitivity,
    "boundary not too low": lambda one: (
        load_taxonomy().boundary_rank(one.call.boundary) >= load_taxonomy().boundary_rank(one.label.boundary)
    ),
}


def _effect(verb: str) -> str:
    return load_taxonomy().verbs[verb]


def curated_servers() -> Iterator[Labelled]:
    """The tools of the curated map without arguments; their reach is what follows from verb and class."""
    for server, entry in json.loads(CURATED.read_text("utf-8"))["servers"].items():
        for meaning, names in entry["tools"].items():
            verb, resource = meaning.split()
            for name in names.split():
                yield Labelled(
                    part="curated map",
                    server=server,
                    tool=name,
                    verb=verb,
                    resource=resource,
                    boundary=boundary_of(verb, resource, {}),
                    sensitivity=sensitivity_of(resource, {}),
                )


def other_servers() -> Iterator[Labelled]:
    """The tools labelled by hand."""
    labels = json.loads(LABELS.read_text("utf-8"))
    for part in ("design", "held out"):
        for server, rows in labels[part].items():
            for tool, arguments, meaning in rows:
                verb, resource, boundary = meaning.split()
                yield Labelled(
                    part=part,
                    server=server,
                    tool=tool,
                    arguments=arguments,
                    verb=verb,
                    resource=resource,
                    boundary=boundary,
                    sensitivity=sensitivity_of(resource, arguments),
                )


def mapped(labels: Sequence[Labelled], *, hints: bool) -> list[Outcome]:
    """The calls mapped without the curated map; with `hints`, as an honest server would annotate its tools."""
    return [
        Outcome(
            label=one,
            call=map_call(
                one.tool,
                server=one.server.rsplit("/", 1)[-1],
                arguments=one.arguments,
                annotations=_honest(one.verb) if hints else None,
                curated=False,
            ),
        )
        for one in labels
    ]


def _honest(verb: str) -> dict[str, bool]:
    if _effect(verb) in ("observe", "derive"):
        return {"readOnlyHint": True}
    return {"readOnlyHint": False, "destructiveHint": verb in ("delete", "update", "revoke", "pay")}


def shares(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Share of calls that are right, by measure."""
    return {name: sum(map(right, outcomes)) / len(outcomes) for name, right in MEASURES.items()}


def by_server(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Outcomes by server, in the order of the names."""
    found: dict[str, list[Outcome]] = {}
    for one in sorted(outcomes, key=lambda outcome: (outcome.label.part, outcome.label.server)):
        found.setdefault(f"{one.label.part}: {one.label.server}", []).append(one)
    return found


def calibration(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """For each confidence given, how often verb and class were right, and how often the effect class was."""
    given = sorted({one.call.confidence for one in outcomes})
    rows = []
    for confidence in given:
        chosen = [one for one in outcomes if one.call.confidence == confidence]
        right = shares(chosen)
        rows.append(
            {
                "confidence": confidence,
                "calls": len(chosen),
                "verb": right["verb"],
                "verb and class": right["verb and class"],
                "effect class": right["effect class"],
            }
        )
    return rows


def expected_error(rows: Sequence[Mapping[str, Any]]) -> float:
    """Expected calibration error: the mean distance of confidence and share right, weighted by calls."""
    calls = sum(row["calls"] for row in rows)
    return float(sum(row["calls"] * abs(row["confidence"] - row["verb and class"]) for row in rows) / calls)


def measure() -> dict[str, Any]:
    """Every figure of the page."""
    result: dict[str, Any] = {"sets": [], "servers": []}
    labels = [*curated_servers(), *other_servers()]
    for hints in (False, True):
        outcomes = mapped(labels, hints=hints)
        for part in ("curated map", "design", "held out"):
            chosen = [one for one in outcomes if one.label.part == part]
            rows = [shares(group) for group in by_server(chosen).values()]
            mean = {name: sum(row[name] for row in rows) / len(rows) for name in MEASURES}
            named = f"{part}{', with hints' if hints else ''}"
            result["sets"].append(
                {"set": named, "servers": len(rows), "tools": len(chosen), "mean": mean} | shares(chosen)
            )
        if not hints:
            result["servers"] = [
                {"server": name, "tools": len(group)} | shares(group)
                for name, group in by_server(outcomes).items()
            ]
            for part in ("curated map", "held out"):
                rows = calibration([one for one in outcomes if one.label.part == part])
                result[f"calibration, {part}"] = {"rows": rows, "expected_error": expected_error(rows)}
    return result


def page(result: Mapping[str, Any]) -> str:
    """The figures as a page."""
    names = tuple(MEASURES)
    text = [INTRODUCTION, _head("set", "servers", "tools", *names)]
    for row in result["sets"]:
        text.append(_line(row["set"], row["servers"], row["tools"], *(_percent(row[name]) for name in names)))
        text.append(_line("– mean of its servers", "", "", *(_percent(row["mean"][name]) for name in names)))
    for part in ("curated map", "held out"):
        found = result[f"calibration, {part}"]
        text.append(CALIBRATION.format(part=part, error=found["expected_error"]))
        text.append(_head("confidence", "calls", "verb", "verb and class", "effect class"))
        text += [
            _line(
                f"{row['confidence']:.2f}",
                row["calls"],
                *(_percent(row[name]) for name in ("verb", "verb and class", "effect class")),
            )
            for row in found["rows"]
        ]
    text += ["\n## By server, without hints\n\n", _head("server", "tools", *names)]
    text += [
        _line(row["server"], row["tools"], *(_percent(row[name]) for name in names))
        for row in result["servers"]
    ]
    return "".join(text)


def _head(*cells: str) -> str:
    return _line(*cells) + "|" + "---|" * len(cells) + "\n"


def _line(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def errors(part: str) -> Iterator[str]:
    """One line per call of a part whose verb or class is wrong, to find what is systematic."""
    for one in mapped([label for label in other_servers() if label.part == part], hints=False):
        if not one.both or one.call.boundary != one.label.boundary:
            wanted = f"{one.label.verb} {one.label.resource} {one.label.boundary}"
            got = f"{one.call.verb} {one.call.resource} {one.call.boundary}"
            yield f"{one.label.server}/{one.label.tool}: {wanted}, not {got} ({one.call.confidence})"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--errors", action="store_true", help="print the errors of the design servers only")
    options = parser.parse_args()
    if options.errors:
        print("\n".join(errors("design")))
        return
    result = measure()
    (options.out / "mapping.json").write_text(
        json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    (options.out / "mapping.md").write_text(page(result), encoding="utf-8")


INTRODUCTION = """# Step mapper: measurements

Made by `docs/measurements/mapping.py`. A call is mapped here without the curated map: by the words of its name, its
arguments and, where said, the hints that an honest server would give with its tools. Three sets of labels:

- *curated map*: the tools of the curated map itself, so each of its servers is measured as if it were not in it. No
  arguments are known for them; boundary and sensitivity are those that follow from the labelled verb and class. The
  word lists were written with many of these names in view, so the figures are optimistic.
- *design* and *held out*: tools of other servers with usual arguments (`mapping_tools.json`), labelled by hand by one
  analyst before their first run. The design servers were used to find systematic faults of the mapper; the held-out
  ones were not, and are the figures to expect of a server that nobody has seen.

*Boundary not too low* counts the calls whose reach is not understated. There is no second annotator and no agreement
figure.

"""
CALIBRATION = """
## Confidence, {part}

How often a call of this confidence is right; the confidence means *verb and class*. Expected calibration error
{error:.3f}.

"""

if __name__ == "__main__":
    main()
