"""Answers that whoever has them need not fetch again (RFC 9110, conditional requests)."""

from __future__ import annotations

import hashlib
from typing import Final

from aiohttp import web

from ioint_node.web.described import Answer, Parameter, Schema

PRIVATE: Final = "private, no-cache"
"""Kept by the caller alone, and asked about before each use."""


KNOWN: Final = Parameter(
    name="If-None-Match", where="header", about="The `ETag` of the answer that the caller has."
)


def tag_of(*parts: str | bytes) -> str:
    """An entity tag for what these say."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\n")
    return digest.hexdigest()


def unchanged(request: web.Request, tag: str, caching: str = PRIVATE) -> web.Response | None:
    """304 when the caller has what this tag stands for, else None."""
    known = request.if_none_match or ()
    if any(one.value in (tag, "*") for one in known):
        return web.Response(status=304, headers=_headers(tag, caching))
    return None


def fresh(body: bytes, kind: str, tag: str, caching: str = PRIVATE) -> web.Response:
    """200 with a tag."""
    return web.Response(body=body, headers={"Content-Type": kind, **_headers(tag, caching)})


def told(kind: str, schema: Schema, about: str) -> dict[int, Answer]:
    """What a route says of these two answers."""
    return {
        200: Answer(about=about, content={kind: schema}, headers={"ETag": "What `If-None-Match` takes."}),
        304: Answer(about="Nothing changed since the answer with this `ETag`."),
    }


def _headers(tag: str, caching: str) -> dict[str, str]:
    return {"ETag": f'"{tag}"', "Cache-Control": caching, "Vary": "Authorization"}
