"""From what bore on every session to figures: what is caught with the network, alone, and by chance.

Two readings of *caught in time*: an action was **checked** (step-up or stricter), or a person was **asked** about it or
it was stopped. Each is compared with the member's own verdicts at thresholds so much lower that ordinary sessions meet
as many false ones. Intervals are of draws of whole user tasks and of seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from ioint_node.lab.force import Control, Outcome, Warned
from ioint_node.lab.replay import MALICIOUS, ORDINARY, Scored
from ioint_node.reputation.gate import EFFECT
from ioint_node.scoring.response import TIPPING_EFFECT

Floats = NDArray[np.float64]
Flag = Callable[[Outcome], float | Floats]
NEW_WORK: Final = 0.1  # the share of ordinary sessions whose task an organisation has not done before
SHIFTS: Final = np.linspace(-12.0, 12.0, 481)  # of both thresholds downward, in log-odds


class Reading(Struct, frozen=True, kw_only=True):
    """What counts as caught.

    Attributes:
        margin: by how much own verdicts alone do it, in log-odds.
        answer: whether warnings do it.
        control: how likely patterns that nobody need have reported would.
        new_work: the share of ordinary sessions whose task an organisation has not done before.
    """

    margin: Callable[[Outcome], float]
    answer: Callable[[Warned], bool]
    control: Callable[[Control], float]
    new_work: float = NEW_WORK


CHECKED: Final = Reading(
    margin=lambda one: one.margin,
    answer=lambda warned: warned.effect > 0,
    control=lambda control: control.met,
)
ASKED: Final = Reading(
    margin=lambda one: one.stop, answer=lambda warned: warned.asks, control=lambda control: control.asks
)
ASKED_BY_ANY: Final = Reading(
    margin=lambda one: one.stop,
    answer=lambda warned: warned.any_asks,
    control=lambda control: control.any_asks,
)
ALL_NEW: Final = replace(ASKED, new_work=1.0)


class Table:
    """Outcomes of several seeds as sums by seed and task, so that draws of either are a weighting."""

    def __init__(self, sessions: Sequence[Scored], runs: Sequence[Sequence[Outcome]]) -> None:
        self._sessions = sessions
        tasks = sorted({one.task for one in sessions})
        self._place = {task: place for place, task in enumerate(tasks)}
        self._shape = (len(runs), len(tasks))
        self._bad = [
            (seed, one) for seed, run in enumerate(runs) for one in run if self._kind(one) == MALICIOUS
        ]
        self._good = [
            (seed, one) for seed, run in enumerate(runs) for one in run if self._kind(one) == ORDINARY
        ]
        self.firsts = _firsts(sessions, self._bad)

    def draws(self, count: int, seed: int = 7) -> list[tuple[Floats, Floats]]:
        """Weights of seeds and of tasks: all alike first, then as often as each was drawn."""
        draw = np.random.default_rng(seed)
        seeds, tasks = self._shape
        drawn = [
            (
                draw.multinomial(seeds, np.ones(seeds) / seeds).astype(np.float64),
                draw.multinomial(tasks, np.ones(tasks) / tasks).astype(np.float64),
            )
            for _ in range(count)
        ]
        return [(np.ones(seeds), np.ones(tasks)), *drawn]

    def hijacks(self, flag: Flag, among: Callable[[Outcome], bool] | None = None) -> Share:
        """The share of malicious sessions of which something holds."""
        rows = [(s, o) for s, o in self._bad if among is None or among(o)]
        return Share([(1.0, self._sums(rows, flag), self._sums(rows, _one))])

    def first_hijacks(self, flag: Flag) -> Share:
        """The same of the first of each attack at each member."""
        rows = self.firsts
        return Share([(1.0, self._sums(rows, flag), self._sums(rows, _one))])

    def ordinary(self, flag: Flag, new_work: float = NEW_WORK) -> Share:
        """The share of ordinary sessions of which something holds, with so many of tasks never done before."""
        parts = []
        for share, new in ((new_work, True), (1 - new_work, False)):
            rows = [(s, o) for s, o in self._good if o.new is new]
            if share > 0:
                parts.append((share, self._sums(rows, flag), self._sums(rows, _one)))
        return Share(parts)

    def curve(self, what: Reading) -> tuple[Share, Share]:
        """Hijacks caught and ordinary sessions met at each of `SHIFTS` by own verdicts alone."""

        def steps(one: Outcome) -> Floats:
            return (what.margin(one) + SHIFTS >= 0).astype(np.float64)

        return self.hijacks(steps), self.ordinary(steps, what.new_work)

    def _kind(self, one: Outcome) -> str:
        return self._sessions[one.session].kind

    def _sums(self, rows: Sequence[tuple[int, Outcome]], flag: Callable[[Outcome], Any]) -> Floats:
        found: Floats | None = None
        for seed, one in rows:
            value = np.asarray(flag(one), dtype=np.float64)
            if found is None:
                found = np.zeros((*self._shape, *value.shape))
            found[seed, self._place[self._sessions[one.session].task]] += value
        return np.zeros(self._shape) if found is None else found


class Share:
    """A share, or a mixture of shares, as sums by seed and task."""

    def __init__(self, parts: Sequence[tuple[float, Floats, Floats]]) -> None:
        self._parts = parts

    def at(self, weights: tuple[Floats, Floats]) -> Any:  # noqa: ANN401 - a number, or one for each shift
        """The share under a weighting of seeds and tasks; 0 where nothing was drawn."""
        seeds, tasks = weights
        found: Any = np.zeros(self._parts[0][1].shape[2:])
        for share, hits, all_of in self._parts:
            among = float(seeds @ all_of @ tasks)
            if among > 0:
                found = found + share * np.tensordot(tasks, np.tensordot(seeds, hits, axes=1), axes=1) / among
        return found


def _one(_: Outcome) -> float:
    return 1.0


def _firsts(sessions: Sequence[Scored], bad: Sequence[tuple[int, Outcome]]) -> list[tuple[int, Outcome]]:
    """The first hijack of each attack at each member; outcomes come in order of time."""
    known: dict[tuple[int, str, str], tuple[int, Outcome]] = {}
    for seed, one in bad:
        known.setdefault((seed, one.member, sessions[one.session].campaign), (seed, one))
    return list(known.values())


def interval(values: Sequence[float]) -> dict[str, Any]:
    """A figure with its 95 % interval; the first value is of all that was measured, the others of draws."""
    low, high = np.quantile(values[1:], (0.025, 0.975)) if len(values) > 1 else (values[0], values[0])
    return {"value": round(float(values[0]), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def reading(table: Table, what: Reading, *, draws: int) -> dict[str, Any]:
    """One reading of *caught*: the network beside the same member alone, and beside patterns that nobody reported."""

    def own(one: Outcome) -> float:
        return float(what.margin(one) >= 0)

    def with_network(one: Outcome) -> float:
        return float(own(one) or what.answer(one.true))

    def with_lies(one: Outcome) -> float:
        return float(with_network(one) or what.answer(one.lies))

    def chance(one: Outcome) -> float:
        return own(one) or what.control(one.by_chance)

    def every(one: Outcome) -> float:
        return own(one) or what.control(one.every_cheap)

    caught, false = table.hijacks(with_network), table.ordinary(with_lies, what.new_work)
    shipped = table.hijacks(own)
    curve, curve_false = table.curve(what)
    controls = {
        "by_chance": (table.hijacks(chance), table.ordinary(chance, what.new_work)),
        "every_cheap": (table.hijacks(every), table.ordinary(every, what.new_work)),
    }
    weights = table.draws(draws)
    same = [float(np.interp(false.at(w), curve_false.at(w), curve.at(w))) for w in weights]
    network = [float(caught.at(w)) for w in weights]
    found = {
        "alone": _figures(shipped, weights),
        "alone_false": _figures(table.ordinary(own, what.new_work), weights),
        "network": interval(network),
        "network_false": _figures(false, weights),
        "alone_same_false": interval(same),
        "more": interval([a - b for a, b in zip(network, same, strict=True)]),
        "more_than_shipped": interval(
            [a - float(shipped.at(w)) for a, w in zip(network, weights, strict=True)]
        ),
    }
    for name, (hits, misses) in controls.items():
        found[name], found[f"{name}_false"] = _figures(hits, weights), _figures(misses, weights)
    return found


def warnings(table: Table, *, draws: int) -> dict[str, Any]:
    """How many hijacks carry a warning in time, how strong it is, and what it costs ordinary work."""
    weights = table.draws(draws)

    def hit(one: Outcome) -> float:
        return float(one.true.effect > 0)

    def met(one: Outcome) -> float:
        return float(one.true.effect > 0 or one.lies.effect > 0)

    shares: Mapping[str, Share] = {
        "warned": table.hijacks(hit),
        "warned_10": table.hijacks(lambda one: float(one.true.effect >= TIPPING_EFFECT)),
        "warned_30": table.hijacks(lambda one: float(one.true.effect >= EFFECT["consensus"])),
        "by_chance": table.hijacks(lambda one: one.by_chance.met),
        "every_cheap": table.hijacks(lambda one: one.every_cheap.met),
        "blind_warned": table.hijacks(hit, lambda one: not one.seen),
        "not_stopped_warned": table.hijacks(hit, lambda one: one.stop < 0),
        "reported_warned": table.hijacks(hit, lambda one: one.reported),
        "first_warned": table.first_hijacks(hit),
        "first_stopped_alone": table.first_hijacks(lambda one: float(one.stop >= 0)),
        "first_stopped": table.first_hijacks(lambda one: float(one.stop >= 0 or one.true.asks)),
        "ordinary_new": table.ordinary(met, 1.0),
        "ordinary_known": table.ordinary(met, 0.0),
        "ordinary_new_30": table.ordinary(
            lambda one: float(max(one.true.effect, one.lies.effect) >= EFFECT["consensus"]), 1.0
        ),
        "ordinary_lies": table.ordinary(lambda one: float(one.lies.effect > 0)),
    }
    return {name: _figures(share, weights) for name, share in shares.items()}


def _figures(share: Share, weights: Sequence[tuple[Floats, Floats]]) -> dict[str, Any]:
    return interval([float(share.at(w)) for w in weights])


def waits(sessions: Sequence[Scored], runs: Sequence[Sequence[Outcome]]) -> dict[str, float]:
    """From the first hijack that a member meets after a report that fits it: hijacks and days until it is warned.

    Of each attack at each member; `never` is the share that is not warned within the world's days.
    """
    hijacks, days, never = [], [], 0
    for run in runs:
        since: dict[tuple[str, str], list[float]] = {}
        done: set[tuple[str, str]] = set()
        for one in run:
            session = sessions[one.session]
            place = (one.member, session.campaign)
            if session.kind != MALICIOUS or place in done or not (one.reported or place in since):
                continue
            met = since.setdefault(place, [])
            if one.true.effect > 0:
                hijacks.append(len(met))
                days.append(one.at - met[0] if met else 0.0)
                done.add(place)
            else:
                met.append(one.at)
        never += len(since.keys() - done)
    total = len(hijacks) + never
    if not total:
        return {"places": 0}
    return {
        "places": total,
        "at_once": round(sum(count == 0 for count in hijacks) / total, 4),
        "never": round(never / total, 4),
        "hijacks_mean": round(float(np.mean(hijacks)), 3) if hijacks else 0.0,
        "days_mean": round(float(np.mean(days)), 3) if days else 0.0,
        "days_90": round(float(np.quantile(days, 0.9)), 3) if days else 0.0,
    }
