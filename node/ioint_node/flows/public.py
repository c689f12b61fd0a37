"""What everybody may read, put together and signed: only where the operator turned it on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
from ioint_taxonomy import Catalogue
from nacl.signing import SigningKey
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.formats import bundle
from ioint_node.store import public
from ioint_node.store.engine import Store
from ioint_node.store.public import ClearIndicator, PublicBundle
from ioint_node.store.times import from_text, to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicLimits:
    """How much is published, and how long a bundle is good; it is signed anew when less than `renew_s` are left."""

    indicators: int = 10_000
    objects_bytes: int = 16 * 1024 * 1024
    valid_s: int = 7 * 86_400
    renew_s: int = 4 * 86_400


LIMITS: Final = PublicLimits()
Objects = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicParts:
    """What publishing works with; `introduction` makes the key document of now."""

    store: Store
    catalogue: Catalogue
    key: SigningKey = field(repr=False)
    introduction: Callable[[], bytes]
    limits: PublicLimits = LIMITS


class Publishing:
    """Makes a bundle when what everybody may read has changed, and before the last one is over."""

    def __init__(self, parts: PublicParts) -> None:
        self._parts = parts
        self._mark: tuple[str, int] | None = None

    async def run(self, now: int) -> None:
        """Sign a new bundle at this time (Unix milliseconds) if one is due."""
        parts = self._parts
        async with parts.store.read() as connection:
            mark, last = await public.clear_mark(connection), await public.newest(connection)
            due = _is_due(parts, last, now)
            if mark == self._mark and not due:
                return
            found, beyond = await public.clear_indicators(connection, parts.limits.indicators)
        made = await asyncio.to_thread(_bundle, parts, found, beyond, last, now, renew=due)
        if made is not None:
            await parts.store.write(partial(public.put, made=made))
        self._mark = mark


async def preview(connection: AsyncConnection, catalogue: Catalogue, now: int) -> tuple[Objects, int]:
    """The indicators that would be published at this time, and how many there would be no room for."""
    found, beyond = await public.clear_indicators(connection, LIMITS.indicators)
    return _cut(_made(found, catalogue, now), beyond, LIMITS)


def _is_due(parts: PublicParts, last: PublicBundle | None, now: int) -> bool:
    """Whether there has to be a new bundle even if nothing else changed."""
    if last is None or last.key_document != parts.introduction():
        return True
    return from_text(last.expires_at) - now < parts.limits.renew_s * 1000


def _bundle(
    parts: PublicParts,
    found: Sequence[ClearIndicator],
    beyond: int,
    last: PublicBundle | None,
    now: int,
    *,
    renew: bool,
) -> PublicBundle | None:
    """The next bundle; None where the last one says the same and is good for long enough."""
    made = bundle.settled(_made(found, parts.catalogue, now), _objects_of(last))
    shown, omitted = _cut(made, beyond, parts.limits)
    objects = [*bundle.definitions(), *shown]
    content = bundle.content_of(objects)
    if last is not None and last.content == content and not renew:
        return None
    # After a backup was brought back the last number may be below one that readers had: time goes on by itself.
    seq = max(now // 1000, last.seq + 1 if last else 0)
    expires = to_text(now + parts.limits.valid_s * 1000)
    body = bundle.payload(objects, seq=seq, issued=to_text(now), expires=expires, omitted=omitted)
    return PublicBundle(
        seq=seq,
        content=content,
        expires_at=expires,
        envelope=bundle.sign(body, bundle.BUNDLE_TYPE, parts.key),
        key_document=parts.introduction(),
    )


def _made(found: Sequence[ClearIndicator], catalogue: Catalogue, now: int) -> list[dict[str, Any]]:
    at = to_text(now)
    made = []
    for one in found:
        entry = catalogue.entries.get(str(one.row["id"]))
        shown = bundle.published(one.row, subject=one.subject, novel=one.novel, now=at)
        made.append(bundle.indicator(shown, entry.pattern if entry else None))
    return made


def _cut(made: Objects, beyond: int, limits: PublicLimits) -> tuple[Objects, int]:
    """As many as there is room for, and how many are left out."""
    room = limits.objects_bytes
    for place, one in enumerate(made):
        room -= len(msgspec.json.encode(one))
        if room < 0:
            return made[:place], beyond + len(made) - place
    return made, beyond


def _objects_of(last: PublicBundle | None) -> Objects:
    return () if last is None else bundle.objects_of(last.envelope)
