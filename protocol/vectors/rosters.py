"""Vectors of rosters: files that are taken over, and files that are refused. Made from the words of SPEC.md alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ioint_protocol import members
from seeds import DAY, Case, changed, member, public, raw_json, seeded, steward

Value = dict[str, Any]
Files = dict[str, bytes]
Edit = Callable[[Value], Value]
LATE = "2200-01-01T00:00:00Z"
EARLY = "2001-01-01T00:00:00Z"
IDENTITY = "01" + "00" * 31
FORGED = (
    IDENTITY + "00" * 32
)  # R the identity and S zero: under the key above it would verify for any message


def key_value(key: str) -> Value:
    """Give a public key as a root names it."""
    return {"keytype": "ed25519", "keyval": {"public": key}, "scheme": "ed25519"}


def key_id(key: str) -> str:
    """Give the id of a public key in the files of a roster."""
    return hashlib.sha256(raw_json(key_value(key))).hexdigest()


def signed_file(signed: Value, by: Sequence[str]) -> bytes:
    """Give a file with the signatures of these keys, by their names."""
    body = raw_json(signed)
    signatures = [
        {"keyid": key_id(public(name)), "sig": seeded(name).sign(body).signature.hex()} for name in by
    ]
    return raw_json({"signatures": sorted(signatures, key=lambda item: item["keyid"]), "signed": signed})


def again(data: bytes, by: Sequence[str], edit: Edit) -> bytes:
    """Give a file with its signed part changed, and signed anew."""
    return signed_file(edit(json.loads(data)["signed"]), by)


def edited(data: bytes, edit: Edit) -> bytes:
    """Give a file changed after it was signed."""
    return raw_json(edit(json.loads(data)))


def setting(**fields: object) -> Edit:
    """Replace fields, or take away those that are None."""
    return lambda value: changed(value, **fields)


def inside(*path: str | int, **fields: object) -> Edit:
    """Replace fields of what lies at a path."""

    def edit(value: Value) -> Value:
        copy: Value = json.loads(json.dumps(value))
        at: Any = copy
        for step in path:
            at = at[step]
        at.update({name: item for name, item in fields.items() if item is not None})
        for name in [name for name, item in fields.items() if item is None]:
            del at[name]
        return copy

    return edit


def common(kind: str, version: int, expires: str = LATE) -> Value:
    """Give what every signed part begins with."""
    return {"_type": kind, "expires": expires, "spec_version": "1.0", "version": version}


def root_part(version: int = 1, council: str = "abc", threshold: int = 2) -> Value:
    """Give the signed part of a root with the stewards of these names."""
    stewards = {key_id(key): key for key in (public(f"{name} steward") for name in council)}
    clocks = {key_id(key): key for key in (public(f"{name} clock") for name in council)}
    return {
        **common("root", version),
        "consistent_snapshot": True,
        "keys": {keyid: key_value(key) for keyid, key in {**stewards, **clocks}.items()},
        "roles": {
            "root": {"keyids": sorted(stewards), "threshold": threshold},
            "targets": {"keyids": sorted(stewards), "threshold": threshold},
            "snapshot": {"keyids": sorted(clocks), "threshold": 1},
            "timestamp": {"keyids": sorted(clocks), "threshold": 1},
        },
    }


def stewards_of(names: str) -> list[str]:
    """Give the names of stewards' keys."""
    return [f"{name} steward" for name in names]


ROOT = signed_file(root_part(), stewards_of("ab"))
CONSORTIUM = hashlib.sha256(raw_json(root_part())).hexdigest()


def document(version: int = 1, *, council: str = "abc", **fields: object) -> Value:
    """Give a roster.json of three members, the first ones of a consortium."""
    value: Value = {
        "v": 1,
        "version": version,
        "consortium": CONSORTIUM,
        "issued_day": DAY + version - 1,
        "council": [members.steward_value(steward(name)) for name in council],
        "members": [members.member_value(member(name, since_day=DAY)) for name in "abcd"],
        "taxonomy": {"version": "2026.11", "digest": "1" * 64},
        "catalogue": "2" * 64,
    }
    return changed(value, **fields)


def ruling(kind: str = "false", of: str = "3" * 64, author: str = "", day: int = DAY) -> Value:
    """Give a ruling about a record of the first member, or of `author`."""
    return {"kind": kind, "author": author or member("a").id, "of": of, "day": day}


def review(of: str = "5" * 64) -> Value:
    """Give a ruling that a pattern or subject is under review."""
    return {"kind": "review", "author": "", "of": of, "day": DAY}


RULINGS = [
    *sorted((ruling(), ruling("stands", author=member("b").id)), key=lambda item: str(item["author"])),
    ruling(of="4" * 64, author="0" * 32),
    review(),
    review("pkg:npm/%40scope/name@1.0.0"),
]


def with_member(at: int, **fields: object) -> list[Value]:
    """Give the members with one of them changed."""
    listed = document()["members"]
    return [changed(item, **fields) if index == at else item for index, item in enumerate(listed)]


def meta(version: int, data: bytes) -> Value:
    """Give how one file names another."""
    return {"hashes": {"sha256": hashlib.sha256(data).hexdigest()}, "length": len(data), "version": version}


def repository(
    value: Value,
    number: int,
    *,
    version: int = 0,
    roots: Sequence[bytes] = (ROOT,),
    targets_by: Sequence[str] = ("a steward", "b steward"),
    clock: str = "a clock",
    edits: Mapping[str, Edit] | None = None,
) -> Files:
    """Give all files of a roster; `number` is that of the snapshot and the timestamp, `edits` come before signing.

    `version` is that of the targets file, where it is another than the document's.
    """
    edit = {"targets": dict, "snapshot": dict, "timestamp": dict, **(edits or {})}
    body = raw_json(value)
    digest, version = hashlib.sha256(body).hexdigest(), version or value["version"]
    target = {"hashes": {"sha256": digest}, "length": len(body)}
    targets = signed_file(
        edit["targets"]({**common("targets", version), "targets": {"roster.json": target}}), targets_by
    )
    named = {"targets.json": meta(version, targets)}
    snapshot = signed_file(edit["snapshot"]({**common("snapshot", number), "meta": named}), [clock])
    named = {"snapshot.json": meta(number, snapshot)}
    timestamp = signed_file(edit["timestamp"]({**common("timestamp", number), "meta": named}), [clock])
    return {
        **{f"{index}.root.json": data for index, data in enumerate(roots, 1)},
        "timestamp.json": timestamp,
        f"{number}.snapshot.json": snapshot,
        f"{version}.targets.json": targets,
        f"{digest}.roster.json": body,
    }


def without(files: Files, part: str) -> Files:
    """Give the files but those with this in their name."""
    return {name: data for name, data in files.items() if part not in name}


def put(files: Files, **of_kind: bytes) -> Files:
    """Give the files with the contents of some replaced, under the names that they have."""
    return {
        name: of_kind.get(name.rpartition(".json")[0].rpartition(".")[2], data)
        for name, data in files.items()
    }


FIRST = repository(document(), 10)
NEW = members.member_value(member("e", since=2, since_day=DAY + 1, sponsor=member("a").id))
SECOND = repository(document(2, members=[*document()["members"], NEW]), 20)
# A steward left, another came: signed by enough of the old and of the new.
ROOT_2 = signed_file(root_part(2, "acd"), stewards_of("ac"))
ROTATED = repository(
    document(3, council="acd"), 30, roots=(ROOT, ROOT_2), targets_by=stewards_of("cd"), clock="d clock"
)
TRUSTED = {"first": FIRST, "second": SECOND}


def make_rosters() -> Case:
    """Files of rosters and what becomes of them, and documents by themselves."""
    contents: dict[str, int] = {}

    def listed(files: Files) -> dict[str, int]:
        return {k: contents.setdefault(data.decode("ascii"), len(contents)) for k, data in files.items()}

    cases: list[Case] = []
    for name, given, trusted, outcome in _cases():
        blank = {key: len(data) for key, data in given.items() if not data.strip()}
        case: Case = {"name": name, "given": listed({k: data for k, data in given.items() if k not in blank})}
        case |= {"trusted": trusted} if trusted else {}
        case |= {"spaces": blank} if blank else {}
        cases.append(case | ({"refusal": outcome} if isinstance(outcome, str) else outcome))
    documents: list[Case] = [{"name": "a document", "document": raw_json(document()).decode()}]
    documents += [
        {"name": name, "document": raw_json(value).decode(), "refusal": refusal}
        for name, value, refusal in _refused_documents()
    ]
    return {
        "about": "files `given` to a node, by name and place in `contents`; a file in `spaces` is so many spaces. "
        "The node trusts the files of `trusted`, nothing if absent, and if `pinned` is there this consortium alone. "
        "`version`, `root` and `timestamp` are what it has afterwards. `documents` are read by themselves",
        "consortium": CONSORTIUM,
        "trusted": {name: listed(files) for name, files in TRUSTED.items()},
        "cases": cases,
        "documents": documents,
        "contents": list(contents),
    }


Row = tuple[str, Files, str, str | Case]


def _taken(version: int, root: int, timestamp: int) -> Case:
    return {"version": version, "root": root, "timestamp": timestamp}


def _cases() -> Iterator[Row]:
    yield from _accepted()
    yield from _stale()
    yield from _mixed()
    yield from _keys()
    yield from _unforeseen()
    yield from _succession()


def _accepted() -> Iterator[Row]:
    yield "the first, taken at its word", FIRST, "", _taken(1, 1, 10)
    yield "the first, by its id", FIRST, "", _taken(1, 1, 10) | {"pinned": CONSORTIUM}
    yield (
        "another consortium than the pinned one",
        FIRST,
        "",
        {"refusal": "wrong_consortium", "pinned": "0" * 64},
    )
    other = signed_file(root_part(1, "abd"), stewards_of("ab"))
    yield "another consortium than the trusted one", put(FIRST, root=other), "first", "wrong_consortium"
    yield "the first again", FIRST, "first", _taken(1, 1, 10)
    yield "the second after the first", without(SECOND, "root"), "first", _taken(2, 1, 20)
    yield "the second, with nothing trusted", SECOND, "", _taken(2, 1, 20)
    yield "only the dates anew", repository(document(), 11), "first", _taken(1, 1, 11)
    yield (
        "signed by all three",
        repository(document(), 10, targets_by=stewards_of("abc")),
        "",
        _taken(1, 1, 10),
    )
    yield "a steward left and one came", ROTATED, "first", _taken(3, 2, 30)
    yield "both roots with nothing trusted", ROTATED, "", _taken(3, 2, 30)
    extra = repository(document(), 10, targets_by=[*stewards_of("ab"), "nobody"])
    yield "a signature too many, of nobody, counts for nothing", extra, "", _taken(1, 1, 10)
    yield "a version in between was never seen", repository(document(4), 40), "first", _taken(4, 1, 40)


def _stale() -> Iterator[Row]:
    for kind in ("targets", "snapshot", "timestamp"):
        files = repository(document(), 10, edits={kind: setting(expires=EARLY)})
        yield f"{kind} out of date", files, "", "expired"
    old = again(ROOT, stewards_of("ab"), setting(expires=EARLY))
    stale = hashlib.sha256(raw_json(json.loads(old)["signed"])).hexdigest()
    yield "root out of date", repository(document(consortium=stale), 10, roots=(old,)), "", "expired"
    yield (
        "a timestamp out of date after one in date",
        repository(document(), 11, edits={"timestamp": setting(expires=EARLY)}),
        "first",
        "expired",
    )
    last = 2**53 - 1
    yield "a timestamp numbered far ahead", repository(document(), last), "first", "bad_field"
    yield "a timestamp numbered far ahead with nothing trusted", repository(document(), last), "", "bad_field"
    yield "an older timestamp", FIRST, "second", "rollback"
    older = repository(document(2), 21, edits={"timestamp": inside("meta", "snapshot.json", version=9)})
    older["9.snapshot.json"] = older.pop("21.snapshot.json")
    older["9.snapshot.json"] = again(older["9.snapshot.json"], ["a clock"], setting(version=9))
    length_and_hash = meta(9, older["9.snapshot.json"])
    older["timestamp.json"] = again(
        older["timestamp.json"], ["a clock"], inside("meta", **{"snapshot.json": length_and_hash})
    )
    yield "a newer timestamp of an older snapshot", older, "second", "rollback"
    yield "a newer snapshot of an older targets file", repository(document(), 21), "second", "rollback"
    yield "a day that goes back", repository(document(3, issued_day=DAY), 30), "second", "rollback"


def _mixed() -> Iterator[Row]:
    yield "no file at all", {}, "", "missing_file"
    for kind in ("timestamp", "snapshot", "targets", "roster"):
        yield f"no {kind}", without(SECOND, kind), "first", "missing_file"
    yield "a root is missing", without(ROTATED, "1.root"), "", "missing_file"
    late = signed_file(root_part(3, "acd"), stewards_of("ac"))
    yield (
        "a root is passed over",
        {**without(ROTATED, "2.root"), "3.root.json": late},
        "first",
        "missing_file",
    )
    other = repository(document(2), 20)
    yield (
        "a timestamp with the snapshot of another",
        put(SECOND, snapshot=other["20.snapshot.json"]),
        "first",
        "mixed_files",
    )
    yield (
        "a snapshot with the targets file of another",
        put(SECOND, targets=other["2.targets.json"]),
        "first",
        "mixed_files",
    )
    yield (
        "a version that is not that of the name",
        put(SECOND, targets=FIRST["1.targets.json"]),
        "first",
        "mixed_files",
    )
    yield "a root under another number", {**ROTATED, "2.root.json": ROOT}, "first", "mixed_files"
    body = raw_json(document(2))
    yield "another roster.json", put(SECOND, roster=body), "first", "mixed_files"
    yield (
        "a roster.json that does not end",
        put(SECOND, roster=raw_json(document(2, members=with_member(0, name="A" * 64))) * 2),
        "first",
        "mixed_files",
    )
    yield "a document of another version", repository(document(2), 20, version=3), "first", "mixed_files"
    yield (
        "a document with other stewards than the root",
        repository(document(council="acd"), 10),
        "",
        "mixed_files",
    )
    yield (
        "a document of another consortium",
        repository(document(2, consortium="0" * 64), 20),
        "first",
        "wrong_consortium",
    )
    for kind, limit in (("timestamp", 4_096), ("snapshot", 4_096), ("targets", 16_384), ("root", 32_768)):
        yield (
            f"a {kind} of more than {limit:,} bytes",
            put(FIRST, **{kind: b" " * (limit + 1)}),
            "",
            "too_large",
        )
    yield "a roster.json of more than 262,144 bytes", put(FIRST, roster=b" " * 262_145), "", "too_large"
    yield "a file with another name", {**FIRST, "mirrors.json": b"{}"}, "", "bad_frame"


def _keys() -> Iterator[Row]:
    alone = repository(document(2), 20, targets_by=["a steward"])
    yield "targets by one steward of two", alone, "first", "below_threshold"
    yield (
        "targets by clocks",
        repository(document(2), 20, targets_by=["a clock", "b clock"]),
        "first",
        "below_threshold",
    )
    yield (
        "a timestamp by a steward",
        repository(document(2), 20, clock="a steward"),
        "first",
        "below_threshold",
    )
    yield "a timestamp by nobody", repository(document(2), 20, clock="nobody"), "first", "below_threshold"
    gone = repository(
        document(3, council="acd"), 30, roots=(ROOT, ROOT_2), targets_by=stewards_of("cd"), clock="b clock"
    )
    yield "a timestamp by the clock of a steward who left", gone, "first", "below_threshold"
    gone = repository(
        document(3, council="acd"), 30, roots=(ROOT, ROOT_2), targets_by=stewards_of("ab"), clock="a clock"
    )
    yield "targets by a steward who left", gone, "first", "below_threshold"
    for name, by in (("the old", "ab"), ("the new", "cd")):
        new = signed_file(root_part(2, "acd"), stewards_of(by))
        files = repository(
            document(3, council="acd"), 30, roots=(ROOT, new), targets_by=stewards_of("cd"), clock="c clock"
        )
        outcome: str | Case = "below_threshold"
        yield f"a root by enough of {name} council only", files, "first", outcome
    yield (
        "a first root by one of two",
        put(FIRST, root=signed_file(root_part(), stewards_of("a"))),
        "",
        "below_threshold",
    )
    flipped = json.loads(SECOND["2.targets.json"])
    flipped["signatures"][0]["sig"] = ("0" if flipped["signatures"][0]["sig"][0] != "0" else "1") + flipped[
        "signatures"
    ][0]["sig"][1:]
    yield "a changed signature", _resealed(SECOND, targets=raw_json(flipped)), "first", "below_threshold"
    once = json.loads(again(SECOND["2.targets.json"], ["a steward"], dict))
    thrice = raw_json({**once, "signatures": once["signatures"] * 3})
    yield "one steward's signature three times", _resealed(SECOND, targets=thrice), "first", "bad_shape"
    yield (
        "no signature",
        _resealed(SECOND, targets=again(SECOND["2.targets.json"], [], dict)),
        "first",
        "below_threshold",
    )
    yield from _bad_keys()


def _bad_keys() -> Iterator[Row]:
    part = root_part()
    three = {str(number) * 64: key_value(public("a steward")) for number in (1, 2, 3)}
    roles = {role: {"keyids": sorted(three), "threshold": 2} for role in ("root", "targets")}
    thrice = {**part, "keys": {**part["keys"], **three}, "roles": {**part["roles"], **roles}}
    yield "one key under three ids", _rooted(thrice, "a"), "", "bad_key"
    for role, names in (("root", "steward"), ("timestamp", "clock")):
        forged = json.loads(
            json.dumps(part)
            .replace(public(f"a {names}"), IDENTITY)
            .replace(key_id(public(f"a {names}")), key_id(IDENTITY))
        )
        for entry in forged["roles"].values():
            entry["keyids"].sort()
        signatures = json.loads(signed_file(forged, stewards_of("bc")))["signatures"]
        signatures = sorted(
            [*signatures, {"keyid": key_id(IDENTITY), "sig": FORGED}], key=lambda item: item["keyid"]
        )
        files = put(FIRST, root=raw_json({"signatures": signatures, "signed": forged}))
        yield f"a key of small order for {role}, with the signature that fits all", files, "", "bad_key"
        second = json.loads(json.dumps(forged))
        second["version"] = 2
        new = signed_file(second, stewards_of("bc"))
        files = {**without(ROTATED, "2.root"), "2.root.json": new}
        yield f"a later root that brings a key of small order for {role}", files, "first", "bad_key"
    other = inside("keys", key_id(public("a steward")), scheme="ecdsa-sha2-nistp256", keytype="ecdsa")
    yield (
        "a key of another algorithm",
        put(FIRST, root=again(ROOT, stewards_of("ab"), other)),
        "",
        "unknown_algorithm",
    )
    other = inside("keys", key_id(public("a steward")), scheme="ed448", keytype="ed448")
    yield (
        "a key of an algorithm that nobody knows",
        put(FIRST, root=again(ROOT, stewards_of("ab"), other)),
        "",
        "unknown_algorithm",
    )


def _rooted(part: Value, by: str) -> Files:
    return put(FIRST, root=signed_file(part, stewards_of(by)))


def _resealed(files: Files, *, targets: bytes) -> Files:
    """The files with another targets file, and a snapshot and a timestamp that name it."""
    version = json.loads(files["timestamp.json"])["signed"]["version"]
    name = next(name for name in files if "targets" in name)
    named = {"targets.json": meta(json.loads(targets)["signed"]["version"], targets)}
    snapshot = signed_file({**common("snapshot", version), "meta": named}, ["a clock"])
    timestamp = signed_file(
        {**common("timestamp", version), "meta": {"snapshot.json": meta(version, snapshot)}}, ["a clock"]
    )
    return {**files, name: targets, f"{version}.snapshot.json": snapshot, "timestamp.json": timestamp}


def _unforeseen() -> Iterator[Row]:
    note = setting(note="x")
    first_key, first_clock = key_id(public("a steward")), key_id(public("a clock"))
    both = stewards_of("ab")
    in_root: list[tuple[str, Edit, str]] = [
        ("in a root", note, "bad_shape"),
        ("in a key", inside("keys", first_key, note="x"), "bad_shape"),
        ("in the value of a key", inside("keys", first_key, "keyval", note="x"), "bad_shape"),
        ("in a role", inside("roles", "snapshot", note="x"), "bad_shape"),
    ]
    for where, edit, refusal in in_root:
        yield f"an unknown field {where}", put(FIRST, root=again(ROOT, both, edit)), "", refusal
    for kind, path in (("timestamp", "snapshot.json"), ("snapshot", "targets.json")):
        yield f"an unknown field in a {kind}", repository(document(), 10, edits={kind: note}), "", "bad_shape"
        edit = inside("meta", path, note="x")
        yield (
            f"an unknown field in what a {kind} names",
            repository(document(), 10, edits={kind: edit}),
            "",
            "bad_shape",
        )
    yield "an unknown field in targets", repository(document(), 10, edits={"targets": note}), "", "bad_shape"
    edit = inside("targets", "roster.json", custom={"note": "x"})
    yield "an unknown field of a target", repository(document(), 10, edits={"targets": edit}), "", "bad_shape"
    yield (
        "an unknown field beside what is signed",
        put(FIRST, timestamp=edited(FIRST["timestamp.json"], note)),
        "",
        "bad_shape",
    )
    edit = inside("signatures", 0, note="x")
    yield (
        "an unknown field in a signature",
        put(FIRST, timestamp=edited(FIRST["timestamp.json"], edit)),
        "",
        "bad_shape",
    )
    edit = setting(delegations={"keys": {}, "roles": []})
    yield "delegations", repository(document(), 10, edits={"targets": edit}), "", "bad_shape"
    edit = inside(
        "targets", **{"other.json": json.loads(FIRST["1.targets.json"])["signed"]["targets"]["roster.json"]}
    )
    yield "a second target", repository(document(), 10, edits={"targets": edit}), "", "bad_shape"
    edit = inside("meta", **{"other.json": meta(1, b"x")})
    yield "a second file in a snapshot", repository(document(), 10, edits={"snapshot": edit}), "", "bad_shape"
    timestamp = FIRST["timestamp.json"]
    yield "a space", put(FIRST, timestamp=timestamp.replace(b":", b": ", 1)), "", "not_canonical"
    twice = timestamp.replace(b'"spec_version":"1.0"', b'"spec_version":"1.0","spec_version":"1.0"')
    yield "a field twice", put(FIRST, timestamp=twice), "", "not_canonical"
    yield "a byte after the end", put(FIRST, timestamp=timestamp + b"\n"), "", "not_canonical"
    yield "no JSON", put(FIRST, timestamp=b"{"), "", "not_canonical"
    yield (
        "a snapshot in the place of a timestamp",
        put(FIRST, timestamp=FIRST["10.snapshot.json"]),
        "",
        "bad_shape",
    )
    swapped = json.loads(ROOT)
    swapped["signatures"].reverse()
    yield "signatures not in order", put(FIRST, root=raw_json(swapped)), "", "bad_field"
    fields: list[tuple[str, Edit]] = [
        ("consistent_snapshot false", setting(consistent_snapshot=False)),
        ("another specification", setting(spec_version="1.0.31")),
        ("a threshold of half", lambda part: _thresholds(part, 1)),
        ("a threshold above the stewards", lambda part: _thresholds(part, 4)),
        ("targets by others than root", inside("roles", "targets", threshold=3)),
        ("two clocks for a timestamp", inside("roles", "timestamp", threshold=2)),
        ("a key of no role", inside("keys", **{key_id(public("x")): key_value(public("x"))})),
        ("a role without its key", inside("keys", **{first_clock: None})),
    ]
    beyond = put(FIRST, root=again(ROOT, both, setting(version=2**53)))
    yield "a version beyond all", beyond, "", "bad_value"
    for what in ("keyid", "sig"):
        numbered = json.loads(ROOT)
        numbered["signatures"][1][what] = 7
        yield f"a number as {what}", put(FIRST, root=raw_json(numbered)), "", "bad_shape"
    for name, edit in fields:
        yield (
            name,
            put(FIRST, root=again(ROOT, both, edit)),
            "",
            "bad_field",
        )
    for kind, path, file in (
        ("timestamp", "meta", "snapshot.json"),
        ("snapshot", "meta", "targets.json"),
        ("targets", "targets", "roster.json"),
    ):
        for what, given, refusal in (
            ("no hash", {"hashes": {}}, "bad_shape"),
            ("another hash", {"hashes": {"sha512": "ab" * 64}}, "bad_shape"),
            ("a length of 0", {"length": 0}, "bad_field"),
            ("a hash in capitals", {"hashes": {"sha256": "AB" * 32}}, "bad_field"),
        ):
            edit = inside(path, file, **given)
            yield f"{what} in a {kind}", repository(document(), 10, edits={kind: edit}), "", refusal


def _thresholds(part: Value, threshold: int) -> Value:
    for role in ("root", "targets"):
        part["roles"][role]["threshold"] = threshold
    return part


def _succession() -> Iterator[Row]:
    def after(version: int = 2, **fields: object) -> Files:
        return repository(document(version, **fields), 20 + version)

    listed = document()["members"]
    newer = {"key": public("a record 2"), "from_seq": 7}
    keys = [*listed[0]["record_keys"], newer]
    yield "a member suspended", after(members=with_member(1, state="suspended")), "first", _taken(2, 1, 22)
    yield "a new record key", after(members=with_member(0, record_keys=keys)), "first", _taken(2, 1, 22)
    yield (
        "a new node key",
        after(members=with_member(0, node_key=public("a node 2"))),
        "first",
        _taken(2, 1, 22),
    )
    yield "rulings", after(rulings=RULINGS), "first", _taken(2, 1, 22)
    yield "another roster of the same version", after(1, catalogue="4" * 64), "first", "roster_fork"
    yield "a member gone unremoved", after(members=listed[:3]), "first", "member_changed"
    yield "a member gone when versions were skipped", after(3, members=listed[:3]), "first", _taken(3, 1, 23)
    yield (
        "a member in another group",
        after(members=with_member(0, group="elsewhere")),
        "first",
        "member_changed",
    )
    stranger = changed(listed[3], record_keys=[{"key": public("f record"), "from_seq": 1}], id=member("f").id)
    yield "another first record key", after(members=[*listed[:3], stranger]), "first", "member_changed"
    founder = members.member_value(member("e", since=1, since_day=DAY))
    yield "a new member as a founder", after(members=[*listed, founder]), "first", "member_changed"


def _refused_documents() -> Iterator[tuple[str, Value, str]]:
    good = document()
    listed = good["members"]

    def with_first(**fields: object) -> Value:
        return document(members=with_member(0, **fields))

    key = listed[0]["record_keys"][0]
    yield "an unknown field", {**good, "note": "x"}, "bad_shape"
    yield "a member with an unknown field", with_first(mail="x"), "bad_shape"
    yield "no members", document(members=[]), "bad_field"
    yield "a member twice", document(members=[*listed, listed[0]]), "bad_field"
    yield "one node key twice", with_first(node_key=listed[1]["node_key"]), "bad_field"
    yield "a node key of small order", with_first(node_key=IDENTITY), "bad_key"
    yield (
        "a record key of small order",
        with_first(record_keys=[key, {"key": IDENTITY, "from_seq": 2}]),
        "bad_key",
    )
    yield "a record key that is the node key", with_first(node_key=key["key"]), "bad_key"
    yield "no record key", with_first(record_keys=[]), "bad_field"
    yield "a first record key from segment 2", with_first(record_keys=[changed(key, from_seq=2)]), "bad_field"
    later = {"key": public("x"), "from_seq": 1}
    yield "record keys that do not ascend", with_first(record_keys=[key, later]), "bad_field"
    yield "an id of another key", with_first(id="0" * 32), "bad_field"
    yield "a group with a space", with_first(group="group a"), "bad_field"
    yield "an upper-case group", with_first(group="Group"), "bad_field"
    yield "another class", with_first(**{"class": "owner"}), "bad_field"
    yield "another state", with_first(state="away"), "bad_field"
    yield "an address without a port", with_first(addresses=["/ip4/192.0.2.1"]), "bad_field"
    yield "five addresses", with_first(addresses=[f"/ip4/192.0.2.{n}/tcp/1" for n in range(5)]), "bad_field"
    yield "a member since a later version", with_first(since=2), "bad_field"
    yield "a member since another day", with_first(since_day=DAY - 1), "bad_field"
    yield "no steward", document(council=""), "bad_field"
    yield "a steward twice", document(council="aab"), "bad_field"
    yield "a steward who is no member", document(council="abx"), "bad_field"
    yield "a steward's key that is a member's", document_with_key(public("a node")), "bad_field"
    yield "a steward's key of small order", document_with_key(IDENTITY), "bad_key"
    for name, rulings, refusal in _refused_rulings():
        yield name, document(rulings=rulings), refusal


def _refused_rulings() -> Iterator[tuple[str, list[Value], str]]:
    yield "no rulings in a list", [], "bad_field"
    many = [review(f"{number:064x}") for number in range(129)]
    yield "129 rulings", many, "bad_field"
    yield "rulings that do not ascend", [review("6" * 64), review()], "bad_field"
    yield "two rulings about one record", [ruling(), ruling("stands")], "bad_field"
    yield "a ruling of the day after", [ruling(day=DAY + 1)], "bad_field"
    yield "a ruling with a reason", [{**ruling(), "reason": "x"}], "bad_shape"
    yield "another kind of ruling", [ruling("true")], "bad_field"
    yield "a ruling about nobody's record", [{**ruling(), "author": ""}], "bad_field"
    yield "a ruling about a subject as a record", [ruling(of="pkg:npm/name")], "bad_field"
    yield "a review of somebody", [{**review(), "author": member("a").id}], "bad_field"
    yield "a review of a private host", [review("pkg:docker/host.example/name")], "bad_field"


def document_with_key(key: str) -> Value:
    """Give a document whose first steward has this key."""
    value = document()
    value["council"][0]["steward_key"] = key
    return value
