"""Tokens that are pushed: what a receiver gets, and what becomes of those that it does not take."""

from __future__ import annotations

import pytest
from ioint_node.store import stream
from ioint_node.store.signals import PAUSED
from ioint_node.transmitter import Transmitter

from tests.node.ssf.conftest import LIMITS, PUSH, Receiver, Transmitting
from tests.node.web.conftest import NOW

pytestmark = pytest.mark.network
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"


async def test_a_token_is_as_the_standard_has_it(site: Transmitting, receiver: Receiver) -> None:
    made = await site.make_push(receiver.url, delivery={"authorization_header": "Bearer r-1"})
    seq = await site.halt("a-7")
    async with site.running():
        [claims] = await receiver.wait_for(1)

    assert not {"sub", "exp"} & set(claims)
    assert (claims["iss"], claims["aud"], claims["iat"]) == (site.node.url, made["aud"], NOW // 1000)
    assert claims["jti"] == f"{made['stream_id']}.{seq}"
    assert claims["sub_id"] == {"format": "iss_sub", "iss": site.node.url, "sub": "a-7"}
    assert isinstance(claims["txn"], str)
    [event] = claims["events"]
    assert event == f"{CAEP}session-revoked"
    assert claims["events"][event]["event_timestamp"] == NOW // 1000
    assert claims["events"][event]["reason_admin"]["en"]
    [headers] = receiver.headers
    assert headers["content-type"] == "application/secevent+jwt"
    assert headers["accept"] == "application/json"
    assert headers["authorization"] == "Bearer r-1"


async def test_events_come_once_and_in_their_order(site: Transmitting, receiver: Receiver) -> None:
    name = (await site.make_push(receiver.url))["stream_id"]
    async with site.running():
        told = [await site.halt(f"a-{number}") for number in range(40)]
        claims = await receiver.wait_for(40)
        kept = await site.until(name, lambda of: of.cursor == told[-1])

    assert [one["jti"] for one in claims] == [f"{name}.{seq}" for seq in told]
    assert (kept.attempts, kept.last_status) == (0, "202")
    assert site.signals.counts["delivered"] == 40


async def test_a_token_that_is_not_taken_comes_again_as_it_was_and_before_the_next(
    site: Transmitting, receiver: Receiver
) -> None:
    name = (await site.make_push(receiver.url))["stream_id"]
    receiver.answers = [503]
    await site.halt("a-1")
    await site.halt("a-2")
    async with site.running():
        await receiver.wait_for(1)
        failing = await site.until(name, lambda of: of.attempts == 1)
        site.clock.now += 60_000
        site.transmitter.wake()
        claims = await receiver.wait_for(3)

    assert failing.last_status == "503"
    assert receiver.bodies[0] == receiver.bodies[1]
    assert [one["sub_id"]["sub"] for one in claims] == ["a-1", "a-1", "a-2"]


@pytest.mark.parametrize("status", [200, 204, 302])
async def test_only_what_the_standard_calls_taken_is_taken(
    site: Transmitting, receiver: Receiver, status: int
) -> None:
    name = (await site.make_push(receiver.url))["stream_id"]
    receiver.answers = [status]
    await site.halt()
    async with site.running():
        failing = await site.until(name, lambda of: of.attempts == 1)

    assert failing.last_status.startswith(str(status))
    assert receiver.elsewhere == 0


async def test_a_receiver_that_cannot_use_a_token_is_heard(
    site: Transmitting, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    name = (await site.make_push(receiver.url))["stream_id"]
    receiver.answers = [(400, {"err": "invalid_audience", "description": "I am\nsomebody else"})]
    await site.halt()
    async with site.running():
        failing = await site.until(name, lambda of: of.attempts == 1)

    assert failing.last_status == "400 invalid_audience: I am somebody else"
    assert f"signals_failed stream={name}" in caplog.text


@pytest.mark.parametrize("answer", [7, [], {}, {"err": 7}, {"err": "a b\n" * 100}])
async def test_whatever_a_receiver_answers_is_borne(
    site: Transmitting, receiver: Receiver, answer: object
) -> None:
    name = (await site.make_push(receiver.url))["stream_id"]
    receiver.answers = [(400, answer)]
    await site.halt()
    async with site.running():
        failing = await site.until(name, lambda of: of.attempts == 1)

    assert failing.last_status in ("400", "400 other")


async def test_a_token_that_a_receiver_says_it_cannot_read_does_not_stop_the_others(
    site: Transmitting, receiver: Receiver
) -> None:
    name = (await site.make_push(receiver.url))["stream_id"]
    receiver.answers = [(400, {"err": "invalid_request"})] * 3
    await site.halt("a-1")
    last = await site.halt("a-2")
    async with site.running():
        for count in (1, 2):
            await receiver.wait_for(count)
            await site.until(name, lambda of, count=count: of.attempts == count)  # type: ignore[misc]
            site.clock.now += 3_600_000
            site.transmitter.wake()
        claims = await receiver.wait_for(4)
        await site.until(name, lambda of: of.cursor == last)

    assert [one["sub_id"]["sub"] for one in claims] == ["a-1", "a-1", "a-1", "a-2"]
    assert site.signals.counts["refused"] == 1


async def test_a_receiver_that_is_away_for_long_has_its_stream_paused_and_loses_nothing(
    site: Transmitting, receiver: Receiver
) -> None:
    name = (await site.make_push(receiver.url))["stream_id"]
    receiver.answers = [500] * LIMITS.pauses.attempts
    await site.halt("a-1")
    async with site.running():
        for count in range(1, LIMITS.pauses.attempts + 1):
            await receiver.wait_for(count)
            await site.until(
                name,
                lambda of, count=count: of.attempts == count or of.status == PAUSED,  # type: ignore[misc]
            )
            site.clock.now += 3_600_000
            site.transmitter.wake()
        paused = await site.until(name, lambda of: of.status == PAUSED)
        await site.halt("a-2")
        said = await receiver.wait_for(LIMITS.pauses.attempts + 1)
        await site.ask("POST", "/ssf/status", {"stream_id": name, "status": "enabled"})
        claims = await receiver.wait_for(LIMITS.pauses.attempts + 3)

    assert paused.reason == f"paused after {LIMITS.pauses.attempts} attempts: 500"
    assert said[-1]["events"] == {f"{SSF}stream-updated": {"status": "paused", "reason": paused.reason}}
    assert [one["sub_id"]["sub"] for one in claims[-2:]] == ["a-1", "a-2"]


async def test_a_paused_stream_holds_and_a_disabled_one_drops(site: Transmitting, receiver: Receiver) -> None:
    name = (await site.make_push(receiver.url))["stream_id"]
    async with site.running():
        await site.ask("POST", "/ssf/status", {"stream_id": name, "status": "disabled"})
        await site.halt("dropped")
        assert (await site.call("POST", "/ssf/verify", {"stream_id": name})).status == 409
        await site.ask("POST", "/ssf/status", {"stream_id": name, "status": "paused"})
        await site.halt("held")
        await site.ask("POST", "/ssf/verify", {"stream_id": name, "state": "held too"}, status=204)
        assert receiver.bodies == []
        await site.ask("POST", "/ssf/status", {"stream_id": name, "status": "enabled"})
        await site.halt("now")
        claims = await receiver.wait_for(3)

    assert [one["sub_id"].get("sub") for one in claims] == [None, "held", "now"]


async def test_a_verification_is_pushed_with_its_state(site: Transmitting, receiver: Receiver) -> None:
    made = await site.make_push(receiver.url, events_requested=[])
    await site.halt()
    async with site.running():
        body = {"stream_id": made["stream_id"], "state": "VGhpcyBpcyBhbiBleGFtcGxl"}
        await site.ask("POST", "/ssf/verify", body, status=204)
        [claims] = await receiver.wait_for(1)

    assert claims["events"] == {f"{SSF}verification": {"state": body["state"]}}
    assert claims["sub_id"] == {"format": "opaque", "id": made["stream_id"]}
    assert claims["aud"] == made["aud"]


async def test_a_stream_hears_no_more_than_its_token_may(site: Transmitting, receiver: Receiver) -> None:
    await site.make_push(receiver.url, "other")  # may see green
    await site.halt("a-1")
    await site.tell("reputation", _said("aa"), "amber")
    await site.tell("reputation", _said("bb"), "green")
    async with site.running():
        [claims] = await receiver.wait_for(1)

    assert claims["sub_id"]["sub"] == "bb" * 32


async def test_what_is_kept_no_longer_is_told_as_a_gap(site: Transmitting, receiver: Receiver) -> None:
    name = (await site.make_push(receiver.url))["stream_id"]
    await site.halt("gone")
    await site.halt("gone")
    site.clock.now += 86_400_000
    await site.halt("kept")
    await site.node.parts.store.write(lambda connection: stream.trim(connection, site.clock.now))
    async with site.running():
        told, claims = await receiver.wait_for(2)

    [updated] = told["events"].values()
    assert updated["status"] == "enabled"
    assert "gone" in updated["reason"]
    assert claims["sub_id"]["sub"] == "kept"
    assert claims["jti"].startswith(name)


async def test_subjects_are_uris_where_a_stream_wants_it(site: Transmitting, receiver: Receiver) -> None:
    await site.make_push(receiver.url, format="uri")
    await site.accuse(subject="cd" * 32, label="pkg:npm/left-pad")
    async with site.running():
        [claims] = await receiver.wait_for(1)

    assert claims["sub_id"] == {"format": "uri", "uri": "pkg:npm/left-pad"}


async def test_one_that_does_not_answer_holds_up_nobody_else(site: Transmitting, receiver: Receiver) -> None:
    slow = (await site.make_push("http://127.0.0.1:9/events"))["stream_id"]
    await site.make_push(receiver.url)
    await site.halt("a-1")
    async with site.running():
        await receiver.wait_for(1)
        failing = await site.until(slow, lambda of: of.attempts == 1)

    assert failing.last_status.startswith("no answer")


async def test_what_was_taken_before_a_crash_may_come_again_and_nothing_is_lost(
    site: Transmitting, receiver: Receiver
) -> None:
    name = (await site.make_push(receiver.url))["stream_id"]
    told = [await site.halt(f"a-{number}") for number in range(6)]
    task_over = Transmitter(site.signals, LIMITS, now=site.clock)
    async with site.running():
        await receiver.wait_for(2)  # cancelled somewhere in its turn
    site.signals.looked.clear()
    site.transmitter = task_over
    async with site.running():
        await site.until(name, lambda of: of.cursor == told[-1])
    claims = await receiver.wait_for(6)

    first = list(dict.fromkeys(one["jti"] for one in claims))
    assert first == [f"{name}.{seq}" for seq in told]


async def test_a_stream_that_changes_to_another_place_goes_on_there(
    site: Transmitting, receiver: Receiver
) -> None:
    name = (await site.make())["stream_id"]
    await site.halt("a-1")
    delivery = {"method": PUSH, "endpoint_url": receiver.url}
    async with site.running():
        await site.ask("PATCH", "/ssf/streams", {"stream_id": name, "delivery": delivery})
        [claims] = await receiver.wait_for(1)

    assert claims["sub_id"]["sub"] == "a-1"
    assert (await site.call("POST", f"/ssf/poll/{name}", {"returnImmediately": True})).status == 404


def _said(digits: str) -> dict[str, object]:
    return {
        "pattern": digits * 32,
        "before": 0.0,
        "after": 0.3,
        "state": "malicious",
        "tier": "consensus",
        "score": 90,
        "confidence": 90,
        "effect": 0.3,
        "reason": "x",
    }
