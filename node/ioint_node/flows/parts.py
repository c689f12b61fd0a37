"""What the flows between members work with."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ioint_protocol import Roster, Vector
from ioint_taxonomy import Catalogue, Taxonomy
from nacl.signing import SigningKey

from ioint_node.admission import Floors, Limits, Quotas, Recent
from ioint_node.privacy.explain import Audience
from ioint_node.privacy.fingerprints import FingerprintKey
from ioint_node.privacy.gate import Mode
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.reputation.dossier import Dossiers
from ioint_node.reputation.gate import Params
from ioint_node.reputation.novel import NovelLimits
from ioint_node.reputation.standpoint import Standpoint
from ioint_node.store.engine import Store


class Anchor(Protocol):
    """A place outside the database that survives it, for the newest segments of our own log (`flows.ownlog`)."""

    def read(self) -> bytes | None:
        """What was written last, or None when nothing ever was."""

    def write(self, wire: bytes) -> None:
        """Replace it, and return only once the new bytes are on disk."""


class NoAnchor:
    """For a node that signs nothing: remembers nothing."""

    def read(self) -> bytes | None:
        """Nothing."""
        return None

    def write(self, wire: bytes) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What we newly have (heads of logs, or `CONVICTED`) and whom to tell; telling it may be lost."""

    heads: Vector
    to: frozenset[str]


def _nothing() -> None:
    pass


def _unheard(_: News) -> None:
    pass


def _nobody() -> frozenset[str]:
    return frozenset()


def _always() -> bool:
    return True


def _no_later_key(seq: int) -> SigningKey | None:
    del seq
    return None


@dataclass(slots=True)
class Farewell:
    """Whether this node is taking everything back: meanwhile it signs withdrawals and nothing else."""

    begun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeParts:
    """The parts that receive, believe, publish and why share.

    Attributes:
        member: this node's member id (32 hex), or None before it has joined.
        record_key: signs segments; None before keys were made.
        roster: the roster in force, or None when there is none or it has expired.
        consortium: the id that every signature is bound to (64 hex).
        detector: digest of the model that finds patterns (64 hex).
        label: the label of TLP 2.0 that reports get where nobody says otherwise.
        public_names: package URLs without versions whose names the operator knows to be public.
        private_names: scopes and names that never leave.
        fingerprint_key: the newest epoch's; None where fingerprints are off or there is no key.
        notify: called after a commit that wrote stream or outbox rows.
        flush_soon: called when something became ready to leave; `flush` may then run at once.
        draw: a random integer below its argument, for the delay of emission slots.
        anchor: what was signed, should the database be lost or replaced by an older copy.
        recent: the segments that were stored lately.
        dossiers: what is held in memory of the evidence in the store.
        standpoint: what this node knows of those who speak.
        connected: the members that are reachable now.
        announce: tells members what is new, soon and without any promise; to be called after the commit.
        floors: below which heights logs of others need not be fetched.
        later_key: signs a segment, given its seq, in the place of a `record_key` that a rotation ended.
        in_contact: whether enough members were compared with since the start; nothing is signed before.
    """

    store: Store
    member: str | None
    record_key: SigningKey | None
    roster: Callable[[], Roster | None]
    consortium: Callable[[], str | None]
    taxonomy: Taxonomy
    catalogue: Catalogue
    beliefs: Beliefs
    publish_mode: Mode
    detector: str
    label: str = "green"
    public_names: frozenset[str] = field(default=frozenset(), repr=False)
    private_names: tuple[str, ...] = ()
    fingerprint_key: FingerprintKey | None = None
    notify: Callable[[], None] = _nothing
    flush_soon: Callable[[], None] = _nothing
    draw: Callable[[int], int] = secrets.randbelow
    anchor: Anchor = field(default_factory=NoAnchor)
    in_contact: Callable[[], bool] = _always
    connected: Callable[[], frozenset[str]] = _nobody
    announce: Callable[[News], None] = _unheard
    floors: Floors = field(default_factory=Floors)
    later_key: Callable[[int], SigningKey | None] = _no_later_key
    limits: Limits = field(default_factory=Limits)
    quotas: Quotas = field(default_factory=Quotas)
    farewell: Farewell = field(default_factory=Farewell)
    recent: Recent = field(default_factory=Recent)
    dossiers: Dossiers = field(default_factory=Dossiers)
    params: Params = field(default_factory=Params)
    novel: NovelLimits = field(default_factory=NovelLimits)
    standpoint: Standpoint = field(default_factory=Standpoint)

    def audience(self) -> Audience:
        """Who receives what leaves now: the other active members of the roster in force."""
        roster = self.roster()
        listed = roster.members if roster else ()
        others = [member for member in listed if member.state == "active" and member.id != self.member]
        names = tuple(sorted(member.name for member in others))
        return Audience(members=names, groups=len({member.group for member in others}))
