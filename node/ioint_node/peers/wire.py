"""How a request and its answer lie on a libp2p stream: an unsigned varint of the length, then the bytes.

One stream carries many requests, one after the other; the answer to each comes back before the next is sent. Opening
a stream costs two round trips and tens of small frames, so it is kept.
"""

from __future__ import annotations

LENGTH_DIGITS = 3
"""Bytes that a length up to 2^21 − 1 needs: a longer varint is refused as it arrives, before it ends."""


class WireError(Exception):
    """What a peer sent cannot be a frame; `reason` is the name under which it is counted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def frame(body: bytes) -> bytes:
    """A body with its length before it."""
    length = len(body)
    prefix = bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + body


class Unframer:
    """Takes bytes as they come and gives back bodies; holds at most one frame and what came with it."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()

    @property
    def begun(self) -> bool:
        """Whether a frame has started that is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next body, or None until more is fed.

        Raises:
            WireError: the length is over the limit or does not end.
        """
        length = 0
        for digit, value in enumerate(self._buffer[: LENGTH_DIGITS + 1]):
            if digit == LENGTH_DIGITS:
                raise WireError("bad_frame", f"a length of more than {LENGTH_DIGITS} bytes")
            length |= (value & 0x7F) << (7 * digit)
            if value < 0x80:
                return self._take(start=digit + 1, length=length)
        return None

    def _take(self, *, start: int, length: int) -> bytes | None:
        if length > self._limit:
            raise WireError("frame_too_large", f"{length} bytes, more than {self._limit}")
        end = start + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[start:end])
        del self._buffer[:end]
        return body
