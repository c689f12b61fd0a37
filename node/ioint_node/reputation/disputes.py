"""What comes of a dispute, and what rulings leave of a group's standing: views of the records and the roster.

Nothing is kept of them. Every node with the same records and the same roster has the same states, and an outcome stays
for as long as the records are remembered, because a ruling holds longer than they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ioint_protocol import Roster, Ruling
from msgspec import Struct

from ioint_node.reputation.rule import (
    AHEAD_DAYS,
    DISPUTE_DAYS,
    MICRO,
    Statement,
    electorate,
    of_age,
    rejected,
    ruled,
)

STATES: Final = ("open", "upheld", "rejected", "lapsed", "withdrawn")


class Dispute(Struct, frozen=True, kw_only=True):
    """One member's word that a report is a false positive.

    `said` is the dispute itself, `reporters` are the members who signed the report that it names, ascending, and
    `recanted` those of them who took it back. `report_day` is the UTC day of the report, None where it is not held.
    `disputed` says since when each member disputes it.
    """

    said: Statement
    reporters: tuple[str, ...]
    recanted: frozenset[str] = frozenset()
    report_day: int | None = None
    disputed: Mapping[str, int] = {}
    withdrawn: bool = False


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
    decided = None if roster is None else _decided(dispute, roster, today)
    if decided is not None:
        return decided
    if dispute.withdrawn:
        return Outcome(state="withdrawn")
    is_open = today < deadline(dispute, roster) and _report_lives(dispute, roster, today)
    return Outcome(state="open" if is_open else "lapsed")


def deadline(dispute: Dispute, roster: Roster | None) -> int:
    """The UTC day on which it has lapsed if no ruling took it up before: its group has 14 days for one report."""
    days = [dispute.said.day]
    us = roster.member(dispute.said.author) if roster is not None else None
    if roster is not None and us is not None:
        members = {one: roster.member(one) for one in dispute.disputed}
        days += [dispute.disputed[one] for one, known in members.items() if known and known.group == us.group]
    return min(days) + DISPUTE_DAYS


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


def _decided(dispute: Dispute, roster: Roster, today: int) -> Outcome | None:
    """What a ruling made of a dispute, if one did."""
    said, holding = dispute.said, [ruling for ruling in roster.rulings if ruling.holds(today)]
    for ruling in holding:
        itself = ruling.kind == "false" and (ruling.author, ruling.of) == (said.author, said.id)
        stands = ruling.kind == "stands" and ruling.of == said.of and rejected(said, ruled(roster, today))
        if itself or stands:
            return Outcome(state="rejected", ruling=ruling)
    ends = deadline(dispute, roster)
    for ruling in holding:
        named = ruling.kind == "false" and ruling.of == said.of and ruling.author in dispute.reporters
        if named and said.day - AHEAD_DAYS <= ruling.day < ends:
            return Outcome(state="upheld", ruling=ruling)
    return None


def _report_lives(dispute: Dispute, roster: Roster | None, today: int) -> bool:
    """Whether a member who signed the report that it names stands by it, and it is neither old nor judged false."""
    if dispute.report_day is None:
        return True  # nothing is known of it
    void = ruled(roster, today).void if roster is not None else frozenset()
    signed = [one for one in dispute.reporters if one not in dispute.recanted]
    report = Statement(id=dispute.said.of, author="", kind="report", day=dispute.report_day)
    return of_age(report, today) and any((one, report.id) not in void for one in signed)
