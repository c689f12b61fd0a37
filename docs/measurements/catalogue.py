"""Measure every catalogue entry on recorded sessions; write its base rates and `catalogue.md`.

    python docs/measurements/catalogue.py --data DIR [--out DIR] [--rates FILE]

A benign session is one without a planted attack. The base rate of an entry is how many of these complete it. Coverage
is the share of malicious sessions in which an entry completes, at any action.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ioint_taxonomy
from ioint_node.scoring import SessionTracker, load_model
from ioint_node.scoring.predict import events_of, read_sessions
from ioint_node.scoring.values import Declaration
from ioint_protocol.pattern import Matcher, parse_pattern
from ioint_taxonomy import load_catalogue, load_taxonomy

RATES = Path(ioint_taxonomy.__file__).parent / "data" / "base_rates.json"


def completed(session: Mapping[str, Any], matcher: Matcher) -> frozenset[str]:
    """The patterns that a session completes."""
    tracker = SessionTracker(
        Declaration(text=str(session.get("declared_intent") or "")),
        model=load_model(),
        matcher=matcher,
        taxonomy=load_taxonomy(),
    )
    judged = [tracker.observe(event) for event in events_of(session)]
    return frozenset(one for judgement in judged if judgement is not None for one in judgement.completed)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with dev-*.jsonl.gz")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--rates", type=Path, default=RATES)
    options = parser.parse_args()
    entries = load_catalogue().entries
    matcher = Matcher({one: parse_pattern(entry.pattern) for one, entry in entries.items()}, load_taxonomy())
    benign: Counter[str] = Counter()
    calm = 0
    resisted: list[frozenset[str]] = []
    malicious: dict[str, list[frozenset[str]]] = defaultdict(list)
    for path in sorted(options.data.glob("dev-*.jsonl.gz")):
        for session in read_sessions(path):
            label = session["label"]
            found = completed(session, matcher)
            if label["malicious"]:
                malicious[session["source"]].append(found)
                malicious[f"{session['source']}/{session['suite']}"].append(found)
            elif not label["attack_present"]:
                calm += 1
                benign.update(found)
            elif not label["partial_attack"]:
                resisted.append(found)
    rates = {one: [benign[one], calm] for one in sorted(entries)}
    options.rates.write_text(json.dumps(rates, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    quiet = frozenset(one for one in entries if not benign[one])
    lines = [INTRODUCTION.format(entries=len(entries), calm=calm, quiet=len(quiet)), COVERAGE]
    for name, found_in in sorted(malicious.items()):
        some = sum(bool(found) for found in found_in) / len(found_in)
        silent = sum(bool(found & quiet) for found in found_in) / len(found_in)
        lines.append(f"| {name} | {len(found_in)} | {some:.3f} | {silent:.3f} |\n")
    of_resisted = sum(bool(found & quiet) for found in resisted) / max(1, len(resisted))
    lines.append(RESISTED.format(sessions=len(resisted), share=of_resisted))
    hits = Counter(
        one for name, listed in malicious.items() if "/" not in name for found in listed for one in found
    )
    lines.append(ENTRIES)
    ranked = sorted(entries, key=lambda one: (-hits[one], entries[one].slug))
    lines.extend(f"| {entries[one].slug} | {benign[one]} | {hits[one]} |\n" for one in ranked)
    (options.out / "catalogue.md").write_text("".join(lines), encoding="utf-8")


INTRODUCTION = """# The catalogue on recorded sessions

Made by `docs/measurements/catalogue.py`. {entries} entries, {calm} sessions without a planted attack; {quiet} entries
complete in none of these.
"""
COVERAGE = """
## Malicious sessions in which an entry completes

| sessions of | malicious | any entry | any entry that no benign session completed |
|---|---|---|---|
"""
RESISTED = """
Of {sessions} sessions whose agent resisted a planted attack, {share:.3f} complete an entry that no benign session
completed.
"""
ENTRIES = """
## Entries

| entry | benign sessions | malicious sessions |
|---|---|---|
"""

if __name__ == "__main__":
    main()
