"""What the doors of this package answer, for the description of the interface."""

from __future__ import annotations

from typing import Any, Final

from ioint_node.signals.subjects import FORMATS
from ioint_node.store.signals import DISABLED, ENABLED, PAUSED, POLL, PUSH
from ioint_node.web.described import Answer, Answers, Parameter, answers

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_NUMBER: Final = {"type": "integer"}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON Schema
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


_STATUS: Final = {"type": "string", "enum": [ENABLED, PAUSED, DISABLED]}
_STREAM: Final = _object(
    {
        "stream_id": _TEXT,
        "iss": _TEXT,
        "aud": _TEXT,
        "events_supported": _TEXTS,
        "events_delivered": _TEXTS,
        "delivery": _object({"method": {"type": "string", "enum": [PUSH, POLL]}, "endpoint_url": _TEXT}),
        "min_verification_interval": _NUMBER,
        "format": {"type": "string", "enum": list(FORMATS)},
    },
    events_requested=_TEXTS,
    description=_TEXT,
    inactivity_timeout=_NUMBER,
)
_ROW: Final = _object(
    {
        "id": _TEXT,
        "by": _TEXT,
        "tlp": _TEXT,
        "method": {"type": "string", "enum": ["push", "poll"]},
        "endpoint_url": _TEXT,
        "events": _TEXTS,
        "description": {"type": ["string", "null"]},
        "status": _STATUS,
        "reason": _TEXT,
        "cursor": _NUMBER,
        "attempts": _NUMBER,
        "not_before": _TEXT,
        "last_status": _TEXT,
        "heard_at": _TEXT,
        "created_at": _TEXT,
    }
)
_NO_STREAM: Final = {404: Answer(about="The caller has no such stream.")}
_FULL: Final = {409: Answer(about="There are too many already.")}

WHICH: Final = (Parameter(name="stream_id", about="One stream; without it the list of the own ones."),)
NAMED: Final = (Parameter(name="stream_id", about="Which stream.", required=True),)
METADATA: Final = answers(
    _object(
        {
            "spec_version": _TEXT,
            "issuer": _TEXT,
            "jwks_uri": _TEXT,
            "delivery_methods_supported": _TEXTS,
            "configuration_endpoint": _TEXT,
            "status_endpoint": _TEXT,
            "add_subject_endpoint": _TEXT,
            "remove_subject_endpoint": _TEXT,
            "verification_endpoint": _TEXT,
            "authorization_schemes": {"type": "array", "items": _object({"spec_urn": _TEXT})},
            "default_subjects": {"type": "string", "enum": ["ALL", "NONE"]},
        }
    ),
    "The transmitter's metadata.",
)
KEYS: Final = answers(
    _object({"keys": {"type": "array", "items": {"type": "object"}}}), "A JSON Web Key Set (RFC 7517)."
)
MADE: Final[Answers] = answers(_STREAM, "The stream.", status=201) | _FULL
READ: Final[Answers] = (
    answers({"oneOf": [_STREAM, {"type": "array", "items": _STREAM}]}, "The stream, or a list.") | _NO_STREAM
)
CHANGED: Final[Answers] = answers(_STREAM, "The stream as it is now.") | _NO_STREAM
GONE: Final[Answers] = {204: Answer(about="It is gone.")} | _NO_STREAM
STATUS: Final[Answers] = (
    answers(_object({"stream_id": _TEXT, "status": _STATUS}, reason=_TEXT), "How it stands.") | _NO_STREAM
)
ADDED: Final[Answers] = {200: Answer(about="It is heard of.")} | _NO_STREAM | _FULL
REMOVED: Final[Answers] = {204: Answer(about="It is heard of no more.")} | _NO_STREAM | _FULL
ASKED: Final[Answers] = {
    204: Answer(about="The event will come."),
    409: Answer(about="The stream is disabled."),
} | _NO_STREAM
POLLED: Final = answers(
    _object({"sets": {"type": "object", "additionalProperties": _TEXT}}, moreAvailable={"type": "boolean"}),
    "Security event tokens by their `jti`.",
)
LISTED: Final = answers(
    _object({"items": {"type": "array", "items": _ROW}, "next": {"type": "null"}}), "Every stream."
)
OPERATED: Final = answers(_object({"stream_id": _TEXT, "status": _STATUS, "reason": _TEXT}), "How it stands.")
