"""On whom decisions are enforced, and what an engine does while the node is away.

**Staged.** Enforcing begins with a share of the actors and grows: of everybody, or of those that work on one family of
intents; an agent can be named by itself. Whether an actor is enforced follows from its id alone: a session is opened at
will, and whoever could try another must not come to one that is only watched. A larger share keeps every actor that a
smaller one had. The place of an id is a keyed hash, so that no name can be chosen for its place.

**Fail mode.** For each effect class of verbs: `open` (go on) or `closed` (wait) while no node answers. The default
closes `authority` and `value`, where one unchecked action may be beyond recall and few are made; reading, deriving,
changing, running and sending stay open, because an outage of the node must not become one of the business. Where
nothing is enforced nothing is closed: a node that never blocks must not block by being away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from ioint_node.scoring.operating import PER_1000, SHIPPED_PER_1000

ALL: Final = 100  # percent
RULES: Final = 1_000  # named families or agents at most
NAME_CHARS: Final = 256
EFFECTS: Final = ("observe", "derive", "mutate", "run", "transfer", "authority", "value")
FAIL_CLOSED: Final = ("authority", "value")
# False blocks per 1,000 actions: what the model ships with, and how far its operating points reach.
TOLERANCE: Final = SHIPPED_PER_1000
LEAST_TOLERANCE: Final = PER_1000[0]
MOST_TOLERANCE: Final = PER_1000[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """Who is enforced: nobody when observing; else an agent's own share, else its family's, else that of all.

    Shares are percent of actors. `salt` is this node's own and stays the same over restarts.
    """

    enforce: bool = False
    share: int = ALL
    families: Mapping[str, int] = field(default_factory=dict)
    agents: Mapping[str, int] = field(default_factory=dict)
    salt: bytes = field(default=b"", repr=False)

    def enforces(self, actor: str, family: str) -> bool:
        """Whether the decisions about an actor that declared this family are to be obeyed."""
        if not self.enforce:
            return False
        share = self.agents.get(actor)
        if share is None:
            share = self.families.get(family, self.share)
        return share >= ALL or place_of(actor, self.salt) < share

    @property
    def mode(self) -> str:
        """`enforce`, for whom it may concern, or `observe`."""
        return "enforce" if self.enforce else "observe"

    def to_json(self) -> dict[str, Any]:
        """The stage as JSON."""
        return {
            "mode": self.mode,
            "share": self.share,
            "families": dict(sorted(self.families.items())),
            "agents": dict(sorted(self.agents.items())),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator set for this node's answers; `tolerance` is false blocks per 1,000 actions."""

    staging: Staging = Staging()
    tolerance: float = TOLERANCE
    fail_closed: tuple[str, ...] = FAIL_CLOSED

    def fail_mode(self, *, enforced: bool) -> dict[str, str]:
        """What an engine does for each effect class while the node is away; all open where nothing is enforced."""
        return {effect: "closed" if enforced and effect in self.fail_closed else "open" for effect in EFFECTS}

    def to_json(self) -> dict[str, Any]:
        """The policy as status, snapshot and the list of policies tell it."""
        return {
            "tolerance": self.tolerance,
            "enforcement": self.staging.to_json(),
            "fail_mode": self.fail_mode(enforced=self.staging.enforce),
        }


def place_of(actor: str, salt: bytes) -> int:
    """Where an actor stands among all, 0 to 99, evenly; it cannot be foreseen without the salt (BLAKE2b, keyed)."""
    digest = blake2b(actor.encode("utf-8", "surrogatepass"), digest_size=8, key=salt).digest()
    return int.from_bytes(digest, "big") % ALL


def salt_of(seed: bytes) -> bytes:
    """A node's salt (32 bytes), derived from a key of its own so that it survives a restart and tells nothing."""
    return blake2b(seed, digest_size=32, person=b"ioint staging").digest()


def parse_shares(rules: Sequence[str]) -> dict[str, int]:
    """Shares by name from `NAME=PERCENT`; raises ValueError that shows the rule at fault."""
    if len(rules) > RULES:
        message = f"{len(rules)} rules, more than {RULES}"
        raise ValueError(message)
    found: dict[str, int] = {}
    for rule in rules:
        name, equals, percent = rule.rpartition("=")
        if not equals or not name or len(name) > NAME_CHARS or not _is_percent(percent):
            message = f"{rule[:64]!r}: write NAME=PERCENT with a whole number from 0 to {ALL}"
            raise ValueError(message)
        if name in found:
            message = f"{name[:64]!r} is named twice"
            raise ValueError(message)
        found[name] = int(percent)
    return found


def _is_percent(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= ALL
