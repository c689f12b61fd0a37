"""What a subscriber wants of the stream, and which of its rows that are: the same for streams and webhooks.

An event about an indicator is wanted when the indicator fits the filter, or did before: who follows a filter hears that
something came into it and that something left it. An event about an actor is wanted by the actor's name. Each condition
asks for the events that it can be asked of, where nothing else is said; `reset` concerns everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import NotFoundError, RequestError
from ioint_node.filtering import EVERYTHING, Filter, parse
from ioint_node.store.indicators import HEARD
from ioint_node.store.rows import among
from ioint_node.store.saved import get_saved
from ioint_node.store.schema import indicators
from ioint_node.store.stream import StreamRow

OF_INDICATORS: Final = frozenset({"reputation", "withdrawal"})
OF_ACTORS: Final = frozenset({"trust", "response"})
EVENTS: Final = ("reputation", "trust", "response", "withdrawal")  # those that can be asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A row of the stream: what it says, and the indicator that it is about as the event left it."""

    row: StreamRow
    said: Mapping[str, Any]
    indicator: Mapping[str, Any] | None = None

    @property
    def before(self) -> dict[str, Any]:
        """The values of before, as far as the event says: none of an event of an older release."""
        was: Mapping[str, Any] | None = self.said.get("was")
        if was is None or self.indicator is None:
            return {}
        return {**{name: self.indicator[name] for name in HEARD}, **was}


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
            return True  # of an indicator that is forgotten nobody can say that it did not fit
        settled = self.filter.at(now)
        if "was" in news.said and news.said["was"] is None:  # there was nothing before
            return settled.matches(news.indicator)
        return settled.concerns(news.indicator, news.before)


async def news_of(connection: AsyncConnection, rows: Sequence[StreamRow]) -> tuple[News, ...]:
    """What rows of the stream say, with the indicators that they are about.

    What the event says of the indicator is as of the event; what it does not say (intents, layer, steps, days, own
    sessions) is as stored now.
    """
    said = [msgspec.json.decode(row.body) for row in rows]
    subjects = [_subject(row, one) for row, one in zip(rows, said, strict=True)]
    stored = await _stored(connection, {subject for subject in subjects if subject is not None})
    return tuple(
        News(
            row=row,
            said=one,
            indicator=_as_told(stored[subject], one) if subject in stored else None,
        )
        for row, one, subject in zip(rows, said, subjects, strict=True)
    )


async def chosen(
    connection: AsyncConnection, rows: Sequence[StreamRow], wanted: Wanted, now: int
) -> tuple[StreamRow, ...]:
    """The rows that a subscriber wants."""
    if wanted.plain:
        return tuple(row for row in rows if row.event in wanted.events or row.event == "reset")
    return tuple(one.row for one in await news_of(connection, rows) if wanted.takes(one, now))


def events_of(*, filtered: bool, actor: bool) -> frozenset[str]:
    """The events that somebody wants who says nothing of events."""
    about = (OF_INDICATORS if filtered else frozenset()) | (OF_ACTORS if actor else frozenset())
    return about or frozenset(EVENTS)


async def filter_of(connection: AsyncConnection, text: str | None, saved: str | None) -> Filter:
    """The filter that somebody gives as a text, or by the id of a saved one; everything where neither is given.

    Raises:
        FilterError: the text cannot be read.
        RequestError: both are given.
        NotFoundError: there is no such saved filter.
    """
    if text is not None and saved is not None:
        raise RequestError("saved: a filter is given too; give one of them")
    if saved is None:
        return EVERYTHING if text is None else parse(text)
    found = await get_saved(connection, saved)
    if found is None:
        raise NotFoundError(f"saved: no saved filter {saved[:64]!r}")
    return parse(found.text)


def _subject(row: StreamRow, said: Mapping[str, Any]) -> str | None:
    if row.event not in OF_INDICATORS:
        return None
    found = said.get("pattern") or said.get("subject")
    return found if isinstance(found, str) else None


def _as_told(stored: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    return {**stored, **{name: said[name] for name in (*HEARD, "label") if name in said}}


async def _stored(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    wanted = tuple(ids)
    if not wanted:
        return {}
    statement = select(indicators.c.id, indicators.c.body).where(
        indicators.c.id.in_(among(connection, wanted))
    )
    return {key: msgspec.json.decode(body)["row"] for key, body in await connection.execute(statement)}
