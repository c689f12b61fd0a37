"""Tokens that are polled: until a receiver says that it has one, it comes again."""

from __future__ import annotations

import asyncio

import pytest
from ioint_node.flows.signals import SignalLimits
from ioint_node.store import stream, tokens

from tests.node.ssf.conftest import WAIT_S, Transmitting, verified

pytestmark = pytest.mark.network
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISK = f"{CAEP}risk-level-change"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"


async def test_where_nothing_waits_the_answer_has_no_sets_and_says_so(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]

    answer = await site.call("POST", f"/ssf/poll/{name}", {"returnImmediately": True})

    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert await answer.json() == {"sets": {}}


async def test_a_token_comes_again_until_it_is_acknowledged(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    told = [await site.halt(f"a-{number}") for number in range(3)]
    names = [f"{name}.{seq}" for seq in told]

    first = await site.poll(name)
    again = await site.poll(name, ack=names[1:2])  # in whatever order it likes
    left = await site.poll(name, ack=[names[0]])
    none = await site.poll(name, ack=[names[2]])

    assert list(first) == names
    assert [one["sub_id"]["sub"] for one in first.values()] == ["a-0", "a-1", "a-2"]
    assert {jti: claims["jti"] for jti, claims in first.items()} == dict(zip(names, names, strict=True))
    assert list(again) == [names[0], names[2]]
    assert list(left) == [names[2]]
    assert none == {}
    assert (await site.stream(name)).cursor == told[-1]
    assert site.signals.counts["acknowledged"] == 3


async def test_no_more_come_than_are_asked_for(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    for number in range(3):
        await site.halt(f"a-{number}")
    path = f"/ssf/poll/{name}"

    some = await site.ask("POST", path, {"maxEvents": 2, "returnImmediately": True})
    rest = await site.ask(
        "POST", path, {"maxEvents": 2, "returnImmediately": True, "ack": list(some["sets"])}
    )

    assert (len(some["sets"]), some["moreAvailable"]) == (2, True)
    assert (len(rest["sets"]), "moreAvailable" in rest) == (1, False)


async def test_a_poll_for_none_only_acknowledges_and_does_not_wait(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    seq = await site.halt()

    told = await site.ask("POST", f"/ssf/poll/{name}", {"maxEvents": 0})
    done = await site.ask("POST", f"/ssf/poll/{name}", {"maxEvents": 0, "ack": [f"{name}.{seq}"]})

    assert told == {"sets": {}, "moreAvailable": True}
    assert done == {"sets": {}}
    assert await site.poll(name) == {}


async def test_what_a_receiver_cannot_use_is_written_down_and_comes_no_more(
    site: Transmitting, caplog: pytest.LogCaptureFixture
) -> None:
    name = (await site.make())["stream_id"]
    jti = f"{name}.{await site.halt()}"

    left = await site.poll(name, setErrs={jti: {"err": "invalid_key", "description": "no such key"}})

    assert left == {}
    assert f"signals_refused token={jti} error=invalid_key" in caplog.text
    assert site.signals.counts["refused"] == 1


async def test_a_poll_waits_until_something_happens(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    waiting = asyncio.create_task(site.ask("POST", f"/ssf/poll/{name}", {}))
    await _until_waiting(site, name)

    seq = await site.halt()

    async with asyncio.timeout(WAIT_S):
        assert list((await waiting)["sets"]) == [f"{name}.{seq}"]


async def test_a_newer_poll_takes_the_place_of_one_that_waits(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    path = f"/ssf/poll/{name}"
    polls = [asyncio.create_task(site.ask("POST", path, {}))]
    for _ in range(20):
        await _until_waiting(site, name)
        polls.append(asyncio.create_task(site.ask("POST", path, {})))
        async with asyncio.timeout(WAIT_S):
            assert await polls[-2] == {"sets": {}}
    await _until_waiting(site, name)
    await site.halt()

    async with asyncio.timeout(WAIT_S):
        assert len((await polls[-1])["sets"]) == 1
    assert await site.node.unharmed()


async def test_a_poll_that_waits_ends_with_its_token(site: Transmitting) -> None:
    name = (await site.make("other"))["stream_id"]
    waiting = asyncio.create_task(site.call("POST", f"/ssf/poll/{name}", {}, role="other"))
    await _until_waiting(site, name)
    maker = (await site.stream(name)).receiver
    await site.node.parts.store.write(lambda connection: tokens.revoke(connection, maker))

    await site.halt(tlp="green")

    async with asyncio.timeout(WAIT_S):
        assert (await waiting).status == 404


async def test_names_of_others_are_passed_over(site: Transmitting) -> None:
    mine, foreign = (await site.make())["stream_id"], (await site.make("other"))["stream_id"]
    seq = await site.halt(tlp="green")
    strange = [
        f"{foreign}.{seq}",
        "",
        "x" * 500,
        f"{mine}.{seq + 1}",
        f"{mine}.n1",
        f"{mine}.99999999999999999999",
    ]

    left = await site.poll(mine, ack=strange, setErrs={f"{foreign}.{seq}": {"err": "invalid_key"}})

    assert list(left) == [f"{mine}.{seq}"]
    assert list(await site.poll(foreign, "other")) == [f"{foreign}.{seq}"]
    later = await site.halt(tlp="green")
    assert list(await site.poll(mine)) == [f"{mine}.{seq}", f"{mine}.{later}"]


async def test_a_verification_is_polled_and_acknowledged(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    await site.ask("POST", "/ssf/verify", {"stream_id": name, "state": "x"}, status=204)

    [(jti, claims)] = (await site.poll(name)).items()

    assert claims["events"] == {f"{SSF}verification": {"state": "x"}}
    assert claims["sub_id"] == {"format": "opaque", "id": name}
    assert await site.poll(name, ack=[jti]) == {}


async def test_a_paused_stream_holds_what_is_polled_for(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    await site.ask("POST", "/ssf/status", {"stream_id": name, "status": "paused"})
    seq = await site.halt()

    assert await site.poll(name) == {}
    await site.ask("POST", "/ssf/status", {"stream_id": name, "status": "enabled"})
    assert list(await site.poll(name)) == [f"{name}.{seq}"]


async def test_a_removed_subject_is_heard_no_more_and_an_added_one_again(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    subject = {"format": "iss_sub", "iss": site.node.url, "sub": "a-1"}
    removed = await site.call("POST", "/ssf/subjects/remove", {"stream_id": name, "subject": subject})
    await site.halt("a-1")
    other = await site.halt("a-2")

    assert removed.status == 204
    assert list(await site.poll(name)) == [f"{name}.{other}"]
    alias = {"format": "aliases", "identifiers": [{"format": "email", "email": "a@example.org"}, subject]}
    await site.ask("POST", "/ssf/subjects/add", {"stream_id": name, "subject": alias})
    again = await site.halt("a-1")
    assert list(await site.poll(name)) == [f"{name}.{other}", f"{name}.{again}"]


class TestNobody:
    """Where a stream is about nobody who was not added."""

    @pytest.fixture
    def all_subjects(self) -> bool:
        return False

    async def test_only_who_was_added_is_heard_by_any_name(self, site: Transmitting) -> None:
        answer = await site.node.client.get("/.well-known/ssf-configuration")
        assert (await answer.json())["default_subjects"] == "NONE"
        name = (await site.make())["stream_id"]
        body = {"stream_id": name, "subject": {"format": "uri", "uri": "pkg:npm/left-pad"}}
        await site.ask("POST", "/ssf/subjects/add", body)
        await site.halt("a-1")
        seq = await site.accuse(subject="cd" * 32, label="pkg:npm/left-pad")

        assert list(await site.poll(name)) == [f"{name}.{seq}"]


class TestFew:
    """Where little is looked at and held."""

    @pytest.fixture
    def signal_limits(self) -> SignalLimits:
        return SignalLimits(
            page_rows=2, look_rows=4, passed_rows=3, acks_held=2, acks_at_once=5, sets_at_once=3, round_s=0.001,
            signed=2,
        )  # fmt: skip

    async def test_many_rows_that_are_no_events_are_passed_over_in_steps(self, site: Transmitting) -> None:
        name = (await site.make())["stream_id"]
        for _ in range(20):
            await site.accuse(0.05, 0.1)
        seq = await site.halt()

        async with asyncio.timeout(WAIT_S):
            found = await site.ask("POST", f"/ssf/poll/{name}", {})

        assert list(found["sets"]) == [f"{name}.{seq}"]
        assert (await site.stream(name)).cursor >= seq - 3

    async def test_acknowledgements_ahead_of_what_is_not_taken_are_bounded(self, site: Transmitting) -> None:
        name = (await site.make())["stream_id"]
        names = [f"{name}.{await site.halt(f'a-{number}')}" for number in range(5)]

        left = await site.poll(name, ack=names[1:])

        assert list(left) == [names[0], names[3]]
        await site.poll(name, ack=names[:1])
        assert list(await site.poll(name)) == names[3:]
        assert await site.poll(name, ack=names) == {}

    async def test_too_many_names_at_once_are_refused(self, site: Transmitting) -> None:
        name = (await site.make())["stream_id"]

        answer = await site.call("POST", f"/ssf/poll/{name}", {"ack": ["x"] * 6})

        assert (answer.status, (await answer.json())["field"]) == (413, "ack")


async def test_a_stream_that_nobody_polls_is_paused_in_the_end(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    seq = await site.halt()
    site.clock.now += 30 * 86_400_000
    async with site.running():
        paused = await site.until(name, lambda of: of.status == "paused")

    assert paused.reason == "not polled for 30 days"
    [told] = (await site.poll(name)).values()
    assert list(told["events"]) == [f"{SSF}stream-updated"]
    await site.ask("POST", "/ssf/status", {"stream_id": name, "status": "enabled"})
    assert f"{name}.{seq}" in await site.poll(name)


async def test_who_is_a_person_is_called_a_user(site: Transmitting) -> None:
    await site.node.post(
        "/api/v1/sessions",
        {
            "session_id": "s-9",
            "actor": {"id": "mia", "kind": "user"},
            "declared": {"text": "answer questions"},
        },
    )
    name = (await site.make())["stream_id"]
    trust = {"before": 0.5, "after": 0.2, "effect": 0.0, "cause": "local", "reason": "x"}
    await site.node.parts.assess.journal.settled()
    await site.tell("trust", {"actor": "mia", "session_id": "s-9", **trust})
    await site.tell("trust", {"actor": "bot", "session_id": "s-8", **trust})

    found = [
        claims["events"][f"{CAEP}risk-level-change"]["principal"]
        for claims in (await site.poll(name)).values()
    ]

    assert found == ["USER", "APPLICATION"]


async def test_what_members_report_and_a_person_orders_is_heard_by_a_receiver(site: Transmitting) -> None:
    node = site.node
    name = (await site.make())["stream_id"]
    [pattern] = node.patterns(1)
    for member in ("contoso", "fabrikam", "initech", "umbrella"):
        await node.hear(member, node.report(pattern, bad=3))
    await node.open_session("s-1", "a-1")
    answer = await node.post(
        "/api/v1/agents/a-1/respond", {"action": "kill", "reason": "stolen key"}, "admin"
    )
    assert answer.status == 201

    claims = list((await site.poll(name)).values())

    risks = [one["events"][RISK] for one in claims if RISK in one["events"]]
    assert {one["sub_id"]["sub"] for one in claims if RISK in one["events"]} == {pattern}
    assert [one["previous_level"] for one in risks] == ["LOW", *(one["current_level"] for one in risks[:-1])]
    assert risks[-1]["current_level"] in ("MEDIUM", "HIGH")
    assert 0 < risks[-1]["ioint"]["score"] <= 100
    [revoked] = [one for one in claims if f"{CAEP}session-revoked" in one["events"]]
    assert revoked["sub_id"]["sub"] == "a-1"
    said = revoked["events"][f"{CAEP}session-revoked"]
    assert (said["initiating_entity"], said["reason_admin"]["en"]) == ("admin", "kill: stolen key")


async def test_that_it_was_paused_is_no_news_once_a_stream_is_enabled(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    await site.ask("POST", f"/api/v1/ssf/streams/{name}", {"status": "paused"}, role="admin")
    await site.ask("POST", "/ssf/status", {"stream_id": name, "status": "enabled"})

    assert await site.poll(name) == {}


async def test_rows_that_were_only_passed_over_are_no_gap_after_a_restart(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    for _ in range(3):
        await site.accuse(0.05, 0.1)  # no event
    assert await site.poll(name) == {}
    site.clock.now += 86_400_000
    await site.accuse(0.05, 0.1)
    await site.node.parts.store.write(lambda connection: stream.trim(connection, site.clock.now))
    async with site.running():
        await site.until(name, lambda of: of.cursor == 3)
    site.signals.looked.clear()

    assert await site.poll(name) == {}
    assert site.signals.counts["gaps"] == 0


async def test_the_same_token_is_not_signed_twice(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    await site.halt()
    path, body = f"/ssf/poll/{name}", {"returnImmediately": True}

    first, second = await site.ask("POST", path, body), await site.ask("POST", path, body)

    assert first == second
    assert [verified(one, site.jwks)["iss"] for one in first["sets"].values()] == [site.node.url]


async def _until_waiting(site: Transmitting, name: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while site.signals.polls.waiting(name) is None:
            await site.stream(name)  # what is waited for is another task's
