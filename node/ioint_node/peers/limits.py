"""What a peer may cost us, and how long we wait for one. Every bound of the exchange has its name here."""

from __future__ import annotations

import msgspec

KIB = 1024
MIB = 1024 * KIB


class PeerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one node's exchange; `_s` are seconds, `_bytes` are bytes, the rest are counts."""

    frame_bytes: int = 327_680
    """One request or one answer."""

    # Before a connection has shown a member's key it is a stranger's.
    half_open: int = 128
    half_open_per_address: int = 32
    upgrade_s: float = 3.0
    handshake_bytes: int = 16 * KIB

    # A connection of a member.
    connections: int = 512
    inbound: int = 384
    """Of the connections; the others are left for those that we open ourselves."""
    inbound_per_group: int = 96
    """Of one affiliation group: the members of one cannot keep those of another out."""
    connections_per_peer: int = 3
    streams_per_peer: int = 16
    negotiate_s: float = 5.0
    negotiate_bytes: int = 1 * KIB
    muxer_frame_bytes: int = 1 * MIB
    unread_bytes_per_connection: int = 8 * MIB
    bytes_per_s_per_peer: int = 16 * MIB
    burst_bytes_per_peer: int = 32 * MIB

    # Requests.
    asks: int = 512
    """Our own requests that wait for an answer."""
    asks_per_peer: int = 24
    """Of them for one peer: those that answer slowly leave room for the others."""
    calls: int = 64
    """Requests of all peers that this node is answering."""
    calls_per_peer: int = 8
    calls_per_s_per_peer: int = 300
    burst_calls_per_peer: int = 1_500
    comparing_calls: int = 15
    """For so many counts a request that looks at all that we hold (`heads`, `roster`), however little it says."""
    answer_s: float = 20.0
    frame_s: float = 20.0
    """From the first byte of a frame to its last."""
    stream_idle_s: float = 300.0
    default_request_s: float = 15.0

    # Staying connected.
    dial_s: float = 8.0
    redial_first_s: float = 0.5
    redial_max_s: float = 60.0
    ping_every_s: float = 30.0
    ping_s: float = 10.0
    close_s: float = 2.0
    report_every_s: float = 0.05
    report_idle_s: float = 5.0

    # The process.
    queue_frames: int = 256
    start_s: float = 30.0
    stop_s: float = 5.0
    restart_first_s: float = 0.25
    restart_max_s: float = 30.0
    log_lines_per_life: int = 1_000
