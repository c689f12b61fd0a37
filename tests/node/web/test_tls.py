"""TLS of the node itself, tokens that are bound to a client certificate, and certificates that are renewed."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ioint_node.config import Config
from ioint_node.config.tls import Tls, thumbprint_of_file, trust_of
from ioint_node.errors import ConfigError
from ioint_node.store import tokens
from ioint_node.store.engine import Store, WriterLimits, open_store
from ioint_node.web import WebLimits, auth, build_web, serve

from tests.node.web.conftest import NOW, Clock, make_consortium, make_parts, make_tokens

if TYPE_CHECKING:
    from ioint_node.web.site import WebParts

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        key.touch(0o600)
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert, key


def make(name: str, by: Made | None = None) -> Made:
    """A certificate for this machine; without an issuer an authority that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(alternative, critical=False)
    )
    return Made(certificate=built.sign(key if by is None else by.key, hashes.SHA256()), key=key)


@dataclass(frozen=True, kw_only=True)
class Served:
    """A node behind TLS."""

    url: str
    parts: WebParts
    store: Store
    config: Config
    tls: Tls
    folder: Path
    authority: Made

    def client(self, name: str = "") -> ssl.SSLContext:
        """How a caller connects, with the certificate of this name or none."""
        context = ssl.create_default_context(cafile=str(self.folder / "authority.pem"))
        if name:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    async def status(self, token: str, name: str = "", path: str = "/api/v1/me") -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession(self.url) as http,
            http.get(path, headers=headers, ssl=self.client(name)) as answer,
        ):
            return answer.status

    async def token(self, role: str = "engine", certificate: str | None = None) -> str:
        made = await self.store.write(
            lambda connection: tokens.create(
                connection, role, None, "amber", None, certificate=certificate, now=NOW
            )
        )
        return made.token


@pytest.fixture
async def node(tmp_path: Path, empty_database: Path) -> AsyncIterator[Served]:
    tmp_path.chmod(0o700)
    authority = make("authority")
    authority.write(tmp_path, "authority")
    for name in ("node", "one", "two"):
        make(name, authority).write(tmp_path, name)
    shutil.copy(empty_database, tmp_path / "node.db")
    config = Config(
        home=tmp_path,
        org="Org",
        web_host="192.0.2.1",
        web_tls_cert="node.pem",
        web_tls_key="node.key",
        web_client_ca="authority.pem",
    )
    tls = Tls.of(config)
    assert tls is not None
    async with open_store(
        f"sqlite+aiosqlite:///{tmp_path / 'node.db'}", WriterLimits(group_s=0.001)
    ) as store:
        parts = make_parts(store, make_consortium(NOW), Clock(), WebLimits(), [])
        await store.write(make_tokens)
        async with serve(build_web(parts), "127.0.0.1", 0, parts, tls.context) as url:
            yield Served(
                url=url,
                parts=parts,
                store=store,
                config=config,
                tls=tls,
                folder=tmp_path,
                authority=authority,
            )


async def test_a_bound_token_opens_nothing_without_its_certificate(node: Served) -> None:
    token = await node.token(certificate=thumbprint_of_file(node.folder / "one.pem"))
    assert await node.status(token, "one") == 200
    assert await node.status(token, "two") == 401
    assert await node.status(token) == 401
    # Remembered from the call before, it is as bound as the first time.
    assert await node.status(token, "one") == 200
    assert await node.status(await node.token(), "two") == 200


async def test_a_certificate_of_another_authority_ends_the_handshake(node: Served) -> None:
    make("stranger").write(node.folder, "stranger")
    with pytest.raises(aiohttp.ClientError):
        await node.status(await node.token(), "stranger")
    assert await node.status("", path="/healthz") == 200


async def test_where_certificates_are_required_a_token_alone_opens_nothing(
    tmp_path: Path, node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = replace(node.parts, demands_certificate=True)
    async with serve(build_web(parts), "127.0.0.1", 0, parts, node.tls.context) as url:
        strict = replace(node, url=url)
        token = await node.token()
        assert await strict.status(token) == 200  # a command on this machine
        monkeypatch.setattr(auth, "_is_here", lambda request: False)
        assert await strict.status(token) == 401
        assert await strict.status(token, "one") == 200
        assert await strict.status("", path="/healthz") == 200


async def test_a_command_knows_the_node_by_its_file(node: Served) -> None:
    trust = trust_of(node.config)
    assert trust is not None
    async with aiohttp.ClientSession(node.url) as http:
        assert (await http.get("/healthz", ssl=trust)).status == 200
    make("other").write(node.folder, "node")  # another certificate than the one that is served
    other = trust_of(node.config)
    assert other is not None
    async with aiohttp.ClientSession(node.url) as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get("/healthz", ssl=other)


async def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(node: Served) -> None:
    async def served() -> int:
        host, port = node.url.removeprefix("https://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=node.client())
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        return x509.load_der_x509_certificate(der).serial_number

    first = await served()
    assert not node.tls.renew()
    renewed = make("node", node.authority)
    renewed.write(node.folder, "node")
    assert node.tls.renew()
    assert await served() == renewed.certificate.serial_number != first
    (node.folder / "node.pem").write_text("half a file")
    assert not node.tls.renew()
    assert await served() == renewed.certificate.serial_number


async def test_plain_http_at_the_port_harms_nothing(node: Served) -> None:
    port = int(node.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    await writer.drain()
    assert b"200" not in await reader.read()
    writer.close()
    assert await node.status("", path="/healthz") == 200


def test_a_key_that_others_can_read_is_refused(node: Served) -> None:
    (node.folder / "node.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod go-rwx"):
        Tls.of(node.config)


def test_a_key_of_another_certificate_is_refused(node: Served) -> None:
    with pytest.raises(ConfigError, match="belong together"):
        Tls.of(replace(node.config, web_tls_key="one.key"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"web_tls_cert": "a.pem"}, "belong together"),
        ({"web_client_ca": "a.pem"}, "web_client_ca needs TLS"),
        ({"web_client_cert": "required"}, "needs web_client_ca"),
        ({"web_client_cert": "perhaps"}, "optional, required"),
        ({"web_host": "192.0.2.1"}, "would show tokens to the network"),
        ({"public_url": "http://node.example"}, "https"),
        ({"oidc_issuer": "http://idp.example"}, "https"),
        ({"oidc_issuer": "https://idp.example"}, "oidc_audience"),
        ({"oidc_issuer": "https://idp.example", "oidc_audience": "x"}, "oidc_roles"),
        (
            {"oidc_issuer": "https://idp.example", "oidc_audience": "x", "oidc_roles": ("groups=a:boss",)},
            "none of agent, engine, soc, admin",
        ),
    ],
)
def test_unsafe_settings_are_refused_with_what_to_do(
    tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        Config(home=tmp_path, org="Org", **settings)  # type: ignore[arg-type]
