"""What members say in the measured consortium: reports of the catalogue and of public packages, and sightings.

Record i is the same at every member, so that what they say bears on one another. Of eight records three report a
catalogue pattern whose counts rise from one to the next, three a public package, and two say that the member saw too
what one of those reports describes. Names are made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ioint_protocol import Record, Report, Sighting, encode_record, record_id
from ioint_taxonomy import Catalogue, Taxonomy

from ioint_node.privacy.explain import explain
from ioint_node.store.log import KINDS
from ioint_node.store.outgoing import Outgoing
from ioint_node.store.times import to_text

LABEL = "green"
CYCLE = 8
SIGHTINGS = 2  # at the end of a cycle, of its first reports
BUCKETS = 12  # that the counts of a pattern rise through
VERSIONS = 20  # of one package
_REGISTRIES = ("npm", "pypi", "cargo", "gem")
_WORDS = ("ledger", "courier", "harbour", "lantern", "meadow", "quarry", "saddle", "timber")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Words, catalogue and detector of who says it, and the UTC day of today."""

    taxonomy: Taxonomy
    catalogue: Catalogue
    detector: str
    today: int

    def record(self, number: int) -> Record:
        """Record `number`."""
        cycle, place = divmod(number, CYCLE)
        if place >= CYCLE - SIGHTINGS:
            of = record_id(encode_record(self.record(number - CYCLE + SIGHTINGS)))
            return Sighting(of=of, seen=cycle % BUCKETS, day=self.today)
        nth = cycle * (CYCLE - SIGHTINGS) // 2 + place // 2
        return self._package(nth) if place % 2 else self._pattern(nth)

    def subject(self, number: int) -> str:
        """What record `number` is about."""
        record = self.record(number)
        if isinstance(record, Report):
            return str(record.subj or record.pat)
        return self.subject(number - CYCLE + SIGHTINGS)

    def noted(self, numbers: Sequence[int], now: int) -> Iterator[Outgoing]:
        """These records as a node notes them before they leave, ready now (Unix ms), and in this order."""
        for number in numbers:
            record = self.record(number)
            body = encode_record(record)
            at = to_text(now - numbers[-1] + number)
            yield Outgoing(
                id=record_id(body),
                kind=KINDS[type(record)],
                subject=self.subject(number),
                body=body,
                explain=explain(body, self.taxonomy, self.catalogue, label=LABEL),
                state="ready",
                reason="measured",
                not_before=at,
                at=at,
                tlp=LABEL,
            )

    def bodies(self, numbers: Sequence[int]) -> Iterator[bytes]:
        """The canonical bytes of these records."""
        return (encode_record(self.record(number)) for number in numbers)

    def _pattern(self, nth: int) -> Report:
        entries = list(self.catalogue.entries.values())
        rise, which = divmod(nth, len(entries))
        rise, bad = divmod(rise, BUCKETS)
        days, more = divmod(rise, BUCKETS)
        entry = entries[which]
        return self._report(
            kind="pattern", pat=entry.id, intents=entry.intents, bad=bad, seen=bad + more, days=days
        )

    def _package(self, nth: int) -> Report:
        name, version = divmod(nth, VERSIONS)
        registry = _REGISTRIES[name % len(_REGISTRIES)]
        subject = f"pkg:{registry}/{_WORDS[name % len(_WORDS)]}-agent-tools-{name}@1.{version}.0"
        return self._report(kind="subject", subj=subject, intents=(), bad=2, seen=3)

    def _report(
        self,
        *,
        kind: str,
        pat: str | None = None,
        subj: str | None = None,
        intents: Sequence[str],
        bad: int,
        seen: int,
        days: int = 0,
    ) -> Report:
        return Report(
            tax=self.taxonomy.version,
            kind=kind,
            pat=pat,
            subj=subj,
            intents=tuple(sorted(intents)),
            basis="threshold",
            bad=bad,
            seen=seen,
            agents=bad // 2,
            day_from=self.today - days,
            day_until=self.today,
            det=self.detector,
            tlp=LABEL,
        )
