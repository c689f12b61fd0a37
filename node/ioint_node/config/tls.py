"""TLS of the HTTP interface: the certificate and key of the node, the authority of its callers, and their renewal."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ioint_node.access.certificates import thumbprint
from ioint_node.config.files import refuse_shared
from ioint_node.config.settings import Config
from ioint_node.errors import ConfigError

CERTIFICATE_BYTES: Final = 65_536
RENEW_S: Final = 10.0
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"
log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Tls:
    """The context that connections are made with; `watch` puts a renewed certificate into it."""

    context: ssl.SSLContext
    cert: Path
    key: Path
    seen: tuple[int, ...]

    @classmethod
    def of(cls, config: Config) -> Self | None:
        """The context that the settings ask for, None for plain HTTP.

        Client certificates are asked for in the handshake and demanded behind it, where it is known who calls.

        Raises:
            ConfigError: a file is missing, is none of its kind, or others can read the key.
        """
        if not config.web_tls_cert:
            return None
        cert, key = config.home / config.web_tls_cert, config.home / config.web_tls_key
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        _load(context, cert, key)
        if config.web_client_ca:
            authority = config.home / config.web_client_ca
            context.verify_mode = ssl.CERT_OPTIONAL
            try:
                context.load_verify_locations(authority)
            except (OSError, ssl.SSLError):
                raise ConfigError(
                    f"web_client_ca: {authority} holds no certificates: name a PEM file of authorities"
                ) from None
        return cls(context=context, cert=cert, key=key, seen=_changed_at(cert, key))

    async def watch(self) -> None:
        """Take in a renewed certificate; new connections get it, and one that is none changes nothing."""
        while True:
            await asyncio.sleep(RENEW_S)
            self.renew()

    def renew(self) -> bool:
        """Load certificate and key again if a file has changed; whether they were taken in."""
        try:
            seen = _changed_at(self.cert, self.key)
            if seen == self.seen:
                return False
            self.seen = seen
            # First into a context that nobody uses: half of a pair would end every handshake.
            _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.cert, self.key)
            _load(self.context, self.cert, self.key)
        except (OSError, ConfigError) as error:
            log.warning("the certificate in use stays: %s", error)
            return False
        log.info("a renewed certificate is in use")
        return True


def trust_of(config: Config) -> ssl.SSLContext | None:
    """How a command on this machine knows its own node by the certificate in its file; None for plain HTTP."""
    if not config.web_tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The file itself is the proof, whatever name and authority stand in it.
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(config.home / config.web_tls_cert)
    return context


def thumbprint_of_file(path: Path) -> str:
    """The thumbprint of the first certificate of a PEM file.

    Raises:
        ConfigError: it cannot be read, or holds no certificate.
    """
    try:
        with path.open("rb") as file:
            text = file.read(CERTIFICATE_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): name a certificate in PEM") from None
    _, begin, rest = text.partition(_BEGIN)
    body, end, _ = rest.partition(_END)
    try:
        if not begin or not end:
            raise ValueError
        return thumbprint(ssl.PEM_cert_to_DER_cert(f"{begin}{body}{end}"))
    except ValueError:
        raise ConfigError(f"{path} holds no certificate: name one in PEM") from None


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    refuse_shared((key,))
    try:
        # A password would be asked for at a terminal that a service has not.
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"web_tls_cert {cert} and web_tls_key {key} are no certificate and its key ({error}): "
            "name two PEM files that belong together"
        ) from None


def _no_password() -> str:
    raise ConfigError("web_tls_key is encrypted: name a key without a password, mode 0600")


def _changed_at(*paths: Path) -> tuple[int, ...]:
    return tuple(value for path in paths for value in (path.stat().st_mtime_ns, path.stat().st_ino))
