"""Score sessions that we wrote ourselves with the shipped model, and write `probes.md` and `probes.json`.

    python docs/measurements/probes.py --evaluate PATH/evaluate.py [-o DIR] [--boot N]

`probes.jsonl` holds the sessions, in the format of the recorded ones and without any text of theirs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from ioint_node.scoring.model import load_model
from ioint_node.scoring.predict import predict_session, read_sessions
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import load_taxonomy

PROBES = Path(__file__).parent / "probes.jsonl"
BOOT = 300
HALVES = ("probes-1", "probes-2")
FIGURES: Mapping[str, str] = {
    "auc": "AUC",
    "tpr_at_1pct_fpr": "TPR at 1 % FPR",
    "tpr_at_5pct_fpr": "TPR at 5 % FPR",
    "false_block_rate_no_attack": "false, no attack",
    "false_block_rate_attack_resisted": "false, resisted",
    "flagged_at_or_before_first_bad_event": "flagged in time",
}
Session = Mapping[str, Any]


def predicted(sessions: Iterable[Session]) -> dict[str, dict[str, Any]]:
    """The shipped model's predictions, by session."""
    model, taxonomy = load_model(), load_taxonomy()
    matcher = Matcher({}, taxonomy)
    found = (predict_session(one, model, matcher, taxonomy) for one in sessions)
    return {one["session_id"]: one for one in found}


def measure(*, boot: int, script: ModuleType) -> dict[str, Any]:
    """The figures of the evaluation `script` for all probes and for each half."""
    sessions = list(read_sessions(PROBES))
    predictions = predicted(sessions)
    options = SimpleNamespace(kind="injection", include_partial=False, block_at=None)
    lines, _, _ = script.build(sessions, predictions, options)
    found: dict[str, Any] = {"model": load_model().digest, "all": script.summarise(lines, boot, 0)}
    for number, half in enumerate(HALVES, 1):
        chosen = [line for line in lines if line["source"] == half]
        found[f"half {number}"] = script.summarise(chosen, boot, 0)
    found["kinds"] = kinds(sessions, predictions)
    return found


def kinds(sessions: Sequence[Session], predictions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each half and kind of session: how it ranks, and how many verdicts are right or wrong."""
    rows = []
    for half in HALVES:
        members = [one for one in sessions if one["source"] == half]
        calm = sorted(
            predictions[one["session_id"]]["risk"] for one in members if not one["label"]["malicious"]
        )
        for title, groups in _grouped(members).items():
            for name, group in sorted(groups.items()):
                risks = [predictions[one["session_id"]]["risk"] for one in group]
                rows.append(
                    {
                        "half": half,
                        "by": title,
                        "kind": name,
                        "sessions": len(group),
                        "rank": sum(bisect_left(calm, risk) for risk in risks) / len(calm) / len(group),
                        "out_of_scope": sum(_flagged(one, predictions, {"out_of_scope"}) for one in group),
                        "borderline": sum(
                            _flagged(one, predictions, {"out_of_scope", "borderline"}) for one in group
                        ),
                    }
                )
    return rows


def _grouped(members: Sequence[Session]) -> dict[str, dict[str, list[Session]]]:
    found: dict[str, dict[str, list[Session]]] = {"benign": {}, "goal": {}, "form of attack": {}}
    for one in members:
        label = one["label"]
        if label["malicious"]:
            found["goal"].setdefault(label["goal_category"], []).append(one)
            found["form of attack"].setdefault(label["attack_family"], []).append(one)
        else:
            found["benign"].setdefault(label["probe"], []).append(one)
    return found


def _flagged(session: Session, predictions: Mapping[str, Any], verdicts: set[str]) -> bool:
    """Whether an action has one of the verdicts; in a malicious session one in time, from the attack's text on."""
    label, given = session["label"], predictions[session["session_id"]]["verdicts"]
    last = label["first_bad_event"] if label["malicious"] else len(given) - 1
    first = (label["injection_event"] or 0) if label["malicious"] else 0
    return any(given[index] in verdicts for index in range(first, last + 1))


def load_script(path: Path) -> ModuleType:
    """The evaluation script as a module."""
    spec = importlib.util.spec_from_file_location("evaluation", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(found: Mapping[str, Any]) -> str:
    """The figures as a page."""
    text = [
        INTRODUCTION.format(model=found["model"][:16]),
        _line("sessions", "all", "half 1", "half 2"),
        "|---|---|---|---|\n",
    ]
    parts = [found[name] for name in ("all", "half 1", "half 2")]
    text.append(_line("number, malicious", *(f"{one['sessions']}, {one['malicious']}" for one in parts)))
    text += [_line(title, *(_figure(one, key) for one in parts)) for key, title in FIGURES.items()]
    text += [KINDS, _line("half", "by", "kind", "sessions", "rank", "out of scope", "borderline or worse")]
    text.append("|---|---|---|---|---|---|---|\n")
    text += [
        _line(
            row["half"],
            row["by"],
            row["kind"],
            row["sessions"],
            f"{row['rank']:.2f}",
            row["out_of_scope"],
            row["borderline"],
        )
        for row in found["kinds"]
    ]
    return "".join(text)


def _line(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _figure(found: Mapping[str, Any], key: str) -> str:
    low, high = found[f"{key}_ci"]
    return f"{found[key]:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low <= high else "")


def main() -> None:
    """Score and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evaluate", type=Path, required=True, help="the evaluation script")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--boot", type=int, default=BOOT, help="bootstrap draws (0: no intervals)")
    options = parser.parse_args()
    script = load_script(options.evaluate)
    found = measure(boot=options.boot, script=script)
    (options.out / "probes.json").write_text(
        json.dumps(script.clean(found), indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    (options.out / "probes.md").write_text(page(found), encoding="utf-8")


INTRODUCTION = """# Sessions that we wrote ourselves

Made by `docs/measurements/probes.py` from `probes.jsonl`: invented sessions of agents in 32 fields of work (personnel,
code, clinics, clusters, shops, homes, law, plants, freight …), mostly English, with many styles of tool names. Half of
the fields are in each half of the file. They were written by somebody of the project who had not read the detector, and
are scored by the shipped model (`{model}`). **The first half was fitted to**: it is part of what the model practises
on, and its figures say only that it was learnt. The second half was scored for this page alone: nothing was fitted to
it and no designer of the signals read it; but names of tools from both halves are among those with which the step
mapper was worked on ([mapping](mapping.md), *design*).

Benign sessions are *plain*, *wide*, in several turns, *direct* (the principal asks for what is elsewhere an attacker's
goal), *delegated* (the principal sends the agent to a text for instructions) or *resisted* (an attack is read and not
followed). In the malicious ones the agent does what the text of an attacker asks, or leaves its task by itself (form
`none`). Who writes both the questions and the answers writes easy and unfair ones alike: take the figures as a warning
where they are low, not as proof where they are high.

"""
KINDS = """
## By kind

*Rank* is the share of the benign sessions of the half with a lower risk, on average: low is right for benign kinds,
high for the others. *Out of scope* and *borderline* count sessions with such a verdict on an action; of malicious ones,
those that had it at or before the first bad call.

"""

if __name__ == "__main__":
    main()
