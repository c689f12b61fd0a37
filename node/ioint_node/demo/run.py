"""The demo from the first command to the last line, in the order in which it happens.

1. Organisations make homes, a consortium, and start.           → `stage`
2. Sessions of the second wave are declared and begin to work.
3. The hostile member slanders a pattern that the others use.
4. The first wave plays: somebody's agent drifts, a report leaves.
5. The report arrives at the other members.
6. The second wave acts: an agent that shows the same pattern is trusted less.
7. The hostile member replays, sends garbage and contradicts itself.
8. What the nodes' interfaces say becomes the summary.          → `summary`
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from ioint_node.demo.cast import Part, cast, waves
from ioint_node.demo.collect import by_attack, collect, most_used_pattern, refusals_of
from ioint_node.demo.play import Playback, Played
from ioint_node.demo.screen import Screen
from ioint_node.demo.stage import Organisation, order, stage
from ioint_node.demo.summary import Observed, TrustChange, document
from ioint_node.errors import NodeError


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What `ioint demo` was asked for. `organisations` counts the hostile one."""

    organisations: int = 5
    sessions: Path | None = None
    cut_network: bool = False
    keep: Path | None = None
    exit: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryLimits:
    """How long the story waits for what should follow, and how many sessions it keeps open at one node."""

    arrival_s: float = 20.0
    held_sessions: int = 40
    poll_s: float = 0.1
    settle_s: float = 1.5


LIMITS = StoryLimits()


def run_demo(options: DemoOptions) -> int:
    """Run the demo; the exit code is 0 only when the story is complete."""
    started = time.monotonic()
    screen = Screen(to_stderr=options.json)
    try:
        return asyncio.run(_demo(options, screen, started))
    except NodeError as error:
        screen.failed(str(error))
        return 1
    except KeyboardInterrupt:
        return 0


async def _demo(options: DemoOptions, screen: Screen, started: float) -> int:
    names = [f"org{index}" for index in range(1, options.organisations + 1)]
    parts = cast(options.sessions, len(names) - 1)
    with _root(options.keep) as root:
        screen.opening(names, options.sessions)
        async with stage(root, names, network=not options.cut_network, say=screen.say) as organisations:
            story = Story(organisations, parts, screen, started)
            summary = await story.tell(network=not options.cut_network)
            screen.closing(summary, network=not options.cut_network)
            if options.json:
                sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
                sys.stdout.flush()
            if not options.exit:
                screen.addresses(organisations)
                await asyncio.gather(*(_watch(organisation, screen) for organisation in organisations))
    return 0 if summary["story_complete"] else 1


async def _watch(organisation: Organisation, screen: Screen) -> None:
    screen.ended(organisation.name, await organisation.process.wait())


@contextmanager
def _root(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="ioint-demo-") as made:
            yield Path(made)
        return
    keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise NodeError(f"{keep} is not empty: name a new directory with --keep")
    yield keep.absolute()


class Story:
    """The acts of one run, and what was observed in them."""

    def __init__(
        self, organisations: Sequence[Organisation], parts: Sequence[Part], screen: Screen, started: float
    ) -> None:
        self._honest = [organisation for organisation in organisations if not organisation.hostile]
        self._hostile = next(organisation for organisation in organisations if organisation.hostile)
        self._parts = parts
        self._screen = screen
        self._started = started
        self._observed = Observed(sessions=len(parts))

    async def tell(self, *, network: bool) -> dict[str, Any]:
        """Play every act and return the summary."""
        async with aiohttp.ClientSession() as http, self._engines(http):
            held = await self._begin_second_wave(http)
            if network:
                await self._slander(http)
            with self._screen.progress("first wave", sum(part.wave == 1 for part in self._parts)) as done:
                await self._first_wave(http, done)
            if network:
                await self._arrivals(http)
            with self._screen.progress("second wave", sum(part.wave == 2 for part in self._parts)) as done:
                await self._second_wave(http, held, done)
            refused = await self._attack(http) if network else {}
            reported = await collect(http, self._honest, self._hostile, refused)
            self._screen.soc(reported.patterns)
            return document(self._observed, reported, self._nodes(), self._hostile.name)

    def _at_s(self) -> float:
        return round(time.monotonic() - self._started, 3)

    def _nodes(self) -> list[dict[str, str]]:
        return [
            {"organisation": each.name, "home": str(each.home), "url": each.url, "peer_id": each.peer_id}
            for each in (*self._honest, self._hostile)
        ]

    @asynccontextmanager
    async def _engines(self, http: aiohttp.ClientSession) -> AsyncIterator[None]:
        """An engine listens at every honest node, from before the first act to the end."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(each.client(http, "engine").events(self._engine_of(each)))
                for each in self._honest
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    def _engine_of(self, organisation: Organisation) -> Callable[[Mapping[str, Any]], None]:
        heard = self._observed.engine_events.setdefault(organisation.name, [])

        def seen(event: Mapping[str, Any]) -> None:
            heard.append(event)
            if event["event"] == "reputation" and event.get("pattern"):
                pattern, effect = str(event["pattern"]), float(event.get("effect") or 0.0)
                self._observed.effects[pattern] = max(effect, self._observed.effects.get(pattern, 0.0))
            self._screen.engine(organisation.name, event)

        return seen

    async def _begin_second_wave(self, http: aiohttp.ClientSession) -> list[list[tuple[Part, Playback]]]:
        """Declare sessions that will act later, and let them do all but their last actions."""

        async def begin(index: int, organisation: Organisation) -> list[tuple[Part, Playback]]:
            _, second = waves(self._parts, index)
            begun = []
            for part in second[: LIMITS.held_sessions]:
                playback = await self._open(http, organisation, part)
                while playback.left > part.hold:
                    self._note(organisation, await playback.step())
                begun.append((part, playback))
            return begun

        return await asyncio.gather(*(begin(index, each) for index, each in enumerate(self._honest)))

    async def _first_wave(self, http: aiohttp.ClientSession, done: Callable[[], None]) -> None:
        async def play(index: int, organisation: Organisation) -> None:
            first, _ = waves(self._parts, index)
            for part in first:
                await self._finish(http, organisation, await self._open(http, organisation, part))
                done()

        await asyncio.gather(*(play(index, each) for index, each in enumerate(self._honest)))

    async def _second_wave(
        self, http: aiohttp.ClientSession, held: list[list[tuple[Part, Playback]]], done: Callable[[], None]
    ) -> None:
        async def play(index: int, organisation: Organisation) -> None:
            for _, playback in held[index]:
                await self._finish(http, organisation, playback)
                done()
            for part in waves(self._parts, index)[1][LIMITS.held_sessions :]:
                await self._finish(http, organisation, await self._open(http, organisation, part))
                done()

        await asyncio.gather(*(play(index, each) for index, each in enumerate(self._honest)))

    async def _open(self, http: aiohttp.ClientSession, organisation: Organisation, part: Part) -> Playback:
        playback = Playback(
            organisation.client(http, "engine"), part.recorded, agent=part.agent, session_id=part.session_id
        )
        await playback.open()
        return playback

    async def _finish(
        self, http: aiohttp.ClientSession, organisation: Organisation, playback: Playback
    ) -> None:
        while (played := await playback.step()) is not None:
            self._note(organisation, played)
        await playback.close()
        await self._look_for_report(http, organisation)

    def _note(self, organisation: Organisation, played: Played | None) -> None:
        if played is None:
            return
        decision = played.decision
        self._observed.verdicts[decision["verdict"]] += 1
        if decision["verdict"] != "in_scope":
            self._screen.verdict(organisation.name, played)
        effect = float(decision["network"]["effect"])
        already = {(change.organisation, change.agent) for change in self._observed.trust_changes}
        if effect > 0 and played.clean_before and (organisation.name, played.agent) not in already:
            change = TrustChange(
                organisation=organisation.name,
                agent=played.agent,
                pattern=decision["network"]["patterns"][0],
                cause="network",
                before=played.used_before,
                after=float(decision["trust"]["used"]),
                effect=effect,
                without_network=float(decision["trust"]["lower"]),
                at_s=self._at_s(),
            )
            self._observed.trust_changes.append(change)
            self._screen.trust_moved(change, decision)

    async def _slander(self, http: aiohttp.ClientSession) -> None:
        pattern = await most_used_pattern(http, self._honest)
        self._observed.slandered = pattern
        answer = await order(self._hostile, do="slander", pattern=pattern)
        self._observed.attacks["slander"] += int(answer["count"])
        arrived = [
            each.client(http, "soc").until(
                f"/api/v1/patterns/{pattern}",
                _reported_by(self._hostile.member),
                within_s=LIMITS.arrival_s,
            )
            for each in self._honest
        ]
        rows = await asyncio.gather(*arrived)
        self._screen.slandered(self._hostile.name, pattern, sum(row is not None for row in rows))

    async def _look_for_report(self, http: aiohttp.ClientSession, organisation: Organisation) -> None:
        """Wait until nothing is ready to leave any more, and show the first report that left."""
        admin = organisation.client(http, "admin")
        await admin.until(
            "/api/v1/outgoing", lambda page: not page["items"], within_s=LIMITS.arrival_s, state="ready"
        )
        if self._observed.first_report_s is not None:
            return
        page = await admin.get("/api/v1/outgoing", state="left")
        if page["items"]:
            self._observed.first_report_s = self._at_s()
            self._screen.report_left(organisation.name, page["items"][0])

    async def _arrivals(self, http: aiohttp.ClientSession) -> None:
        """Wait until every report that left is known everywhere, and show where it arrived."""
        for sender in self._honest:
            async for item in sender.client(http, "admin").items("/api/v1/outgoing", state="left"):
                if item["kind"] == "report":
                    await self._arrival(http, sender, item)

    async def _arrival(
        self, http: aiohttp.ClientSession, sender: Organisation, item: Mapping[str, Any]
    ) -> None:
        others = [other.client(http, "soc") for other in self._honest if other is not sender]
        path, known = f"/api/v1/patterns/{item['subject']}", _reported_by(sender.member)
        rows = await asyncio.gather(
            *(other.until(path, known, within_s=LIMITS.arrival_s) for other in others)
        )
        self._screen.arrived(sender.name, item, [row for row in rows if row is not None])

    async def _attack(self, http: aiohttp.ClientSession) -> dict[str, int]:
        """Let the hostile member attack; returns what of it was refused, by attack."""
        before = await self._refusals(http, lambda _: True)
        for what in ("replay", "garbage", "equivocation"):
            answer = await order(self._hostile, do=what)
            self._observed.attacks[what] += int(answer["count"])
        quarantining = await asyncio.gather(*(self._quarantines(http, each) for each in self._honest))
        after = await self._refusals(http, lambda refused: all(by_attack(refused, before).values()))
        self._screen.attacked(self._hostile.name, self._observed.attacks, sum(quarantining))
        return by_attack(after, before)

    async def _quarantines(self, http: aiohttp.ClientSession, organisation: Organisation) -> bool:
        page = await organisation.client(http, "soc").until(
            "/api/v1/members",
            lambda page: any(
                row["id"] == self._hostile.member and row["quarantined_at"] for row in page["items"]
            ),
            within_s=LIMITS.arrival_s,
        )
        return page is not None

    async def _refusals(
        self, http: aiohttp.ClientSession, enough: Callable[[Mapping[str, int]], bool]
    ) -> Counter[str]:
        """What the honest nodes refused of the hostile one; nodes write it once a second, so wait until it rests."""
        changed = deadline = time.monotonic() + LIMITS.arrival_s
        seen: Counter[str] | None = None
        while time.monotonic() < deadline:
            refused = await refusals_of(http, self._honest, self._hostile)
            if refused != seen:
                seen, changed = refused, time.monotonic()
            if enough(refused) and time.monotonic() - changed > LIMITS.settle_s:
                break
            await asyncio.sleep(LIMITS.poll_s)
        return seen or Counter()


def _reported_by(member: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: member in row["reported_by"]
