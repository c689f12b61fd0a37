"""Reading one file of the roster: its shape in full, before any signature is looked at (SPEC, "Roster").

The library is lenient, as a client of anybody's repository must be: it passes over unknown fields and takes any form of
JSON. Here the files have one form, so what was not foreseen is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from ioint_protocol import LIMITS, Files, ProtocolError, bundle
from tuf.api.exceptions import LengthOrHashMismatchError, RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from ioint_node.membership.keys import ED25519, SodiumKey

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)

TARGET: Final = "roster.json"
SPEC_VERSION: Final = "1.0"
_TYPES: Final[dict[str, type[Signed]]] = {
    "root": Root,
    "timestamp": Timestamp,
    "snapshot": Snapshot,
    "targets": Targets,
}


def read_metadata(name: str, data: bytes, kind: type[S]) -> Metadata[S]:
    """Read a metadata file and check its whole shape; nothing about it is verified yet.

    Raises:
        ProtocolError: `too_large`, `not_canonical`, `bad_value`, `bad_shape`, `bad_field`, `bad_key`,
            `unknown_algorithm`, `mixed_files` when the name says another version.
    """
    expected = bundle.kind_of(name)
    if _TYPES.get(expected) is not kind:
        raise ProtocolError("bad_shape", f"{name} is no {kind.type}")
    bundle.check_sizes({name: data})
    value = _read_json(name, data)
    _check_texts(name, value)
    if kind is Root:
        _check_algorithms(name, value)
    metadata = cast("Metadata[S]", _decode(name, data))
    signed = metadata.signed
    if not isinstance(signed, kind):
        raise ProtocolError("bad_shape", f"{name} holds a {signed.type}")
    _check_form(name, data, metadata)
    _check_signatures(name, metadata)
    if type(signed.version) is not int or signed.version > LIMITS.integer:
        raise ProtocolError("bad_value", f"{name}: version")
    if bundle.version_of(name) not in {0, signed.version}:
        raise ProtocolError("mixed_files", f"{name} holds version {signed.version}")
    if signed.spec_version != SPEC_VERSION:
        raise ProtocolError("bad_field", f"{name}: spec_version is not {SPEC_VERSION}")
    _CHECKS[expected](name, signed)
    return metadata


def read_all(files: Files) -> None:
    """Check the shape of every metadata file.

    Raises:
        ProtocolError: as `read_metadata`.
    """
    for name, data in files.items():
        kind = bundle.kind_of(name)
        if kind == "roster":
            bundle.check_sizes({name: data})
        else:
            read_metadata(name, data, _TYPES[kind])  # type: ignore[type-var]  # one of the four, by the table


def root_name(version: int) -> str:
    """Give the name of a root."""
    return f"{version}.root.json"


def snapshot_name(timestamp: Timestamp) -> str:
    """Give the name of the snapshot that a timestamp names."""
    return f"{timestamp.snapshot_meta.version}.snapshot.json"


def targets_name(snapshot: Snapshot) -> str:
    """Give the name of the targets file that a snapshot names."""
    return f"{snapshot.meta['targets.json'].version}.targets.json"


def roster_name(targets: Targets) -> str:
    """Give the name of the document that a targets file names."""
    return f"{targets.targets[TARGET].hashes['sha256']}.{TARGET}"


def consortium_of(first_root: bytes) -> str:
    """Give the id of the consortium that begins with this root: the hash of its signed part."""
    return hashlib.sha256(read_metadata(root_name(1), first_root, Root).signed_bytes).hexdigest()


def keys_of(root: Root, role: str) -> set[str]:
    """Give the public keys of a role, in hex."""
    return {cast("SodiumKey", root.keys[keyid]).public for keyid in root.roles[role].keyids}


def seconds(moment: datetime) -> int:
    """Give an instant in Unix seconds."""
    return int(moment.timestamp())


def check_named(item: MetaFile | TargetFile, data: bytes) -> None:
    """See that a file has the length and the hash under which another one names it.

    Raises:
        ProtocolError: `mixed_files`.
    """
    try:
        item.verify_length_and_hashes(data)
    except LengthOrHashMismatchError as error:
        raise ProtocolError("mixed_files", str(error)) from None


def _decode(name: str, data: bytes) -> Metadata[Any]:
    try:
        return Metadata.from_bytes(data)
    except DeserializationError as error:
        cause = error.__cause__
        if isinstance(cause, ProtocolError):
            raise cause from None
        raise ProtocolError("bad_shape", f"{name} is no metadata of a roster") from None


def _read_json(name: str, data: bytes) -> Any:  # noqa: ANN401 - JSON of which nothing is known yet
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ProtocolError("not_canonical", f"{name} is no JSON") from None


def _check_texts(name: str, value: Any) -> None:  # noqa: ANN401
    """See that signatures are texts: the library takes whatever stands there."""
    try:
        texts = [text for item in value["signatures"] for text in (item["keyid"], item["sig"])]
    except (LookupError, TypeError):
        raise ProtocolError("bad_shape", f"{name} is no metadata of a roster") from None
    if not all(isinstance(text, str) for text in texts):
        raise ProtocolError("bad_shape", f"{name}: a signature that is no text")


def _check_algorithms(name: str, value: Any) -> None:  # noqa: ANN401
    """See that every key is one of ours, before the library makes others of it."""
    try:
        keys = list(value["signed"]["keys"].values())
        named = {(key["keytype"], key["scheme"]) for key in keys}
    except (LookupError, TypeError, AttributeError):
        raise ProtocolError("bad_shape", f"{name} is no root of a roster") from None
    if named - {(ED25519, ED25519)}:
        raise ProtocolError("unknown_algorithm", f"{name}: a key of another kind than Ed25519")


def _check_form(name: str, data: bytes, metadata: Metadata[Any]) -> None:
    """One value, one text; a key that occurs twice is refused by this too."""
    try:
        again = metadata.to_bytes()
    except RepositoryError:
        raise ProtocolError("bad_shape", f"{name} is no metadata of a roster") from None
    if again != data:
        raise ProtocolError("not_canonical", f"{name} is not the one encoding of its value")
    if any(_unknown(metadata)):
        raise ProtocolError("bad_shape", f"{name} has unknown fields")


def _unknown(metadata: Metadata[Any]) -> Iterator[dict[str, Any]]:
    signed = metadata.signed
    yield metadata.unrecognized_fields
    yield signed.unrecognized_fields
    yield from (signature.unrecognized_fields for signature in metadata.signatures.values())
    match signed:
        case Root():
            yield from (role.unrecognized_fields for role in signed.roles.values())
        case Timestamp():
            yield signed.snapshot_meta.unrecognized_fields
        case Snapshot():
            yield from (meta.unrecognized_fields for meta in signed.meta.values())
        case Targets():
            yield from (target.unrecognized_fields for target in signed.targets.values())


def _check_signatures(name: str, metadata: Metadata[Any]) -> None:
    ids = list(metadata.signatures)
    if len(ids) > LIMITS.signatures:
        raise ProtocolError("bad_field", f"{name}: {len(ids)} signatures, more than {LIMITS.signatures}")
    if ids != sorted(ids):
        raise ProtocolError("bad_field", f"{name}: signatures are not in ascending order of key id")


def _check_root(name: str, root: Root) -> None:
    if root.consistent_snapshot is not True:
        raise ProtocolError("bad_field", f"{name}: consistent_snapshot is not true")
    roles = {role: (entry.keyids, entry.threshold) for role, entry in root.roles.items()}
    stewards, threshold = roles[Root.type]
    clocks, one = roles[Timestamp.type]
    if roles[Targets.type] != (stewards, threshold) or roles[Snapshot.type] != (clocks, one):
        raise ProtocolError("bad_field", f"{name}: targets as root, snapshot as timestamp: who signs differs")
    if {*stewards, *clocks} != set(root.keys) or set(stewards) & set(clocks):
        raise ProtocolError("bad_field", f"{name}: a key of no role, of both, or a role without its key")
    for ids in (stewards, clocks):
        if not 1 <= len(ids) <= LIMITS.roster_stewards or ids != sorted(ids):
            raise ProtocolError("bad_field", f"{name}: 1..{LIMITS.roster_stewards} keys of a role, ascending")
    # More than half: else two versions of one number could both be signed in full, by honest stewards.
    if type(threshold) is not int or not len(stewards) // 2 < threshold <= len(stewards) or one != 1:
        raise ProtocolError(
            "bad_field", f"{name}: the threshold is not more than half of the stewards, or not 1"
        )


def _check_timestamp(name: str, timestamp: Timestamp) -> None:
    _check_meta(name, timestamp.snapshot_meta, LIMITS.snapshot_bytes)


def _check_snapshot(name: str, snapshot: Snapshot) -> None:
    if snapshot.meta.keys() != {"targets.json"}:
        raise ProtocolError("bad_shape", f"{name} names other files than targets.json")
    _check_meta(name, snapshot.meta["targets.json"], LIMITS.targets_bytes)


def _check_meta(name: str, meta: MetaFile, limit_bytes: int) -> None:
    if type(meta.version) is not int or not 1 <= meta.version <= LIMITS.integer:
        raise ProtocolError("bad_field", f"{name}: a version that it names")
    _check_content(name, meta, limit_bytes)


def _check_targets(name: str, targets: Targets) -> None:
    if targets.targets.keys() != {TARGET} or targets.delegations is not None:
        raise ProtocolError("bad_shape", f"{name} names other files than {TARGET}")
    _check_content(name, targets.targets[TARGET], LIMITS.roster_bytes)


def _check_content(name: str, item: MetaFile | TargetFile, limit_bytes: int) -> None:
    if type(item.length) is not int or not 1 <= item.length <= limit_bytes:
        raise ProtocolError("bad_field", f"{name}: a length outside 1..{limit_bytes}")
    if item.hashes is None or item.hashes.keys() != {"sha256"}:
        raise ProtocolError("bad_shape", f"{name}: hashes are not one SHA-256")
    if not _is_hash(item.hashes["sha256"]):
        raise ProtocolError("bad_field", f"{name}: a hash that is not 64 hex digits")


def _is_hash(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")


_CHECKS: Final[dict[str, Any]] = {
    "root": _check_root,
    "timestamp": _check_timestamp,
    "snapshot": _check_snapshot,
    "targets": _check_targets,
}
