"""Member cards: what an organisation gives to a steward to be put on the roster. Public, signed by its record key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from ioint_protocol import ProtocolError, canonical
from ioint_protocol.envelope import sign, verify
from ioint_protocol.members import Member, parse_member

from ioint_node.config import Config, Keys
from ioint_node.errors import ConfigError

CARD_TYPE: Final = "application/vnd.ioint.card+json;v=1"
CARD_BYTES: Final = 16_384
FIELDS: Final = ("name", "group", "node_key", "record_key", "addresses")


def make_card(config: Config, keys: Keys) -> dict[str, Any]:
    """This organisation's card."""
    card: dict[str, Any] = {
        "v": 1,
        "member": keys.member,
        "name": config.org,
        "group": config.group,
        "node_key": keys.node_public.hex(),
        "record_key": keys.record_public.hex(),
        "addresses": _addresses(config),
    }
    return {**card, "sig": sign(keys.record_key, CARD_TYPE, canonical.encode(card)).hex()}


def read_card(path: Path, *, since: int, sponsor: str) -> Member:
    """The member that a card file describes, as it would be listed since a roster version.

    Raises:
        ConfigError: the file is no card, or its signature is not that of its own record key.
    """
    try:
        with path.open("rb") as file:
            data = file.read(CARD_BYTES + 1)
        if len(data) > CARD_BYTES:
            raise ConfigError(
                f"{path} is larger than {CARD_BYTES} bytes: name the file of `ioint consortium card`"
            )
        card = json.loads(data)
        signature = bytes.fromhex(card.pop("sig"))
        fields = {name: card[name] for name in FIELDS}
        member = parse_member(
            {
                **fields,
                "id": card["member"],
                "sponsor": sponsor,
                "class": "member",
                "since": since,
                "since_day": 0,
                "state": "active",
            }
        )
        verify(bytes.fromhex(member.record_key), CARD_TYPE, canonical.encode(card), signature)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): name the file of a card") from None
    except (ValueError, KeyError, TypeError, AttributeError, ProtocolError) as error:
        raise ConfigError(
            f"{path} is no valid card ({error}): let its owner make it with `ioint consortium card`"
        ) from None
    return member


def _addresses(config: Config) -> list[str]:
    if config.announce:
        return list(config.announce)
    # A fixed port on a given address can be dialled as it is; "any address" or "any port" cannot be.
    if config.exchange_port and config.exchange_host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        kind = "ip6" if ":" in config.exchange_host else "ip4"
        return [f"/{kind}/{config.exchange_host}/tcp/{config.exchange_port}"]
    return []
