"""Every command that lists something answers at a node that runs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from ioint_node.config import load_config

from tests.story.test_canary import WITHIN_S, command, running

pytestmark = [pytest.mark.network, pytest.mark.timeout(120)]
LISTS = (
    ("indicators", "list"),
    ("indicators", "novel"),
    ("approvals", "list"),
    ("approvals", "standing"),
    ("agents", "list"),
    ("peers",),
)


async def test_every_list_is_a_list(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = ("init", "--home", str(home), "--org", "Org", "--web-port", "0", "--exchange-port", "0")
    await (await asyncio.create_subprocess_exec(sys.executable, "-m", "ioint_node", *made)).wait()
    config = load_config(home)
    async with running(config, tmp_path / "node"):
        for words in LISTS:
            process = await asyncio.create_subprocess_exec(
                *command(words[0], config)[:3],
                *words,
                *("--home", str(config.home), "-o", "json"),
                stdout=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(WITHIN_S):
                output, _ = await process.communicate()
            assert process.returncode == 0, words
            assert isinstance(json.loads(output)["items"], list), words
