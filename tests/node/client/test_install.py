"""The client needs the small install alone: no framework, no database, no numerics."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What `pip install ioint` brings: its dependencies, and what those need.
SMALL = frozenset(
    {"httpx", "httpcore", "h11", "anyio", "idna", "certifi", "sniffio", "typing_extensions"}
    | {"immutables", "msgspec", "nacl", "cffi", "_cffi_backend"}
    | {"ioint_node", "ioint_protocol", "ioint_taxonomy"}
)

GATE = """
    import sys

    class Gate:
        def find_spec(self, name, path=None, target=None):
            root = name.partition(".")[0]
            if root not in sys.stdlib_module_names and root not in ALLOWED:
                raise ModuleNotFoundError(f"{name} is not installed", name=name)

    sys.meta_path.insert(0, Gate())
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    allowed = f"ALLOWED = {sorted(SMALL)!r}\n"
    return subprocess.run(
        [sys.executable, "-c", allowed + textwrap.dedent(GATE) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_client_decides_with_what_the_small_install_brings() -> None:
    """Nothing of the node itself is there, nor anything that only the node needs."""
    done = run("""
        from ioint_node.client import AsyncClient, Client, ClientLimits
        client = Client("http://127.0.0.1:1", "token", limits=ClientLimits(connect_s=0.05))
        session = client.session(actor="a-17", declared="look something up")
        decision = session.act("read_file", {"path": "/tmp/x"})
        assert (decision.source, decision.allowed) == ("fail_mode", True), decision
        ours = {name.split(".")[1] for name in sys.modules if name.startswith("ioint_node.")}
        assert ours == {"client"}, ours
    """)
    assert done.returncode == 0, done.stderr


def test_the_gate_of_this_test_holds() -> None:
    assert "aiohttp is not installed" in run("import aiohttp").stderr


@pytest.mark.parametrize("name", ["httpx", "msgspec", "immutables", "pynacl"])
def test_what_the_client_needs_is_a_dependency_of_the_small_install(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert any(one.startswith(name) for one in project["dependencies"])
