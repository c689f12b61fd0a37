"""The parts that decide about an organisation's own agents, put together: judged, halted, granted and learned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from ioint_taxonomy import load_catalogue, load_taxonomy, map_call
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.access.passes import PassKey
from ioint_node.config import Config, Keys, load_pass_key, load_principal_key
from ioint_node.config.signal_keys import SignalKeys
from ioint_node.flows import assess, gap, grants, holding
from ioint_node.flows.assess import AssessParts
from ioint_node.flows.confirming import Confirming
from ioint_node.flows.gap import LoopParts
from ioint_node.flows.grant_parts import GrantParts
from ioint_node.flows.isolation import Isolation
from ioint_node.flows.journal import LocalSighting
from ioint_node.flows.live import LiveSessions
from ioint_node.flows.respond import RespondParts
from ioint_node.flows.signals import SignalLimits, SignalParts, Signer
from ioint_node.flows.subjects import parse_subjects
from ioint_node.flows.telemetry import Telemetry
from ioint_node.hooks import Hooks
from ioint_node.jobs import Job
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.scoring.model import load_model
from ioint_node.scoring.staging import salt_of
from ioint_node.store import held, responses
from ioint_node.store.engine import Store
from ioint_node.store.observations import forget_observations
from ioint_node.telemetry import TelemetryLimits
from ioint_node.transmitter import Transmitter

IDLE_S = 60.0
HOLDS_S = 60.0
ACCEPTED_S = 60.0
LEARN_S = 3_600.0
OBSERVATIONS_S = 3_600.0
GRANTS_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """The parts, for the web edge, the jobs and the tests."""

    assess: AssessParts
    loop: LoopParts
    responding: RespondParts
    grants: GrantParts
    hooks: Hooks
    signals: SignalParts
    transmitter: Transmitter
    telemetry: Telemetry


async def open_local(
    config: Config,
    keys: Keys,
    store: Store,
    beliefs: Beliefs,
    *,
    on_risky: Callable[[AsyncConnection, LocalSighting], Awaitable[None]],
    notify: Callable[[], None],
    issuer: Callable[[], str],
    now: int,
    clock: Callable[[], int],
) -> Local:
    """Make the parts, and bring back what was halted, held, accepted and learned before the node stopped."""
    taxonomy, shipped = load_taxonomy(), load_model()
    mapper = partial(map_call, own_domains=frozenset(config.own_domains))
    policy = config.policy(salt_of(keys.node_seed))
    async with store.read() as connection:
        halted, holds = await responses.load(connection), await held.load(connection, now)
    isolation = Isolation()
    await isolation.load(store)
    loop = LoopParts(
        store=store,
        model=shipped.at_tolerance(policy.tolerance),
        shipped=shipped,
        taxonomy=taxonomy,
        policy=policy,
        mapper=mapper,
    )
    await gap.refresh(loop, now)
    confirming = Confirming()
    await confirming.refresh(store, now)
    responding = RespondParts(
        store=store,
        notify=notify,
        mode=config.mode,
        halted=halted,
        holds=holds,
        webhook_private=config.webhook_private,
    )
    parts = AssessParts(
        store=store,
        live=LiveSessions(config.live_sessions),
        model=loop.model,
        taxonomy=taxonomy,
        catalogue=load_catalogue(),
        beliefs=beliefs,
        policy=policy,
        halted=halted,
        holds=holds,
        accepted=loop.accepted,
        isolation=isolation,
        mapper=mapper,
        subjects=parse_subjects(config.subjects),
        principal_key=load_principal_key(config.home),
        confirming=confirming,
        on_risky=on_risky,
        notify=notify,
    )
    signal_limits = SignalLimits()
    signals = SignalParts(
        store=store,
        issuer=issuer,
        signer=Signer(SignalKeys(config.signal_key_file), signal_limits.signed),
        notify=notify,
        all_subjects=config.ssf_default_subjects == "ALL",
        private=config.webhook_private,
        limits=signal_limits,
    )
    return Local(
        assess=parts,
        loop=loop,
        responding=responding,
        grants=GrantParts(
            assess=parts, key=PassKey.of_seed(load_pass_key(config.home)), issuer=f"ioint:{keys.member}"
        ),
        hooks=Hooks(store, private=config.webhook_private),
        signals=signals,
        transmitter=Transmitter(signals),
        telemetry=Telemetry(parts, clock, TelemetryLimits(body_bytes=config.otlp_body_bytes)),
    )


def jobs_of(local: Local) -> tuple[Job, ...]:
    """What these parts need done by the clock."""
    store = local.assess.store
    return (
        Job(name="idle", every_s=IDLE_S, run=partial(assess.close_idle, local.assess)),
        Job(name="holds", every_s=HOLDS_S, run=partial(holding.expire, local.responding)),
        Job(name="grants", every_s=GRANTS_S, run=partial(grants.sweep, local.grants)),
        Job(name="accepted", every_s=ACCEPTED_S, run=partial(gap.refresh, local.loop)),
        Job(name="confirming", every_s=LEARN_S, run=partial(local.assess.confirming.refresh, store)),
        Job(name="isolation", every_s=LEARN_S, run=partial(local.assess.isolation.refit, store)),
        Job(
            name="observations",
            every_s=OBSERVATIONS_S,
            run=lambda now: store.write(lambda connection: forget_observations(connection, now)),
        ),
    )
