"""Novel patterns: sessions that were confirmed and completed no catalogue entry, and what was made of them.

The path of a session is abstract: steps in words of the taxonomy, nothing of what stood in them.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from ioint_protocol import Pattern, parse_pattern, pattern_id, pattern_value
from sqlalchemy import Row, and_, delete, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.store.schema import matches, novel_cases, novel_patterns, paths
from ioint_node.store.times import day_of, to_text
from ioint_node.store.upsert import upserting

WAITING_MOST: Final = 1_000  # cases that nobody has looked at yet
PATHS_READ: Final = 5_000  # ordinary sessions of which a rate is read, the newest
KEPT_DAYS: Final = 30
OWN_PATTERNS: Final = 256  # of our own that are matched and compared


@dataclass(frozen=True, slots=True, kw_only=True)
class NovelCase:
    """A confirmed session that completed no catalogue entry: its abstract path as JSON, and where it was judged.

    `principal` is the digest of whom it is about, `step` the index of the step that confirmed it.
    """

    session_id: str
    actor: str
    principal: str
    step: int
    path: str


async def add_case(connection: AsyncConnection, case: NovelCase, now: int) -> bool:
    """Note a case that has to be looked at; False when it was noted before or too many wait."""
    waiting = select(func.count()).where(novel_cases.c.state == "new")
    if (await connection.execute(waiting)).scalar_one() >= WAITING_MOST:
        return False
    done = await connection.execute(
        upserting(connection, novel_cases)
        .values(
            session_id=case.session_id,
            actor=case.actor,
            principal=case.principal,
            step=case.step,
            path=case.path,
            state="new",
            reason="",
            at=to_text(now),
        )
        .on_conflict_do_nothing(index_elements=["session_id"])
    )
    return done.rowcount > 0


async def new_cases(connection: AsyncConnection, limit: int) -> tuple[NovelCase, ...]:
    """The oldest cases that nobody has looked at yet."""
    statement = (
        select(novel_cases).where(novel_cases.c.state == "new").order_by(novel_cases.c.seq).limit(limit)
    )
    return tuple(_case(row) for row in await connection.execute(statement))


async def name_case(connection: AsyncConnection, case: NovelCase, pattern: str, now: int) -> None:
    """Say which pattern a case is of: the session counts among those that completed it."""
    await _settle(connection, case, "named", pattern, "")
    await connection.execute(
        upserting(connection, matches)
        .values(
            pattern=pattern,
            session_id=case.session_id,
            actor=case.actor,
            principal=case.principal,
            action_id="",
            day=day_of(now),
            at=to_text(now),
            judged="flagged",
        )
        .on_conflict_do_nothing()
    )


async def refuse_case(connection: AsyncConnection, case: NovelCase, reason: str) -> None:
    """Say why nothing is made of a case."""
    await _settle(connection, case, "refused", None, reason)


async def add_pattern(connection: AsyncConnection, pattern: Pattern, now: int) -> None:
    """Keep a novel pattern that this node has seen; the same again changes nothing."""
    await connection.execute(
        upserting(connection, novel_patterns)
        .values(
            id=pattern_id(pattern),
            body=json.dumps(pattern_value(pattern), separators=(",", ":")),
            at=to_text(now),
        )
        .on_conflict_do_nothing(index_elements=["id"])
    )


async def find_pattern(connection: AsyncConnection, pattern: str) -> Pattern | None:
    """A novel pattern of our own by its id, or None."""
    body = (
        await connection.execute(select(novel_patterns.c.body).where(novel_patterns.c.id == pattern))
    ).scalar_one_or_none()
    return None if body is None else parse_pattern(json.loads(body))


async def own_patterns(connection: AsyncConnection) -> dict[str, Pattern]:
    """The novel patterns that this node named itself, by id: the newest, a bounded number."""
    newest = select(novel_patterns.c.id, novel_patterns.c.body).order_by(novel_patterns.c.at.desc())
    rows = await connection.execute(newest.limit(OWN_PATTERNS))
    return {name: parse_pattern(json.loads(body)) for name, body in rows}


async def add_path(
    connection: AsyncConnection, session_id: str, day: int, body: str, *, flagged: bool = False
) -> None:
    """Keep the abstract path of a session that was judged on a UTC day, as JSON."""
    await connection.execute(
        upserting(connection, paths)
        .values(session_id=session_id, day=day, body=body, flagged=int(flagged))
        .on_conflict_do_nothing(index_elements=["session_id"])
    )


async def ordinary_paths(connection: AsyncConnection, since_day: int) -> tuple[str, ...]:
    """The abstract paths of benign sessions since a day as JSON, the newest, a bounded number."""
    ordinary = select(paths.c.body).where(paths.c.day >= since_day, paths.c.flagged == 0)
    rows = await connection.execute(ordinary.order_by(paths.c.day.desc()).limit(PATHS_READ))
    return tuple(rows.scalars())


async def paths_after(
    connection: AsyncConnection,
    session_id: str,
    since_day: int,
    limit: int,
    having: Collection[Collection[Collection[str]]] = (),
) -> tuple[list[tuple[str, str]], str | None]:
    """The next so many abstract paths since a day, by session: (session, JSON), and the last if more may follow.

    With `having` only those whose JSON has, for at least one member of it, a text of each of that member's parts. The
    database looks, outside the interpreter.
    """
    after = select(paths).where(paths.c.session_id > session_id, paths.c.day >= since_day)
    some = after.order_by(paths.c.session_id).limit(limit).subquery()
    count, last = (await connection.execute(select(func.count(), func.max(some.c.session_id)))).one()
    place = func.strpos if connection.dialect.name == "postgresql" else func.instr
    wanted = [
        and_(true(), *[or_(*[place(some.c.body, text) > 0 for text in part]) for part in parts])
        for parts in having
    ]
    statement = select(some.c.session_id, some.c.body).order_by(some.c.session_id)
    rows = await connection.execute(statement.where(or_(*wanted)) if wanted else statement)
    return [(name, body) for name, body in rows], last if count == limit else None


async def first_day(connection: AsyncConnection) -> int | None:
    """The first day of which paths are kept, None without any."""
    first: int | None = (await connection.execute(select(func.min(paths.c.day)))).scalar_one()
    return first


async def trim(connection: AsyncConnection, day: int) -> None:
    """Forget paths and cases of before a day."""
    await connection.execute(delete(paths).where(paths.c.day < day))
    before = to_text(day * 86_400_000)
    await connection.execute(
        delete(novel_cases).where(novel_cases.c.state != "new", novel_cases.c.at < before)
    )


async def _settle(
    connection: AsyncConnection, case: NovelCase, state: str, pattern: str | None, reason: str
) -> None:
    await connection.execute(
        update(novel_cases)
        .where(novel_cases.c.session_id == case.session_id)
        .values(state=state, pattern=pattern, reason=reason)
    )


def _case(row: Row[tuple[object, ...]]) -> NovelCase:
    return NovelCase(
        session_id=row.session_id,
        actor=row.actor,
        principal=row.principal,
        step=row.step,
        path=row.path,
    )
