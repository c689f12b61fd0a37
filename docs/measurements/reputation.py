"""Run `ioint simulate` and write what it says to `reputation.json`, `reputation.md` and plots.

    python docs/measurements/reputation.py [--short] [--rows FILE] [--out DIR]

Some minutes. `--rows` takes the document of a run that is there. Plots need matplotlib (`pip install 'ioint[lab]'`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ioint_node.lab.plots import plot
from ioint_node.lab.rules import CANDIDATES, RIVALS, SHIPPED

Row = dict[str, Any]


def run(*options: str) -> dict[str, Any]:
    """The document of one run."""
    command = [sys.executable, "-m", "ioint_node", "simulate", "-o", "json", *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)
    return found


INTRO = """# What the reputation rule does under attack

Made by `docs/measurements/reputation.py`, which runs `ioint simulate`: the rule as a node runs it, in worlds drawn
from seeds ([the lab](../lab.md) says what is in them, and what is not). All rules of a table met the same worlds, but
for seeds: worlds of one row are few (column *seeds*), so read differences between rules, not digits.

*IOINT* is the shipped rule. *TIER* is what it was made from: nobody seconds, nothing that a viewer saw itself
corroborates, a consensus passes no gate. *Careless* seconding confirms what is ordinary at the member too. The others
get a threshold at which 1 % of the benign is flagged without an attack, on other seeds, and an effect of .30 above it.

## Patterns

*Lift*: of the sessions of a campaign that come later at members that had reported nothing of the kind, the share at
which the effect was in force before. *Friction*: benign actions that complete a pattern with an effect, per 1,000
benign actions. *Slander*: the same for what liars accuse and no campaign uses; *worst* is one member's. *Under*: the
share of all benign actions under any effect, the rest of a session included.

The attack: liars of full tenure accuse every week what costs most and just passes the gate, together and each alone,
and speak for every campaign's patterns.

![Effect on later victims](reputation-levels.svg)
"""
OTHER_ATTACKS = """
## Other attacks, 30 organisations

*Sybil*: members in addition, through three sponsors, from the world's first day. *Eclipse*: the measured members hear
every liar and three tenths of the honest. *Viewer*: liars know the history of the one member that is measured.
"""
OTHER_RULES = """
## Beside other rules

The others act without a gate, and the 1 % that they flag are often the patterns that are used most.

![Warned in time, and what it costs](reputation-lift.svg)
"""
SUBJECTS = """
## Public subjects

100 organisations, 200 subjects, twelve weeks. *Slander*: of the attacked clean subjects, the share with an effect of at
least .05, .10, .30. *Still seen*: of the risky subjects that liars speak for, those with any effect left. Precaution,
which is a viewer's own, is not counted: the rule that is measured is the network part, the same in IOINT and TIER.
"""
FLIPS = """
## Fewest colluders that flip one subject

With full tenure, saying the most they can; clean honest users lend their benign voice.

![Fewest colluders](reputation-colluders.svg)
"""
BOUNDS = """
## Bounds
"""


def page(found: dict[str, Any]) -> str:
    """The document as a page."""
    table = found["table"]
    bounds = [
        f"| {b['name']} | {_SIDES[b['side']]} {b['limit']:g} | {b['value']:g} |" for b in found["bounds"]
    ]
    return "\n".join(
        [
            INTRO,
            *_patterns(table, lambda r: _joint(r) and r["rule"] in CANDIDATES),
            OTHER_ATTACKS,
            *_patterns(table, lambda r: not _joint(r) and r["rule"] == SHIPPED.name),
            OTHER_RULES,
            *_patterns(table, lambda r: _joint(r) and (r["rule"] in RIVALS or r["rule"] == SHIPPED.name)),
            SUBJECTS,
            *_subjects(table),
            FLIPS,
            *_flips(table),
            BOUNDS,
            "| bound | limit | value |",
            "|---|---|---|",
            *bounds,
            "",
        ]
    )


_SIDES = {"most": "≤", "least": "≥"}


def _joint(row: Row) -> bool:
    return row["attack"] in {"none", "joint"}


def _patterns(table: Sequence[Row], wanted: Callable[[Row], bool]) -> list[str]:
    found = [r for r in table if r["part"] == "patterns" and wanted(r)]
    found.sort(key=lambda r: (r["orgs"], r["hostile"]))
    return [
        "| orgs, hostile | rule | seeds | lift ≥ .05 / ≥ .10 / .30, % | friction .05 / .10 / .30 |"
        " slander .05 / .10 / .30 | worst | under, % |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {r['orgs']}, {r['hostile']}{_attack(r)} | {r['rule']} | {r['seeds']} | {_percent(r['lift'])} |"
            f" {_rates(r['friction'])} | {_rates(r['slandered'])} | {r['worst']:.2f} | {100 * r['under']:.2f} |"
            for r in found
        ),
    ]


def _attack(row: Row) -> str:
    return "" if _joint(row) else f" {row['attack']}"


def _subjects(table: Sequence[Row]) -> list[str]:
    found = [r for r in table if r["part"] == "subjects"]
    return [
        "| attack, hostile % | rule | TPR / FPR, % | effect | slander ≥ .05 / ≥ .10 / .30, % | still seen, % | weeks |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {r['attack']}, {r['hostile']} | {r['rule']} | {_percent([r['tpr'], r['fpr']])} | {r['effect']:.2f} |"
            f" {_percent(r['slander'])} | {_percent(None if r['seen'] is None else [r['seen']])} | {r['weeks']:.1f} |"
            for r in found
        ),
    ]


def _flips(table: Sequence[Row]) -> list[str]:
    found = [r for r in table if r["part"] == "flip"]
    return [
        "| orgs, honest users | rule | ≥ .05 | ≥ .10 | .30 | to hide a risky one |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r['orgs']}, {r['users']} | {r['rule']} | {' | '.join(_count(n) for n in r['slander'])} |"
            f" {'not seen anyway' if r['hide'] == 0 else _count(r['hide'])} |"
            for r in found
        ),
    ]


def _count(needed: float | None) -> str:
    return "never" if needed is None else f"{needed:.0f}"


def _percent(shares: Sequence[float] | None) -> str:
    return "" if shares is None else " / ".join(f"{100 * share:.0f}" for share in shares)


def _rates(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.3f}" for value in values)


def main() -> None:
    """Run, and write the pages."""
    parser = argparse.ArgumentParser(description="Measure the reputation rule under attack.")
    parser.add_argument("--short", action="store_true", help="the release gate alone")
    parser.add_argument("--rows", type=Path, help="the document of a run that is there")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where the pages go")
    options = parser.parse_args()
    short = ["--short"] if options.short else []
    found = json.loads(options.rows.read_text("utf-8")) if options.rows else run(*short)
    (options.out / "reputation.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    (options.out / "reputation.md").write_text(page(found), "utf-8")
    plot(found["table"], options.out)


if __name__ == "__main__":
    main()
