"""What this node knows of those who speak, whatever they speak of: how they agreed with it, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ioint_protocol import Roster

from ioint_node.reputation.calibration import FLOOR
from ioint_node.reputation.rule import MICRO
from ioint_node.reputation.subjects import folded

DEMOTED_DAYS: Final = 28  # for which the accusation of a canary counts


@dataclass(slots=True)
class Standpoint:
    """The one holder of it in a running node; made anew by `flows.standpoint`.

    `canaries` are patterns and subjects, `folded`, that the operator knows to be good: whoever accuses one is wrong.
    `agreement` is the weight of groups by what this node saw itself, in micro-units, `caught` says how many canaries a
    group accused of late, `since` the day since which this node knows it. `active` counts the actors of 30 days.
    """

    canaries: frozenset[str] = field(default=frozenset(), repr=False)
    agreement: Mapping[str, int] = field(default_factory=dict)
    caught: Mapping[str, int] = field(default_factory=dict)
    since: Mapping[str, int] = field(default_factory=dict)
    active: int = 0
    counted_at: int | None = None  # when `active` was counted, in milliseconds
    _roster: Roster | None = field(default=None, repr=False)
    _founders: frozenset[str] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        """Take the canaries in whatever spelling they are written."""
        self.canaries = frozenset(map(folded, self.canaries))

    @property
    def weights(self) -> Mapping[str, int]:
        """The weight of each group whose word weighs less than 1 here, in micro-units."""
        return {**self.agreement, **dict.fromkeys(self.caught, FLOOR)}

    def weight(self, group: str) -> int:
        """What the word of a group weighs here, in micro-units."""
        return FLOOR if group in self.caught else self.agreement.get(group, MICRO)

    def knows(self, group: str, roster: Roster, today: int, days: int) -> bool:
        """Whether a group has been known here for so many days; founders always are."""
        if roster is not self._roster:
            self._roster = roster
            self._founders = frozenset(m.group for m in roster.members if m.since == 1)
        return group in self._founders or today - self.since.get(group, today) >= days
