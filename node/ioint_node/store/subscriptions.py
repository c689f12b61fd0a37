"""What a subscriber wants of the stream, and which of its rows that are: the same for streams and webhooks.

An event about an indicator is wanted when the indicator fits the filter, or did before: who follows a filter hears that
something came into it and that something left it. An event about an actor is wanted by the actor's name. Each condition
asks for the events that it can be asked of, where nothing else is said; `reset` concerns everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import NotFoundError
from ioint_node.filtering import EVERYTHING, TOLD, Filter, parse
from ioint_node.store.clearance import visible
from ioint_node.store.listings import rows_of
from ioint_node.store.saved import get_saved
from ioint_node.store.stream import StreamRow

TAKEN_AT_ONCE: Final = 32  # rows that are held against a filter before others have their turn
OF_INDICATORS: Final = frozenset({"reputation", "withdrawal"})
OF_ACTORS: Final = frozenset({"trust", "response"})
EVENTS: Final = ("reputation", "trust", "response", "withdrawal")  # those that can be asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A row of the stream: what it says, and the indicator that it is about as the event left it."""

    row: StreamRow
    said: Mapping[str, Any]
    indicator: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events a subscriber wants: of these kinds, about indicators that fit, about this actor."""

    events: frozenset[str] = frozenset(EVENTS)
    filter: Filter = EVERYTHING
    actor: str | None = None

    @property
    def plain(self) -> bool:
        """Whether the kind of an event alone decides."""
        return self.actor is None and self.filter == EVERYTHING

    def takes(self, news: News, now: int) -> bool:
        """Whether an event is wanted; spans of the filter are those of `now` (Unix milliseconds)."""
        event = news.row.event
        if event not in self.events:
            return event == "reset"
        if event in OF_ACTORS:
            return self.actor is None or news.said.get("actor") == self.actor
        if event not in OF_INDICATORS or self.filter == EVERYTHING or news.indicator is None:
            return True  # of what is forgotten or closed now nobody can say that it did not fit
        return self.filter.at(now).concerns(news.indicator, news.said)


async def news_of(connection: AsyncConnection, rows: Sequence[StreamRow]) -> tuple[News, ...]:
    """What rows of the stream say, with the indicators that they are about.

    What the event says of the indicator is as of the event; what it does not say (intents, layer, steps, days, own
    sessions) is as stored now.
    """
    said = [msgspec.json.decode(row.body) for row in rows]
    subjects = [_subject(row, one) for row, one in zip(rows, said, strict=True)]
    stored = await rows_of(connection, {subject for subject in subjects if subject is not None})
    return tuple(
        News(
            row=row,
            said=one,
            indicator=_as_told(row, stored.get(subject or ""), one),
        )
        for row, one, subject in zip(rows, said, subjects, strict=True)
    )


def told(row: StreamRow) -> News:
    """What a row says, without the indicator that it is about."""
    return News(row=row, said=msgspec.json.decode(row.body))


async def chosen(
    connection: AsyncConnection, rows: Sequence[StreamRow], wanted: Wanted, now: int
) -> tuple[StreamRow, ...]:
    """The rows that a subscriber wants."""
    if wanted.plain:
        return tuple(row for row in rows if row.event in wanted.events or row.event == "reset")
    news = await news_of(connection, rows)
    taken = await taken_of(news, wanted, now)
    return tuple(one.row for one in news if one.row.seq in taken)


async def taken_of(news: Sequence[News], wanted: Wanted, now: int) -> frozenset[int]:
    """The numbers of the rows that a subscriber wants; whatever else waits has its turn meanwhile."""
    taken = set[int]()
    for place, one in enumerate(news, 1):
        if wanted.takes(one, now):
            taken.add(one.row.seq)
        if place % TAKEN_AT_ONCE == 0:
            await asyncio.sleep(0)
    return frozenset(taken)


def events_of(*, filtered: bool, actor: bool) -> frozenset[str]:
    """The events that somebody wants who says nothing of events."""
    about = (OF_INDICATORS if filtered else frozenset()) | (OF_ACTORS if actor else frozenset())
    return about or frozenset(EVENTS)


async def filter_of(connection: AsyncConnection, text: str | None, saved: str | None) -> Filter:
    """The filter that somebody gives as a text, by the id of a saved one, or as both, which then both hold.

    Raises:
        FilterError: the text cannot be read.
        NotFoundError: there is no such saved filter.
    """
    wanted = EVERYTHING if text is None else parse(text)
    if saved is None:
        return wanted
    found = await get_saved(connection, saved)
    if found is None:
        raise NotFoundError(f"saved: no saved filter {saved[:64]!r}")
    return wanted & parse(found.text)


def _subject(row: StreamRow, said: Mapping[str, Any]) -> str | None:
    if row.event not in OF_INDICATORS:
        return None
    found = said.get("pattern") or said.get("subject")
    return found if isinstance(found, str) else None


def _as_told(
    row: StreamRow, stored: Mapping[str, Any] | None, said: Mapping[str, Any]
) -> dict[str, Any] | None:
    if stored is None or stored["tlp"] not in visible(row.tlp):
        return None  # who may see the event might not see what would decide
    return {**stored, **{name: said[name] for name in (*TOLD, "label") if name in said}}
