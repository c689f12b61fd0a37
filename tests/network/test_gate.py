"""Who may come in and how much of us a peer may hold: the rules without a network."""

from __future__ import annotations

import pytest
from ioint_node.peers.gate import REASONS, UNKNOWN, Bucket, Gate, Refused
from ioint_node.peers.limits import PeerLimits

LIMITS = PeerLimits(half_open=3, half_open_per_address=2, streams_per_peer=1, calls=2, calls_per_peer=1)


def gate_for(*members: str) -> Gate:
    gate = Gate(LIMITS)
    gate.allow(dict.fromkeys(members, "group"))
    return gate


def test_one_address_cannot_hold_every_place_of_strangers() -> None:
    gate = gate_for()
    with gate.half_open("a"), gate.half_open("a"):
        with pytest.raises(Refused, match="too_many_from_address"), gate.half_open("a"):
            pass
        with gate.half_open("b"), pytest.raises(Refused, match="too_many_half_open"), gate.half_open("c"):
            pass
    with gate.half_open("a"):
        pass


def test_a_peer_off_the_list_gets_neither_stream_nor_answer() -> None:
    gate = gate_for("alice")
    assert gate.allow({}) == {"alice"}
    with pytest.raises(Refused, match="not_a_member"), gate.stream("alice"):
        pass
    with pytest.raises(Refused, match="not_a_member"), gate.call("alice", 0.0):
        pass


def test_a_peer_holds_no_more_streams_and_calls_than_its_own() -> None:
    gate = gate_for("alice", "bob", "carol")
    with gate.stream("alice"), gate.call("alice", 0.0):
        with pytest.raises(Refused, match="too_many_streams"), gate.stream("alice"):
            pass
        with pytest.raises(Refused, match="too_many_calls"), gate.call("alice", 0.0):
            pass
        with (
            gate.stream("bob"),
            gate.call("bob", 0.0),
            pytest.raises(Refused, match="too_many_calls"),
            gate.call("carol", 0.0),
        ):
            pass
    with gate.stream("alice"), gate.call("alice", 0.0):
        pass


def test_who_asks_faster_than_its_share_waits_and_keeps_nobody_else_out() -> None:
    gate = Gate(PeerLimits(calls_per_s_per_peer=2, burst_calls_per_peer=4))
    gate.allow(dict.fromkeys(("alice", "bob"), "group"))
    for _ in range(4):
        with gate.call("alice", 0.0):
            pass
    for _ in range(9):  # what is refused costs no more
        with pytest.raises(Refused, match="calls_too_fast"), gate.call("alice", 0.4):
            pass
    with gate.call("bob", 0.4):
        pass
    with gate.call("alice", 1.0, cost=2):
        pass
    with pytest.raises(Refused, match="calls_too_fast"), gate.call("alice", 1.0):
        pass


def test_refusals_of_strangers_are_counted_together() -> None:
    gate = gate_for("alice")
    for peer in ("alice", "mallory", "trudy"):
        gate.refuse(peer, "handshake")
    assert gate.refused == {("alice", "handshake"): 1, (UNKNOWN, "handshake"): 2}
    assert "handshake" in REASONS


def test_a_bucket_lets_a_burst_pass_and_then_keeps_the_rate() -> None:
    bucket = Bucket(rate=10, burst=20, now=0.0)
    assert bucket.take(20, now=0.0) == 0.0
    assert bucket.take(5, now=0.0) == 0.5
    assert bucket.take(5, now=1.0) == 0.0
    assert bucket.take(20, now=100.0) == 0.0


def test_one_group_cannot_keep_the_members_of_another_out() -> None:
    gate = Gate(PeerLimits(inbound=3, inbound_per_group=2))
    gate.allow({"a1": "a", "a2": "a", "a3": "a", "b1": "b", "c1": "c"})
    leave = gate.enter_inbound("a1")
    gate.enter_inbound("a2")
    with pytest.raises(Refused, match="inbound_group_full"):
        gate.enter_inbound("a3")
    gate.enter_inbound("b1")
    with pytest.raises(Refused, match="inbound_full") as refusal:
        gate.enter_inbound("c1")
    assert refusal.value.peer == "c1"
    leave()
    gate.enter_inbound("c1")
