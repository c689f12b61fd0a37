"""From files that somebody gave us to the roster in force: the client workflow of TUF, by python-tuf (SPEC, "Roster").

The library fetches what it needs as it goes. Here everything that it may ask for lies in memory before it begins, so
that no peer can keep it waiting; it works in a directory of its own that is gone afterwards. Both functions block
for some milliseconds: call them in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ioint_protocol import (
    LIMITS,
    Files,
    ProtocolError,
    Roster,
    bundle,
    check_follows,
    decode_roster,
)
from ioint_protocol.sync import RosterVersions
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from ioint_node.membership.files import (
    TARGET,
    S,
    check_named,
    consortium_of,
    keys_of,
    read_all,
    read_metadata,
    root_name,
    roster_name,
    seconds,
    snapshot_name,
    targets_name,
)

_PLACE: Final = "memory:"
_CACHED: Final = ("timestamp", "snapshot", "targets")
AHEAD_S: Final = 8 * 86_400
"""By how much the number of a timestamp may be ahead of the own clock, in seconds: one lifetime and a day."""
_CONFIG: Final = UpdaterConfig(
    max_root_rotations=LIMITS.root_versions,
    max_delegations=0,
    root_max_length=LIMITS.root_bytes,
    timestamp_max_length=LIMITS.timestamp_bytes,
    snapshot_max_length=LIMITS.snapshot_bytes,
    targets_max_length=LIMITS.targets_bytes,
)
# In this order: the first that fits names the refusal.
_REFUSALS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (ExpiredMetadataError, "expired"),
    (UnsignedMetadataError, "below_threshold"),
    (LengthOrHashMismatchError, "mixed_files"),
    # Longer than what names it says; that nothing is longer than its kind may be was seen to before.
    # Names and contents were compared before: what is left of wrong versions is one that went back.
    (BadVersionNumberError, "rollback"),
    (DownloadLengthMismatchError, "mixed_files"),
    (DownloadHTTPError, "missing_file"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A roster that was verified, with the files that prove it: every root from the first on, and the newest others."""

    roster: Roster
    files: Files = field(repr=False)
    versions: RosterVersions


class _Memory(FetcherInterface):
    """Gives the library what it asks for, from files at hand."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.rpartition("/")[2]
        if name not in self._files:
            raise DownloadHTTPError(f"{name} was not given", 404)
        return iter((self._files[name],))


def follow(trusted: Membership | None, given: Files, *, consortium: str | None = None) -> Membership:
    """Take over files that are newer than the trusted ones; all of them or, with an error, none.

    The clock is this machine's: what has expired by it is refused. With nothing trusted, the first root is taken at its
    word when `consortium` is its id, or None: then the operator has to compare the id.

    Raises:
        ProtocolError: `expired`, `rollback`, `below_threshold`, `missing_file`, `mixed_files`, `roster_fork`,
            `wrong_consortium`, `member_changed`, `bad_key`, `too_large`, or a fault of shape.
    """
    roots = _roots(given) if trusted is None else {**_roots(trusted.files), **_later_roots(trusted, given)}
    _check_whole(roots)
    expected = consortium if trusted is None else trusted.roster.consortium
    first = given.get(root_name(1), roots[root_name(1)])
    if expected is not None and (found := consortium_of(first)) != expected:
        raise ProtocolError("wrong_consortium", f"{found}, not {expected}")
    _check_in_turn(roots, trusted, given)
    files = roots | _refresh(roots, trusted, given)
    membership = recall(files)
    if trusted is not None:
        check_follows(membership.roster, trusted.roster)
    return membership


def _check_in_turn(roots: Files, trusted: Membership | None, given: Files) -> None:
    """See to every given file's shape, and to no file before the signatures on those that it hangs on.

    Reading costs more than sending: who is no steward and no clock gets one file read that is not signed, not all.
    """
    known = 0 if trusted is None else trusted.versions.root
    root = None if trusted is None else read_metadata(root_name(known), roots[root_name(known)], Root).signed
    for version in range(known + 1, bundle.newest_root(roots) + 1):
        root = _signed_by(root, root_name(version), roots, Root)
    _check_number(_signed_by(root, "timestamp.json", given, Timestamp), trusted)
    read_all({name: data for name, data in given.items() if roots.get(name) != data})


def _check_number(timestamp: Timestamp, trusted: Membership | None) -> None:
    """Refuse a timestamp or snapshot numbered far ahead of the clock: after the highest number none could follow.

    Honest ones are numbered by the second at which they were signed, or by one more than the last.
    """
    last = 0 if trusted is None else max(trusted.versions.timestamp, _snapshot_version(trusted))
    most = max(last + 1, int(time.time()) + AHEAD_S)
    if max(timestamp.version, timestamp.snapshot_meta.version) > most:
        raise ProtocolError("bad_field", f"timestamp.json: a version above {most}, that of its last second")


def _snapshot_version(trusted: Membership) -> int:
    return next(bundle.version_of(name) for name in trusted.files if bundle.kind_of(name) == "snapshot")


def recall(files: Files) -> Membership:
    """Read files that this node took over before; they may have expired since.

    Every signature is checked again, so that what the database lost or mixed up is found here.

    Raises:
        ProtocolError: the files do not belong together.
    """
    root = _chain(files)
    timestamp = _signed_by(root, "timestamp.json", files, Timestamp)
    snapshot = _signed_by(root, snapshot_name(timestamp), files, Snapshot)
    check_named(timestamp.snapshot_meta, files[snapshot_name(timestamp)])
    targets = _signed_by(root, targets_name(snapshot), files, Targets)
    check_named(snapshot.meta["targets.json"], files[targets_name(snapshot)])
    document = _file(files, roster_name(targets))
    check_named(targets.targets[TARGET], document)
    roster = decode_roster(
        document,
        threshold=root.roles[Root.type].threshold,
        expires=min(seconds(each.expires) for each in (root, timestamp, snapshot, targets)),
    )
    if keys_of(root, Root.type) != {steward.steward_key for steward in roster.council} or keys_of(
        root, Timestamp.type
    ) != {steward.clock_key for steward in roster.council}:
        raise ProtocolError("mixed_files", f"{TARGET} names other stewards than the root")
    if roster.version != targets.version:
        raise ProtocolError("mixed_files", f"{TARGET} of version {roster.version}, not {targets.version}")
    if (found := consortium_of(files[root_name(1)])) != roster.consortium:
        raise ProtocolError("wrong_consortium", f"{TARGET} is of {roster.consortium}, not {found}")
    return Membership(
        roster=roster,
        files=dict(files),
        versions=RosterVersions(root=root.version, timestamp=timestamp.version),
    )


def _refresh(roots: Files, trusted: Membership | None, given: Files) -> dict[str, bytes]:
    """The files beside the roots that are in force afterwards, by the library's word."""
    with TemporaryDirectory(prefix="ioint-roster-") as name:
        place = Path(name)
        for kind, data in _cached(trusted).items():
            (place / kind).write_bytes(data)
        start = root_name(1 if trusted is None else trusted.versions.root)
        try:
            updater = Updater(
                name, _PLACE, name, _PLACE, _Memory({**given, **roots}), _CONFIG, bootstrap=roots[start]
            )
            updater.refresh()
            target = updater.get_targetinfo(TARGET)
            if target is None:
                raise AssertionError("the shape of the targets file was checked")
            document = Path(
                updater.find_cached_target(target) or updater.download_target(target)
            ).read_bytes()
        except (RepositoryError, DownloadError) as error:
            raise ProtocolError(_refusal(error), str(error)) from None
        timestamp, snapshot, targets = ((place / f"{kind}.json").read_bytes() for kind in _CACHED)
    named = snapshot_name(read_metadata("timestamp.json", timestamp, Timestamp).signed)
    return {
        "timestamp.json": timestamp,
        named: snapshot,
        targets_name(read_metadata(named, snapshot, Snapshot).signed): targets,
        f"{target.hashes['sha256']}.{TARGET}": document,
    }


def _cached(trusted: Membership | None) -> dict[str, bytes]:
    """The trusted files as the library finds them in its directory: there without version or hash in the name."""
    files = {} if trusted is None else trusted.files
    return {f"{kind}.json": data for name, data in files.items() if (kind := bundle.kind_of(name)) != "root"}


def _roots(files: Files) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if bundle.kind_of(name) == "root"}


def _later_roots(trusted: Membership, given: Files) -> dict[str, bytes]:
    return {
        name: data for name, data in _roots(given).items() if bundle.version_of(name) > trusted.versions.root
    }


def _check_whole(roots: Files) -> None:
    newest = bundle.newest_root(roots)
    if newest > LIMITS.root_versions:
        raise ProtocolError("bad_field", f"root version {newest}, more than {LIMITS.root_versions}")
    for version in range(1, max(newest, 1) + 1):
        _file(roots, root_name(version))


def _chain(files: Files) -> Root:
    """The newest root, each verified by the one before it and by itself."""
    _check_whole(_roots(files))
    root = _signed_by(None, root_name(1), files, Root)
    for version in range(2, bundle.newest_root(files) + 1):
        root = _signed_by(root, root_name(version), files, Root)
    return root


def _signed_by(root: Root | None, name: str, files: Files, kind: type[S]) -> S:
    metadata = read_metadata(name, _file(files, name), kind)
    signed = metadata.signed
    judges = [judge for judge in (root, signed) if isinstance(judge, Root)]
    try:
        for judge in judges:
            judge.verify_delegate(kind.type, metadata.signed_bytes, metadata.signatures)
    except UnsignedMetadataError as error:
        raise ProtocolError("below_threshold", str(error)) from None
    return signed


def _file(files: Files, name: str) -> bytes:
    if name not in files:
        raise ProtocolError("missing_file", f"{name} was not given")
    return files[name]


def _refusal(error: Exception) -> str:
    return next((name for kind, name in _REFUSALS if isinstance(error, kind)), "bad_shape")
