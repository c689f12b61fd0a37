"""Every number in the tables of docs/trust.md is that of the code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from ioint_node.scoring import composition, evidence, held, trust
from ioint_node.scoring.evidence import ActionFacts, SessionFacts
from ioint_node.scoring.held import COMPONENTS, LAYERS
from ioint_node.scoring.observations import AHEAD_MS, DETAIL_CHARS, KINDS, LIFE_MOST_MS
from ioint_node.scoring.trust import Evidence
from ioint_node.scoring.values import Verdict
from msgspec.structs import replace

TEXT = (Path(__file__).parents[3] / "docs" / "trust.md").read_text()
FLAT = " ".join(TEXT.split())
CLEAN = SessionFacts(verdict=Verdict.IN_SCOPE, outcome="done", actions=1, composed=True)
OUT = ActionFacts(verdict=Verdict.OUT_OF_SCOPE, departures=1)


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of the one table whose head begins with `heading`, by their first cell."""
    found = re.findall(rf"(?m)^\| {re.escape(heading)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT)
    assert len(found) == 1, heading
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in found[0].splitlines())
    return {first: rest for first, *rest in cells}


def units(pieces: Iterable[Evidence], component: str) -> str:
    (one,) = (piece for piece in pieces if piece.component == component)
    return f"{'+' if one.positive else '−'}{one.weight:g}"


def test_the_components_are_those_of_the_code() -> None:
    written = rows("component")

    assert list(written) == list(COMPONENTS)
    for name, (layer, holds, most, _) in written.items():
        assert (layer, holds, most) == (
            COMPONENTS[name].layer,
            "newest statement" if COMPONENTS[name].stated else "sum",
            f"{COMPONENTS[name].most:g}",
        )


@pytest.mark.parametrize(
    ("first", "pieces"),
    [
        ("clean session, done", evidence.of_close(CLEAN)),
        ("clean session, failed", evidence.of_close(replace(CLEAN, outcome="failed"))),
        (
            "failed session that left its intent",
            evidence.of_close(replace(CLEAN, verdict=OUT.verdict, outcome="failed")),
        ),
        ("first action out of scope of a session", evidence.of_action(OUT)),
        (
            "the risk of the session becomes clear",
            evidence.of_action(replace(OUT, departures=9, first_clear=True)),
        ),
        ("each of the next three", evidence.of_action(replace(OUT, departures=2))),
        (
            "second to sixth borderline action",
            evidence.of_action(ActionFacts(verdict=Verdict.BORDERLINE, doubts=2)),
        ),
        ("narrower alternative accepted", evidence.of_alternative(accepted=True)),
        ("narrower alternative refused", evidence.of_alternative(accepted=False)),
        ("scope widened again in a session", evidence.of_widening(2)),
        ("scope used", evidence.of_close(replace(CLEAN, used_share=1.0))[4:]),
        ("changes taken back", evidence.of_close(replace(CLEAN, mutations=1, reverted=1))[4:]),
        ("like the earlier sessions", evidence.of_close(replace(CLEAN, consistency=1.0))[4:]),
        ("unlike the earlier sessions", evidence.of_close(replace(CLEAN, consistency=0.0))[4:]),
    ],
)
def test_the_units_of_evidence_are_those_of_the_code(first: str, pieces: tuple[Evidence, ...]) -> None:
    cell = rows("what happens")[first][0]

    assert cell.split(", ") == [f"{one.component} {units(pieces, one.component)}" for one in pieces]


@pytest.mark.parametrize("name", sorted(evidence.SIGNS))
def test_the_signs_are_those_of_the_code(name: str) -> None:
    sign = evidence.SIGNS[name]

    assert rows("sign")[name][:2] == [sign.component, f"{sign.weight:g}"]


@pytest.mark.parametrize("kind", sorted(evidence.FEEDBACK_WEIGHTS))
def test_the_answers_are_those_of_the_code(kind: str) -> None:
    (one,) = evidence.of_feedback(kind, positive=True)

    assert rows("answer")[kind] == [one.component, f"{one.weight:g}"]


def life(milliseconds: int) -> str:
    hours = milliseconds // 3_600_000
    return f"{hours} h" if hours < 24 else f"{hours // 24} d"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_observations_are_those_of_the_code(name: str) -> None:
    kind = KINDS[name]
    begins, full = kind.against
    praise = f"{kind.praise:g} from {kind.sound:g}" if kind.sound is not None else "never"

    assert rows("kind of observation")[name] == [
        kind.component,
        f"{kind.low:g} to {kind.high:g}: {kind.means}",
        f"{kind.weight:g} ({begins:g} → {full:g})",
        praise,
        f"{kind.drift:g}",
        life(kind.life_ms),
        ", ".join(sorted(kind.detail)) or "none",
    ]


def test_no_table_holds_more_than_the_code() -> None:
    assert rows("kind of observation").keys() == KINDS.keys()
    assert rows("sign").keys() == evidence.SIGNS.keys()
    assert rows("answer").keys() == evidence.FEEDBACK_WEIGHTS.keys()


@pytest.mark.parametrize("name", sorted(trust.KINDS))
def test_the_kinds_of_actor_are_those_of_the_code(name: str) -> None:
    weights = trust.KINDS[name]
    good, moves = rows("kind of actor")[name]

    assert good.split(":", maxsplit=1)[0] == ", ".join(f"{one:g}" for one in weights.good)
    assert moves.split(":", maxsplit=1)[0] == ", ".join(f"{one:g}" for one in weights.moves)
    assert set(weights.bad) == {1.5}


@pytest.mark.parametrize(
    "said",
    [
        f"2^(−age / {held.GOOD_HALF_LIFE_MS // held.DAY_MS} days)",
        f"2^(−age / {held.BAD_HALF_LIFE_MS // held.DAY_MS} days)",
        f"{round(10 * trust.ATTACK_FORFEITS)} tenths of all good evidence",
        f"L = max(0, m − {trust.Z_ONE_SIDED_90} ·",
        f"adds {trust.GAIN} · m",
        f"bad evidence adds {trust.LOSS}",
        f"at most {held.BAD_MOST:g} units of bad evidence",
        f"{held.CLEAN_AT_ONCE:g} clean sessions",
        f"{held.CLEAN_PER_DAY:g} a day",
        f"{held.DISPLACING_AT_ONCE:g} at once and {held.DISPLACING_PER_DAY:g} a day",
        f"at {trust.UNCHECKED_CEILING:.2f}".replace("0.", "."),
        f"{trust.CHECKED_NEEDED} answers",
        f"half-life of {held.STATED_HALF_LIFE_MS // held.DAY_MS} days unless it is made again",
        f"one of {held.VOICES} drawers",
        f"{held.IMPORT_MOST:g} units in every layer",
        f"half-life of {held.IMPORT_HALF_LIFE_MS // held.DAY_MS} days",
        f"{trust.TENURE_FULL_DAYS} days of tenure",
        f"up to {composition.TOOLS_KEPT} tools",
        f"{evidence.SIGNS_FREE} sign of a session is free",
        f"the next {evidence.SIGNS_COUNTED} count",
        f"strength {evidence.SIGN_FROM:g}",
        f"more than {evidence.BURST_FROM} consequential actions",
        f"full at {evidence.BURST_FULL}",
        f"{evidence.ANSWERS_COUNTED} answers and {evidence.ALTERNATIVES_COUNTED} alternatives",
        f"from {evidence.STALE_FROM_DAYS} days on, in full at {evidence.STALE_FULL_DAYS}",
        f"after {evidence.SETTLED_DAYS} days",
        f"{evidence.DELEGATED:g} for each further agent",
        f"times {evidence.UNNAMED_COMPOSITION:g}",
        f"{AHEAD_MS // 60_000} minutes ahead",
        f"at most {LIFE_MOST_MS // held.DAY_MS} days",
        f"{DETAIL_CHARS} characters",
    ],
)
def test_the_numbers_in_the_text_are_those_of_the_code(said: str) -> None:
    assert said in FLAT


@pytest.mark.parametrize(
    ("name", "keeps"),
    [
        ("another model or prompt", composition.INHERITED_GOOD),
        ("a tool more", composition.WIDER_GOOD),
        ("fewer tools", 1.0),
    ],
)
def test_what_a_changed_composition_keeps_is_that_of_the_code(name: str, keeps: float) -> None:
    assert rows("composition")[name][0] == f"{keeps:g}"


def test_imports_weigh_as_in_the_code() -> None:
    said = dict(re.findall(r"`(\w+)` (\d(?:\.\d+)?)", FLAT))

    assert {name: float(said[name]) for name in trust.ROLES} == dict(trust.ROLES)
    assert {name: float(said[name]) for name in trust.ATTESTATIONS} == dict(trust.ATTESTATIONS)


def test_the_layers_are_named_in_their_order() -> None:
    assert list(rows("layer")) == list(LAYERS)
