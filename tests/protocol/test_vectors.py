"""The vectors that another implementation can run, run against this one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from ioint_node import membership
from ioint_protocol import canonical, envelope, keys, pattern, records, roster, segment, sync
from ioint_protocol.errors import REFUSALS, ProtocolError
from ioint_protocol.limits import LIMITS
from ioint_taxonomy import Step, Taxonomy

VECTORS = Path(__file__).parents[2] / "protocol" / "vectors"
Case = dict[str, Any]


def load(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="ascii"))
    return value


def cases(name: str, part: str = "cases") -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in load(name)[part]]


def holds(case: Case, run: Callable[[], object]) -> bool:
    """Run a case; True when it is one that is accepted."""
    if "refusal" not in case:
        run()
        return True
    with pytest.raises(ProtocolError) as caught:
        run()
    assert caught.value.name == case["refusal"]
    return False


def test_the_script_writes_the_files_that_are_there() -> None:
    done = subprocess.run(
        [sys.executable, str(VECTORS / "make_vectors.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", cases("canonical"))
def test_canonical_bytes(case: Case) -> None:
    data = bytes.fromhex(case["bytes"])
    if holds(case, lambda: canonical.decode(data)):
        assert canonical.decode(data) == case["value"]
        assert canonical.encode(case["value"]) == data


def test_content_ids() -> None:
    for case in load("ids")["contents"]:
        assert canonical.content_id(case["kind"], bytes.fromhex(case["bytes"])) == case["id"]


def test_key_ids() -> None:
    for case in load("ids")["keys"]:
        raw = bytes.fromhex(case["key"])
        assert keys.key_id(raw).hex() == keys.member_id(raw) == case["key_id"]
        assert keys.peer_id(raw) == case["peer_id"]


@pytest.mark.parametrize("case", cases("signatures"))
def test_signatures(case: Case) -> None:
    key, body, signature = (bytes.fromhex(case[name]) for name in ("key", "body", "signature"))
    holds(case, lambda: envelope.verify(key, case["type"], body, signature))
    if "pae" in case:
        assert envelope.pae(case["type"], body).hex() == case["pae"]


@pytest.mark.parametrize("case", cases("signatures", "keys"))
def test_keys_that_are_admitted(case: Case) -> None:
    holds(case, lambda: keys.check_public_key(bytes.fromhex(case["key"])))


@pytest.mark.parametrize("case", cases("records"))
def test_records(case: Case) -> None:
    body = case["body"].encode("ascii")
    if holds(case, lambda: records.decode_record(body)):
        assert records.record_id(body) == case["id"]
        record = records.decode_record(body)
        if isinstance(record, records.Unread):
            assert record.v == case["unread"]
        else:
            assert records.encode_record(record) == body


def roster_files(case: Case) -> dict[str, bytes]:
    contents = load("rosters")["contents"]
    blank = {name: b" " * count for name, count in case.get("spaces", {}).items()}
    return {name: contents[place].encode("ascii") for name, place in case["given"].items()} | blank


def trusted_roster(name: str | None) -> membership.Membership | None:
    given = load("rosters")["trusted"].get(name)
    return None if given is None else membership.follow(None, roster_files({"given": given}))


@pytest.mark.parametrize("case", cases("rosters"))
def test_rosters(case: Case) -> None:
    def follow() -> membership.Membership:
        trusted = trusted_roster(case.get("trusted"))
        return membership.follow(trusted, roster_files(case), consortium=case.get("pinned"))

    if holds(case, follow):
        found = follow()
        assert found.roster.consortium == load("rosters")["consortium"]
        assert (found.roster.version, found.versions.root, found.versions.timestamp) == (
            case["version"],
            case["root"],
            case["timestamp"],
        )


@pytest.mark.parametrize("case", cases("rosters", "documents"))
def test_documents_of_rosters(case: Case) -> None:
    document = case["document"].encode("ascii")
    if holds(case, lambda: roster.decode_roster(document)):
        assert roster.encode_roster(roster.decode_roster(document)) == document


def the_roster() -> roster.Roster:
    return roster.decode_roster(load("segments")["roster"].encode("ascii"))


@pytest.mark.parametrize("case", cases("segments"))
def test_segments(case: Case) -> None:
    wire = bytes.fromhex(case["wire"]) + bytes(case.get("zeros", 0))
    by = the_roster()

    def verify() -> segment.VerifiedSegment:
        return segment.verify_segment(segment.parse_segment(wire), by.consortium, by)

    if holds(case, verify):
        assert verify().head == case["head"]
        assert [record.id for record in verify().records] == case["records"]


@pytest.mark.parametrize("case", cases("segments", "proofs"))
def test_proofs_of_equivocation(case: Case) -> None:
    proof = bytes.fromhex(case["proof"])
    by = the_roster()
    if holds(case, lambda: segment.verify_equivocation(proof, by.consortium, by)):
        assert segment.verify_equivocation(proof, by.consortium, by) == (case["author"], case["seq"])


@pytest.mark.parametrize("case", cases("segments", "inclusions"))
def test_proofs_of_inclusion(case: Case) -> None:
    proof = bytes.fromhex(case["proof"])
    by = the_roster()
    if holds(case, lambda: segment.verify_inclusion(proof, by.consortium, by)):
        found = segment.verify_inclusion(proof, by.consortium, by)
        assert (found.author, found.seq, found.index, found.record.id) == (
            case["author"],
            case["seq"],
            case["index"],
            case["id"],
        )


def test_tree_hashes() -> None:
    for case in load("segments")["trees"]:
        assert segment.merkle_root([b"%d" % leaf for leaf in case["leaves"]]).hex() == case["root"]


@pytest.mark.parametrize("case", cases("patterns", "patterns"))
def test_patterns(case: Case) -> None:
    if holds(case, lambda: pattern.parse_pattern(case["pattern"])):
        assert pattern.pattern_value(pattern.parse_pattern(case["pattern"])) == case["pattern"]
        assert pattern.pattern_id(case["pattern"]) == case["id"]


@pytest.mark.parametrize("case", cases("patterns", "special_cases"))
def test_special_cases(case: Case) -> None:
    special, general = pattern.parse_pattern(case["special"]), pattern.parse_pattern(case["general"])
    assert pattern.implies(special, general, vocabulary()) == bool(case["implied"])


@pytest.mark.parametrize("case", cases("patterns", "canonical"))
def test_canonical_forms(case: Case) -> None:
    form = pattern.canonical_form(pattern.parse_pattern(case["pattern"]), vocabulary())
    assert pattern.pattern_value(form) == case["canonical"]


def vocabulary() -> Taxonomy:
    """The vocabulary of the vectors of patterns."""
    return Taxonomy(
        version="2026.11",
        digest="0" * 64,
        layers=(),
        intents={},
        families={},
        resource_classes={},
        provenances=(),
        data_kinds=(),
        **load("patterns")["vocabulary"],
    )


@pytest.mark.parametrize("case", cases("patterns", "sessions"))
def test_what_sessions_complete(case: Case) -> None:
    matcher = pattern.Matcher({"it": pattern.parse_pattern(case["pattern"])}, vocabulary())
    state = matcher.start(tuple(case["families"]))
    completed = []
    for value in case["steps"]:
        step = dict(value)
        outside = bool(step.pop("outside", 0))
        step["flow"] = tuple(step.get("flow", ()))
        state, now = matcher.advance(state, Step(**step), outside)
        completed.append(len(now))
    assert completed == case["completed"]


def read_message(name: str, data: bytes) -> object:
    decode: dict[str, Callable[[bytes], object]] = {
        "push_answer": sync.decode_push_answer,
        "heads_request": sync.decode_heads_request,
        "heads_answer": sync.decode_heads_answer,
        "pull_request": sync.decode_pull_request,
        "pull_answer": sync.decode_pull_answer,
        "announcement": sync.decode_announcement,
        "proof_request": sync.decode_proof_request,
        "proof_answer": sync.decode_proof_answer,
        "roster_request": sync.decode_roster_request,
        "roster_answer": partial(sync.decode_roster_answer, asker=sync.RosterVersions()),
    }
    return decode[name](data)


@pytest.mark.parametrize("case", load("messages")["cases"])
def test_messages(case: Case) -> None:
    data = bytes.fromhex(case["bytes"])
    accepted = holds(case, lambda: read_message(case["message"], data))
    if accepted and "value" in case:
        assert canonical.encode(case["value"]) == data
    if accepted and "wires" in case:
        wires = cast("tuple[bytes, ...]", read_message(case["message"], data))
        assert [wire.hex() for wire in wires] == case["wires"]


def test_every_refusal_has_a_vector() -> None:
    named = set()
    for path in VECTORS.glob("*.json"):
        for part in json.loads(path.read_text(encoding="ascii")).values():
            named |= (
                {case["refusal"] for case in part if "refusal" in case} if isinstance(part, list) else set()
            )
    assert named == REFUSALS


def test_every_refusal_is_in_the_specification() -> None:
    text = (VECTORS.parent / "SPEC.md").read_text(encoding="utf-8")
    assert {name for name in REFUSALS if f"`{name}`" not in text} == set()


def test_every_protocol_is_in_the_specification() -> None:
    text = (VECTORS.parent / "SPEC.md").read_text(encoding="utf-8")
    assert [name for name in sync.PROTOCOLS if f"| `{name}` |" not in text] == []


def test_the_consortium_is_the_hash_of_what_its_first_root_signs() -> None:
    vectors = load("rosters")
    root = json.loads(vectors["contents"][vectors["trusted"]["first"]["1.root.json"]])
    signed = json.dumps(root["signed"], sort_keys=True, separators=(",", ":")).encode()
    assert vectors["consortium"] == hashlib.sha256(signed).hexdigest()


def test_every_limit_is_in_the_specification() -> None:
    text = (VECTORS.parent / "SPEC.md").read_text(encoding="utf-8")
    rows = [f"| `{item.name}` | {getattr(LIMITS, item.name):,} |" for item in fields(LIMITS)]
    assert [row for row in rows if row not in text] == []
