"""What the client may cost whoever uses it: time, memory, and what it keeps for later."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """Every bound of the client; the defaults suit an agent beside its node."""

    connect_s: float = 0.25  # until a connection stands
    answer_s: float = 2.0  # from asking until the whole answer is there
    answer_bytes: int = 16 * 1024 * 1024
    retries: int = 1  # of a request that may be sent twice, when a connection broke
    away_failures: int = 2  # in a row, after which a node counts as away
    probe_s: float = 1.0  # how long nothing is sent to a node that is away; doubles with each failed probe
    probe_most_s: float = 30.0
    decisions: int = 10_000  # that are remembered
    refusal_s: float = 3_600.0  # for which a remembered refusal holds while the node is away
    trust_half_life_s: float = 3_600.0  # in which what trust was above a newcomer's is halved
    unsure_s: float = 1.0  # within which a node that is killed may lose what it has answered
    backlog_calls: int = 10_000  # that wait for the node to come back
    backlog_bytes: int = 64 * 1024 * 1024
    flush_calls: int = 16  # of other sessions' backlogs that are sent beside one request
    argument_bytes: int = 60_000  # of one action as JSON; longer texts in it are cut, and say what they were
    text_parts: int = 64  # events that one long text becomes; what is beyond them is not told
    error_chars: int = 2_048
    poll_s: float = 2.0  # between two looks at whether a person has decided; grows to `poll_most_s`
    poll_most_s: float = 10.0
    stream_silence_s: float = 45.0  # after which a stream counts as broken; a node speaks every 15 s
