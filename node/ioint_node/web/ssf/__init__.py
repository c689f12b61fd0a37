"""The door of the Shared Signals Framework 1.0: a transmitter of security events, pushed or polled."""

from __future__ import annotations

from ioint_node.web.site import Route, Site
from ioint_node.web.ssf import control, documents, operate, streams
from ioint_node.web.ssf.bodies import (
    ChangedStatus,
    ChangedStream,
    NewStream,
    OperatedStream,
    PollBody,
    SubjectBody,
    Verification,
)


def routes(site: Site) -> tuple[Route, ...]:
    """The doors of a node that transmits."""
    parts = site.parts.signals
    if parts is None:
        return ()
    metadata, streams_at = documents.configuration(parts), documents.STREAMS
    doors = (
        ("GET", documents.WELL_KNOWN, None, "How to speak to this SSF transmitter", metadata, None),
        ("GET", documents.WELL_KNOWN + "{path:/.+}", None, "The same, where its issuer has a path", metadata, None),
        ("GET", documents.JWKS, None, "Keys that security events are verified by", documents.keys(parts), None),
        ("POST", streams_at, "subscribe", "Make a stream of security events", streams.create(parts), NewStream),
        ("GET", streams_at, "query", "A stream, or the list of the own ones", streams.read(parts), None),
        ("PATCH", streams_at, "subscribe", "Change settings of a stream", streams.update(parts), ChangedStream),
        ("PUT", streams_at, "subscribe", "Replace the settings", streams.replace_all(parts), ChangedStream),
        ("DELETE", streams_at, "subscribe", "Remove a stream", streams.delete(parts), None),
        ("GET", documents.STATUS, "query", "How a stream stands", control.show_status(parts), None),
        ("POST", documents.STATUS, "subscribe", "Enable, pause, disable", control.set_status(parts), ChangedStatus),
        (
            "POST", documents.ADD, "subscribe", "Hear of a subject",
            control.put_subject(parts, wanted=True), SubjectBody,
        ),
        (
            "POST", documents.REMOVE, "subscribe", "Hear of a subject no more",
            control.put_subject(parts, wanted=False), SubjectBody,
        ),
        ("POST", documents.VERIFY, "subscribe", "Let a verification come", control.verify(parts), Verification),
        ("POST", documents.POLLING + "/{stream}", "query", "Poll (RFC 8936)", control.take(parts), PollBody),
        ("GET", "/api/v1/ssf/streams", "manage", "Streams of everybody", operate.show_streams(parts), None),
        (
            "POST", "/api/v1/ssf/streams/{stream}", "manage", "Stop or start a stream",
            operate.operate(parts), OperatedStream,
        ),
    )  # fmt: skip
    return tuple(
        Route(method=method, path=path, may=may, summary=summary, handler=handler, body=body)
        for method, path, may, summary, handler, body in doors
    )
