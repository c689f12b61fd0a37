"""The identity provider that the settings name, as the web edge takes it."""

from __future__ import annotations

from ioint_node.access.claims import Mapped, Rule
from ioint_node.config.files import read_private
from ioint_node.config.settings import Config
from ioint_node.errors import ConfigError
from ioint_node.web.oidc import OidcSettings, Provider

SECRET_CHARS = 4_096


def oidc_of(config: Config) -> Provider | None:
    """The provider of these settings, None where none is set.

    Raises:
        ConfigError: the file of the client's secret is missing, or others can read it.
    """
    if not config.oidc_issuer:
        return None
    return Provider(
        OidcSettings(
            issuer=config.oidc_issuer,
            audience=config.oidc_audience,
            client_id=config.oidc_client_id,
            client_secret=_secret(config),
            login_scope=config.oidc_login_scope,
            here=config.public_url,
            mapped=Mapped(
                rules=tuple(Rule.parse(text) for text in config.oidc_roles),
                tlp=config.oidc_tlp,
                tlp_claim=config.oidc_tlp_claim,
                actor_claim=config.oidc_actor_claim,
                scope_prefix=config.oidc_scope_prefix,
            ),
        )
    )


def _secret(config: Config) -> str:
    if not config.oidc_client_secret_file:
        return ""
    secret = read_private(config.home / config.oidc_client_secret_file).decode("utf-8", "replace").strip()
    if not 1 <= len(secret) <= SECRET_CHARS:
        raise ConfigError("oidc_client_secret_file holds no secret: write the one that the provider gave")
    return secret
