"""The least that taking records in can cost: SQLite, a hash, a signature and a JSON reader, and nothing else.

An object has a kilobyte, as indicators of threat intelligence have. `signed_lines` takes batches whose one signature
covers the canonical lines as they came; `signed_each` decodes, encodes and verifies every object by itself. Both store
what they took in a table with three indices, in one transaction for each batch, and believe nothing.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
from nacl.signing import SigningKey

TABLE: Final = """
create table taken (seq integer primary key, id text, modified text, type text, value text, expires text, body blob,
    signature blob);
create unique index by_id on taken (id, modified);
create index by_value on taken (value);
create index by_expiry on taken (expires);
"""
INSERT: Final = """
insert or ignore into taken (id, modified, type, value, expires, body, signature) values (?, ?, ?, ?, ?, ?, ?)
"""
_KEY: Final = SigningKey(b"a key of what is only measured..")
_encode = msgspec.json.Encoder(order="sorted").encode
_Row = tuple[object, ...]


def signed_lines(place: Path, objects: int, batch: int, first: int = 0) -> float:
    """Take in so many objects in batches under one signature each; returns objects per CPU second."""
    bodies = [_encode(sample(number)) for number in range(first, first + objects)]
    batches = [
        (b"\n".join(bodies[at : at + batch]), _KEY.sign(_root(bodies[at : at + batch])).signature)
        for at in range(0, objects, batch)
    ]

    def take() -> Iterator[Sequence[_Row]]:
        for wire, signature in batches:
            lines = wire.split(b"\n")
            _KEY.verify_key.verify(_root(lines), signature)
            yield [_row(msgspec.json.decode(line), line, signature) for line in lines]

    return _timed(place, objects, take)


def signed_each(place: Path, objects: int, batch: int, first: int = 0) -> float:
    """Take in so many objects, each signed by itself, in transactions of `batch`; returns objects per CPU second."""
    wires = []
    for number in range(first, first + objects):
        made = sample(number)
        wires.append(_encode({"o": made, "s": _KEY.sign(_encode(made)).signature.hex()}))

    def take() -> Iterator[Sequence[_Row]]:
        for at in range(0, objects, batch):
            rows = []
            for wire in wires[at : at + batch]:
                message = msgspec.json.decode(wire)
                body, signature = _encode(message["o"]), bytes.fromhex(message["s"])
                _KEY.verify_key.verify(body, signature)
                rows.append(_row(message["o"], body, signature))
            yield rows

    return _timed(place, objects, take)


def sample(number: int) -> dict[str, Any]:
    """An object of about a kilobyte; no two are alike, and each is the same everywhere."""
    random = Random(number)  # noqa: S311 - the same objects in every run
    at = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)).isoformat()
    digest = f"{random.getrandbits(256):064x}"
    value = f"198.{random.randrange(18, 20)}.{random.randrange(256)}.{random.randrange(256)}"
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{random.getrandbits(128):032x}",
        "created_by_ref": f"identity--{number % 50:032x}",
        "created": at,
        "modified": at,
        "name": f"campaign {number % 1_000}",
        "description": f"What an agent was told to do in case {number}, in the words of a report. " * 3,
        "indicator_types": ["malicious-activity", "compromised"],
        "pattern": f"[ipv4-addr:value = '{value}'] OR [file:hashes.'SHA-256' = '{digest}']",
        "pattern_type": "stix",
        "pattern_version": "2.1",
        "valid_from": at,
        "valid_until": at.replace("2026", "2027"),
        "confidence": random.randrange(101),
        "labels": ["agent", "intent-drift", "tool-abuse"],
        "object_marking_refs": ["marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"],
        "kill_chain_phases": [{"kill_chain_name": "mitre-atlas", "phase_name": "impact"}],
        "external_references": [{"source_name": "mitre-atlas", "external_id": "AML.T0051"}],
    }


def _timed(place: Path, objects: int, take: Callable[[], Iterator[Sequence[_Row]]]) -> float:
    with closing(sqlite3.connect(place, isolation_level=None)) as database:
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=normal")
        database.executescript(TABLE)
        cpu = time.process_time()
        for rows in take():
            database.execute("begin")
            database.executemany(INSERT, rows)
            database.execute("commit")
        cpu = time.process_time() - cpu
        (count,) = database.execute("select count(*) from taken").fetchone()
    if count != objects:
        raise AssertionError(f"{count} objects are stored, not {objects}")
    return objects / cpu


def _root(bodies: Sequence[bytes]) -> bytes:
    digests = b"".join([hashlib.blake2b(body, digest_size=32).digest() for body in bodies])
    return hashlib.blake2b(digests, digest_size=32).digest()


def _row(made: Any, body: bytes, signature: bytes) -> _Row:  # noqa: ANN401 - decoded JSON
    return (
        made["id"],
        made["modified"],
        made["type"],
        made["pattern"][20:36],
        made["valid_until"],
        body,
        signature,
    )
