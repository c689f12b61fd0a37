"""`ioint consortium rule`: what the stewards rule about records, and what each of them sees before signing it.

The database is imported where it is used: other commands do not wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from ioint_protocol import LIMITS, Dispute, Report, Roster, Ruling, Sighting
from ioint_protocol.records import PUBLIC_SUBJECT

from ioint_node.cli.names import LEAST_DIGITS, PUBLIC, full_id, id_digits, short_id
from ioint_node.cli.options import node_options, show_table
from ioint_node.cli.proposals import change_roster, proposal_option
from ioint_node.cli.rosters import find_member, in_consortium, now_ms
from ioint_node.config import Config, load_config
from ioint_node.errors import ConfigError, NotFoundError, RequestError
from ioint_node.reputation.derivation import counted
from ioint_node.store.times import day_of, day_text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ioint_node.store.log import StoredRecord

DISPUTES: Final = 256
"""Disputes of one report that are counted in its summary."""
_COLUMNS: Final = ("ruling", "of", "signed_by", "kind", "about", "says", "disputes")
_RULED_ON: Final = "report, sighting or dispute"
_RECORDS: Final = "ioint indicators verify PATTERN"
_PATTERNS: Final = "ioint indicators list"


@click.command()
@click.option("--false", "false", multiple=True, metavar="RECORD", help="This statement is false.")
@click.option("--stands", multiple=True, metavar="RECORD", help="This report is right, whoever disputes it.")
@click.option(
    "--review", multiple=True, metavar="PATTERN|PURL", help="This is under review: acted on little till then."
)
@click.option("--drop", multiple=True, metavar="RECORD|PATTERN|PURL", help="Take a ruling on this back.")
@click.option("--author", metavar="MEMBER", help="Whose statement, where several members signed the same.")
@proposal_option
@node_options
def rule(  # click gives them by name
    *,
    home: Path,
    form: str,
    false: tuple[str, ...],
    stands: tuple[str, ...],
    review: tuple[str, ...],
    drop: tuple[str, ...],
    author: str | None,
    target: Path | None,
) -> None:
    """Rule, as a steward, on records and what they are about: the roster tells all members.

    A ruling on a record holds for 84 days, a review for 14.
    """
    if not (false or stands or review or drop):
        raise click.UsageError("name at least one of --false, --stands, --review and --drop")
    config = load_config(home)
    held = in_consortium(config)
    today = day_of(now_ms())
    whose = None if author is None else find_member(held.roster, author).id
    new = asyncio.run(
        _rulings(
            config,
            held.roster,
            {"false": false, "stands": stands},
            review=review,
            author=whose,
            today=today,
        )
    )
    rulings = ruled(held.roster, new, drop, today)
    if form == "human":
        show_rulings(summaries(config, new, held.roster))
    change_roster(config, held, form, target, rulings=rulings)


def ruled(roster: Roster, new: Sequence[Ruling], drop: Sequence[str], today: int) -> tuple[Ruling, ...]:
    """The rulings of the next roster: those that still hold, without those that are dropped or ruled anew.

    Raises:
        ConfigError: there is nothing to drop, or there are too many.
    """
    standing = {(r.of, r.author): r for r in roster.rulings if r.holds(today)}
    for given in drop:
        del standing[_dropped(given, standing)]
    standing |= {(r.of, r.author): r for r in new}
    if len(standing) > LIMITS.rulings:
        first = day_text(min(r.until for r in standing.values()))
        raise ConfigError(
            f"a roster has room for {LIMITS.rulings} rulings, and these would be {len(standing)}: "
            f"drop one with --drop, or wait for {first}, when the first ends"
        )
    return tuple(standing.values())


def told_rulings(config: Config, before: Roster | None, after: Roster) -> list[dict[str, Any]]:
    """What is known here of the rulings that a proposed roster brings."""
    old = () if before is None else before.rulings
    return summaries(config, [each for each in after.rulings if each not in old], after)


def summaries(config: Config, rulings: Sequence[Ruling], roster: Roster) -> list[dict[str, Any]]:
    """What a steward has to know of rulings before signing them, as far as this node holds it; one row each."""
    return asyncio.run(_summaries(config, rulings, roster)) if rulings else []


def show_rulings(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the summaries, if there are any."""
    if rows:
        show_table([{**row, "of": short_id(row["of"])} for row in rows], _COLUMNS, empty="")
        click.echo("")


async def _rulings(
    config: Config,
    roster: Roster,
    judged: Mapping[str, Sequence[str]],
    *,
    review: Sequence[str],
    author: str | None,
    today: int,
) -> list[Ruling]:
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    found = []
    async with open_store(config.store_url) as store, store.read() as connection:
        for kind, given in judged.items():
            for digits in given:
                record = await _record(connection, digits, author, roster)
                if kind == "stands" and record.kind != "report":
                    raise ConfigError(f"{short_id(record.id)} is a {record.kind}: only a report can stand")
                found.append(Ruling(kind=kind, author=record.author, of=record.id, day=today))
        for given_subject in review:
            subject = await _subject(connection, given_subject)
            found.append(Ruling(kind="review", author="", of=subject, day=today))
    if len({(each.of, each.author) for each in found}) < len(found):
        raise ConfigError("two rulings about the same: give each record or pattern once")
    return found


async def _record(
    connection: AsyncConnection, digits: str, author: str | None, roster: Roster
) -> StoredRecord:
    """The one statement that is meant."""
    from ioint_node.store.disputes import statements_named  # noqa: PLC0415 - see above

    found = await statements_named(connection, id_digits(digits, what=_RULED_ON, listed=_RECORDS))
    name = full_id(digits, [each.id for each in found], what=_RULED_ON, listed=_RECORDS)
    said = [each for each in found if each.id == name and author in (None, each.author)]
    if not said:
        whose = "" if author is None else f" by member {short_id(author)}"
        raise NotFoundError(f"this node holds no record {short_id(name)}{whose}: see `{_RECORDS}`")
    if len(said) > 1:
        authors = ", ".join(f"{short_id(each.author)} ({_member(each.author, roster)})" for each in said)
        raise ConfigError(f"several members signed {short_id(name)}: name one with --author, of {authors}")
    return said[0]


async def _subject(connection: AsyncConnection, given: str) -> str:
    """The pattern id or public subject that is meant."""
    from ioint_taxonomy import load_catalogue  # noqa: PLC0415 - see above

    from ioint_node.store.disputes import subjects_named  # noqa: PLC0415 - see above

    if given.startswith(PUBLIC):
        if len(given) > LIMITS.subject_chars or not PUBLIC_SUBJECT.fullmatch(given):
            raise RequestError(f"{given[:64]!r} is no package URL that the protocol has")
        return given
    digits = id_digits(given, what="pattern", listed=_PATTERNS)
    known = {*load_catalogue().entries, *await subjects_named(connection, digits)}
    return full_id(given, sorted(known), what="pattern", listed=_PATTERNS)


def _dropped(given: str, standing: Collection[tuple[str, str]]) -> tuple[str, str]:
    found = [place for place in standing if len(given) >= LEAST_DIGITS and place[0].startswith(given)]
    if len(found) != 1:
        raise ConfigError(
            f"{given[:64]!r} names {len(found)} rulings in force: see `ioint consortium show` for what they are on"
        )
    return found[0]


async def _summaries(config: Config, rulings: Sequence[Ruling], roster: Roster) -> list[dict[str, Any]]:
    from ioint_node.store.engine import open_store  # noqa: PLC0415 - see above

    async with open_store(config.store_url) as store, store.read() as connection:
        return [await _summary(connection, ruling, roster) for ruling in rulings]


async def _summary(connection: AsyncConnection, ruling: Ruling, roster: Roster) -> dict[str, Any]:
    from ioint_taxonomy import load_catalogue  # noqa: PLC0415 - see above

    from ioint_node.store.disputes import statements_named  # noqa: PLC0415 - see above

    entries = load_catalogue().entries
    row = {"ruling": ruling.kind, "of": ruling.of, "until": day_text(ruling.until)}
    if ruling.kind == "review":
        label = entries[ruling.of].title if ruling.of in entries else ruling.of
        told = await _disputes(connection, {"subject": ruling.of}, roster)
        return {**row, "signed_by": None, "kind": None, "about": label, "says": None, "disputes": told}
    said = [each for each in await statements_named(connection, ruling.of) if each.author == ruling.author]
    name = _member(ruling.author, roster)
    if not said:
        unknown = "not held here: ask the steward who proposes it"
        return {**row, "signed_by": name, "kind": None, "about": None, "says": unknown, "disputes": None}
    (record,) = said
    return {
        **row,
        "signed_by": name,
        "kind": record.kind,
        "about": entries[record.subject].title if record.subject in entries else record.subject,
        "says": _says(record),
        "disputes": await _disputes(connection, {"of": [ruling.of]}, roster),
    }


async def _disputes(connection: AsyncConnection, of: Mapping[str, Any], roster: Roster) -> str:
    """Who disputes it, and why; in words."""
    from ioint_node.store.disputes import newest_disputes  # noqa: PLC0415 - see above

    page = await newest_disputes(connection, clearance="red", limit=DISPUTES, **of)
    told = [
        f"{_member(each.author, roster)}: {each.record.reason}, {day_text(each.day)}"
        for _, each in page.items
        if isinstance(each.record, Dispute)
    ]
    return "; ".join(told) + (" and more" if page.more else "") if told else "none"


def _says(record: StoredRecord) -> str:
    match record.record:
        case Report() as report:
            days = f"{day_text(report.day_from)} to {day_text(report.day_until)}"
            counts = f"sessions: {counted('report', report.bad, report.seen)}"
            return f"{', '.join(report.intents) or 'no intent'}; {counts}, {days}, by {report.basis}"
        case Sighting() as sighting:
            return f"sessions: {counted('sighting', 0, sighting.seen)}, {day_text(sighting.day)}"
        case Dispute() as dispute:
            return f"{dispute.reason}, {day_text(dispute.day)}"
    raise AssertionError("nothing else is ruled on")


def _member(member: str, roster: Roster) -> str:
    listed = roster.member(member)
    return short_id(member) if listed is None else f"{listed.name} (group {listed.group})"
