"""What this node says of itself to the stewards: its card, of its settings and its keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ioint_protocol import ProtocolError, Roster
from nacl.signing import SigningKey

from ioint_node.config import Config, Keys, read_private, replace_private
from ioint_node.errors import ConfigError

if TYPE_CHECKING:
    from ioint_node.membership.invitations import Invitation


def own_card(config: Config, keys: Keys, roster: Roster | None) -> dict[str, Any]:
    """This organisation's card: signed by the record key that the roster names for it, or by its first.

    It names the newest keys, also those that wait for the roster to name them, and a steward's where it has them.

    Raises:
        ConfigError: the roster names a record key for this member that is not here.
    """
    from ioint_node.membership.cards import make_card  # noqa: PLC0415 - brings the TUF library, which few commands need

    signer = _signer(keys, roster)
    fields: dict[str, Any] = {
        "v": 1,
        "member": keys.member,
        "name": config.org,
        "group": config.group,
        "node_key": _public(keys, "node", keys.node_public.hex()),
        "record_key": keys.record_public.hex(),
        "addresses": _addresses(config),
    }
    if keys.record_public != bytes(signer.verify_key):
        fields["from_seq"] = max(keys.later_record_seeds)
    if keys.steward_key is not None and keys.clock_key is not None:
        fields["steward_key"] = _public(keys, "steward", bytes(keys.steward_key.verify_key).hex())
        fields["clock_key"] = _public(keys, "clock", bytes(keys.clock_key.verify_key).hex())
    return make_card(fields, signer)


def own_application(
    config: Config, keys: Keys, roster: Roster | None, invitation: Invitation
) -> dict[str, Any]:
    """What this node posts to an inviter's door: the code, its card, and that it holds the card's key.

    Raises:
        ConfigError: as `own_card`.
    """
    from ioint_node.membership.cards import prove_application  # noqa: PLC0415 - as above

    proof = prove_application(invitation.code, invitation.consortium, _signer(keys, roster))
    return {"code": invitation.code, "card": own_card(config, keys, roster), "proof": proof}


def _signer(keys: Keys, roster: Roster | None) -> SigningKey:
    """The record key that speaks for this member: that on the roster, or the first."""
    listed = None if roster is None else roster.member(keys.member)
    if listed is None:
        return keys.record_keys[0]
    for key in keys.record_keys:
        if bytes(key.verify_key).hex() == listed.record_key:
            return key
    raise ConfigError(
        "the record key that the roster names for this member is not here: restore it from a backup, "
        "or ask a steward to put another in its place (docs/consortium.md)"
    )


def fingerprint_keys(config: Config) -> dict[str, str]:
    """The keys of fingerprints by epoch that this node may hand on to a member, none where it has none.

    Raises:
        ConfigError: the file cannot be read, or others can.
    """
    if not config.fingerprint_file.exists():
        return {}
    held: dict[str, str] = json.loads(read_private(config.fingerprint_file))["keys"]
    return held


def add_fingerprint_keys(config: Config, keys: Keys, roster: Roster | None, sealed: bytes) -> None:
    """Keep the keys of fingerprints that an inviter's node handed on, sealed to this node's key; none is nothing.

    A door is believed only where the roster that it gave lists this node, and no epoch's key takes another's place.

    Raises:
        ConfigError: they are sealed to another key, or are none.
    """
    from ioint_node.membership.sealed import unseal  # noqa: PLC0415 - as above

    listed = None if roster is None else roster.member(keys.member)
    if not sealed or listed is None or listed.state != "active":
        return
    own = (SigningKey(keys.node_seed), keys.next_key("node"))
    try:
        opened = unseal(sealed, [key for key in own if key is not None])
    except ProtocolError as error:
        raise ConfigError(
            f"the fingerprint keys that the inviter sent cannot be read ({error}): "
            "ask another member for its keys/fingerprints.json"
        ) from None
    held = fingerprint_keys(config)
    if opened.keys() - held.keys():
        replace_private(config.fingerprint_file, json.dumps({"keys": opened | held}).encode())


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
