"""Vectors with signatures: Ed25519 in its context, segments, proofs of equivocation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import nacl.bindings as sodium
from ioint_protocol import envelope, roster, segment
from nacl.signing import SigningKey
from seeds import DAY, Case, changed, member, public, raw_json, seeded, steward
from unsigned import DISPUTE, REPORT, SIGHTING, WITHDRAWAL

CONSORTIUM = hashlib.sha256(b"vectors").hexdigest()
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the prime-order group
# y = 1, -1 (mod p), 0, and y of a point of order 8: math, not anybody's text.
SMALL_ORDER = {
    "the identity": "01" + "00" * 31,
    "order 2": "ec" + "ff" * 30 + "7f",
    "order 4": "00" * 32,
    "order 8": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "the identity, y not reduced": "ee" + "ff" * 30 + "7f",
}


def make_signatures() -> Case:
    """Signatures that verify and all the ways in which a lax library would let others pass."""
    kind = envelope.payload_type("segment", CONSORTIUM)
    body = b'{"v":1}'
    signer = seeded("signer")
    good = envelope.sign(signer, kind, body)
    key = bytes(signer.verify_key)
    larger = good[:32] + (int.from_bytes(good[32:], "little") + ORDER).to_bytes(32, "little")
    other = envelope.payload_type("segment", hashlib.sha256(b"other").hexdigest())

    def case(name: str, *, key: bytes = key, kind: str = kind, body: bytes = body, sig: bytes = good) -> Case:
        return {"name": name, "key": key.hex(), "type": kind, "body": body.hex(), "signature": sig.hex()}

    cases = [
        case("as signed") | {"pae": envelope.pae(kind, body).hex()},
        case("a changed body", body=b'{"v":2}') | {"refusal": "bad_signature"},
        case("another consortium", kind=other) | {"refusal": "bad_signature"},
        case("another kind", kind=kind.replace("segment", "roster")) | {"refusal": "bad_signature"},
        case("another key", key=bytes.fromhex(public("a"))) | {"refusal": "bad_signature"},
        case("S + L", sig=larger) | {"refusal": "bad_signature"},
        case("S all ones", sig=good[:32] + b"\xff" * 32) | {"refusal": "bad_signature"},
        case("R not reduced", sig=bytes.fromhex(SMALL_ORDER["the identity, y not reduced"]) + good[32:])
        | {"refusal": "bad_signature"},
        case("63 bytes", sig=good[:63]) | {"refusal": "bad_signature"},
        case("65 bytes", sig=good + b"\0") | {"refusal": "bad_signature"},
    ]
    for name, text in SMALL_ORDER.items():
        point = bytes.fromhex(text)
        # Were the key accepted, S = 0 and R = the key or the identity would verify for many messages or for any.
        cases.append(case(f"key is {name}", key=point, sig=point + bytes(32)) | {"refusal": "bad_signature"})
    cases.append(_without_nonce(case, signer, kind, body))
    cases.append(_cofactored(case, kind, body))
    mixed = sodium.crypto_core_ed25519_add(key, bytes.fromhex(SMALL_ORDER["order 8"]))
    bad_keys = {
        **SMALL_ORDER,
        "mixed order": mixed.hex(),
        "not on the curve": "02" + "00" * 31,
        "31 bytes": "00" * 31,
    }
    key_cases: list[Case] = [{"name": "a key", "key": key.hex()}]
    key_cases += [{"name": name, "key": text, "refusal": "bad_key"} for name, text in bad_keys.items()]
    return {
        "about": "signature over PAE(type, body) under key; and which keys are admitted",
        "cases": cases,
        "keys": key_cases,
    }


def _without_nonce(case: Callable[..., Case], signer: SigningKey, kind: str, body: bytes) -> Case:
    """A signature with the nonce 0: the equation holds, and R is the identity."""
    half = hashlib.sha512(bytes(signer)).digest()[:32]
    secret = int.from_bytes(half, "little") & ~7 & ((1 << 254) - 1) | 1 << 254
    point = bytes.fromhex(SMALL_ORDER["the identity"])
    h = hashlib.sha512(point + bytes(signer.verify_key) + envelope.pae(kind, body)).digest()
    s = int.from_bytes(h, "little") * secret % ORDER
    return case("R is the identity", sig=point + s.to_bytes(32, "little")) | {"refusal": "bad_signature"}


def _cofactored(case: Callable[..., Case], kind: str, body: bytes) -> Case:
    """A signature under a key of mixed order that only verification times the cofactor accepts."""
    secret = sodium.crypto_core_ed25519_scalar_reduce(hashlib.sha512(b"secret").digest())
    torsion = bytes.fromhex(SMALL_ORDER["order 8"])
    key = sodium.crypto_core_ed25519_add(sodium.crypto_scalarmult_ed25519_base_noclamp(secret), torsion)
    for nonce in range(64):
        r = sodium.crypto_core_ed25519_scalar_reduce(hashlib.sha512(b"nonce %d" % nonce).digest())
        point = sodium.crypto_scalarmult_ed25519_base_noclamp(r)
        h = sodium.crypto_core_ed25519_scalar_reduce(
            hashlib.sha512(point + key + envelope.pae(kind, body)).digest()
        )
        if int.from_bytes(h, "little") % 8:
            s = sodium.crypto_core_ed25519_scalar_add(r, sodium.crypto_core_ed25519_scalar_mul(h, secret))
            return case("verifies with the cofactor only", key=key, sig=point + s) | {
                "refusal": "bad_signature"
            }
    raise AssertionError("every nonce gave a multiple of the cofactor")


def _roster() -> roster.Roster:
    """One member whose record key changed at segment 4, one that is suspended."""
    first = member("a")
    newer = roster.RecordKey(key=public("a record 2"), from_seq=4)
    return roster.Roster(
        version=4,
        consortium=CONSORTIUM,
        issued_day=DAY,
        members=(
            replace(first, since_day=DAY, record_keys=(*first.record_keys, newer)),
            member("b", since_day=DAY, state="suspended"),
        ),
        taxonomy=roster.Release(version="2026.11", digest="1" * 64),
        catalogue="2" * 64,
        council=(steward("a"),),
    )


def make_segments() -> Case:
    """Segments against one roster, and proofs of equivocation."""
    verified = _roster()
    document = roster.encode_roster(verified)
    bodies = [raw_json(value) for value in (REPORT, SIGHTING, WITHDRAWAL)]
    author, key = member("a").id, seeded("a record")

    def build(
        records: list[bytes] = bodies,
        *,
        by: str = "a",
        key: SigningKey = key,
        consortium: str = verified.consortium,
        prev: str | None = None,
        seq: int = 0,
    ) -> bytes:
        seq = seq or (2 if prev else 1)
        return segment.build_segment(key, consortium, member(by).id, seq, prev or segment.GENESIS, 1, records)

    first = build()
    head = segment.parse_segment(first).head
    second = build([raw_json(DISPUTE)], prev=head)
    fourth = build([raw_json(DISPUTE)], prev=head, seq=4, key=seeded("a record 2"))
    fork = build([raw_json(SIGHTING)], prev=head)
    refused = [
        ("a changed record", first.replace(b'"seen":3', b'"seen":4'), "bad_root"),
        ("a changed header", first.replace(b'"low":1', b'"low":2'), "bad_field"),
        ("another seq", second.replace(b'"seq":2', b'"seq":3'), "bad_signature"),
        ("a flipped bit of the signature", _flip_signature(first), "bad_signature"),
        ("of another consortium", build(consortium=hashlib.sha256(b"other").hexdigest()), "bad_signature"),
        ("by another member's key", build(key=seeded("b record")), "unknown_signer"),
        ("by the newer key before its turn", build(key=seeded("a record 2")), "unknown_signer"),
        ("by the older key after its turn", build(prev=head, seq=4), "unknown_signer"),
        ("one signature twice", _repeat_signature(first), "duplicate_signer"),
        ("by a stranger", build(key=seeded("d record"), by="d"), "unknown_member"),
        ("by a suspended member", build(key=seeded("b record"), by="b"), "inactive_member"),
        ("one record twice", build([bodies[0], bodies[0]]), "duplicate_record"),
        ("a record that is no record", build([b'{"v":1}']), "bad_shape"),
        ("a record that is not canonical", build([bodies[1] + b" "]), "not_canonical"),
        ("a byte after the end", first + b"\0", "bad_frame"),
        ("cut short", first[:-1], "bad_frame"),
        ("empty", b"", "bad_frame"),
        ("another magic", b"IOSX" + first[4:], "bad_frame"),
        ("version 2", first[:4] + b"\x02" + first[5:], "bad_frame"),
        ("a header with a space", _respace(first), "not_canonical"),
        ("an algorithm that is not known", _algorithm(first, 2), "unknown_algorithm"),
    ]
    cases: list[Case] = []
    for name, wire in (
        ("the first", first),
        ("the second", second),
        ("the fourth, by the newer key", fourth),
    ):
        checked = segment.verify_segment(segment.parse_segment(wire), verified.consortium, verified)
        ids = [record.id for record in checked.records]
        cases.append({"name": name, "wire": wire.hex(), "head": checked.head, "records": ids})
    cases += [{"name": name, "wire": wire.hex(), "refusal": refusal} for name, wire, refusal in refused]
    cases.append({"name": "more than 262,144 bytes", "wire": "", "zeros": 262_145, "refusal": "too_large"})
    proof = segment.equivocation_proof(second, fork)
    half = len(proof[5:]) // 2
    proofs: list[Case] = [
        {"name": "two heads at one height", "proof": proof.hex(), "author": author, "seq": 2},
        {
            "name": "in the other order",
            "proof": (proof[:5] + proof[5 + half :] + proof[5 : 5 + half]).hex(),
            "refusal": "no_equivocation",
        },
        {
            "name": "one header twice",
            "proof": (proof[:5] + proof[5 : 5 + half] * 2).hex(),
            "refusal": "no_equivocation",
        },
        {
            "name": "a flipped bit",
            "proof": (proof[:-1] + bytes([proof[-1] ^ 1])).hex(),
            "refusal": "bad_signature",
        },
        {"name": "cut short", "proof": proof[:-1].hex(), "refusal": "bad_frame"},
        {"name": "a byte after the end", "proof": (proof + b"\0").hex(), "refusal": "bad_frame"},
    ]
    inclusions = _inclusions(build([raw_json(changed(SIGHTING, seen=n)) for n in range(6)]), author)
    trees = [
        {"leaves": list(range(n)), "root": segment.merkle_root([b"%d" % i for i in range(n)]).hex()}
        for n in (1, 2, 3, 5, 8)
    ]
    return {
        "about": "segments (`zeros`: so many zero bytes), proofs of equivocation and of inclusion against the roster, "
        "which is a roster.json; tree hashes of decimal numbers",
        "roster": document.decode("ascii"),
        "cases": cases,
        "proofs": proofs,
        "inclusions": inclusions,
        "trees": trees,
    }


def _inclusions(wire: bytes, author: str) -> list[Case]:
    """Proofs that a segment of six records holds one of them, accepted and refused."""
    parsed = segment.parse_segment(wire)
    proofs = [segment.inclusion_proof(wire, index) for index in range(6)]
    cases: list[Case] = [
        {
            "name": f"record {index} of 6",
            "proof": proof.hex(),
            "author": author,
            "seq": 1,
            "index": index,
            "id": segment.record_id(parsed.bodies[index]),
        }
        for index, proof in enumerate(proofs)
    ]
    proof, body = proofs[1], parsed.bodies[1]
    at = _signatures_at(wire) + 1 + 83  # where the index begins: one signature of 83 bytes

    def spliced(index: int, hashes: bytes, record: bytes = body) -> bytes:
        count = len(hashes) // 32
        path = index.to_bytes(2, "big") + bytes([count]) + hashes
        return proof[:at] + path + len(record).to_bytes(2, "big") + record

    path = proof[at + 3 : at + 3 + 96]
    refused = [
        ("at another index", spliced(0, path), "bad_root"),
        ("an index past the end", spliced(6, path), "bad_field"),
        ("another record", spliced(1, path, parsed.bodies[2]), "bad_root"),
        ("a hash is missing", spliced(1, path[:64]), "bad_root"),
        ("a hash too many", spliced(1, path + path[:32]), "bad_root"),
        ("nine hashes", spliced(1, path * 3), "bad_field"),
        ("a changed hash", spliced(1, bytes([path[0] ^ 1]) + path[1:]), "bad_root"),
        ("a byte after the end", proof + b"\0", "bad_frame"),
        ("cut short", proof[:-1], "bad_frame"),
        ("another magic", b"IOSG" + proof[4:], "bad_frame"),
        ("a flipped bit of the signature", _flip_signature(proof), "bad_signature"),
    ]
    cases += [{"name": name, "proof": data.hex(), "refusal": refusal} for name, data, refusal in refused]
    return cases


def _repeat_signature(wire: bytes) -> bytes:
    at = _signatures_at(wire)
    entry = wire[at + 1 : at + 1 + 1 + 16 + 2 + 64]
    return wire[:at] + b"\x02" + entry + wire[at + 1 :]


def _flip_signature(wire: bytes) -> bytes:
    at = _signatures_at(wire) + 1 + 1 + 16 + 2
    return wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :]


def _algorithm(wire: bytes, code: int) -> bytes:
    at = _signatures_at(wire) + 1
    return wire[:at] + bytes([code]) + wire[at + 1 :]


def _respace(wire: bytes) -> bytes:
    length = int.from_bytes(wire[5:7], "big") + 1
    return wire[:5] + length.to_bytes(2, "big") + wire[7:].replace(b'{"author"', b'{ "author"', 1)


def _signatures_at(wire: bytes) -> int:
    """Give where the signature list of a segment begins: after magic, version and header."""
    return 7 + int.from_bytes(wire[5:7], "big")
