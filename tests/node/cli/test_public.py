"""What is published as an operator sees it before, and as anybody verifies it afterwards."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from ioint_node.cli import main
from ioint_node.config import load_config, load_feed_key, load_keys
from ioint_node.flows.public import PublicParts, Publishing
from ioint_node.formats.bundle import key_document
from ioint_node.store import indicators, public
from ioint_node.store.engine import open_store
from ioint_taxonomy import load_catalogue

from tests.node.formats.test_bundle import row

NAME = min(load_catalogue().entries)


class Publisher:
    """A node that publishes one indicator, and what it gave to its readers."""

    def __init__(self, root: Path) -> None:
        self.home, self.file, self.document = root / "home", root / "public.json", root / "key.json"
        words = ("init", "--home", self.home, "--org", "alpha", "--web-port", 0, "--exchange-port", 0)
        assert main([str(word) for word in words]) == 0
        self.key = load_feed_key(self.home)
        self.record_key = load_keys(self.home).record_key
        asyncio.run(self._publish())
        self.document.write_bytes(self._introduction())

    def _introduction(self) -> bytes:
        public_key = bytes(self.key.verify_key)
        return key_document(public_key, member="m", consortium="c", record_key=self.record_key)

    async def _publish(self) -> None:
        now = time.time_ns() // 1_000_000
        shown = row(id=NAME, label=load_catalogue().entries[NAME].title)
        body = indicators.body_of(shown, {"subject": NAME, "novel": None})
        async with open_store(load_config(self.home).store_url) as store:
            await store.write(lambda connection: indicators.upsert(connection, [(shown, body)], now))
            parts = PublicParts(
                store=store, catalogue=load_catalogue(), key=self.key, introduction=self._introduction
            )
            await Publishing(parts).run(now)
            async with store.read() as connection:
                made = await public.newest(connection)
        assert made is not None
        self.file.write_bytes(made.envelope)


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return Publisher(tmp_path_factory.mktemp("publisher"))


def verify(publisher: Publisher, *words: str, key: str = "") -> int:
    given = key or bytes(publisher.key.verify_key).hex()
    return main(["public", "verify", str(publisher.file), "--key", given, *words])


def test_the_preview_shows_what_would_be_published_and_how_to_turn_it_on(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["public", "preview", "--home", str(publisher.home)]) == 0
    printed = capsys.readouterr().out
    assert load_catalogue().entries[NAME].title in printed
    assert printed.strip().endswith("and restart the node")


def test_a_bundle_is_verified_with_the_key_or_its_document(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    record = bytes(publisher.record_key.verify_key).hex()
    assert verify(publisher, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["indicators"] == 1
    assert verify(publisher, "--record-key", record, key=str(publisher.document)) == 0


@pytest.mark.parametrize(
    ("words", "key", "said"),
    [
        ((), "ab" * 32, "not signed by the key"),
        (("--at-least", "99999999999"), "", "older than"),
        (("--record-key", "cd" * 32), "document", "not signed by the key"),
        ((), "nowhere.json", "cannot be read"),
    ],
)
def test_any_fault_ends_with_one(
    publisher: Publisher, words: tuple[str, ...], key: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = str(publisher.document) if key == "document" else key
    assert verify(publisher, *words, key=given) == 1
    assert said in capsys.readouterr().err
