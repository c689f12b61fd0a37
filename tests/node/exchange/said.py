"""What members of a test say: reports, and logs of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ioint_protocol import Pattern, Report, build_segment, encode_record, parse_segment
from ioint_protocol.segment import GENESIS

DAY_MS = 86_400_000
TODAY = 20_000
NOW = TODAY * DAY_MS + 36_000_000


def report(
    subject: str, *, bad: int = 0, day: int = TODAY, tax: str = "2026.11", novel: Pattern | None = None
) -> bytes:
    """A report of one day about a subject, all of whose sessions were bad."""
    public = subject.startswith("pkg:")
    return encode_record(
        Report(
            tax=tax,
            kind="subject" if public else "pattern",
            pat=None if public else novel or subject,
            subj=subject if public else None,
            intents=(),
            basis="threshold",
            bad=bad,
            seen=bad,
            agents=0,
            day_from=day,
            day_until=day,
            det="ad" * 32,
            tlp="green",
        )
    )


def chain(net: Any, node: Any, *parts: Sequence[bytes]) -> list[bytes]:
    """Segments of one log, one after the other."""
    wires, head = [], GENESIS
    for seq, bodies in enumerate(parts, start=1):
        wires.append(build_segment(node.key, net.consortium, node.member, seq, head, 1, bodies))
        head = parse_segment(wires[-1]).head
    return wires
