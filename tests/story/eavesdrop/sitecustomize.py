"""Python imports this before anything else when its directory is on the path: every process of a node is overheard.

Written down, beside this file's copy: each byte that is given to any socket, with who is at the other end; what the
exchange says inside its encryption; and every name that is looked up. The event loop is the standard one here, since
uvloop writes to sockets without asking Python.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "heard"
FOLDER.mkdir(exist_ok=True)
_file = os.open(FOLDER / f"{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(kind: str, peer: str, data: bytes) -> None:
    os.write(_file, f"{kind} {peer or '-'} {data.hex()}\n".encode())


def peer_of(one: socket.socket) -> str:
    try:
        name = one.getpeername()
    except OSError:
        return "-"
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "pipe"


_send, _sendall, _sendto, _sendmsg = (
    socket.socket.send,
    socket.socket.sendall,
    socket.socket.sendto,
    socket.socket.sendmsg,
)


def send(self: socket.socket, data: Any, *rest: Any) -> int:
    sent = _send(self, data, *rest)
    note("bytes", peer_of(self), bytes(data)[:sent])
    return sent


def sendall(self: socket.socket, data: Any, *rest: Any) -> None:
    note("bytes", peer_of(self), bytes(data))
    _sendall(self, data, *rest)


def sendto(self: socket.socket, data: Any, *rest: Any) -> int:
    note("bytes", str(rest[-1]).replace(" ", ""), bytes(data))
    return _sendto(self, data, *rest)


def sendmsg(self: socket.socket, buffers: Any, *rest: Any) -> int:
    parts = [bytes(one) for one in buffers]
    sent = _sendmsg(self, parts, *rest)
    note("bytes", peer_of(self), b"".join(parts)[:sent])
    return sent


for _name, _spy in (("send", send), ("sendall", sendall), ("sendto", sendto), ("sendmsg", sendmsg)):
    setattr(socket.socket, _name, _spy)


def looked_up(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}:
        note("name", "-", repr(arguments[0]).encode())


def overhear() -> None:
    import sys

    import uvloop
    from noise.connection import NoiseConnection  # type: ignore[import-untyped]

    sys.addaudithook(looked_up)
    setattr(uvloop, "run", asyncio.run)  # noqa: B010 - its own has another signature
    encrypt = NoiseConnection.encrypt

    def said(self: Any, data: bytes) -> bytes:
        note("said", "-", bytes(data))
        return bytes(encrypt(self, data))

    NoiseConnection.encrypt = said


with suppress(ImportError):  # a process of another kind, which has no node in it
    overhear()
