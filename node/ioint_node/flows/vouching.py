"""A person says that a pattern is real: the others are told, and here it waits for nobody any more."""

from __future__ import annotations

from dataclasses import dataclass

from ioint_protocol import Fingerprint

from ioint_node.errors import ConflictError
from ioint_node.flows import effects, opinions
from ioint_node.flows.noting import ALREADY_SAID
from ioint_node.flows.parts import ExchangeParts
from ioint_node.store import overrides
from ioint_node.store.times import DAY_MS

RELEASED_DAYS = 30  # till somebody looks again


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """What came of it: the records that leave or wait, `ready`, `held` or `said` before, and why."""

    records: tuple[str, ...]
    state: str
    reason: str


async def vouch(
    parts: ExchangeParts,
    pattern: str,
    *,
    by: str,
    now: int,
    label: str | None = None,
    fps: tuple[Fingerprint, ...] = (),
) -> Vouched:
    """Confirm a pattern on a person's word.

    Raises:
        NotFoundError: the pattern is not known.
        ConflictError: it was not met here, the gate refuses it, or publishing is off.
    """
    try:
        said = await opinions.confirm_pattern(parts, pattern, by=by, now=now, label=label, fps=fps)
    except ConflictError as error:
        # The node may have spoken first: the word of the person still releases here.
        if not str(error).startswith(ALREADY_SAID):
            raise
        made = Vouched(records=(), state="said", reason=str(error))
    else:
        made = Vouched(records=(said.record,), state=said.state, reason=said.reason)
    # Who says that it is real has looked at it: it need not wait for a person any more.
    await parts.store.write(
        lambda connection: overrides.put(
            connection,
            subject=pattern,
            kind="release",
            reason="confirmed",
            by=by,
            expires=now + RELEASED_DAYS * DAY_MS,
            now=now,
        )
    )
    await effects.reconsider(parts, pattern, now)
    return made
