"""A headless Chromium driven over its debugging port: enough to click, read and photograph one page."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

BINARY = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_S = 30
WAIT_S = 20
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
)


class Navigated(Exception):  # noqa: N818 - what happens to a page
    """The page went elsewhere while a script was running in it."""


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0

    async def command(self, method: str, **values: Any) -> dict[str, Any]:
        """Send one command and return its result; events in between are dropped."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": values})
        while True:
            answer = await self._socket.receive_json(timeout=WAIT_S)
            if answer.get("id") == self._number:
                if "navigated" in answer.get("error", {}).get("message", ""):
                    raise Navigated
                assert "error" not in answer, answer
                return dict(answer["result"])

    async def run(self, script: str) -> Any:
        """Evaluate JavaScript in the page and return its value."""
        result = await self.command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait in the page itself, and in those that it goes to, until an expression is truthy, and return it."""
        wait = (
            "new Promise((resolve, reject) => { const end = Date.now() + "
            f"{WAIT_S * 900}; const look = () => {{ const found = ({script}); if (found) resolve(found); "
            "else if (Date.now() > end) reject(new Error('waited in vain for ' + "
            f"{json.dumps(script)})); else setTimeout(look, 25); }}; look(); }})"
        )
        async with asyncio.timeout(2 * WAIT_S):
            while True:
                with suppress(Navigated):
                    return await self.run(wait)

    async def photograph(self, path: Path) -> None:
        """Write a PNG of what is to be seen."""
        shot = await self.command("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def chromium(home: Path, width: int, height: int) -> AsyncIterator[Page]:
    """A browser with one empty tab and a profile of its own in `home`."""
    assert BINARY is not None
    process = await asyncio.create_subprocess_exec(
        BINARY,
        *FLAGS,
        f"--user-data-dir={home}",
        f"--window-size={width},{height}",
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(home)},
    )
    try:
        port = await asyncio.wait_for(_port(home / "DevToolsActivePort", process), START_S)
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = await answer.json()
            url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with http.ws_connect(url, max_msg_size=32 * 1024 * 1024) as socket:
                page = Page(socket)
                await page.command(
                    "Emulation.setDeviceMetricsOverride",
                    width=width,
                    height=height,
                    deviceScaleFactor=1,
                    mobile=False,
                )
                yield page
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _port(file: Path, process: asyncio.subprocess.Process) -> int:
    while process.returncode is None:
        text = file.read_text() if file.exists() else ""
        if "\n" in text:
            return int(text.splitlines()[0])
        await asyncio.sleep(0.05)
    raise AssertionError(f"the browser ended with {process.returncode}")
