"""Filters as questions to the database: which rows, in which order, found by which index.

Every positive term is a list of indicators of known length (`postings`), or a handful of names. A page is found in
one of two ways. *Gathered*: the shortest list is taken whole, the other terms are asked of each of its rows, and what
is left is put in order. *Walked*: rows are taken in order and every term is asked of each, which is quick where much
matches. What either will cost is estimated from the lengths. A walk that finds little is cut after `WALK_MOST` rows:
the page is short, and the next goes on from there. The clearance is one of the terms, so that what is above it is
neither found nor walked past for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, not_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.filtering import KEYS, Days, Filter, Key, Names, Numbers, Range, Term, Words
from ioint_node.filtering.keys import LABELS
from ioint_node.reputation.dossier import PUBLIC
from ioint_node.store.clearance import visible
from ioint_node.store.postings import value_text
from ioint_node.store.schema import filter_terms, indicator_terms, indicators

GATHER_MOST: Final = 20_000  # rows put in order for one page
WALK_MOST: Final = 50_000  # rows looked at for one page
WORDS_MOST: Final = 256  # words of labels that one beginning may stand for, to be found by them
_AFTER: Final = "\U0010ffff"  # behind every text that begins so


class Order(Enum):
    """In what order rows come: by their last change, or as they came first, which no change moves."""

    NEWEST = "newest"
    OLDEST = "oldest"
    STABLE = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """A condition of which it is known how many rows meet it, and where they are listed.

    `terms` are ids in the index, `where` is a condition with an index of its own instead.
    """

    condition: ColumnElement[bool]
    count: int
    terms: tuple[int, ...] = ()
    where: ColumnElement[bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The statement for a page, and where the walk ends if it is cut: None when it is not."""

    statement: Select[Any]
    floor: str | int | None = None


async def plan(
    connection: AsyncConnection,
    wanted: Filter,
    clearance: str,
    *,
    order: Order,
    after: str | int | None,
    limit: int,
    extra: Sequence[ColumnElement[bool]] = (),
    columns: Sequence[ColumnElement[Any]] = tuple(indicators.c),
) -> Found | None:
    """How the next `limit` rows after a place in an order are found; None when no row can match.

    The filter is without spans (`Filter.at`). The statement gives `columns` of the table of indicators. `extra` are
    conditions that few rows meet, each with an index of its own.
    """
    groups = await _groups(connection, wanted, clearance)
    if any(group.count == 0 for group in groups):
        return None
    total = await _total(connection)
    conditions = [group.condition for group in groups]
    conditions += [_condition(term, ()) for term in wanted.terms if not _positive(term)]
    conditions.append(indicators.c.tlp.in_(visible(clearance)))
    if extra:
        few = _Group(condition=true(), count=1, where=and_(*extra))
        return Found(statement=_gathered(few, conditions, order, after, limit).with_only_columns(*columns))
    shortest = min(groups, key=lambda group: group.count, default=None)
    if shortest is not None and shortest.count <= min(GATHER_MOST, _steps(groups, total, limit)):
        return Found(
            statement=_gathered(shortest, conditions, order, after, limit).with_only_columns(*columns)
        )
    floor = None
    if _steps(groups, total, limit) > WALK_MOST // 4:
        floor = await _floor(connection, order, after)
    walked = _walked(conditions, order, after, floor, limit)
    return Found(statement=walked.with_only_columns(*columns), floor=floor)


def _steps(groups: Sequence[_Group], total: int, limit: int) -> int:
    """How many rows are walked past until a page is full, were the terms independent."""
    share = math.prod(min(1.0, group.count / total) for group in groups) if total else 1.0
    return min(total, math.ceil((limit + 1) / max(share, 1e-9)))


def _key(order: Order) -> ColumnElement[Any]:
    return indicators.c.n if order is Order.STABLE else indicators.c.added_at


def _beyond(key: ColumnElement[Any], order: Order, after: str | int | None) -> list[ColumnElement[bool]]:
    if after is None:
        return []
    return [key < after] if order is Order.NEWEST else [key > after]


def _sorted(key: ColumnElement[Any], order: Order) -> ColumnElement[Any]:
    return key.desc() if order is Order.NEWEST else key


def _walked(
    conditions: Sequence[ColumnElement[bool]],
    order: Order,
    after: str | int | None,
    floor: str | int | None,
    limit: int,
) -> Select[Any]:
    key = _key(order)
    within = [] if floor is None else [key >= floor if order is Order.NEWEST else key <= floor]
    return (
        select(indicators)
        .where(*_beyond(key, order, after), *within, *conditions)
        .order_by(_sorted(key, order))
        .limit(limit)
    )


def _gathered(
    shortest: _Group,
    conditions: Sequence[ColumnElement[bool]],
    order: Order,
    after: str | int | None,
    limit: int,
) -> Select[Any]:
    # Of an expression no index is in order: the rows are found by the list, and what is left of them is sorted.
    key = indicators.c.n + 0 if order is Order.STABLE else indicators.c.added_at.concat("")
    source = (
        shortest.where
        if shortest.where is not None
        else indicators.c.n.in_(select(indicator_terms.c.n).where(indicator_terms.c.term.in_(shortest.terms)))
    )
    others = [one for one in conditions if one is not shortest.condition]
    return (
        select(indicators)
        .where(source, *_beyond(key, order, after), *others)
        .order_by(_sorted(key, order))
        .limit(limit)
    )


async def _floor(connection: AsyncConnection, order: Order, after: str | int | None) -> str | int | None:
    """The key of the last row that a walk from a place looks at, None when it may go to the end."""
    key = _key(order)
    statement = (
        select(key)
        .where(*_beyond(key, order, after))
        .order_by(_sorted(key, order))
        .limit(1)
        .offset(WALK_MOST - 1)
    )
    found: str | int | None = (await connection.execute(statement)).scalar_one_or_none()
    return found


async def _total(connection: AsyncConnection) -> int:
    kinds = select(func.coalesce(func.sum(filter_terms.c.rows), 0)).where(filter_terms.c.key == "kind")
    return int((await connection.execute(kinds)).scalar_one())


async def _groups(connection: AsyncConnection, wanted: Filter, clearance: str) -> list[_Group]:
    seen = visible(clearance)
    groups = []
    if len(seen) < len(LABELS):
        groups.append(await _group(connection, Term(key=KEYS["tlp"], test=Names(seen))))
    return groups + [
        await _group(connection, term) for term in map(_positively, wanted.terms) if _positive(term)
    ]


def _positive(term: Term) -> bool:
    return not _positively(term).negated


def _positively(term: Term) -> Term:
    """The same without `-`, where a row has just one value of the key."""
    if not term.negated or not term.key.single:
        return term
    match term.test:
        case Names(values) if term.key.type == "word":
            rest = tuple(value for value in term.key.values if value not in values)
            return Term(key=term.key, test=Names(rest))
        case Numbers(ranges):
            return Term(key=term.key, test=Numbers(_between(ranges, term.key.most)))
        case _:
            return term


def _between(ranges: Sequence[Range], most: int) -> tuple[Range, ...]:
    """The numbers from 0 to `most` that are in none of these ranges."""
    edges = [-1, *(edge for one in ranges for edge in (one.least, one.most)), most + 1]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple(Range(low + 1, high - 1) for low, high in pairs if low + 1 <= high - 1)


async def _group(connection: AsyncConnection, term: Term) -> _Group:
    if term.key.type == "subject" and isinstance(term.test, Names):
        return await _of_subjects(connection, term)
    listed = _listed(term)
    statement = select(filter_terms.c.id, filter_terms.c.rows).where(listed, filter_terms.c.rows > 0)
    if isinstance(term.test, Words):
        return await _of_words(connection, term, statement)
    found = (await connection.execute(statement)).all()
    terms = tuple(sorted(row.id for row in found))
    return _Group(condition=_condition(term, terms), count=sum(row.rows for row in found), terms=terms)


async def _of_words(connection: AsyncConnection, term: Term, statement: Select[Any]) -> _Group:
    """Labels with a word that begins so: found by it unless too many words do."""
    found = (await connection.execute(statement.limit(WORDS_MOST + 1))).all()
    condition = _condition(term, ())
    if len(found) > WORDS_MOST:
        return _Group(condition=condition, count=await _total(connection))
    terms = tuple(sorted(row.id for row in found))
    return _Group(condition=condition, count=sum(row.rows for row in found), terms=terms)


async def _of_subjects(connection: AsyncConnection, term: Term) -> _Group:
    condition = _condition(term, ())
    some = select(indicators.c.n).where(condition).limit(GATHER_MOST + 1).subquery()
    count = int((await connection.execute(select(func.count()).select_from(some))).scalar_one())
    return _Group(condition=condition, count=count, where=condition)


def _listed(term: Term) -> ColumnElement[bool]:
    """Which of the listed terms a row must have one of, in the index of terms."""
    key, value = filter_terms.c.key, filter_terms.c.value
    match term.test:
        case Names(values):
            return and_(key == term.key.name, value.in_(values))
        case Numbers(ranges):
            spans = [value.between(value_text(one.least), value_text(one.most)) for one in ranges]
            return and_(key == term.key.name, or_(false(), *spans))
        case Days(day):
            return and_(key == "day", value >= str(day) if term.key.type == "since" else value <= str(day))
        case Words(texts):
            # The longest word of each text: the one that says most.
            longest = [max(words, key=len) for words in texts]
            return and_(key == term.key.name, or_(*(value.between(word, word + _AFTER) for word in longest)))


def _condition(term: Term, terms: Sequence[int]) -> ColumnElement[bool]:
    """The term as a condition on one row of the table of indicators; `terms` are its ids in the index."""
    positive = _asked(term.key, term.test, terms)
    return not_(positive) if term.negated else positive


def _asked(key: Key, test: Names | Numbers | Days | Words, terms: Sequence[int]) -> ColumnElement[bool]:
    match test:
        case Names(values) if key.type == "subject":
            return or_(*map(_subject, values))
        case Names(values):
            return exists().where(
                indicator_terms.c.term.in_(terms or _ids(key, values)),
                indicator_terms.c.n == indicators.c.n,
            )
        case Numbers(ranges):
            return or_(false(), *(_number(key, one) for one in ranges))
        case Days(day):
            column = indicators.c.last_seen
            return column >= str(day) if key.type == "since" else column <= str(day)
        case Words(texts):
            return or_(*(and_(*(indicators.c.words.like(f"% {word}%") for word in words)) for words in texts))


def _ids(key: Key, values: Sequence[str]) -> Select[tuple[int]]:
    return select(filter_terms.c.id).where(filter_terms.c.key == key.name, filter_terms.c.value.in_(values))


def _number(key: Key, one: Range) -> ColumnElement[bool]:
    column = indicators.c[key.name]
    if key.scale == 1:
        return column.between(one.least, one.most)
    # A unit of the scale is less than what a float can hold apart from its neighbours: half a unit is added around.
    return and_(column > (one.least - 0.5) / key.scale, column < (one.most + 0.5) / key.scale)


def _subject(value: str) -> ColumnElement[bool]:
    start, public = value.removesuffix("*"), value.startswith(PUBLIC)
    if public:
        column = indicators.c.subject
        named = column == value if start == value else column.between(start, start + _AFTER)
        return and_(indicators.c.kind == "subject", named)
    if start == value:
        return indicators.c.id == value
    return indicators.c.id.between(start, f"{start}g")  # behind every digit
