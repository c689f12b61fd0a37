"""Refusals as HTTP: RFC 9457 problem details, or under the path of a standard the error body that it has itself.

A refusal has a name from a short list, and is counted by it. Nothing of what the caller sent is echoed but the
name of the field at fault and at most a few characters of its value.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

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
from ioint_node.filtering import FilterError

log = logging.getLogger(__name__)
SERVER = "ioint"
TAXII_PREFIX = "/taxii2/"
TAXII_TYPE = "application/taxii+json;version=2.1"
AUTHZEN_PREFIX = "/access/v1/"
OTLP_PREFIX = "/v1/"
JSON_TYPE = "application/json"
PROTOBUF_TYPE = "application/x-protobuf"
# Codes of google.rpc by status of HTTP; 2 is the one for what is unknown.
_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 11, 415: 3, 429: 8, 500: 13, 503: 14}
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
    422: "Not processable",
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
    if isinstance(error, FilterError):
        return bad_field(error.field, str(error), at=error.at)
    for kind, status, name in _FAULTS:
        if isinstance(error, kind):
            return Refusal(status, name, str(error), field=_field_of(error))
    log.error("a handler failed", exc_info=error)
    return Refusal(500, "internal", "the node failed to serve this request; its log says why")


def _field_of(error: Exception) -> str | None:
    """The field that a message about a caller's request begins with: `name: …`, `actors[3].kind: …`."""
    found = _NAMED.match(str(error)) if isinstance(error, RequestError) else None
    return None if found is None else found["field"]


BEARER: Final = 'Bearer realm="ioint"'
# A browser answers a Basic challenge with a window of its own; only tools that know nothing else get one.
BASIC: Final = 'Basic realm="ioint", charset="UTF-8"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How refusals are said under a part of the paths.

    `say` gives media type and body of a refusal, of its title and of the media type of the request ("" for none).
    `content` describes the same: media type to schema. `statuses` are those that the standard has others for.
    """

    say: Callable[[Refusal, str, str], tuple[str, bytes]]
    content: Mapping[str, Any]
    challenge: str = BEARER
    statuses: Mapping[int, int] = field(default_factory=dict)


def _problem(refusal: Refusal, title: str, sent: str) -> tuple[str, bytes]:
    body: dict[str, Any] = {
        "type": f"urn:ioint:problem:{refusal.name}",
        "title": title,
        "status": refusal.status,
        "detail": refusal.detail,
    }
    if refusal.field is not None:
        body["field"] = refusal.field
    if refusal.at is not None:
        body["at"] = refusal.at
    return "application/problem+json", msgspec.json.encode(body)


def _taxii_error(refusal: Refusal, title: str, sent: str) -> tuple[str, bytes]:
    body = {
        "title": title,
        "description": refusal.detail,
        "error_code": refusal.name,
        "http_status": str(refusal.status),
    }
    return TAXII_TYPE, msgspec.json.encode(body)


def _sentence(refusal: Refusal, title: str, sent: str) -> tuple[str, bytes]:
    return "application/json", msgspec.json.encode(refusal.detail)


def _rpc_status(refusal: Refusal, title: str, sent: str) -> tuple[str, bytes]:
    """`google.rpc.Status`, in the encoding that was asked in."""
    status = RpcStatus(code=_RPC_CODES.get(refusal.status, 2), message=refusal.detail)
    if sent != PROTOBUF_TYPE:
        return JSON_TYPE, msgspec.json.encode(status)
    said = status.message.encode("utf-8", "replace")
    # Two fields: 1 is the code, a varint, and 2 the message, its length and then the text.
    return PROTOBUF_TYPE, bytes((0x08, status.code, 0x12)) + _varint(len(said)) + said


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Problem details (RFC 9457): `type` is `urn:ioint:problem:NAME`; `field` and `at` say where the fault is."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    at: int | None = None


class TaxiiError(msgspec.Struct, frozen=True, kw_only=True):
    """The error message of TAXII 2.1, section 3.6.1."""

    title: str
    description: str
    error_code: str
    http_status: str


class RpcStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`google.rpc.Status`, as OTLP answers what it refuses."""

    code: int
    message: str


PROBLEM: Final = Form(say=_problem, content={"application/problem+json": Problem})
FORMS: Final[Mapping[str, Form]] = {
    TAXII_PREFIX: Form(say=_taxii_error, content={TAXII_TYPE: TaxiiError}, challenge=BASIC),
    # AuthZEN, 10.1.2: a message as the body, and 400 whatever is wrong with the request.
    AUTHZEN_PREFIX: Form(
        say=_sentence,
        content={"application/json": str},
        statuses={408: 400, 409: 400, 413: 400, 415: 400, 417: 400},
    ),
    OTLP_PREFIX: Form(
        say=_rpc_status,
        content={JSON_TYPE: RpcStatus, PROTOBUF_TYPE: {"type": "string", "format": "binary"}},
    ),
}
"""The forms of the standards that have their own, by the prefix of their paths."""


def form_of(path: str) -> Form:
    """How refusals are said on this path."""
    return next((form for prefix, form in FORMS.items() if path.startswith(prefix)), PROBLEM)


def render(refusal: Refusal, path: str, sent: str = "") -> web.Response:
    """The response that carries a refusal on this path; `sent` is the media type of the request's body."""
    form = form_of(path)
    kind, body = form.say(refusal, _TITLES.get(refusal.status, "Refused"), sent)
    headers = {"Content-Type": kind, "Cache-Control": "no-store", **refusal.headers}
    return web.Response(status=form.statuses.get(refusal.status, refusal.status), body=body, headers=headers)
