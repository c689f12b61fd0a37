"""An agent that holds a grant: it has a key, makes proofs, and remembers the newest pass."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ioint_node.access.grants import Access, Asked, Standing
from ioint_node.access.passes import PassKey
from ioint_node.flows import grants
from ioint_node.flows.assess import OpenSession, open_session
from ioint_node.flows.grant_parts import CheckRequest, GrantParts, GrantRequest, SpendRequest, standing_of
from ioint_node.flows.live import Live
from ioint_node.scoring.levels import terms_of
from ioint_node.scoring.values import Declaration
from ioint_taxonomy import load_taxonomy

from tests.node.assess.scripted import ScriptedTracker

NOW = 1_790_000_000_000
ISSUER = "urn:ioint:northwind"
URL = "http://127.0.0.1:8470/api/v1/grants/spend"
FAMILY = "support_customer"
KEY = PassKey.of_seed(b"k" * 32)
TRUSTED = 0.95
READ = Access(verb="read", resource="order", sensitivity="internal", boundary="same_tenant")
SEND = Access(verb="send", resource="email", sensitivity="internal", boundary="external")


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def req_of(action: Mapping[str, Any]) -> str:
    text = json.dumps(action, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return b64(hashlib.sha256(text.encode()).digest())


class FamilyTracker(ScriptedTracker):
    """A tracker whose envelope is the one of the declared family."""

    def __init__(self, declaration: Declaration, **parts: object) -> None:
        super().__init__(declaration, **parts)
        self.redeclare(declaration)

    def redeclare(self, declaration: Declaration) -> None:
        family = declaration.family or FAMILY
        self.families = ((family, 0.9),)
        self.envelope = load_taxonomy().families[family].envelope


@dataclass(kw_only=True)
class Level:
    """How a session stands in a test: as it is, but for the trust, the share and the names that the test gives."""

    lower: float = TRUSTED
    changes: dict[str, Any] = field(default_factory=dict)

    def __call__(self, live: Live, now: int) -> Standing:
        terms = terms_of(self.lower)
        until = live.declared + terms.session_s * 1_000
        return replace(standing_of(live, now), terms=terms, until=until, **self.changes)


@dataclass(kw_only=True)
class Agent:
    """Who asks for grants, spends them and forgets no pass that it was given."""

    parts: GrantParts
    private: Ed25519PrivateKey = field(
        default_factory=lambda: Ed25519PrivateKey.from_private_bytes(b"a" * 32)
    )
    grant: dict[str, Any] = field(default_factory=dict)
    passes: list[str] = field(default_factory=list)

    @property
    def jwk(self) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(self.private.public_key().public_bytes_raw())}

    @property
    def newest(self) -> str:
        return self.passes[-1]

    async def open(
        self, session: str = "s1", *, actor: str = "a1", family: str = FAMILY, now: int = NOW
    ) -> dict[str, Any]:
        request = OpenSession(session_id=session, actor=actor, declared=Declaration(text="x", family=family))
        return await open_session(self.parts.assess, request, now)

    async def ask(
        self, session: str = "s1", *, now: int = NOW, request_id: str | None = None, **asked: Any
    ) -> dict[str, Any]:
        request = GrantRequest(
            session_id=session,
            key=self.jwk,
            asked=Asked(**asked),
            request_id=request_id,
        )
        answer = await grants.issue(self.parts, request, now)
        return self.take(answer)

    def take(self, answer: dict[str, Any]) -> dict[str, Any]:
        self.grant = answer["grant"]
        self.passes.append(answer["pass"])
        return answer

    def proof(
        self,
        held: str,
        wanted: Access | int,
        *,
        now: int = NOW,
        key: Ed25519PrivateKey | None = None,
        headers: Mapping[str, Any] | None = None,
        algorithm: str = "EdDSA",
        **changed: Any,
    ) -> str:
        """A proof as RFC 9449 has it and `req` besides; `changed` are claims that differ, None leaves one out."""
        claims = {
            "jti": secrets.token_hex(8),
            "htm": "POST",
            "htu": URL,
            "iat": now // 1_000,
            "ath": b64(hashlib.sha256(held.encode()).digest()),
            "req": req_of(wanted.to_json() if isinstance(wanted, Access) else {"units": wanted}),
        } | changed
        claims = {name: value for name, value in claims.items() if value is not None}
        head = {"typ": "dpop+jwt", "jwk": self.jwk} | dict(headers or {})
        return jwt.encode(claims, key or self.private, algorithm=algorithm, headers=head)

    async def spend(
        self,
        wanted: Access | int = READ,
        *,
        now: int = NOW,
        held: str | None = None,
        proof: str | None = None,
        actor: str | None = None,
        url: str = URL,
    ) -> dict[str, Any]:
        held = held or self.newest
        request = SpendRequest(
            held=held,
            proof=proof or self.proof(held, wanted, now=now),
            wanted=wanted,
            method="POST",
            url=url,
        )
        return await grants.spend(self.parts, request, now, actor=actor)

    async def use(self, wanted: Access | int = READ, *, now: int = NOW) -> dict[str, Any]:
        """Spend the newest pass and keep the next."""
        return self.take(await self.spend(wanted, now=now))

    async def check(self, held: str | None = None, *, now: int = NOW, **asked: Any) -> dict[str, Any]:
        return await grants.check(self.parts, CheckRequest(held=held or self.newest, **asked), now)
