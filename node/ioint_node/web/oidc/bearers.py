"""Programs: an access token of the provider in `Authorization: Bearer` makes a caller, by the rules of the node."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from ioint_node.access.claims import terms_of
from ioint_node.access.identity import (
    Expected,
    UnknownKeyError,
    bound_to,
    check_access,
    verify_token,
)
from ioint_node.store.tokens import Caller
from ioint_node.web.oidc.provider import Provider

CALLERS: Final = 4_096
FRESH_MS: Final = 60_000


class Bearers:
    """Verifies access tokens, each signature once a minute; belongs to one event loop."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._verified: OrderedDict[bytes, tuple[Caller, int]] = OrderedDict()  # hash → caller, until when

    async def caller(self, token: str, now: int) -> Caller:
        """The caller whom an access token vouches for; `now` in Unix milliseconds.

        Raises:
            IdentityError: it does not hold.
            UnmappedError: no rule gives its holder a role.
            ProviderAwayError: no keys are known to verify it with.
        """
        key = hashlib.sha256(token.encode()).digest()
        caller, until = self._verified.get(key, (None, 0))
        if caller is not None and until - FRESH_MS <= now < until:
            return caller
        claims = await verified(self._provider, token, self._provider.settings.audience, now)
        check_access(claims)
        made = caller_of_claims(self._provider, claims, certificate=bound_to(claims))
        self._verified[key] = (made, min(made.expires or 0, now + FRESH_MS))
        self._verified.move_to_end(key)
        while len(self._verified) > CALLERS:
            self._verified.popitem(last=False)
        return made


async def verified(
    provider: Provider, token: str, audience: str, now: int, nonce: str | None = None
) -> Mapping[str, Any]:
    """The claims of a token of the provider, with its keys asked for once more where one is not known.

    Raises:
        IdentityError: it does not hold.
        ProviderAwayError: no keys are known to verify it with.
    """
    expected = Expected(issuer=provider.settings.issuer, audience=audience, nonce=nonce)
    keys = await provider.keys(now)
    try:
        return verify_token(token, keys, expected, now / 1_000)
    except UnknownKeyError:
        newer = await provider.keys(now, unknown=True)
        if newer is keys:
            raise
        return verify_token(token, newer, expected, now / 1_000)


def caller_of_claims(
    provider: Provider, claims: Mapping[str, Any], *, certificate: str | None = None
) -> Caller:
    """Who verified claims are here.

    Raises:
        UnmappedError: no rule gives them a role.
    """
    terms = terms_of(claims, provider.settings.mapped)
    return Caller(
        id=terms.id,
        role=terms.role,
        actor=terms.actor,
        tlp=terms.tlp,
        expires=int(float(claims["exp"]) * 1_000),
        scopes=terms.scopes,
        certificate=certificate,
    )
