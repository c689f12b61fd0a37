"""Measure the matcher from a hundred to a hundred thousand live patterns; write `matcher.md`.

    python docs/measurements/matcher.py [--most N] [--out DIR]

About a minute. `SHARING` patterns share the step that is measured, however many there are; the others ask for other
verbs. Before it is measured, the session has done so much else that it has begun every other pattern that it can.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from time import process_time
from typing import TypeVar

from ioint_protocol.pattern import Matcher, MatchState, Pattern, PatternStep
from ioint_taxonomy import Step, load_taxonomy

SIZES = (100, 1_000, 10_000, 100_000)
CARRIED = 8  # earlier steps whose data the measured step carries
SHARING = CARRIED * 8
ROUNDS = 5
REPEATS = 200
TAXONOMY = load_taxonomy()
OTHERS = sorted(TAXONOMY.verbs.keys() - {"send"})
RESOURCES = sorted(TAXONOMY.resources)
SENSITIVITIES = tuple(TAXONOMY.sensitivities)
BOUNDARIES = tuple(TAXONOMY.boundaries)
T = TypeVar("T")
UNTRUSTED = ("memory", "public_web", "third_party_content")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured with so many patterns."""

    patterns: int
    begun: int
    same_us: float
    fresh_us: float
    mixed_us: float
    add_us: float
    build_s: float
    session_kb: float
    matcher_mb: float


def some_step(draw: random.Random, index: int) -> PatternStep:
    """A step of an invented pattern, none of which is the one that is measured."""
    return PatternStep(
        verbs=(draw.choice(OTHERS),),
        resources=(draw.choice(RESOURCES),),
        sensitivity=draw.choice((None, 1, 2, 3)),
        boundary=draw.choice((None, 2, 4)),
        provenances=draw.choice(((), UNTRUSTED, (draw.choice(UNTRUSTED),))),
        flow=(draw.randrange(index),) if index and draw.random() < 0.5 else (),
        outside=draw.random() < 0.5,
    )


def sharing() -> dict[str, Pattern]:
    """The patterns with the step that is measured: each begins in its own way, half of them go on after it."""
    shared = PatternStep(verbs=("send",), resources=("email",), flow=(0,), outside=True)
    ends = PatternStep(verbs=("delete",), resources=("log",), flow=(1,))
    beginnings = product(OTHERS[:CARRIED], (None, 1, 2, 3), (None, 4))
    return {
        f"sharing {n}": Pattern(
            steps=(
                PatternStep(verbs=(verb,), resources=(RESOURCES[0],), sensitivity=rank, boundary=reach),
                shared,
                *([ends] if n % 2 else []),
            )
        )
        for n, (verb, rank, reach) in enumerate(beginnings)
    }


def others(count: int) -> dict[str, Pattern]:
    """Patterns of two to four steps that have nothing of the step that is measured."""
    draw = random.Random(count)  # noqa: S311
    return {
        f"{n:064x}": Pattern(steps=tuple(some_step(draw, index) for index in range(draw.randint(2, 4))))
        for n in range(count)
    }


def everything() -> list[tuple[Step, bool]]:
    """A session that does every other thing, in a way that fits most of what patterns ask."""
    draw = random.Random(0)  # noqa: S311
    steps: list[tuple[Step, bool]] = []
    for verb in OTHERS:
        for resource in RESOURCES:
            step = Step(
                verb=verb,
                resource=resource,
                sensitivity="restricted",
                boundary="public",
                provenance=draw.choice(UNTRUSTED),
                flow=tuple(sorted(draw.sample(range(len(steps)), min(len(steps), 3)))),
            )
            steps.append((step, True))
    return steps


def after(matcher: Matcher, state: MatchState, steps: list[tuple[Step, bool]]) -> MatchState:
    """The state after some steps."""
    for step, outside in steps:
        state, _ = matcher.advance(state, step, outside)
    return state


def microseconds(run: Callable[[], object], times: int) -> float:
    """The median over rounds of what one of `times` runs took."""
    taken = []
    for _ in range(ROUNDS):
        begun = process_time()
        for _ in range(times):
            run()
        taken.append((process_time() - begun) / times)
    return median(taken) * 1e6


def held(make: Callable[[], T]) -> tuple[T, int]:
    """What was made, and the bytes that it holds."""
    gc.collect()
    tracemalloc.start()
    made = make()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return made, size


def measure(count: int) -> Row:
    """Measure with so many patterns."""
    patterns = {**sharing(), **others(count - SHARING)}
    begun = process_time()
    matcher = Matcher(patterns, TAXONOMY)
    build_s = process_time() - begun
    _, matcher_bytes = held(lambda: Matcher(patterns, TAXONOMY))
    before = everything()
    after(matcher, matcher.start(()), before)  # so that what is kept ready is not counted with the session
    state, session_bytes = held(lambda: after(matcher, matcher.start(()), before))
    step = Step(
        verb="send",
        resource="email",
        sensitivity="internal",
        boundary="external",
        flow=tuple(len(RESOURCES) * n for n in range(CARRIED)),
    )
    one = {"one more": Pattern(steps=(*(some_step(random.Random(1), 0) for _ in range(3)),))}  # noqa: S311

    def fresh() -> None:
        # A matcher that has met no step yet must first look up what fits it.
        matcher.changed(one).advance(state, step, True)

    add_us = microseconds(lambda: matcher.changed(one), REPEATS)
    return Row(
        patterns=count,
        begun=len(state.partials),
        same_us=microseconds(lambda: matcher.advance(state, step, True), REPEATS),
        fresh_us=microseconds(fresh, REPEATS) - add_us,
        mixed_us=microseconds(lambda: after(matcher, matcher.start(()), before), 1) / len(before),
        add_us=add_us,
        build_s=build_s,
        session_kb=session_bytes / 1_000,
        matcher_mb=matcher_bytes / 1_000_000,
    )


def page(rows: list[Row]) -> Iterator[str]:
    """The rows as a page."""
    yield (
        "# The matcher, measured\n\n"
        f"Made by `docs/measurements/matcher.py` on {os.cpu_count()} x {platform.machine()}, {platform.system()},"
        f" load {os.getloadavg()[0]:.2f}, Python {platform.python_version()}.\n\n"
        f"Of all live patterns {SHARING} share the step that is measured, and each looks in it for data of another"
        f" earlier step: half of them end with it, half go on, so that {SHARING // 2} places of the state change."
        f" Before it the session does every other thing once, {len(OTHERS) * len(RESOURCES):,} steps that fit most of"
        " what patterns ask. Times are CPU time.\n\n"
        "| patterns | places kept in the session | the step, µs | its first time, µs | a step of another kind, µs |"
        " add one, µs | make, s | session, kB | matcher, MB |\n|---|---|---|---|---|---|---|---|---|\n"
    )
    for row in rows:
        yield (
            f"| {row.patterns:,} | {row.begun:,} | {row.same_us:.1f} | {row.fresh_us:.1f} | {row.mixed_us:.1f}"
            f" | {row.add_us:.1f} | {row.build_s:.2f} | {row.session_kb:.1f} | {row.matcher_mb:.1f} |\n"
        )
    yield f"\n{READ}"


READ = """*The step* hardly costs more, whatever else is live or on its way: the maps are deeper, and less of them is in
the processor's cache. *Its first time* is with a matcher that was just changed and has to look up what fits. *A step of
another kind* is the mean over the steps before: the more patterns there are, the more share each of them. *Session* is
what the state of this one session holds, *matcher* what all sessions share.
"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=SIZES[-1], help="patterns")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    rows = [measure(size) for size in SIZES if size <= given.most]
    (given.out / "matcher.md").write_text("".join(page(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
