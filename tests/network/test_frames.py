"""The two ways bytes are cut into messages: on the pipe to the child, and on a stream between members."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ioint_node.peers.frames import (
    Ask,
    FrameError,
    Frames,
    Peer,
    Reply,
    Start,
    pack,
    read_to_child,
    read_to_parent,
)
from ioint_node.peers.limits import PeerLimits
from ioint_node.peers.wire import Unframer, WireError, frame

LIMIT = 300


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(bodies=st.lists(st.binary(max_size=LIMIT), max_size=5), size=st.integers(1, 50))
def test_bodies_come_out_of_a_stream_as_they_went_in(bodies: list[bytes], size: int) -> None:
    unframer, out = Unframer(LIMIT), []
    for piece in cut(b"".join(map(frame, bodies)), size):
        unframer.feed(piece)
        while (body := unframer.next()) is not None:
            out.append(body)
    assert out == bodies
    assert not unframer.begun


@given(data=st.binary(max_size=400), size=st.integers(1, 50))
def test_no_bytes_of_a_peer_raise_anything_but_a_wire_error(data: bytes, size: int) -> None:
    unframer = Unframer(LIMIT)
    with suppress(WireError):
        for piece in cut(data, size):
            unframer.feed(piece)
            while unframer.next() is not None:
                pass


def test_a_length_over_the_limit_is_refused_before_its_bytes_come() -> None:
    unframer = Unframer(LIMIT)
    unframer.feed(frame(b"x" * (LIMIT + 1))[:2])
    with pytest.raises(WireError, match="301 bytes, more than 300"):
        unframer.next()


def test_a_length_that_does_not_end_is_refused_at_its_fourth_byte() -> None:
    unframer = Unframer(LIMIT)
    unframer.feed(b"\xff" * 4)
    with pytest.raises(WireError, match="a length of more than 3 bytes"):
        unframer.next()


@given(body=st.binary(max_size=200), size=st.integers(1, 50))
def test_a_message_passes_the_pipe_in_any_pieces(body: bytes, size: int) -> None:
    ask = Ask(7, "12D3KooW", "/ioint/push/1.0.0", body, 1.5)
    frames = Frames(10_000)
    assert [read_to_child(got) for piece in cut(pack(ask), size) for got in frames.feed(piece)] == [ask]


def test_a_pipe_frame_over_the_limit_is_refused() -> None:
    with pytest.raises(FrameError, match="a frame of 4294967295 bytes"):
        list(Frames(10_000).feed(b"\xff\xff\xff\xff"))


def test_a_message_for_the_other_side_is_refused() -> None:
    with pytest.raises(FrameError):
        read_to_child(pack(Reply(1, b""))[4:])
    with pytest.raises(FrameError):
        read_to_parent(b"\xc1")


def test_the_seed_is_not_in_the_repr_of_the_message_that_brings_it() -> None:
    start = Start(b"secret-seed", "127.0.0.1", 0, PeerLimits(), (Peer("12D3KooW", ()),))
    assert "secret" not in repr(start)
    assert read_to_child(pack(start)[4:]) == start
