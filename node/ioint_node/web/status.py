"""For operation: is it alive, is it ready, what does it count, what does it answer to."""

from __future__ import annotations

import math
from collections.abc import Iterable

from aiohttp import web

from ioint_node.store import stream
from ioint_node.store.tokens import Caller
from ioint_node.web.answers import json_answer
from ioint_node.web.described import Answer, answers, fields
from ioint_node.web.site import Route, Site

_WAITS = fields(ready=bool, waiting_for={"type": "array", "items": str})
_READY = answers(_WAITS, "It is ready.") | answers(_WAITS, "What it waits for.", status=503)
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def healthz(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The process answers."""
    return json_answer({"status": "ok"})


async def readyz(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """The database answers, and nothing that the node needs is missing."""
    async with site.parts.store.read() as connection:
        await stream.high_water(connection)
    waiting = site.parts.not_ready()
    return json_answer({"ready": not waiting, "waiting_for": list(waiting)}, 503 if waiting else 200)


async def metrics(site: Site, request: web.Request, caller: Caller) -> web.Response:
    """Counts in the text format of Prometheus."""
    parts = site.parts
    lines = [
        *_counter(
            "ioint_refused_total",
            "Refused requests by name.",
            (({"name": name}, count) for name, count in sorted(parts.refusals.items())),
        ),
        *_counter(
            "ioint_http_answers_total",
            "Answers by route, method and status.",
            (
                ({"route": route, "method": method, "status": str(status)}, count)
                for (route, method, status), count in sorted(site.answered.items())
            ),
        ),
        *_counter(
            "ioint_stream_dropped_total",
            "Subscribers that were cut off, by reason.",
            (({"reason": reason}, count) for reason, count in sorted(parts.hub.dropped.items())),
        ),
        *_gauge("ioint_stream_subscribers", "Subscribers of the stream.", parts.hub.subscribers),
        *_gauge("ioint_stream_seq", "Number of the newest event given to subscribers.", parts.hub.seq),
        *_gauge(
            "ioint_network_silence_seconds",
            "Since the network was last heard.",
            math.nan if (age_s := parts.exchange.beliefs.age_s(parts.now())) is None else age_s,
        ),
        *_gauge(
            "ioint_peers_connected",
            "Members with an open connection.",
            sum(1 for peer in parts.peers_status() if peer.get("connected_since") is not None),
        ),
    ]
    for name, value in sorted(parts.counts().items()):
        lines += _gauge(name, "Given by the node.", value)
    return web.Response(text="\n".join(lines) + "\n", headers={"Content-Type": METRICS_TYPE})


def routes() -> tuple[Route, ...]:
    """The doors of this module; `/openapi.json` is added by the application, which knows all routes."""
    return (
        Route(
            method="GET",
            path="/healthz",
            may=None,
            summary="The process answers",
            handler=healthz,
            answers=answers(fields(status=str)),
        ),
        Route(
            method="GET",
            path="/readyz",
            may=None,
            summary="The node is ready to serve",
            handler=readyz,
            answers=_READY,
        ),
        Route(
            method="GET",
            path="/metrics",
            may="query",
            summary="Counts for Prometheus",
            handler=metrics,
            answers={200: Answer(about="Counts.", content={"text/plain": {"type": "string"}})},
            at_once=True,
        ),
    )


def _counter(name: str, text: str, samples: Iterable[tuple[dict[str, str], int]]) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} counter", *(_sample(name, *one) for one in samples)]


def _gauge(name: str, text: str, value: float) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name} {value:g}"]


def _sample(name: str, labels: dict[str, str], value: int) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
