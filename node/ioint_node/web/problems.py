"""Refusals as HTTP: RFC 9457 problem details, or a standard's own error body under its paths.

A refusal has a name from a short list, and is counted by it. Nothing of what the caller sent is echoed but the
name of the field at fault and at most a few characters of its value.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web
from ioint_protocol import ProtocolError

from ioint_node.errors import (
    BusyError,
    ConfigError,
    ConflictError,
    NodeError,
    NotFoundError,
    RequestError,
    TooLargeError,
)

log = logging.getLogger(__name__)
SERVER = "ioint"
TAXII_PREFIX = "/taxii2/"
TAXII_TYPE = "application/taxii+json;version=2.1"
AUTHZEN_PREFIX = "/access/v1/"
_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    417: "Expectation failed",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}
_FAULTS = (  # the narrowest first
    (NotFoundError, 404, "not_found"),
    (ConflictError, 409, "conflict"),
    (TooLargeError, 413, "too_large"),
    (RequestError, 400, "bad_request"),
    (ProtocolError, 400, "bad_request"),
    (BusyError, 503, "busy"),
    (ConfigError, 503, "not_configured"),
    (NodeError, 400, "bad_request"),
)
# Names of fields have no blank, and what follows the colon is a sentence.
_NAMED = re.compile(
    r"(?P<field>[a-z][a-z0-9_]{0,63}(?:\[[0-9]{1,9}\])?(?:\.[a-z][a-z0-9_]{0,63}(?:\[[0-9]{1,9}\])?){0,8}): \S"
)
_STATUS_NAMES = {
    404: "no_route",
    405: "method_not_allowed",
    413: "too_large",
    400: "bad_http",
}


class Refusal(Exception):  # noqa: N818 - not an error of ours: an answer
    """An answer other than success: status, a name that is counted, and a sentence for the caller."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        field: str | None = None,
        at: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.field = field
        self.at = at
        self.headers = dict(headers or {})


def bad_field(field: str, detail: str, *, at: int | None = None) -> Refusal:
    """A refusal of one request field or parameter; `at` points at a character of its value."""
    return Refusal(400, "bad_field", f"{field}: {detail}", field=field, at=at)


def refusal_of(error: Exception) -> Refusal:
    """The refusal that an exception of a handler stands for; an unknown one is a bug, logged and answered 500."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, web.HTTPException) and error.status >= 400:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        name = _STATUS_NAMES.get(error.status, "bad_http")
        # Only the text of this one holds nothing of what was sent.
        detail = error.text if isinstance(error, web.HTTPRequestEntityTooLarge) else None
        return Refusal(error.status, name, detail or error.reason, headers=allow)
    for kind, status, name in _FAULTS:
        if isinstance(error, kind):
            return Refusal(status, name, str(error), field=_field_of(error))
    log.error("a handler failed", exc_info=error)
    return Refusal(500, "internal", "the node failed to serve this request; its log says why")


def _field_of(error: Exception) -> str | None:
    """The field that a message about a caller's request begins with: `name: …`, `actors[3].kind: …`."""
    found = _NAMED.match(str(error)) if isinstance(error, RequestError) else None
    return None if found is None else found["field"]


def render(refusal: Refusal, path: str) -> web.Response:
    """The response that carries a refusal on this path."""
    title = _TITLES.get(refusal.status, "Refused")
    if path.startswith(TAXII_PREFIX):
        body: dict[str, Any] = {
            "title": title,
            "description": refusal.detail,
            "error_code": refusal.name,
            "http_status": str(refusal.status),
        }
        kind = TAXII_TYPE
    elif path.startswith(AUTHZEN_PREFIX):
        return _sentence(refusal)
    else:
        body = {
            "type": f"urn:ioint:problem:{refusal.name}",
            "title": title,
            "status": refusal.status,
            "detail": refusal.detail,
        }
        if refusal.field is not None:
            body["field"] = refusal.field
        if refusal.at is not None:
            body["at"] = refusal.at
        kind = "application/problem+json"
    headers = {"Content-Type": kind, "Cache-Control": "no-store", **refusal.headers}
    return web.Response(status=refusal.status, body=msgspec.json.encode(body), headers=headers)


def _sentence(refusal: Refusal) -> web.Response:
    """AuthZEN has a message as the body, and nothing else."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **refusal.headers}
    return web.Response(status=refusal.status, body=msgspec.json.encode(refusal.detail), headers=headers)
