"""The stewards' side: what they sign, until enough of them have (SPEC, "Roster").

A change is a *proposal*: the files that stewards sign, with the signatures that there are so far. Whoever brings the
last one also signs, with the clock key of its node, the snapshot and the timestamp that put the change in force.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ioint_protocol import (
    LIMITS,
    Files,
    Member,
    ProtocolError,
    Release,
    Roster,
    Ruling,
    Steward,
    bundle,
    decode_roster,
    encode_roster,
)
from nacl.signing import SigningKey
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from ioint_node.membership.client import Membership, recall
from ioint_node.membership.files import (
    SPEC_VERSION,
    TARGET,
    check_named,
    read_all,
    read_metadata,
    root_name,
    roster_name,
    seconds,
    snapshot_name,
)
from ioint_node.membership.keys import SodiumKey, SodiumSigner

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long each kind of file holds from its signing on, and how often the timestamp is signed anew, in seconds."""

    root_s: int = 365 * DAY_S
    targets_s: int = 90 * DAY_S
    snapshot_s: int = 90 * DAY_S
    timestamp_s: int = 7 * DAY_S
    stamp_every_s: int = DAY_S
    renew_before_s: int = 30 * DAY_S  # the targets file, or the root, would expire


LIFETIMES: Final = Lifetimes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a roster is to say beside its number and day; `threshold` of the council must sign it.

    Of the `rulings`, in any order, it says those that still hold on its day.
    """

    members: tuple[Member, ...]
    council: tuple[Steward, ...]
    threshold: int
    taxonomy: Release
    catalogue: str
    rulings: tuple[Ruling, ...] = ()

    @classmethod
    def of(cls, roster: Roster) -> Terms:
        """What a roster says now."""
        return cls(
            members=roster.members,
            council=roster.council,
            threshold=roster.threshold,
            taxonomy=roster.taxonomy,
            catalogue=roster.catalogue,
            rulings=roster.rulings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A change on its way: a root where the council changes or was to expire, a targets file, the document."""

    files: Files

    @property
    def root(self) -> Metadata[Root] | None:
        """The proposed root, if any."""
        version = bundle.newest_root(self.files)
        name = root_name(version)
        return read_metadata(name, self.files[name], Root) if version else None

    @property
    def targets(self) -> Metadata[Targets]:
        """The proposed targets file."""
        name = next(name for name in self.files if bundle.kind_of(name) == "targets")
        return read_metadata(name, self.files[name], Targets)

    @property
    def digest(self) -> str:
        """SHA-256 in hex that tells it from every other: of what stewards sign, without the signatures."""
        files = [file.signed_bytes for file in (self.root, self.targets) if file is not None]
        return hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in files)).hexdigest()

    def roster_after(self, trusted: Membership | None) -> Roster:
        """What the roster would say; its expiry is that of nothing yet."""
        document = self.files[roster_name(self.targets.signed)]
        root = self.root
        present = 1 if trusted is None else trusted.roster.threshold
        threshold = present if root is None else root.signed.roles[Root.type].threshold
        return decode_roster(document, threshold=threshold)


def read_proposal(files: Files) -> Proposal:
    """Check that files are a proposal: one targets file, its document, at most one root.

    Raises:
        ProtocolError: they are not.
    """
    read_all(files)
    kinds = sorted(bundle.kind_of(name) for name in files)
    if kinds not in (["root", "roster", "targets"], ["roster", "targets"]):
        raise ProtocolError(
            "missing_file", "a proposal is a targets file, its roster.json and at most one root"
        )
    proposal = Proposal(files=files)
    name = roster_name(proposal.targets.signed)
    if name not in files:
        raise ProtocolError("mixed_files", "the targets file names another roster.json")
    check_named(proposal.targets.signed.targets[TARGET], files[name])
    return proposal


def propose_founding(terms: Terms, now: int, lifetimes: Lifetimes = LIFETIMES) -> Proposal:
    """Give version 1 of a consortium, to be signed; `now` in ms.

    Raises:
        ProtocolError: no such roster can be.
    """
    root = _root(1, terms, now, lifetimes)
    consortium = hashlib.sha256(Metadata(root).signed_bytes).hexdigest()
    document = _document(terms, version=1, consortium=consortium, issued_day=now // 1000 // DAY_S)
    return _proposal(root, document, now, lifetimes)


def propose_change(
    trusted: Membership,
    terms: Terms,
    now: int,
    lifetimes: Lifetimes = LIFETIMES,
    *,
    version: int | None = None,
) -> Proposal:
    """Give the version after the trusted one, or a later `version`, to be signed; `now` in ms.

    It comes with a new root where the council changes, or where the present root is to be renewed.

    Raises:
        ProtocolError: no such roster can be.
    """
    before = trusted.roster
    document = _document(
        terms,
        version=before.version + 1 if version is None else version,
        consortium=before.consortium,
        issued_day=max(now // 1000 // DAY_S, before.issued_day),
    )
    present = newest_root(trusted)
    same = (terms.council, terms.threshold) == (before.council, before.threshold)
    if same and seconds(present.expires) > now // 1000 + lifetimes.renew_before_s:
        return _proposal(None, document, now, lifetimes)
    if present.version == LIMITS.root_versions:
        raise ProtocolError(
            "bad_field", f"root version {present.version} is the last: found a new consortium"
        )
    return _proposal(_root(present.version + 1, terms, now, lifetimes), document, now, lifetimes)


def sign(proposal: Proposal, key: SigningKey) -> Proposal:
    """Give the proposal with the signature of one more steward; a second one of the same key changes nothing."""
    signed = {}
    for name, data in proposal.files.items():
        if bundle.kind_of(name) == "roster":
            signed[name] = data
        else:
            metadata: Metadata[Any] = Metadata.from_bytes(data)
            metadata.sign(SodiumSigner(key), append=True)
            signed[name] = _file(metadata)
    return Proposal(files=signed)


def check_signed(proposal: Proposal, trusted: Membership | None) -> None:
    """See that a steward signed each file of a proposal, and that every signature on it is good.

    What was changed on its way shows here, before somebody signs it again.

    Raises:
        ProtocolError: `bad_signature`, or `missing_file` where nothing says who the stewards are.
    """
    judges = _judges(proposal, trusted)
    for file in (proposal.root, proposal.targets):
        if file is None:
            continue
        found = [
            judge.get_verification_result(Root.type, file.signed_bytes, file.signatures) for judge in judges
        ]
        good = {keyid for each in found for keyid in each.signed}
        if not good or set(file.signatures) - good:
            raise ProtocolError("bad_signature", f"{file.signed.type}: a signature that is no steward's")


def _judges(proposal: Proposal, trusted: Membership | None) -> list[Root]:
    """The roots whose stewards sign a proposal: that in force and the proposed one, as far as they are."""
    root = proposal.root
    judges = [
        judge
        for judge in (
            None if trusted is None else newest_root(trusted),
            None if root is None else root.signed,
        )
        if judge is not None
    ]
    if not judges:
        raise ProtocolError("missing_file", "a proposal without a root, and no roster in force")
    return judges


def missing_signatures(proposal: Proposal, trusted: Membership | None) -> int:
    """How many stewards must still sign, at least."""
    root, targets = proposal.root, proposal.targets
    judges = _judges(proposal, trusted)
    asked: list[tuple[Root, Metadata[Any]]] = [(judges[-1], targets)]
    if root is not None:
        asked += [(judge, root) for judge in judges]
    return max(
        judge.get_verification_result(file.signed.type, file.signed_bytes, file.signatures).missing
        for judge, file in asked
    )


def publish(
    proposal: Proposal,
    trusted: Membership | None,
    clock: SigningKey,
    now: int,
    *,
    lifetimes: Lifetimes = LIFETIMES,
) -> Files:
    """Put a proposal that enough stewards signed in force: its files, with a snapshot and a timestamp of this clock.

    Raises:
        ProtocolError: `below_threshold`.
    """
    missing = missing_signatures(proposal, trusted)
    if missing:
        raise ProtocolError("below_threshold", f"{missing} more stewards must sign")
    targets = proposal.targets.signed
    data = proposal.files[f"{targets.version}.targets.json"]
    after = 0 if trusted is None else trusted.versions.timestamp
    return {**proposal.files, **_clocked(targets.version, data, after, clock, now, lifetimes=lifetimes)}


def stamp(trusted: Membership, clock: SigningKey, now: int, *, lifetimes: Lifetimes = LIFETIMES) -> Files:
    """Say that the trusted roster is still the newest: all that is newer for a member, signed by a clock key.

    The snapshot, which holds as long as the targets file, is signed anew with it.
    """
    name = next(name for name in trusted.files if bundle.kind_of(name) == "targets")
    others = {n: data for n, data in trusted.files.items() if bundle.kind_of(n) in {"targets", "roster"}}
    version, after = bundle.version_of(name), trusted.versions.timestamp
    return {**others, **_clocked(version, trusted.files[name], after, clock, now, lifetimes=lifetimes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """Until when each part of a roster holds, in Unix seconds."""

    stewards: int
    """The list of stewards."""
    roster: int
    """What it says of the members."""
    newest: int
    """That nothing is newer; a steward's node says so again every day."""


def dates(trusted: Membership) -> Dates:
    """Give the dates of a roster; the first of them ends it."""
    name = next(name for name in trusted.files if bundle.kind_of(name) == "targets")
    newest = read_metadata("timestamp.json", trusted.files["timestamp.json"], Timestamp)
    return Dates(
        stewards=seconds(newest_root(trusted).expires),
        roster=seconds(read_metadata(name, trusted.files[name], Targets).signed.expires),
        newest=seconds(newest.signed.expires),
    )


def stamp_due(trusted: Membership, now: int, lifetimes: Lifetimes = LIFETIMES) -> bool:
    """Whether the timestamp is old enough to be signed anew."""
    return dates(trusted).newest - now // 1000 <= lifetimes.timestamp_s - lifetimes.stamp_every_s


def renewal_due(trusted: Membership, now: int, lifetimes: Lifetimes = LIFETIMES) -> bool:
    """Whether stewards had better sign anew, changed or not, because what they signed expires soon."""
    until = dates(trusted)
    return min(until.stewards, until.roster) - now // 1000 <= lifetimes.renew_before_s


def found(
    terms: Terms,
    signers: Sequence[SigningKey],
    clock: SigningKey,
    now: int,
    *,
    lifetimes: Lifetimes = LIFETIMES,
) -> Membership:
    """Found a consortium with the stewards' keys at hand.

    Raises:
        ProtocolError: no such roster can be, or too few sign.
    """
    proposal = _signed_by_all(propose_founding(terms, now, lifetimes), signers)
    return recall(publish(proposal, None, clock, now, lifetimes=lifetimes))


def next_version(
    trusted: Membership,
    terms: Terms,
    signers: Sequence[SigningKey],
    clock: SigningKey,
    now: int,
    *,
    lifetimes: Lifetimes = LIFETIMES,
) -> Membership:
    """Give the version after a trusted one, with the stewards' keys at hand.

    Raises:
        ProtocolError: no such roster can be, or too few sign.
    """
    proposal = _signed_by_all(propose_change(trusted, terms, now, lifetimes), signers)
    roots = {name: data for name, data in trusted.files.items() if bundle.kind_of(name) == "root"}
    return recall(roots | dict(publish(proposal, trusted, clock, now, lifetimes=lifetimes)))


def newest_root(trusted: Membership) -> Root:
    """Give the root in force."""
    name = root_name(trusted.versions.root)
    return read_metadata(name, trusted.files[name], Root).signed


def _root(version: int, terms: Terms, now: int, lifetimes: Lifetimes) -> Root:
    stewards = {key.keyid: key for key in (_key(each.steward_key) for each in terms.council)}
    clocks = {key.keyid: key for key in (_key(each.clock_key) for each in terms.council)}
    roles = {
        **dict.fromkeys((Root.type, Targets.type), Role(sorted(stewards), terms.threshold)),
        **dict.fromkeys((Snapshot.type, Timestamp.type), Role(sorted(clocks), 1)),
    }
    common = _common(version, now, lifetimes.root_s)
    root = Root(**common, keys={**stewards, **clocks}, roles=roles, consistent_snapshot=True)
    # What a reader would refuse had better not be signed.
    read_metadata(root_name(version), _file(Metadata(root)), Root)
    return root


def _key(public: str) -> SodiumKey:
    return SodiumKey(bytes.fromhex(public))


def _document(terms: Terms, *, version: int, consortium: str, issued_day: int) -> Roster:
    return Roster(
        version=version,
        consortium=consortium,
        issued_day=issued_day,
        members=terms.members,
        taxonomy=terms.taxonomy,
        catalogue=terms.catalogue,
        council=terms.council,
        rulings=tuple(
            sorted((r for r in terms.rulings if r.holds(issued_day)), key=lambda r: (r.of, r.author))
        ),
    )


def _proposal(root: Root | None, document: Roster, now: int, lifetimes: Lifetimes) -> Proposal:
    body = encode_roster(document)
    target = TargetFile(len(body), {"sha256": hashlib.sha256(body).hexdigest()}, TARGET)
    targets = Targets(**_common(document.version, now, lifetimes.targets_s), targets={TARGET: target})
    files = {f"{document.version}.targets.json": _file(Metadata(targets)), roster_name(targets): body}
    if root is not None:
        files[root_name(root.version)] = _file(Metadata(root))
    return Proposal(files=files)


def _signed_by_all(proposal: Proposal, signers: Sequence[SigningKey]) -> Proposal:
    for key in signers:
        proposal = sign(proposal, key)
    return proposal


def _clocked(  # what is signed, by whom and when
    version: int,
    targets: bytes,
    after: int,
    clock: SigningKey,
    now: int,
    *,
    lifetimes: Lifetimes,
) -> dict[str, bytes]:
    """The snapshot that names a targets file, and the timestamp that names it, both numbered higher than `after`."""
    # Numbered by the second: two stewards' nodes that sign side by side hardly ever give one number to two files.
    number = max(after + 1, now // 1000)
    snapshot = Snapshot(
        **_common(number, now, lifetimes.snapshot_s), meta={"targets.json": _meta(version, targets)}
    )
    body = _signed(snapshot, clock)
    timestamp = Timestamp(**_common(number, now, lifetimes.timestamp_s), snapshot_meta=_meta(number, body))
    return {snapshot_name(timestamp): body, "timestamp.json": _signed(timestamp, clock)}


def _meta(version: int, data: bytes) -> MetaFile:
    return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})


def _common(version: int, now: int, life_s: int) -> dict[str, Any]:
    expires = datetime.fromtimestamp(now // 1000 + life_s, UTC)
    return {"version": version, "spec_version": SPEC_VERSION, "expires": expires.replace(tzinfo=UTC)}


def _signed(signed: Signed, key: SigningKey) -> bytes:
    metadata: Metadata[Any] = Metadata(signed)
    metadata.sign(SodiumSigner(key))
    return _file(metadata)


def _file(metadata: Metadata[Any]) -> bytes:
    metadata.signatures = dict(sorted(metadata.signatures.items()))
    return metadata.to_bytes()
