"""What a proposed roster would change, for the person who is about to sign it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from ioint_protocol import Member, Roster, Ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field of one member, steward or of the consortium, or one ruling: what it says, and what it would say.

    What it does not say is empty.
    """

    of: str
    what: str
    before: str
    after: str


_MEMBER = ("name", "group", "state", "class_", "node_key", "sponsor")


def changes(before: Roster | None, after: Roster) -> tuple[Change, ...]:
    """Give what differs, members first; all there is when nothing was before."""
    return (
        *_members(before, after),
        *_council(before, after),
        *_rulings(before, after),
        *_rest(before, after),
    )


def _members(before: Roster | None, after: Roster) -> Iterator[Change]:
    ids = dict.fromkeys(member.id for roster in (before, after) if roster for member in roster.members)
    for identity in ids:
        old = None if before is None else before.member(identity)
        new = after.member(identity)
        yield from _differing(identity, _told(old), _told(new))


def _told(member: Member | None) -> dict[str, str]:
    if member is None:
        return {}
    return {
        **{name.rstrip("_"): str(getattr(member, name)) for name in _MEMBER},
        "addresses": " ".join(member.addresses),
        "record_keys": " ".join(f"{item.key} from {item.from_seq}" for item in member.record_keys),
    }


def _council(before: Roster | None, after: Roster) -> Iterator[Change]:
    old = {} if before is None else {each.member: each for each in before.council}
    new = {each.member: each for each in after.council}
    for member in {**old, **new}:
        told = [
            {"steward_key": seat.steward_key, "clock_key": seat.clock_key} if seat is not None else {}
            for seat in (old.get(member), new.get(member))
        ]
        yield from _differing(member, *told)


def _rulings(before: Roster | None, after: Roster) -> Iterator[Change]:
    old, new = (
        {} if roster is None else {_about(ruling): {"ruling": _ruled(ruling)} for ruling in roster.rulings}
        for roster in (before, after)
    )
    for about in {**old, **new}:
        yield from _differing(about, old.get(about, {}), new.get(about, {}))


def _about(ruling: Ruling) -> str:
    return f"{ruling.of} by {ruling.author}" if ruling.author else ruling.of


def _ruled(ruling: Ruling) -> str:
    return f"{ruling.kind} from {_date(ruling.day)} until {_date(ruling.until)}"


def _date(day: int) -> str:
    return str(date(1970, 1, 1) + timedelta(days=day))


def _rest(before: Roster | None, after: Roster) -> Iterator[Change]:
    told = [
        {}
        if roster is None
        else {
            "threshold": str(roster.threshold),
            "taxonomy": f"{roster.taxonomy.version} {roster.taxonomy.digest}",
            "catalogue": roster.catalogue,
        }
        for roster in (before, after)
    ]
    yield from _differing("consortium", *told)


def _differing(of: str, old: dict[str, str], new: dict[str, str]) -> Iterator[Change]:
    for what in {**old, **new}:
        before, after = old.get(what, ""), new.get(what, "")
        if before != after:
            yield Change(of=of, what=what, before=before, after=after)
