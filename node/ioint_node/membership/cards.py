"""Member cards: what an organisation asks to be listed as. Public, signed by its record key.

A card of a listed member changes its entry, so it must be signed by the record key that the roster names: also when it
brings a new record key. Only a steward's word can put another key in the place of one that was lost.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ioint_protocol import Member, ProtocolError, RecordKey, Roster, Steward, canonical, member_id
from ioint_protocol.envelope import payload_type, sign, verify
from ioint_protocol.fields import HEX_32, HEX_64, check_keys, take_int, take_object, take_text
from ioint_protocol.limits import LIMITS
from ioint_protocol.members import parse_member, parse_steward
from nacl.signing import SigningKey

CARD_TYPE: Final = "application/vnd.ioint.card+json;v=1"
CARD_BYTES: Final = 16_384
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")
_FIELDS: Final = frozenset({"v", "member", "name", "group", "node_key", "record_key", "addresses", "sig"})
_STEWARD: Final = frozenset({"steward_key", "clock_key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card whose signature verified.

    `record_key` is the one that it asks for, from segment `from_seq` on where that is another than before (else 0).
    `steward` is what the council would list, None for who does not offer to steer.
    """

    member: str
    name: str
    group: str
    node_key: str
    record_key: str
    addresses: tuple[str, ...]
    from_seq: int = 0
    steward: Steward | None = None


def make_card(fields: Mapping[str, Any], signer: SigningKey) -> dict[str, Any]:
    """Sign a card's fields: with the record key that the roster names, or the only one."""
    return {**fields, "sig": sign(signer, CARD_TYPE, canonical.encode(dict(fields))).hex()}


def read_card(data: bytes, roster: Roster | None) -> Card:
    """Read a card and verify it: a listed member's under its record key on the roster, any other's under its own.

    Raises:
        ProtocolError: `too_large`, `bad_shape`, `bad_field`, `bad_key`, `bad_signature`.
    """
    if len(data) > CARD_BYTES:
        raise ProtocolError("too_large", f"{len(data)} bytes, more than {CARD_BYTES}")
    try:
        value = take_object(json.loads(data), "a card")
    except (ValueError, RecursionError):
        raise ProtocolError("bad_shape", "not JSON") from None
    check_keys(value, _FIELDS, _STEWARD | {"from_seq"})
    signature = bytes.fromhex(take_text(value, "sig", _SIGNATURE))
    body = canonical.encode({name: item for name, item in value.items() if name != "sig"})
    card = _parse(value)
    verify(_speaker(card, roster), CARD_TYPE, body, signature)
    listed = roster is not None and roster.member(card.member) is not None
    if not listed and member_id(bytes.fromhex(card.record_key)) != card.member:
        raise ProtocolError("bad_field", "member is not the key id of the record key")
    return card


def prove_application(code: str, consortium: str, signer: SigningKey) -> str:
    """Sign that who applies with a code holds the key that signed its card, which anybody may have: hex."""
    return sign(signer, payload_type("application", consortium), _application(code)).hex()


def check_application(card: Card, roster: Roster, code: str, proof: str) -> None:
    """See that an application with this code comes from whom the card is of.

    Raises:
        ProtocolError: `bad_field`, `bad_signature`.
    """
    if not _SIGNATURE.fullmatch(proof):
        raise ProtocolError("bad_field", "proof is no signature in hex")
    context = payload_type("application", roster.consortium)
    verify(_speaker(card, roster), context, _application(code), bytes.fromhex(proof))


def admitted(card: Card, roster: Roster, *, sponsor: str) -> Member:
    """The entry of the next version for whom a card speaks: new, back, or with what it changed.

    Raises:
        ProtocolError: `inactive_member` for one that was removed, `member_changed` for another group or a key that
            would begin in the past.
    """
    listed = roster.member(card.member)
    if listed is None:
        return _entry(card, since=roster.version + 1, sponsor=sponsor)
    if listed.state == "removed":
        raise ProtocolError("inactive_member", f"{card.member} was removed for good")
    if card.group != listed.group:
        raise ProtocolError("member_changed", f"{card.member} is of group {listed.group}, for good")
    keys = listed.record_keys
    if card.record_key != listed.record_key:
        keys = (*keys, _next_key(listed, card.record_key, card.from_seq))
    return replace(
        listed,
        name=card.name,
        node_key=card.node_key,
        addresses=card.addresses,
        record_keys=keys,
        state="active",
    )


def replaced(card: Card, lost: Member, from_seq: int) -> Member:
    """The entry of a member that lost its keys, with those of a fresh card from segment `from_seq` on.

    Raises:
        ProtocolError: `inactive_member`, `member_changed`.
    """
    if lost.state == "removed":
        raise ProtocolError("inactive_member", f"{lost.id} was removed for good")
    key = _next_key(lost, card.record_key, from_seq)
    return replace(
        lost,
        name=card.name,
        node_key=card.node_key,
        addresses=card.addresses,
        record_keys=(*lost.record_keys, key),
        state="active",
    )


def founder(card: Card) -> Member:
    """The entry of version 1 for whom a card speaks."""
    return _entry(card, since=1)


def _speaker(card: Card, roster: Roster | None) -> bytes:
    """The public key that speaks for whom a card is of: on the roster, or else the card's own."""
    listed = None if roster is None else roster.member(card.member)
    return bytes.fromhex(card.record_key if listed is None else listed.record_key)


def _application(code: str) -> bytes:
    return canonical.encode({"v": 1, "code": hashlib.sha256(code.encode()).hexdigest()})


def _next_key(listed: Member, key: str, from_seq: int) -> RecordKey:
    if from_seq <= listed.record_keys[-1].from_seq:
        raise ProtocolError("member_changed", f"a record key from segment {from_seq} on, which has another")
    return RecordKey(key=key, from_seq=from_seq)


def _entry(card: Card, *, since: int, sponsor: str = "") -> Member:
    return Member(
        id=card.member,
        name=card.name,
        node_key=card.node_key,
        record_keys=(RecordKey(key=card.record_key),),
        group=card.group,
        sponsor=sponsor,
        since=since,
        addresses=card.addresses,
    )


def _parse(value: Mapping[str, Any]) -> Card:
    """The fields of a card, each of the form that it has on a roster."""
    take_int(value, "v", 1, 1)
    identity, record_key = take_text(value, "member", HEX_32), take_text(value, "record_key", HEX_64)
    entry = parse_member(
        {
            **{name: value[name] for name in ("name", "group", "node_key", "addresses")},
            "id": member_id(bytes.fromhex(record_key)),
            "record_keys": [{"key": record_key, "from_seq": 1}],
            "sponsor": "",
            "class": "member",
            "since": 1,
            "since_day": 0,
            "state": "active",
        }
    )
    steers = {name: value[name] for name in _STEWARD & value.keys()}
    return Card(
        member=identity,
        name=entry.name,
        group=entry.group,
        node_key=entry.node_key,
        record_key=record_key,
        addresses=entry.addresses,
        from_seq=take_int(value, "from_seq", 2, LIMITS.integer) if "from_seq" in value else 0,
        steward=parse_steward({"member": identity, **steers}) if steers else None,
    )
