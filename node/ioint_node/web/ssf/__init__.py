"""The door of the Shared Signals Framework 1.0: a transmitter of security events, pushed or polled."""

from __future__ import annotations

from functools import partial

from ioint_node.flows.signals import SignalParts
from ioint_node.web.site import Route, Site
from ioint_node.web.ssf import bodies, control, described, documents, operate, streams

_OPERATED = "/api/v1/ssf/streams"


def routes(site: Site) -> tuple[Route, ...]:
    """The doors of a node that transmits."""
    parts = site.parts.signals
    if parts is None:
        return ()
    return (*_open(parts), *_streams(parts), *_control(parts), *_operation(parts))


def _open(parts: SignalParts) -> tuple[Route, ...]:
    get = partial(Route, method="GET", may=None)
    metadata = partial(
        get,
        summary="How to speak to this SSF transmitter",
        handler=documents.configuration(parts),
        answers=described.METADATA,
    )
    return (
        metadata(path=documents.WELL_KNOWN),
        metadata(path=documents.WELL_KNOWN + "{path:/.+}"),
        get(
            path=documents.JWKS,
            summary="Keys that security events are verified by",
            handler=documents.keys(parts),
            answers=described.KEYS,
        ),
    )


def _streams(parts: SignalParts) -> tuple[Route, ...]:
    manage = partial(Route, path=documents.STREAMS, may="subscribe")
    return (
        manage(
            method="POST",
            summary="Make a stream of security events",
            handler=streams.create(parts),
            body=bodies.NewStream,
            answers=described.MADE,
        ),
        Route(
            method="GET",
            path=documents.STREAMS,
            may="query",
            summary="A stream of security events, or the list of the own ones",
            handler=streams.read(parts),
            query=described.WHICH,
            answers=described.READ,
        ),
        manage(
            method="PATCH",
            summary="Change settings of a stream",
            handler=streams.update(parts),
            body=bodies.ChangedStream,
            answers=described.CHANGED,
        ),
        manage(
            method="PUT",
            summary="Replace the settings of a stream",
            handler=streams.replace_all(parts),
            body=bodies.ChangedStream,
            answers=described.CHANGED,
        ),
        manage(
            method="DELETE",
            summary="Remove a stream",
            handler=streams.delete(parts),
            query=described.NAMED,
            answers=described.GONE,
        ),
    )


def _control(parts: SignalParts) -> tuple[Route, ...]:
    manage = partial(Route, method="POST", may="subscribe")
    return (
        Route(
            method="GET",
            path=documents.STATUS,
            may="query",
            summary="How a stream stands",
            handler=control.show_status(parts),
            query=described.NAMED,
            answers=described.STATUS,
        ),
        manage(
            path=documents.STATUS,
            summary="Enable, pause or disable a stream",
            handler=control.set_status(parts),
            body=bodies.ChangedStatus,
            answers=described.STATUS,
        ),
        manage(
            path=documents.ADD,
            summary="Hear of a subject",
            handler=control.put_subject(parts, wanted=True),
            body=bodies.SubjectBody,
            answers=described.ADDED,
        ),
        manage(
            path=documents.REMOVE,
            summary="Hear of a subject no more",
            handler=control.put_subject(parts, wanted=False),
            body=bodies.SubjectBody,
            answers=described.REMOVED,
        ),
        manage(
            path=documents.VERIFY,
            summary="Let a verification event come",
            handler=control.verify(parts),
            body=bodies.Verification,
            answers=described.ASKED,
        ),
        Route(
            method="POST",
            path=documents.POLLING + "/{stream}",
            may="query",
            summary="Acknowledge security events, and get what waits (RFC 8936)",
            handler=control.take(parts),
            body=bodies.PollBody,
            answers=described.POLLED,
        ),
    )


def _operation(parts: SignalParts) -> tuple[Route, ...]:
    manage = partial(Route, may="manage")
    return (
        manage(
            method="GET",
            path=_OPERATED,
            summary="Streams of security events of everybody",
            handler=operate.show_streams(parts),
            answers=described.LISTED,
        ),
        manage(
            method="POST",
            path=_OPERATED + "/{stream}",
            summary="Enable, pause or disable a stream of anybody's",
            handler=operate.operate(parts),
            body=bodies.OperatedStream,
            answers=described.OPERATED,
        ),
    )
