"""The console in a real browser: sign in, read, choose, see a change arrive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ioint_node.flows import effects
from ioint_node.store import stream

from tests.node.web.browser import BINARY, Page, chromium

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(BINARY is None, reason="no Chromium on this machine"),
]


async def sign_in(page: Page, node: Node) -> None:
    await page.command("Page.enable")
    await page.command("Page.navigate", url=f"{node.url}/")
    await page.until("document.readyState === 'complete' && document.getElementById('token')")
    script = f"document.getElementById('token').value = '{node.keys['soc']}'"
    await page.run(f"{script}; document.getElementById('sign').requestSubmit()")
    await page.until("document.documentElement.dataset.ready === '1'")


async def text_of(page: Page, selector: str) -> str:
    return str(await page.run(f"document.querySelector({selector!r}).textContent"))


async def test_an_analyst_reads_the_story_and_sees_it_go_on(node: Node, tmp_path: Path) -> None:
    first, second = node.patterns(2)
    await node.hear("contoso", node.report(first))
    async with chromium(tmp_path / "profile", 1400, 900) as page:
        await sign_in(page, node)
        label = node.parts.exchange.catalogue.entries[first].title
        assert label in await text_of(page, "#rows")
        await page.run("document.querySelector('#rows tr').click()")
        await page.until("document.querySelector('#panel dl')")
        assert "contoso" in await text_of(page, "#panel")
        assert first in await page.run("location.hash")
        await page.until("document.getElementById('live').textContent === 'live'")
        await node.hear("fabrikam", node.report(second))
        await page.until("document.querySelectorAll('#rows tr').length === 2")
        moved = {"actor": "invoice-agent", "before": 0.62, "after": 0.57, "cause": "network", "reason": "x"}
        await node.parts.store.write(lambda c: stream.append(c, "trust", moved, "amber", node.clock.now))
        node.parts.hub.wake()
        await page.until("document.querySelectorAll('#moves li').length === 1")
        assert await text_of(page, "#trouble") == ""
        assert node.keys["soc"] not in await page.run("location.href + document.body.innerHTML")


async def test_a_badge_says_that_all_effects_are_off_and_a_member_what_its_word_weighs(
    node: Node, tmp_path: Path
) -> None:
    node.parts.exchange.standpoint.caught = {"contoso": 1}
    await effects.switch_off(node.parts.exchange, reason="a drill", by="t", until=None, now=node.clock.now)
    async with chromium(tmp_path / "profile", 1400, 900) as page:
        await sign_in(page, node)
        assert await text_of(page, "#effects") == "network effects off: a drill"
        assert "its word weighs 0.2 here: accused a canary" in await text_of(page, "#peers")


async def test_a_page_without_indicators_says_why(node: Node, tmp_path: Path) -> None:
    async with chromium(tmp_path / "profile", 1400, 900) as page:
        await sign_in(page, node)
        assert (await text_of(page, "#empty")).startswith("No indicators yet, because")
        await page.run("location.hash = 'q=nothing'")
        await page.until("document.getElementById('empty').textContent.includes('filters')")


async def test_the_page_tells_how_each_member_is_reached(node: Node, tmp_path: Path) -> None:
    node.peers.append(
        {
            "member": node.consortium.member("contoso"),
            "connected_since": node.clock.now,
            "last_success": node.clock.now,
            "bytes_in": 70_000,
            "bytes_out": 512,
            "refused": {"too_many_streams": 3, "inbound_full": 1},
            "version": "1.0.0",
            "behind": 2,
            "ahead": 0,
            "chosen": True,
            "restarts": 1,
        }
    )
    async with chromium(tmp_path / "profile", 1400, 900) as page:
        await sign_in(page, node)
        await page.until("document.querySelector('.peer.up .hit')")
        told = await text_of(page, "#peers")
    for part in (
        "2 segments behind it, 0 ahead",
        "68 kB in, 512 B out · protocol 1.0.0",
        "4 refused: too many streams 3, inbound full 1",
        "restarts of the exchange: 1",
    ):
        assert part in told


@pytest.mark.parametrize("width", [1400, 500])
async def test_nothing_lies_over_the_table_or_beside_the_page(node: Node, tmp_path: Path, width: int) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    async with chromium(tmp_path / "profile", width, 900) as page:
        await sign_in(page, node)
        await page.run("document.querySelector('#rows tr').click()")
        await page.until("document.querySelector('#panel dl')")
        assert await page.run("document.documentElement.scrollWidth <= window.innerWidth")
        places = (
            "[...document.querySelectorAll('.left .card, #panel')].map((one) => one.getBoundingClientRect())"
        )
        assert await page.run(
            f"{places}.every((one, at, all) => all.every((other, place) => at === place || "
            "one.right <= other.left || other.right <= one.left || "
            "one.bottom <= other.top || other.bottom <= one.top))"
        )


async def test_a_wrong_token_is_told_in_the_colour_of_a_fault(node: Node, tmp_path: Path) -> None:
    async with chromium(tmp_path / "profile", 1400, 900) as page:
        await page.command("Page.enable")
        await page.command("Page.navigate", url=f"{node.url}/")
        await page.until("document.readyState === 'complete' && document.getElementById('token')")
        await page.run("document.getElementById('token').value = 'ioint_wrong'")
        await page.run("document.getElementById('sign').requestSubmit()")
        await page.until("document.getElementById('refused').textContent")
        colour = "getComputedStyle(document.getElementById('refused')).color"
        assert await page.run(colour) == "rgb(185, 28, 28)"
