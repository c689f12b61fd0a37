"""The indicators as groups of ready bytes: what is missing is rendered once, and kept."""

from __future__ import annotations

import uuid
from asyncio import Future
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from ioint_taxonomy import Taxonomy

from ioint_node.errors import BusyError
from ioint_node.filtering import EVERYTHING, Filter, parse
from ioint_node.formats import stix
from ioint_node.store import rendered
from ioint_node.store.listings import StoredIndicator
from ioint_node.store.rendered import Bare, Group, Part
from ioint_node.store.schema import indicators
from ioint_node.store.times import to_text
from ioint_node.web.site import Site
from ioint_node.web.taxii.asking import Wanted
from ioint_node.web.taxii.pages import (
    NOTHING,
    REFERRED_FROM,
    USUAL_GROUP,
    Definitions,
    Page,
    millis,
    page_of,
)

INDICATORS: Final = str(uuid.uuid5(stix.NAMESPACE, "collection indicators"))
DEFINITIONS: Final = str(uuid.uuid5(stix.NAMESPACE, "collection definitions"))
CONTRIBUTIONS: Final = str(uuid.uuid5(stix.NAMESPACE, "collection contributions"))
FRESH_MS: Final = 1_000  # after which a commit of another process is noticed
ANSWERS_KEPT: Final = 64
ANSWER_BYTES: Final = 262_144  # an answer larger than this is not kept
UNKEPT_MOST: Final = 5_000  # groups that wait to be written
_GROUPS_LEAST: Final = 100  # that are looked through at a time for objects of some types
_DOUBTED: Final = parse(f"state:{','.join(sorted(stix.DOUBTED))}")
_DOUBTING: Final = frozenset({"opinion", "note"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: its body and its headers beside those that all have."""

    body: bytes
    headers: dict[str, str]


class Ready:
    """Whole answers, good until the next commit: most polls ask what the one before them asked."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, ...], tuple[int, int, Answer]] = OrderedDict()

    def get(self, key: tuple[str, ...], commits: int, now: int) -> Answer | None:
        """The answer to the same question, None when there is none or something was committed since."""
        found = self._answers.get(key)
        if found is None or found[0] != commits or not 0 <= now - found[1] < FRESH_MS:
            return None
        return found[2]

    def put(self, key: tuple[str, ...], commits: int, now: int, answer: Answer) -> None:
        """Keep an answer; `commits` and `now` are those of before it was made."""
        if len(answer.body) > ANSWER_BYTES:
            return
        self._answers[key] = (commits, now, answer)
        self._answers.move_to_end(key)
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)


class Shelf:
    """Reads pages of groups for the callers of one process."""

    def __init__(self, site: Site, definitions: Definitions) -> None:
        self._site, self._definitions = site, definitions
        self._taxonomy: Taxonomy = site.parts.exchange.taxonomy
        self._unkept: dict[int, Group] = {}
        self._keeping = False
        self._newest = (-1, 0, 0)  # commits, when it was asked, microseconds of the newest change

    async def page(self, wanted: Wanted, clearance: str, *, part: Part, only: Filter = EVERYTHING) -> Page:
        """A page of what may be seen; `only` is a saved filter, without spans. `part` is what is read of each."""
        if wanted.whole and wanted.after_us >= await self._newest_us():
            return NOTHING
        page, certain = await self._filled_page(wanted, clearance, part, only)
        if not page.more or certain:
            return page
        # Who is told to go on must find something: an empty page that ends a walk looks like a collection begun anew.
        rest = replace(wanted, after_us=page.position_us, limit=1)
        following, _ = await self._filled_page(rest, clearance, part, only)
        return replace(page, more=bool(following.pieces))

    async def _filled_page(
        self, wanted: Wanted, clearance: str, part: Part, only: Filter
    ) -> tuple[Page, bool]:
        """A page that is empty only when nothing follows, and whether it is certain that what follows is asked for."""
        exact = not wanted.whole or wanted.limit < REFERRED_FROM or wanted.after_us % 1_000
        part = "both" if exact else part
        fixed = () if wanted.whole else self._definitions.chosen(wanted)
        limit = wanted.limit // USUAL_GROUP + 1 if wanted.whole else max(wanted.limit, _GROUPS_LEAST)
        every = "indicator" in (wanted.types or {"indicator"})
        while True:
            # One group more than is shown tells whether any follow.
            found, looked = await self._groups(wanted, clearance, part, only, limit + 1)
            shown, more = found[:limit], len(found) > limit or looked is not None
            page = page_of(fixed, await self._filled(shown, part), wanted, self._definitions, more=more)
            if page.pieces or not more:
                return page, every and looked is None
            after_us = millis(shown[-1].added_at if looked is None else looked) * 1_000
            wanted = replace(wanted, after_us=max(after_us, page.position_us))

    async def _groups(
        self, wanted: Wanted, clearance: str, part: Part, only: Filter, limit: int
    ) -> tuple[Sequence[Group | Bare], str | None]:
        """Groups, and how far was looked for them where that is not to the last of them or to the end."""
        after = to_text(wanted.after_us // 1_000)
        if wanted.types is not None and not wanted.types.intersection(stix.GROUP_TYPES):
            return (), None
        if wanted.types is not None and wanted.types.intersection(stix.GROUP_TYPES) <= _DOUBTING:
            only &= _DOUBTED
        reader = self._site.parts.store.reader
        uuids = None if wanted.ids is None else self._uuids(wanted.ids)
        if uuids == ():
            return (), None
        if only == EVERYTHING and wanted.versions is None and uuids is None:
            return await rendered.after(reader, clearance, after, limit, part), None
        if only == EVERYTHING and wanted.versions is None and uuids is not None and len(uuids) == 1:
            return await rendered.about(reader, clearance, uuids[0], after), None
        async with self._site.parts.store.read() as connection:
            few = [] if uuids is None else [rendered.with_uuids(connection, uuids)]
            if wanted.versions is not None:
                few.append(indicators.c.added_at.in_(wanted.versions))
            return await rendered.chosen(connection, clearance, only, few=few, instant=after, limit=limit)

    def _uuids(self, ids: frozenset[str]) -> tuple[str, ...]:
        """The UUIDs of the indicators whose objects these may be."""
        found: list[str] = []
        for name in ids:
            kind, _, about = name.partition("--")
            with suppress(ValueError):
                about = str(uuid.UUID(about))
                if kind == "relationship":
                    found += [stix.relationship_uuid(about, slug) for slug in self._taxonomy.intents]
                elif kind in stix.GROUP_TYPES:
                    found.append(about)
        return tuple(dict.fromkeys(found))

    async def _filled(self, found: Sequence[Group | Bare], part: Part) -> Sequence[Group]:
        """Groups in their order, the bare ones rendered; one that changed meanwhile comes later, as it then is."""
        bare = {one.n: one.added_at for one in found if isinstance(one, Bare)}
        if not bare:
            return [one for one in found if isinstance(one, Group)]
        store = self._site.parts.store
        async with store.read() as connection:
            rows = await rendered.rows_of(connection, bare.keys())
        made = {row.n: self._render(row) for row in rows if row.added_at == bare[row.n]}
        self._keep(made)
        if part == "body":
            made = {key: replace(one, names="") for key, one in made.items()}
        return [
            one if isinstance(one, Group) else made[one.n]
            for one in found
            if isinstance(one, Group) or one.n in made
        ]

    def _keep(self, made: Mapping[int, Group]) -> None:
        """Let ready bytes be written, all that come while some are written together."""
        self._unkept |= made
        if len(self._unkept) > UNKEPT_MOST:
            self._unkept.clear()  # they are made again for the next who asks
        if self._keeping or not self._unkept:
            return
        writing, self._unkept = tuple(self._unkept.values()), {}
        with suppress(BusyError):
            future = self._site.parts.store.submit(partial(rendered.keep, made=writing))
            self._keeping = True
            future.add_done_callback(self._kept)

    def _kept(self, future: Future[None]) -> None:
        self._keeping = False
        if not future.cancelled() and future.exception() is None:
            self._keep({})

    def _render(self, row: StoredIndicator) -> Group:
        entry = self._site.parts.exchange.catalogue.entries.get(row.id)
        objects = stix.group(row, None if entry is None else entry.pattern, self._taxonomy)
        encoded = [stix.encoded(one) for one in objects]
        return Group(
            n=row.n,
            added_at=row.added_at,
            tlp=row.tlp,
            objects=len(objects),
            needs=" ".join(stix.needed(row, self._taxonomy)),
            names="\n".join(f"{one['id']} {len(data)}" for one, data in zip(objects, encoded, strict=True)),
            body=b",".join(encoded),
        )

    async def _newest_us(self) -> int:
        """When the newest change was: who asks for what is newer need not be looked up."""
        commits, now = self._site.parts.hub.commits, self._site.parts.now()
        known_commits, asked_at, newest_us = self._newest
        if known_commits == commits and 0 <= now - asked_at < FRESH_MS:
            return newest_us
        newest = await rendered.newest(self._site.parts.store.reader)
        self._newest = (commits, now, millis(newest) * 1_000 if newest else 0)
        return self._newest[2]
