"""The doors of what leaves: who may open them, what they show, and what they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ioint_node.reputation.view import indicator_id
from ioint_node.store import outgoing
from ioint_node.store.matches import Met, add_met
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.times import to_text
from ioint_protocol import encode_record, record_id
from msgspec.structs import replace

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

STANDING = "/api/v1/standing-approvals"
LEFT_PAD = "pkg:npm/left-pad@1.3.9"


async def held(node: Node, label: str = "green") -> str:
    """A report of the first catalogue pattern waits for an operator."""
    report = node.report(node.patterns(1)[0], tlp=label)
    body = encode_record(report)
    row = Outgoing(
        id=record_id(body),
        kind="report",
        subject=str(report.pat),
        body=body,
        explain=[{"field": "bad", "value": 0}],
        state="held",
        reason="waits",
        not_before=to_text(node.clock.now),
        at=to_text(node.clock.now),
        category="catalogue",
        tlp=label,
    )
    await node.parts.store.write(lambda connection: outgoing.add(connection, row))
    return row.id


async def answered(node: Node, path: str, body: dict[str, Any], role: str) -> tuple[int, Any]:
    answer = await node.post(path, body, role)
    return answer.status, await answer.json(content_type=None)


async def test_what_waits_shows_its_class_and_every_member_that_will_read_it(node: Node) -> None:
    await held(node)
    (row,) = (await node.json("/api/v1/approvals?kind=record"))["items"]
    assert (row["category"], row["tlp"]) == ("catalogue", "green")
    assert len(row["readers"]["members"]) == row["readers"]["groups"] == 4  # but for ourselves
    assert row["readers"]["pass_on"] == "to their communities"


async def test_an_administrator_lets_a_class_leave_and_takes_it_back(node: Node) -> None:
    status, made = await answered(node, STANDING, {"class": "catalogue", "reason": "routine"}, "admin")
    assert (status, made["scope"], made["value"]) == (201, "category", "catalogue")
    answer = await node.client.delete(f"{STANDING}/{made['id']}", headers=node.headers("admin"))
    assert answer.status == 200
    (row,) = (await node.json(STANDING))["items"]
    assert row["by"].startswith("token:")
    assert row["revoked_by"].startswith("token:")
    again = await node.client.delete(f"{STANDING}/{made['id']}", headers=node.headers("admin"))
    assert again.status == 409


@pytest.mark.parametrize("role", ["agent", "engine", "soc"])
async def test_nobody_else_gives_standing_approvals(node: Node, role: str) -> None:
    assert (await answered(node, STANDING, {"class": "novel", "reason": "x"}, role))[0] == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "x"}, "class"),
        ({"reason": "x", "class": "catalogue", "intent": "goal_hijack"}, "class"),
        ({"reason": "x", "class": "everything"}, "class"),
        ({"reason": "x", "intent": "no_such_intent"}, "intent"),
        ({"reason": "x", "layer": "L99"}, "layer"),
        ({"reason": "x", "pattern": "abc"}, "pattern"),
        ({"reason": "", "class": "novel"}, "reason"),
        ({"reason": "x", "class": "novel", "days": 0}, "days"),
    ],
)
async def test_an_approval_of_nothing_that_exists_is_refused_by_its_field(
    node: Node, body: dict[str, Any], field: str
) -> None:
    status, problem = await answered(node, STANDING, body, "admin")
    assert (status, problem["field"]) == (400, field)


async def test_a_layer_may_be_named_by_its_word_or_its_id(node: Node) -> None:
    layer = node.parts.exchange.taxonomy.layers[0]
    made = [
        (await answered(node, STANDING, {"layer": name, "reason": "x"}, "admin"))[1]["value"]
        for name in (layer.slug, layer.id)
    ]
    assert made == [layer.id, layer.id]


async def test_red_is_refused_with_the_reason(node: Node) -> None:
    name = await held(node)
    status, problem = await answered(
        node, f"/api/v1/approvals/{name}", {"approve": True, "tlp": "red"}, "admin"
    )
    assert (status, problem["field"]) == (400, "tlp")
    assert "every member holds every record" in problem["detail"]


async def test_an_approval_may_tighten_the_label(node: Node) -> None:
    name = await held(node)
    status, row = await answered(
        node, f"/api/v1/approvals/{name}", {"approve": True, "tlp": "amber_strict"}, "admin"
    )
    assert (status, row["state"], row["tlp"]) == (200, "ready", "amber_strict")
    assert row["id"] != name


async def test_an_analyst_reports_a_public_package(node: Node) -> None:
    status, problem = await answered(node, "/api/v1/subjects", {"subject": LEFT_PAD}, "soc")
    assert (status, "left-pad" in problem["detail"]) == (409, False)


async def test_a_package_that_was_reported_without_need_is_taken_back(node: Node) -> None:
    name = "pkg:npm/left-pad@1.3"
    # What another member named is public; with so few sessions neither report has a voice.
    await node.hear("contoso", replace(node.report(node.patterns(1)[0]), kind="subject", pat=None, subj=name))
    status, made = await answered(node, "/api/v1/subjects", {"subject": LEFT_PAD}, "soc")
    assert (status, made["subject"]) == (201, name)
    path = f"/api/v1/patterns/{indicator_id(name)}/opinion"
    status, gone = await answered(node, path, {"kind": "withdraw", "reason": "mistake"}, "soc")
    assert (status, gone["subject"], len(gone["records"])) == (201, name, 1)
    other = f"/api/v1/patterns/{indicator_id('pkg:npm/other')}/opinion"
    assert (await answered(node, other, {"kind": "withdraw", "reason": "mistake"}, "soc"))[0] == 404


async def test_a_persons_word_releases_also_where_the_node_spoke_first(node: Node) -> None:
    (pattern,) = node.patterns(1)
    met = Met(
        pattern=pattern,
        session_id="s",
        actor="a",
        principal="p",
        at=to_text(node.clock.now),
        judged="flagged",
    )
    await node.parts.store.write(lambda connection: add_met(connection, [met]))
    path = f"/api/v1/patterns/{pattern}/opinion"
    assert (await answered(node, path, {"kind": "confirm"}, "soc"))[0] == 201
    await node.client.delete(f"{path}/release", headers=node.headers("soc"))
    status, again = await answered(node, path, {"kind": "confirm"}, "soc")
    assert (status, again["state"], again["records"]) == (201, "said", [])
    assert "already said" in again["reason"]
    (held,) = (await node.json("/api/v1/overrides"))["items"]
    assert (held["kind"], held["subject"]) == ("release", pattern)
    status, made = await answered(node, path, {"kind": "release", "reason": "looked at"}, "soc")
    assert (status, made["quarantined"]) == (201, False)


@pytest.mark.parametrize("role", ["agent", "engine"])
async def test_an_engine_reports_no_package(node: Node, role: str) -> None:
    assert (await answered(node, "/api/v1/subjects", {"subject": LEFT_PAD}, role))[0] == 403


async def test_a_fingerprint_needs_the_setting_and_a_key(node: Node) -> None:
    path = f"/api/v1/patterns/{node.patterns(1)[0]}/opinion"
    status, problem = await answered(node, path, {"kind": "confirm", "values": ["c7" * 32]}, "soc")
    assert (status, "fingerprints = true" in problem["detail"]) == (409, True)


async def test_only_a_confirmation_has_a_label_and_values(node: Node) -> None:
    path = f"/api/v1/patterns/{node.patterns(1)[0]}/opinion"
    status, problem = await answered(node, path, {"kind": "dispute", "tlp": "amber"}, "soc")
    assert (status, problem["field"]) == (400, "tlp")


async def test_candidates_are_a_list_for_who_may_query(node: Node) -> None:
    assert await node.json("/api/v1/novel-patterns") == {"items": [], "next": None}
    assert (await node.get("/api/v1/novel-patterns", "agent")).status == 403


async def test_a_mistyped_intent_is_answered_with_the_nearest_and_not_with_all(node: Node) -> None:
    _, problem = await answered(node, STANDING, {"reason": "x", "intent": "goal_hijak"}, "admin")
    assert "did you mean goal_hijack" in problem["detail"]
    assert len(problem["detail"]) < 240


async def test_standing_approvals_come_in_pages_the_newest_first(node: Node) -> None:
    made = []
    for number in range(3):
        node.clock.now += 1
        made.append(
            (await answered(node, STANDING, {"class": "novel", "reason": f"{number}"}, "admin"))[1]["id"]
        )
    page = await node.json(f"{STANDING}?limit=2")
    rest = await node.json(f"{STANDING}?limit=2&cursor={page['next']}")
    assert [row["id"] for row in (*page["items"], *rest["items"])] == made[::-1]
    assert rest["next"] is None
