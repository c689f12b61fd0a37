"""The index of filters: which indicators have which value of which key.

`filter_terms` names each (key, value) once, with how many indicators have it; `indicator_terms` lists these
indicators by `n`, which no change moves. A change of an indicator rewrites nothing but the terms that it gained or
lost. Both are kept in the transaction that writes the indicator.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.filtering import answers
from ioint_node.store.rows import among, insert_rows
from ioint_node.store.schema import filter_terms, indicator_terms, indicators

UNLISTED: Final = frozenset({"subject"})  # found by columns of their own
DIGITS: Final = 9  # of a number, with leading zeros
TermOf = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """What the index says of one indicator that is there already."""

    n: int
    terms: frozenset[int]


def terms_of(row: Mapping[str, Any]) -> frozenset[TermOf]:
    """The (key, value) pairs of an indicator row that are listed."""
    return frozenset(
        (key, value_text(value))
        for key, values in answers(row).items()
        if key not in UNLISTED
        for value in values
    )


def value_text(value: str | int) -> str:
    """A value as it is listed: of a number, text that compares as the number does."""
    return value if isinstance(value, str) else f"{value:0{DIGITS}d}"


async def held(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Held]:
    """What is listed of these indicators, as far as they exist, by id."""
    rows = await connection.execute(
        select(indicators.c.id, indicators.c.n, indicators.c.terms).where(
            indicators.c.id.in_(among(connection, ids))
        )
    )
    return {key: Held(n, frozenset(json.loads(terms))) for key, n, terms in rows}


async def named(connection: AsyncConnection, wanted: Collection[TermOf]) -> dict[TermOf, int]:
    """The ids of these terms; those that nobody had before are made."""
    found = await _named(connection, wanted)
    missing = sorted(set(wanted) - found.keys())
    if missing:
        await insert_rows(
            connection,
            filter_terms,
            ("key", "value", "rows"),
            [(key, value, 0) for key, value in missing],
            unless=("key", "value"),
        )
        found |= await _named(connection, missing)
    return found


async def _named(connection: AsyncConnection, wanted: Iterable[TermOf]) -> dict[TermOf, int]:
    by_key: dict[str, list[str]] = {}
    for key, value in wanted:
        by_key.setdefault(key, []).append(value)
    found: dict[TermOf, int] = {}
    for key, values in by_key.items():
        rows = await connection.execute(
            select(filter_terms.c.value, filter_terms.c.id).where(
                filter_terms.c.key == key, filter_terms.c.value.in_(among(connection, values))
            )
        )
        found |= {(key, value): number for value, number in rows}
    return found


async def write(
    connection: AsyncConnection, changed: Mapping[str, frozenset[int]], before: Mapping[str, Held]
) -> None:
    """List what indicators have now, by id, given what was listed of those that were there before."""
    fresh = await held(connection, changed.keys() - before.keys())
    gained: list[tuple[int, int]] = []
    lost: list[tuple[int, int]] = []
    for key, terms in changed.items():
        old = before.get(key)
        if old is None:
            gained += [(term, fresh[key].n) for term in terms]
        else:
            gained += [(term, old.n) for term in terms - old.terms]
            lost += [(term, old.n) for term in old.terms - terms]
    await _apply(connection, gained, lost)


async def remove(connection: AsyncConnection, gone: Collection[Held]) -> None:
    """Take indicators off the lists."""
    await _apply(connection, (), [(term, one.n) for one in gone for term in one.terms])


async def _apply(
    connection: AsyncConnection, gained: Sequence[tuple[int, int]], lost: Sequence[tuple[int, int]]
) -> None:
    await insert_rows(connection, indicator_terms, ("term", "n"), sorted(gained), unless=("term", "n"))
    if lost:
        await connection.execute(
            delete(indicator_terms).where(
                indicator_terms.c.term == bindparam("of"), indicator_terms.c.n == bindparam("at")
            ),
            [{"of": term, "at": n} for term, n in sorted(lost)],
        )
    moved = Counter(term for term, _ in gained)
    moved.subtract(term for term, _ in lost)
    counts = [{"of": term, "by": by} for term, by in sorted(moved.items()) if by]
    if counts:
        await connection.execute(
            update(filter_terms)
            .where(filter_terms.c.id == bindparam("of"))
            .values(rows=filter_terms.c.rows + bindparam("by")),
            counts,
        )


def encoded(terms: Iterable[int]) -> str:
    """Ids of terms as an indicator keeps them."""
    return msgspec.json.encode(sorted(terms)).decode()
