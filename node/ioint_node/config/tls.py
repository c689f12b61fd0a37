"""Certificates: the thumbprint that a token is bound to."""

from __future__ import annotations

import base64
import hashlib
import ssl
from pathlib import Path
from typing import Final

from ioint_node.errors import ConfigError

CERTIFICATE_BYTES: Final = 65_536
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


def thumbprint(der: bytes) -> str:
    """The `x5t#S256` of a certificate (RFC 8705, 3.1): base64url of the SHA-256 of its DER form, without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


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
