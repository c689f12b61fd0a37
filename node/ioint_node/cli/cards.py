"""Member cards as files: what an organisation gives to a steward to be put on the roster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ioint_protocol import ProtocolError, Roster

from ioint_node.config import Config, Keys
from ioint_node.errors import ConfigError
from ioint_node.membership.cards import CARD_BYTES, Card, make_card, read_card


def own_card(config: Config, keys: Keys) -> dict[str, Any]:
    """This organisation's card, with the keys of a steward where it has them."""
    fields: dict[str, Any] = {
        "v": 1,
        "member": keys.member,
        "name": config.org,
        "group": config.group,
        "node_key": keys.node_public.hex(),
        "record_key": keys.record_public.hex(),
        "addresses": _addresses(config),
    }
    if keys.steward_key is not None and keys.clock_key is not None:
        fields["steward_key"] = bytes(keys.steward_key.verify_key).hex()
        fields["clock_key"] = bytes(keys.clock_key.verify_key).hex()
    return make_card(fields, keys.record_key)


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


def _addresses(config: Config) -> list[str]:
    if config.announce:
        return list(config.announce)
    # A fixed port on a given address can be dialled as it is; "any address" or "any port" cannot be.
    if config.exchange_port and config.exchange_host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        kind = "ip6" if ":" in config.exchange_host else "ip4"
        return [f"/{kind}/{config.exchange_host}/tcp/{config.exchange_port}"]
    return []
