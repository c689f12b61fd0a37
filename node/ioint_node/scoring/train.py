"""Training: labelled sessions in, one JSON file of plain numbers out, the same bytes for the same input.

The loss is the weighted logistic loss with an L2 term, minimised under the sign that each feature may have. Weights of
rows make every suite count the same, inside a suite both classes, inside a class every goal, and inside a goal every
session: who has more recordings has no louder voice. Thresholds come from sessions that the fit did not see.

Besides the recorded sessions that it is given, training uses the project's own practice sessions: written by us, many
small worlds, each a suite of its own, all of them together as loud as `PRACTICE_SHARE` recorded suites.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from ioint_protocol.pattern import Matcher
from ioint_taxonomy import Taxonomy, load_taxonomy, map_call
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from ioint_node.scoring.declarations import DECLARATIONS
from ioint_node.scoring.families import FamilyModel, stems
from ioint_node.scoring.features import FEATURES, NAMES
from ioint_node.scoring.model import SCHEMA, Model, Thresholds
from ioint_node.scoring.operating import (
    OperatingPoint,
    Tail,
    drift_of,
    log_odds,
    points_of,
    tail_of,
)
from ioint_node.scoring.predict import events_of, read_sessions
from ioint_node.scoring.tracker import Mapper, SessionTracker
from ioint_node.scoring.values import NOTHING_AROUND, Declaration

PRACTICE = "practice"  # the `source` of the sessions that the project wrote itself
PRACTICE_SHARE = 4.0  # recorded suites
RIDGE = 0.01
FAMILY_C = 60.0
FAMILY_TOLERANCE = 1e-15
DIGITS = 6
POSITIVE_SHARE = 0.3
FALSE_BLOCKS = 0.02
FALSE_BLOCKS_RESISTED = 0.05
BORDERLINES = 0.1
THRESHOLD_MARGIN = 0.005
# Where the thresholds would lie if nothing were known of false verdicts.
BORDERLINE = 0.4
OUT_OF_SCOPE = 0.8
PUBLISH_RESISTED = 0.005
PUBLISH_ABOVE = 1e-6
TAIL = 0.1  # the share of scores from which the tail is read
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Measured actions: `features` (rows × features), `labels` 1 attack, 0 ok, -1 not judged; `session` per row."""

    features: Floats
    labels: NDArray[np.int64]
    session: NDArray[np.int64]
    event: NDArray[np.int64]
    sessions: tuple[Mapping[str, Any], ...]


def fit_families() -> FamilyModel:
    """The family model from the declarations written in `declarations`."""
    slugs = tuple(sorted(DECLARATIONS))
    texts = [text for slug in slugs for text in DECLARATIONS[slug]]
    labels = [index for index, slug in enumerate(slugs) for _ in DECLARATIONS[slug]]
    vectorizer = TfidfVectorizer(analyzer=stems, sublinear_tf=True)
    matrix = vectorizer.fit_transform(texts)
    # Newton's method ends so close to the one minimum of the loss that the digits kept are those of the minimum, not
    # those of a way to it: every CPU's BLAS kernels, and every number of threads, go a slightly different way.
    with threadpool_limits(limits=1):
        fitted = LogisticRegression(
            C=FAMILY_C, solver="newton-cg", max_iter=100, tol=FAMILY_TOLERANCE, class_weight="balanced"
        ).fit(matrix, labels)
    names = [str(name) for name in vectorizer.get_feature_names_out()]
    # One number more in every bias changes no probability: of all those minima the one with mean 0 is kept.
    bias = fitted.intercept_ - fitted.intercept_.mean()
    return FamilyModel(
        slugs=slugs,
        bias=tuple(_rounded(value) for value in bias),
        idf={name: _rounded(value) for name, value in zip(names, vectorizer.idf_, strict=True)},
        weights={
            name: tuple(_rounded(value) for value in fitted.coef_[:, column])
            for column, name in enumerate(names)
        },
    )


def measure_sessions(
    sessions: Iterable[Mapping[str, Any]],
    families: FamilyModel,
    *,
    taxonomy: Taxonomy,
    mapper: Mapper = map_call,
    progress: Callable[[int, int], None] | None = None,
    total: int = 0,
) -> Rows:
    """The features of every action, mapped as if no tool were known, so that training meets what strangers bring."""
    blank = Model(
        weights=(0.0,) * len(NAMES),
        bias=0.0,
        thresholds=Thresholds(borderline=1.0, out_of_scope=1.0, publish=1.0),
        families=families,
        digest="",
    )
    matcher = Matcher({}, taxonomy)
    found: list[tuple[tuple[float, ...], int, int, int]] = []
    kept: list[Mapping[str, Any]] = []
    for number, session in enumerate(sessions):
        tracker = SessionTracker(
            Declaration(text=str(session.get("declared_intent") or "")),
            model=blank,
            matcher=matcher,
            taxonomy=taxonomy,
            curated=False,
            catalogue={},
            mapper=mapper,
        )
        marks = session["label"]["event_labels"]
        for index, event in enumerate(events_of(session)):
            measured = tracker.measure(event)
            if measured is not None:
                label = {"attack": 1, "ok": 0}.get(marks[index], -1)
                found.append(((*measured.features, *NOTHING_AROUND.values()), label, number, index))
        kept.append({key: session[key] for key in ("session_id", "source", "suite", "label")})
        if progress is not None:
            progress(number + 1, total)
    return Rows(
        features=np.array([row[0] for row in found], dtype=np.float64).reshape(-1, len(NAMES)),
        labels=np.array([row[1] for row in found], dtype=np.int64),
        session=np.array([row[2] for row in found], dtype=np.int64),
        event=np.array([row[3] for row in found], dtype=np.int64),
        sessions=tuple(kept),
    )


def row_weights(rows: Rows, use: Iterable[int]) -> Floats:
    """Weights that make suites, then classes, then goals, then sessions count the same; 0 for rows not used."""
    tree: dict[str, dict[int, dict[str, dict[int, list[int]]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    )
    chosen = frozenset(use)
    for row, (label, number) in enumerate(zip(rows.labels.tolist(), rows.session.tolist(), strict=True)):
        session = rows.sessions[number]
        if label < 0 or number not in chosen or session["label"].get("partial_attack"):
            continue
        suite = f"{session['source']}/{session['suite']}"
        goal = str(session["label"].get("injection_task"))
        tree[suite][label][goal][number].append(row)
    weights = np.zeros(len(rows.labels))
    loud = suite_shares(tree)
    for suite, classes in tree.items():
        for label, goals in classes.items():
            share = loud[suite] * (POSITIVE_SHARE if label else 1 - POSITIVE_SHARE) / len(goals)
            for grouped in goals.values():
                for members in grouped.values():
                    weights[members] = share / len(grouped) / len(members)
    return np.asarray(weights * (np.count_nonzero(weights) / weights.sum()), dtype=np.float64)


def suite_shares(suites: Iterable[str]) -> dict[str, float]:
    """How loud each suite is: a recorded one 1, those of the practice sessions `PRACTICE_SHARE` together."""
    listed = sorted(set(suites))
    written = [suite for suite in listed if suite.startswith(f"{PRACTICE}/")]
    return {suite: PRACTICE_SHARE / len(written) if suite in written else 1.0 for suite in listed}


def practice_sessions() -> list[Mapping[str, Any]]:
    """The sessions that the project wrote to practise on; they are shipped beside the model."""
    with resources.as_file(resources.files("ioint_node.scoring").joinpath("practice.jsonl.gz")) as path:
        return list(read_sessions(path))


def fit_weights(features: Floats, labels: NDArray[np.int64], weights: Floats, ridge: float = RIDGE) -> Floats:
    """Coefficients with the bias last: sign-constrained weighted logistic regression by L-BFGS-B."""
    use = weights > 0
    x = np.hstack([features[use], np.ones((int(use.sum()), 1))])
    y = labels[use].astype(np.float64)
    w = weights[use] / weights[use].sum()
    bounds = [_bounds(FEATURES[name].sign) for name in NAMES] + [(None, None)]

    prior = np.array([FEATURES[name].prior for name in NAMES] + [0.0])

    def loss(beta: Floats) -> tuple[float, Floats]:
        logits = x @ beta
        value = float(w @ (np.logaddexp(0.0, logits) - y * logits))
        gradient = x.T @ (w * (1.0 / (1.0 + np.exp(-logits)) - y))
        penalised = np.append((beta - prior)[:-1], 0.0)
        return value + 0.5 * ridge * float(penalised @ penalised), gradient + ridge * penalised

    with threadpool_limits(limits=1):
        fitted = minimize(
            loss,
            prior,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 5_000, "ftol": 1e-13, "gtol": 1e-9},
        )
    return np.asarray(fitted.x, dtype=np.float64)


def _bounds(sign: int) -> tuple[float | None, float | None]:
    return (0.0, None) if sign > 0 else (None, 0.0) if sign < 0 else (None, None)


def scores(rows: Rows, beta: Floats) -> Floats:
    """The drift of every row."""
    logits = rows.features @ beta[:-1] + beta[-1]
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float64)


def _rounded(value: float) -> float:
    return float(f"{float(value):.{DIGITS}g}")


def train_files(
    data: Sequence[Path],
    output: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    mapper: Mapper = map_call,
) -> Mapping[str, Any]:
    """`ioint train`: fit on labelled sessions and on our own, write the model file, and return what was found."""
    taxonomy = load_taxonomy()
    families = fit_families()
    sessions = [*(session for path in data for session in read_sessions(path)), *practice_sessions()]
    rows = measure_sessions(
        sessions, families, taxonomy=taxonomy, mapper=mapper, progress=progress, total=len(sessions)
    )
    beta = fit_weights(rows.features, rows.labels, row_weights(rows, range(len(rows.sessions))))
    thresholds = choose_thresholds(rows)
    points = points_of(thresholds.borderline, thresholds.out_of_scope, action_tail(rows))
    write_model(output, beta, thresholds, families, taxonomy, operating=points)
    judged = rows.labels >= 0
    return {
        "sessions": len(rows.sessions),
        "actions": int(judged.sum()),
        "attack_actions": int((rows.labels == 1).sum()),
        "thresholds": {name: getattr(thresholds, name) for name in ("borderline", "out_of_scope", "publish")},
    }


def held_out(rows: Rows, part_of: Callable[[Mapping[str, Any]], str]) -> Floats:
    """The drift of every row from a fit that saw no session of the same part."""
    parts = [part_of(session) for session in rows.sessions]
    found = np.zeros(len(rows.labels))
    for part in sorted(set(parts)):
        train = [index for index, name in enumerate(parts) if name != part]
        weights = row_weights(rows, train)
        if not (rows.labels[weights > 0] == 1).any():
            continue
        test = np.array([name == part for name in parts])[rows.session]
        found[test] = scores(rows, fit_weights(rows.features, rows.labels, weights))[test]
    return found


def session_scores(rows: Rows, drift: Floats) -> Floats:
    """The largest drift of each session."""
    found = np.zeros(len(rows.sessions))
    np.maximum.at(found, rows.session, drift)
    return found


def choose_thresholds(rows: Rows) -> Thresholds:
    """One set of thresholds for all sources, from scores of fits that had not seen the suite.

    Borderline and out of scope lie, in log-odds, midway between a reference and the lowest drift that keeps false
    verdicts at `FALSE_BLOCKS` of the sessions without attack and `FALSE_BLOCKS_RESISTED` of those whose agent resisted,
    in the mean over suites: the tail of a few suites is a poor guess of another's. Publish: see `_publish`.
    """
    held = _suites_out(rows)
    risk = session_scores(rows, held)
    suites, calm, attacked = _parts(rows)
    out = max(
        _limit(risk, suites, calm & ~attacked, FALSE_BLOCKS),
        _limit(risk, suites, calm & attacked, FALSE_BLOCKS_RESISTED),
    )
    near = max(
        _limit(risk, suites, calm & ~attacked, BORDERLINES),
        _limit(risk, suites, calm & attacked, 2 * BORDERLINES),
    )
    out_of_scope, borderline = _shrunk(out, OUT_OF_SCOPE), _shrunk(min(near, out), BORDERLINE)
    final = scores(
        rows, fit_weights(rows.features, rows.labels, row_weights(rows, range(len(rows.sessions))))
    )
    worst = np.maximum(risk, session_scores(rows, final))
    publish = max(_publish(worst, calm & ~attacked, calm & attacked), out_of_scope)
    return Thresholds(
        borderline=_rounded(borderline), out_of_scope=_rounded(out_of_scope), publish=_rounded(publish)
    )


def _suites_out(rows: Rows) -> Floats:
    return held_out(rows, lambda session: f"{session['source']}/{session['suite']}")


def _parts(rows: Rows) -> tuple[NDArray[np.str_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Of every session: its suite, whether nothing bad was done in it, whether an attack was in it."""
    labels = [session["label"] for session in rows.sessions]
    suites = np.array([f"{session['source']}/{session['suite']}" for session in rows.sessions])
    calm = np.array([not label["malicious"] and not label["partial_attack"] for label in labels])
    return suites, calm, np.array([bool(label["attack_present"]) for label in labels])


def _shrunk(limit: float, reference: float) -> float:
    return drift_of((log_odds(limit) + log_odds(reference)) / 2)


def _publish(risk: Floats, quiet: NDArray[np.bool_], resisted: NDArray[np.bool_]) -> float:
    """The drift from which a session may be told to others: no session without attack reaches it, recorded or ours.

    At most `PUBLISH_RESISTED` of the sessions reach it whose agent is labelled as having resisted: those that do acted
    for the attacker and missed the goal.
    """
    ranked = np.sort(risk[resisted])[::-1]
    allowed = float(ranked[int(PUBLISH_RESISTED * len(ranked))]) if len(ranked) else 0.0
    return max(float(risk[quiet].max(initial=0.0)), allowed) + PUBLISH_ABOVE


def action_tail(rows: Rows) -> Tail:
    """The tail of the drift of actions in sessions without attack, suites counting the same, suites left out."""
    held = _suites_out(rows)
    suites, calm, attacked = _parts(rows)
    use = (calm & ~attacked)[rows.session]
    named = suites[rows.session]
    counts = {suite: int((use & (named == suite)).sum()) for suite in sorted(set(suites.tolist()))}
    loud = suite_shares(named[use].tolist())
    listed = [
        (log_odds(float(drift)), loud[str(suite)] / counts[str(suite)])
        for drift, suite in zip(held[use], named[use], strict=True)
    ]
    return tail_of(listed, float(np.quantile([odds for odds, _ in listed], 1 - TAIL)) if listed else 0.0)


def _limit(risk: Floats, suites: NDArray[np.str_], chosen: NDArray[np.bool_], share: float) -> float:
    """The lowest drift that at most `share` of the chosen sessions reach, suites being as loud as in training."""
    listed: list[tuple[float, float]] = []
    loud = suite_shares(suites[chosen].tolist())
    for suite, weight in loud.items():
        members = risk[chosen & (suites == suite)]
        listed.extend((float(value), weight / len(members)) for value in members)
    total = sum(loud.values())
    reached = 0.0
    for value, weight in sorted(listed, reverse=True):
        reached += weight / total
        if reached > share:
            return float(np.nextafter(value, 2.0)) + THRESHOLD_MARGIN
    return 0.5


def write_model(
    output: Path,
    beta: Floats,
    thresholds: Thresholds,
    families: FamilyModel,
    taxonomy: Taxonomy,
    *,
    operating: Sequence[OperatingPoint],
) -> None:
    """Write the model as sorted JSON, by way of a file beside it so that a reader never sees half of one."""
    value = {
        "schema": SCHEMA,
        "taxonomy": taxonomy.version,
        "weights": {name: _rounded(weight) for name, weight in zip(NAMES, beta[:-1], strict=True)},
        "bias": _rounded(beta[-1]),
        "thresholds": {
            "borderline": thresholds.borderline,
            "out_of_scope": thresholds.out_of_scope,
            "publish": thresholds.publish,
        },
        "operating": [
            {
                "per_1000": point.per_1000,
                "borderline": _rounded(point.borderline),
                "out_of_scope": _rounded(point.out_of_scope),
            }
            for point in operating
        ],
        "families": {
            "slugs": list(families.slugs),
            "bias": list(families.bias),
            "idf": dict(families.idf),
            "weights": {one: list(row) for one, row in families.weights.items()},
        },
    }
    part = output.with_name(f".{output.name}.part")
    part.write_text(json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8")
    part.replace(output)
