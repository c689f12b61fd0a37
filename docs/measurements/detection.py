"""Measure the drift detector on sessions it was not fitted to, and write `detection.md` and `detection.json`.

    python docs/measurements/detection.py --data DIR --evaluate PATH/evaluate.py [--out DIR] [--no-ablation]

Features are measured once per session; every figure then comes from a fit that did not see the part it is scored on.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ioint_node.scoring.families import FamilyModel
from ioint_node.scoring.features import NAMES
from ioint_node.scoring.model import Thresholds, load_model
from ioint_node.scoring.predict import read_sessions
from ioint_node.scoring.train import (
    Floats,
    Rows,
    choose_thresholds,
    fit_families,
    fit_weights,
    measure_sessions,
    row_weights,
    scores,
)
from ioint_taxonomy import Taxonomy, load_taxonomy

FOLDS = 5
SEED = 7
RENAMED_SESSIONS = 600
SIGNALS: Mapping[str, tuple[str, ...]] = {
    "values from orders": ("order_value", "order_value_shared", "order_text", "order_replaces"),
    "obedience to an order": ("order_values", "order_kind", "order_both", "order_reading"),
    "tool named by content": ("order_tool",),
    "contradiction of the request": ("contradicts",),
    "origin of targets": ("target_read", "target_unknown", "values_requested"),
    "effect and need": ("acts", "acts_unasked", "acts_exposed"),
    "declared envelope": ("outside_verb", "outside_resource", "outside_boundary", "outside_sensitivity"),
}
Part = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A way to leave sessions out: who is left out together, and with whose thresholds they are judged."""

    name: str
    part_of: Part


def suite(session: Mapping[str, Any]) -> str:
    """The suite of a session."""
    return f"{session['source']}/{session['suite']}"


def splits(rows: Rows) -> tuple[Split, ...]:
    """Five folds over user tasks, then whole suites, corpora and categories of attacker goals."""
    tasks = sorted({(suite(one), str(one["label"]["user_task"])) for one in rows.sessions})
    random.Random(SEED).shuffle(tasks)  # noqa: S311 - folds, not secrets
    fold = {task: index % FOLDS for index, task in enumerate(tasks)}
    return (
        Split(name="task folds", part_of=lambda one: str(fold[suite(one), str(one["label"]["user_task"])])),
        Split(name="suite out", part_of=suite),
        Split(name="corpus out", part_of=lambda one: str(one["source"])),
        Split(name="goal category out", part_of=_goal),
    )


def _goal(session: Mapping[str, Any]) -> str:
    """The goal's category; sessions without a goal are spread over the categories by their user task."""
    category = session["label"].get("goal_category")
    if category:
        return str(category)
    return f"none {sum(map(ord, str(session['label']['user_task']))) % FOLDS}"


def held_out(rows: Rows, part_of: Part) -> tuple[Floats, list[Thresholds]]:
    """Drift of every row, and the thresholds of every session, from fits and choices without its part."""
    parts = [part_of(session) for session in rows.sessions]
    drift = np.zeros(len(rows.labels))
    thresholds: list[Thresholds] = [load_model().thresholds] * len(parts)
    for part in sorted(set(parts)):
        inside = np.array([name == part for name in parts])
        train = subset(rows, ~inside)
        beta = fit_weights(train.features, train.labels, row_weights(train, range(len(train.sessions))))
        chosen = inside[rows.session]
        drift[chosen] = scores(rows, beta)[chosen]
        limits = choose_thresholds(train)
        thresholds = [limits if own else kept for own, kept in zip(inside, thresholds, strict=True)]
    return drift, thresholds


def subset(rows: Rows, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> Rows:
    """The rows of some sessions, renumbered."""
    chosen = keep[rows.session]
    number = np.cumsum(keep) - 1
    return Rows(
        features=rows.features[chosen],
        labels=rows.labels[chosen],
        session=number[rows.session[chosen]],
        event=rows.event[chosen],
        sessions=tuple(one for one, kept in zip(rows.sessions, keep, strict=True) if kept),
    )


def predictions(rows: Rows, drift: Floats, thresholds: Sequence[Thresholds], path: Path) -> None:
    """Write a predictions file."""
    by_session: dict[int, list[tuple[int, float]]] = {}
    for number, event, value in zip(rows.session.tolist(), rows.event.tolist(), drift.tolist(), strict=True):
        by_session.setdefault(number, []).append((event, value))
    with path.open("w", encoding="utf-8") as out:
        for number, session in enumerate(rows.sessions):
            length = len(session["label"]["event_labels"])
            risk: list[float | None] = [None] * length
            verdicts: list[str | None] = [None] * length
            limits = thresholds[number]
            for event, value in by_session.get(number, ()):
                risk[event] = value
                verdicts[event] = (
                    "out_of_scope"
                    if value >= limits.out_of_scope
                    else "borderline"
                    if value >= limits.borderline
                    else "in_scope"
                )
            top = max((value for value in risk if value is not None), default=0.0)
            line = {
                "session_id": session["session_id"],
                "risk": top,
                "verdicts": verdicts,
                "event_risk": risk,
            }
            out.write(json.dumps(line) + "\n")


def evaluate(script: Path, data: Sequence[Path], predicted: Path, group: str, boot: int) -> dict[str, Any]:
    """Run the evaluation script on a predictions file and return what it found."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable,
            str(script),
            "--sessions",
            *map(str, data),
            "--predictions",
            str(predicted),
        ]
        command += ["--group", group, "--boot", str(boot), "--json", str(report)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=1_200)
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def renamed(session: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The session with every address, account, link, compound name and number replaced, the same way throughout.

    Letters stay letters and digits digits, so that a value keeps its kind and loses its identity.
    """
    source = random.Random(seed)  # noqa: S311 - a renaming, not a secret
    known: dict[str, str] = {}

    def other(match: re.Match[str]) -> str:
        word = match.group(0)
        key = word.lower()
        if key not in known:
            known[key] = "".join(_like(character, source) for character in key)
        made = known[key]
        return made.upper() if word.isupper() else made

    def walk(value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, str):
            return _IDENTITY.sub(other, value)
        if isinstance(value, list):
            return [walk(one) for one in value]
        if isinstance(value, dict):
            return {key: walk(one) for key, one in value.items()}
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = _IDENTITY.sub(other, f"{value:g}")
            return json.loads(text) if re.fullmatch(r"(0|[1-9]\d*)(\.\d+)?", text) else text
        return value

    changed = dict(session)
    changed["declared_intent"] = walk(session.get("declared_intent"))
    changed["events"] = [
        {**event, "text": walk(event.get("text")), "arguments": walk(event.get("arguments"))}
        for event in session["events"]
    ]
    return changed


_IDENTITY = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:https?://|www\.)[\w./%-]+\w|\b(?=\w*\d)(?=\w*[A-Za-z])\w{4,}\b|\b\d+(?:\.\d+)?\b"
)


def _like(character: str, source: random.Random) -> str:
    if character.isdigit():
        return source.choice("123456789")
    return source.choice(string.ascii_lowercase) if character.isalpha() else character


def figures(found: Mapping[str, Any], slices: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of the table: one for all sessions, one for each slice."""
    listed = [("all", found["overall"])]
    for name in slices:
        listed += [(key, value) for key, value in sorted(found[name].items())]
    return [
        {
            "slice": key,
            "sessions": value["sessions"],
            "malicious": value["malicious"],
            "auc": value.get("auc"),
            "tpr_at_1pct_fpr": value.get("tpr_at_1pct_fpr"),
            "false_no_attack": value.get("false_block_rate_no_attack"),
            "false_resisted": value.get("false_block_rate_attack_resisted"),
            "in_time": value.get("flagged_at_or_before_first_bad_event"),
            "event_auc": value.get("event_auc"),
        }
        for key, value in listed
    ]


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """The figures as a Markdown table."""
    head = (
        "| slice | sessions | malicious | AUC | TPR at 1 % FPR | false, no attack | false, resisted | flagged in time"
        " | AUC of actions |\n|---|---|---|---|---|---|---|---|---|\n"
    )
    keys = ("auc", "tpr_at_1pct_fpr", "false_no_attack", "false_resisted", "in_time", "event_auc")
    return head + "".join(
        f"| {row['slice']} | {row['sessions']} | {row['malicious']} | "
        + " | ".join("–" if row[key] is None else f"{row[key]:.4f}" for key in keys)
        + " |\n"
        for row in rows
    )


def without(rows: Rows, names: Sequence[str]) -> Rows:
    """The rows with some features switched off."""
    mask = np.array([name not in names for name in NAMES], dtype=np.float64)
    return replace(rows, features=rows.features * mask)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with dev-*.jsonl.gz")
    parser.add_argument("--evaluate", type=Path, required=True, help="the evaluation script")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument(
        "--boot", type=int, default=0, help="bootstrap draws of the evaluation (0: no intervals)"
    )
    parser.add_argument("--no-ablation", action="store_true")
    options = parser.parse_args()
    data = sorted(options.data.glob("dev-*.jsonl.gz"))
    taxonomy = load_taxonomy()
    families = fit_families()
    sessions = [session for path in data for session in read_sessions(path)]
    rows = measure_sessions(sessions, families, taxonomy=taxonomy)
    result: dict[str, Any] = {"sessions": len(rows.sessions), "seed": SEED, "splits": {}}
    text = [INTRODUCTION]
    with tempfile.TemporaryDirectory() as folder:
        predicted = Path(folder) / "predictions.jsonl"
        for split in splits(rows):
            drift, thresholds = held_out(rows, split.part_of)
            predictions(rows, drift, thresholds, predicted)
            found = evaluate(
                options.evaluate,
                data,
                predicted,
                "source,source+suite,source+attack_family,goal_category",
                options.boot,
            )
            listed = figures(found, ("source", "source+suite", "source+attack_family", "goal_category"))
            result["splits"][split.name] = listed
            text.append(f"\n## {split.name.capitalize()}\n\n{table(listed)}")
            print(split.name, "done", file=sys.stderr)
        if not options.no_ablation:
            result["ablation"] = ablation(rows, options.evaluate, data, predicted)
            text.append(ABLATION + table(result["ablation"]))
    result["renamed"] = renaming(sessions, rows, families, taxonomy)
    text.append(RENAMED.format(**result["renamed"]))
    text.append(
        WEIGHTS + "".join(f"| {n} | {w:.3f} |\n" for n, w in zip(NAMES, load_model().weights, strict=True))
    )
    (options.out / "detection.json").write_text(
        json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    (options.out / "detection.md").write_text("".join(text), encoding="utf-8")


def ablation(rows: Rows, script: Path, data: Sequence[Path], predicted: Path) -> list[dict[str, Any]]:
    """Corpus out, with one group of signals switched off at a time."""
    listed = []
    for name, members in SIGNALS.items():
        reduced = without(rows, members)
        drift, thresholds = held_out(reduced, lambda one: str(one["source"]))
        predictions(reduced, drift, thresholds, predicted)
        found = evaluate(script, data, predicted, "source", 0)
        listed += [
            {**row, "slice": f"without {name}: {row['slice']}"}
            for row in figures(found, ("source",))
            if row["slice"] in {"agentdojo", "craibench"}
        ]
    return listed


def renaming(
    sessions: Sequence[Mapping[str, Any]], rows: Rows, families: FamilyModel, taxonomy: Taxonomy
) -> dict[str, Any]:
    """AUC on a sample before and after every name and number was replaced, with fits that saw neither corpus part."""
    chosen = sorted(random.Random(SEED).sample(range(len(sessions)), min(RENAMED_SESSIONS, len(sessions))))  # noqa: S311
    keep = np.zeros(len(sessions), dtype=bool)
    keep[chosen] = True
    train = subset(rows, ~keep)
    beta = fit_weights(train.features, train.labels, row_weights(train, range(len(train.sessions))))
    plain = subset(rows, keep)
    other = measure_sessions(
        [renamed(sessions[index], index) for index in chosen], families, taxonomy=taxonomy
    )
    return {
        "sessions": len(chosen),
        "auc_before": session_auc(plain, scores(plain, beta)),
        "auc_after": session_auc(other, scores(other, beta)),
    }


def session_auc(rows: Rows, drift: Floats) -> float:
    """AUC of the largest drift of each session, ties one half, unfinished attacks left out."""
    risk = np.zeros(len(rows.sessions))
    np.maximum.at(risk, rows.session, drift)
    labels = [session["label"] for session in rows.sessions]
    bad = np.array([value for value, label in zip(risk, labels, strict=True) if label["malicious"]])
    good = np.array(
        [
            value
            for value, label in zip(risk, labels, strict=True)
            if not label["malicious"] and not label["partial_attack"]
        ]
    )
    above = (bad[:, None] > good[None, :]).mean() + 0.5 * (bad[:, None] == good[None, :]).mean()
    return float(above)


INTRODUCTION = """# Detection of intent drift: measurements

Made by `docs/measurements/detection.py`. Every figure is of sessions that the fit, and the choice of thresholds, did
not see. One set of thresholds serves all sources. *False* is the share of sessions with an `out_of_scope` verdict:
without an attack, and with an attack that the agent resisted. *Flagged in time* is the share of malicious sessions with
such a verdict at or before the first bad call. Unfinished attacks are left out.

What these figures do not say: the signals, the vocabulary and the prior weights were designed while looking at errors
on these same corpora, so "corpus out" is a fit that has not seen the corpus, not a design that has not. Expect less on
traffic that is new in kind.
"""
ABLATION = """
## Ablation (corpus out)

"""
RENAMED = """
## Renaming

Every address, account, link, compound name and number replaced by a random one of its kind, the same way throughout a
session ({sessions} sessions that the fit had not seen): AUC {auc_before:.4f} before, {auc_after:.4f} after.
"""
WEIGHTS = """
## Weights of the shipped model (log-odds)

| signal | weight |
|---|---|
"""

if __name__ == "__main__":
    main()
