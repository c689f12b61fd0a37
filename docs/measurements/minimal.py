"""Measure minimal sub-paths on recorded sessions; write `minimal.md`.

    python docs/measurements/minimal.py --data DIR [--out DIR]

Half a minute. Ordinary sessions are those without a planted attack. Three quarters of them say what is rare; on the
others it is counted how often the minimal paths complete, so that one that only fits what it was made of shows. A
minimal path is made of each malicious session, at its first action that is judged out of scope.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import Any

from ioint_node.privacy.minimal import minimal_path
from ioint_node.reputation.gate import upper_bound
from ioint_node.reputation.novel import too_broad
from ioint_node.scoring import SessionTracker, load_model
from ioint_node.scoring.predict import events_of, read_sessions
from ioint_node.scoring.values import Declaration, Verdict
from ioint_protocol import pattern as language
from ioint_protocol import pattern_id
from ioint_taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
NOTHING = language.Matcher({}, TAXONOMY)


@dataclass(kw_only=True)
class Found:
    """What became of the malicious sessions of one source."""

    sessions: int = 0
    judged: int = 0
    lengths: Counter[int] = field(default_factory=Counter)
    paths: dict[str, language.Pattern] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


def followed(session: Mapping[str, Any]) -> tuple[language.Path, int | None]:
    """A session as an abstract path, and its first step that was judged out of scope."""
    tracker = SessionTracker(
        Declaration(text=str(session.get("declared_intent") or "")),
        model=load_model(),
        matcher=NOTHING,
        taxonomy=TAXONOMY,
        catalogue={},
    )
    seen: list[language.Seen] = []
    at: int | None = None
    for event in events_of(session):
        judgement = tracker.observe(event)
        if judgement is None:
            continue
        if at is None and judgement.verdict is Verdict.OUT_OF_SCOPE:
            at = len(seen)
        outside = bool(judgement.departures) or judgement.verdict is not Verdict.IN_SCOPE
        seen.append(language.Seen(step=judgement.step, outside=outside))
    return language.Path(steps=tuple(seen), families=(tracker.family,)), at


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with dev-*.jsonl.gz")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    benign: list[language.Path] = []
    malicious: dict[str, list[tuple[language.Path, int | None]]] = defaultdict(list)
    for file in sorted(options.data.glob("dev-*.jsonl.gz")):
        for session in read_sessions(file):
            if session["label"]["malicious"]:
                malicious[session["source"]].append(followed(session))
            elif not session["label"]["attack_present"]:
                benign.append(followed(session)[0])
    made_of = language.Paths((one for index, one in enumerate(benign) if index % 4), TAXONOMY)
    held_out = benign[::4]
    found = {name: measured(sessions, made_of) for name, sessions in sorted(malicious.items())}
    (options.out / "minimal.md").write_text(page(found, made_of, held_out), encoding="utf-8")


def measured(sessions: list[tuple[language.Path, int | None]], ordinary: language.Paths) -> Found:
    """Make the minimal path of each session."""
    found = Found(sessions=len(sessions))
    for path, at in sessions:
        if at is None:
            continue
        found.judged += 1
        begun = process_time()
        minimal = minimal_path(
            path.steps, at, taxonomy=TAXONOMY, ordinary=ordinary, broad=lambda one: too_broad(one, TAXONOMY)
        )
        found.seconds.append(process_time() - begun)
        if minimal is not None:
            found.lengths[len(minimal.steps)] += 1
            found.paths[pattern_id(minimal)] = minimal
    return found


def page(found: Mapping[str, Found], made_of: language.Paths, held_out: list[language.Path]) -> str:
    """What was found, as a page."""
    every = {name: path for one in found.values() for name, path in one.paths.items()}
    held = language.Paths(held_out, TAXONOMY)
    matches = [held.rate(path).matches for path in every.values()]
    most = max(matches, default=0)
    matcher = language.Matcher(every, TAXONOMY)
    seconds = sorted(second for one in found.values() for second in one.seconds)
    return HEAD.format(made_of=made_of.sessions, held_out=len(held_out)) + "".join(
        [_row(name, one) for name, one in found.items()]
        + [
            TAIL.format(
                paths=len(every),
                quiet=matches.count(0),
                most=most,
                bound=upper_bound(most, len(held_out)),
                any_of=sum(language.completes(path, matcher) for path in held_out),
                median=seconds[len(seconds) // 2] * 1e3,
                longest=seconds[-1] * 1e3,
            )
        ]
    )


def _row(name: str, one: Found) -> str:
    steps = ", ".join(str(one.lengths[length]) for length in (1, 2))
    more = sum(count for length, count in one.lengths.items() if length > 2)
    return f"| {name} | {one.sessions} | {one.judged} | {one.lengths.total()} | {steps}, {more} | {len(one.paths)} |\n"


HEAD = """# Minimal sub-paths on recorded sessions

Made by `docs/measurements/minimal.py`. They are made of the malicious sessions, each at its first action that is judged
out of scope, with {made_of} ordinary sessions for what is rare; {held_out} others are held back.

| sessions of | malicious | with such an action | with a minimal path | of 1, 2, more steps | different paths |
|---|---|---|---|---|---|
"""
TAIL = """
Of {paths} different paths {quiet} complete in no session that was held back; the commonest completes in {most} (upper
95 % bound of its rate {bound:.4f}: there are too few sessions to show less). {any_of} of these sessions complete any of
them. To make one takes {median:.1f} ms of CPU time at the median, {longest:.1f} ms at most.
"""


if __name__ == "__main__":
    main()
