from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from ioint_node.store import dead_letters, tokens, webhooks
from ioint_node.store.stream import StreamRow

from tests.node.respond.conftest import Site
from tests.node.respond.receiver import receiving, tell
from tests.node.web.conftest import NOW

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


async def act(
    site: Site, path: str, body: dict[str, object] | None = None, role: str = "engine"
) -> tuple[int, Any]:
    answer = await site.node.post(f"{HOOKS}/{path}", {} if body is None else body, role)
    return answer.status, await answer.json(content_type=None)


async def test_of_a_pair_of_keys_the_public_one_alone_is_shown(site: Site) -> None:
    _, made = await make(site, {"url": URL, "scheme": "v1a"})
    answer = await site.node.client.get(f"/.well-known/ioint-webhook-keys/{made['id']}")
    _, changed = await act(site, f"{made['id']}/rotate", {"grace_s": 60})
    both = await site.node.client.get(f"/.well-known/ioint-webhook-keys/{made['id']}")

    assert made["public_key"].startswith("whpk_")
    assert "secret" not in made
    assert (await answer.json(content_type=None))["keys"] == [made["public_key"]]
    assert (await both.json(content_type=None))["keys"] == [changed["public_key"], made["public_key"]]
    assert changed["previous_until"] is not None


async def test_whoever_knows_no_webhook_is_told_no_key(site: Site) -> None:
    _, made = await make(site, {"url": URL})
    for name in (made["id"], "0" * 32, "x"):
        answer = await site.node.client.get(f"/.well-known/ioint-webhook-keys/{name}")
        assert answer.status == 404


async def test_a_key_may_be_changed_for_one_of_the_other_kind(site: Site) -> None:
    _, made = await make(site, {"url": URL})
    status, changed = await act(site, f"{made['id']}/rotate", {"scheme": "v1a", "grace_s": 0})

    assert (status, changed["scheme"], changed["previous_until"]) == (200, "v1a", None)
    assert "secret" not in changed


@pytest.mark.parametrize(
    ("body", "events"),
    [
        ({}, ["response"]),
        ({"filter": "state:watched"}, ["reputation", "withdrawal"]),
        ({"actor": "a-1"}, ["trust", "response"]),
        ({"filter": "state:watched", "events": ["withdrawal"]}, ["withdrawal"]),
    ],
)
async def test_what_is_asked_for_says_which_events_are_posted(
    site: Site, body: dict[str, object], events: list[str]
) -> None:
    status, made = await make(site, {"url": URL, **body})

    assert (status, made["events"], made["filter"]) == (201, events, body.get("filter"))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"filter": "colour:red"}, 400),
        ({"saved": "9b2f2f0e-6f0e-4b0e-8f0e-2f0e6f0e4b0e"}, 404),
        ({"scheme": "v2"}, 400),
        ({"actor": ""}, 400),
    ],
)
async def test_terms_that_make_no_sense_are_refused(site: Site, body: dict[str, object], status: int) -> None:
    assert (await make(site, {"url": URL, **body}))[0] == status


async def test_a_test_posts_a_ping_and_says_what_came_of_it(site: Site) -> None:
    async with receiving() as receiver:
        receiver.answers = [500]
        _, made = await make(site, {"url": receiver.url})
        failed = await act(site, f"{made['id']}/test")
        taken = await act(site, f"{made['id']}/test")
        (headers, body), _ = receiver.came

    assert failed == (200, {"id": made["id"], "taken": False, "status": "500"})
    assert taken == (200, {"id": made["id"], "taken": True, "status": "204"})
    assert json.loads(body)["type"] == "ping"
    assert headers["webhook-signature"].startswith("v1,")


async def test_one_webhook_says_how_it_stands(site: Site) -> None:
    _, made = await make(site, {"url": URL})
    await tell(site.parts.store, 1, now=NOW)
    status, shown = await show(site, made["id"])

    assert status == 200
    assert (shown["behind"], shown["dead_letters"], shown["delivered"]) == (1, 0, 0)
    assert "secret" not in shown


async def test_a_replay_begins_at_a_row_that_is_kept(site: Site) -> None:
    _, made = await make(site, {"url": URL})
    for number in range(3):
        await tell(site.parts.store, number, now=NOW)
    status, moved = await act(site, f"{made['id']}/replay", {"from": 2})
    refused, told = await act(site, f"{made['id']}/replay", {"from": 9})

    assert (status, moved["cursor"]) == (200, 1)
    assert (refused, told["field"], "1 to 3 are" in told["detail"]) == (400, "from", True)


async def test_dead_letters_are_listed_wanted_again_and_dropped(site: Site) -> None:
    _, made = await make(site, {"url": URL})
    name = made["id"]
    for seq in (1, 2, 3):
        row = StreamRow(seq=seq, at="2026-11-18T11:06:40Z", event="response", tlp="amber", body='{"a":1}')
        await site.parts.store.write(
            partial(dead_letters.put, hook=name, row=row, attempts=3, reason="422", now=NOW)
        )
    first = await site.node.json(f"{HOOKS}/{name}/dead?limit=2", "engine")
    rest = await site.node.json(f"{HOOKS}/{name}/dead?limit=2&cursor={first['next']}", "engine")

    assert [one["seq"] for one in first["items"] + rest["items"]] == [1, 2, 3]
    assert (first["items"][0]["reason"], first["items"][0]["data"], rest["next"]) == ("422", {"a": 1}, None)
    assert await act(site, f"{name}/dead/replay", {"seq": 2}) == (202, {"id": name, "due": 1})
    assert (await act(site, f"{name}/dead/replay", {"seq": 7}))[0] == 404
    assert await forget(site, f"{name}/dead?seq=1") == (200, {"id": name, "dropped": 1})
    assert await forget(site, f"{name}/dead") == (200, {"id": name, "dropped": 2})


async def test_nobody_touches_the_webhook_of_another(site: Site) -> None:
    _, other = await make(site, {"url": URL}, "admin")
    for path in ("test", "enable", "rotate", "dead/replay"):
        assert (await act(site, f"{other['id']}/{path}"))[0] == 404
    assert (await act(site, f"{other['id']}/replay", {"from": 1}))[0] == 404
    assert (await show(site, other["id"]))[0] == 404
    assert (await forget(site, f"{other['id']}/dead"))[0] == 404
    assert (await site.node.get(f"{HOOKS}/{other['id']}/dead", "engine")).status == 404


async def show(site: Site, name: str) -> tuple[int, Any]:
    answer = await site.node.get(f"{HOOKS}/{name}", "engine")
    return answer.status, await answer.json(content_type=None)


async def forget(site: Site, path: str) -> tuple[int, Any]:
    answer = await site.node.client.delete(f"{HOOKS}/{path}", headers=site.node.headers("engine"))
    return answer.status, await answer.json(content_type=None)


async def test_a_token_of_an_administrator_that_is_cut_down_has_its_own_webhooks_alone(site: Site) -> None:
    _, other = await make(site, {"url": URL})
    made = await site.parts.store.write(
        partial(
            tokens.create, role="admin", actor=None, tlp="red", expires=None, now=NOW, scopes=("subscribe",)
        )
    )
    site.node.keys["cut"] = made.token
    assert await listed(site, "cut") == []
    assert (await act(site, f"{other['id']}/rotate", role="cut"))[0] == 404
    assert await drop(site, other["id"], "cut") == 404
    assert [one["id"] for one in await listed(site)] == [other["id"]]


async def test_dead_letters_above_the_clearance_of_who_reads_them_are_not_listed(site: Site) -> None:
    _, hook = await make(site, {"url": URL})
    for seq, label in enumerate(("amber", "green"), 1):
        row = StreamRow(seq=seq, at="2026-11-18T11:06:40Z", event="response", tlp=label, body='{"a":1}')
        await site.parts.store.write(
            partial(dead_letters.put, hook=hook["id"], row=row, attempts=3, reason="422", now=NOW)
        )
    made = await site.parts.store.write(
        partial(tokens.create, role="admin", actor=None, tlp="green", expires=None, now=NOW)
    )
    site.node.keys["open"] = made.token
    path = f"{HOOKS}/{hook['id']}/dead"
    assert [one["seq"] for one in (await site.node.json(path, "open"))["items"]] == [2]
    assert [one["seq"] for one in (await site.node.json(path, "engine"))["items"]] == [1, 2]


async def test_two_letters_of_one_number_are_both_listed(site: Site) -> None:
    _, hook = await make(site, {"url": URL})
    for event in ("reset", "response"):
        row = StreamRow(seq=1, at="2026-11-18T11:06:40Z", event=event, tlp="clear", body='{"a":1}')
        await site.parts.store.write(
            partial(dead_letters.put, hook=hook["id"], row=row, attempts=3, reason="422", now=NOW)
        )
    path = f"{HOOKS}/{hook['id']}/dead?limit=1"
    first = await site.node.json(path, "engine")
    second = await site.node.json(f"{path}&cursor={first['next']}", "engine")
    assert [one["event"] for one in first["items"] + second["items"]] == ["reset", "response"]
