"""What members send one another in the measurements: a consortium with its keys, and logs of what members would say.

Everything follows from numbers, so that two runs measure the same bytes. Of a hundred records 75 report a pattern of
the catalogue, 10 a public package of 2,000, 4 a novel pattern of 500; 6 are sightings, 3 disputes and 2 withdrawals of
what the same member said before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from ioint_protocol import (
    Dispute,
    Member,
    Pattern,
    Record,
    Release,
    Report,
    Roster,
    Sighting,
    VerifiedRoster,
    Withdrawal,
    build_segment,
    encode_record,
    member_id,
    parse_pattern,
    parse_segment,
    record_id,
    sign_roster,
    verify_roster,
)
from ioint_protocol.segment import GENESIS
from ioint_taxonomy import load_catalogue, load_taxonomy
from nacl.signing import SigningKey

DAY_MS: Final = 86_400_000
PACKAGES: Final = 2_000
NOVEL: Final = 500
BUCKETS: Final = 6  # counts up to 63 sessions
VERBS: Final = ("delete", "execute", "pay", "send")
RECENT: Final = 512  # reports that a sighting or a dispute may name


@dataclass(frozen=True, slots=True, kw_only=True)
class Consortium:
    """Its roster in force, its id, and the record key of each member, by member id."""

    verified: VerifiedRoster
    keys: dict[str, SigningKey]

    @property
    def members(self) -> Sequence[str]:
        """Member ids in the order of their numbers."""
        return tuple(self.keys)


def consortium(members: int, now: int) -> Consortium:
    """Founders, two of them to a group from the second half on."""
    taxonomy, catalogue = load_taxonomy(), load_catalogue()
    keys = [SigningKey(number.to_bytes(32, "big")) for number in range(1, members + 1)]
    steward = SigningKey(b"\xff" * 32)
    listed = [_member(number, key, members, now) for number, key in enumerate(keys)]
    roster = Roster(
        version=1,
        issued_day=now // DAY_MS - 100,
        expires=now // 1000 + 300 * 86_400,
        threshold=1,
        stewards=(bytes(steward.verify_key).hex(),),
        members=tuple(sorted(listed, key=lambda member: member.id)),
        taxonomy=Release(version=taxonomy.version, digest=taxonomy.digest),
        catalogue=catalogue.digest,
    )
    return Consortium(
        verified=verify_roster(sign_roster(roster, [steward]), None),
        keys={member.id: key for member, key in zip(listed, keys, strict=True)},
    )


class Log:
    """One member's log as it grows; what it says follows from the member's number."""

    def __init__(self, place: Consortium, member: str, now: int, heard: list[str]) -> None:
        self._place, self._member, self._day = place, member, now // DAY_MS
        self._random = Random(member)
        self._patterns = sorted(load_catalogue().entries)
        self._heard = heard
        self._own: list[str] = []
        self._seq, self._head = 0, GENESIS

    def segment(self, records: int) -> bytes:
        """The next segment of the log, signed."""
        bodies: list[bytes] = []
        while len(bodies) < records:
            body = encode_record(self._record())
            if body not in bodies[-64:]:
                bodies.append(body)
        distinct = list(dict.fromkeys(bodies))
        self._seq += 1
        wire = build_segment(
            self._place.keys[self._member],
            self._place.verified.consortium,
            self._member,
            self._seq,
            self._head,
            1,
            distinct,
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
            det="de" * 32,
            tlp="green",
        )

    def _today(self) -> int:
        return self._day - self._random.randrange(20)


def logs(place: Consortium, authors: Sequence[str], now: int) -> dict[str, Log]:
    """An empty log of each author; they name one another's reports."""
    heard: list[str] = []
    return {author: Log(place, author, now, heard) for author in authors}


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


def _member(number: int, key: SigningKey, members: int, now: int) -> Member:
    half = members // 2
    return Member(
        id=member_id(bytes(key.verify_key)),
        name=f"org{number}",
        node_key=bytes(SigningKey((1_000_000 + number).to_bytes(32, "big")).verify_key).hex(),
        record_key=bytes(key.verify_key).hex(),
        group=f"group{number if number < half else half + (number - half) // 2}",
        sponsor="",
        class_="member",
        since=1,
        since_day=now // DAY_MS - 100,
        addresses=(),
        state="active",
    )
