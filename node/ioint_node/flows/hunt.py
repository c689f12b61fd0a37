"""Looking back: what others newly warn of is looked for in what this node's own sessions did in the last 30 days.

Every session leaves its abstract path, and the open ones have theirs in memory; of the catalogue's patterns it is known
already which sessions contain them. A session that contains what is warned of is an incident, and where the pattern is
novel also a match, so that it counts as seen here. With that the own rate of a novel pattern is known for as long as
paths are kept, and the warning may act at once. It acts on what happens from its arrival on, and on nothing before.

What was looked for is written down when all of it was, and a restart goes on with the rest: to look twice finds the
same. A walk over the paths goes in small parts, away from the event loop, and looks for a few novel patterns of the
group that cost least so far. One that takes long while others wait goes on after them, so that no group waits for what
others wrote. After each the node rests for as long as it took: looking takes no more than half of the time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from ioint_protocol import Pattern
from ioint_protocol.pattern import Matcher
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.errors import BusyError
from ioint_node.flows.assessing import AssessParts
from ioint_node.flows.believe import Believed, believe, put_in_force
from ioint_node.flows.live import MATCHER_CHECK_MS, Live
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.paths import KeptPath, kept, path_of, traces
from ioint_node.reputation.beliefs import Belief
from ioint_node.store import incidents, matches, novel
from ioint_node.store.incidents import EACH_MOST, Hit
from ioint_node.store.matches import Met
from ioint_node.store.times import day_of

TAKEN_AT_ONCE: Final = 10_000  # beliefs, after a start, before others have their turn
AT_ONCE: Final = 1_024  # patterns that need no walk
WORDS_AT_ONCE: Final = 64  # by which the paths are sifted in one walk
WALK_S: Final = 2.0  # after which a walk is interrupted where others wait
SIFTED_AT_ONCE: Final = 5_000  # paths that the database looks at
CHUNK_PATHS: Final = 250  # matched at a time
SIFTED: Final = 16  # words of a pattern by which the database sifts the paths, without them all are matched
WORK_S: Final = 1e-3  # of matching between two breaths
BREATH_S: Final = 1e-4  # in which the thread lets go of the interpreter: a decision that waits goes first
AGAIN_S: Final = 5.0  # after a walk that failed
# From then on every action is matched against what has arrived: the walk and the matcher leave nothing between them.
SETTLING_S: Final = 2 * MATCHER_CHECK_MS / 1000
_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Search:
    """How far a pattern was looked for: up to which session, and since which day, None before it began."""

    last: str = ""
    day: int | None = None


class Hunter:
    """What waits to be looked for, and the loop that does.

    `counts` are patterns, paths and incidents, `rest_s` the seconds to rest after the last walk.
    """

    def __init__(
        self,
        parts: ExchangeParts,
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        settling_s: float = SETTLING_S,
    ) -> None:
        self._parts, self._now, self._settling_s = parts, now, settling_s
        # What ended and came again has another search: in between nobody matched it.
        self._wanted: dict[str, Search] = {}
        self._over: dict[str, None] = {}
        self._hunted: set[str] = set()
        # Up to which day a novel pattern was looked for: all paths of the days before are known.
        self._known: dict[str, int] = {}
        # Seconds of walks, by the group that reported the pattern first, as long as anything waits.
        self._spent: dict[str, float] = {}
        self._wakened = asyncio.Event()
        self.rest_s = 0.0
        self.counts: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many patterns were not looked for yet."""
        return len(self._wanted)

    def take(self, beliefs: Iterable[Belief]) -> None:
        """What is newly believed: look for what others warn of, and note where a warning is over."""
        for belief in beliefs:
            name = belief.pattern
            if not self._is_wanted(belief):
                self._wanted.pop(name, None)
                if name in self._hunted:
                    self._over[name] = None
            elif name not in self._hunted or name in self._over:
                self._wanted.setdefault(name, Search())
        if self._wanted or self._over:
            self._wakened.set()

    async def run(self, assess: AssessParts) -> None:
        """Look for what is wanted whenever there is something, until cancelled; `assess` has the open sessions."""
        step: Callable[[], Awaitable[None]] = self.load
        while True:
            try:
                await step()
            except BusyError as error:
                _log.warning("looking back waits: %s", error)
                await asyncio.sleep(AGAIN_S)
            except Exception:  # the loop must outlive a failing disk; what was not looked for stays wanted
                _log.exception("looking back failed")
                await asyncio.sleep(AGAIN_S)
            else:
                step = partial(self.hunt, assess)
                if not (self._wanted or self._over):
                    self._wakened.clear()
                await self._wakened.wait()
                await asyncio.sleep(max(self._settling_s, self.rest_s))

    async def load(self) -> None:
        """Start from the store: what was looked for before, and what is believed now."""
        async with self._parts.store.read() as connection:
            hunted = await incidents.hunted(connection)
        self._hunted = {name for name, day in hunted.items() if not self._is_matched_anew(name, day)}
        believed = iter(tuple(self._parts.beliefs.all().values()))
        while some := tuple(islice(believed, TAKEN_AT_ONCE)):
            self.take(some)
            await asyncio.sleep(0)

    async def hunt(self, assess: AssessParts) -> None:
        """Look once for what is wanted now, and say of what is over that it is."""
        over, wanted = tuple(self._over), self._next()
        self.rest_s = 0.0
        if over:
            await self._end(over)
        if not wanted:
            return
        now = self._now()
        begun = time.monotonic()
        await assess.journal.settled()
        sought = {name: one for name in wanted if (one := self._novel(name)) is not None}
        looked_from = await self._walk(sought, wanted, assess.live.open(), now) if sought else None
        self._spend(sought, time.monotonic() - begun)
        if sought and looked_from is None:
            wanted, sought = {name: one for name, one in wanted.items() if name not in sought}, {}
        if wanted:
            await self._conclude(wanted, sought, looked_from, now)
        self.rest_s = time.monotonic() - begun

    async def _conclude(
        self, wanted: Mapping[str, Search], sought: Collection[str], looked_from: int | None, now: int
    ) -> None:
        """Make incidents of what was met, note that these were looked for, and believe what is novel anew."""
        found = dict.fromkeys(wanted, 0)
        async with self._parts.store.read() as connection:
            known = await matches.ever_met(connection, wanted, day_of(now))
        for name in known:
            async with self._parts.store.read() as connection:
                met, found[name] = await matches.met(connection, name, day_of(now), EACH_MOST + 1)
            await self._open(met, now)
        looked = {name: wanted[name] for name in sought}
        noting = partial(
            self._note, done=found, looked=looked, looked_from=looked_from or day_of(now), now=now
        )
        put_in_force(self._parts, await self._parts.store.write(noting))
        self._done(wanted, sought, now)
        self.counts["patterns"] += len(wanted)
        _log.info("hunted patterns=%d novel=%d hits=%d", len(wanted), len(sought), sum(found.values()))

    def _spend(self, sought: Collection[str], seconds: float) -> None:
        for name in sought:
            belief = self._parts.beliefs.get(name)
            group = belief.claimant or "" if belief else ""
            self._spent[group] = self._spent.get(group, 0.0) + seconds / len(sought)

    def _done(self, wanted: Mapping[str, Search], sought: Collection[str], now: int) -> None:
        """These were looked for: what was taken back meanwhile is over by now, and waits again where it came again."""
        self._hunted.update(wanted)
        for name, search in wanted.items():
            if self._wanted.get(name) is search:
                del self._wanted[name]
        known = {name: day for name in sought if (day := wanted[name].day) is not None}
        self._known = {n: d for n, d in (self._known | known).items() if d > day_of(now) - novel.KEPT_DAYS}
        self.take([b for name in wanted if (b := self._parts.beliefs.get(name)) is not None])
        if not self._wanted:
            self._spent.clear()

    def _is_wanted(self, belief: Belief) -> bool:
        # A novel pattern without a place is not matched here, now or in the past: so much costs what members write.
        return belief.warned and (belief.novel is None or belief.measured_from is not None)

    def _next(self) -> dict[str, Search]:
        """What is looked for now: what needs no walk, and novel patterns of few words in all."""
        beliefs = self._parts.beliefs
        placed = beliefs.patterns()
        chosen = dict(islice((one for one in self._wanted.items() if one[0] not in placed), AT_ONCE))
        waiting = [b for name in placed if name in self._wanted and (b := beliefs.get(name)) is not None]
        waiting.sort(key=lambda b: (self._spent.get(b.claimant or "", 0.0), b.since, b.pattern))
        words, first = 0, None
        for name in [belief.pattern for belief in waiting]:
            search = self._wanted[name]
            words += max(1, sum(map(len, self._sieve(placed[name]))))
            if first is not None and (words > WORDS_AT_ONCE or search.last != first.last):
                break
            first = first or search
            chosen[name] = search
        return chosen

    def _interrupted(self, searches: Sequence[Search], last: str, begun: float) -> bool:
        """Note how far a walk is, and whether it has to let others go first.

        Whatever ended since it began was matched as it happened: it may go on whenever it likes.
        """
        for search in searches:
            search.last = last
        return len(self._wanted) > len(searches) and time.monotonic() - begun > WALK_S

    def _sieve(self, pattern: Pattern) -> list[tuple[str, ...]]:
        """What stands in every path that contains a pattern: the parts of fewest words, for each takes time."""
        parts: list[tuple[str, ...]] = []
        for part in sorted(traces(pattern, self._parts.taxonomy), key=len):
            if sum(map(len, parts)) + len(part) > SIFTED:
                break
            parts.append(part)
        return parts

    def _is_matched_anew(self, name: str, day: int) -> bool:
        # It lost its place after it had been looked for on that day, and has one again.
        belief = self._parts.beliefs.get(name)
        return belief is not None and belief.measured_from is not None and belief.measured_from > day

    def _novel(self, name: str) -> Pattern | None:
        belief = self._parts.beliefs.get(name)
        placed = belief is not None and belief.measured_from is not None
        return belief.novel if belief is not None and placed else None

    async def _note(
        self,
        connection: AsyncConnection,
        *,
        done: Mapping[str, int],
        looked: Mapping[str, Search],
        looked_from: int,
        now: int,
    ) -> Believed:
        """Note what was looked for; what is novel is believed anew, with what was seen of it here since that day."""
        await incidents.note_hunted(connection, done, now)
        await incidents.mark(connection, done, "live", now)
        unbroken = {name: looked_from for name, one in looked.items() if self._wanted.get(name) is one}
        return await believe(connection, self._parts, looked, now, looked_from=unbroken)

    async def _walk(
        self, sought: Mapping[str, Pattern], wanted: Mapping[str, Search], opened: Iterable[Live], now: int
    ) -> int | None:
        """Match all paths that are kept, and those of the open sessions, against patterns that were sought equally far.

        Returns the day since which every session that ended was looked at, as far as its path is kept; None when
        there is more to look at.
        """
        begun, matcher = time.monotonic(), Matcher(sought, self._parts.taxonomy)
        searches = [wanted[name] for name in sought]
        if any(search.day is None for search in searches):
            trackers = [(live.id, live.tracker) for live in opened if live.actions]
            unended = [(name, kept(t.families, t.steps, t.outside)) for name, t in trackers]
            await self._match(matcher, unended, now)
            for search in searches:
                search.day = day_of(now) if search.day is None else search.day
        having = [self._sieve(pattern) for pattern in sought.values()]
        oldest = day_of(now) - novel.KEPT_DAYS
        since = max(oldest, min(self._known.get(name, oldest) for name in sought))
        while True:
            async with self._parts.store.read() as connection:
                texts, upto = await novel.paths_after(
                    connection, searches[0].last, since, SIFTED_AT_ONCE, having
                )
            for start in range(0, len(texts), CHUNK_PATHS):
                some = texts[start : start + CHUNK_PATHS]
                await self._match(matcher, some, now)
                if self._interrupted(searches, some[-1][0], begun):
                    return None
            if upto is None:
                break
            if self._interrupted(searches, upto, begun):
                return None
        # Read afterwards: what was forgotten meanwhile may not have been looked at.
        async with self._parts.store.read() as connection:
            first = await novel.first_day(connection)
        return day_of(now) if first is None else max(first, oldest + 1)

    async def _match(self, matcher: Matcher, paths: Sequence[tuple[str, KeptPath | str]], now: int) -> None:
        self.counts["paths"] += len(paths)
        contained = await asyncio.to_thread(look, paths, matcher)
        if contained:
            async with self._parts.store.read() as connection:
                met = await matches.sessions_with(connection, contained)
            await self._open(met, now, fresh=True)

    async def _open(self, met: Sequence[Met], now: int, *, fresh: bool = False) -> None:
        """Make incidents of sessions with what is warned of, and matches where these are `fresh`."""
        hits = [
            Hit(pattern=m.pattern, session_id=m.session_id, actor=m.actor, found="retro", tier=belief.tier)
            for m in met
            if (belief := self._parts.beliefs.get(m.pattern)) is not None and belief.warned
        ]
        matched = tuple(met) if fresh else ()
        if hits or matched:
            self.counts["incidents"] += await self._parts.store.write(
                partial(_write, hits=hits, matched=matched, now=now)
            )

    async def _end(self, over: Collection[str]) -> None:
        """What is matched no more is looked for when it comes again; where the warning is over, incidents say so."""
        ended: dict[str, list[str]] = {"withdrawn": [], "ended": []}
        for name in over:
            belief = self._parts.beliefs.get(name)
            if belief is None or not belief.warned:
                taken_back = belief is not None and belief.state == "withdrawn"
                ended["withdrawn" if taken_back else "ended"].append(name)
        await self._parts.store.write(partial(_forget, over=over, ended=ended, now=self._now()))
        self._hunted.difference_update(over)
        for name in over:
            self._over.pop(name, None)


def look(paths: Iterable[tuple[str, KeptPath | str]], matcher: Matcher) -> list[tuple[str, str]]:
    """The sessions of these that contain patterns of a matcher, as (pattern, session); a path may be its JSON.

    Made for a thread of its own: it pauses again and again, so that whoever waits for the interpreter gets it.
    """
    contained, rested = [], time.perf_counter()
    for session_id, path in paths:
        if time.perf_counter() - rested > WORK_S:
            time.sleep(BREATH_S)
            rested = time.perf_counter()
        known = path_of(path) if isinstance(path, str) else path
        state = matcher.start(known.families)
        for step, outside in zip(known.steps, known.outside, strict=False):
            state, completed = matcher.advance(state, step, outside)
            contained += [(pattern, session_id) for pattern in completed]
    return contained


async def _write(
    connection: AsyncConnection, *, hits: Sequence[Hit], matched: Sequence[Met], now: int
) -> int:
    await matches.add_met(connection, matched)
    return await incidents.open_all(connection, hits, now)


async def _forget(
    connection: AsyncConnection, *, over: Collection[str], ended: Mapping[str, Collection[str]], now: int
) -> None:
    await incidents.forget_hunts(connection, over)
    for warning, patterns in ended.items():
        await incidents.mark(connection, patterns, warning, now)
