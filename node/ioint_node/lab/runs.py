"""Which worlds are run, on all processors.

A job is one world and one rule, and gives one row. Rows of one case are put together over their seeds: lifts weighed
by the sessions they are of, the worst of what is a worst, means of the rest.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from ioint_node.lab.attacks import ATTACKS
from ioint_node.lab.flipping import flip_rival, flip_tier, lemma
from ioint_node.lab.patterns import calibrate, run, run_rival
from ioint_node.lab.rules import CANDIDATES, RIVALS, SHIPPED
from ioint_node.lab.subjects import (
    SUBJECT_ATTACKS,
    SubjectSetting,
    by_rival,
    by_tier,
    calibrate_subjects,
    draw_subjects,
    run_subjects,
)
from ioint_node.lab.world import NATURE, Nature, Setting, draw
from ioint_node.reputation.gate import PARAMS, Params
from ioint_node.reputation.rule import removals

USERS: Final = (0, 3, 10, 30)  # honest ones of a subject that colluders flip
LEMMA_GROUPS: Final = (4, 5, 7, 10, 30, 100, 300, 1_000)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One world and one rule, or one question about a single subject."""

    part: str  # patterns, subjects, flip, lemma
    orgs: int
    hostile: int = 0
    attack: str = "none"
    rule: str = SHIPPED.name
    seed: int = 0
    params: Params = PARAMS
    tenures: tuple[int, ...] = ()
    viewers: int = 16
    users: int = 0
    nature: Nature = NATURE


def do(job: Job) -> Row:
    """The row of a job."""
    case: Row = {
        "part": job.part,
        "orgs": job.orgs,
        "hostile": job.hostile,
        "attack": job.attack,
        "rule": job.rule,
        "users": job.users,
    }
    return case | _PARTS[job.part](job)


def _patterns(job: Job) -> Row:
    attack = job.attack if job.attack != "none" else "joint"
    world = draw(
        Setting(
            orgs=job.orgs,
            hostile=job.hostile,
            attack=attack,
            seed=job.seed,
            tenures=job.tenures,
            nature=job.nature,
        )
    )
    if job.rule in CANDIDATES:
        return asdict(run(world, CANDIDATES[job.rule], job.params, viewers=job.viewers))
    least = _thresholds(job.orgs)[job.rule]
    return asdict(run_rival(world, RIVALS[job.rule], least, viewers=job.viewers))


def _subjects(job: Job) -> Row:
    share = job.hostile / job.orgs
    world = draw_subjects(SubjectSetting(orgs=job.orgs, hostile=share, attack=job.attack, seed=job.seed))
    if job.rule == SHIPPED.name:
        return asdict(run_subjects(world, by_tier))
    least = _subject_thresholds(job.orgs)[job.rule]
    return asdict(run_subjects(world, by_rival(RIVALS[job.rule], least)))


def _flip(job: Job) -> Row:
    if job.rule == SHIPPED.name:
        return asdict(flip_tier(job.orgs, job.users, job.seed))
    return asdict(
        flip_rival(job.orgs, job.users, RIVALS[job.rule], _subject_thresholds(job.orgs)[job.rule], job.seed)
    )


def _lemma(job: Job) -> Row:
    by_b, by_q = lemma(job.orgs, seed=job.seed)
    return {"by_b": by_b, "by_q": by_q}


_PARTS: Final[Mapping[str, Callable[[Job], Row]]] = {
    "patterns": _patterns,
    "subjects": _subjects,
    "flip": _flip,
    "lemma": _lemma,
}


@lru_cache(maxsize=16)
def _thresholds(orgs: int) -> dict[str, float]:
    return calibrate(orgs, RIVALS)


@lru_cache(maxsize=16)
def _subject_thresholds(orgs: int) -> dict[str, float]:
    return calibrate_subjects(orgs, RIVALS)


def short_plan(seed: int = 0) -> list[Job]:
    """The release gate: every attack once, four sizes, all rivals on common worlds."""
    jobs = [Job(part="lemma", orgs=n, seed=seed) for n in LEMMA_GROUPS]
    jobs += _grid({5: 4, 10: 3, 30: 1, 100: 1}, (SHIPPED.name,), seed)
    jobs += _attacks(30, _third(30), seed)
    jobs += [
        Job(part="patterns", orgs=30, hostile=h, attack="joint" if h else "none", rule=rule, seed=seed)
        for h in (0, 3, 10)
        for rule in RIVALS
    ]
    for attack, share in (
        ("none", 0),
        ("camouflage", 10),
        ("camouflage", 33),
        ("whitewash", 33),
        ("sybil", 33),
    ):
        jobs += _subject_jobs(attack, share, (seed,))
    return jobs + _flips((30, 100), seed)


def full_plan(seed: int = 0) -> list[Job]:
    """What `docs/measurements/reputation.md` is made of: more seeds, every candidate, a thousand organisations."""
    jobs = [Job(part="lemma", orgs=n, seed=seed) for n in LEMMA_GROUPS]
    jobs += _grid({5: 8, 10: 4, 30: 1}, (*CANDIDATES, *RIVALS), seed)
    jobs += _grid({100: 1}, (SHIPPED.name, "TIER", *RIVALS), seed)
    jobs += _attacks(30, _third(30), seed)
    jobs.append(Job(part="patterns", orgs=1_000, hostile=100, attack="joint", seed=seed, viewers=8))
    for attack in SUBJECT_ATTACKS:
        for percent in (0,) if attack == "none" else (10, 33):
            jobs += _subject_jobs(attack, percent, (seed,))
    return jobs + _flips((5, 10, 30, 100), seed)


def own_plan(
    *,
    orgs: int,
    hostile: int,
    attacks: Iterable[str],
    seeds: int,
    seed: int,
    params: Params,
    tenures: tuple[int, ...] = (),
) -> list[Job]:
    """An operator's consortium under the operator's settings: quiet, and under some attacks."""
    jobs = [Job(part="lemma", orgs=orgs, seed=seed)] if orgs >= 4 else []
    cases = [("none", 0), *((attack, hostile) for attack in attacks if hostile)]
    return jobs + [
        Job(
            part="patterns",
            orgs=orgs,
            hostile=h,
            attack=attack,
            seed=seed + s,
            params=params,
            tenures=tenures,
        )
        for attack, h in cases
        for s in range(seeds)
    ]


def _grid(
    seeds: Mapping[int, int],
    rules: Iterable[str],
    seed: int,
) -> list[Job]:
    """No liars, at most b of them, a third of all; each size on its seeds, every rule in the same worlds."""
    return [
        Job(part="patterns", orgs=n, hostile=h, attack=_joint(h), rule=rule, seed=seed + s)
        for n, count in seeds.items()
        for h in sorted({0, removals(n)[0], _third(n)})
        for s in range(count)
        for rule in rules
    ]


def _attacks(orgs: int, hostile: int, seed: int) -> list[Job]:
    """Every attack but the one of the grid."""
    return [
        Job(part="patterns", orgs=orgs, hostile=hostile, attack=attack, seed=seed)
        for attack in ATTACKS
        if attack != "joint"
    ]


def _joint(hostile: int) -> str:
    return "joint" if hostile else "none"


def _third(orgs: int) -> int:
    return orgs // 3


def _subject_jobs(attack: str, percent: int, seeds: Iterable[int]) -> list[Job]:
    return [
        Job(part="subjects", orgs=100, hostile=percent, attack=attack, rule=rule, seed=s)
        for s in seeds
        for rule in (SHIPPED.name, *RIVALS)
    ]


def _flips(sizes: Iterable[int], seed: int) -> list[Job]:
    return [
        Job(part="flip", orgs=n, users=users, rule=rule, seed=seed)
        for n in sizes
        for users in USERS
        if users < n
        for rule in (SHIPPED.name, *(RIVALS if n == 100 else ()))
    ]


def run_all(
    jobs: Sequence[Job],
    tell: Callable[[int, int], None] = lambda done, total: None,
    *,
    workers: int | None = None,
) -> list[Row]:
    """The rows of all jobs, in their order."""
    # What takes longest begins first, so that no processor waits for it at the end.
    order = sorted(range(len(jobs)), key=lambda i: -jobs[i].orgs * (1 + jobs[i].hostile))
    rows: dict[int, Row] = {}
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        for index in order:
            rows[index] = do(jobs[index])
            tell(len(rows), len(jobs))
    else:
        # Spawned, since the caller may have threads; a worker imports the rule and nothing of the node.
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            waiting = {pool.submit(do, jobs[index]): index for index in order}
            for done in as_completed(waiting):
                rows[waiting[done]] = done.result()
                tell(len(rows), len(jobs))
    return [rows[index] for index in range(len(jobs))]


CASE: Final = ("part", "orgs", "hostile", "attack", "rule", "users")
WORST: Final = ("worst", "unsupported", "by_b", "by_q")
POOLED: Final = ("lift", "lift_all")


def together(rows: Iterable[Row]) -> list[Row]:
    """One row for each case, over its seeds."""
    cases: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        cases[tuple(row[name] for name in CASE)].append(row)
    return [_together(found) for found in cases.values()]


def _together(rows: Sequence[Row]) -> Row:
    """Lifts are weighed by the sessions they are of, what is a worst is the worst, all else is the mean."""
    merged: Row = {name: rows[0][name] for name in CASE} | {"seeds": len(rows)}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name in CASE:
            continue
        if name in POOLED:
            weights = [row["blind"] for row in rows]
            merged[name] = _mean(values, weights if sum(weights) else None)
        elif name in WORST:
            merged[name] = max(values)
        elif name == "blind":
            merged[name] = sum(values)
        else:
            merged[name] = _mean(values)
    return merged


def _mean(values: Sequence[Any], weights: Sequence[float] | None = None) -> Any:  # noqa: ANN401 - of rows
    """The mean of numbers, or of each place of tuples; where one is None, which means never, the upper median."""
    if isinstance(values[0], (tuple, list)):
        return [_mean(place, weights) for place in zip(*values, strict=True)]
    if any(value is None for value in values):
        ordered = sorted(np.inf if value is None else float(value) for value in values)
        middle = ordered[len(ordered) // 2]
        return round(middle, 5) if np.isfinite(middle) else None
    return round(float(np.average(values, weights=weights)), 5)
