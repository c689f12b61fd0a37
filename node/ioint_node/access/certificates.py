"""The thumbprint by which a token names the client certificate that it is bound to."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def thumbprint(der: bytes) -> str:
    """The `x5t#S256` of a certificate (RFC 8705, 3.1): base64url of the SHA-256 of its DER form, without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
