"""One connection, before there is a request that a route could answer.

What aiohttp's parser refuses is answered like every other refusal: by name, counted, without a word of what came,
since what came may hold a token. A head that does not come to its end is waited for so long and no longer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http import HttpProcessingError

from ioint_node.web.limits import WebLimits
from ioint_node.web.problems import SERVER, Refusal, refusal_of, render


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What the connections of one listening socket share: the bounds, the counts, and who is connected."""

    limits: WebLimits
    refusals: Counter[str]
    open: set[Connection] = field(default_factory=set)


class Connection(web.RequestHandler):
    """aiohttp's handler of a connection, with a bound on their number and on the time that a head may take."""

    __slots__ = ("_awaited", "_body", "_head_timer", "_listening")

    def __init__(self, server: web.Server, listening: Listening, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # aiohttp's own runner passes None for "no log"
            keepalive_timeout=listening.limits.idle_s,
            max_line_size=listening.limits.header_bytes,
            max_field_size=listening.limits.header_bytes,
        )
        self._listening = listening
        self._head_timer: asyncio.TimerHandle | None = None
        self._awaited = 0  # how many requests had come when the timer was set
        self._body: StreamReader | None = None  # of the newest request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in, unless too many are."""
        if len(self._listening.open) >= self._listening.limits.connections:
            self._listening.refusals["too_many_connections"] += 1
            transport.close()
            return
        self._listening.open.add(self)
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._listening.open.discard(self)
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and note whether a head is still under way."""
        before = self._request_count
        in_head = self._body is None or self._body.is_eof()
        super().data_received(data)
        if self._request_count != before:
            self._forget_head()
            self._note_newest()
        elif data and in_head and self._head_timer is None:
            self._await_head()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what no route answered: a request that is none, or a bug; only a bug is logged."""
        if isinstance(exc, HttpProcessingError):
            refusal = Refusal(400, "bad_http", "what came is no request of HTTP/1.1 within the bounds")
        else:
            refusal = refusal_of(exc if isinstance(exc, Exception) else TimeoutError())
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has already begun")
        return self._refused(refusal)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; one that aiohttp made before any route was asked becomes a refusal of ours."""
        if isinstance(resp, web.HTTPException):
            resp = self._refused(refusal_of(resp))
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ANN401 - as aiohttp declares it
        """Log a bug, and not that the rest of a body is malformed or that its sender left."""
        if not isinstance(kw.get("exc_info"), (web.RequestPayloadError, ConnectionError)):
            super().log_exception(*args, **kw)

    def _refused(self, refusal: Refusal) -> web.Response:
        self._listening.refusals[refusal.name] += 1
        response = render(refusal, "/")
        response.headers["Server"] = SERVER
        response.force_close()
        return response

    def _note_newest(self) -> None:
        newest, body = self._messages[-1]
        if isinstance(getattr(newest, "exc", None), HttpProcessingError):
            # The parser has given up, so a body that a route is reading will not end: tell it now.
            for unfinished in (self._body, *(body for _, body in self._messages)):
                if unfinished is not None and not unfinished.is_eof():
                    unfinished.set_exception(web.RequestPayloadError("the rest is malformed"))
        self._body = body

    def _await_head(self) -> None:
        self._awaited = self._request_count
        self._head_timer = self._loop.call_later(self._listening.limits.header_s, self._end_slow_head)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_slow_head(self) -> None:
        self._head_timer = None
        if self._request_count != self._awaited:
            return
        if self._waiter is None:
            # An answer is being made or streamed: it goes on, and the head behind it is looked at later.
            self._await_head()
            return
        self._listening.refusals["slow_head"] += 1
        self.force_close()
