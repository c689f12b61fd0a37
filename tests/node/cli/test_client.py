"""The commands' HTTP client, against a small server on loopback."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ioint_node.cli import main
from ioint_node.cli.client import Client, connect
from ioint_node.config import Config, RunInfo, write_config, write_private, write_run
from ioint_node.errors import ConfigError, NodeError, NotFoundError, RequestError

pytestmark = pytest.mark.network


class Door(BaseHTTPRequestHandler):
    """Answers like a node: pages of three numbers, an echo, and refusals."""

    def do_GET(self) -> None:
        """Serve a page, or refuse."""
        place = urlsplit(self.path)
        if self.headers["Authorization"] != "Bearer right":
            self._answer(401, {"title": "Not signed in", "detail": "no valid token"})
        elif place.path == "/numbers":
            asked = {name: int(value[0]) for name, value in parse_qs(place.query).items()}
            start = asked.get("cursor", 0)
            items = [{"n": n} for n in range(start, min(start + min(asked["limit"], 3), 8))]
            self._answer(200, {"items": items, "next": str(start + 3) if start + 3 < 8 else None})
        elif place.path == "/broken":
            self._answer(500, None)
        else:
            self._answer(404, {"title": "Not found", "detail": f"no {place.path}"})

    def do_POST(self) -> None:
        """Give the body back."""
        self._answer(200, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode() if body is not None else b"<html>"
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Print nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_list_is_followed_page_by_page_up_to_the_limit(url: str) -> None:
    client = Client(url=url, token="right")
    assert [row["n"] for row in client.items("numbers")] == list(range(8))
    assert [row["n"] for row in client.items("numbers", limit=4)] == list(range(4))


def test_a_name_with_a_slash_stays_one_segment(url: str) -> None:
    with pytest.raises(NotFoundError, match="no /agents/a%2Fb"):
        Client(url=url, token="right").get("agents", "a/b")


def test_a_refusal_tells_the_detail_and_not_the_token(url: str) -> None:
    client = Client(url=url, token="wrong-and-secret")
    with pytest.raises(RequestError, match="no valid token") as caught:
        client.get("numbers", limit=1)
    assert "wrong-and-secret" not in f"{caught.value} {client!r}"


def test_an_answer_that_is_no_problem_document_is_still_a_refusal(url: str) -> None:
    with pytest.raises(RequestError, match="500"):
        Client(url=url, token="right").get("broken")


def test_a_body_arrives_as_it_was_sent(url: str) -> None:
    assert Client(url=url, token="right").post("echo", body={"a": [1, "ä"]}) == {"a": [1, "ä"]}


def test_a_proxy_of_the_environment_never_sees_the_token(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert list(Client(url=url, token="right").items("numbers", limit=1)) == [{"n": 0}]


def test_a_node_that_does_not_answer_points_at_the_doctor() -> None:
    with pytest.raises(NodeError, match="ioint doctor"):
        Client(url="http://127.0.0.1:9", token="right").get("numbers")


def test_the_address_and_the_token_come_from_the_home_directory(url: str, tmp_path: Path) -> None:
    config = Config(home=tmp_path / "home", org="Org")
    write_config(config)
    with pytest.raises(ConfigError, match="ioint run"):
        connect(config.home)
    write_run(config, RunInfo(url=url, pid=os.getpid(), peer_id="12D3KooW"))
    write_private(config.token_file, b"right\n")
    assert list(connect(config.home).items("numbers", limit=1)) == [{"n": 0}]


def test_a_refused_command_exits_with_one(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Config(home=tmp_path / "home", org="Org")
    write_config(config)
    write_run(config, RunInfo(url=url, pid=os.getpid(), peer_id="12D3KooW"))
    write_private(config.token_file, b"right\n")
    assert main(["why", "ab" * 32, "--home", str(config.home)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "refused (404)" in printed.err
