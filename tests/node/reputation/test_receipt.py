"""A receipt's file: what is written is read, and nothing else is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.errors import ReceiptError
from ioint_node.reputation.gate import PARAMS, Grounds, OwnRecord, judge
from ioint_node.reputation.receipt import (
    SCHEMA,
    AnyLine,
    Closing,
    LeftOut,
    LocalLine,
    NetworkLine,
    Opening,
    Proof,
    ReceiptLimits,
    RosterFile,
    SegmentLine,
    Writer,
    first_difference,
    read,
)
from ioint_protocol.pattern import Rate

GROUNDS = Grounds(
    network="consensus",
    calibrated="consensus",
    others=True,
    first=True,
    rate=Rate(matches=1, sessions=7),
    base=None,
    own=OwnRecord(),
)
OPENING = Opening(
    schema=SCHEMA,
    subject="ab" * 32,
    consortium="c0" * 32,
    at=1,
    roster=1,
    taxonomy="2026.11",
    catalogue="ca" * 32,
)
BODY: tuple[AnyLine, ...] = (
    OPENING,
    RosterFile(name="1.root.json", body=b"{}"),
    Proof(proof=b"IOEP"),
    SegmentLine(wire=b"IOSG\x01"),
    NetworkLine(network={"tier": "consensus", "voices": [{"accusing": 3, "via": ""}]}),
    LocalLine(grounds=GROUNDS, params=PARAMS, judged=judge(GROUNDS)),
)


def written(lines: tuple[AnyLine, ...] = BODY) -> list[bytes]:
    writer = Writer()
    return [*(writer.line(line) for line in lines), writer.close()]


def sealed(lines: list[bytes]) -> list[bytes]:
    """The lines with an end whose digest is right."""
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    end = Closing(complete=True, omitted=0, left_out=(), sha256=digest)
    return [*lines, msgspec.json.encode(end, order="deterministic") + b"\n"]


def refusal(lines: list[bytes], limits: ReceiptLimits | None = None) -> str:
    with pytest.raises(ReceiptError) as refused:
        list(read(lines, limits or ReceiptLimits()))
    return str(refused.value)


def test_what_is_written_is_read() -> None:
    found = list(read(written()))
    assert tuple(found[:-1]) == BODY
    assert isinstance(found[-1], Closing)
    assert found[-1].complete


@given(st.data())
def test_no_byte_can_be_changed_added_or_taken_away(data: st.DataObject) -> None:
    whole = b"".join(written())
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(
        st.sampled_from(
            (
                whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
                whole[:at] + whole[at + 1 :],
                whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at:],
                whole[:at],
            )
        )
    )
    if changed != whole:
        refusal(changed.splitlines(keepends=True))


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_whatever_comes_is_refused_and_nothing_else_happens(lines: list[bytes]) -> None:
    refusal(lines)
    refusal([written()[0], *lines])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda lines: lines[1:], "before any receipt line"),
        (lambda lines: [lines[0], *lines], "no place here"),
        (lambda lines: [lines[0], lines[3], lines[2], *lines[4:]], "no place here"),
        (lambda lines: [*lines[:4], *lines[5:]], "before any network line"),
        (lambda lines: [*lines[:6], lines[5]], "no place here"),
        (lambda lines: [lines[0].replace(b",", b", ", 1), *lines[1:]], "not in the encoding"),
        (lambda lines: [lines[0].replace(b"{", b'{"more":1,', 1), *lines[1:]], "line 1"),
        (lambda lines: [lines[0].replace(b'"at":1', b'"at":1,"at":1'), *lines[1:]], "not in the encoding"),
        (lambda lines: [lines[0].replace(b'"at":1', b'"at":1.0'), *lines[1:]], "line 1"),
        (lambda lines: [b'{"line":"unheard"}\n', *lines[1:]], "line 1"),
        (lambda lines: [lines[0], b"[" * 100_000 + b"\n"], "line 2"),
        (lambda lines: [*lines[:4], b'{"line":"network","network":{"a":' + b"[" * 9_999 + b"\n"], "line 5"),
    ],
)
def test_lines_have_one_order_and_one_encoding(
    change: Callable[[list[bytes]], list[bytes]], named: str
) -> None:
    assert named in refusal(sealed(change(written()[:-1])))


def test_something_after_the_end_and_nothing_at_the_end_are_refused() -> None:
    lines = written()
    assert "follows the end" in refusal([*lines, lines[-1]])
    assert "cut short" in refusal(lines[:-1])
    assert "cut short" in refusal([])
    assert "cut short" in refusal([*lines[:-1], lines[-1].rstrip()])


def test_a_line_and_a_file_have_a_size() -> None:
    assert "more than 9 bytes" in refusal(written(), ReceiptLimits(line_bytes=9))
    assert "more than 300 bytes" in refusal(written(), ReceiptLimits(total_bytes=300))
    with pytest.raises(ReceiptError, match="more than 524288"):
        Writer().line(SegmentLine(wire=bytes(500_000)))


def test_what_would_be_too_large_is_left_out_and_said() -> None:
    writer = Writer(ReceiptLimits(total_bytes=2_200_000, left_out=1))
    lines = [writer.line(OPENING)]
    lines += [writer.segment("ad" * 16, seq, bytes(60_000)) for seq in range(1, 5)]
    lines += [writer.line(NetworkLine(network={})), writer.close()]
    (closing,) = (line for line in read(filter(None, lines)) if isinstance(line, Closing))
    assert (closing.complete, closing.omitted) == (False, 3)
    assert closing.left_out == (LeftOut(author="ad" * 16, seq=2, reason="size"),)


def test_the_first_difference_is_named_with_both_values() -> None:
    one = {"score": 5, "voices": [{"group": "a", "accusing": 1}]}
    assert first_difference(one, one, "network") is None
    assert first_difference(one, one | {"score": 6}, "network") == "network.score: 5 in the file, 6 here"
    assert first_difference(one, one | {"score": "5"}, "network") == "network.score: 5 in the file, '5' here"
    assert first_difference(one, {"score": 5}, "network") == "network.voices.length: only in the file"
    assert first_difference({}, {"a": 1}, "n") == "n.a: only here"
    other = {"score": 5, "voices": [{"group": "a", "accusing": 2}]}
    assert first_difference(one, other, "network") == "network.voices[0].accusing: 1 in the file, 2 here"


def test_a_name_that_no_node_writes_is_told_without_what_moves_a_cursor_and_is_no_place() -> None:
    told = first_difference({"\x1b[2Jsame: yes\n" * 999: 1}, {}, "network")
    assert told is not None
    assert told.isprintable()
    assert len(told) < 300
    assert first_difference({"a.b": 1}, {"a": {"b": 1}}, "network") is not None


def test_values_nested_without_end_are_refused() -> None:
    deep: dict[str, object] = {}
    for _ in range(2_000):
        deep = {"a": deep}
    with pytest.raises(ReceiptError, match="nested deeper than 8"):
        first_difference(deep, {}, "network")
