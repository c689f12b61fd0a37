"""Filters as questions to the database: which rows, in which order, found by which index.

Every term that says what a row is names lists of rows of known length (`postings`), or a name that has an index of
its own. A page is found in one of two ways. *Gathered*: the shortest list is taken whole, the other terms are asked of
each of its rows, and what is left is put in order. *Walked*: rows are taken in order and every term is asked of each,
which is quick where much matches. What either will cost is estimated from the lengths. A walk that finds little is cut
after `WALK_MOST` rows: the page is short, and the next goes on from there. The clearance is one of the terms, so that
what is above it is neither found nor walked past for nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.filtering import KEYS, Days, Filter, Key, Names, Numbers, Range, Term, Words
from ioint_node.filtering.keys import KINDS, LABELS
from ioint_node.filtering.values import Test
from ioint_node.reputation.dossier import PUBLIC
from ioint_node.store.clearance import visible
from ioint_node.store.postings import term_of
from ioint_node.store.schema import filter_terms, indicator_terms, indicators

GATHER_MOST: Final = 20_000  # rows put in order for one page
GATHER_COST: Final = 4  # of a row that is put in order, which is read whole, in rows that are walked past
WALK_MOST: Final = 50_000  # rows looked at for one page
WORDS_MOST: Final = 256  # words of labels that one beginning may stand for, to be found by them
PROBES_MOST: Final = 16  # terms of the index that are looked up for a row; more, and the row itself is read
_AFTER: Final = "\U0010ffff"  # behind every text that begins so
_TYPE: Final = re.compile(r"pkg:[a-z]+/\*")
Place = str | int | None
Conditions = Sequence[ColumnElement[bool]]


class Order(Enum):
    """In what order rows come: by their last change, or as they came first, which no change moves."""

    NEWEST = "newest"
    OLDEST = "oldest"
    STABLE = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The statement for a page, and where the walk ends if it is cut: None when it is not."""

    statement: Select[Any]
    floor: Place = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """A condition of which it is known how many rows meet it, and which index finds them: `source`, if any."""

    condition: ColumnElement[bool]
    count: int
    source: ColumnElement[bool] | None = None


@dataclass(frozen=True, slots=True)
class _Listed:
    """A term of the index: its id, its name, and how many rows have it."""

    id: int
    term: str
    rows: int


async def plan(
    connection: AsyncConnection,
    wanted: Filter,
    clearance: str,
    *,
    order: Order,
    after: Place,
    limit: int,
    extra: Conditions = (),
    columns: Sequence[ColumnElement[Any]] = tuple(indicators.c),
) -> Found | None:
    """How the next `limit` rows after a place in an order are found; None when no row can match.

    The filter is without spans (`Filter.at`). The statement gives `columns` of the table of indicators. `extra` are
    conditions that few rows meet, each with an index of its own.
    """
    rows, groups = await _groups(connection, wanted, clearance)
    if any(group.count == 0 for group in groups):
        return None
    if extra:  # first, so that it is the shortest
        groups = [_Group(condition=and_(*extra), count=1, source=and_(*extra)), *groups]
    others = [not_(_asked(term)) for term in map(_positively, wanted.terms) if term.negated]
    # Once more on the row itself; of an expression, so that no index of labels is taken for a way to find few rows.
    others.append(indicators.c.tlp.concat("").in_(visible(clearance)))
    steps = _steps(groups, rows, limit)
    sources = [group for group in groups if group.source is not None]
    shortest = min(sources, key=lambda group: group.count, default=None)
    if (
        shortest is not None
        and shortest.source is not None
        and (extra or shortest.count <= min(GATHER_MOST, steps // GATHER_COST))
    ):
        conditions = [group.condition for group in groups if group is not shortest] + others
        gathered = _gathered(shortest.source, conditions, order, after)
        return Found(statement=gathered.with_only_columns(*columns).limit(limit))
    floor = await _floor(connection, order, after) if steps > WALK_MOST // 4 else None
    walked = _walked([*(group.condition for group in groups), *others], order, after, floor)
    return Found(statement=walked.with_only_columns(*columns).limit(limit), floor=floor)


async def total(connection: AsyncConnection) -> int:
    """How many indicators there are."""
    kinds = [term_of("kind", kind) for kind in KINDS]
    statement = select(func.coalesce(func.sum(filter_terms.c.rows), 0)).where(filter_terms.c.term.in_(kinds))
    return int((await connection.execute(statement)).scalar_one())


def _steps(groups: Sequence[_Group], rows: int, limit: int) -> int:
    """How many rows are walked past until a page is full, were the terms independent."""
    share = math.prod(min(1.0, group.count / rows) for group in groups) if rows else 1.0
    return min(rows, math.ceil(limit / max(share, 1e-9)))


def _walked(conditions: Conditions, order: Order, after: Place, floor: Place) -> Select[Any]:
    key = _key(order)
    within = [] if floor is None else [key >= floor if order is Order.NEWEST else key <= floor]
    return (
        select(indicators)
        .where(*_beyond(key, order, after), *within, *conditions)
        .order_by(_sorted(key, order))
    )


def _gathered(source: ColumnElement[bool], conditions: Conditions, order: Order, after: Place) -> Select[Any]:
    # Of an expression no index is in order: the rows are found by the source, and what is left of them is sorted.
    key = indicators.c.n + 0 if order is Order.STABLE else indicators.c.added_at.concat("")
    return (
        select(indicators)
        .where(source, *_beyond(key, order, after), *conditions)
        .order_by(_sorted(key, order))
    )


async def _floor(connection: AsyncConnection, order: Order, after: Place) -> Place:
    """The key of the last row that a walk from a place looks at, None when it may go to the end."""
    key = _key(order)
    reached = select(key).where(*_beyond(key, order, after)).order_by(_sorted(key, order))
    found: Place = (await connection.execute(reached.limit(1).offset(WALK_MOST - 1))).scalar_one_or_none()
    return found


def _key(order: Order) -> ColumnElement[Any]:
    return indicators.c.n if order is Order.STABLE else indicators.c.added_at


def _beyond(key: ColumnElement[Any], order: Order, after: Place) -> list[ColumnElement[bool]]:
    if after is None:
        return []
    return [key < after] if order is Order.NEWEST else [key > after]


def _sorted(key: ColumnElement[Any], order: Order) -> ColumnElement[Any]:
    return key.desc() if order is Order.NEWEST else key


async def _groups(connection: AsyncConnection, wanted: Filter, clearance: str) -> tuple[int, list[_Group]]:
    """How many rows there are, and the groups of the terms that say what a row is, the clearance among them."""
    seen = visible(clearance)
    terms = [term for term in map(_positively, wanted.terms) if not term.negated]
    if len(seen) < len(LABELS):
        terms.append(Term(key=KEYS["tlp"], test=Names(seen)))
    kinds = [(term_of("kind", kind),) * 2 for kind in KINDS]
    spans = [*kinds, *(span for term in terms for span in _spans(term))]
    found = await connection.execute(_looked_up(spans))
    listed = list({row.id: _Listed(*row) for row in found}.values())  # spans may overlap
    rows = sum(one.rows for one in listed if one.term.startswith("kind:"))
    return rows, [await _group(connection, term, listed, rows) for term in terms]


def _looked_up(spans: Sequence[tuple[str, str]]) -> CompoundSelect[Any]:
    """The terms of the index in these spans, each found by its name: of an OR much would be read."""
    some = select(filter_terms.c.id, filter_terms.c.term, filter_terms.c.rows).where(filter_terms.c.rows > 0)
    name = filter_terms.c.term
    single = some.where(name.in_([one for one, other in spans if one == other]))
    return union_all(single, *(some.where(name.between(*span)) for span in set(spans) if span[0] != span[1]))


def _positively(term: Term) -> Term:
    """The same without `-`, where every row has just one value of the key."""
    if not (term.negated and term.key.single):
        return term
    match term.test:
        case Names(values):
            rest = tuple(value for value in term.key.values if value not in values)
            return Term(key=term.key, test=Names(rest))
        case Numbers(ranges):
            return Term(key=term.key, test=Numbers(_outside(ranges, term.key.most)))
        case _:
            return term


def _outside(ranges: Sequence[Range], most: int) -> tuple[Range, ...]:
    """The numbers from 0 to `most` that are in none of these ranges."""
    edges = [-1, *(edge for one in ranges for edge in (one.least, one.most)), most + 1]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple(Range(low + 1, high - 1) for low, high in pairs if low + 1 <= high - 1)


async def _group(connection: AsyncConnection, term: Term, listed: Sequence[_Listed], rows: int) -> _Group:
    spans = _spans(term)
    if term.key.type == "subject" and not spans:
        return await _of_names(connection, term)
    found = [one for one in listed if any(least <= one.term <= most for least, most in spans)]
    if isinstance(term.test, Words) and len(found) > WORDS_MOST:
        return _Group(condition=_asked(term), count=rows)
    ids = [one.id for one in found]
    return _Group(
        condition=_has(ids) if len(ids) <= PROBES_MOST and _exact(term.test) else _asked(term),
        count=min(rows, sum(one.rows for one in found)),
        source=indicators.c.n.in_(select(indicator_terms.c.n).where(indicator_terms.c.term.in_(ids))),
    )


async def _of_names(connection: AsyncConnection, term: Term) -> _Group:
    """Subjects by their names, which have indexes of their own; as many as could be gathered are counted."""
    condition = _asked(term)
    some = select(indicators.c.n).where(condition).limit(GATHER_MOST + 1).subquery()
    count = int((await connection.execute(select(func.count()).select_from(some))).scalar_one())
    return _Group(condition=condition, count=count, source=condition)


def _spans(term: Term) -> list[tuple[str, str]]:
    """Where the terms stand in the index of which a row must have one: from, and to, both included."""
    name = term.key.name
    match term.test:
        case Names(values) if term.key.type == "subject":
            # Only the types of packages are listed.
            whole = all(_TYPE.fullmatch(value) for value in values)
            return [(term_of(name, value.removesuffix("/*")),) * 2 for value in values if whole]
        case Names(values):
            return [(term_of(name, value),) * 2 for value in values]
        case Numbers(ranges):
            return [(term_of(name, one.least), term_of(name, one.most)) for one in ranges]
        case Days(day) if term.key.type == "since":
            return [(term_of("day", str(day)), term_of("day", _AFTER))]
        case Days(day):
            return [(term_of("day", ""), term_of("day", str(day)))]
        case Words(texts):
            # The longest word of each text: the one that says most.
            longest = [term_of(name, max(words, key=len)) for words in texts]
            return [(word, word + _AFTER) for word in longest]


def _exact(test: Test) -> bool:
    """Whether a row is taken as soon as it has one of the terms that are listed for the test."""
    return not isinstance(test, Words) or all(len(words) == 1 for words in test.texts)


def _has(terms: Sequence[int] | Select[tuple[int]]) -> ColumnElement[bool]:
    return exists().where(indicator_terms.c.term.in_(terms), indicator_terms.c.n == indicators.c.n)


def _asked(term: Term) -> ColumnElement[bool]:
    """What a term asks, but for its `-`, as a condition on one row of the table of indicators."""
    key = term.key
    match term.test:
        case Names(values) if key.type == "subject":
            return or_(*map(_named, values))
        case Names(values):
            names = [term_of(key.name, value) for value in values]
            return _has(select(filter_terms.c.id).where(filter_terms.c.term.in_(names)))
        case Numbers(ranges):
            return or_(false(), *(_within(key, one) for one in ranges))
        case Days(day):
            column = indicators.c.last_seen
            return column >= str(day) if key.type == "since" else column <= str(day)
        case Words(texts):
            return or_(*(and_(*(indicators.c.words.like(f"% {word}%") for word in words)) for words in texts))


def _within(key: Key, one: Range) -> ColumnElement[bool]:
    column = indicators.c[key.name]
    if key.scale == 1:
        return column.between(one.least, one.most)
    # A float is near its number of units: half a unit on either side is still the same number.
    return and_(column > (one.least - 0.5) / key.scale, column < (one.most + 0.5) / key.scale)


def _named(value: str) -> ColumnElement[bool]:
    start = value.removesuffix("*")
    if value.startswith(PUBLIC):
        column = indicators.c.subject
        named = column == value if start == value else column.between(start, start + _AFTER)
        return and_(indicators.c.kind == "subject", named)
    if start == value:
        return indicators.c.id == value
    return indicators.c.id.between(start, f"{start}g")  # behind every digit
