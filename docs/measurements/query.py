"""Run `ioint bench query` and write what it says to `query.json` and `query.md`; with `--harness` beside OpenTAXII.

    python docs/measurements/query.py [--short] [--out DIR] [--harness DIR [--opentaxii PYTHON]]

About ten minutes. Ratios are of one interleaved run; latencies are worth what the machine was worth while it ran.
`--harness` is a folder with `taxii_load.py` and `peers/opentaxii_start.py`, `--opentaxii` the Python of an environment
that has opentaxii 0.9.3; without it, one is made, which takes packages from the index that pip is set to.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

PACKAGES: Final = ("opentaxii==0.9.3", "SQLAlchemy==1.4.54", "marshmallow<4", "gunicorn")
PEER_ROWS: Final = 10_000
PHASES: Final = {"page": "page", "tail": "poll", "id": "id", "manifest": "manifest"}
"""What the load calls what we call otherwise."""
WORDS: Final = {
    "walk": "a page of 100, each another",
    "page": "the first page of 100 again",
    "poll": "nothing new",
    "id": "one object by its id",
    "manifest": "a manifest of 100",
}


def run(*options: str) -> dict[str, Any]:
    """The document of one run."""
    command = [sys.executable, "-m", "ioint_node", "bench", "query", "-o", "json", *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def opentaxii(harness: Path, python: Path | None) -> dict[str, float]:
    """What OpenTAXII answers a CPU second, by our names, with ten thousand indicators."""
    with (
        TemporaryDirectory(prefix="opentaxii-") as place,
        _peer(harness, python or _made(Path(place))) as peer,
    ):
        command = [
            sys.executable, str(harness / "taxii_load.py"), "--url", peer["url"], "--collection", peer["collection"],
            "--pid", str(peer["pid"]), "--loaded", str(PEER_ROWS), "--connections", "1", "--seconds", "5",
            "--do", ",".join(PHASES),
        ]  # fmt: skip
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    told = [json.loads(line) for line in said.splitlines()]
    return {PHASES[one["bench"].removeprefix("taxii.")]: one["req_per_cpu_s"] for one in told}


@contextmanager
def _peer(harness: Path, python: Path) -> Iterator[dict[str, Any]]:
    start = [str(python), str(harness / "peers" / "opentaxii_start.py"), "--n", str(PEER_ROWS)]
    with subprocess.Popen(start, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("OpenTAXII did not start")
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def _made(place: Path) -> Path:
    venv.create(place / "env", with_pip=True)
    python = place / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def page(found: dict[str, Any]) -> str:
    """The document as a page."""
    machine = found["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        "# What TAXII clients ask",
        "",
        f"Made by `docs/measurements/query.py` on {machine['cores']} x {machine['processor']}, {machine['system']},"
        f" load {machine['load'][0]} at the end, with {packages}.",
        "",
        f"A node with {found['rows']:,} indicators and one with {found['few_rows']:,}, each in a process with its"
        f" floor; {found['rounds']} interleaved round(s) over {found['connections']} connections. At the node the"
        " token is checked, labels above its clearance are left out in the query, and requests are counted and"
        " limited; the floor is aiohttp over SQLite with bodies of a kilobyte, and does none of that. A page has"
        " 100 objects at both.",
        "",
        f"| of {found['rows']:,} | p50, ms | p99, ms | per CPU second | floor | ours / floor |"
        f" cost against {found['few_rows']:,} |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {WORDS[name]} | {call['p50_ms']} | {call['p99_ms']} | {call['per_cpu_s']:,} |"
            f" {call['floor_per_cpu_s']:,} | {call['ratio']} | {call['cost_of_many']} |"
            for name, call in found["calls"].items()
        ),
        "",
        *(
            ["A short run, which shows that it works and measures little.", ""]
            if found["rounds"] == 1
            else []
        ),
        "The first page again and the manifest come from whole answers that are kept until the next commit, at most a"
        " second; a walk is not. Read for the first time a page of the walk takes"
        f" {found['first_walk']['p50_ms']} ms (p99 {found['first_walk']['p99_ms']} ms): its objects are rendered.",
        "",
    ]
    if peer := found["peers"].get("opentaxii"):
        lines += [
            f"OpenTAXII 0.9.3 on SQLite with {PEER_ROWS:,} indicators, by `taxii_load.py` over one connection, and the"
            f" node with {found['few_rows']:,}:",
            "",
            "| | OpenTAXII, per CPU second | node | node / OpenTAXII |",
            "|---|---|---|---|",
            *(
                f"| {WORDS[name]} | {rate} | {found['calls'][name]['few_per_cpu_s']:,} |"
                f" {found['calls'][name]['few_per_cpu_s'] / rate:.0f} |"
                for name, rate in peer.items()
            ),
            "",
        ]
    else:
        lines += ["OpenTAXII was not run beside it.", ""]
    return "\n".join(lines)


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--harness", type=Path)
    parser.add_argument("--opentaxii", type=Path)
    given = parser.parse_args()
    found = run(*(["--short"] if given.short else []))
    if given.harness is not None:
        found["peers"]["opentaxii"] = opentaxii(given.harness, given.opentaxii)
    (given.out / "query.json").write_text(json.dumps(found, indent=1) + "\n")
    (given.out / "query.md").write_text(page(found))


if __name__ == "__main__":
    main()
