"""Whether something that was seen here may be told, and when.

A catalogue pattern has nothing local in it, so one confirmed session is enough and the first report leaves at once. A
novel pattern waits for five distinct people, or for an operator who has seen its exact bytes: who merely asks for it,
or approved its class before, has not. Counts are powers of two and are said again only when they double, so that the
difference of two reports does not point at one person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["hold", "catalogue", "off"]
DAY_MS: Final = 86_400_000
EVERY_COUNT: Final = 62  # an exponent that no count reaches
PUBLISH_OFF: Final = "the setting `publish = off` lets nothing leave"
HELD: Final = "the setting `publish = hold` shows every record to an operator first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """The gate's settings."""

    principals: int = 5  # of a novel pattern
    once_days: int = 30  # one first report of a pattern in so many days
    refresh_days: int = 7  # after which what was said may be said again as it is, to keep it fresh
    everyday_sessions: int = 14  # benign ones without a bad one, before a node speaks for what others accuse
    everyday_days: int = 14  # in which it does so once
    early_bucket: int = 2  # counts up to 2^this are said at once
    slot_ms: int = 3_600_000
    benign_rate: float = 1 / 1000  # a pattern that ordinary work completes more often says nothing


PARAMS: Final = Params()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What this node said of a pattern: the largest count's exponent, and the UTC day on which it said a count last.

    `again` is the day on which it last said no more than that it still meets the pattern, 0 for never.
    """

    bad: int
    day: int
    again: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing that was said of a pattern, or is on its way out: when it leaves (ms), and its count's exponent.

    `bad` None says that all that was said was taken back, `refresh` that it only said again what was said.
    """

    leaves: int
    bad: int | None
    refresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A report that could leave.

    `bad` is the exponent of the sessions that were found bad, `benign_rate` the measured share of ordinary sessions
    that complete the pattern (None where nothing was measured), `said` what was said before. `asked` says that a person
    asked for it by name, `approved` that an operator has seen the exact bytes, `broad` why a novel pattern could be
    ordinary work, `refresh` that it would only say again that this node still meets it.
    """

    novel: bool
    confirmed: bool
    principals: int
    bad: int
    benign_rate: float | None
    said: Said | None
    asked: bool = False
    approved: bool = False
    refresh: bool = False
    broad: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Everyday:
    """A dispute that could leave, since own agents do as everyday work what other members accuse.

    `benign` and `flagged` are own sessions of 30 days with it, `principals` the people behind the benign ones,
    `spoken_day` when this node last spoke for it. `approved` says that an operator has seen the exact bytes.
    """

    benign: int = 0
    flagged: int = 0
    principals: int = 0
    spoken_day: int | None = None
    approved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """It may leave from this instant (milliseconds) on."""

    not_before: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """It waits for an operator, who sees the exact bytes."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """It does not leave."""

    reason: str


Outcome = Release | Hold | Refuse


def bucket(count: int) -> int:
    """The exponent i with 2^i ≤ count < 2^(i+1); 0 for less than two."""
    return max(1, count).bit_length() - 1


def decide(
    proposal: Proposal,
    *,
    mode: Mode,
    now: int,
    draw: Callable[[int], int],
    standing: bool = False,
    params: Params = PARAMS,
) -> Outcome:
    """Whether a proposed report leaves, waits for a person, or never leaves.

    Args:
        proposal: what would be said.
        mode: the operator's setting.
        now: milliseconds.
        draw: a random integer below its argument, for the delay within an emission slot.
        standing: an approval holds of what is like it.
        params: the gate's settings.
    """
    refusal = _refusal(proposal, mode, now, params)
    if refusal is not None:
        return Refuse(reason=refusal)
    if not proposal.approved:
        if mode == "hold" and not proposal.asked and not standing:
            return Hold(reason=HELD)
        if proposal.novel and proposal.principals < params.principals:
            return Hold(
                reason=f"a novel pattern from {proposal.principals} people, fewer than {params.principals}"
            )
    return _release(proposal, now, draw, params)


def last_said(told: Iterable[Told], now: int, params: Params = PARAMS) -> Said | None:
    """What counts as said at an instant, of all that was ever said; None when nothing does any more.

    After a withdrawal no count is news for the rest of the days in which a pattern is reported once.
    """
    recent = [one for one in told if one.leaves > now - params.once_days * DAY_MS]
    counted = [one.leaves for one in recent if not one.refresh]
    if not counted:
        return None
    counts = [EVERY_COUNT if one.bad is None else one.bad for one in recent]
    again = max((one.leaves for one in recent if one.refresh), default=0)
    return Said(bad=max(counts), day=max(counted) // DAY_MS, again=again // DAY_MS)


def said_recently(said: Said | None, now: int, params: Params = PARAMS) -> bool:
    """Whether the newest report of a pattern is younger than the days in which it is said once."""
    return said is not None and now // DAY_MS - said.day < params.once_days


def _refusal(proposal: Proposal, mode: Mode, now: int, params: Params) -> str | None:
    if mode == "off":
        return PUBLISH_OFF
    if not proposal.confirmed:
        return "no confirmed session: its risk is under the publish threshold, and no analyst confirmed it"
    if proposal.broad is not None:
        return f"it is not specific: {proposal.broad}"
    if proposal.benign_rate is not None and proposal.benign_rate > params.benign_rate:
        return (
            f"ordinary sessions complete it {1000 * proposal.benign_rate:.2f} times in 1,000, "
            f"more than {1000 * params.benign_rate:.2f}: it is not specific"
        )
    return _said_before(proposal, now, params)


def _said_before(proposal: Proposal, now: int, params: Params) -> str | None:
    """Why this would say nothing new."""
    said = proposal.said
    if said is None or not said_recently(said, now, params) or proposal.bad > said.bad:
        return None
    if not proposal.refresh:
        return f"already said within {params.once_days} days, and the count has not doubled"
    if said.bad == EVERY_COUNT:
        return f"already said and taken back within {params.once_days} days"
    if now // DAY_MS - max(said.day, said.again) < params.refresh_days:
        return f"already said within {params.refresh_days} days"
    return None


def speak_for(everyday: Everyday, *, mode: Mode, now: int, params: Params = PARAMS) -> Outcome:
    """Whether a dispute that no person asked for leaves, waits for a person, or never leaves; `now` in milliseconds."""
    if mode == "off":
        return Refuse(reason=PUBLISH_OFF)
    if everyday.approved:
        return Release(not_before=now, reason="a dispute that an operator has seen")
    refusal = _not_everyday(everyday, now, params)
    if refusal is not None:
        return Refuse(reason=refusal)
    if mode == "hold":
        return Hold(reason=HELD)
    return Release(not_before=now, reason=f"everyday work of at least {params.principals} people here")


def _not_everyday(everyday: Everyday, now: int, params: Params) -> str | None:
    if everyday.flagged or everyday.benign < params.everyday_sessions:
        return f"no clean record of {params.everyday_sessions} sessions"
    if everyday.principals < params.principals:
        return f"the everyday work of {everyday.principals} people, fewer than {params.principals}"
    spoken = everyday.spoken_day
    if spoken is not None and now // DAY_MS - spoken < params.everyday_days:
        return f"already said within {params.everyday_days} days"
    return None


def is_update(proposal: Proposal, now: int, params: Params = PARAMS) -> bool:
    """Whether this would say a new count of what was said before."""
    return said_recently(proposal.said, now, params)


def _release(proposal: Proposal, now: int, draw: Callable[[int], int], params: Params) -> Release:
    update = is_update(proposal, now, params)
    later = update and (proposal.refresh or proposal.bad > params.early_bucket)
    if proposal.novel or later:
        # At the start of a later slot plus a delay within it: when it left says nothing of when it was seen.
        slot = now // params.slot_ms + 1
        return Release(
            not_before=slot * params.slot_ms + draw(params.slot_ms), reason="leaves with its emission slot"
        )
    if update:
        return Release(
            not_before=now, reason=f"the count has doubled, up to {2**params.early_bucket} at once"
        )
    return Release(not_before=now, reason="the first word of what everybody can name leaves at once")
