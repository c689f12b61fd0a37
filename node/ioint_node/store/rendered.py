"""The indicators in the order of their changes, with the ready bytes of their STIX objects.

Bytes are made when somebody first asks for an indicator as it now is, and kept beside it until it changes: nothing is
rendered that nobody reads, and nothing twice. A row whose bytes are missing or of another rendering has none here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.filtering import Filter
from ioint_node.formats.stix import RENDERING
from ioint_node.store.clearance import visible
from ioint_node.store.filtered import Order, plan
from ioint_node.store.listings import LISTED, StoredIndicator, stored_indicator
from ioint_node.store.reading import Reader
from ioint_node.store.rows import among, insert_rows
from ioint_node.store.schema import indicators, stix_rendered

_COLUMNS: Final = ("n", "added_at", "rendering", "objects", "names", "needs", "body")
FEW: Final = 64  # groups of a page that are read on the spot
Part = Literal["names", "body", "both"]
"""What of the objects is read: ids, for a manifest; bytes, for a page of all; both, to choose among them."""


@dataclass(frozen=True, slots=True)
class Group:
    """The objects of one indicator: how many, "STIX-ID BYTES" of each a line, and their JSON with commas between them.

    `added_at` is when the indicator last changed. `names` or `body` is empty where it was not asked for.
    """

    n: int
    added_at: str
    tlp: str
    objects: int
    needs: str
    names: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Bare:
    """An indicator whose objects are still to be rendered."""

    n: int
    added_at: str
    tlp: str


async def newest(reader: Reader) -> str:
    """When the last change of any indicator was, "" while there is none."""
    ((found,),) = await reader.rows(_NEWEST, {}, few=True)
    return found or ""


async def after(
    reader: Reader, clearance: str, instant: str, limit: int, part: Part
) -> tuple[Group | Bare, ...]:
    """Indicators that changed after an instant, oldest change first."""
    given = {"after": instant, "most": limit, "rendering": RENDERING}
    return _in_order(await reader.rows(_page(visible(clearance), part), given, few=limit <= FEW))


async def about(reader: Reader, clearance: str, uuid: str, instant: str) -> tuple[Group | Bare, ...]:
    """The indicator whose objects have this UUID, if it changed after an instant."""
    given = {"uuid": uuid, "after": instant, "rendering": RENDERING}
    return _in_order(await reader.rows(_one(visible(clearance)), given, few=True))


def with_uuids(connection: AsyncConnection, uuids: Collection[str]) -> ColumnElement[bool]:
    """The condition that the objects of an indicator have one of these UUIDs."""
    return indicators.c.uuid.in_(among(connection, uuids))


async def chosen(
    connection: AsyncConnection,
    clearance: str,
    wanted: Filter,
    *,
    few: Sequence[ColumnElement[bool]],
    instant: str,
    limit: int,
) -> tuple[tuple[Group | Bare, ...], str | None]:
    """The indicators that a filter takes and that meet some conditions that few do, oldest change first.

    Comes with the instant up to which was looked where that ends before `limit` were found, else with None.
    """
    found = await plan(
        connection, wanted, clearance, order=Order.OLDEST, after=instant, limit=limit, extra=few
    )
    if found is None:
        return (), None
    picked = found.statement.with_only_columns(indicators.c.n, indicators.c.added_at, indicators.c.tlp)
    rows = (await connection.execute(_with_bytes(picked, "both"), {"rendering": RENDERING})).all()
    cut = len(rows) < limit and found.floor is not None
    return _in_order(rows), str(found.floor) if cut else None


async def rows_of(connection: AsyncConnection, numbers: Collection[int]) -> tuple[StoredIndicator, ...]:
    """What is to be rendered."""
    statement: Select[Any] = select(*LISTED).where(indicators.c.n.in_(numbers))
    return tuple([stored_indicator(row) for row in await connection.execute(statement)])


async def keep(connection: AsyncConnection, made: Sequence[Group]) -> None:
    """Keep ready bytes, unless the indicator is gone by now."""
    there = select(indicators.c.n).where(indicators.c.n.in_([one.n for one in made]))
    known = set((await connection.execute(there)).scalars())
    rows = [
        (one.n, one.added_at, RENDERING, one.objects, one.names, one.needs, one.body)
        for one in made
        if one.n in known
    ]
    await insert_rows(connection, stix_rendered, _COLUMNS, rows, replacing=("n",))


async def remove(connection: AsyncConnection, numbers: Sequence[int]) -> None:
    """Forget the bytes of indicators that are gone."""
    await connection.execute(delete(stix_rendered).where(stix_rendered.c.n.in_(numbers)))


_NEWEST: Final = select(func.max(indicators.c.added_at))


def _in_order(rows: Sequence[Any]) -> tuple[Group | Bare, ...]:
    # The database would sort the bytes with the rest.
    return tuple(sorted(map(_found, rows), key=attrgetter("added_at")))


def _found(row: Any) -> Group | Bare:  # noqa: ANN401 - a row
    n, added, tlp, objects, needs, names, body = row
    return Bare(n, added, tlp) if objects is None else Group(n, added, tlp, objects, needs, names, body)


@cache  # by the five clearances and the three parts
def _page(labels: tuple[str, ...], part: Part) -> Select[Any]:
    # A list of labels would be sorted whole: of each label so many in their order, then the first of these.
    of_each = [
        select(indicators.c.n, indicators.c.added_at, indicators.c.tlp)
        .where(indicators.c.tlp == literal(label), indicators.c.added_at > bindparam("after"))
        .order_by(indicators.c.added_at)
        .limit(bindparam("most"))
        .subquery()
        .select()
        for label in labels
    ]
    merged = union_all(*of_each).subquery() if len(of_each) > 1 else of_each[0].subquery()
    first = select(merged).order_by(merged.c.added_at).limit(bindparam("most"))
    return _with_bytes(first, part)


@cache
def _one(labels: tuple[str, ...]) -> Select[Any]:
    picked = select(indicators.c.n, indicators.c.added_at, indicators.c.tlp).where(
        indicators.c.uuid == bindparam("uuid"),
        indicators.c.added_at > bindparam("after"),
        indicators.c.tlp.in_([literal(label) for label in labels]),
    )
    return _with_bytes(picked, "both")


def _with_bytes(picked: Select[Any], part: Part) -> Select[Any]:
    found, kept = picked.subquery(), stix_rendered.c
    fresh = and_(
        kept.n == found.c.n, kept.added_at == found.c.added_at, kept.rendering == bindparam("rendering")
    )
    return select(
        found.c.n,
        found.c.added_at,
        found.c.tlp,
        kept.objects,
        kept.needs,
        literal("") if part == "body" else kept.names,
        literal(b"") if part == "names" else kept.body,
    ).select_from(found.outerjoin(stix_rendered, fresh))
