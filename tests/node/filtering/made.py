"""Made filters and rows, of few values, so that they meet often."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from ioint_node.filtering import KEYS
from ioint_node.filtering.keys import LABELS, STATES, TIERS, TRENDS

INTENTS = ("goal_drift", "goal_hijack", "financial_harm")
VERBS = ("pay", "send", "read")
RESOURCES = ("payment", "email")
FAMILIES = ("purchase", "research")
LAYERS = ("", "L01", "L05", "L11")
LABEL_WORDS = ("payment", "paying", "send", "straße", "a1", "third-party")
PACKAGES = ("pkg:npm/left-pad", "pkg:npm/left-pad@1.2", "pkg:pypi/requests", "pkg:cargo/Serde_json")
DAYS = ("2026-11-01", "2026-11-17", "2026-11-18")
EFFECTS = (0.0, 0.02, 0.05, 0.25, 1.0)
_WORDS = {
    "state": STATES,
    "tier": TIERS,
    "kind": ("pattern", "subject"),
    "trend": TRENDS,
    "tlp": LABELS,
    "seen": ("yes", "no"),
    "disputed": ("yes", "no"),
    "revoked": ("yes", "no"),
    "intent": INTENTS,
    "layer": ("L01", "data_access", "outcome"),
    "family": (*FAMILIES, "any"),
    "verb": VERBS,
    "resource": RESOURCES,
    "subject": (*PACKAGES, "pkg:npm/*", "pkg:*", "0000*"),
    "q": (*LABEL_WORDS, '"third party"', "pa", "s"),
}
_NUMBERS = {"score": 100, "confidence": 100, "reporters": 5, "effect": 1}
_ONCE = {"state", "tier", "kind", "trend", "tlp", "layer", "seen", "disputed", "revoked", "since", "until"}


@st.composite
def filters(draw: st.DrawFn) -> str:
    """The text of a filter."""
    keys = draw(st.lists(st.sampled_from(list(KEYS)), max_size=4))
    return " ".join(
        draw(_term(key)) for place, key in enumerate(keys) if key not in _ONCE or key not in keys[:place]
    )


@st.composite
def _term(draw: st.DrawFn, key: str) -> str:
    minus = draw(st.sampled_from(("", "-")))
    if key in _NUMBERS:
        return minus + key + draw(_asked(key))
    if key in {"since", "until"}:
        return f"{minus}{key}:{draw(st.sampled_from((*DAYS, '7d', '1h')))}"
    values = draw(st.lists(st.sampled_from(_WORDS[key]), min_size=1, max_size=3, unique=True))
    return f"{minus}{key}:{','.join(values)}"


@st.composite
def _asked(draw: st.DrawFn, key: str) -> str:
    some = (
        st.sampled_from([f"{one:f}" for one in EFFECTS])
        if key == "effect"
        else st.integers(0, _NUMBERS[key]).map(str)
    )
    one, other = sorted((draw(some), draw(some)), key=float)
    form = draw(st.sampled_from(("range", "one", ">=", "<=", ">", "<")))
    if form == "range":
        return f":{one}..{other}"
    if form == "one":
        return f":{one},{other}"
    if (form == "<" and float(one) == 0) or (form == ">" and float(one) == _NUMBERS[key]):
        return f":{one}"
    # The most reporters that may be asked for is more than is made here.
    return f"{form}{one}"


def row_of(seed: int) -> dict[str, Any]:
    """An indicator row, the same for the same seed."""
    source = random.Random(seed)  # noqa: S311 - no secret

    def some(values: Sequence[str]) -> list[str]:
        return source.sample(values, source.randint(0, 2))

    kind = source.choice(("pattern", "subject"))
    label = source.choice(PACKAGES) if kind == "subject" else " ".join(source.choices(LABEL_WORDS, k=2))
    return {
        "id": f"{source.getrandbits(16):04x}{seed:060x}",
        "kind": kind,
        "label": label,
        "intents": some(INTENTS),
        "layer": source.choice(LAYERS),
        "declared": some(FAMILIES),
        "state": source.choice(STATES),
        "score": source.randint(0, 100),
        "confidence": source.randint(0, 100),
        "tier": source.choice(TIERS),
        "effect": source.choice(EFFECTS),
        "reporters": source.randint(0, 5),
        "first_reporter": "contoso",
        "first_seen": DAYS[0],
        "last_seen": source.choice(DAYS),
        "valid_until": "2026-12-30",
        "trend": source.choice(TRENDS),
        "seen_locally": source.random() < 0.3,
        "local_hits": 0,
        "blast_radius": 0,
        "disputed": source.random() < 0.3,
        "revoked": source.random() < 0.1,
        "tlp": source.choice(LABELS),
        "taxonomy_version": "1",
        "reason": "no_accusation",
        "why": "one sentence",
        "seq": seed,
        "verbs": some(VERBS),
        "resources": some(RESOURCES),
    }


def rows() -> st.SearchStrategy[dict[str, Any]]:
    """Indicator rows."""
    return st.integers(0, 2**32).map(row_of)
