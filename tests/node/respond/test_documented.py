"""The tables of docs/responses.md are those of the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from ioint_node.flows.respond import ACTIONS, DO
from ioint_node.hooks import REFUSED, HookLimits
from ioint_node.posting import SLOWER
from ioint_node.scoring.levels import CHANGES, CONSEQUENTIAL, TERMS
from ioint_node.scoring.values import Response
from ioint_node.store import dead_letters, held, responses, webhooks
from ioint_node.web.respond import RespondBody

PAGE = (Path(__file__).parents[3] / "docs" / "responses.md").read_text()
LOOKS = "looking at the edge of the declaration"


def cells(first: str) -> list[str]:
    found = re.findall(rf"(?m)^\| {re.escape(first)} \| (.*) \|$", PAGE)
    assert len(found) == 1, (first, found)
    return [cell.strip() for cell in str(found[0]).split(" | ")]


@pytest.mark.parametrize(
    ("first", "field"),
    [
        ("a declaration carries a session for", "session_s"),
        ("it is looked at again after", "revalidate_s"),
        ("longest grant", "grant_s"),
        ("most units of a grant", "grant_units"),
        ("life of a pass", "pass_s"),
        ("trust budget of a session", "budget"),
    ],
)
def test_the_numbers_of_each_level_are_documented(first: str, field: str) -> None:
    written = [float(cell.removesuffix(" s").replace(",", "")) for cell in cells(first)]

    assert written == [getattr(terms, field) for terms in TERMS]


def test_what_each_level_asks_for_is_documented() -> None:
    names = {CHANGES: "change", CONSEQUENTIAL: "change of rights or money", frozenset[str](): "–"}
    checked = {frozenset({"derive"}): "what it derives", frozenset({"transfer"}): "what it sends"}

    assert cells("friction") == [terms.friction.value for terms in TERMS]
    assert cells("a person approves each") == [names[terms.approve] for terms in TERMS]
    assert cells("where there is doubt, also") == [names[terms.doubted - terms.approve] for terms in TERMS]
    assert cells("is checked more closely") == [checked.get(terms.step_up, "–") for terms in TERMS]
    assert cells(LOOKS) == ["is checked more closely" if t.step_up_edge else "is told" for t in TERMS]
    assert cells("more scope is given by") == [
        "a person" if terms.scope_by_person else "declaring again" for terms in TERMS
    ]


@pytest.mark.parametrize("response", list(Response))
def test_what_each_response_asks_of_an_orchestrator_is_documented(response: Response) -> None:
    written = cells(f"`{response.value}`")[2] if len(cells(f"`{response.value}`")) > 2 else ""

    assert tuple(re.findall(r"`(\w+)`", written)) == DO.get(response.value, ())


def test_what_a_person_may_order_is_documented() -> None:
    hints = get_type_hints(RespondBody, include_extras=True)["action"]
    for action in ACTIONS:
        assert f"`{action}`" in PAGE
    assert set(get_args(get_args(hints)[0])) == set(ACTIONS)


def test_the_bounds_that_the_page_names_are_those_in_force() -> None:
    limits = HookLimits()

    assert f"within {responses.REPORT_MS // 1000} seconds" in PAGE
    assert (
        f"{held.PER_SESSION} actions of the session are held already, {held.PER_ACTOR} of the actor" in PAGE
    )
    assert f"of the actor, or {held.MOST:,} of all" in PAGE
    assert held.HELD_MS == 3_600_000
    assert f"own hooks ({webhooks.PER_TOKEN}), an administrator all ({webhooks.MOST})" in PAGE
    turn = f"at most {limits.rows_at_once} rows or {limits.turn_s:g} seconds, who waited longest first"
    assert f"{turn}, {limits.hooks_at_once} at once and {limits.hooks_per_maker} of one token" in PAGE
    assert f"2xx within {limits.post.request_s:g} seconds" in PAGE
    assert f"after {', '.join(map(said, limits.pauses.after_s))}, each a little" in PAGE
    assert f"wait for {limits.pauses.slower_s:g} seconds at least" in PAGE
    assert f"after {limits.pauses.attempts} attempts, about three days" in PAGE
    assert 2.5 < sum(limits.pauses.after_s) / 86_400 < 3.5
    assert f"dead letter after {limits.refusals} attempts" in PAGE
    assert f"A hook with {dead_letters.PER_HOOK:,} dead letters" in PAGE
    assert f"{', '.join(map(str, sorted(SLOWER)[:-1]))} and {max(SLOWER)} wait" in PAGE
    assert "400,\n  413, 415 and 422 say" in PAGE
    assert sorted(REFUSED) == [400, 413, 415, 422]


def said(pause_s: float) -> str:
    unit, name = next((unit, name) for unit, name in ((3_600, "h"), (60, "min"), (1, "s")) if pause_s >= unit)
    return f"{pause_s / unit:g} {name}"
