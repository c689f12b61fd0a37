"""The console in a real browser: sign in, read, choose, see a change arrive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ioint_node.flows import effects
from ioint_node.store import incidents, stream
from ioint_node.store.incidents import Hit
from ioint_node.store.times import day_of, day_text
from ioint_protocol import Dispute, Ruling, encode_record, record_id

from tests.node.web.browser import BINARY, Page, chromium

if TYPE_CHECKING:
    from tests.node.web.conftest import Node

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(BINARY is None, reason="no Chromium on this machine"),
]


PRESS = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: KEY, bubbles: true}))"


async def press(page: Page, key: str) -> None:
    await page.run(PRESS.replace("KEY", repr(key)))


async def sign_in(page: Page, node: Node, role: str = "soc") -> None:
    await page.command("Page.enable")
    await page.command("Page.navigate", url=f"{node.url}/")
    await page.until("document.readyState === 'complete' && document.getElementById('token')")
    script = f"document.getElementById('token').value = '{node.keys[role]}'"
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
        receipt = await text_of(page, "#panel")
        assert "contoso: report of" in receipt
        assert "not counted for corroboration and consensus" in receipt
        assert "100 × 0.68 / (0.68 + 0.00 + 0.75) = 47" in receipt
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


@pytest.mark.parametrize("width", [1400, 500])
async def test_an_analyst_sees_a_dispute_with_its_deadline_and_a_lowered_standing(
    node: Node, tmp_path: Path, width: int
) -> None:
    (pattern,) = node.patterns(1)
    report, today = node.report(pattern), day_of(node.clock.now)
    await node.hear("contoso", report)
    of = record_id(encode_record(report))
    await node.hear("fabrikam", Dispute(of=of, reason="expected_use", day=today))
    false = Ruling(kind="false", author=node.consortium.member("initech"), of="f" * 64, day=today)
    node.consortium.roster = replace(node.consortium.roster, version=2, rulings=(false,))
    async with chromium(tmp_path / "profile", width, 900) as page:
        await sign_in(page, node)
        await page.until("document.querySelector('.peer .hit')")
        assert f"standing 0.5 until {day_text(today + 84)}" in await text_of(page, "#peers")
        await page.run("document.querySelector('#rows tr').click()")
        await page.until("document.querySelector('#panel dl')")
        told = await text_of(page, "#panel")
        for part in (
            "Disputes (1)",
            "contoso",
            "fabrikam",
            "expected use",
            "open",
            f"until {day_text(today + 14)}",
        ):
            assert part in told
        assert await page.run("document.documentElement.scrollWidth <= window.innerWidth")
        inside = "document.getElementById('panel')"
        assert await page.run(f"{inside}.scrollWidth <= {inside}.clientWidth")


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


async def test_an_incident_is_settled_with_one_key(node: Node, tmp_path: Path) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    hits = [
        Hit(pattern=pattern, session_id=f"s-{number}", actor="mailer", found="retro", tier="precautionary")
        for number in range(3)
    ]
    await node.parts.store.write(lambda c: incidents.open_all(c, hits, node.clock.now))
    async with chromium(tmp_path / "profile", 1400, 900) as page:
        await sign_in(page, node)
        assert await text_of(page, "#unsettled") == "3 not closed"
        await press(page, "j")
        await page.until("document.querySelector('#panel .notes li')")
        assert "s-2" in await text_of(page, "#panel")
        await press(page, "f")
        await page.until("document.getElementById('unsettled').textContent === '2 not closed'")
        await page.until("document.querySelector('#panel .closed')")
        told = await text_of(page, "#panel")
        assert "Closed as false positive" in told
        assert "allow: let it have no effect here" in told
        assert "s-1" in told  # the next one is on view
        await press(page, "u")
        await page.until("document.getElementById('unsettled').textContent === '3 not closed'")
        await page.until("document.querySelector('#panel .facts').textContent.includes('s-2')")
        await press(page, "a")
        await page.until("document.activeElement === document.querySelector('#ask input')")
        await page.run("document.querySelector('#ask input').value = 'kim'")
        await page.run("document.getElementById('ask').requestSubmit()")
        await page.until("document.querySelector('#panel .facts').textContent.includes('kim')")
        assert await text_of(page, "#trouble") == ""


async def test_an_engine_reads_what_goes_round_and_no_session(node: Node, tmp_path: Path) -> None:
    (pattern,) = node.patterns(1)
    await node.hear("contoso", node.report(pattern))
    async with chromium(tmp_path / "profile", 1400, 900) as page:
        await sign_in(page, node, "engine")
        assert await page.run("document.getElementById('incident-card').hidden")
        await page.run("document.querySelector('#rows tr').click()")
        await page.until("document.querySelector('#panel dl')")
        assert "False positive" not in await text_of(page, "#panel")
        await page.run("document.getElementById('leave').click()")
        assert await text_of(page, "#rows") == await text_of(page, "#panel") == ""


@pytest.mark.parametrize("width", [1400, 500])
async def test_what_has_no_effect_here_is_marked_and_no_column_is_cut_off(
    node: Node, tmp_path: Path, width: int
) -> None:
    first, second = node.patterns(2)
    for name in ("contoso", "fabrikam", "umbrella"):
        await node.hear(name, node.report(first), node.report(second))
    today = day_of(node.clock.now)
    looked_at = Ruling(kind="review", author="", of=second, day=today)
    node.consortium.roster = replace(node.consortium.roster, version=2, rulings=(looked_at,))
    answer = await node.post(f"/api/v1/patterns/{first}/opinion", {"kind": "allow", "reason": "ours"}, "soc")
    assert answer.status == 201, await answer.text()
    hit = Hit(pattern=second, session_id="s" * 40, actor="a" * 40, found="retro", tier="precautionary")
    await node.parts.store.write(lambda c: incidents.open_all(c, [hit], node.clock.now))
    async with chromium(tmp_path / "profile", width, 900) as page:
        await sign_in(page, node)
        mark = "row.querySelector('.mark')?.textContent"
        marks = f"[...document.querySelectorAll('#rows tr')].map((row) => [row.dataset.id, {mark}])"
        assert dict(await page.run(marks)) == {first: "allowed here", second: "under review"}
        fits = "[...document.querySelectorAll('.scroll')].every((one) => one.scrollWidth <= one.clientWidth)"
        assert await page.run(fits)
        assert await page.run(
            "document.querySelector('#table th:last-child').textContent === 'Effect' && "
            "document.querySelector('#table th:last-child').getBoundingClientRect().right <= innerWidth"
        )
        await page.run("document.querySelector('#incidents tr').click()")
        await page.until("document.querySelector('#panel .notes')")
        await page.until("document.querySelector('#panel .head').getBoundingClientRect().top < innerHeight")


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


TYPE = "box = document.getElementById('q'); box.focus(); box.value = VALUE; box.dispatchEvent(new Event('input'))"


async def type_filter(page: Page, text: str) -> None:
    await page.run(f"{{ const {TYPE.replace('VALUE', repr(text))} }}")


@pytest.mark.parametrize("width", [1400, 500])
async def test_a_filter_is_completed_mended_saved_and_given_to_other_tools(
    node: Node, tmp_path: Path, width: int
) -> None:
    first, second = node.patterns(2)
    await node.hear("contoso", node.report(first), node.report(second))
    await node.hear("fabrikam", node.report(first))
    async with chromium(tmp_path / "profile", width, 900) as page:
        await sign_in(page, node)
        await type_filter(page, "sta")
        assert (await text_of(page, "#offers")).startswith("state:")
        await type_filter(page, "state:mal")
        assert await text_of(page, "#offers") == "malicious"
        await page.run(
            "document.querySelector('#offers li').dispatchEvent(new MouseEvent('mousedown', {bubbles: true}))"
        )
        assert await page.run("document.getElementById('q').value") == "state:malicious"
        await page.until("document.getElementById('empty').textContent.includes('filters')")
        await type_filter(page, "reporters>=2 state:evil")
        await page.until("!document.getElementById('fault').hidden")
        assert await text_of(page, "#fault mark") == "evil"
        assert "is none of unknown, watched" in await text_of(page, "#fault")
        assert await page.run("document.documentElement.scrollWidth <= window.innerWidth")
        await type_filter(page, "reporters>=2")
        await page.until("document.querySelectorAll('#rows tr').length === 1")
        assert "filter=reporters" in await page.run("location.hash")
        assert await page.run("document.getElementById('fault').hidden")
        await page.run("document.getElementById('q').blur(); document.getElementById('keep').click()")
        await page.run(
            "document.getElementById('name').value = 'told by two'; document.getElementById('naming').requestSubmit()"
        )
        await page.until("!document.getElementById('doors').hidden")
        (made,) = (await node.json("/api/v1/filters"))["items"]
        assert (made["name"], made["text"]) == ("told by two", "reporters>=2")
        addresses = await page.run(
            "[...document.querySelectorAll('#doors .copy')].map((one) => one.dataset.address).join(' ')"
        )
        assert f"/taxii2/ioint/collections/{made['id']}/" in addresses
        assert f"{node.url}/feeds/indicators.csv?saved={made['id']}" in addresses
        assert f"saved={made['id']}" in await page.run("location.hash")
        await page.until("document.querySelectorAll('#rows tr').length === 1")
        assert await page.run("document.documentElement.scrollWidth <= window.innerWidth")
        await page.run("document.getElementById('drop').click()")
        await page.until("document.getElementById('doors').hidden")
        await page.until("document.querySelectorAll('#rows tr').length === 2")
        assert await text_of(page, "#trouble") == ""
