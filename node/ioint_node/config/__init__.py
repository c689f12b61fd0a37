"""What the operator decides, read once into frozen values; and the keys, which are files of their own.

A home directory (0700) holds everything that one node is:

    config.toml                     the settings below; docs/configuration.md explains each
    keys/{node,record,pass}.key     Ed25519 seeds in hex, 0600; keys/feed.key too, where a public bundle is signed
    keys/{steward,clock}.key        the same, only at a steward's node: sign rosters
    keys/record-N.key, keys/*-next.key    the same, made by a rotation of keys
    keys/principal.key              32 bytes in hex, 0600: people are counted by digests under it
    keys/ssf.json                   RSA keys that sign security events, 0600; made at their first use
    keys/fingerprints.json          the consortium's keys by epoch, 0600; where a steward gave them
    invitation                      the invitation that this node applies with, 0600, until it is admitted
    ioint.db                        the database, unless `store_url` names another
    roster.bin                      the roster as its stewards signed it, for whoever joins
    local.token                     an administrator's token for commands on this machine, 0600
    run.json                        where the running node listens, 0600; gone when it stopped

Only one thing comes from the environment: IOINT_HOME, the place of that directory.

`signal_keys` is imported by its own name: it needs much that most commands do without.
"""

from __future__ import annotations

from ioint_node.config.boundary import BoundaryFile, load_boundary
from ioint_node.config.files import make_home, read_private, refuse_shared, replace_private, write_private
from ioint_node.config.keys import (
    Keys,
    load_feed_key,
    load_keys,
    load_pass_key,
    load_principal_key,
    make_keys,
    make_next_keys,
    make_record_key,
    make_steward_key,
    settle_keys,
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
    "BoundaryFile",
    "Config",
    "Keys",
    "RunInfo",
    "change_setting",
    "clear_run",
    "default_home",
    "hold_home",
    "load_boundary",
    "load_config",
    "load_feed_key",
    "load_fingerprint_key",
    "load_keys",
    "load_pass_key",
    "load_principal_key",
    "load_public_names",
    "make_home",
    "make_keys",
    "make_next_keys",
    "make_record_key",
    "make_steward_key",
    "read_private",
    "read_run",
    "refuse_shared",
    "replace_private",
    "settle_keys",
    "write_config",
    "write_private",
    "write_run",
]
