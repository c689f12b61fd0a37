"""What the flows about grants work with and are asked for."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ioint_node.access.budget import is_spent
from ioint_node.access.grants import Access, Asked, Grant, Standing
from ioint_node.access.passes import Claims, PassKey, Proofs
from ioint_node.flows.assessing import AssessParts
from ioint_node.flows.live import Live

NEWEST: Final = 2_048  # passes


def standing_of(live: Live, now: int) -> Standing:
    """How a session stands now, in what bears on its grants."""
    terms, budget = live.terms(now), live.budget
    return Standing(
        actor=live.actor.id,
        open=live.closed is None,
        intent=live.tracker.families[0][0],
        envelope=live.tracker.envelope,
        terms=terms,
        renewed_at=budget.renewed_at,
        whole_at=budget.whole_at,
        until=live.declared + terms.session_s * 1_000,
        share=min(1.0, budget.granted / terms.budget),
        spent=is_spent(budget),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A pass that this process signed, with the grant that it is of."""

    text: str = field(repr=False)
    claims: Claims
    grant: Grant


class Newest:
    """The newest passes of grants that are alone in their sessions, a bounded number, by their text.

    A pass that is found here needs no look at its signature, and its grant none into the database. Whether it is still
    what the database has, the compare-and-swap says.
    """

    def __init__(self, most: int = NEWEST) -> None:
        self._most = most
        self._signed: OrderedDict[str, Signed] = OrderedDict()

    def get(self, text: str) -> Signed | None:
        """The pass with this text, if it is remembered."""
        return self._signed.get(text)

    def put(self, signed: Signed) -> None:
        """Remember a pass; the one that was remembered longest ago may fall out."""
        self._signed[signed.text] = signed
        if len(self._signed) > self._most:
            self._signed.popitem(last=False)

    def drop(self, text: str) -> None:
        """Forget a pass that is no longer the newest."""
        self._signed.pop(text, None)

    def drop_session(self, session_id: str) -> None:
        """Forget the passes of a session: its grants have company now."""
        for text in [one.text for one in self._signed.values() if one.grant.session_id == session_id]:
            del self._signed[text]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantParts:
    """What the flows about grants work with.

    Attributes:
        assess: the sessions that grants belong to, and the store.
        key: signs passes.
        issuer: `iss` of passes: the name by which resources know this node.
        standing: how a session stands.
        proofs: those that were used of late.
        newest: passes that this process signed last.
        counts: how many grants were issued, spent and revoked since the start, and passes replayed.
    """

    assess: AssessParts
    key: PassKey
    issuer: str
    standing: Callable[[Live, int], Standing] = standing_of
    proofs: Proofs = field(default_factory=Proofs)
    newest: Newest = field(default_factory=Newest)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRequest:
    """`POST /grants`. With a `request_id` of the caller's, the same request gets the same answer for a minute."""

    session_id: str
    key: Mapping[str, Any]
    asked: Asked = field(default_factory=Asked)
    audience: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendRequest:
    """`POST /grants/spend`: a pass, its proof, and what it is spent on; method and address as the node was called."""

    held: str = field(repr=False)
    proof: str = field(repr=False)
    wanted: Access | int
    method: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """`POST /grants/check`; method and url are those that the proof has to name, None where nobody says."""

    held: str = field(repr=False)
    proof: str | None = field(repr=False, default=None)
    access: Access | None = None
    audience: str | None = None
    method: str | None = None
    url: str | None = None
