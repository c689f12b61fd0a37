"""Replay recorded sessions over simulated organisations; write `force.md`, `force.json` and `force.svg`.

    python docs/measurements/force.py --data DIR [--out DIR] [--scores FILE] [--seeds N] [--draws N] [--short]

Every session is scored once by a fit that saw none of its suite (`--scores` keeps that for the next run). Then the rule
is lived through in worlds of a few organisations; see `ioint_node.lab`. Half as many worlds of the smaller kinds. About
a quarter of an hour on one core; `--short` looks at the largest worlds without liars and with most of them only. The
plot needs matplotlib (`pip install 'ioint[lab]'`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from textwrap import fill
from typing import Any

import detection  # type: ignore[import-not-found]  # a script beside this one, not a package
import matplotlib as mpl
import msgspec
from ioint_node.cli.progress import progress
from ioint_node.lab.force import IOINT, TIER, Outcome, Variant, live
from ioint_node.lab.force_figures import (
    ALL_NEW,
    ASKED,
    ASKED_BY_ANY,
    CHECKED,
    NEW_WORK,
    Reading,
    Table,
    reading,
    waits,
    warnings,
)
from ioint_node.lab.organisations import Plan, make_world
from ioint_node.lab.plots import STYLE
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
from matplotlib.figure import Figure

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
READINGS: Mapping[str, Reading] = {
    "checked": CHECKED,
    "asked": ASKED,
    "asked by any": ASKED_BY_ANY,
    "all new": ALL_NEW,
}
Column = Callable[[Mapping[str, Any]], str]
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

    @property
    def large(self) -> bool:
        """Whether it is of the largest consortium and of all recordings."""
        return self.plan.honest == Plan().honest and not self.corpus

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
        "seeds": seeds,
        "warnings": warnings(table, draws=draws),
        "waits": waits(chosen, runs),
        "readings": {name: reading(table, what, draws=draws) for name, what in READINGS.items()},
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
    "first stopped, with the network": of("warnings", "first_stopped"),
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


ALL_NEW_WORK: Mapping[str, Column] = {
    name: column
    for name, column in caught("all new").items()
    if name in WHERE or name.startswith("false") or name in {"network", "random", "every cheap"}
} | {
    "alone at that false rate": of("readings", "all new", "alone_same_false"),
    "network beyond that": of("readings", "all new", "more", signed=True),
}
GAIN = of("readings", "asked", "more_than_shipped", signed=True)


def page(result: Mapping[str, Any]) -> str:
    """The results as a page."""
    rows = result["rows"]
    large = [one for one in rows if is_large(one)]
    chosen = [one for one in large if one["variant"] in {"TIER", SHIPPED}]
    shipped = [one for one in large if one["variant"] == SHIPPED]
    small = [one for one in rows if one["corpus"] == "all" and not is_large(one)]
    alone = [one for one in rows if one["corpus"] != "all"]
    more: Mapping[str, Column] = {**WARNINGS, "asked or stopped, alone": of("readings", "asked", "alone")}
    more = {**more, "more with the network": GAIN, "at random": by_chance}
    note = f"\n{result['note']}\n" if result["note"] else ""
    beyond = [one["readings"]["asked"]["more"]["low"] > 0 for one in shipped]
    words = {
        **result,
        "new": NEW_WORK,
        "plan": Plan(),
        "fewer": min(one["seeds"] for one in rows),
        "first": shipped[0],
        "last": [one for one in shipped if one["world"] == "a"][-1],
        "above": f"{sum(beyond)} of the {len(beyond)} intervals" if any(beyond) else "no interval",
    }
    sections = {
        "# Force: what a member gains from the others": INTRODUCTION + headline(shipped) + note + HOW,
        "## Caught: a person is asked, or it is stopped": ASKED_TEXT + table(large, caught("asked")),
        "### Were all ordinary work new": NEW_TEXT + table(chosen, ALL_NEW_WORK),
        "### Were every warning to tip": TIP_TEXT + table(chosen, caught("asked by any")),
        "## Caught: a step-up or more": CHECKED_TEXT + table(chosen, caught("checked")),
        "## Warned in time": WARNED_TEXT + table(large, WARNINGS),
        "## Earlier": EARLIER_TEXT + table(chosen, EARLIER),
        "## Small consortia": SMALL_TEXT + table(small, {"organisations": plain("organisations"), **more}),
        "## Each corpus alone": CORPUS_TEXT + table(alone, {"corpus": plain("corpus"), **more}),
        "## How to read this": READ_TEXT,
    }
    text = "\n".join(f"{title}\n\n{body}" for title, body in sections.items()).format(**words)
    return "\n\n".join(map(filled, text.split("\n\n")))


def filled(paragraph: str) -> str:
    """A paragraph of plain text in lines of even length, now that its figures are in; others as they are."""
    plain_text = not paragraph.lstrip().startswith(("#", "|", "-", "!"))
    ending = "\n" if paragraph.endswith("\n") else ""
    return fill(paragraph, WIDTH, break_on_hyphens=False) + ending if plain_text else paragraph


def headline(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the network adds by the shipped rule, by world and share of liars."""
    shares = sorted({one["hostile"] for one in rows})
    found = line("more hijacks asked about or stopped", *(f"{share:.0%} hostile" for share in shares))
    found += line(*["---"] * (len(shares) + 1))
    for world in "ab":
        those = sorted((one for one in rows if one["world"] == world), key=lambda one: float(one["hostile"]))
        found += line(f"({world}) with the network", *map(GAIN, those))
        found += line(f"({world}) with as many warnings at random", *map(by_chance, those))
    return found


def by_chance(row: Mapping[str, Any]) -> str:
    """What as many warnings at random add to what a member does alone."""
    asked = row["readings"]["asked"]
    return f"{asked['by_chance']['value'] - asked['alone']['value']:+.3f}"


def is_large(row: Mapping[str, Any]) -> bool:
    """Whether a row is of the largest consortium and of all recordings."""
    return bool(row["organisations"] == Plan().honest and row["corpus"] == "all")


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Two panels by the share of hostile members: hijacks warned of, and how many more are asked about or stopped."""
    with mpl.rc_context({**STYLE, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9.6, 4.2), layout="constrained")
        warned, more = figure.subplots(1, 2)
        for place, (world, rule) in enumerate(product("ab", ("TIER", SHIPPED))):
            those = [one for one in rows if is_large(one) and (one["world"], one["variant"]) == (world, rule)]
            if not those:
                continue
            shares = [100 * one["hostile"] + (place - 1.5) * 0.5 for one in those]
            look = {"color": COLOURS[world], "label": f"({world}) {rule}", "linestyle": LINES[rule]}
            for axes, column in (
                (warned, [one["warnings"]["warned"] for one in those]),
                (more, [one["readings"]["asked"]["more_than_shipped"] for one in those]),
            ):
                values = [100 * one["value"] for one in column]
                below = [100 * (one["value"] - one["low"]) for one in column]
                above = [100 * (one["high"] - one["value"]) for one in column]
                axes.errorbar(shares, values, yerr=[below, above], marker="o", markersize=3, **look)
            if rule == SHIPPED:
                look = {"color": COLOURS[world], "label": f"({world}) at random", "linestyle": ":"}
                warned.plot(shares, [100 * one["warnings"]["by_chance"]["value"] for one in those], **look)
                more.plot(shares, [100 * float(by_chance(one)) for one in those], **look)
        warned.set_title("Hijacks warned of in time, %", loc="left")
        more.set_title("More asked about or stopped than alone, points", loc="left")
        warned.set_ylim(0, 100)
        more.axhline(0, color="#aaaaaa", linewidth=0.8)
        for axes in (warned, more):
            axes.set_xlabel("hostile members")
            axes.set_xticks([100 * share for share in HOSTILE], [f"{share:.0%}" for share in HOSTILE])
        figure.legend(
            *warned.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=6,
            frameon=False,
            fontsize=8,
        )
        figure.savefig(path, format="svg", metadata={"Date": None})


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
    parser.add_argument("--note", default="", help="what the page says of these figures besides")
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
            seeds = options.seeds if case.large else max(1, options.seeds // 2)
            rows.append(measured(case, sessions, seeds, options.draws))
            tell(len(rows), len(listed))
    write(options.out, sessions, rows, seeds=options.seeds, draws=options.draws, note=options.note)


def write(
    out: Path,
    sessions: Sequence[Scored],
    rows: Sequence[Mapping[str, Any]],
    *,
    seeds: int,
    draws: int,
    note: str,
) -> None:
    """Write the page, the figures and the plot."""
    kinds = {kind: sum(one.kind == kind for one in sessions) for kind in (ORDINARY, RESISTED, MALICIOUS)}
    counts = {"seeds": seeds, "draws": draws, "sessions": len(sessions), **kinds}
    result = {**counts, "note": note, "rows": rows}
    (out / "force.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (out / "force.md").write_text(page(result), encoding="utf-8")
    plot(rows, out / "force.svg")


INTRODUCTION = """Made by `docs/measurements/force.py`: {sessions:,} recorded sessions, of which {malicious:,} were
hijacked, {ordinary:,} had no attack and {resisted:,} resisted one, are lived through by {plan.honest} simulated
organisations with the code of a node. In time means: at or before the first action for the attacker. In brackets: 95 %
intervals of {draws} draws of whole user tasks and of worlds.

"""
HOW = """
That is of all hijacks, over what the same members stop alone, by the rule that ships. Ordinary sessions that
complete no pattern pay nothing for it, so that there the false rates are equal. Over all ordinary work it is another
matter: see *beyond that* below, and [how to read this](#how-to-read-this).

- Every session is judged once by a fit and thresholds that saw nothing of its suite, tools mapped as if none were
  known. Then {seeds} worlds of every kind are lived through ({fewer} of the smaller kinds), with the rule, the gate,
  the publishing and the responses of a node as they are (`ioint_node.lab`).
- **World (a)**: {plan.honest} organisations, each with its own user tasks, which no other has. **World (b)**: the
  same, and a member hears reports only from organisations that do work of other suites; its base rates are theirs
  too. Each attack (goal and way of planting it) begins on some day of the first {plan.begins:g} and reaches each
  organisation a mean of {plan.spreads:g} days later; a world has {plan.days} days.
- **Hostile** groups come on top, as many as make that share of all. All have full tenure. Together they accuse,
  five a week, what ordinary work completes most, dispute what honest members report (of each pattern one live report
  for the 14 days that a dispute speaks, then the next), and never report what is true.
- **Ordinary work** is far rarer in the recordings than in life. So a member has a history of about
  {plan.sessions:,} sessions in 30 days (log-normal), in which patterns complete as often as in the ordinary
  sessions of the tasks that it did before. Half of its tasks are *new*: nothing of them is in any history or base
  rate. Half of the ordinary sessions of *known* tasks are kept out as well. False warnings are counted only on what
  was kept out; where one rate is given, new work is {new:.0%} of ordinary work.
- **Warned**: a pattern that another honest member accuses takes effect in time. What only liars accuse is never
  counted as a catch, and always as a false warning.
- **Rules**: TIER is the rule as it was first published, IOINT that of this release. It adds *seconding* (a member
  answers a report with a sighting of what was out of scope in its own sessions and too unsure to report, if it could
  act on it cheaply, and keeps fresh what it reported), a gate for a consensus too, *own evidence* (own sessions out of
  scope count, here only, as a voice that is never removed), and that what is said of an entry of the catalogue counts
  for its special cases. The response, and when a dispute ends, are the same for both.

![warned and caught by the share of hostile members](force.svg)
"""
ASKED_TEXT = """What ships. An action was stopped, or waits for a person. A warning with an effect of .10 or more
*tips* what is in doubt: it asks a person where the member's own verdict on a changing action is at least borderline,
so that neither says so alone; precaution (.05) never does. A consensus of .30 asks in any case.

*More* is beyond the member alone with the thresholds it has. *At random*: as many patterns as can tip there, drawn from
all that are cheap to act on there, with the same answer. *Every cheap pattern* answers so to the whole catalogue.
*At that false rate* is the member alone at thresholds so much lower that ordinary sessions meet as many false ones as
with the network; they are chosen with the labels known, which no member could.

"""
NEW_TEXT = """The same, of tasks that no history knows. The first look at these sessions counted all ordinary work so;
that new work is {new:.0%} of it was set afterwards, as nearer to life.

"""
TIP_TEXT = """Not what ships: precaution would ask a person too where there is doubt. It would catch as much under any
share of liars, but then one member alone could have others' actions held. With the bound at .10 at most b lying groups
hold nothing anywhere.

"""
CHECKED_TEXT = """The answer to every warning is at least a step-up.

"""
WARNED_TEXT = """*Blind so far*: the member had caught no session of that attack by its own verdicts before. *Not
stopped alone*: its own verdicts asked nobody in that session. *At random*: as many patterns as are in force there,
drawn from all that are cheap to act on there.

"""
EARLIER_TEXT = """*First*: the first hijack of an attack at a member. *Places*: attacks at members to which a fitting
report had come; *at once*: the first hijack that was met afterwards was warned of; *days* is from that one to the
first warned.

"""
SMALL_TEXT = """{fewer} worlds each. The attacks are the same, so that a member meets more of them itself.

"""
CORPUS_TEXT = """{fewer} worlds each, of the sessions of one corpus.

"""
READ_TEXT = """A member's own verdicts ask for a step-up in nearly every hijack of these recordings, and an entry of
the catalogue completes only on an action that is in doubt. So a warning that asks for a step-up finds it asked for
already: by that reading the network adds nothing that can be measured here, whatever is believed. It adds where a
warning may decide what is in doubt.

There is no held-out set. The variants of the rule and of the response (seconding with and without a gate for a
consensus, a gate ten times as wide, own evidence, a tip from .05 or from .10) were compared on these same sessions
before one was chosen; so was *watch*, a lower bar for a step that leaves the envelope, which warned of fewer hijacks
at twice the cost and was dropped. The bound of .10 was chosen for what liars could do otherwise, not for its figures.

On ordinary sessions that complete no pattern the network does nothing, by construction: there the false rates are
equal, and *more* is the gain. Over all ordinary work it costs something too. In world (a) without liars a person is
asked, or something stopped, in {first[readings][asked][network_false][value]:.4f} of ordinary sessions instead of
{first[readings][asked][alone_false][value]:.4f}; were all of them new work, in
{first[readings][all new][network_false][value]:.4f} instead of {first[readings][all new][alone_false][value]:.4f}. A
member alone that lowers its own thresholds until it asks as often gets about as far: by the rule that ships,
*beyond that* has {above} above 0. That comparison is hard on the network, since those thresholds are chosen with the
labels known and from a few false sessions.

Acting on every pattern of the catalogue that is cheap here, reported or not, catches
{first[readings][asked][every_cheap][value]:.3f} there, and the network {first[readings][asked][network][value]:.3f};
it asks falsely in {first[readings][asked][every_cheap_false][value]:.4f}. A good catalogue is worth much by itself.
What reports add is which of its entries are worth a person's attention now. As many patterns at random catch
{first[readings][asked][by_chance][value]:.3f}.

World (b) says that what is learned about one kind of work seldom fits another: most entries name the resource that is
abused. There TIER warns of fewer hijacks than as many patterns at random would, and IOINT, by what a member saw
itself, of a few more, or under liars as many; but its warnings from .10 on tip more than as many at random.

Liars take away what is above precaution, and with it what a tip gives: with {last[hostile]:.0%} of them, more than
the rule is made for, {last[readings][asked][more_than_shipped][value]:+.3f} is left in world (a), no more than as
many patterns at random give, at a false rate of {last[readings][asked][network_false][value]:.4f}.
They take next to nothing of precaution:
{last[warnings][warned][value]:.3f} are still warned of, since disputes cannot reach it. What slander costs there, the
gate bounds.

What flatters: the catalogue was written while looking at these corpora; few goals recur in many sessions, so that
an attack seen anywhere soon fits what comes; every report leaves at once; all members are founders and know their
own rates. What does not: nothing but verdicts bears on an action here (in a node the level of trust, the budget and
other detectors do); a warning also lowers the trust used, opens incidents and reaches engines that have no detector
of their own, and none of that is counted; members judge nobody by what they saw themselves; ordinary work of a kind
never done before is rarer in life than here. Rates of false warnings rest on {ordinary:,} recorded sessions, most of
the false ones on the work of one suite.
"""
WIDTH = 119
SEEDS, DRAWS = 4, 200
COLOURS = {"a": "#1b6ca8", "b": "#b3541e"}
LINES = {"TIER": "--", SHIPPED: "-"}

if __name__ == "__main__":
    main()
