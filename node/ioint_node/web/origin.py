"""Where a caller finds this node: what discovery documents begin their addresses with."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from ioint_node.web.problems import Refusal
from ioint_node.web.site import Site

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")


def origin_of(site: Site, request: web.Request) -> str:
    """Scheme, host and port as the caller named them: that is where it will look for the rest.

    Behind a proxy with TLS it is the public URL, or at least no address to which a token would travel in the clear.

    Raises:
        Refusal: 400, the Host header names no host.
    """
    if not _HOST.fullmatch(request.host):
        raise Refusal(400, "bad_host", "the Host header names no host")
    if not site.parts.behind_proxy:
        return f"{request.scheme}://{request.host}"
    public = "" if site.parts.signals is None else site.parts.signals.issuer()
    return public if public.startswith("https://") else f"https://{request.host}"
