"""What members say to one another, and what a node asks for."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_protocol import ProtocolError, bundle, frame, sync
from ioint_protocol.limits import LIMITS
from ioint_protocol.sync import PushAnswer, Range, missing

authors = st.sampled_from([letter * 32 for letter in "abcd"])
heads = st.tuples(st.integers(1, 9), st.sampled_from(["1" * 64, "2" * 64]))
honest_vectors = st.dictionaries(authors, heads)
vectors = st.dictionaries(authors, heads | st.just(sync.CONVICTED))


@given(vectors)
def test_equal_vectors_are_answered_by_same(vector: sync.Vector) -> None:
    have = sync.decode_heads_request(sync.encode_heads_request(vector))
    assert (
        sync.decode_heads_answer(sync.encode_heads_answer(dict(sorted(vector.items(), reverse=True)), have))
        is None
    )


@given(vectors)
def test_other_vectors_are_answered_in_full(vector: sync.Vector) -> None:
    assert sync.decode_heads_answer(sync.encode_heads_answer(vector, "0" * 64)) == vector


@given(st.sampled_from(sorted(sync.ANSWERS)), st.text("abc_9", max_size=64))
def test_a_push_answer_round_trips(result: str, why: str) -> None:
    answer = PushAnswer(result=result, why=why)
    assert sync.decode_push_answer(sync.encode_push_answer(answer)) == answer


@given(authors, st.integers(1, 10**9), st.integers(0, LIMITS.range_segments - 1))
def test_a_pull_request_round_trips(author: str, start: int, more: int) -> None:
    wanted = Range(author=author, from_seq=start, to_seq=start + more)
    assert sync.decode_pull_request(sync.encode_pull_request(wanted)) == wanted


def test_a_range_that_is_too_long_is_not_asked_for() -> None:
    with pytest.raises(ProtocolError, match=r"bad_field: to is 257, outside 1\.\.256"):
        sync.encode_pull_request(Range(author="a" * 32, from_seq=1, to_seq=257))


@given(st.lists(st.binary(min_size=1, max_size=200_000), max_size=4))
def test_an_answer_holds_the_first_wires_that_fit(wires: list[bytes]) -> None:
    data = sync.encode_pull_answer(wires)
    held = sync.decode_pull_answer(data)
    assert len(data) <= LIMITS.frame_bytes
    assert list(held) == wires[: len(held)]
    assert held or not wires


def test_an_answer_of_many_tiny_wires_is_refused() -> None:
    with pytest.raises(ProtocolError, match="bad_frame: more than 256 wires"):
        sync.decode_pull_answer(b"\0\0\0\1x" * 257)


@given(honest_vectors, honest_vectors)
def test_what_is_missing_is_what_the_other_has_more(own: sync.Vector, other: sync.Vector) -> None:
    wanted = {item.author: item for item in missing(own, other)}
    for author, (seq, head) in other.items():
        have, own_head = own.get(author, (0, ""))
        if seq > have:
            assert wanted.pop(author) == Range(author=author, from_seq=have + 1, to_seq=seq)
        elif seq == have and head != own_head:
            assert wanted.pop(author) == Range(author=author, from_seq=seq, to_seq=seq)
    assert wanted == {}


def test_a_long_gap_is_asked_for_one_pull_at_a_time() -> None:
    wanted = missing({}, {"a" * 32: (1_000, "1" * 64)})
    assert wanted == (Range(author="a" * 32, from_seq=1, to_seq=LIMITS.range_segments),)


def test_a_vector_of_too_many_authors_is_refused() -> None:
    many = {f"{number:032x}": (1, "1" * 64) for number in range(LIMITS.heads + 1)}
    with pytest.raises(ProtocolError, match="bad_field: 1025 heads, more than 1024"):
        sync.decode_heads_answer(sync.encode_heads_answer(many, "0" * 64))


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1))
def test_a_roster_request_round_trips(root: int, timestamp: int) -> None:
    have = sync.RosterVersions(root=root, timestamp=timestamp)
    assert sync.decode_roster_request(sync.encode_roster_request(have)) == have


def roster_files(roots: int = 2, root_bytes: int = 100, roster_bytes: int = 100) -> dict[str, bytes]:
    document = "ab" * 32 + ".roster.json"
    return {
        **{f"{version}.root.json": b"r" * root_bytes for version in range(1, roots + 1)},
        "timestamp.json": b"t",
        "9.snapshot.json": b"s",
        "3.targets.json": b"g",
        document: b"d" * roster_bytes,
    }


def answered(files: dict[str, bytes], root: int, timestamp: int) -> list[str]:
    own = sync.RosterVersions(root=sum("root" in name for name in files), timestamp=9)
    have = sync.RosterVersions(root=root, timestamp=timestamp)
    return list(sync.decode_roster_answer(sync.encode_roster_answer(files, own, have), have))


def test_a_roster_answer_gives_roots_first_and_then_the_rest() -> None:
    files = roster_files()
    assert answered(files, 0, 0) == list(files)
    assert answered(files, 1, 8) == list(files)[1:]


def test_nothing_newer_is_an_empty_answer() -> None:
    assert answered(roster_files(), 2, 9) == []


def test_with_a_newer_root_the_rest_is_given_whatever_timestamp_the_asker_has() -> None:
    assert "timestamp.json" in answered(roster_files(), 1, 2**53 - 1)


def test_what_one_frame_does_not_hold_is_left_for_the_next() -> None:
    files = roster_files(roots=12, root_bytes=32_768, roster_bytes=262_144)
    assert answered(files, 0, 0) == [f"{version}.root.json" for version in range(1, 10)]
    assert answered(files, 9, 0) == [f"{version}.root.json" for version in range(10, 13)]
    assert len(answered(files, 12, 0)) == 4


@pytest.mark.parametrize(
    "names",
    [
        ["2.root.json"],
        ["4.root.json"],
        ["3.root.json", "5.root.json"],
        ["timestamp.json"],
        [
            "timestamp.json",
            "8.snapshot.json",
            "9.snapshot.json",
            "3.targets.json",
            f"{'ab' * 32}.roster.json",
        ],
    ],
)
def test_files_that_were_not_asked_for_are_refused(names: list[str]) -> None:
    sent = b"".join(frame.block(1, name.encode()) + frame.block(4, b"x") for name in names)
    with pytest.raises(ProtocolError, match="bad_frame"):
        sync.decode_roster_answer(sent, sync.RosterVersions(root=2))


def test_more_roots_than_a_consortium_has_are_refused() -> None:
    sent = bundle.write_files({f"{LIMITS.root_versions + 1}.root.json": b"x"})
    with pytest.raises(ProtocolError, match="too_large"):
        sync.decode_roster_answer(sent, sync.RosterVersions(root=LIMITS.root_versions))


@given(st.binary(max_size=64))
def test_arbitrary_lengths_are_read_or_refused(data: bytes) -> None:
    with suppress(ProtocolError):
        assert sync.encode_pull_answer(sync.decode_pull_answer(data)) == data


@given(vectors, st.integers(0, 10**6))
def test_an_announcement_round_trips(vector: sync.Vector, roster: int) -> None:
    said = sync.Announcement(heads=vector, roster=roster)
    assert sync.decode_announcement(sync.encode_announcement(said)) == said


@given(vectors, vectors)
def test_nothing_is_asked_of_a_log_whose_author_either_side_has_convicted(
    own: sync.Vector, other: sync.Vector
) -> None:
    convicted = {a for vector in (own, other) for a, head in vector.items() if head == sync.CONVICTED}
    assert convicted.isdisjoint(wanted.author for wanted in missing(own, other))
    assert set(sync.unproven(own, other)) == {
        a for a, head in other.items() if head == sync.CONVICTED and own.get(a) != sync.CONVICTED
    }


def test_the_lag_is_the_number_of_segments_that_one_side_has_beyond_the_other() -> None:
    own = {"a" * 32: (5, "1" * 64), "b" * 32: (2, "1" * 64), "c" * 32: sync.CONVICTED}
    other = {
        "a" * 32: (9, "2" * 64),
        "b" * 32: (1, "1" * 64),
        "c" * 32: (7, "1" * 64),
        "d" * 32: (3, "1" * 64),
    }
    assert (sync.lag(own, other), sync.lag(other, own)) == (7, 1)
