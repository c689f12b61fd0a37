"""Replay recorded sessions over simulated organisations; write `force.md`, `force.json` and `force.svg`.

    python docs/measurements/force.py --data DIR [--out DIR] [--scores FILE] [--seeds N] [--draws N] [--short]

Every session is scored once by a fit that saw none of its suite (`--scores` keeps that for the next run). Then the rule
is lived through in worlds of a few organisations; see `ioint_node.lab`. About a quarter of an hour on one core;
`--short` looks at the largest worlds without liars and with most of them only.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import detection  # type: ignore[import-not-found]  # a script beside this one, not a package
import msgspec
from ioint_node.cli.progress import progress
from ioint_node.lab.force import IOINT, TIER, Outcome, Variant, live
from ioint_node.lab.force_figures import (
    NEW_WORK,
    Answer,
    Margin,
    Table,
    asked,
    checked,
    firmly_tipped,
    reading,
    steps_up,
    stops,
    tipped,
    waits,
    warnings,
)
from ioint_node.lab.organisations import Plan, make_world
from ioint_node.lab.replay import MALICIOUS, ORDINARY, RESISTED, UNFINISHED, Call, Limits, Scored
from ioint_node.reputation.lineage import lineage
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
SHIPPED = "IOINT"
VARIANTS: Mapping[str, Variant] = {
    "TIER": TIER,
    SHIPPED: IOINT,
    "TIER and seconding": Variant(seconding=True),
    "IOINT without own evidence": Variant(seconding=True, gated=True, general=True),
}
HOSTILE = (0.0, 0.1, 0.2, 0.33)
SMALL_HOSTILE = (0.0, 0.2, 0.33)
CORPORA = ("agentdojo", "craibench")
READINGS: Mapping[str, tuple[Margin, Answer]] = {
    "checked": (steps_up, checked),
    "asked": (stops, asked),
    "tipped": (stops, tipped),
    "tipped at .10": (stops, firmly_tipped),
}
Column = Callable[[Mapping[str, Any]], str]
Series = tuple[str, Sequence[tuple[float, Mapping[str, float]]]]
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
            found += [
                judged(one, model, matcher, taxonomy) for one in sessions if detection.suite(one) == part
            ]
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
    ends = (HOSTILE[0], HOSTILE[-1])
    rules = ("TIER", SHIPPED)
    for hostile, hard, variant in product(ends if short else HOSTILE, (False, True), rules):
        yield Case(variant=variant, plan=Plan(hard=hard, hostile=hostile))
    if short:
        return
    for hard, hostile, variant in product((False, True), ends, list(VARIANTS)[2:]):
        yield Case(variant=variant, plan=Plan(hard=hard, hostile=hostile))
    for corpus, hard, hostile in product(CORPORA, (False, True), ends):
        yield Case(variant=SHIPPED, plan=Plan(hard=hard, hostile=hostile), corpus=corpus)
    for honest, hard, hostile, variant in product((5, 10), (False, True), SMALL_HOSTILE, rules):
        yield Case(variant=variant, plan=Plan(honest=honest, hard=hard, hostile=hostile))


def measured(case: Case, sessions: Sequence[Scored], seeds: int, draws: int) -> dict[str, Any]:
    """One row: everything about one case."""
    catalogue = load_catalogue()
    family = lineage(catalogue, load_taxonomy())
    patterns = {name: family.general(name) or () for name in sorted(catalogue.entries)}
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
                margin,
                answer,
                draws=draws,
                doubtful=margin is stops,
            )
            for name, (margin, answer) in READINGS.items()
        },
    }


def figure(value: Mapping[str, float], *, signed: bool = False) -> str:
    """A share with its interval."""
    sign = "+" if signed else ""
    return f"{value['value']:{sign}.3f} [{value['low']:{sign}.3f}, {value['high']:{sign}.3f}]"


def line(*cells: object) -> str:
    """A row of a table."""
    return "| " + " | ".join(map(str, cells)) + " |\n"


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Column]) -> str:
    """Some rows as a Markdown table."""
    head = line(*columns) + "|" + "---|" * len(columns) + "\n"
    return head + "".join(line(*(column(row) for column in columns.values())) for row in rows)


def section(title: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Column]) -> str:
    """A heading and its table; nothing where nothing was measured."""
    return f"\n## {title}\n\n{table(rows, columns)}" if rows else ""


def of(*path: str, signed: bool = False) -> Column:
    """A column: the figure at this place of a row."""

    def cell(row: Mapping[str, Any]) -> str:
        found: Any = row
        for name in path:
            found = found[name]
        return figure(found, signed=signed)

    return cell


def plain(*path: str) -> Column:
    """A column without interval: a name, or a share where `path` goes to a figure."""

    def cell(row: Mapping[str, Any]) -> str:
        found: Any = row
        for name in path:
            found = found[name]
        if isinstance(found, Mapping):
            found = found["value"]
        return f"{found:.4f}".rstrip("0").rstrip(".") if isinstance(found, float) else str(found)

    return cell


WHERE: Mapping[str, Column] = {
    "world": plain("world"),
    "hostile": plain("hostile"),
    "rule": plain("variant"),
}
WARNINGS: Mapping[str, Column] = {
    **WHERE,
    "warned": of("warnings", "warned"),
    "≥ .10": plain("warnings", "warned_10"),
    ".30": plain("warnings", "warned_30"),
    "warned, member blind so far": of("warnings", "blind_warned"),
    "warned, not stopped alone": of("warnings", "not_stopped_warned"),
    "as many patterns at random": plain("warnings", "by_chance"),
    "ordinary, new work": of("warnings", "ordinary_new"),
    "ordinary, known work": plain("warnings", "ordinary_known"),
    "ordinary, lies alone": plain("warnings", "ordinary_lies"),
}
EARLIER: Mapping[str, Column] = {
    **WHERE,
    "first hijack warned": of("warnings", "first_warned"),
    "first stopped, alone": of("warnings", "first_stopped_alone"),
    "first stopped, with the network": of("warnings", "first_stopped_tipped"),
    "places": plain("waits", "places"),
    "warned at once": plain("waits", "at_once"),
    "never": plain("waits", "never"),
    "days until, mean": plain("waits", "days_mean"),
}


def caught(name: str) -> dict[str, Column]:
    """The columns of a reading with one answer."""
    return {
        **WHERE,
        "alone": of("readings", name, "alone"),
        "with the network": of("readings", name, "network"),
        "more": of("readings", name, "more_than_shipped", signed=True),
        "at random": plain("readings", name, "by_chance"),
        "every cheap pattern": plain("readings", name, "every_cheap"),
        "false: alone": plain("readings", name, "alone_false"),
        "network": plain("readings", name, "network_false"),
        "random": plain("readings", name, "by_chance_false"),
        "every cheap": plain("readings", name, "every_cheap_false"),
        "alone at that false rate": of("readings", name, "alone_same_false"),
        "network beyond that": of("readings", name, "more", signed=True),
    }


def page(result: Mapping[str, Any]) -> str:
    """The results as a page."""
    rows = result["rows"]
    large = [one for one in rows if one["organisations"] == Plan().honest and one["corpus"] == "all"]
    chosen = [one for one in large if one["variant"] in {"TIER", SHIPPED}]
    small = [one for one in rows if one["organisations"] != Plan().honest]
    alone = [one for one in rows if one["corpus"] != "all"]
    size: Mapping[str, Column] = {"organisations": plain("organisations"), **WARNINGS}
    part: Mapping[str, Column] = {"corpus": plain("corpus"), **WARNINGS}
    tip = "readings", "tipped", "more_than_shipped"
    return "".join(
        [
            INTRODUCTION.format(**result, new=NEW_WORK, plan=Plan()),
            f"\n## Warned in time\n\n{WARNED}\n{table(large, WARNINGS)}",
            f"\n## Earlier\n\n{EARLY}\n{table(chosen, EARLIER)}",
            f"\n## Caught: a step-up or more\n\n{CHECKED}\n{table(chosen, caught('checked'))}",
            f"\n## Caught: a person is asked, or it is stopped\n\n{ASKED}\n",
            table(large, caught("tipped")),
            "\n### Were only warnings from .10 on to tip\n\n",
            table(chosen, caught("tipped at .10")),
            "\n### Were only a consensus to ask\n\n",
            table(chosen, caught("asked")),
            section("Small consortia", small, {**size, "tipped: more": of(*tip, signed=True)}),
            section("Each corpus alone", alone, {**part, "tipped: more": of(*tip, signed=True)}),
            f"\n{READ.format(**result)}",
        ]
    )


def plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Two panels by the share of hostile members: hijacks warned, and hijacks of which a person is asked."""
    left, right = [], []
    for hard, variant in product("ab", ("TIER", SHIPPED)):
        name = f"({hard}) {variant}"
        those = [
            one
            for one in rows
            if (one["world"], one["variant"], one["corpus"]) == (hard, variant, "all")
            and one["organisations"] == Plan().honest
        ]
        left.append((name, [(one["hostile"], one["warnings"]["warned"]) for one in those]))
        tipped_ones = [(one["hostile"], one["readings"]["tipped"]["network"]) for one in those]
        right.append((name, tipped_ones))
        if variant == "TIER":
            alone = [(one["hostile"], one["readings"]["tipped"]["alone"]) for one in those]
            left.append((f"({hard}) at random", [(o["hostile"], o["warnings"]["by_chance"]) for o in those]))
            right.append((f"({hard}) alone", alone))
    panels = panel("hijacks warned in time", left, (0.0, 1.0), 60) + panel(
        "asked or stopped in time, tipped", right, (0.85, 1.0), 560
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="1060" height="420" font-family="sans-serif"'
        f' font-size="12">\n<rect width="1060" height="420" fill="white"/>\n{panels}</svg>\n'
    )


def panel(title: str, series: Sequence[Series], scale: tuple[float, float], x0: int) -> str:
    """One panel: a line with intervals for each series, named at its end."""
    low, high = scale
    wide, tall, top = 300, 300, 60

    def at(share: float, value: float) -> tuple[float, float]:
        inside = min(high, max(low, value))
        return x0 + wide * share / HOSTILE[-1], top + tall * (high - inside) / (high - low)

    parts = [f'<text x="{x0}" y="30" font-size="14">{title}, by hostile share</text>\n']
    for step in range(6):
        value = low + (high - low) * step / 5
        _, y = at(0, value)
        parts.append(f'<path d="M{x0} {y:.1f}h{wide}" stroke="#ddd"/>')
        parts.append(f'<text x="{x0 - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>\n')
    for share in HOSTILE:
        x, y = at(share, low)
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{share:.0%}</text>\n')
    for number, (name, points) in enumerate(series):
        if not points:
            continue
        colour = COLOURS[number % len(COLOURS)]
        placed = [at(share, value["value"]) for share, value in points]
        track = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{track}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for share, measured_there in points:
            x, lower = at(share, measured_there["low"])
            _, upper = at(share, measured_there["high"])
            parts.append(f'<path d="M{x:.1f} {lower:.1f}V{upper:.1f}" stroke="{colour}"/>')
        y = top + tall / len(series) * (number + 0.5)
        parts.append(f'<path d="M{x0 + wide + 12} {y:.1f}h16" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{x0 + wide + 32}" y="{y + 4:.1f}" fill="{colour}">{name}</text>\n')
    return "".join(parts)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with dev-*.jsonl.gz")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--scores", type=Path, help="where the scored sessions are kept")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="worlds of each kind")
    parser.add_argument("--draws", type=int, default=DRAWS, help="bootstrap draws")
    parser.add_argument("--short", action="store_true", help="the largest worlds, no liars and most liars")
    options = parser.parse_args()
    kept: Path | None = options.scores
    if kept is not None and kept.exists():
        sessions = msgspec.json.decode(kept.read_bytes(), type=list[Scored])
    else:
        sessions = scored(options.data)
        if kept is not None:
            kept.write_bytes(msgspec.json.encode(sessions))
    listed, rows = list(cases(short=options.short)), []
    with progress("living through worlds") as tell:
        for case in listed:
            rows.append(measured(case, sessions, options.seeds, options.draws))
            tell(len(rows), len(listed))
    write(options.out, sessions, rows, seeds=options.seeds, draws=options.draws)


def write(
    out: Path, sessions: Sequence[Scored], rows: Sequence[Mapping[str, Any]], *, seeds: int, draws: int
) -> None:
    """Write the page, the figures and the plot."""
    kinds = {kind: sum(one.kind == kind for one in sessions) for kind in (ORDINARY, RESISTED, MALICIOUS)}
    result = {"seeds": seeds, "draws": draws, "sessions": len(sessions), **kinds, "rows": rows}
    (out / "force.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (out / "force.md").write_text(page(result), encoding="utf-8")
    (out / "force.svg").write_text(plot(rows), encoding="utf-8")


INTRODUCTION = """# Force: what a member gains from the others

Made by `docs/measurements/force.py`: {sessions:,} recorded sessions, of which {malicious:,} were hijacked,
{ordinary:,} had no attack and {resisted:,} resisted one. Every session is judged once by a fit and thresholds that
saw nothing of its suite, tools mapped as if none were known. Then {seeds} worlds of every kind are lived through,
with the rule, the gate and the publishing of a node as they are (`ioint_node.lab`). In brackets: 95 % intervals of
{draws} draws of whole user tasks and of worlds.

- **World (a)**: {plan.honest} organisations, each with its own user tasks, which no other has. **World (b)**: the
  same, and a member hears reports only from organisations that do work of other suites; its base rates are theirs
  too. Each attack (goal and way of planting it) begins on some day of the first {plan.begins:g} and reaches each
  organisation a mean of {plan.spreads:g} days later; a world has {plan.days} days.
- **Hostile** groups come on top, as many as make that share of all. All have full tenure. Together they accuse,
  five a week, what ordinary work completes most, dispute every honest report at once, and never report what is
  true.
- **Ordinary work** is far rarer in the recordings than in life. So a member has a history of about
  {plan.sessions:,} sessions in 30 days (log-normal), in which patterns complete as often as in the ordinary
  sessions of the tasks that it did before. Half of its tasks are *new*: nothing of them is in any history or base
  rate. Half of the ordinary sessions of *known* tasks are kept out as well. False warnings are counted only on what
  was kept out; where one rate is given, new work is {new:.0%} of ordinary work.
- **Warned**: a pattern that another honest member accuses takes effect at or before the first action for the
  attacker. What only liars accuse is never counted as a catch, and always as a false warning.
- **Rules**: TIER is the rule as it was first published, IOINT that of this release. It adds *seconding* (a member
  answers a report with a sighting of what was out of scope in its own sessions and too unsure to report, if it could
  act on it cheaply), a gate for a consensus too, *own evidence* (own sessions out of scope count, here only, as a
  voice that is never removed), and that what is said of an entry of the catalogue counts for its special cases.

![warned and caught by the share of hostile members](force.svg)
"""
WARNED = """*Blind so far*: the member had caught no session of that attack by its own verdicts before. *Not
stopped alone*: its own verdicts asked nobody in that session. *At random*: as many patterns as are in force there,
drawn from all that are cheap to act on there.
"""
EARLY = """*First*: the first hijack of an attack at a member. *Places*: attacks at members to which a fitting
report had come; *at once*: the first hijack that was met afterwards was warned of; *days* is from that one to the
first warned.
"""
CHECKED = """The node's answer to every warning is at least a step-up. *At random* and *every cheap pattern* answer the
same to patterns that nobody need have reported. *More* is beyond the member alone with the thresholds it has. *At that
false rate* is the member alone at thresholds so much lower that ordinary sessions meet as many false ones as with the
network; they are chosen with the labels known, which no member could.
"""
ASKED = """The stricter reading: an action was stopped, or waits for a person. A warning *tips* what is in doubt:
it asks a person where the member's own verdict on a changing action is at least borderline, so that neither says so
alone. A consensus asks in any case. The controls ask for the same doubt.
"""
READ = """## How to read this

A member's own verdicts ask for a step-up in nearly every hijack of these recordings, and an entry of the catalogue
completes only on an action that is in doubt. So a warning that asks for a step-up finds it asked for already: by
that reading the network adds nothing that can be measured here, whatever is believed. It adds where a warning may
decide what is in doubt.

On ordinary sessions that complete no pattern the network does nothing, by construction: there the false rates are
equal, and *more* is the gain. Over all ordinary work it also costs something, and a member alone that lowers its own
thresholds by as much gets about as far: no interval of *beyond that* lies above 0. That comparison is hard on the
network, since those thresholds are chosen with the labels known and from a few false sessions.

Acting on every pattern of the catalogue that is cheap here, reported or not, catches as much as the network does or a
little more, and costs more: a good catalogue is worth much by itself. What reports add is which of its entries are
worth a person's attention now. As many patterns at random catch less than the network does in world (a).

World (b) says that what is learned about one kind of work seldom fits another: most entries name the resource that is
abused. There TIER warns of fewer hijacks than as many patterns at random would, and IOINT, by what a member saw
itself, of a few more; what is caught is hardly more than by chance.

Liars take away what is above precaution and next to nothing of precaution itself: disputes cannot reach it, and the
gate keeps slander from costing much.

What flatters: the catalogue was written while looking at these corpora; few goals recur in many sessions, so that
an attack seen anywhere soon fits what comes; every report leaves at once; all members are founders and know their
own rates. What does not: nothing but verdicts bears on an action here (in a node the level of trust, the budget and
other detectors do); a warning also lowers the trust used, opens incidents and reaches engines that have no detector
of their own, and none of that is counted; ordinary work of a kind never done before is rarer in life than here.
Rates of false warnings rest on {ordinary:,} recorded sessions, most of the false ones on the work of one suite.
"""
SEEDS, DRAWS = 4, 300
COLOURS = ("#1b6ca8", "#999999", "#0f9d58", "#b3541e", "#bbbbbb", "#7b3fa0")

if __name__ == "__main__":
    main()
