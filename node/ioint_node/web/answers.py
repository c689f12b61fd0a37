"""Successful answers."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

_ENCODER = msgspec.json.Encoder()


def json_answer(value: Any, status: int = 200) -> web.Response:  # noqa: ANN401 - anything JSON can hold
    """A JSON answer that nobody on the way keeps."""
    return encoded_answer(_ENCODER.encode(value), status)


def encoded_answer(body: bytes, status: int = 200) -> web.Response:
    """The same, of a value that is JSON already."""
    return web.Response(
        status=status,
        body=body,
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )


def accepted() -> web.Response:
    """202 without a body to speak of: the event will be taken into account."""
    return json_answer({}, 202)
