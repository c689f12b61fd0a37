"""An identity provider that we did not write, over loopback: programs with its access tokens, people at the console."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ioint_node.access.claims import Mapped, Rule
from ioint_node.store.engine import WriterLimits, open_store
from ioint_node.store.migrate import upgrade
from ioint_node.web import WebLimits, build_web, serve
from ioint_node.web.oidc import OidcSettings, Provider
from ioint_node.web.site import WebParts, clock
from yarl import URL

from tests.node.web.browser import BINARY, chromium
from tests.node.web.conftest import Clock, make_consortium, make_parts, make_tokens

FOLDER = Path(__file__).parent / "js"
AUDIENCE = "urn:ioint:node"
_PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
RULES = ("client_id=gateway:engine", "groups=analysts:soc", "scope=opine:soc")
pytestmark = pytest.mark.network


@dataclass(frozen=True, kw_only=True)
class Idp:
    """The provider that runs."""

    issuer: str

    async def token(self, client: str = "gateway", scope: str = "query act see_session") -> str:
        """An access token of the client-credentials grant."""
        async with aiohttp.ClientSession() as http:
            form = {"grant_type": "client_credentials", "scope": scope}
            own = {"Authorization": aiohttp.encode_basic_auth(client, f"{client}-secret")}
            async with http.post(f"{self.issuer}/token", data=form, headers=own) as answer:
                assert answer.status == 200, await answer.text()
                return str((await answer.json())["access_token"])


@dataclass(frozen=True, kw_only=True)
class Served:
    """A node that knows the provider."""

    url: str
    parts: WebParts
    keys: dict[str, str]


@pytest.fixture(scope="module")
def idp() -> Iterator[Idp]:
    node = shutil.which(str(FOLDER / "node_modules" / ".bin" / "node")) or shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "oidc-provider").is_dir():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("run `make interop` first")
    process = subprocess.Popen(
        [node, str(FOLDER / "provider.mjs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Idp(issuer=json.loads(process.stdout.readline())["issuer"])
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema and nothing in it."""
    path = tmp_path_factory.mktemp("schema") / "node.db"
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


def settings_of(issuer: str, **rest: Any) -> OidcSettings:
    mapped = Mapped(rules=tuple(map(Rule.parse, RULES)), tlp="amber")
    return OidcSettings(
        issuer=issuer,
        mapped=mapped,
        audience=AUDIENCE,
        client_id="console",
        client_secret="console secret/+",
        **rest,
    )


@asynccontextmanager
async def serving(folder: Path, empty: Path, issuer: str) -> AsyncIterator[Served]:
    shutil.copy(empty, folder / "node.db")
    async with open_store(f"sqlite+aiosqlite:///{folder / 'node.db'}", WriterLimits(group_s=0.001)) as store:
        now = clock()
        made = make_parts(store, make_consortium(now), Clock(now=now), WebLimits(), [])
        parts = replace(made, now=clock, oidc=Provider(settings_of(issuer)))
        keys = {role: one.token for role, one in (await store.write(make_tokens)).items()}
        async with serve(build_web(parts), "127.0.0.1", 0, parts) as url:
            yield Served(url=url, parts=parts, keys=keys)


@pytest.fixture
async def node(tmp_path: Path, schema: Path, idp: Idp) -> AsyncIterator[Served]:
    async with serving(tmp_path, schema, idp.issuer) as served:
        yield served


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with cookies, as a browser has them."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield http


async def sign_in(browser: aiohttp.ClientSession, node: Served, name: str) -> tuple[str, str]:
    """Go through the provider's pages; where it sends the browser back to, and where the node sends it then."""
    async with browser.get(f"{node.url}/login", allow_redirects=False) as answer:
        assert answer.status == 303
        to = answer.headers["Location"]
    for _ in range(12):
        if to.startswith(node.url):
            break
        async with browser.get(to, allow_redirects=False) as answer:
            if answer.status in (302, 303):
                to = str(answer.url.join(URL(answer.headers["Location"])))
                continue
            page = await answer.text()
        action = unescape(str(re.search(r'action="([^"]+)"', page)[1]))  # type: ignore[index]
        prompt = str(re.search(r'name="prompt" value="(\w+)"', page)[1])  # type: ignore[index]
        form = {"prompt": prompt, "login": name, "password": "anything"}
        async with browser.post(action, data=form, allow_redirects=False) as answer:
            to = str(answer.url.join(URL(answer.headers["Location"])))
    return to, await come_back(browser, to)


async def come_back(browser: aiohttp.ClientSession, to: str) -> str:
    async with browser.get(to, allow_redirects=False) as answer:
        return answer.headers["Location"] if answer.status == 303 else str(answer.status)


async def test_a_program_calls_with_a_token_of_the_provider(node: Served, idp: Idp) -> None:
    headers = {"Authorization": f"Bearer {await idp.token()}"}
    async with aiohttp.ClientSession(node.url, headers=headers) as http:
        me = await (await http.get("/api/v1/me")).json()
        assert me["role"] == "engine"
        assert me["id"].startswith("oidc:")
        assert me["tlp"] == "amber"
        assert me["rights"] == ["act", "query", "see_session"]  # what the scopes leave
        assert (await http.get("/api/v1/indicators")).status == 200
        body = {"actor": {"id": "a-9", "kind": "agent"}, "declared": {"text": "answer support questions"}}
        assert (await http.post("/api/v1/sessions", json=body)).status == 201
        refused = await http.get("/api/v1/webhooks")
        assert refused.status == 403
        assert 'scope="subscribe"' in refused.headers["WWW-Authenticate"]


async def test_whom_no_rule_names_is_nobody(node: Served, idp: Idp) -> None:
    headers = {"Authorization": f"Bearer {await idp.token('stranger', 'query')}"}
    async with aiohttp.ClientSession(node.url, headers=headers) as http:
        answer = await http.get("/api/v1/me")
        assert answer.status == 403
        assert (await answer.json())["type"].endswith("no_role")


async def test_a_key_that_was_changed_is_fetched_once_it_signs(node: Served, idp: Idp) -> None:
    async with aiohttp.ClientSession(node.url) as http:
        for _ in range(2):
            async with http.get(
                "/api/v1/me", headers={"Authorization": f"Bearer {await idp.token()}"}
            ) as said:
                assert said.status == 200
            provider = node.parts.oidc
            assert provider is not None
            provider._asked_at = 0  # as if the last question were a while ago
            async with aiohttp.ClientSession() as admin:
                await admin.get(f"{idp.issuer}/rotate")


async def test_a_person_signs_in_to_the_console_and_out(
    node: Served, idp: Idp, browser: aiohttp.ClientSession
) -> None:
    back, then = await sign_in(browser, node, "analyst-7")
    assert then == "/"
    me = await (await browser.get(f"{node.url}/api/v1/me")).json()
    assert me["role"] == "soc"
    assert "analyst-7" not in json.dumps(me)
    own = {"Origin": node.url}
    assert (await browser.get(f"{node.url}/api/v1/approvals")).status == 200
    foreign = {"Origin": "http://evil.example"}
    for headers in ({}, foreign, {**own, "Sec-Fetch-Site": "cross-site"}):
        assert (await browser.post(f"{node.url}/logout", headers=headers)).status == 403
    out = await browser.post(f"{node.url}/logout", headers=own)
    assert out.status == 200
    assert (await out.json())["provider"].startswith(idp.issuer)
    assert (await browser.get(f"{node.url}/api/v1/me")).status == 401
    # The same answer of the provider a second time: the state is used up, and so is the code.
    assert await come_back(browser, back) == "400"


async def test_the_cookie_is_for_no_script_and_no_other_site(
    node: Served, idp: Idp, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{node.url}/login", allow_redirects=False) as answer:
        asked = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert "HttpOnly" in answer.headers["Set-Cookie"]
        assert "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["nonce"][0]) > 40
    await sign_in(browser, node, "analyst-1")
    cookie = next(one for one in browser.cookie_jar if one.key == "ioint-session")
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"


async def test_a_login_of_another_browser_opens_nothing(
    node: Served, idp: Idp, browser: aiohttp.ClientSession
) -> None:
    # The attacker signs in and stops before coming back; the victim's browser is sent there.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as attacker:
        back, _ = await sign_in(attacker, node, "analyst-evil")
    assert await come_back(browser, back) == "400"
    async with browser.get(f"{node.url}/login", allow_redirects=False):
        pass
    assert await come_back(browser, back) == "400"  # a login of its own under way changes nothing
    assert not [one for one in browser.cookie_jar if one.key == "ioint-session"]


async def test_a_code_that_was_used_and_a_person_without_a_role_are_told_so(
    node: Served, idp: Idp, browser: aiohttp.ClientSession
) -> None:
    _, then = await sign_in(browser, node, "guest")
    assert then == "/#refused=no_role"
    async with browser.get(f"{node.url}/login", allow_redirects=False) as answer:
        state = parse_qs(urlsplit(answer.headers["Location"]).query)["state"][0]
    bad = f"{node.url}/login/callback?state={state}&code=used-or-made-up&iss={idp.issuer}"
    assert await come_back(browser, bad) == "/#refused=provider_refused"
    assert (await browser.get(f"{node.url}/api/v1/me")).status == 401


async def test_an_id_token_is_no_access_token_and_a_forged_one_no_token(node: Served, idp: Idp) -> None:
    good = await idp.token()
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    async with aiohttp.ClientSession() as http:
        keys = (await (await http.get(f"{idp.issuer}/jwks")).json())["keys"]
    public = jwt.PyJWK(next(key for key in keys if key["kid"] == kid)).key
    pem = public.public_bytes(encoding=_PEM[0], format=_PEM[1])
    none = jwt.encode(claims, "", algorithm="none", headers={"kid": kid})
    head = jwt.utils.base64url_encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}).encode())
    body = jwt.utils.base64url_encode(json.dumps(claims).encode())
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signed = head + b"." + body
    confused = signed + b"." + jwt.utils.base64url_encode(hmac.sign(signed, pem))
    async with aiohttp.ClientSession(node.url) as http:
        for token in (none, confused.decode(), good[:-6] + "AAAAAA", good.replace(".", "..")):
            async with http.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == 401, token
    assert node.parts.refusals["jwt_bad_algorithm"] == 2


async def test_a_flood_of_unknown_keys_asks_the_provider_once(node: Served, idp: Idp) -> None:
    good = await idp.token()
    provider = node.parts.oidc
    assert provider is not None
    asked: list[str] = []
    get = provider._get

    async def counted(url: str) -> Any:
        asked.append(url)
        return await get(url)

    provider._get = counted  # type: ignore[method-assign]
    head = jwt.utils.base64url_encode(json.dumps({"alg": "RS256", "kid": "made-up"}).encode()).decode()
    async with aiohttp.ClientSession(node.url) as http:
        for _ in range(30):
            bad = {"Authorization": f"Bearer {head}.{good.split('.', 1)[1]}"}
            async with http.get("/api/v1/me", headers=bad) as answer:
                assert answer.status in (401, 429)
        # Whoever floods keeps nobody out.
        async with http.get("/api/v1/me", headers={"Authorization": f"Bearer {good}"}) as answer:
            assert answer.status == 200
    assert len(asked) <= 2  # the metadata and the keys


async def test_without_the_provider_the_tokens_of_the_node_open_it(
    tmp_path: Path, schema: Path, idp: Idp
) -> None:
    token = await idp.token()
    async with (
        serving(tmp_path, schema, "http://127.0.0.1:9") as node,
        aiohttp.ClientSession(node.url) as http,
    ):
        own = {"Authorization": f"Bearer {node.keys['soc']}"}
        assert (await http.get("/api/v1/indicators", headers=own)).status == 200
        assert (await http.get("/")).status == 200
        away = await http.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert away.status == 503
        assert away.headers["Retry-After"]
        assert (await http.get("/login", allow_redirects=False)).status == 503


@pytest.mark.skipif(BINARY is None, reason="no Chromium on this machine")
async def test_an_analyst_signs_in_by_the_button_of_the_console(
    node: Served, idp: Idp, tmp_path: Path
) -> None:
    async with chromium(tmp_path / "profile", 1200, 800) as page:
        await page.command("Page.enable")
        await page.command("Page.navigate", url=f"{node.url}/")
        await page.until("document.getElementById('provider') && !document.getElementById('provider').hidden")
        await page.run("document.getElementById('provider').click()")
        await page.until("location.pathname.startsWith('/interaction') && document.forms.length")
        await page.run(
            "document.querySelector('[name=login]').value = 'analyst-3';"
            "document.querySelector('[name=password]').value = 'x'; document.forms[0].submit()"
        )
        await page.until("document.querySelector('[name=prompt]')?.value === 'consent'")
        await page.run("document.forms[0].submit()")
        await page.until("document.documentElement?.dataset.ready === '1'")
        assert await page.run("document.cookie") == ""
        await page.run("document.getElementById('leave').click()")
        await page.until(f"location.href.startsWith('{idp.issuer}')")
