from __future__ import annotations

import asyncio
import base64
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from ioint_node import posting
from ioint_node.hooks import HookLimits, Hooks
from ioint_node.posting import Pauses, PostLimits
from ioint_node.store import dead_letters, stream, tokens, webhooks
from ioint_node.store.dead_letters import DeadLetter
from ioint_node.store.engine import Store
from ioint_node.store.stream import StreamRow
from ioint_node.store.times import to_text
from ioint_node.store.tokens import Caller
from ioint_node.store.webhooks import Webhook
from ioint_node.webhook_keys import Scheme, public_key, signed
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from tests.node.respond.receiver import Receiver, hook_now, make_hook, receiving, running, tell, until
from tests.node.web.conftest import NOW, Clock

LIMITS = HookLimits(
    round_s=0.001, post=PostLimits(request_s=0.3, answer_s=0.05), pauses=Pauses(after_s=(5.0, 10.0))
)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def maker(store: Store) -> Caller:
    made = await store.write(
        lambda connection: tokens.create(connection, "engine", None, "amber", None, now=NOW)
    )
    return Caller(id=made.id, role="engine", actor=None, tlp="amber", expires=None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_signature_is_the_one_of_the_standard() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    found = signed([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')

    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_rows_come_in_order_once_and_verify(store: Store, receiver: Receiver, maker: Caller) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    async with running(Hooks(store, LIMITS)) as hooks:
        for number in range(3):
            await tell(store, number, now=NOW)
            hooks.wake()
        bodies = await receiver.wait_for(3)
        done = await until(store, hook, lambda one: one.cursor == 3)

    assert [body["data"]["number"] for body in bodies] == [0, 1, 2]
    assert [body["data"]["seq"] for body in bodies] == [1, 2, 3]
    assert {(body["type"], body["timestamp"]) for body in bodies} == {("response", to_text(NOW))}
    assert receiver.ids == [f"msg_{hook.id}_{seq}" for seq in (1, 2, 3)]
    assert (done.last_status, done.attempts, hooks.counts["delivered"]) == ("204", 0, 3)
    for headers, body in receiver.came:
        Verifier(hook.secret).verify(body, headers)


async def test_a_hook_hears_what_it_asked_for_and_may_see(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    await make_hook(store, maker, receiver.url, "trust", "reputation", now=NOW)
    await tell(store, 1, event="response", now=NOW)
    await tell(store, 2, event="trust", tlp="red", now=NOW)
    await tell(store, 3, event="trust", now=NOW)
    await tell(store, 4, event="reputation", tlp="clear", now=NOW)
    async with running(Hooks(store, LIMITS)):
        bodies = await receiver.wait_for(2)

    assert [body["data"]["number"] for body in bodies] == [3, 4]


async def test_what_was_written_before_the_hook_is_not_posted(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    await tell(store, 1, now=NOW)
    await make_hook(store, maker, receiver.url, now=NOW)
    await tell(store, 2, now=NOW)
    async with running(Hooks(store, LIMITS)):
        assert [body["data"]["number"] for body in await receiver.wait_for(1)] == [2]


async def test_a_failure_is_tried_again_later_under_the_same_id_and_holds_up_what_follows(
    store: Store, receiver: Receiver, maker: Caller, clock: Clock
) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    receiver.answers = [500]
    await tell(store, 1, now=NOW)
    await tell(store, 2, now=NOW)
    async with running(Hooks(store, LIMITS, now=clock)) as hooks:
        failed = await until(store, hook, lambda one: one.attempts == 1)
        assert (len(receiver.came), failed.cursor, failed.last_status) == (1, 0, "500")
        assert to_text(NOW + 5_000) <= failed.not_before <= to_text(NOW + 5_500)
        clock.now += 6_000
        hooks.wake()
        await receiver.wait_for(3)
        done = await until(store, hook, lambda one: one.cursor == 2)

    assert receiver.ids == [f"msg_{hook.id}_{seq}" for seq in (1, 1, 2)]
    assert (done.attempts, done.state) == (0, "active")
    first, second = (headers["webhook-timestamp"] for headers, _ in receiver.came[:2])
    assert int(second) - int(first) == 6


async def test_who_never_answers_well_is_disabled_and_it_is_said(
    store: Store, receiver: Receiver, maker: Caller, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    receiver.answers = [500, 503, 404]
    await tell(store, 1, now=NOW)
    caplog.set_level(logging.DEBUG)
    async with running(Hooks(store, LIMITS, now=clock)) as hooks:
        for attempts in (1, 2, 3):
            found = await until(store, hook, lambda one, n=attempts: one.attempts == n)  # type: ignore[misc]
            clock.now += 70_000
            hooks.wake()
        async with store.read() as connection:
            counted = await webhooks.count(connection)

    assert (found.state, found.last_status) == ("disabled", "disabled after 3 attempts: 404")
    assert (counted, len(receiver.came)) == ({"active": 0, "disabled": 1}, 3)
    assert f"webhook_disabled id={hook.id}" in caplog.text
    assert hook.secret not in caplog.text
    assert receiver.url not in caplog.text
    assert hook.secret not in repr(found)


async def test_who_is_gone_is_not_asked_again(store: Store, receiver: Receiver, maker: Caller) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    receiver.answers = [410]
    await tell(store, 1, now=NOW)
    async with running(Hooks(store, LIMITS)):
        found = await until(store, hook, lambda one: one.state == "disabled")

    assert found.last_status == "disabled after 1 attempt: 410"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(
    store: Store, receiver: Receiver, maker: Caller, status: int
) -> None:
    async def redirect(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": receiver.url.replace("hook", "elsewhere")})

    hook = await make_hook(store, maker, receiver.url, now=NOW)
    receiver.answers = [redirect]
    await tell(store, 1, now=NOW)
    async with running(Hooks(store, LIMITS)):
        found = await until(store, hook, lambda one: one.attempts == 1)

    assert (found.last_status, receiver.elsewhere) == (f"{status}: redirects are not followed", 0)


async def test_who_hangs_fails_in_time_and_keeps_nobody_waiting(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    ended = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    async with receiving() as other:
        hanging = await make_hook(store, maker, receiver.url, now=NOW)
        await make_hook(store, maker, other.url, now=NOW)
        receiver.answers = [hang]
        await tell(store, 1, now=NOW)
        async with running(Hooks(store, replace(LIMITS, hooks_at_once=2))):
            await other.wait_for(1)
            found = await until(store, hanging, lambda one: one.attempts == 1)
        ended.set()

    assert (found.cursor, found.last_status) == (0, "no answer within 0.3 s")


async def test_the_hooks_of_one_token_never_keep_those_of_another_waiting(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    made = await store.write(
        lambda connection: tokens.create(connection, "engine", None, "amber", None, now=NOW)
    )
    ended = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    receiver.answers = [hang] * webhooks.PER_TOKEN
    limits = replace(LIMITS, post=PostLimits(request_s=60.0), hooks_at_once=4, hooks_per_maker=2)
    for _ in range(webhooks.PER_TOKEN):
        await make_hook(store, maker, receiver.url, now=NOW)
    await tell(store, 1, now=NOW)
    async with receiving() as other, running(Hooks(store, limits)) as hooks:
        await receiver.wait_for(2)
        await make_hook(store, replace(maker, id=made.id), other.url, now=NOW)
        await tell(store, 2, now=NOW)
        hooks.wake()
        (heard,) = await other.wait_for(1)
        hanging = len(receiver.came)
        ended.set()

    assert (heard["data"]["number"], hanging) == (2, 2)


@pytest.mark.parametrize("limits", [replace(LIMITS, turn_s=0.0), replace(LIMITS, rows_at_once=1)])
async def test_hooks_take_turns(store: Store, receiver: Receiver, maker: Caller, limits: HookLimits) -> None:
    hooks = [await make_hook(store, maker, receiver.url, now=NOW) for _ in range(3)]
    for number in range(3):
        await tell(store, number, now=NOW)
    async with running(Hooks(store, replace(limits, hooks_at_once=1))):
        bodies = await receiver.wait_for(9)
        for hook in hooks:
            await until(store, hook, lambda one: one.cursor == 3)

    assert [body["data"]["number"] for body in bodies] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("endless", [False, True])
async def test_the_body_of_an_answer_costs_next_to_nothing(
    store: Store, receiver: Receiver, maker: Caller, *, endless: bool
) -> None:
    sent = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        try:
            while endless or sent < 1_000_000_000:
                await response.write(b"x" * 65_536)
                sent += 65_536
        except ConnectionError:
            pass
        return response

    hook = await make_hook(store, maker, receiver.url, now=NOW)
    receiver.answers = [pour]
    await tell(store, 1, now=NOW)
    await tell(store, 2, now=NOW)
    async with running(Hooks(store, LIMITS)):
        done = await until(store, hook, lambda one: one.cursor == 2)

    assert (done.last_status, len(receiver.came)) == ("204", 2)
    assert sent < 50_000_000


async def test_an_answer_that_drips_is_taken_for_what_its_head_says(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    ended = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=202)
        await response.prepare(request)
        await ended.wait()
        return response

    hook = await make_hook(store, maker, receiver.url, now=NOW)
    receiver.answers = [drip]
    await tell(store, 1, now=NOW)
    async with running(Hooks(store, LIMITS)):
        done = await until(store, hook, lambda one: one.cursor == 1)
    ended.set()

    assert done.last_status == "202"


async def test_nobody_listening_is_a_failure(store: Store, maker: Caller) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/secret-path"
        hook = await make_hook(store, maker, url, now=NOW)
        await tell(store, 1, now=NOW)
        async with running(Hooks(store, LIMITS)):
            found = await until(store, hook, lambda one: one.attempts == 1)

    assert found.last_status == "no answer: ClientConnectorError"


async def test_a_restart_goes_on_where_it_was(store: Store, receiver: Receiver, maker: Caller) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    for number in (1, 2):
        await tell(store, number, now=NOW)
        async with running(Hooks(store, LIMITS)):
            await until(store, hook, lambda one, n=number: one.cursor == n)  # type: ignore[misc]
    await tell(store, 3, now=NOW)
    async with running(Hooks(store, LIMITS)):
        bodies = await receiver.wait_for(3)

    assert [body["data"]["number"] for body in bodies] == [1, 2, 3]


async def test_more_rows_than_go_at_once_all_come(store: Store, receiver: Receiver, maker: Caller) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    for number in range(5):
        await tell(store, number, now=NOW)
    async with running(Hooks(store, replace(LIMITS, rows_at_once=2))):
        await until(store, hook, lambda one: one.cursor == 5)

    assert [body["data"]["number"] for body in receiver.bodies] == list(range(5))


async def test_a_row_of_hooks_longer_than_go_at_once_is_all_served(store: Store, maker: Caller) -> None:
    async with receiving() as one:
        for _ in range(webhooks.PER_TOKEN):
            await make_hook(store, maker, one.url, now=NOW)
        await tell(store, 1, now=NOW)
        async with running(Hooks(store, replace(LIMITS, hooks_at_once=2))):
            await one.wait_for(webhooks.PER_TOKEN)

    assert len(set(one.ids)) == webhooks.PER_TOKEN


async def test_a_cursor_is_written_now_and_then_also_where_nothing_was_wanted(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    for number in range(3):
        await tell(store, number, event="trust", now=NOW)
    async with running(Hooks(store, replace(LIMITS, passed_rows=3))):
        found = await until(store, hook, lambda one: one.cursor == 3)

    assert (found.last_status, receiver.came) == ("nothing delivered yet", [])


async def test_a_hook_ends_with_the_token_that_made_it(
    store: Store, receiver: Receiver, maker: Caller, clock: Clock
) -> None:
    ending = await store.write(
        lambda connection: tokens.create(connection, "engine", None, "amber", NOW + 1_000, now=NOW)
    )
    short = replace(maker, id=ending.id)
    hooks = [await make_hook(store, who, receiver.url, now=NOW) for who in (maker, short)]
    await store.write(lambda connection: tokens.revoke(connection, maker.id, now=NOW))
    clock.now += 1_000
    await tell(store, 1, now=NOW)
    async with running(Hooks(store, LIMITS, now=clock)):
        found = [await until(store, hook, lambda one: one.state == "disabled") for hook in hooks]

    assert {one.last_status for one in found} == {webhooks.MAKER_GONE}
    assert receiver.came == []


async def test_who_missed_rows_that_are_gone_is_told_to_start_over(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    for number in range(4):
        await tell(store, number, now=NOW + number)
    await store.write(lambda connection: stream.trim(connection, NOW + 2))
    async with running(Hooks(store, LIMITS)):
        bodies = await receiver.wait_for(3)

    assert (bodies[0]["type"], bodies[0]["data"]["snapshot"]) == ("reset", "/api/v1/snapshot")
    assert [body["data"].get("number") for body in bodies] == [None, 2, 3]
    assert (await hook_now(store, hook)).state == "active"


async def test_a_database_that_fails_for_a_while_ends_no_hook(
    store: Store, receiver: Receiver, maker: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    real, failed = webhooks.active, asyncio.Event()

    async def fails(_connection: object) -> None:
        failed.set()
        raise OSError("no database")

    monkeypatch.setattr(webhooks, "active", fails)
    await tell(store, 1, now=NOW)
    async with running(Hooks(store, LIMITS)) as hooks:
        await failed.wait()
        monkeypatch.setattr(webhooks, "active", real)
        hooks.wake()
        await until(store, hook, lambda one: one.cursor == 1)


async def test_a_name_that_leads_inside_later_is_refused_at_the_post(
    store: Store, maker: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(name: str, port: int, _family: int) -> list[ResolveResult]:
        return [ResolveResult(hostname=name, host="10.0.0.1", port=port, family=0, proto=0, flags=0)]

    monkeypatch.setattr(posting, "look_up", resolve)
    hook = await make_hook(store, maker, "https://rebound.example/x", now=NOW)
    await tell(store, 1, now=NOW)
    async with running(Hooks(store, LIMITS)):
        found = await until(store, hook, lambda one: one.attempts == 1)

    assert found.last_status.startswith("refused: url: an address of a private network")


async def test_a_private_address_is_refused_once_the_setting_is_taken_back(
    store: Store, maker: Caller
) -> None:
    hook = await make_hook(store, maker, "https://10.0.0.1/x", now=NOW)
    await tell(store, 1, now=NOW)
    async with running(Hooks(store, LIMITS, private=False)):
        found = await until(store, hook, lambda one: one.attempts == 1)

    assert "webhook_private" in found.last_status


async def test_what_the_receiver_says_is_at_fault_becomes_a_dead_letter_and_the_rest_goes_on(
    store: Store, receiver: Receiver, maker: Caller, clock: Clock
) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    receiver.answers = [422, 422, 422]
    await tell(store, 1, now=NOW)
    await tell(store, 2, now=NOW)
    limits = replace(LIMITS, pauses=Pauses(after_s=(5.0,) * 20))
    async with running(Hooks(store, limits, now=clock)) as hooks:
        for attempts in (1, 2):
            await until(store, hook, lambda one, n=attempts: one.attempts == n)  # type: ignore[misc]
            clock.now += 6_000
            hooks.wake()
        await until(store, hook, lambda one: one.cursor == 2)
    (letter,) = await letters_of(store, hook)

    assert receiver.ids == [f"msg_{hook.id}_{seq}" for seq in (1, 1, 1, 2)]
    assert (letter.row.seq, letter.attempts, letter.reason) == (1, 3, "422")
    assert letter.to_json()["data"]["number"] == 1


async def test_what_nobody_took_is_a_dead_letter_of_a_disabled_hook_which_goes_on_behind_it(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    receiver.answers = [500]
    await tell(store, 1, now=NOW)
    await tell(store, 2, now=NOW)
    async with running(Hooks(store, replace(LIMITS, pauses=Pauses(after_s=())))) as hooks:
        found = await until(store, hook, lambda one: one.state == "disabled")
        assert [letter.row.seq for letter in await letters_of(store, hook)] == [1]
        assert found.cursor == 1
        await store.write(lambda connection: webhooks.enable(connection, hook.id, maker, NOW))
        hooks.wake()
        await until(store, hook, lambda one: one.cursor == 2)

    assert receiver.ids == [f"msg_{hook.id}_{seq}" for seq in (1, 2)]


async def test_a_dead_letter_that_is_wanted_comes_once_more_under_its_id_and_is_gone_once_taken(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    await bury(store, hook, 1, 2, 3)
    receiver.answers = [204, 500]
    async with running(Hooks(store, LIMITS)) as hooks:
        wanted = await store.write(lambda connection: dead_letters.want(connection, hook.id, None))
        hooks.wake()
        await receiver.wait_for(3)
        while len(left := await letters_of(store, hook)) > 1 or left[0].due:
            pass

    assert (wanted, receiver.ids) == (3, [f"msg_{hook.id}_{seq}" for seq in (1, 2, 3)])
    assert [(letter.row.seq, letter.attempts, letter.reason) for letter in left] == [(2, 2, "500")]


async def test_before_there_are_too_many_dead_letters_the_hook_is_disabled_and_loses_nothing(
    store: Store, receiver: Receiver, maker: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "PER_HOOK", 2)
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    receiver.answers = [422] * 3
    for number in range(3):
        await tell(store, number, now=NOW)
    async with running(Hooks(store, replace(LIMITS, refusals=1))):
        found = await until(store, hook, lambda one: one.state == "disabled")

    assert [letter.row.seq for letter in await letters_of(store, hook)] == [1, 2]
    assert (found.cursor, found.last_status) == (2, "disabled: 2 dead letters, replay or drop some")


async def test_a_row_that_is_kept_comes_again_with_all_behind_it(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)
    for number in range(3):
        await tell(store, number, now=NOW)
    async with running(Hooks(store, LIMITS)) as hooks:
        await until(store, hook, lambda one: one.cursor == 3)
        await store.write(lambda connection: webhooks.replay(connection, hook.id, maker, 2))
        hooks.wake()
        await receiver.wait_for(5)
        await until(store, hook, lambda one: one.cursor == 3)

    assert receiver.ids == [f"msg_{hook.id}_{seq}" for seq in (1, 2, 3, 2, 3)]


async def test_a_replay_that_is_asked_for_while_a_row_is_on_its_way_is_not_forgotten(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    hook = await make_hook(store, maker, receiver.url, now=NOW)

    async def meanwhile(_request: web.Request) -> web.Response:
        await store.write(lambda connection: webhooks.replay(connection, hook.id, maker, 1))
        return web.Response(status=204)

    await tell(store, 1, now=NOW)
    async with running(Hooks(store, LIMITS)) as hooks:
        await until(store, hook, lambda one: one.cursor == 1)
        receiver.answers = [meanwhile]
        await tell(store, 2, now=NOW)
        hooks.wake()
        await receiver.wait_for(4)
        await until(store, hook, lambda one: one.cursor == 2)

    assert receiver.ids == [f"msg_{hook.id}_{seq}" for seq in (1, 2, 1, 2)]


async def test_a_receiver_that_has_too_much_to_do_is_given_the_time_it_asks_for(
    store: Store, receiver: Receiver, maker: Caller, clock: Clock
) -> None:
    async def later(_request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "600"})

    hook = await make_hook(store, maker, receiver.url, now=NOW)
    receiver.answers = [later]
    await tell(store, 1, now=NOW)
    async with running(Hooks(store, LIMITS, now=clock)):
        found = await until(store, hook, lambda one: one.attempts == 1)

    assert to_text(NOW + 600_000) <= found.not_before <= to_text(NOW + 660_000)


@pytest.mark.parametrize("scheme", ["v1", "v1a"])
async def test_while_a_key_is_changed_both_sign(
    store: Store, receiver: Receiver, maker: Caller, clock: Clock, scheme: Scheme
) -> None:
    clock.now = time.time_ns() // 1_000_000  # the library of others looks at its own
    hook = await make_hook(store, maker, receiver.url, now=NOW, scheme=scheme)
    async with running(Hooks(store, LIMITS, now=clock)) as hooks:
        changed = await store.write(
            lambda connection: webhooks.rotate(
                connection, hook.id, maker, scheme=None, grace_s=60, now=clock.now
            )
        )
        await tell(store, 1, now=NOW)
        hooks.wake()
        await receiver.wait_for(1)
        clock.now += 60_000
        await tell(store, 2, now=NOW)
        hooks.wake()
        await until(store, hook, lambda one: one.cursor == 2 and one.previous_secret is None)

    (both, body), (alone, after) = receiver.came
    assert changed.secret != hook.secret
    assert (verifies(changed, both, body), verifies(hook, both, body)) == (True, True)
    assert (verifies(changed, alone, after), verifies(hook, alone, after)) == (True, False)


async def test_a_hook_hears_what_its_filter_takes_and_of_its_actor(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    await make_hook(store, maker, receiver.url, "trust", "response", now=NOW, actor="a-1")
    await tell(store, 1, now=NOW)
    other = {"actor": "a-2", "number": 2}
    await store.write(lambda connection: stream.append(connection, "trust", other, "amber", NOW))
    await tell(store, 3, now=NOW)
    async with running(Hooks(store, LIMITS)):
        bodies = await receiver.wait_for(2)

    assert [body["data"]["number"] for body in bodies] == [1, 3]


async def test_a_hook_ends_with_the_saved_filter_that_it_follows(
    store: Store, receiver: Receiver, maker: Caller
) -> None:
    gone = "9b2f2f0e-6f0e-4b0e-8f0e-2f0e6f0e4b0e"
    hook = await make_hook(store, maker, receiver.url, "reputation", now=NOW, saved=gone)
    await tell(store, 1, event="reputation", now=NOW)
    async with running(Hooks(store, LIMITS)):
        found = await until(store, hook, lambda one: one.state == "disabled")

    assert (found.last_status, found.cursor) == (f"disabled: saved: no saved filter '{gone}'", 0)


def verifies(hook: Webhook, headers: dict[str, str], body: bytes) -> bool:
    """Whether a post is signed with the key of a hook as it was: checked by others' code."""
    public = public_key(hook.secret)
    if public is None:
        content = {name: headers[name] for name in headers if name.startswith("webhook-")}
        with suppress(WebhookVerificationError):
            Verifier(hook.secret).verify(body, content)
            return True
        return False
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    content_signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for one in headers["webhook-signature"].split(" "):
        with suppress(InvalidSignature):
            key.verify(base64.b64decode(one.removeprefix("v1a,")), content_signed)
            return True
    return False


async def letters_of(store: Store, hook: Webhook) -> tuple[DeadLetter, ...]:
    async with store.read() as connection:
        return await dead_letters.page(connection, hook.id, "red", 100)


async def bury(store: Store, hook: Webhook, *numbers: int) -> None:
    for number in numbers:
        row = StreamRow(seq=number, at=to_text(NOW), event="response", tlp="amber", body='{"number":1}')
        await store.write(
            partial(dead_letters.put, hook=hook.id, row=row, attempts=1, reason="no answer", now=NOW)
        )
