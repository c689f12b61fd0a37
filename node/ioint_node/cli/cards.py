"""Member cards as files: what an organisation gives to a steward to be put on the roster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ioint_protocol import ProtocolError, Roster

from ioint_node.errors import ConfigError
from ioint_node.membership.cards import CARD_BYTES, Card, read_card


def file_of_card(path: Path) -> bytes:
    """The bytes of a card's file, at most one more than a card may have.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(CARD_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): name the file of a card") from None


def new_founder(path: Path, others: Sequence[Card]) -> Card:
    """The card of one more founder.

    Raises:
        ConfigError: it is none, or is of one who is among the others already.
    """
    card = verified_card(file_of_card(path), None, path)
    if any(card.member == each.member for each in others):
        raise ConfigError(
            f"{path}: {card.name} is among the founders already: name each card once, and not this node's own"
        )
    return card


def verified_card(data: bytes, roster: Roster | None, path: Path | None = None) -> Card:
    """A card, verified against the roster.

    Raises:
        ConfigError: it is none, or its signature is not by the key that speaks for this member.
    """
    try:
        return read_card(data, roster)
    except ProtocolError as error:
        alone = _by_its_own_key(data) if error.name == "bad_signature" and roster is not None else None
        listed = roster.member(alone.member) if alone is not None and roster is not None else None
        if listed is not None and listed.state == "removed":
            raise ConfigError(
                f"{listed.name} was removed for good: let it make a new node with new keys (`ioint init`)"
            ) from None
        if listed is not None:
            raise ConfigError(
                f"{path or 'this'} is an older card: its key is not this member's any more. "
                "Let its owner make a new one with `ioint consortium card`"
            ) from None
        raise ConfigError(
            f"{path or 'this'} is no valid card ({error}): let its owner make it with `ioint consortium card`"
        ) from None


def _by_its_own_key(data: bytes) -> Card | None:
    """The card as it would be good if its member were on no roster yet, None where it would not."""
    try:
        return read_card(data, None)
    except ProtocolError:
        return None
