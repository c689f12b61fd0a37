"""What the handlers share: the parts that the application gives, and what this process remembers of its callers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from msgspec import Struct

from ioint_node.access.boundary import Boundary
from ioint_node.flows.assess import AssessParts
from ioint_node.flows.gap import LoopParts
from ioint_node.flows.grant_parts import GrantParts
from ioint_node.flows.joining import JoiningParts
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.respond import RespondParts
from ioint_node.flows.signals import SignalParts
from ioint_node.flows.telemetry import Telemetry
from ioint_node.store.engine import Store
from ioint_node.store.tokens import Caller, TokenCache
from ioint_node.web.described import Answers, Parameter
from ioint_node.web.hub import Hub
from ioint_node.web.limits import FailedAuth, Lookups, WebLimits, nearest
from ioint_node.web.oidc.bearers import Bearers
from ioint_node.web.oidc.provider import Provider
from ioint_node.web.oidc.sessions import Sessions
from ioint_node.web.rates import Rates


def clock() -> int:
    """Now, in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def no_boundary() -> None:
    """No policy is loaded: whoever asks brings a base decision, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebParts:
    """What the web edge is made of.

    `peers_status` answers one JSON object per member, `not_ready` names what the node still waits for (nothing =
    ready), `counts` are further numbers for `/metrics` (name of the metric → value), `grants` is None on a node that
    signs no passes, `loop` None where the default policy holds, `responding` None where webhooks may not lead into
    private networks, `joining` None where nobody can apply, `signals` None where no security events are transmitted,
    `publishes` where what is TLP:CLEAR is published, `telemetry` None where nobody runs its loop, `behind_proxy` where
    a proxy names the caller's address, `demands_certificate` where callers from elsewhere need a client certificate,
    `oidc` None without a provider, `boundary` the loaded policy of who may do what at all, where there is one.
    """

    store: Store
    assess: AssessParts
    exchange: ExchangeParts
    hub: Hub
    peers_status: Callable[[], list[dict[str, Any]]]
    version: str
    org: str
    limits: WebLimits = field(default_factory=WebLimits)
    refusals: Counter[str] = field(default_factory=Counter)
    not_ready: Callable[[], tuple[str, ...]] = tuple
    counts: Callable[[], Mapping[str, float]] = dict
    now: Callable[[], int] = clock
    grants: GrantParts | None = None
    loop: LoopParts | None = None
    responding: RespondParts | None = None
    joining: JoiningParts | None = None
    signals: SignalParts | None = None
    publishes: bool = False
    telemetry: Telemetry | None = None
    behind_proxy: bool = False
    demands_certificate: bool = False
    oidc: Provider | None = None
    boundary: Callable[[], Boundary | None] = no_boundary


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The parts, and this process's memory of callers, requests and open streams."""

    parts: WebParts
    tokens: TokenCache
    failed: FailedAuth
    lookups: Lookups
    loop: LoopParts
    responding: RespondParts
    telemetry: Telemetry
    answered: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # route, method, status
    rates: Rates
    sessions: Sessions = field(default_factory=Sessions)  # of people who signed in with the provider
    bearers: Bearers | None = None  # access tokens of the provider
    streams: Counter[str] = field(default_factory=Counter)  # token id → open streams
    pinged: set[str] = field(default_factory=set)  # webhooks that are being tested

    def address(self, request: web.Request) -> str:
        """Where a request comes from; by the word of the proxy, where one is in front."""
        told = request.headers.getall("X-Forwarded-For", []) if self.parts.behind_proxy else []
        return nearest(told) or request.remote or "unknown"


Handler = Callable[[Site, web.Request, Caller], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One door: who may come in, what it takes, what it answers, and what is behind it.

    `may` is the right that it asks for, None for a door that is open to everybody. `at_once` answers without waiting
    for what sessions are about to write. `costly` counts against the smaller of a token's two rates.

    `query` are the parameters of the query and the headers that it reads. `answers` are its own answers by status: the
    successes, and the refusals that do not follow from the rest of this value (`openapi.derived` says which do).
    """

    method: str
    path: str
    may: str | None
    summary: str
    handler: Handler
    body: type[Struct] | None = None
    at_once: bool = False
    costly: bool = False
    query: tuple[Parameter, ...] = ()
    answers: Answers = field(default_factory=dict)
