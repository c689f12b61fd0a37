"""Member cards as files: what an organisation gives to a steward to be put on the roster."""

from __future__ import annotations

from pathlib import Path

from ioint_protocol import ProtocolError, Roster

from ioint_node.errors import ConfigError
from ioint_node.membership.cards import CARD_BYTES, Card, read_card


def card_in(path: Path, roster: Roster | None) -> Card:
    """The card in a file, verified against the roster.

    Raises:
        ConfigError: the file is no card, or its signature is not by the key that speaks for this member.
    """
    try:
        with path.open("rb") as file:
            return read_card(file.read(CARD_BYTES + 1), roster)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): name the file of a card") from None
    except ProtocolError as error:
        raise ConfigError(
            f"{path} is no valid card ({error}): let its owner make it with `ioint consortium card`"
        ) from None
