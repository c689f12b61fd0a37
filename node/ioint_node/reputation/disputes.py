"""What comes of a dispute, and what rulings leave of a group's standing: views of the records and the roster.

Nothing is kept of them. Every node with the same records and the same roster has the same states, and an outcome stays
for as long as the records are remembered, because a ruling holds longer than they do.
"""

from __future__ import annotations

from typing import Final

from ioint_protocol import Roster, Ruling
from msgspec import Struct

from ioint_node.reputation.rule import DISPUTE_DAYS, MICRO, Ruled, Statement, electorate, ruled

STATES: Final = ("open", "upheld", "rejected", "lapsed", "withdrawn")


class Dispute(Struct, frozen=True, kw_only=True):
    """One member's word that a report is a false positive.

    `said` is the dispute itself, `reporters` are the members who signed the report that it names, ascending.
    """

    said: Statement
    reporters: tuple[str, ...]
    withdrawn: bool = False

    @property
    def deadline(self) -> int:
        """The UTC day on which it has lapsed if no ruling took it up before."""
        return self.said.day + DISPUTE_DAYS


class Outcome(Struct, frozen=True, kw_only=True):
    """One of `STATES`, and the ruling that made it so, if one did."""

    state: str
    ruling: Ruling | None = None


class Standing(Struct, frozen=True, kw_only=True):
    """What rulings leave of a group's voice, in micro-units, and the UTC day on which it is whole again."""

    amount: int = MICRO
    until: int | None = None


def outcome(dispute: Dispute, roster: Roster | None, today: int) -> Outcome:
    """What came of a dispute by a UTC day, under a roster.

    What was ruled stays where the dispute is withdrawn: that does not undo it.
    """
    if roster is not None:
        state = _decided(dispute, ruled(roster, today))
        if state is not None:
            return Outcome(state=state, ruling=_decisive(dispute.said, state, roster))
    if dispute.withdrawn:
        return Outcome(state="withdrawn")
    return Outcome(state="open" if today < dispute.deadline else "lapsed")


def standings(roster: Roster, today: int) -> dict[str, Standing]:
    """The standing of every group of which a statement was judged false by a ruling that holds.

    A group that is not named has all of it.
    """
    until: dict[str, int] = {}
    for ruling in roster.rulings:
        author = roster.member(ruling.author)
        if ruling.kind == "false" and author is not None and ruling.holds(today):
            until[author.group] = max(ruling.until, until.get(author.group, 0))
    left = electorate(roster, today).standing
    return {group: Standing(amount=left.get(group, MICRO), until=day) for group, day in until.items()}


def _decided(dispute: Dispute, ruled: Ruled) -> str | None:
    """What the rulings make of a dispute, if they say anything of it: `upheld` where it keeps its voice by them."""
    said = dispute.said
    if (said.author, said.id) in ruled.void or said.day <= ruled.upheld.get(said.of, -1):
        return "rejected"
    return "upheld" if ruled.false.get(said.of, dispute.deadline) < dispute.deadline else None


def _decisive(said: Statement, state: str, roster: Roster) -> Ruling | None:
    """The ruling by which a dispute was decided."""
    on_report, on_dispute = ("false", None) if state == "upheld" else ("stands", "false")
    return next(
        (
            ruling
            for ruling in roster.rulings
            if (ruling.of == said.of and ruling.kind == on_report)
            or ((ruling.author, ruling.of) == (said.author, said.id) and ruling.kind == on_dispute)
        ),
        None,
    )
