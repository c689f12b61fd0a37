"""Hosts on one machine: network namespaces, two switches of them, and the cable between the switches.

    west switch ══ trunk ══ east switch          each ── is a veth pair that can be taken down
     │     │                  │     │
    host  host               host  host

A namespace here has no name: it lives as long as this process holds it open or a process runs in it, so that nothing
is left behind however the tests end.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SIDES: Final = ("west", "east")
EXCHANGE_PORT: Final = 4470
COMMAND_S: Final = 10.0
_OURS: Final = "/proc/thread-self/ns/net"
_NEW_NETWORK: Final = 0x4000_0000  # CLONE_NEWNET of sched.h


def missing() -> str:
    """Why no host can be made here; empty when they can."""
    for tool in ("ip", "nsenter"):
        if shutil.which(tool) is None:
            return f"`{tool}` is not installed (Debian: iproute2, util-linux)"
    try:
        Namespace().close()
    except OSError as error:
        return f"network namespaces cannot be made here: {error.strerror}"
    return ""


class Namespace:
    """A network of its own: processes are started in it and sockets opened from it."""

    def __init__(self) -> None:
        with _thread_returns():
            _call("unshare", _NEW_NETWORK)
            self._held = os.open(_OURS, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def path(self) -> str:
        """A file that names it to the commands of this machine."""
        return f"/proc/{os.getpid()}/fd/{self._held}"

    def close(self) -> None:
        """Let it go; it ends with the last process in it."""
        os.close(self._held)

    def inside(self, *command: str) -> Sequence[str]:
        """The command line that runs a command in it; the process keeps its id."""
        return ("nsenter", f"--net={self.path}", "--", *command)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket of this network, for a process outside of it."""
        with _thread_returns():
            _call("setns", self._held, _NEW_NETWORK)
            return socket.socket(family, kind)

    def ip(self, *lines: str) -> None:
        """Run lines of `ip` in it."""
        subprocess.run(
            self.inside("ip", "-batch", "-"),
            input="\n".join(lines).encode(),
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=COMMAND_S,
        )


class Switch(Namespace):
    """A bridge in a namespace, to which hosts are plugged in."""

    def __init__(self) -> None:
        super().__init__()
        # Ports forward at once: there is no loop to look for.
        self.ip("link add hub type bridge forward_delay 0 stp_state 0", "link set hub up", "link set lo up")

    def plug(self, other: Namespace, name: str, port: str, *, there: str = "eth0") -> None:
        """Lay a cable from our port `port` to interface `there` of another namespace."""
        self.ip(
            f"link add {port} type veth peer name {there} netns {other.path}",
            f"link set {port} master hub up",
        )
        other.ip(f"link set {there} up alias {name}")

    def address(self, address: str) -> None:
        """Answer to one more address."""
        self.ip(f"addr add {address}/16 dev hub")

    def set_link(self, port: str, *, up: bool) -> None:
        """Pull a cable or put it back."""
        self.ip(f"link set {port} {'up' if up else 'down'}")


class Network:
    """Two switches and the trunk between them. Hosts have a number from 1, which is the end of each address.

    A host is reached at its public address, where a relay takes the connection (`relay.py`); the relay passes it on
    from an address that says which host it came from.
    """

    def __init__(self) -> None:
        self.switches = {side: Switch() for side in SIDES}
        self._hosts: list[Namespace] = []
        west, east = self.switches.values()
        west.plug(east, "trunk", "trunk", there="trunk")
        east.ip("link set trunk master hub")

    def close(self) -> None:
        """Let all of it go."""
        for space in (*self._hosts, *self.switches.values()):
            space.close()

    def host(self, number: int, side: str) -> Namespace:
        """Plug in a new host."""
        made = Namespace()
        self._hosts.append(made)
        made.ip("link set lo up")
        self.switches[side].plug(made, f"host-{number}", f"host{number}")
        made.ip(f"addr add {own_address(number)}/16 dev eth0")
        self.switches[side].address(public_address(number))
        for each in SIDES:
            self.switches[each].address(relay_address(number, each))
        return made

    @contextmanager
    def parted(self) -> Iterator[None]:
        """The trunk is down: each side is alone."""
        self.switches["west"].set_link("trunk", up=False)
        try:
            yield
        finally:
            self.switches["west"].set_link("trunk", up=True)


def own_address(number: int) -> str:
    """Of the host's own interface."""
    return f"10.77.0.{number}"


def public_address(number: int) -> str:
    """Where others dial the host."""
    return f"10.77.1.{number}"


def relay_address(number: int, side: str) -> str:
    """From where the relay of a side speaks for the host that dialled."""
    return f"10.77.{2 + SIDES.index(side)}.{number}"


def children_of(process: int) -> tuple[int, ...]:
    """The processes that a process has started."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return tuple(int(each) for file in lists for each in file.read_text().split())


class Memory:
    """The most memory, in bytes, that processes have had since this was made."""

    def __init__(self, *processes: int) -> None:
        self._processes = processes
        for each in processes:
            Path(f"/proc/{each}/clear_refs").write_text("5")  # begins the peak anew (proc(5))
        self.before = self._peaks

    @property
    def grown(self) -> int:
        """By how much the one that grew most did."""
        return max(peak - before for peak, before in zip(self._peaks, self.before, strict=True))

    @property
    def _peaks(self) -> tuple[int, ...]:
        return tuple(map(_peak, self._processes))


def _peak(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


@contextmanager
def _thread_returns() -> Iterator[None]:
    """Whatever network this thread enters in the block, it is back in its own after it."""
    own = os.open(_OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        _call("setns", own, _NEW_NETWORK)
        os.close(own)


def _call(name: str, *arguments: int) -> None:
    # `os.setns` and `os.unshare` are in Python 3.12 and later only.
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
