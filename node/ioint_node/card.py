"""What this node says of itself to the stewards: its card, of its settings and its keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ioint_protocol import Roster

from ioint_node.config import Config, Keys, read_private, replace_private
from ioint_node.errors import ConfigError


def own_card(config: Config, keys: Keys, roster: Roster | None) -> dict[str, Any]:
    """This organisation's card: signed by the record key that the roster names for it, or by its first.

    It names the newest keys, also those that wait for the roster to name them, and a steward's where it has them.

    Raises:
        ConfigError: the roster names a record key for this member that is not here.
    """
    from ioint_node.membership.cards import make_card  # noqa: PLC0415 - brings the TUF library, which few commands need

    listed = None if roster is None else roster.member(keys.member)
    wanted = bytes(keys.record_keys[0].verify_key).hex() if listed is None else listed.record_key
    signer = next((key for key in keys.record_keys if bytes(key.verify_key).hex() == wanted), None)
    if signer is None:
        raise ConfigError(
            "the record key that the roster names for this member is not here: restore it from a backup, "
            "or ask a steward to put another in its place (docs/consortium.md)"
        )
    fields: dict[str, Any] = {
        "v": 1,
        "member": keys.member,
        "name": config.org,
        "group": config.group,
        "node_key": _public(keys, "node", keys.node_public.hex()),
        "record_key": keys.record_public.hex(),
        "addresses": _addresses(config),
    }
    if keys.record_public.hex() != wanted:
        fields["from_seq"] = max(keys.later_record_seeds)
    if keys.steward_key is not None and keys.clock_key is not None:
        fields["steward_key"] = _public(keys, "steward", bytes(keys.steward_key.verify_key).hex())
        fields["clock_key"] = _public(keys, "clock", bytes(keys.clock_key.verify_key).hex())
    return make_card(fields, signer)


def fingerprint_keys(config: Config) -> dict[str, str]:
    """The keys of fingerprints by epoch that this node may hand on to a member, none where it has none.

    Raises:
        ConfigError: the file cannot be read, or others can.
    """
    if not config.fingerprint_file.exists():
        return {}
    held: dict[str, str] = json.loads(read_private(config.fingerprint_file))["keys"]
    return held


def write_fingerprint_keys(config: Config, keys: Mapping[str, str]) -> None:
    """Keep the keys of fingerprints that an inviter's node handed on; none is nothing."""
    if keys:
        replace_private(config.fingerprint_file, json.dumps({"keys": dict(keys)}).encode())


def _public(keys: Keys, name: str, now: str) -> str:
    waiting = keys.next_key(name)
    return now if waiting is None else bytes(waiting.verify_key).hex()


def _addresses(config: Config) -> list[str]:
    if config.announce:
        return list(config.announce)
    # A fixed port on a given address can be dialled as it is; "any address" or "any port" cannot be.
    if config.exchange_port and config.exchange_host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        kind = "ip6" if ":" in config.exchange_host else "ip4"
        return [f"/{kind}/{config.exchange_host}/tcp/{config.exchange_port}"]
    return []
