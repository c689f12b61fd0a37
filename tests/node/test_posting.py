"""Where a post may lead, what is read of its answer, and when to come again."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading

import pytest
from aiohttp.abc import ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from ioint_node import posting
from ioint_node.addresses import check_address, check_url
from ioint_node.errors import RequestError
from ioint_node.posting import GuardedResolver, Pauses, Posted, Poster, retry_after_s

NOW = 1_795_000_000_000
PAUSES = Pauses()


GOOD = (
    "https://hooks.example.org/ioint?key=1",
    "https://hooks.example.org:8443",
    "https://93.184.216.34/x",
    "https://[2606:2800:220:1::1]/x",
    "http://127.0.0.1:9000/x",
    "http://localhost:9000/x",
    "http://[::1]:9000/x",
)
BAD = (
    "",
    "ftp://example.org/x",
    "http://example.org/x",
    "https://",
    "https://user@example.org/",
    "https://user:word@example.org/",
    "https://example.org/\r\nX-Injected: 1",
    "https://example.org/a b",
    "https://example.org/#part",
    "https://example.org:0/",
    "https://example.org:99999/",
    "https://example.org\\@evil.example/",
    "https://ex\u00e4mple.org/",
    "https://[::1/",
    "https://-bad-.org/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://0177.0.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[fd00:ec2::254]/",
    "https://100.100.100.200/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[ff02::1]/",
    "https://[2002:7f00:1::]/",
    "https://" + "a" * 3_000 + ".example/",
)
PRIVATE = (
    "https://10.0.0.1/",
    "https://192.168.1.1/",
    "https://172.16.0.1/",
    "https://[fd12::1]/",
    "https://100.64.0.1/",
)


@pytest.mark.parametrize("url", GOOD)
def test_an_ordinary_url_is_taken(url: str) -> None:
    check_url(url, private=False)


@pytest.mark.parametrize("url", BAD)
@pytest.mark.parametrize("private", [False, True])
def test_a_url_that_leads_where_nobody_wants_is_refused_without_repeating_it(
    url: str, *, private: bool
) -> None:
    with pytest.raises(RequestError, match=r"^url: ") as caught:
        check_url(url, private=private)
    assert not url or url not in str(caught.value)


@pytest.mark.parametrize("url", PRIVATE)
def test_private_networks_are_allowed_by_the_setting_alone(url: str) -> None:
    check_url(url, private=True)
    with pytest.raises(RequestError, match="webhook_private"):
        check_url(url, private=False)


@given(st.ip_addresses())
def test_no_address_is_both_allowed_by_default_and_not_global(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    try:
        check_address(address, private=False, loopback=False)
    except RequestError:
        return
    mapped = getattr(address, "ipv4_mapped", None) or address
    assert mapped.is_global
    assert not mapped.is_multicast


@pytest.mark.parametrize(
    ("host", "addresses", "private", "goes"),
    [
        ("example.org", ["93.184.216.34"], False, True),
        ("example.org", ["93.184.216.34", "10.0.0.1"], False, False),
        ("example.org", ["10.0.0.1"], True, True),
        ("example.org", ["169.254.169.254"], True, False),
        ("example.org", ["127.0.0.1"], True, False),
        ("example.org", ["::ffff:127.0.0.1"], True, False),
        ("localhost", ["127.0.0.1", "::1"], False, True),
        ("localhost", ["93.184.216.34"], False, False),
    ],
)
async def test_a_name_leads_only_where_hooks_may_go(
    monkeypatch: pytest.MonkeyPatch, host: str, addresses: list[str], *, private: bool, goes: bool
) -> None:
    def resolve(name: str, port: int, _family: int) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=name, host=one, port=port, family=0, proto=0, flags=0) for one in addresses
        ]

    monkeypatch.setattr(posting, "look_up", resolve)
    resolver = GuardedResolver(private=private)
    if goes:
        assert [one["host"] for one in await resolver.resolve(host, 443)] == addresses
    else:
        with pytest.raises(RequestError):
            await resolver.resolve(host, 443)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0.0),
        ("120", 120.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("9" * 40, 0.0),
        ("\u0663", 0.0),
        ("Wed, 18 Nov 2026 11:07:40 GMT", 60.0),
        ("Wed, 18 Nov 2020 11:07:40 GMT", 0.0),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(text: str, seconds: float) -> None:
    assert retry_after_s(text, 1_795_000_000_000) == seconds


def test_pauses_are_those_of_the_standard_and_a_little_more() -> None:
    failed = Posted(status=500, said="500")
    for attempts, pause in enumerate(PAUSES.after_s, 1):
        found = PAUSES.after(attempts, failed)
        assert found is not None
        assert pause <= found <= pause * (1 + PAUSES.jitter)
    assert PAUSES.after(PAUSES.attempts, failed) is None
    assert 70 < sum(PAUSES.after_s) / 3_600 < 80


@pytest.mark.parametrize(("asked", "least"), [(0.0, 60.0), (600.0, 600.0), (1e9, 86_400.0)])
def test_who_has_too_much_to_do_is_given_time(asked: float, least: float) -> None:
    found = PAUSES.after(1, Posted(status=429, said="429", retry_after_s=asked))

    assert found is not None
    assert least <= found <= least * 1.1


async def test_a_poster_posts_inside_its_block_only() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Poster("test").post("https://example.org/", b"", {}, now=NOW)


async def test_names_that_nobody_answers_for_keep_nobody_else_from_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()

    def resolve(_name: str, _port: int, _family: int) -> list[ResolveResult]:
        answered.wait(10)
        raise OSError

    monkeypatch.setattr(posting, "look_up", resolve)
    resolver = GuardedResolver(private=False)
    waiting = [asyncio.create_task(resolver.resolve(f"{n}.example.org", 443)) for n in range(64)]
    try:
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: "worked") == "worked"
    finally:
        answered.set()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_name_is_looked_up_as_the_machine_does() -> None:
    found = await GuardedResolver(private=False).resolve("localhost", 8443, socket.AF_INET)
    assert [(one["hostname"], one["host"], one["port"]) for one in found] == [
        ("localhost", "127.0.0.1", 8443)
    ]
