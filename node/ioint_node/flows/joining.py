"""An applicant at the inviter's door: with a code that is good it may leave its card, and take the roster with it.

Who is admitted is for the stewards to say; the applicant asks again with the same code and card until the roster that
it gets lists it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ioint_protocol import Roster, bundle
from sqlalchemy.ext.asyncio import AsyncConnection

from ioint_node.flows.roster import RosterBook
from ioint_node.membership.cards import check_application, read_card
from ioint_node.membership.sealed import seal
from ioint_node.store import invitations
from ioint_node.store.engine import Store
from ioint_node.store.invitations import Application

State = Literal["waiting", "admitted", "refused"]


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class JoiningParts:
    """What the doors of a consortium work with.

    `keys` are fingerprint keys by epoch, for members alone; `left` is called when this node has left.
    """

    store: Store
    book: RosterBook
    keys: Callable[[], dict[str, str]] = dict
    left: Callable[[], Awaitable[None]] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What an applicant is told: how it stands, the roster, and for a member fingerprint keys, sealed to its node."""

    application: str
    state: State
    consortium: str
    roster: bytes
    sealed_keys: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """Why an applicant was turned away, by name."""

    reason: str


async def knows_code(parts: JoiningParts, code: str) -> bool:
    """Whether somebody comes with a code of this node; nothing else is looked at before."""
    async with parts.store.read() as connection:
        return await invitations.is_good(connection, code)


async def receive_application(
    parts: JoiningParts, code: str, card_bytes: bytes, proof: str, now: int
) -> Received | Turned:
    """Note an application, or what became of it. `proof` is the applicant's signature on this code, in hex.

    Raises:
        ProtocolError: the card is none, or is another's.
    """
    roster = parts.book.in_force(now)
    if roster is None:
        return Turned(reason="no_roster")
    card = read_card(card_bytes, roster)
    check_application(card, roster, code, proof)
    listed = roster.member(card.member)
    outcome = await parts.store.write(
        partial(
            invitations.apply,
            code=code,
            member=card.member,
            name=card.name,
            card=card_bytes,
            now=now,
            listed=listed is not None,
        )
    )
    if outcome not in {"new", "known"}:
        return Turned(reason=outcome)
    async with parts.store.read() as connection:
        found = await invitations.application(connection, code.partition(".")[0])
    state, keys = state_of(found, roster), parts.keys()
    return Received(
        application=found.id,
        state=state,
        consortium=roster.consortium,
        roster=bundle.write_bundle(parts.book.files),
        sealed_keys=seal(keys, listed.node_key) if keys and listed and state == "admitted" else b"",
    )


def state_of(application: Application, roster: Roster | None) -> State:
    """How an application stands: admitted is who the roster lists."""
    listed = None if roster is None else roster.member(application.member)
    if listed is not None and listed.state == "active":
        return "admitted"
    return "waiting" if application.refused_at is None else "refused"


async def all_applications(
    connection: AsyncConnection, roster: Roster | None
) -> tuple[tuple[Application, State], ...]:
    """Everyone who applied, and how each stands."""
    return tuple((each, state_of(each, roster)) for each in await invitations.applications(connection))
