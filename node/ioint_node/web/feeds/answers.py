"""Answers that whoever has them need not fetch again (RFC 9110, conditional requests)."""

from __future__ import annotations

import hashlib

from aiohttp import web

PRIVATE = "private, no-cache"
"""Kept by the caller alone, and asked about before each use."""


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


def _headers(tag: str, caching: str) -> dict[str, str]:
    return {"ETag": f'"{tag}"', "Cache-Control": caching, "Vary": "Authorization"}
