"""The HTTP edge: parse, call one flow, render. `build_web` makes the application, `serve` runs it."""

from __future__ import annotations

from ioint_node.web.app import build_web, serve
from ioint_node.web.hub import Hub
from ioint_node.web.limits import WebLimits
from ioint_node.web.site import WebParts, no_boundary

__all__ = ["Hub", "WebLimits", "WebParts", "build_web", "no_boundary", "serve"]
