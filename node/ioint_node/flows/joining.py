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
from ioint_node.membership.cards import read_card
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
    """What an applicant is told: how it stands, and the roster."""

    application: str
    state: State
    consortium: str
    roster: bytes
    keys: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """Why an applicant was turned away, by name."""

    reason: str


async def receive_application(
    parts: JoiningParts, code: str, card_bytes: bytes, now: int
) -> Received | Turned:
    """Note an application, or what became of it.

    Raises:
        ProtocolError: the card is none.
    """
    roster = parts.book.in_force(now)
    if roster is None:
        return Turned(reason="no_roster")
    card = read_card(card_bytes, roster)
    outcome = await parts.store.write(
        partial(invitations.apply, code=code, member=card.member, name=card.name, card=card_bytes, now=now)
    )
    if outcome not in {"new", "known"}:
        return Turned(reason=outcome)
    async with parts.store.read() as connection:
        found = await invitations.application(connection, code.partition(".")[0])
    state = state_of(found, roster)
    return Received(
        application=found.id,
        state=state,
        consortium=roster.consortium,
        roster=bundle.write_bundle(parts.book.files),
        keys=parts.keys() if state == "admitted" else {},
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
