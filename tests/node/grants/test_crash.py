"""The process is killed between the commit of a spend and its answer: the same request gets the answer after all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ioint_node.store.engine import open_store

from tests.node.grants.agent import Agent
from tests.node.grants.conftest import make_parts

ROOT = Path(__file__).parents[3]
SPENDS_AND_DIES = """
import asyncio, json, os, signal, sys
from ioint_node.flows import grants
from ioint_node.store.engine import open_store
from tests.node.grants.agent import Agent
from tests.node.grants.conftest import make_parts

async def run(url):
    async with open_store(url) as store:
        agent = Agent(parts=make_parts(store))
        await agent.open()
        await agent.ask(units=10.0)
        print(json.dumps(agent.passes), flush=True)
        proof = agent.proof(agent.newest, 3)
        print(json.dumps(proof), flush=True)
        # All that follows the commit is this function's return: it never gets there.
        grants._decoded = lambda text: os.kill(os.getpid(), signal.SIGKILL)
        await agent.spend(3, proof=proof)

asyncio.run(run(sys.argv[1]))
"""


def spend_and_die(url: str) -> tuple[list[str], str]:
    """The passes and the proof of a process that was killed after its spend was on disk."""
    died = subprocess.run(
        [sys.executable, "-c", SPENDS_AND_DIES, url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    passes, proof = map(json.loads, died.stdout.splitlines())
    return passes, proof


@pytest.mark.network
async def test_a_spend_whose_answer_died_with_the_process_is_answered_again(
    empty_database: Path, tmp_path: Path
) -> None:
    url = f"sqlite+aiosqlite:///{shutil.copy(empty_database, tmp_path / 'node.db')}"
    passes, proof = spend_and_die(url)
    async with open_store(url) as store:
        agent = Agent(parts=make_parts(store), passes=passes)
        answer = await agent.spend(3, proof=proof)
        assert (answer["cost"], answer["grant"]["left"], answer["grant"]["generation"]) == (3.0, 7.0, 2)
        agent.take(answer)
        assert (await agent.use(3))["grant"]["left"] == 4.0
