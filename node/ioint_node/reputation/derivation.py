"""How a network part came about, step by step: each statement's weight, what was removed, which rule held, the sums.

Everything here is said of a finished `rule.Network`; nothing is decided. A field that the rule gives a voice or a
statement is shown without being named here, so that a receipt never says less than the rule looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from ioint_node.reputation.rule import (
    AHEAD_DAYS,
    CONFIDENT_BEYOND,
    LIFE_DAYS,
    MICRO,
    SMALLEST_CONSORTIUM,
    THRESHOLD,
    Named,
    Network,
    Scales,
    Statement,
    Voice,
    decayed,
    is_void,
    lives,
    raw_voice,
    rejected,
)

EPOCH: Final = date(1970, 1, 1)
RENAMED: Final = frozenset({"author", "id", "day"})  # of a statement: told as `member`, `record` and a date


def network_record(network: Network) -> dict[str, Any]:
    """The network part as plain values: what two nodes with the same logs and roster have alike, to the last integer.

    Of a statement only what its author signed is in it: when it came is each node's own.
    """
    record = {name: getattr(network, name) for name in network.__struct_fields__}
    return record | {"voices": [_voice_record(voice) for voice in network.voices]}


def explained(
    network: Network, names: Mapping[str, str], today: int, *, public_subject: bool
) -> dict[str, Any]:
    """The network part for people and programs: its integers, members by name, and the steps that led to it."""
    removed = _removed(network)
    return network_record(network) | {
        "voices": [
            {name: value for name, value in _voice_record(voice).items() if name != "statements"}
            | {"removed_for": removed[voice.group]}
            | {"members": [_told(one, names, today, public_subject) for one in voice.statements]}
            for voice in network.voices
        ],
        "steps": [{"step": name, "text": text} for name, text in steps(network)],
    }


def steps(network: Network) -> list[tuple[str, str]]:
    """The arithmetic from the voices to tier, score and confidence, one sentence each, with the numbers in place."""
    accusing, benign = network.accusing, network.benign
    loudest = [voice.group for voice in _by_loudness(network)]
    total = f"{_part(accusing)} + {_part(benign)} + {_part(THRESHOLD)}"
    return [
        ("voices", f"accusing {_part(accusing)}, benign {_part(benign)}, of {network.groups} groups"),
        ("corroboration", _without(loudest, network.b, network.after_b)),
        ("consensus", _without(loudest, network.q, network.after_q)),
        ("rule", because(network)),
        ("score", f"100 × {_part(accusing)} / ({total}) = {network.score}"),
        ("confidence", _confidence(network)),
    ]


def because(network: Network) -> str:
    """Why the tier and the state are what they are: the rule that held first."""
    enough, left = _part(THRESHOLD), _part(network.after_b)
    told = {
        "withdrawn": f"no live statement, and {network.withdrawn} that only a withdrawal ended",
        "unknown": "no live voice: unknown, which is not safe",
        "benign": "nobody accuses, and a benign voice is heard",
        "watched": f"{left} is left without the {network.b} largest, {enough} is needed",
        "disputed": f"benign {_part(network.benign_after_b)} is half or more of accusing {left}",
        "malicious": f"{_part(network.after_q)} is left without the {network.q} largest, at least {enough}",
        "suspicious": f"{left} is left without the {network.b} largest, at least {enough}; not so without {network.q}",
    }
    reason = told[network.state]
    if network.state == "watched" and network.groups < SMALLEST_CONSORTIUM:
        reason = f"{network.groups} groups, fewer than {SMALLEST_CONSORTIUM}: one liar would be a third"
    if network.state == "disputed" and network.review:
        reason = f"under review by the stewards; {left} is left without the {network.b} largest"
    return f"{network.tier} ({network.state}): {reason}"


def silenced(statement: Statement, scales: Scales, taken_back: Collection[str], named: Named) -> str:
    """Why a statement is not heard, in one code; empty for one that is, or that a newer one of its author replaced.

    `taken_back` are the ids of the records that its author withdrew; `named` is what it hangs on if it names a report.
    """
    age_days, ruled = scales.today - statement.day, scales.ruled
    stops = (
        (statement.author not in scales.voters.group_of, "no_voice"),
        (statement.author in scales.equivocators, "two_histories"),
        (statement.kind == "withdrawal", "takes_back"),
        (statement.id in taken_back, "withdrawn"),
        (is_void(statement, ruled, named), "ruled_false"),
        (age_days < -AHEAD_DAYS, "early"),
        (age_days >= LIFE_DAYS, "expired"),
    )
    found = next((code for stopped, code in stops if stopped), "")
    if found or lives(statement, scales, named):
        return found
    if statement.kind == "sighting" or statement.of not in named.live:
        return "report_ended"
    return "rejected" if rejected(statement, ruled) else "lapsed"


def counted(kind: str, bad: int, seen: int) -> str:
    """The buckets (powers of two) of a statement as numbers of sessions: "2–3 bad of 4–7"."""
    if kind == "report":
        return f"{_bucket(bad)} bad of {_bucket(max(bad, seen))}"
    return _bucket(seen) if kind == "sighting" else ""


def _bucket(exponent: int) -> str:
    return f"{1 << exponent}–{(2 << exponent) - 1}" if exponent else "1"


def _confidence(network: Network) -> str:
    if not network.independent:
        return "nobody accuses: 0"
    enough = network.b + CONFIDENT_BEYOND
    return (
        f"100 × {min(network.independent, enough)} of {enough} groups × freshness {_part(network.freshness)} "
        f"= {network.confidence}"
    )


def _without(loudest: Sequence[str], count: int, left: int) -> str:
    gone = ", ".join(loudest[:count]) or "nobody"
    return f"without the {count} largest ({gone}) {_part(left)} is left"


def _by_loudness(network: Network) -> list[Voice]:
    """The accusing voices, the largest first; of equal ones it does not matter which is removed."""
    accusing = [voice for voice in network.voices if voice.accusing > 0]
    return sorted(accusing, key=lambda voice: (-voice.accusing, voice.group))


def _removed(network: Network) -> dict[str, list[str]]:
    """For what each group's accusation was taken away: corroboration (among the b largest), consensus (the q)."""
    ranks = {voice.group: rank for rank, voice in enumerate(_by_loudness(network))}
    return {
        voice.group: [
            name
            for name, count in (("corroboration", network.b), ("consensus", network.q))
            if ranks.get(voice.group, count) < count
        ]
        for voice in network.voices
    }


def _voice_record(voice: Voice) -> dict[str, Any]:
    record = {name: getattr(voice, name) for name in voice.__struct_fields__}
    return record | {"statements": [_statement_record(one) for one in voice.statements]}


def _statement_record(statement: Statement) -> dict[str, Any]:
    return {name: getattr(statement, name) for name in Statement.__struct_fields__}


def _told(statement: Statement, names: Mapping[str, str], today: int, public_subject: bool) -> dict[str, Any]:
    raw = raw_voice(statement, public_subject=public_subject)
    age_days = max(0, today - statement.day)
    said = {name: value for name, value in _statement_record(statement).items() if name not in RENAMED}
    return {
        "member": names.get(statement.author, statement.author),
        "record": statement.id,
        **said,
        "day": str(EPOCH + timedelta(days=statement.day)),
        "age_days": age_days,
        "raw": raw,
        "decayed": decayed(abs(raw), age_days) * (1 if raw >= 0 else -1),
    }


def _part(micro: int) -> str:
    return f"{micro / MICRO:.2f}"
