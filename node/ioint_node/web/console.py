"""The console: one page, served from this node alone, that talks to the API with the token its user types in.

The page runs no inline script and loads nothing from elsewhere, and its policy says so; the token stays in the
browser tab and travels in the header of requests only.
"""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from ioint_node.store.tokens import Caller
from ioint_node.web.described import Answer
from ioint_node.web.site import Handler, Route, Site

_STATIC = Path(__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/console.css": ("console.css", "text/css; charset=utf-8"),
    "/console.js": ("console.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def routes() -> tuple[Route, ...]:
    """The files of the page."""
    return tuple(
        Route(
            method="GET",
            path=path,
            may=None,
            summary="The console",
            handler=_serve(name, kind),
            answers={
                200: Answer(about="A file of the page.", content={kind.partition(";")[0]: {"type": "string"}})
            },
        )
        for path, (name, kind) in _FILES.items()
    )


def _serve(name: str, kind: str) -> Handler:
    body = (_STATIC / name).read_bytes()
    headers = {**HEADERS, "Content-Type": kind}

    async def serve(site: Site, request: web.Request, caller: Caller) -> web.Response:
        return web.Response(body=body, headers=headers)

    return serve
