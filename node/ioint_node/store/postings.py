"""The index of filters: which indicators have which value of which key.

`filter_terms` names each value of each key once, with how many indicators have it; `indicator_terms` lists these
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

DIGITS: Final = 9  # of a number, with leading zeros


@dataclass(frozen=True, slots=True)
class Held:
    """What the index says of one indicator that is there already."""

    n: int
    terms: frozenset[int]


def terms_of(row: Mapping[str, Any]) -> frozenset[str]:
    """The terms under which an indicator row is listed; of the name of a package only its type."""
    found = answers(row)
    names = found.pop("subject")
    found["subject"] = tuple(str(name).partition("/")[0] for name in names if "/" in str(name))
    return frozenset(term_of(key, value) for key, values in found.items() for value in values)


def term_of(key: str, value: str | int) -> str:
    """How a value of a key is listed: of a number, so that text compares as the number does."""
    return f"{key}:{value}" if isinstance(value, str) else f"{key}:{value:0{DIGITS}d}"


async def held(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Held]:
    """What is listed of these indicators, as far as they exist, by id."""
    rows = await connection.execute(
        select(indicators.c.id, indicators.c.n, indicators.c.terms).where(
            indicators.c.id.in_(among(connection, ids))
        )
    )
    return {key: Held(n, frozenset(json.loads(terms))) for key, n, terms in rows}


async def named(connection: AsyncConnection, wanted: Collection[str]) -> dict[str, int]:
    """The ids of these terms; those that nobody had before are made."""
    found = await _named(connection, wanted)
    if missing := sorted(set(wanted) - found.keys()):
        fresh = [(term, 0) for term in missing]
        await insert_rows(connection, filter_terms, ("term", "rows"), fresh, unless=("term",))
        found |= await _named(connection, missing)
    return found


async def _named(connection: AsyncConnection, wanted: Iterable[str]) -> dict[str, int]:
    rows = await connection.execute(
        select(filter_terms.c.term, filter_terms.c.id).where(
            filter_terms.c.term.in_(among(connection, wanted))
        )
    )
    return {row[0]: row[1] for row in rows}


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
