"""`ioint webhooks` against a node that runs: made, shown, tested, given a new key, and removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from ioint_node.cli import main

from tests.node.cli.test_run import ready, running

pytestmark = pytest.mark.network


class Receiver(BaseHTTPRequestHandler):
    """Takes what is posted, as a program of nobody's would."""

    came: list[bytes]

    def do_POST(self) -> None:
        self.came.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        pass


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[bytes]]]:
    class Kept(Receiver):
        came: list[bytes] = []  # noqa: RUF012 - this class is this test's alone

    with HTTPServer(("127.0.0.1", 0), Kept) as server:
        served = Thread(target=server.serve_forever)
        served.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", Kept.came
        finally:
            server.shutdown()
            served.join()


def test_a_webhook_is_made_tested_mended_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], receiver: tuple[str, list[bytes]]
) -> None:
    def run(*words: object) -> Any:
        capsys.readouterr()
        code = main([*map(str, words), "--home", str(tmp_path), "-o", "json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out)

    url, came = receiver
    run("init", "--org", "northwind", "--web-port", 0, "--exchange-port", 0)
    with running(tmp_path) as process:
        ready(tmp_path, process)
        made = run("webhooks", "create", url, "--filter", "score>=50", "--scheme", "v1a")
        kept = run("filters", "save", "worst", "state:malicious")
        followed = run("webhooks", "create", url, "--saved", "worst")
        run("webhooks", "remove", followed["id"])
        tested = run("webhooks", "test", made["id"])
        changed = run("webhooks", "rotate", made["id"], "--grace", 60)
        shown = run("webhooks", "show", made["id"])
        enabled = run("webhooks", "enable", made["id"])
        dead = run("webhooks", "dead", made["id"])
        dropped = run("webhooks", "dead", made["id"], "--drop")
        listed = run("webhooks", "list")
        run("webhooks", "remove", made["id"])
        left = run("webhooks", "list")

    assert (made["filter"], made["events"]) == ("score>=50", ["reputation", "withdrawal"])
    assert followed["saved"] == kept["id"]
    assert (tested["taken"], json.loads(came[0])["type"]) == (True, "ping")
    assert made["public_key"] != changed["public_key"] == shown["public_key"]
    assert (shown["behind"], enabled["state"], dead["items"], dropped["dropped"]) == (0, "active", [], 0)
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    assert left["items"] == []
