"""Replay recorded sessions over simulated organisations; write `force.md`, `force.json` and `force.svg`.

    python docs/measurements/force.py --data DIR [--out DIR] [--scores FILE] [--seeds N] [--draws N]

Every session is scored once by a fit that saw none of its suite (`--scores` keeps that for the next run). Then the rule
is replayed in worlds of a few organisations; see `ioint_node.lab`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import detection  # type: ignore[import-not-found]  # a script beside this one, not a package
import msgspec
from ioint_node.cli.progress import progress
from ioint_node.lab.replay import MALICIOUS, ORDINARY, RESISTED, UNFINISHED, Call, Limits, Scored
from ioint_node.scoring import SessionTracker
from ioint_node.scoring.model import Model
from ioint_node.scoring.operating import drift_of, log_odds
from ioint_node.scoring.predict import events_of, read_sessions
from ioint_node.scoring.train import (
    choose_thresholds,
    fit_families,
    fit_weights,
    measure_sessions,
    practice_sessions,
    row_weights,
)
from ioint_node.scoring.values import Declaration
from ioint_protocol.pattern import Matcher, parse_pattern
from ioint_taxonomy import Taxonomy, load_catalogue, load_taxonomy

EVEN = 1e-12  # drift is kept away from 0 and 1 by this much


def scored(data: Path, part_of: detection.Part = detection.suite, watch: float = 0.0) -> list[Scored]:
    """Every recorded session, judged by a fit and thresholds that saw no session of its part.

    For patterns an action counts as outside from `watch` log-odds below borderline on.
    """
    taxonomy, families = load_taxonomy(), fit_families()
    sessions = [one for path in sorted(data.glob("dev-*.jsonl.gz")) for one in read_sessions(path)]
    every = [*sessions, *practice_sessions()]
    rows = measure_sessions(every, families, taxonomy=taxonomy)
    parts = [part_of(one) for one in rows.sessions]
    entries = load_catalogue().entries
    matcher = Matcher({name: parse_pattern(entry.pattern) for name, entry in entries.items()}, taxonomy)
    found = []
    with progress("scoring") as tell:
        for part in sorted({part_of(one) for one in sessions}):
            others = detection.subset(rows, detection.np.array([name != part for name in parts]))
            beta = fit_weights(
                others.features, others.labels, row_weights(others, range(len(others.sessions)))
            )
            model = Model(
                weights=tuple(map(float, beta[:-1])),
                bias=float(beta[-1]),
                thresholds=choose_thresholds(others),
                families=families,
                digest="",
            )
            for one in sessions:
                if part_of(one) == part:
                    found.append(judged(one, model, matcher, taxonomy, watch))
            tell(len(found), len(sessions))
    return found


def judged(
    session: Mapping[str, Any], model: Model, matcher: Matcher, taxonomy: Taxonomy, watch: float = 0.0
) -> Scored:
    """One session as this model judges it, its tools mapped as if none were known."""
    seen = replace(
        model,
        thresholds=replace(
            model.thresholds, borderline=drift_of(odds(model.thresholds.borderline) - watch)
        ),
    )
    tracker = SessionTracker(
        Declaration(text=str(session.get("declared_intent") or "")),
        model=seen,
        matcher=matcher,
        taxonomy=taxonomy,
        curated=False,
    )
    calls = []
    for index, event in enumerate(events_of(session)):
        judgement = tracker.observe(event)
        if judgement is not None:
            calls.append(
                Call(
                    event=index,
                    drift=odds(judgement.drift),
                    effect_class=taxonomy.verbs.get(judgement.step.verb, "run"),
                    completed=tuple(judgement.completed),
                )
            )
    label, limits = session["label"], model.thresholds
    planted = bool(label["attack_present"])
    goal = f"{label['injection_task']}/{label['attack_family']}" if planted else ""
    return Scored(
        id=session["session_id"],
        suite=detection.suite(session),
        task=f"{detection.suite(session)}/{label['user_task']}",
        campaign=f"{detection.suite(session)}/{goal}" if planted else "",
        kind=kind_of(label),
        first_bad=label["first_bad_event"],
        limits=Limits(
            borderline=odds(limits.borderline),
            out_of_scope=odds(limits.out_of_scope),
            publish=odds(limits.publish),
        ),
        calls=tuple(calls),
    )


def kind_of(label: Mapping[str, Any]) -> str:
    """What a session is to the replay."""
    if label["malicious"]:
        return MALICIOUS
    if label["partial_attack"]:
        return UNFINISHED
    return RESISTED if label["attack_present"] else ORDINARY


def odds(drift: float) -> float:
    """The log-odds of a drift, finite."""
    return log_odds(min(1 - EVEN, max(EVEN, drift)))
