"""OpenID Connect: programs with access tokens of a provider, and people who sign in to the console with it.

`provider` speaks with the provider, `bearers` verifies access tokens, `sessions` keeps who signed in, and `login` is
the authorization code flow. Nothing of it stands in the way of the node's own tokens: those are looked at first.
"""

from __future__ import annotations

from ioint_node.web.oidc.provider import OidcSettings, Provider, ProviderAwayError

__all__ = ["OidcSettings", "Provider", "ProviderAwayError"]
