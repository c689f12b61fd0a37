"""js-libp2p's gossipsub: `gossipsub.mjs`, run by Node.js in a folder where its packages are installed."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ioint_node.bench.place import BenchError

SCRIPT = Path(__file__).with_name("gossipsub.mjs")
PACKAGES = (
    "libp2p",
    "@libp2p/gossipsub",
    "@libp2p/identify",
    "@libp2p/tcp",
    "@chainsafe/libp2p-noise",
    "@chainsafe/libp2p-yamux",
)
RUN_S = 180.0


class Load(msgspec.Struct, frozen=True, kw_only=True, rename={"every_ms": "everyMs"}):
    """So many messages of so many bytes, one every so many milliseconds (0: as fast as it goes)."""

    count: int
    bytes: int
    every_ms: int = 0


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a load: messages heard at all others, CPU seconds, milliseconds to the last node."""

    heard: int
    cpu_s: float
    last_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gossipsub:
    """A folder with the packages, and the Node.js that runs them."""

    folder: Path
    node: Path

    async def run(
        self, nodes: int, full: Mapping[str, Load], line: Mapping[str, Load]
    ) -> Mapping[str, Heard]:
        """Carry out loads among nodes that all meet, then others among nodes in a line; returns both by name.

        Raises:
            BenchError: it failed, or a message was not heard.
        """
        given = msgspec.json.encode({"nodes": nodes, "full": full, "line": line}).decode()
        with SCRIPT.open("rb") as script:
            # A script of standard input finds its packages in the folder that it runs in.
            process = await asyncio.create_subprocess_exec(
                self.node,
                "--input-type=module",
                "-",
                given,
                stdin=script,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self.folder,
            )
        try:
            out, error = await asyncio.wait_for(process.communicate(), RUN_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise BenchError(f"gossipsub was not done within {RUN_S:g} s") from None
        if process.returncode:
            said = next((line for line in error.decode(errors="replace").splitlines() if "Error" in line), "")
            raise BenchError(f"gossipsub failed ({said or 'no message'}): it needs Node.js 22 or newer")
        return msgspec.json.decode(out, type=dict[str, Heard])

    def versions(self) -> dict[str, str]:
        """The versions of its packages, each behind `npm:`, for one of ours has the same name."""
        return {
            f"npm:{name}": str(
                json.loads((self.folder / "node_modules" / name / "package.json").read_text())["version"]
            )
            for name in PACKAGES
        }


def installed(folder: Path) -> Gossipsub:
    """What is in this folder.

    Raises:
        BenchError: a package or Node.js is missing.
    """
    missing = [name for name in PACKAGES if not (folder / "node_modules" / name / "package.json").exists()]
    if missing:
        raise BenchError(f"{folder} lacks {', '.join(missing)}: run `npm install {' '.join(PACKAGES)}` there")
    own = folder / "node_modules" / ".bin" / "node"
    found = str(own) if own.exists() else shutil.which("node")
    if found is None:
        raise BenchError("there is no Node.js: install version 22 or newer, or the npm package `node`")
    return Gossipsub(folder=folder.absolute(), node=Path(found).absolute())
