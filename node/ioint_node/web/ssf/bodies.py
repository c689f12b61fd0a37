"""What receivers send. SSF has them ignore what they do not know, and so does its transmitter."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from ioint_node.addresses import URL_CHARS, check_url
from ioint_node.errors import RequestError
from ioint_node.store.signals import POLL, PUSH, Settings
from ioint_node.web.problems import bad_field

StreamId = Annotated[str, Meta(min_length=1, max_length=64)]
_Text = Annotated[str, Meta(max_length=1_024)]
_EventUri = Annotated[str, Meta(min_length=1, max_length=256)]
_Header = Annotated[
    str,
    Meta(max_length=4_096, pattern=r"^([!-~]([\t -~]*[!-~])?)?$", description="printable ASCII, or nothing"),
]


class Delivery(Struct, frozen=True, kw_only=True):
    """How tokens come: pushed (RFC 8935) to `endpoint_url`, or polled (RFC 8936) from one that the node gives."""

    method: Literal["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"]
    endpoint_url: Annotated[str, Meta(max_length=URL_CHARS)] | UnsetType = UNSET
    authorization_header: _Header | UnsetType = UNSET


class NewStream(Struct, frozen=True, kw_only=True):
    """`POST /ssf/streams`; without `delivery` it is polled, without `events_requested` all events come."""

    delivery: Delivery | UnsetType = UNSET
    events_requested: Annotated[list[_EventUri], Meta(max_length=64)] | UnsetType = UNSET
    description: _Text | UnsetType = UNSET
    format: Literal["iss_sub", "uri"] | UnsetType = UNSET


class ChangedStream(NewStream, frozen=True, kw_only=True):
    """`PATCH` and `PUT /ssf/streams`; what the transmitter supplies may be there, and then has to be as it is."""

    stream_id: StreamId
    iss: Any = UNSET
    aud: Any = UNSET
    events_supported: Any = UNSET
    events_delivered: Any = UNSET
    min_verification_interval: Any = UNSET
    inactivity_timeout: Any = UNSET


class ChangedStatus(Struct, frozen=True, kw_only=True):
    """`POST /ssf/status`: a paused stream holds its events, a disabled one drops them."""

    stream_id: StreamId
    status: Literal["enabled", "paused", "disabled"]
    reason: _Text = ""


class SubjectBody(Struct, frozen=True, kw_only=True):
    """`POST /ssf/subjects/add` and `/ssf/subjects/remove`."""

    stream_id: StreamId
    subject: dict[str, Any]


class Verification(Struct, frozen=True, kw_only=True):
    """`POST /ssf/verify`: `state` comes back in the event."""

    stream_id: StreamId
    state: _Text | None = None


class SetError(Struct, frozen=True, kw_only=True):
    """Why a token could not be used."""

    err: str = ""


class PollBody(Struct, frozen=True, kw_only=True):
    """`POST /ssf/poll/{stream}`."""

    max_events: Annotated[int, Meta(ge=0)] | UnsetType = field(default=UNSET, name="maxEvents")
    return_immediately: bool = field(default=False, name="returnImmediately")
    ack: list[str] = []
    set_errs: dict[str, SetError] = field(default_factory=dict, name="setErrs")


class OperatedStream(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/ssf/streams/{stream}`: an administrator enables, pauses or disables a stream of anybody's."""

    status: Literal["enabled", "paused", "disabled"]
    reason: _Text = ""


def settings_of(body: NewStream, before: Settings, poll_url: str, *, private: bool) -> Settings:
    """The settings that a body asks for; what it does not say stays as `before` has it.

    Raises:
        Refusal: the field at fault, as where it may not lead.
    """
    made = before
    if not isinstance(body.delivery, UnsetType):
        made = _delivered(body.delivery, made, poll_url, private=private)
    if not isinstance(body.events_requested, UnsetType):
        made = replace(made, events=tuple(dict.fromkeys(body.events_requested)))
    if not isinstance(body.description, UnsetType):
        made = replace(made, description=body.description)
    if not isinstance(body.format, UnsetType):
        made = replace(made, format=body.format)
    return made


def _delivered(wanted: Delivery, before: Settings, poll_url: str, *, private: bool) -> Settings:
    if wanted.method == POLL:
        if poll_url and wanted.endpoint_url not in (UNSET, poll_url):
            raise bad_field("delivery.endpoint_url", "of a polled stream it is given by the transmitter")
        return replace(before, method=POLL, endpoint_url="", authorization_header="")
    if not wanted.endpoint_url:
        raise bad_field("delivery.endpoint_url", "needed where tokens are pushed")
    try:
        check_url(wanted.endpoint_url, private=private)
    except RequestError as error:
        raise bad_field("delivery.endpoint_url", str(error).removeprefix("url: ")) from None
    header = wanted.authorization_header
    if not isinstance(header, UnsetType) and header.endswith("\n"):  # which the pattern lets by
        raise bad_field("delivery.authorization_header", "no line break")
    if isinstance(header, UnsetType):
        # It is never shown, so that who reads the settings and sends them back does not have it.
        header = before.authorization_header if wanted.endpoint_url == before.endpoint_url else ""
    return replace(before, method=PUSH, endpoint_url=wanted.endpoint_url, authorization_header=header)
