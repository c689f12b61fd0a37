"""What receivers do with streams, by the standard's own table of calls and answers."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
from ioint_node.flows.signals import SignalLimits, waiting
from ioint_node.store import signals, tokens
from ioint_node.store.tokens import Caller

from tests.node.ssf.conftest import POLL, PUSH, WAIT_S, Transmitting

pytestmark = pytest.mark.network
RISK = "https://schemas.openid.net/secevent/caep/event-type/risk-level-change"
REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
URL = "https://receiver.example.org/events"


async def test_the_metadata_say_where_everything_is(site: Transmitting) -> None:
    answer = await site.node.client.get("/.well-known/ssf-configuration")
    found = await answer.json()

    assert answer.status == 200
    assert found["spec_version"] == "1_0"
    assert found["issuer"] == site.node.url
    assert found["delivery_methods_supported"] == [PUSH, POLL]
    assert found["authorization_schemes"] == [{"spec_urn": "urn:ietf:rfc:6749"}]
    assert found["default_subjects"] == "ALL"
    assert not [name for name, value in found.items() if value == []]
    for name, value in found.items():
        if name.endswith(("_endpoint", "_uri")):
            assert value.startswith(found["issuer"] + "/"), name
            known = await site.call("GET", urlsplit(value).path)
            assert known.status != 404, name


async def test_the_keys_are_public_and_rsa_of_2048_bits(site: Transmitting) -> None:
    answer = await site.node.client.get("/ssf/jwks.json")
    [key] = (await answer.json())["keys"]

    assert (key["kty"], key["alg"], key["use"]) == ("RSA", "RS256", "sig")
    assert len(key["n"]) >= 342
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(key)


DOORS = (
    ("POST", "/ssf/streams"),
    ("GET", "/ssf/streams"),
    ("PATCH", "/ssf/streams"),
    ("PUT", "/ssf/streams"),
    ("DELETE", "/ssf/streams?stream_id=x"),
    ("GET", "/ssf/status?stream_id=x"),
    ("POST", "/ssf/status"),
    ("POST", "/ssf/subjects/add"),
    ("POST", "/ssf/subjects/remove"),
    ("POST", "/ssf/verify"),
    ("POST", "/ssf/poll/x"),
)


@pytest.mark.parametrize("wrong", ["none", "unknown", "in the query"])
async def test_nobody_comes_in_without_a_token_in_the_header(site: Transmitting, wrong: str) -> None:
    token = site.node.keys["engine"]
    headers = {"Authorization": "Bearer wrong"} if wrong == "unknown" else {}
    for method, path in DOORS:
        more = ("&" if "?" in path else "?") + f"access_token={token}" if wrong == "in the query" else ""
        answer = await site.node.client.request(method, path + more, headers=headers, json={})
        assert answer.status == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_agent_has_no_streams(site: Transmitting) -> None:
    for method, path in DOORS:
        assert (await site.call(method, path, {}, role="agent")).status == 403, path


async def test_a_token_that_may_only_read_makes_no_stream(site: Transmitting) -> None:
    made = await site.node.parts.store.write(
        lambda connection: tokens.create(
            connection, "engine", None, "amber", None, scopes=("ssf.read",), now=site.clock.now
        )
    )
    site.node.keys["reader"] = made.token

    assert await site.ask("GET", "/ssf/streams", role="reader") == []
    refused = await site.call("POST", "/ssf/streams", {}, role="reader")
    assert refused.status == 403
    assert "insufficient_scope" in refused.headers["WWW-Authenticate"]


async def test_who_signs_in_elsewhere_has_streams_that_end_with_no_token_of_this_node(
    site: Transmitting,
) -> None:
    who = Caller(id="oidc:1f", role="engine", actor=None, tlp="green", expires=site.clock.now + 1_000)
    made = await site.node.parts.store.write(
        lambda connection: signals.add(
            connection, who, signals.Settings(), now=site.clock.now, most=9, most_of_one=9
        )
    )
    site.clock.now += 10_000
    async with site.running():
        seq = await site.halt(tlp="amber")
        told = await site.accuse()
        async with site.node.parts.store.read() as connection:
            [found] = await signals.streams_of(connection, who)
            heard = await waiting(site.signals, connection, found, 10)

    assert (found.id, found.tlp, found.over(site.clock.now)) == (made.id, "green", False)
    assert (heard.sets, heard.looked_to) == ((), max(seq, told))


async def test_a_stream_that_is_not_told_how_is_polled(site: Transmitting) -> None:
    answer = await site.call("POST", "/ssf/streams", {"events_requested": [RISK, "urn:unknown"]})
    made = await answer.json()

    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert made["iss"] == site.node.url
    assert made["aud"].startswith(site.node.url)
    assert made["events_supported"] == [RISK, REVOKED]
    assert made["events_requested"] == [RISK, "urn:unknown"]
    assert made["events_delivered"] == [RISK]
    assert made["delivery"] == {
        "method": POLL,
        "endpoint_url": f"{site.node.url}/ssf/poll/{made['stream_id']}",
    }
    assert made["min_verification_interval"] == 60


async def test_streams_are_read_changed_replaced_and_removed(site: Transmitting) -> None:
    assert await site.ask("GET", "/ssf/streams") == []
    first = await site.make_push(URL, description="one", events_requested=[RISK])
    site.clock.now += 1
    second = await site.make()
    name = first["stream_id"]

    assert await site.ask("GET", f"/ssf/streams?stream_id={name}") == first
    assert await site.ask("GET", "/ssf/streams") == [first, second]

    changed = await site.ask("PATCH", "/ssf/streams", {"stream_id": name, "events_requested": [REVOKED]})
    assert changed == first | {"events_requested": [REVOKED], "events_delivered": [REVOKED]}

    # All that is shown may be sent back; what the receiver may say and does not is gone.
    again = await site.ask("PUT", "/ssf/streams", changed)
    assert again == changed
    bare = await site.ask("PUT", "/ssf/streams", {"stream_id": name, "delivery": changed["delivery"]})
    assert bare["events_delivered"] == [RISK, REVOKED]
    assert not {"description", "events_requested"} & set(bare)
    assert (await site.ask("PUT", "/ssf/streams", {"stream_id": name}))["delivery"]["method"] == POLL

    gone = await site.call("DELETE", f"/ssf/streams?stream_id={name}")
    assert (gone.status, await gone.read()) == (204, b"")
    assert (await site.call("DELETE", f"/ssf/streams?stream_id={name}")).status == 404
    assert await site.ask("GET", "/ssf/streams") == [second]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_what_the_transmitter_says_cannot_be_changed(site: Transmitting, method: str) -> None:
    made = await site.make()
    others: tuple[dict[str, Any], ...] = (
        {"iss": "https://other.example.org"},
        {"aud": "somebody"},
        {"events_supported": []},
        {"events_delivered": [RISK]},
        {"min_verification_interval": 1},
        {"inactivity_timeout": 1},
        {"delivery": {"method": POLL, "endpoint_url": "https://other.example.org/poll"}},
    )

    for other in others:
        answer = await site.call(method, "/ssf/streams", made | other)
        assert answer.status == 400
        assert (await answer.json())["field"].startswith(next(iter(other)))
    assert (await site.call(method, "/ssf/streams", made | {"aud": [made["aud"]]})).status == 200


async def test_a_stream_has_to_be_named(site: Transmitting) -> None:
    more = {"status": "paused", "subject": {"format": "opaque", "id": "1"}}
    bodies: tuple[tuple[dict[str, Any], int], ...] = (
        ({}, 400),
        ({"stream_id": "x"}, 404),
        ({"stream_id": 7}, 400),
        ({"stream_id": "x" * 65}, 400),
    )
    for method, path in (
        ("PATCH", "/ssf/streams"),
        ("PUT", "/ssf/streams"),
        ("POST", "/ssf/status"),
        ("POST", "/ssf/subjects/add"),
        ("POST", "/ssf/subjects/remove"),
        ("POST", "/ssf/verify"),
    ):
        for body, status in bodies:
            answer = await site.call(method, path, body | more)
            assert answer.status == status, path
            assert answer.headers["Cache-Control"] == "no-store"
    for method, path in (("GET", "/ssf/status"), ("DELETE", "/ssf/streams")):
        assert (await site.call(method, path)).status == 400


async def test_nothing_is_pushed_where_only_the_node_can_reach(site: Transmitting) -> None:
    for url in (
        "",
        "receiver.example.org",
        "http://receiver.example.org/events",
        "https://user:secret@receiver.example.org/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/events",
        "https://[::ffff:169.254.169.254]/",
        "https://0x7f000001/",
        "file:///etc/passwd",
        "https://receiver.example.org/#x",
        "https://receiver.example.org/" + "x" * 2_048,
    ):
        answer = await site.call("POST", "/ssf/streams", {"delivery": {"method": PUSH, "endpoint_url": url}})
        assert answer.status == 400, url
        found = await answer.json()
        assert found["field"].startswith("delivery")
        assert "secret" not in str(found)


async def test_the_secret_of_a_receiver_is_kept_and_never_shown(
    site: Transmitting, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "Bearer s3cr3t-of-the-receiver"
    made = await site.make_push(URL, delivery={"authorization_header": secret})
    changed = await site.ask("PUT", "/ssf/streams", made)
    listed = await site.ask("GET", "/api/v1/ssf/streams", role="admin")
    kept = await site.stream(made["stream_id"])

    assert kept.settings.authorization_header == secret
    assert secret not in f"{made} {changed} {listed} {kept!r} {caplog.text}"

    elsewhere = {"method": PUSH, "endpoint_url": URL + "/elsewhere"}
    await site.ask("PATCH", "/ssf/streams", {"stream_id": made["stream_id"], "delivery": elsewhere})
    assert (await site.stream(made["stream_id"])).settings.authorization_header == ""


async def test_a_secret_that_is_no_header_is_refused(site: Transmitting) -> None:
    for header in ("Bearer a\r\nX-More: b", "Bearer a\n", " a", "é", "a" * 4_097):
        delivery = {"method": PUSH, "endpoint_url": URL, "authorization_header": header}
        answer = await site.call("POST", "/ssf/streams", {"delivery": delivery})
        assert answer.status == 400
        assert (await answer.json())["field"] == "delivery.authorization_header"


async def test_another_receiver_does_not_find_a_stream(site: Transmitting) -> None:
    made = await site.make()
    name = made["stream_id"]
    subject = {"format": "opaque", "id": "1"}

    assert await site.ask("GET", "/ssf/streams", role="other") == []
    for method, path, body in (
        ("GET", f"/ssf/streams?stream_id={name}", None),
        ("PATCH", "/ssf/streams", {"stream_id": name}),
        ("PUT", "/ssf/streams", {"stream_id": name}),
        ("DELETE", f"/ssf/streams?stream_id={name}", None),
        ("GET", f"/ssf/status?stream_id={name}", None),
        ("POST", "/ssf/status", {"stream_id": name, "status": "disabled"}),
        ("POST", "/ssf/subjects/add", {"stream_id": name, "subject": subject}),
        ("POST", "/ssf/subjects/remove", {"stream_id": name, "subject": subject}),
        ("POST", "/ssf/verify", {"stream_id": name}),
        ("POST", f"/ssf/poll/{name}", {"returnImmediately": True}),
    ):
        assert (await site.call(method, path, body, role="other")).status == 404, path
        assert (await site.call(method, path, body, role="admin")).status == 404, path
    assert await site.ask("GET", f"/ssf/streams?stream_id={name}") == made


async def test_the_status_is_read_and_set(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]

    assert await site.ask("GET", f"/ssf/status?stream_id={name}") == {"stream_id": name, "status": "enabled"}
    said = {"stream_id": name, "status": "paused", "reason": "maintenance", "subject": {"format": "email"}}
    assert await site.ask("POST", "/ssf/status", said) == {
        "stream_id": name,
        "status": "paused",
        "reason": "maintenance",
    }
    assert (await site.ask("GET", f"/ssf/status?stream_id={name}"))["status"] == "paused"
    assert (await site.call("POST", "/ssf/status", {"stream_id": name, "status": "gone"})).status == 400


async def test_subjects_are_added_and_removed_with_the_codes_of_the_standard(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    body = {"stream_id": name, "subject": {"format": "email", "email": "mia@example.org"}, "verified": True}

    added = await site.call("POST", "/ssf/subjects/add", body)
    removed = await site.call("POST", "/ssf/subjects/remove", body)

    assert (added.status, await added.read()) == (200, b"")
    assert (removed.status, await removed.read()) == (204, b"")
    assert {added.headers["Cache-Control"], removed.headers["Cache-Control"]} == {"no-store"}
    refused = await site.call("POST", "/ssf/subjects/add", body | {"subject": {"format": "phone"}})
    assert (refused.status, (await refused.json())["field"]) == (400, "subject")


async def test_verifications_are_not_asked_for_all_the_time(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]
    first = await site.call("POST", "/ssf/verify", {"stream_id": name, "state": "x"})
    site.clock.now += 59_000
    early = await site.call("POST", "/ssf/verify", {"stream_id": name})
    site.clock.now += 1_000
    later = await site.call("POST", "/ssf/verify", {"stream_id": name})

    assert [one.status for one in (first, early, later)] == [204, 429, 204]
    assert early.headers["Retry-After"] == "1"


async def test_what_a_receiver_says_more_is_ignored(site: Transmitting) -> None:
    made = await site.make(colour="red", stream_id="x", iss="https://other.example.org")

    assert made["stream_id"] != "x"
    assert made["iss"] == site.node.url
    await site.ask(
        "POST",
        f"/ssf/poll/{made['stream_id']}",
        {"max_events": 3, "stream_id": "x", "returnImmediately": True},
    )


class TestFew:
    """Where there is room for few."""

    @pytest.fixture
    def signal_limits(self) -> SignalLimits:
        return SignalLimits(streams=3, streams_per_receiver=2, subjects=2, notices=2, round_s=0.001)

    async def test_a_receiver_has_so_many_streams_and_no_more(self, site: Transmitting) -> None:
        await site.make()
        await site.make()
        assert (await site.call("POST", "/ssf/streams", {})).status == 409
        await site.make("other")
        assert (await site.call("POST", "/ssf/streams", {}, role="other")).status == 409

    async def test_a_stream_remembers_so_many_subjects_and_no_more(self, site: Transmitting) -> None:
        name = (await site.make())["stream_id"]
        codes = [
            (
                await site.call(
                    "POST",
                    "/ssf/subjects/add",
                    {"stream_id": name, "subject": {"format": "opaque", "id": str(number)}},
                )
            ).status
            for number in (1, 2, 3, 2)
        ]
        assert codes == [200, 200, 409, 200]

    async def test_a_paused_stream_does_not_fill_with_verifications(self, site: Transmitting) -> None:
        name = (await site.make())["stream_id"]
        await site.ask("POST", "/ssf/status", {"stream_id": name, "status": "paused"})
        codes = []
        for _ in range(3):
            codes.append((await site.call("POST", "/ssf/verify", {"stream_id": name})).status)
            site.clock.now += 60_000
        assert codes == [204, 204, 429]


async def test_a_stream_ends_with_the_token_that_made_it(site: Transmitting) -> None:
    await site.make("other")
    async with site.node.parts.store.read() as connection:
        [made] = await signals.all_streams(connection)
    await site.node.parts.store.write(
        lambda connection: tokens.revoke(connection, made.receiver, now=site.clock.now)
    )

    async with site.running(), asyncio.timeout(WAIT_S):
        while not site.signals.counts["ended"]:
            async with site.node.parts.store.read() as connection:
                await signals.all_streams(connection)  # what is waited for is another task's
    async with site.node.parts.store.read() as connection:
        assert await signals.all_streams(connection) == ()


async def test_an_administrator_sees_every_stream_and_its_receiver_is_told_of_a_pause(
    site: Transmitting,
) -> None:
    name = (await site.make())["stream_id"]
    [row] = (await site.ask("GET", "/api/v1/ssf/streams", role="admin"))["items"]
    path = f"/api/v1/ssf/streams/{name}"

    assert (row["id"], row["method"], row["status"]) == (name, "poll", "enabled")
    assert (await site.call("GET", "/api/v1/ssf/streams")).status == 403
    assert (await site.call("POST", path, {"status": "paused"})).status == 403
    await site.ask("POST", path, {"status": "paused", "reason": "we move"}, role="admin")

    [told] = (await site.poll(name)).values()
    updated = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
    assert told["events"] == {updated: {"status": "paused", "reason": "we move"}}
    assert told["sub_id"] == {"format": "opaque", "id": name}
    assert (await site.call("POST", f"{path}0", {"status": "paused"}, role="admin")).status == 404


async def test_a_huge_request_is_refused(site: Transmitting) -> None:
    name = (await site.make())["stream_id"]

    acks = BytesIO(json.dumps({"ack": ["x" * 1_000] * 1_100}).encode())
    kind = {"Content-Type": "application/json"}
    large = await site.call("POST", f"/ssf/poll/{name}", data=acks, headers=kind)
    deep = await site.call("POST", "/ssf/subjects/add", {"stream_id": name, "subject": _deep(40)})

    assert (large.status, deep.status) == (413, 400)
    assert await site.node.unharmed()


def _deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"format": "complex"}
    for _ in range(levels):
        value = {"format": "complex", "user": value}
    return value
