"""What the operator decides, read once into frozen values; and the keys, which are files of their own.

A home directory (0700) holds everything that one node is:

    config.toml                     the settings below; docs/configuration.md explains each
    keys/{node,record,pass,steward}.key  Ed25519 seeds in hex, 0600; the steward's only where rosters are signed
    keys/fingerprints.json          the consortium's keys by epoch, 0600; where fingerprints are on
    keys/principal.key              32 bytes in hex, 0600: people are counted by digests under it
    ioint.db                        the database, unless `store_url` names another
    roster.bin                      the roster, every version as its stewards signed it
    local.token                     an administrator's token for commands on this machine, 0600
    run.json                        where the running node listens, 0600; gone when it stopped

Only one thing comes from the environment: IOINT_HOME, the place of that directory.
"""

from __future__ import annotations

from ioint_node.config.files import make_home, read_private, refuse_shared, replace_private, write_private
from ioint_node.config.keys import (
    Keys,
    load_keys,
    load_pass_key,
    load_principal_key,
    make_keys,
    make_steward_key,
)
from ioint_node.config.names import load_fingerprint_key, load_public_names
from ioint_node.config.run import RunInfo, clear_run, hold_home, read_run, write_run
from ioint_node.config.settings import (
    Config,
    change_setting,
    default_home,
    load_config,
    write_config,
)

__all__ = [
    "Config",
    "Keys",
    "RunInfo",
    "change_setting",
    "clear_run",
    "default_home",
    "hold_home",
    "load_config",
    "load_fingerprint_key",
    "load_keys",
    "load_pass_key",
    "load_principal_key",
    "load_public_names",
    "make_home",
    "make_keys",
    "make_steward_key",
    "read_private",
    "read_run",
    "refuse_shared",
    "replace_private",
    "write_config",
    "write_private",
    "write_run",
]
