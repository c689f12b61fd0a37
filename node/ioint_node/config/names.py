"""What an operator puts beside the settings so that more may leave: public names, and the keys of fingerprints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from ioint_node.config.files import read_private
from ioint_node.errors import ConfigError
from ioint_node.privacy.fingerprints import FingerprintKey
from ioint_node.privacy.names import NAMES_BYTES, parse_names

_KEY: Final = re.compile(r"[0-9a-f]{64}")
_EPOCH: Final = re.compile(r"[0-9]{1,5}")
_FORM: Final = '{"keys": {"EPOCH": "64 hex digits"}}'


def load_public_names(path: Path) -> frozenset[str]:
    """The names that the file of `public_names` lists.

    Raises:
        ConfigError: the file cannot be read, is too large, or a line is no package URL.
    """
    try:
        with path.open("rb") as file:
            data = file.read(NAMES_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"public_names: {path} cannot be read ({error.strerror}): correct the path"
        ) from None
    if len(data) > NAMES_BYTES:
        raise ConfigError(f"public_names: {path} is larger than {NAMES_BYTES} bytes: list fewer names")
    try:
        return parse_names(data.decode())
    except ValueError as error:
        raise ConfigError(f"public_names: {path}: {error}") from None


def load_fingerprint_key(home: Path) -> FingerprintKey | None:
    """The consortium's key of the newest epoch; None where no file has one.

    Raises:
        ConfigError: the file is readable by others, or is not of its form.
    """
    path = home / "keys" / "fingerprints.json"
    if not path.exists():
        return None
    try:
        keys = msgspec.json.decode(read_private(path))["keys"]
        found = {int(epoch): bytes.fromhex(key) for epoch, key in keys.items() if _fits(epoch, key)}
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{path} is not {_FORM}: ask a steward for the keys again") from None
    if len(found) != len(keys) or not found:
        raise ConfigError(f"{path} is not {_FORM}: ask a steward for the keys again")
    newest = max(found)
    return FingerprintKey(epoch=newest, key=found[newest])


def _fits(epoch: object, key: object) -> bool:
    return (
        isinstance(epoch, str)
        and isinstance(key, str)
        and bool(_EPOCH.fullmatch(epoch) and _KEY.fullmatch(key))
    )
