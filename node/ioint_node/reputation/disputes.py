"""What comes of a dispute, and what rulings leave of a group's standing: views of the records and the roster.

Nothing is kept of them. Every node with the same records and the same roster has the same states, and an outcome stays
for as long as the records are remembered, because a ruling holds longer than they do.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ioint_protocol import Roster, Ruling
from msgspec import Struct

from ioint_node.reputation.rule import DISPUTE_DAYS, MICRO

STATES: Final = ("open", "upheld", "rejected", "lapsed", "withdrawn")


class Dispute(Struct, frozen=True, kw_only=True):
    """One member's word that a report is a false positive.

    `id` is its record id, `author` its member, `of` the report's record id and `reporters` the members who signed that
    report; `opened` is its UTC day.
    """

    id: str
    author: str
    of: str
    reporters: tuple[str, ...]
    opened: int
    withdrawn: bool = False

    @property
    def deadline(self) -> int:
        """The UTC day on which it has lapsed if no ruling took it up before."""
        return self.opened + DISPUTE_DAYS


class Outcome(Struct, frozen=True, kw_only=True):
    """One of `STATES`, and the ruling that made it so, if one did."""

    state: str
    ruling: Ruling | None = None


class Standing(Struct, frozen=True, kw_only=True):
    """What rulings leave of a group's voice, in micro-units, and the UTC day on which it is whole again."""

    amount: int = MICRO
    until: int | None = None


def outcome(dispute: Dispute, rulings: Collection[Ruling], today: int) -> Outcome:
    """What came of a dispute by a UTC day.

    A ruling that came in time counts also where the dispute was withdrawn since: withdrawing does not undo it.
    """
    for ruling in rulings:
        if ruling.day >= dispute.deadline:
            continue
        if ruling.kind == "false" and (ruling.author, ruling.of) == (dispute.author, dispute.id):
            return Outcome(state="rejected", ruling=ruling)
        if ruling.of != dispute.of or ruling.author not in dispute.reporters:
            continue
        if ruling.kind == "false":
            return Outcome(state="upheld", ruling=ruling)
        if ruling.kind == "stands" and dispute.opened <= ruling.day:
            return Outcome(state="rejected", ruling=ruling)
    if dispute.withdrawn:
        return Outcome(state="withdrawn")
    return Outcome(state="open" if today < dispute.deadline else "lapsed")


def standings(roster: Roster, today: int) -> dict[str, Standing]:
    """The standing of every group of which a statement was judged false: half for each such ruling that holds.

    A group that is not named has all of it.
    """
    found: dict[str, Standing] = {}
    for ruling in roster.rulings:
        author = roster.member(ruling.author)
        if ruling.kind != "false" or author is None or not ruling.holds(today):
            continue
        before = found.get(author.group, Standing())
        found[author.group] = Standing(
            amount=before.amount // 2, until=max(ruling.until, before.until or ruling.until)
        )
    return found
