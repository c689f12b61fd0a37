"""The answers of the API as types: what the description of the interface says of them, and clients may rely on.

More fields may come (`contracts`: new response fields may be added), so a shape names what is always there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Tlp = Literal["clear", "green", "amber", "amber_strict", "red"]
Verdict = Literal["in_scope", "borderline", "out_of_scope"]
Mode = Literal["observe", "enforce"]


class Layers(TypedDict):
    """The four layers of trust."""

    identity: Share
    behaviour: Share
    context: Share
    outcome: Share


class TrustView(TypedDict):
    """TRUST: `used` is `lower` less what the network takes off; `components` are the means of what is known."""

    score: Share
    lower: Share
    layers: Layers
    friction: Literal["strict", "standard", "trusted"]
    autonomy: Annotated[int, Meta(ge=1, le=5)]
    used: Share
    components: dict[str, float]


class StepView(TypedDict):
    """An action in the abstract vocabulary."""

    verb: str
    resource: str
    sensitivity: str
    boundary: str
    provenance: str
    flow: list[str]
    confidence: Share


class ReasonView(TypedDict):
    """One reason of a decision, its weight in log-odds."""

    code: str
    weight: float
    text: str


class IntentView(TypedDict):
    """An intent that the path may serve."""

    id: str
    slug: str
    p: Share


class WithoutView(TypedDict):
    """What would be without the network."""

    trust: Share
    response: str


class NetworkView(TypedDict):
    """What other members have to do with a decision."""

    effect: Share
    tier: str
    patterns: list[str]
    age_s: float | None
    without: WithoutView
    off: bool


class BudgetView(TypedDict):
    """The trust budget of a session."""

    granted: float
    left: float
    cost: float
    groups: int
    interval_s: float
    revalidate_in_s: float
    renewals: int
    spent: bool


class Decision(TypedDict):
    """DECISION: in observe mode `allowed` is true, `verdict` and `response` say what enforcing would do."""

    decision_id: str
    action_id: str
    verdict: Verdict
    drift: Share
    wis: Share
    response: Literal["none", "notify", "step_up", "reduce", "approve", "suspend", "relaunch", "kill"]
    allowed: bool
    mode: Mode
    step: StepView
    reasons: list[ReasonView]
    intents: list[IntentView]
    alternative: dict[str, Any] | None
    trust: TrustView
    network: NetworkView
    cache_ttl_s: Annotated[int, Meta(ge=0)]
    budget: BudgetView
    approval: dict[str, Any] | None
    warnings: list[Any]


class DeclaredView(TypedDict):
    """The declared intent, as it was understood."""

    family: str
    confidence: Share


class ConcreteView(TypedDict):
    """Names that the declaration gives."""

    tools: list[str]
    withheld: list[str]
    hosts: list[str]
    paths: list[str]
    tables: list[str]


class EnvelopeView(TypedDict):
    """The authority map: what a session may touch."""

    verbs: list[str]
    resources: list[str]
    max_sensitivity: str
    max_boundary: str
    concrete: NotRequired[ConcreteView]


class TermsView(TypedDict):
    """How long a declaration carries, and what a person approves each time."""

    session_s: float
    approve: list[str]


class OpenedSession(TypedDict):
    """What opening, declaring anew and asking for scope answer."""

    session_id: str
    declared: DeclaredView
    envelope: EnvelopeView
    trust: TrustView
    terms: TermsView
    budget: BudgetView
    fail_mode: dict[str, str]
    warnings: list[Any]


class ScopeAnswer(OpenedSession):
    """Whether more is granted, under which families it would be, or which proposal waits for a person."""

    request_id: str
    state: Literal["granted", "redeclare", "person"]
    families: list[str]
    proposal: NotRequired[str | None]


class FeedbackTaken(TypedDict):
    """What was said, and whether it counts."""

    session_id: str
    kind: str
    positive: bool
    counted: bool
    trust: TrustView
    proposal: NotRequired[str | None]


class ClosedSession(TypedDict):
    """How a session ended."""

    session_id: str
    state: Literal["closed"]
    outcome: Literal["done", "failed", "aborted"]
    verdict: Verdict
    risk: Share
    actions: int
    patterns: list[str]
    trust: TrustView


class SessionRow(TypedDict):
    """A session in a list."""

    session_id: str
    actor: str
    family: str
    family_confidence: Share
    state: Literal["open", "closed"]
    outcome: str | None
    verdict: Verdict
    risk: Share
    actions: int
    opened_at: str
    updated_at: str
    closed_at: str | None


class SessionView(SessionRow):
    """A session with its decisions."""

    envelope: dict[str, Any]
    patterns: list[Any]
    decisions: list[dict[str, Any]]


class IndicatorRow(TypedDict):
    """The indicator row of the contract; a field that is not known is null."""

    id: Hex64
    kind: Literal["pattern", "subject"]
    label: str
    intents: list[str]
    layer: str | None
    declared: list[str] | None
    state: Literal["unknown", "watched", "suspicious", "malicious", "disputed", "withdrawn", "benign"]
    score: Percent
    confidence: Percent
    tier: str
    effect: Share
    reporters: int
    first_reporter: str | None
    first_seen: str | None
    last_seen: str | None
    valid_until: str | None
    trend: str | None
    seen_locally: bool
    local_hits: int
    blast_radius: int
    disputed: bool
    revoked: bool
    tlp: Tlp
    taxonomy_version: str
    why: str
    seq: int
    reason: str | None
    verbs: NotRequired[list[str]]  # a row of an older release has neither
    resources: NotRequired[list[str]]


class HereRow(IndicatorRow):
    """An indicator with what was decided of it here."""

    reported_by: list[str]
    muted: bool
    allowed: bool
    quarantined: bool
    under_review: bool
    effect_now: Share


class CatalogueView(TypedDict):
    """A pattern as the catalogue has it."""

    slug: str
    pattern: dict[str, Any]
    risk: int
    response: str


class PatternRow(HereRow):
    """An indicator with its entry of the catalogue, where it has one."""

    catalogue: NotRequired[CatalogueView]


class NamedMember(TypedDict):
    """A member by id and name."""

    id: str
    name: str | None


class DisputeRow(TypedDict):
    """A dispute, and what came of it."""

    id: str
    pattern: str | None
    label: str | None
    report: str
    reporters: list[NamedMember]
    disputer: NamedMember
    reason: str
    opened: str | None
    deadline: str | None
    state: str
    ruling: Any
    ruled: Any


class PatternView(PatternRow):
    """One indicator with its newest disputes."""

    disputes: list[DisputeRow]


class RecordRow(TypedDict):
    """A signed record with its bytes."""

    id: Hex64
    statement: str
    author: str
    segment: int
    kind: str
    subject: str | None
    of: str | None
    tlp: str | None
    day: int | None
    received_at: str
    bytes_b64: str


class ProofRow(TypedDict):
    """The proof that a member signed a record."""

    record: Hex64
    author: str
    seq: int
    index: int
    head: str
    root: str
    proof_b64: str


MemberRow = TypedDict(
    "MemberRow",
    {
        "id": str,
        "name": str,
        "group": str,
        "class": str,
        "state": str,
        "since": int,
        "sponsor": str,
        "own": bool,
        "standing": Share,
        "standing_until": str | None,
        "weight": float,
        "canaries": int,
        "known_since": str | None,
        "last_success_at": str | None,
        "refused": dict[str, int],
        "passed_over": dict[str, int],
        "quarantined_at": str | None,
        "quarantine_reason": str | None,
    },
)


class RosterRow(TypedDict):
    """A signed file of the roster."""

    name: str
    installed_at: str
    bytes_b64: str


class AgentRow(TypedDict):
    """An agent, user or workload with the trust in it."""

    id: str
    kind: Literal["agent", "user", "workload"]
    composition: str
    owner: str
    trust: TrustView
    created_at: str
    updated_at: str


class OrderRow(TypedDict):
    """An order about an actor, with what was reported of it."""

    id: str
    actor: str
    session_id: str | None
    response: str
    reason: str
    by: str
    state: str
    at: str
    reported_at: str | None
    report: Any
    overdue: bool


class StandingOfActor(TypedDict):
    """Whether an actor is halted, and what was asked about it."""

    state: str
    halted: dict[str, Any] | None
    responses: list[OrderRow]


class AgentView(AgentRow):
    """One agent with its newest sessions, its orders, and what is usual for it."""

    sessions: list[dict[str, Any]]
    state: str
    halted: dict[str, Any] | None
    responses: list[OrderRow]
    observations: list[dict[str, Any]]


class OverrideRow(TypedDict):
    """What a person here decided of a pattern or package."""

    subject: str
    kind: str
    reason: str
    by: str
    at: str
    expires_at: str | None


class EffectsView(TypedDict):
    """Whether the network has effects here, and what its silence leaves of them."""

    off: bool
    reason: str | None
    by: str | None
    at: str | None
    expires_at: str | None
    age_s: float | None
    share_left: Share


class TokenListed(TypedDict):
    """What is known of a token; never the token."""

    id: str
    role: Literal["agent", "engine", "soc", "admin"]
    actor: str | None
    tlp: Tlp
    age_days: int
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    rotated_at: str | None
    revoked_at: str | None
    old_until: str | None
    scopes: list[str] | None
    certificate: str | None


class TokenMade(TypedDict):
    """A token, shown this once."""

    id: str
    token: str
    role: Literal["agent", "engine", "soc", "admin"]
    actor: str | None
    tlp: Tlp
    expires: str | None
    scopes: list[str] | None
    certificate: str | None
    grace_s: NotRequired[int]


class PolicyInForce(TypedDict):
    """What verdicts follow, and whom they are enforced on."""

    tolerance: float
    enforcement: dict[str, Any]
    fail_mode: dict[str, str]


class ProposalRow(TypedDict):
    """A change of what an intent may do, and what speaks for it."""

    id: str
    kind: Literal["envelope"]
    family: str
    actor: str | None
    change: dict[str, Any]
    text: str
    evidence: dict[str, Any]
    state: str
    by: str
    at: str
    decided_by: str | None
    decided_at: str | None
    expires_at: str | None


class IncidentRow(TypedDict):
    """An own session that contains what others warn of."""

    id: str
    pattern: str
    label: str | None
    state: str


class IncidentView(IncidentRow):
    """One incident with all that was done to it."""

    notes: list[dict[str, Any]]


class ObservationRow(TypedDict):
    """What a detector sees, and until when it holds."""

    observation_id: str
    source: str
    kind: str
    actor: str
    session_id: str | None
    value: float | None
    detail: dict[str, Any]
    at: str
    expires: str
    counted: bool
    own: bool
    by: str


class OutgoingRow(TypedDict):
    """A record that left or would leave, with its bytes and who can read it."""

    id: str
    kind: str
    subject: str | None
    bytes_b64: str
    explain: list[dict[str, Any]]
    state: str
    reason: str | None
    tlp: Tlp
    readers: dict[str, Any]


class GrantRow(TypedDict):
    """A grant."""

    id: str
    actor: str
    session_id: str
    intent: str
    key: str
    scope: dict[str, Any]
    audience: str | None
    units: float
    left: float
    generation: int
    interval_s: float
    revalidate_at: str
    issued_at: str
    expires_at: str
    state: Literal["live", "spent", "revoked", "expired"]
    reason: str


class StatusView(TypedDict):
    """The node in one answer."""

    org: str
    member: str | None
    version: str
    mode: Mode
    policy: PolicyInForce
    publish: str
    taxonomy: dict[str, Any]
    catalogue: dict[str, Any]
    detector: str
    consortium: str | None
    roster: dict[str, int] | None
    network_age_s: float | None
    effects: EffectsView
    peers: dict[str, int]
    indicators: dict[str, int]
    stream_seq: int
    responses: dict[str, Any]
    waiting_for: list[str]
    halted: Any
    refused: dict[str, int]
