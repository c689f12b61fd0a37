from __future__ import annotations

from typing import Any

import pytest
from ioint_node.store import webhooks

from tests.node.respond.conftest import Site

HOOKS = "/api/v1/webhooks"
URL = "https://hooks.example.org/x"


async def make(site: Site, body: dict[str, object], role: str = "engine") -> tuple[int, Any]:
    answer = await site.node.post(HOOKS, body, role)
    return answer.status, await answer.json(content_type=None)


async def listed(site: Site, role: str = "admin") -> list[dict[str, Any]]:
    found = await site.node.json(HOOKS, role)
    assert isinstance(found["items"], list)
    return found["items"]


async def drop(site: Site, name: str, role: str) -> int:
    return (await site.node.client.delete(f"{HOOKS}/{name}", headers=site.node.headers(role))).status


async def test_a_secret_is_shown_once(site: Site) -> None:
    status, made = await make(site, {"url": URL})
    (shown,) = await listed(site)

    assert status == 201
    assert made["secret"].startswith("whsec_")
    assert (made["events"], made["tlp"], made["state"]) == (["response"], "amber", "active")
    assert "secret" not in shown
    assert {**shown, "secret": made["secret"]} == made
    assert site.told


async def test_an_engine_sees_and_removes_its_own_alone(site: Site) -> None:
    _, own = await make(site, {"url": URL})
    _, other = await make(site, {"url": URL, "tlp": "red"}, "admin")

    assert [one["id"] for one in await listed(site, "engine")] == [own["id"]]
    assert {one["id"] for one in await listed(site)} == {own["id"], other["id"]}
    assert await drop(site, other["id"], "engine") == 404
    assert await drop(site, own["id"], "engine") == 200
    assert await drop(site, other["id"], "admin") == 200
    assert await drop(site, "x" * 32, "admin") == 404
    assert await listed(site) == []


@pytest.mark.parametrize("role", ["agent", "other", "soc"])
async def test_others_have_no_webhooks(site: Site, role: str) -> None:
    assert (await make(site, {"url": URL}, role))[0] == 403
    assert (await site.node.get(HOOKS, role)).status == 403
    assert await drop(site, "0" * 32, role) == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": "https://169.254.169.254/"},
        {"url": "https://10.0.0.1/"},
        {"url": "http://example.org/"},
        {"url": URL, "events": []},
        {"url": URL, "events": ["reset"]},
        {"url": URL, "events": ["response"] * 5},
        {"url": URL, "tlp": "red"},
        {"url": URL, "tlp": "purple"},
        {"url": URL, "secret": "whsec_mine"},
        {"url": 7},
    ],
)
async def test_a_webhook_that_cannot_be_is_refused(site: Site, body: dict[str, object]) -> None:
    assert (await make(site, body))[0] == 400
    assert await listed(site) == []


async def test_a_hook_may_hear_less_than_its_token(site: Site) -> None:
    _, made = await make(site, {"url": URL, "tlp": "green", "events": ["trust", "trust"]})

    assert (made["tlp"], made["events"]) == ("green", ["trust"])


async def test_there_are_only_so_many_of_one_token(site: Site) -> None:
    for _ in range(webhooks.PER_TOKEN):
        assert (await make(site, {"url": URL}))[0] == 201
    status, told = await make(site, {"url": URL})

    assert (status, "delete some" in told["detail"]) == (409, True)
    assert (await make(site, {"url": URL}, "admin"))[0] == 201


async def test_they_are_listed_page_by_page(site: Site) -> None:
    made = {(await make(site, {"url": URL}))[1]["id"] for _ in range(3)}
    first = await site.node.json(f"{HOOKS}?limit=2", "engine")
    rest = await site.node.json(f"{HOOKS}?limit=2&cursor={first['next']}", "engine")

    assert rest["next"] is None
    assert {one["id"] for one in first["items"] + rest["items"]} == made


async def test_the_status_counts_them(site: Site) -> None:
    await make(site, {"url": URL})

    assert (await site.node.json("/api/v1/status"))["responses"]["webhooks"] == {"active": 1, "disabled": 0}
