"""The local node's HTTP interface, as a command on the same machine uses it.

The address is in `run.json`, the token in `local.token`; both can be read by the owner of the home directory alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from ioint_node.config import load_config, read_private, read_run
from ioint_node.config.tls import trust_of
from ioint_node.errors import ConfigError, NodeError, NotFoundError, RequestError

TIMEOUT_S: Final = 30.0
ANSWER_BYTES: Final = 64 * 1024 * 1024
PIECE_BYTES: Final = 1_048_576
PAGE_ITEMS: Final = 500
PAGES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A running node and the right to speak to it."""

    url: str
    token: str = field(repr=False)
    trust: SSLContext | None = field(default=None, repr=False)

    def get(self, *path: str, **query: object) -> Any:  # noqa: ANN401 - the caller knows the contract of its route
        """The decoded answer of a route; `path` segments are quoted, absent query values left out.

        Raises:
            NodeError: the node refused or cannot be reached.
        """
        given = {name: str(value) for name, value in query.items() if value is not None}
        return self._send("GET", path, urlencode(given), None)

    def fetch(self, *path: str, **query: object) -> bytes:
        """The answer of a route that is no JSON document, as it came.

        Raises:
            NodeError: the node refused, cannot be reached, or broke off.
        """
        return self._answer("GET", path, _encoded(query), None)

    def save(self, target: Path, *path: str, **query: object) -> int:
        """Write the answer of a route to a file as it comes, and return how many lines it has.

        Raises:
            NodeError: the node refused, cannot be reached, or broke off.
        """
        lines = 0
        with self._opened("GET", path, _encoded(query), None) as answer, target.open("wb") as file:
            while piece := _read(answer, self.url):
                file.write(piece)
                lines += piece.count(b"\n")
        return lines

    def post(self, *path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 - as above
        """Send a JSON body and return the decoded answer.

        Raises:
            NodeError: the node refused or cannot be reached.
        """
        return self._send("POST", path, "", json.dumps(body).encode())

    def put(self, *path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 - as above
        """Put a JSON body in the place of what was there, and return the decoded answer.

        Raises:
            NodeError: the node refused or cannot be reached.
        """
        return self._send("PUT", path, "", json.dumps(body).encode())

    def delete(self, *path: str, **query: object) -> Any:  # noqa: ANN401 - as above
        """Take something back and return the decoded answer.

        Raises:
            NodeError: the node refused or cannot be reached.
        """
        return self._send("DELETE", path, _encoded(query), None)

    def items(self, *path: str, limit: int | None = None, **query: object) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page, up to `limit`."""
        cursor, left = None, limit if limit is not None else PAGE_ITEMS * PAGES
        for _ in range(PAGES):
            page = self.get(*path, limit=min(left, PAGE_ITEMS), cursor=cursor, **query)
            yield from page["items"][:left]
            left -= len(page["items"])
            cursor = page.get("next")
            if cursor is None or left <= 0:
                return

    def _send(self, method: str, path: tuple[str, ...], query: str, body: bytes | None) -> Any:  # noqa: ANN401 - as above
        data = self._answer(method, path, query, body)
        return json.loads(data) if data else None

    def _answer(self, method: str, path: tuple[str, ...], query: str, body: bytes | None) -> bytes:
        with self._opened(method, path, query, body) as answer:
            data = _read(answer, self.url, ANSWER_BYTES + 1)
        if len(data) > ANSWER_BYTES:
            raise NodeError(f"the answer is larger than {ANSWER_BYTES} bytes: ask for less with --limit")
        return data

    @contextmanager
    def _opened(
        self, method: str, path: tuple[str, ...], query: str, body: bytes | None
    ) -> Iterator[HTTPResponse]:
        address = "/".join([self.url, *(quote(part, safe="") for part in path)]) + (
            f"?{query}" if query else ""
        )
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = Request(address, data=body, headers=headers, method=method)  # noqa: S310 - run.json names it
        # A proxy from the environment must never see the token.
        opener = build_opener(ProxyHandler({}), HTTPSHandler(context=self.trust))
        try:
            answer = opener.open(request, timeout=TIMEOUT_S)
        except HTTPError as error:
            raise _refusal(error) from None
        except (URLError, OSError, HTTPException) as error:
            raise _silence(self.url, error) from None
        with answer:
            yield answer


def _read(answer: HTTPResponse, url: str, most: int = PIECE_BYTES) -> bytes:
    try:
        return answer.read(most)
    except (OSError, HTTPException) as error:
        raise _silence(url, error) from None


def _silence(url: str, error: Exception) -> NodeError:
    reason = error.reason if isinstance(error, URLError) else error
    return NodeError(f"no answer from {url} ({reason}): see `ioint doctor`")


def _encoded(query: Mapping[str, object]) -> str:
    return urlencode({name: str(value) for name, value in query.items() if value is not None})


def connect(home: Path) -> Client:
    """The node that runs in this home directory.

    Raises:
        ConfigError: none runs, or its token cannot be read.
    """
    config = load_config(home)
    run = read_run(config)
    if run is None:
        raise ConfigError(f"no node runs in {home}: start it with `ioint run --home {home}`")
    token = read_private(config.token_file).decode().strip()
    return Client(url=run.url, token=token, trust=trust_of(config))


def _refusal(error: HTTPError) -> NodeError:
    try:
        problem = json.loads(error.read(65_536))
        detail = str(problem.get("detail") or problem.get("title") or error.reason)
    except (ValueError, AttributeError):
        detail = str(error.reason)
    kind = NotFoundError if error.code == 404 else RequestError
    return kind(f"the node refused ({error.code}): {detail}")
