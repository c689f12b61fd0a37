"""What members send one another in the measurements: a consortium with its keys, and logs of what members would say.

Everything follows from numbers, so that two runs measure the same bytes. Of a hundred records 75 report a pattern of
the catalogue, 10 a public package of 2,000, 4 a novel pattern of 500; 6 are sightings, 3 disputes and 2 withdrawals of
what the same member said before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from ioint_protocol import (
    Dispute,
    Pattern,
    Record,
    Report,
    Roster,
    Sighting,
    Withdrawal,
    build_segment,
    encode_record,
    parse_pattern,
    parse_segment,
    record_id,
)
from ioint_protocol.segment import GENESIS
from ioint_taxonomy import load_catalogue
from nacl.signing import SigningKey

from ioint_node.bench.consortium import found
from ioint_node.config import load_config, load_keys
from ioint_node.flows.roster import open_book
from ioint_node.store.engine import open_store
from ioint_node.store.times import day_of

PACKAGES: Final = 2_000
NOVEL: Final = 500
BUCKETS: Final = 6  # counts up to 63 sessions
VERBS: Final = ("delete", "execute", "pay", "send")
RECENT: Final = 512  # reports that a sighting or a dispute may name


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """A consortium in force: its roster, its id, and the home and the record key of each member, by member id."""

    roster: Roster
    consortium: str
    homes: Mapping[str, Path]
    keys: Mapping[str, SigningKey]


async def gather(root: Path, count: int) -> Members:
    """Found a consortium of so many members in a directory."""
    homes = [root / f"member{number}" for number in range(count)]
    await found(homes)
    async with open_store(load_config(homes[0]).store_url) as store:
        book = await open_book(store)
    if book.last is None:
        raise LookupError(f"{homes[0]} holds no roster")
    keys = [load_keys(home) for home in homes]
    return Members(
        roster=book.last,
        consortium=book.last.consortium,
        homes={own.member: home for own, home in zip(keys, homes, strict=True)},
        keys={own.member: own.record_key for own in keys},
    )


class Log:
    """One member's log as it grows; what it says follows from the member's number."""

    def __init__(self, members: Members, member: str, number: int, now: int, heard: list[str]) -> None:
        self._members, self._member, self._day = members, member, day_of(now)
        self._random = Random(number)  # noqa: S311 - the same traffic in every run
        self._patterns = sorted(load_catalogue().entries)
        self._heard = heard
        self._own: list[str] = []
        self._said: set[bytes] = set()  # of what may be drawn twice
        self._number = 0
        self._seq, self._head = 0, GENESIS

    def segment(self, records: int) -> bytes:
        """The next segment of the log, signed."""
        bodies: list[bytes] = []
        while len(bodies) < records:
            record = self._record()
            body = encode_record(record)
            if not isinstance(record, Report):
                if body in self._said:
                    continue
                self._said.add(body)
            bodies.append(body)
        self._seq += 1
        wire = build_segment(
            self._members.keys[self._member],
            self._members.consortium,
            self._member,
            self._seq,
            self._head,
            1,
            bodies,
        )
        self._head = parse_segment(wire).head
        return wire

    def _record(self) -> Record:
        drawn = self._random.randrange(100)
        if drawn >= 98 and self._own:
            return Withdrawal(of=self._own.pop(0), reason="mistake")
        if drawn >= 95 and self._heard:
            return Dispute(of=self._random.choice(self._heard), reason="expected_use", day=self._today())
        if drawn >= 89 and self._heard:
            seen = self._random.randrange(BUCKETS)
            return Sighting(of=self._random.choice(self._heard), seen=seen, day=self._today())
        report = self._report(drawn)
        name = record_id(encode_record(report))
        for names in (self._own, self._heard):
            names.append(name)
            del names[:-RECENT]
        return report

    def _report(self, drawn: int) -> Report:
        random = self._random
        self._number += 1
        pat: str | Pattern | None = random.choice(self._patterns)
        subj = None
        if 75 <= drawn < 85:
            pat, subj = None, f"pkg:npm/package-{random.randrange(PACKAGES)}"
        elif 85 <= drawn < 89:
            pat = _novel(random.randrange(NOVEL))
        seen = random.randrange(BUCKETS)
        day = self._today()
        return Report(
            tax="2026.11",
            kind="pattern" if subj is None else "subject",
            pat=pat,
            subj=subj,
            intents=("data_exfiltration",),
            basis="threshold",
            bad=random.randrange(seen + 1),
            seen=seen,
            agents=random.randrange(seen + 1),
            day_from=day - random.randrange(8),
            day_until=day,
            det=f"{self._number:064x}",  # no two reports of a member are the same
            tlp="green",
        )

    def _today(self) -> int:
        return self._day - self._random.randrange(20)


def logs(members: Members, authors: Sequence[str], now: int) -> dict[str, Log]:
    """An empty log of each author; they name one another's reports."""
    heard: list[str] = []
    return {author: Log(members, author, number, now, heard) for number, author in enumerate(authors)}


def rounds(logs: dict[str, Log], segments: int, records: int) -> Iterator[tuple[str, bytes]]:
    """So many segments of so many records, by the authors in turn."""
    authors = tuple(logs)
    for number in range(segments):
        author = authors[number % len(authors)]
        yield author, logs[author].segment(records)


def _novel(number: int) -> Pattern:
    steps: list[dict[str, object]] = [{"p": ["memory"], "v": ["pay"]}]
    steps += [{"v": [VERBS[number // 4**place % 4]]} for place in range(5)]
    return parse_pattern({"gaps": 1, "steps": steps})
