"""Vectors without signatures: canonical bytes, ids, records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ioint_protocol import canonical, keys, records
from seeds import DAY, Case, changed, raw_json, seeded


def make_canonical() -> Case:
    """Values and their bytes, and bytes that are no value's."""
    values: list[tuple[str, Any]] = [
        ("empty object", {}),
        ("sorted keys", {"b": 1, "a": [2, "x"], "B": {}}),
        ("largest integers", [2**53 - 1, -(2**53) + 1, 0]),
        ("escapes", ['"', "\\", "/", " ~"]),
        ("eight deep", [[[[[[[[]]]]]]]]),
    ]
    refused: list[tuple[str, bytes, str]] = [
        ("empty", b"", "not_canonical"),
        ("not JSON", b"{", "not_canonical"),
        ("two values", b"1 2", "not_canonical"),
        ("a space", b'{"a": 1}', "not_canonical"),
        ("a final newline", b"{}\n", "not_canonical"),
        ("unsorted keys", b'{"b":1,"a":2}', "not_canonical"),
        ("a key twice", b'{"a":1,"a":2}', "not_canonical"),
        ("a key twice with one value", b'{"a":1,"a":1}', "not_canonical"),
        ("an escape that is not needed", b'"\\u0041"', "not_canonical"),
        ("an escaped slash", b'"\\/"', "not_canonical"),
        ("minus zero", b"-0", "not_canonical"),
        ("a byte order mark", b"\xef\xbb\xbf{}", "not_canonical"),
        ("no UTF-8", b'"\xff"', "not_canonical"),
        ("a leading zero", b"01", "not_canonical"),
        ("a float", b"1.5", "bad_value"),
        ("an integer as a float", b"1.0", "bad_value"),
        ("an exponent", b"1e3", "bad_value"),
        ("an exponent beyond all doubles", b"1e400", "not_canonical"),
        ("an integer beyond all doubles", b"1" + b"0" * 400, "bad_value"),
        ("true", b'{"a":true}', "bad_value"),
        ("null", b"[null]", "bad_value"),
        ("2^53", b"9007199254740992", "bad_value"),
        ("-2^53", b"-9007199254740992", "bad_value"),
        ("2^64", b"18446744073709551616", "bad_value"),
        ("beyond ASCII", '"\u00e9"'.encode(), "bad_value"),
        ("a control character", b'"\\n"', "bad_value"),
        ("delete", b'"\x7f"', "bad_value"),
        ("a key beyond ASCII", '{"\u00e9":1}'.encode(), "bad_value"),
        ("nine deep", b"[" * 9 + b"]" * 9, "bad_value"),
    ]
    cases: list[Case] = [
        {"name": name, "value": value, "bytes": canonical.encode(value).hex()} for name, value in values
    ]
    cases += [{"name": name, "bytes": data.hex(), "refusal": refusal} for name, data, refusal in refused]
    return {
        "about": "canonical bytes: decode(bytes) gives value, and encode(value) gives bytes",
        "cases": cases,
    }


def make_ids() -> Case:
    """Content ids, member ids and peer ids."""
    contents = [
        {"name": f"a {kind}", "kind": kind, "bytes": b"{}".hex(), "id": canonical.content_id(kind, b"{}")}
        for kind in ("record", "pattern", "heads")
    ]
    named = []
    for name in ("a", "b", "c"):
        raw = bytes(seeded(name).verify_key)
        named.append(
            {"name": name, "key": raw.hex(), "key_id": keys.key_id(raw).hex(), "peer_id": keys.peer_id(raw)}
        )
    return {
        "about": "ids of canonical bytes, and of Ed25519 public keys",
        "contents": contents,
        "keys": named,
    }


PATTERN = {
    "declared": ["customer_support"],
    "gaps": 1,
    "steps": [{"p": ["third_party_content"], "v": ["@observe"]}, {"f": [0], "s": 2, "v": ["send"], "x": 1}],
}
REPORT: Mapping[str, Any] = {
    "v": 1,
    "tax": "2026.11",
    "kind": "pattern",
    "pat": "5" * 64,
    "intents": ["data_exfiltration", "indirect_injection"],
    "basis": "threshold",
    "bad": 0,
    "seen": 1,
    "agents": 0,
    "day_from": DAY - 3,
    "day_until": DAY,
    "det": "d" * 64,
    "tlp": "amber",
    "fps": [{"scheme": "url_v1", "epoch": 12, "mac": "0" * 32}],
}
SUBJECT = changed(REPORT, kind="subject", pat=None, subj="pkg:npm/%40scope/name@1.0.2")
SIGHTING: Mapping[str, Any] = {"v": 1, "of": "a" * 64, "seen": 3, "day": DAY}
DISPUTE: Mapping[str, Any] = {"v": 1, "of": "a" * 64, "reason": "false_positive", "day": DAY}
WITHDRAWAL: Mapping[str, Any] = {"v": 1, "of": "a" * 64, "reason": "mistake"}


def make_records() -> Case:
    """Record bodies with their ids, and bodies that are refused."""
    accepted: list[tuple[str, Mapping[str, Any]]] = [
        ("a report of a catalogue pattern", REPORT),
        ("a report of a novel pattern", changed(REPORT, pat=PATTERN, basis="analyst")),
        ("a report of a subject", SUBJECT),
        ("an intent of a later taxonomy", changed(REPORT, intents=["not_yet_known"])),
        ("no intents, no fingerprints", changed(REPORT, intents=[], fps=[])),
        ("a sighting", SIGHTING),
        ("a dispute", DISPUTE),
        ("a withdrawal", WITHDRAWAL),
    ]
    subjects = (
        "pkg:pypi/name",
        "pkg:docker/name@1.2",
        "pkg:github/owner/name",
        "pkg:huggingface/owner/name",
        "pkg:cargo/Name",
    )
    accepted += [(f"subject {subject}", changed(SUBJECT, subj=subject)) for subject in subjects]
    cases: list[Case] = []
    for name, value in accepted:
        body = records.encode_record(records.decode_record(raw_json(value)))
        cases.append({"name": name, "body": body.decode(), "id": records.record_id(body)})
    for name, value in (
        ("a later version", changed(SIGHTING, v=2)),
        ("a later version with other fields", {"v": 3, "new": [{"x": "y"}]}),
    ):
        body = raw_json(value)
        version = records.decode_record(body).v
        cases.append({"name": name, "body": body.decode(), "id": records.record_id(body), "unread": version})
    refused = [*_refused_shapes(), *_refused_fields()]
    cases += [
        {"name": name, "body": raw_json(value).decode(), "refusal": refusal}
        for name, value, refusal in refused
    ]
    too_long = raw_json(changed(REPORT, det="d" * 2_048)).decode()
    cases.append({"name": "more than 2,048 bytes", "body": too_long, "refusal": "too_large"})
    cases.append({"name": "a space", "body": raw_json(SIGHTING).decode() + " ", "refusal": "not_canonical"})
    about = (
        "record bodies: id of those accepted, `unread` where their version is later; refusal of the others"
    )
    return {"about": about, "cases": cases}


def _refused_shapes() -> Iterable[tuple[str, Any, str]]:
    yield "not an object", [REPORT], "bad_shape"
    yield "empty", {}, "bad_shape"
    yield "an unknown field", changed(REPORT, note="x"), "bad_shape"
    yield "a field missing", changed(REPORT, det=None), "bad_shape"
    yield "a pattern and a subject", changed(REPORT, subj="pkg:pypi/name"), "bad_shape"
    yield "a subject under the kind pattern", changed(SUBJECT, kind="pattern"), "bad_shape"
    yield "a dispute with a count", changed(DISPUTE, seen=1), "bad_shape"
    yield "a bucket as text", changed(REPORT, bad="0"), "bad_shape"
    yield "intents as text", changed(REPORT, intents="harm"), "bad_shape"
    yield "a flag", changed(REPORT, bad=True), "bad_value"
    yield (
        "a fingerprint with a plain value",
        changed(REPORT, fps=[{**REPORT["fps"][0], "value": "x"}]),
        "bad_shape",
    )


def _refused_fields() -> Iterable[tuple[str, Any, str]]:
    yield "version 0", changed(SIGHTING, v=0), "bad_field"
    yield "a version as text", changed(SIGHTING, v="2"), "bad_shape"
    yield "another kind", changed(REPORT, kind="person"), "bad_field"
    yield "another basis", changed(REPORT, basis="hunch"), "bad_field"
    yield "another label", changed(REPORT, tlp="white"), "bad_field"
    yield "another reason", changed(DISPUTE, reason="because"), "bad_field"
    yield "a bucket of 2^31", changed(REPORT, seen=31), "bad_field"
    yield "a negative bucket", changed(SIGHTING, seen=-1), "bad_field"
    yield "more flagged than seen", changed(REPORT, bad=2), "bad_field"
    yield "more agents than sessions", changed(REPORT, agents=2), "bad_field"
    yield "from after until", changed(REPORT, day_from=DAY + 1), "bad_field"
    yield "31 days", changed(REPORT, day_from=DAY - 31), "bad_field"
    yield "an intent in prose", changed(REPORT, intents=["Data exfiltration"]), "bad_field"
    yield "intents unsorted", changed(REPORT, intents=["b", "a"]), "bad_field"
    yield "an intent twice", changed(REPORT, intents=["a", "a"]), "bad_field"
    yield "nine intents", changed(REPORT, intents=[f"i{n}" for n in range(9)]), "bad_field"
    yield "a short id", changed(SIGHTING, of="a" * 63), "bad_field"
    yield "an upper-case id", changed(SIGHTING, of="A" * 64), "bad_field"
    yield "a pattern in prose", changed(REPORT, pat="reads mail, then pays"), "bad_field"
    yield "a malformed pattern", changed(REPORT, pat={"gaps": 1, "steps": []}), "bad_pattern"
    yield "a long fingerprint", changed(REPORT, fps=[{**REPORT["fps"][0], "mac": "0" * 64}]), "bad_field"
    yield "a fingerprint twice", changed(REPORT, fps=[REPORT["fps"][0]] * 2), "bad_field"
    for subject in (
        "name",
        "pkg:generic/name",
        "pkg:npm/name?repository_url=x",
        "pkg:npm/name#path",
        "pkg:pypi/My_Name",
        "pkg:docker/team/more/name",
        "pkg:docker/images.example/name",
        "pkg:github/owner",
    ):
        yield f"subject {subject}", changed(SUBJECT, subj=subject), "bad_field"
