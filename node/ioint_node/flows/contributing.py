"""What an analyst's tool contributes, object by object: each does what the same word of a person does at another door.

An object that was taken before, in this version or a newer one, is taken and does nothing. One that means nothing, or
that the flow behind it refuses, is refused with the reason, and nobody else's is touched. Only what was taken is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ioint_node.errors import NodeError, NotFoundError
from ioint_node.flows import opinions
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.vouching import vouch
from ioint_node.formats import contributed, stix
from ioint_node.formats.contributed import Confirms, Contribution, Disputes, Reports
from ioint_node.privacy.labels import why_not_shareable
from ioint_node.store import contributions, listings
from ioint_node.store.contributions import Kept
from ioint_node.store.times import from_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of one object: its id and version as far as they are known, whether it was taken, and why or how."""

    id: str
    version: str
    taken: bool
    message: str


async def contribute(
    parts: ExchangeParts, objects: Sequence[Mapping[str, Any]], *, by: str, clearance: str, now: int
) -> tuple[Taken, ...]:
    """Take objects one after the other; `clearance` is that of who sends them, `by` who that is."""
    return tuple([await _take(parts, one, by=by, clearance=clearance, now=now) for one in objects])


async def _take(
    parts: ExchangeParts, value: Mapping[str, Any], *, by: str, clearance: str, now: int
) -> Taken:
    try:
        said = contributed.read(value)
    except ValueError as error:
        return Taken(
            id=_shown(value.get("id")), version=_shown(value.get("modified")), taken=False, message=str(error)
        )
    try:
        body = stix.encoded(value)
        if len(body) > contributed.OBJECT_BYTES:
            raise ValueError(f"object: {len(body)} bytes, more than {contributed.OBJECT_BYTES}")
        async with parts.store.read() as connection:
            known = await contributions.version_of(connection, said.id, clearance)
        if known is not None and from_text(known) >= from_text(said.version):
            return Taken(id=said.id, version=said.version, taken=True, message="taken before")
        message = await _do(parts, said, by=by, clearance=clearance, now=now)
    except (NodeError, ValueError) as error:
        return Taken(id=said.id, version=said.version, taken=False, message=str(error))
    kept = Kept(
        id=said.id,
        version=said.version,
        type=said.type,
        tlp=said.tlp or contributed.DEFAULT_LABEL,
        added_at="",
        by=by,
        body=body,
    )
    await parts.store.write(partial(contributions.put, made=kept, now=now))
    return Taken(id=said.id, version=said.version, taken=True, message=message)


async def _do(parts: ExchangeParts, said: Contribution, *, by: str, clearance: str, now: int) -> str:
    """Do what an object means; returns how it went, in words."""
    if said.tlp is not None and (refusal := why_not_shareable(said.tlp)) is not None:
        raise ValueError(f"object_marking_refs: {refusal}")
    match contributed.meaning(said):
        case Reports(subject, intents, exact):
            return await _report(parts, subject, intents, exact=exact, label=said.tlp, by=by, now=now)
        case Disputes(about, reason):
            found = await _named(parts, about, clearance)
            made = await opinions.dispute_pattern(parts, found.subject, reason=reason, by=by, now=now)
            return f"disputed: record {made.record}"
        case Confirms(about):
            found = await _named(parts, about, clearance)
            if found.row["kind"] == "subject":
                intents = tuple(found.row["intents"])
                exact = "@" in found.subject
                return await _report(
                    parts, found.subject, intents, exact=exact, label=said.tlp, by=by, now=now
                )
            vouched = await vouch(parts, found.subject, by=by, now=now, label=said.tlp)
            return f"confirmed: {vouched.state}: {vouched.reason}"


async def _report(
    parts: ExchangeParts,
    subject: str,
    intents: Sequence[str],
    *,
    exact: bool,
    label: str | None,
    by: str,
    now: int,
) -> str:
    said = await opinions.confirm_subject(
        parts, subject, intents=intents, exact=exact, by=by, now=now, label=label
    )
    return f"reported {said.subject}: {said.state}: record {said.record}"


async def _named(parts: ExchangeParts, about: str, clearance: str) -> listings.StoredIndicator:
    async with parts.store.read() as connection:
        found = await listings.by_uuid(connection, about, clearance)
    if found is None:
        raise NotFoundError("no such indicator that this token may see")
    return found


def _shown(value: object) -> str:
    return value[: contributed.ID_CHARS] if isinstance(value, str) else ""
