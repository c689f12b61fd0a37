"""Replay recorded sessions over simulated organisations; write `force.md`, `force.json` and `force.svg`.

    python docs/measurements/force.py --data DIR [--out DIR] [--scores FILE] [--seeds N] [--draws N] [--short]

Every session is scored once by a fit that saw none of its suite (`--scores` keeps that for the next run). Then the rule
is lived through in worlds of a few organisations; see `ioint_node.lab`. About a quarter of an hour on one core;
`--short` looks at the largest worlds without liars and with most of them only.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import detection  # type: ignore[import-not-found]  # a script beside this one, not a package
import msgspec
from ioint_node.cli.progress import progress
from ioint_node.lab.force import TIER, Outcome, Variant, live
from ioint_node.lab.force_figures import (
    NEW_WORK,
    Answer,
    Table,
    asked,
    checked,
    firmly_tipped,
    reading,
    tipped,
    waits,
    warnings,
)
from ioint_node.lab.organisations import Plan, make_world
from ioint_node.lab.replay import MALICIOUS, ORDINARY, RESISTED, UNFINISHED, Call, Limits, Scored
from ioint_node.scoring import SessionTracker
from ioint_node.scoring.model import Model
from ioint_node.scoring.operating import log_odds
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

SECONDING = Variant(seconding=True)
VARIANTS: Mapping[str, Variant] = {
    "TIER": TIER,
    "seconding": SECONDING,
    "seconding, consensus gated at 1/1,000": Variant(seconding=True, consensus_rate=1 / 1000),
    "seconding, consensus gated at 1/100": Variant(seconding=True, consensus_rate=1 / 100),
    "the same and own evidence": Variant(seconding=True, consensus_rate=1 / 100, own_evidence=True),
}
CANDIDATE = "seconding, consensus gated at 1/100"
HOSTILE = (0.0, 0.1, 0.2, 0.33)
CORPORA = ("agentdojo", "craibench")
READINGS: Mapping[str, tuple[str, Answer]] = {
    "checked": ("margin", checked),
    "asked": ("stop", asked),
    "tipped": ("stop", tipped),
    "tipped at .10": ("stop", firmly_tipped),
}
EVEN = 1e-12  # drift is kept away from 0 and 1 by this much


def scored(data: Path) -> list[Scored]:
    """Every recorded session, judged by a fit and thresholds that saw no session of its suite."""
    taxonomy, families = load_taxonomy(), fit_families()
    sessions = [one for path in sorted(data.glob("dev-*.jsonl.gz")) for one in read_sessions(path)]
    every = [*sessions, *practice_sessions()]
    rows = measure_sessions(every, families, taxonomy=taxonomy)
    parts = [detection.suite(one) for one in rows.sessions]
    entries = load_catalogue().entries
    matcher = Matcher({name: parse_pattern(entry.pattern) for name, entry in entries.items()}, taxonomy)
    found = []
    with progress("scoring") as tell:
        for part in sorted({detection.suite(one) for one in sessions}):
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
                if detection.suite(one) == part:
                    found.append(judged(one, model, matcher, taxonomy))
            tell(len(found), len(sessions))
    return found


def judged(session: Mapping[str, Any], model: Model, matcher: Matcher, taxonomy: Taxonomy) -> Scored:
    """One session as this model judges it, its tools mapped as if none were known."""
    tracker = SessionTracker(
        Declaration(text=str(session.get("declared_intent") or "")),
        model=model,
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


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the tables: which sessions, in what world, by which variant of the rule."""

    variant: str
    plan: Plan
    corpus: str = ""

    def name(self) -> dict[str, Any]:
        """What tells it from the others."""
        world = "b" if self.plan.hard else "a"
        return {
            "corpus": self.corpus or "all",
            "world": world,
            "organisations": self.plan.honest,
            "hostile": self.plan.hostile,
            "variant": self.variant,
        }


def cases(*, short: bool) -> Iterator[Case]:
    """What is measured."""
    for hard, hostile, variant in product((False, True), HOSTILE, VARIANTS):
        if not short or hostile in {HOSTILE[0], HOSTILE[-1]}:
            yield Case(variant=variant, plan=Plan(hard=hard, hostile=hostile))
    if short:
        return
    few = product((5, 10), (False, True), (HOSTILE[0], HOSTILE[-1]), ("TIER", CANDIDATE))
    for honest, hard, hostile, variant in few:
        yield Case(variant=variant, plan=Plan(honest=honest, hard=hard, hostile=hostile))
    for corpus, hard, hostile in product(CORPORA, (False, True), (HOSTILE[0], HOSTILE[-1])):
        yield Case(variant=CANDIDATE, plan=Plan(hard=hard, hostile=hostile), corpus=corpus)


def measured(case: Case, sessions: Sequence[Scored], seeds: int, draws: int) -> dict[str, Any]:
    """One row: everything about one case."""
    patterns = sorted(load_catalogue().entries)
    chosen = [one for one in sessions if one.suite.startswith(case.corpus)]
    runs: list[list[Outcome]] = [
        list(live(make_world(chosen, case.plan, patterns, seed), chosen, patterns, VARIANTS[case.variant]))
        for seed in range(seeds)
    ]
    table = Table(chosen, runs)
    return {
        **case.name(),
        "warnings": warnings(table, draws=draws),
        "waits": waits(chosen, runs),
        "readings": {
            name: reading(
                table,
                lambda one, margin=margin: getattr(one, margin),
                answer,
                draws=draws,
                doubtful=margin == "stop",
            )
            for name, (margin, answer) in READINGS.items()
        },
    }
