"""The public bundle: indicators that everybody may read, signed so that nobody on the way can change or age them.

The envelope is DSSE 1.0 (https://github.com/secure-systems-lab/dsse): base64 of the payload, its type, and Ed25519
signatures over the pre-authentication encoding `DSSEv1 LEN(type) type LEN(payload) payload`. The bytes are verified as
they came and parsed afterwards; `keyid` is a hint and decides nothing.

The payload is one JSON object: `schema`, `seq` (grows with every bundle of a publisher: a reader refuses one below what
it had), `issued` and `expires` (a reader refuses one that is over), `omitted` (indicators for which there was no room),
and `bundle`, a bundle of STIX 2.1. A bundle is the whole: what is not in it is no longer said.

An indicator says what every member can work out, and less: how many organisations report it only as "at least", in
powers of two; who they are, when exactly they spoke, and what the publisher itself saw or makes of it, not at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from ioint_node.errors import BundleError
from ioint_node.formats import stix
from ioint_node.formats.names import unix_ms

BUNDLE_TYPE: Final = "application/vnd.ioint.bundle+json"
KEY_TYPE: Final = "application/vnd.ioint.feed-key+json"
SCHEMA: Final = "ioint.public/1"
KEY_SCHEMA: Final = "ioint.feed-key/1"
CLEAR: Final = "clear"
ENVELOPE_BYTES: Final = 32 * 1024 * 1024
SIGNATURES: Final = 8
_SHOWN: Final = (
    "id", "kind", "label", "intents", "layer", "declared", "state", "score", "confidence", "first_seen", "last_seen",
    "valid_until", "disputed", "revoked", "taxonomy_version",
)  # fmt: skip
_TYPES: Final = frozenset({"identity", "extension-definition", "marking-definition", "indicator"})
_SAID: Final = frozenset({"watched", "suspicious", "malicious", "disputed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An indicator as far as everybody may know it; `row` has the keys of `_SHOWN` and a rounded `reporters`."""

    id: str
    subject: str
    state: str
    tlp: str
    added_at: str
    row: Mapping[str, Any]
    novel: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A bundle that was verified; times are RFC 3339 text."""

    seq: int
    issued: str
    expires: str
    omitted: int
    objects: tuple[Mapping[str, Any], ...]

    @property
    def indicators(self) -> int:
        """How many indicators are in it."""
        return sum(one["type"] == "indicator" for one in self.objects)


def published(
    row: Mapping[str, Any], *, subject: str, novel: Mapping[str, Any] | None, now: str
) -> Published:
    """What is shown of an indicator row; `now` (RFC 3339) stands for when it changed, which nobody is told.

    Raises:
        ValueError: it is not for everybody.
    """
    if row["tlp"] != CLEAR:
        raise ValueError(f"indicator {row['id']} is TLP:{row['tlp']}")
    shown = {name: row[name] for name in _SHOWN} | {"reporters": _at_least(int(row["reporters"]))}
    return Published(
        id=row["id"],
        subject=subject,
        state=row["state"],
        tlp=CLEAR,
        added_at=now,
        row=shown,
        novel=novel,
    )


def indicator(found: Published, pattern: Mapping[str, Any] | None) -> dict[str, Any]:
    """The STIX indicator of what is published; `pattern` is the abstract path where it is known."""
    made = stix.indicator(found, pattern)
    made["created"] = found.added_at
    made["labels"] = [f"ioint:{found.state}"]
    if found.state in _SAID:
        count = found.row["reporters"]
        made["description"] = (
            f"{found.state}: at least {count} independent organisation{'' if count == 1 else 's'} "
            f"report it{'; others dispute it' if found.row['disputed'] else ''}"
        )
    ours = made["extensions"][stix.EXTENSION]
    ours["reporters_at_least"] = ours.pop("reporters", 0)
    return made


def settled(made: Iterable[Mapping[str, Any]], before: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Indicators with the times of the bundle before: `created` stays, `modified` moves with what is shown alone.

    Else a change of what only the publisher knows would show in the time at which nothing else changed.
    """
    known = {one["id"]: one for one in before}
    found = []
    for one in made:
        old = known.get(one["id"])
        if old is None:
            found.append(dict(one))
            continue
        kept = {**one, "created": old["created"], "modified": old["modified"]}
        found.append(dict(old) if kept == old else {**one, "created": old["created"]})
    return found


def definitions() -> tuple[dict[str, Any], ...]:
    """The objects that the indicators refer to: who made them, what our extension means, the marking of TLP:CLEAR."""
    needed = {stix.IDENTITY, stix.EXTENSION, stix.marking_id(CLEAR)}
    return tuple(one for one in stix.definitions() if one["id"] in needed)


def content_of(objects: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256, as hex, by which the objects of two bundles are compared."""
    return hashlib.sha256(msgspec.json.encode(objects)).hexdigest()


def payload(
    objects: Sequence[Mapping[str, Any]], *, seq: int, issued: str, expires: str, omitted: int
) -> bytes:
    """The bytes that are signed."""
    name = uuid.uuid5(stix.NAMESPACE, f"public bundle {seq} {content_of(objects)}")
    return msgspec.json.encode(
        {
            "schema": SCHEMA,
            "seq": seq,
            "issued": issued,
            "expires": expires,
            "omitted": omitted,
            "bundle": {"type": "bundle", "id": f"bundle--{name}", "objects": objects},
        }
    )


def sign(body: bytes, body_type: str, key: SigningKey) -> bytes:
    """The envelope of a payload, as JSON."""
    signature = key.sign(encoded_before_signing(body_type, body)).signature
    return msgspec.json.encode(
        {
            "payload": base64.b64encode(body).decode(),
            "payloadType": body_type,
            "signatures": [
                {"keyid": key_id(bytes(key.verify_key)), "sig": base64.b64encode(signature).decode()}
            ],
        }
    )


def opened(envelope: bytes, body_type: str, public: bytes) -> bytes:
    """The payload of an envelope that this public key (32 bytes) signed.

    Raises:
        BundleError: it is no envelope, holds something else, or this key did not sign it.
    """
    if len(envelope) > ENVELOPE_BYTES:
        raise BundleError(f"{len(envelope)} bytes, more than {ENVELOPE_BYTES}")
    try:
        found = msgspec.json.decode(envelope, type=_Envelope)
        body = base64.b64decode(found.payload, validate=True)
        signatures = [base64.b64decode(one.sig, validate=True) for one in found.signatures[:SIGNATURES]]
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise BundleError(f"no DSSE envelope: {error}") from None
    if found.payloadType != body_type:
        raise BundleError(f"it holds {found.payloadType[:64]!r}, not {body_type}")
    signed = encoded_before_signing(body_type, body)
    if not any(_verifies(signed, signature, public) for signature in signatures):
        raise BundleError(f"not signed by the key {public.hex()}")
    return body


def checked(body: bytes, *, now: int, least_seq: int = 0) -> Checked:
    """The bundle in a payload whose signature was verified, at a time in Unix milliseconds.

    Raises:
        BundleError: it is malformed, over, from the future, older than one that was seen, or holds
            what is not for everybody.
    """
    try:
        found = msgspec.json.decode(body, type=_Payload)
        over, begun = now >= unix_ms(found.expires), unix_ms(found.issued)
    except (msgspec.DecodeError, ValueError) as error:
        raise BundleError(f"malformed: {error}") from None
    if found.schema != SCHEMA:
        raise BundleError(f"its schema is {found.schema[:64]!r}, not {SCHEMA}")
    if over:
        raise BundleError(f"it was good until {found.expires}: fetch a newer one")
    if begun > now + _CLOCKS_DIFFER_MS:
        raise BundleError(f"issued {found.issued}, which is yet to come: is the clock right?")
    if found.seq < least_seq:
        raise BundleError(f"seq {found.seq} is older than {least_seq}, which was there before")
    for one in found.bundle.objects:
        _check_public(one)
    return Checked(
        seq=found.seq,
        issued=found.issued,
        expires=found.expires,
        omitted=found.omitted,
        objects=tuple(found.bundle.objects),
    )


def objects_of(envelope: bytes) -> tuple[Mapping[str, Any], ...]:
    """The objects of an envelope that this node made itself."""
    body = base64.b64decode(msgspec.json.decode(envelope, type=_Envelope).payload)
    return tuple(msgspec.json.decode(body, type=_Payload).bundle.objects)


def key_document(public: bytes, *, member: str, consortium: str, record_key: SigningKey | None) -> bytes:
    """The public key that bundles are signed with, and the record key's word that it speaks for this member."""
    told = {"schema": KEY_SCHEMA, "key": public.hex(), "member": member, "consortium": consortium}
    bound = None if record_key is None else sign(msgspec.json.encode(told), KEY_TYPE, record_key)
    return msgspec.json.encode(
        told
        | {
            "keyid": key_id(public),
            "record_key": None if record_key is None else bytes(record_key.verify_key).hex(),
            "bound": None if bound is None else msgspec.Raw(bound),
        }
    )


def key_of(document: bytes, record_key: bytes | None = None) -> bytes:
    """The public key (32 bytes) of a key document; with a member's record key, only if that one vouches for it.

    Raises:
        BundleError: it is no key document, or the record key does not vouch for what it says.
    """
    try:
        found = msgspec.json.decode(document, type=_KeyDocument)
        public = bytes.fromhex(found.key)
        if found.schema != KEY_SCHEMA or len(public) != 32:
            raise ValueError(f"its schema is {found.schema[:64]!r}")
        if record_key is not None:
            vouched = msgspec.json.decode(opened(bytes(found.bound), KEY_TYPE, record_key), type=_KeyDocument)
            if (vouched.key, vouched.member, vouched.consortium) != (
                found.key,
                found.member,
                found.consortium,
            ):
                raise ValueError("the record key vouches for another key")
    except (msgspec.DecodeError, ValueError) as error:
        raise BundleError(f"no key document: {error}") from None
    return public


def key_id(public: bytes) -> str:
    """How an envelope calls a key: SHA-256 of its 32 bytes, as hex."""
    return hashlib.sha256(public).hexdigest()


def encoded_before_signing(body_type: str, body: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    named = body_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(named), named, len(body), body)


_CLOCKS_DIFFER_MS: Final = 300_000


class _Signature(msgspec.Struct, frozen=True):
    sig: str
    keyid: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    payload: str
    payloadType: str  # noqa: N815 - DSSE's name
    signatures: list[_Signature]


class _Bundle(msgspec.Struct, frozen=True):
    objects: list[dict[str, Any]]


class _Payload(msgspec.Struct, frozen=True):
    schema: str
    seq: int
    issued: str
    expires: str
    omitted: int
    bundle: _Bundle


class _KeyDocument(msgspec.Struct, frozen=True):
    schema: str
    key: str
    member: str
    consortium: str
    bound: msgspec.Raw = msgspec.Raw()


def _verifies(signed: bytes, signature: bytes, public: bytes) -> bool:
    try:
        VerifyKey(public).verify(signed, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def _check_public(found: Mapping[str, Any]) -> None:
    """Refuse an object that does not belong into a public bundle."""
    kind = found.get("type")
    if kind not in _TYPES:
        raise BundleError(f"an object of type {str(kind)[:32]!r} is in it")
    clear = [stix.marking_id(CLEAR)]
    if kind == "indicator" and found.get("object_marking_refs") != clear:
        raise BundleError(f"{str(found.get('id'))[:64]} is not marked TLP:CLEAR")


def _at_least(count: int) -> int:
    """The greatest power of two that is not more; 0 for none."""
    return 1 << (count.bit_length() - 1) if count > 0 else 0
