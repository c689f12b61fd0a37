"""The file of the keys that sign security events."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ioint_node.config import Config
from ioint_node.config.signal_keys import SignalKeys, rotate_signal_key
from ioint_node.errors import ConfigError
from ioint_node.signals.sets import OVERLAP_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir(mode=0o700)
    return tmp_path / "keys" / "ssf.json"


def test_keys_are_made_at_their_first_use_once_and_for_nobody_else_to_read(path: Path) -> None:
    keys = SignalKeys(path)
    with ThreadPoolExecutor(4) as pool:
        found = {pool.submit(keys).result().keys[0].kid for _ in range(8)}

    assert len(found) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path in Config(home=path.parents[1], org="Alpha").private_paths
    assert "PRIVATE" not in repr(keys())


def test_a_rotated_key_is_seen_without_a_restart_and_signs_after_the_overlap(path: Path) -> None:
    keys = SignalKeys(path)
    [old] = keys().keys
    kid, since_s = rotate_signal_key(path)

    assert [key.kid for key in keys().published(since_s - OVERLAP_S)] == [old.kid, kid]
    assert keys().signing(since_s - 1).kid == old.kid
    assert keys().signing(since_s).kid == kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="a key waits already"):
        rotate_signal_key(path)


def test_a_rotation_forgets_what_has_stopped_long_ago(path: Path) -> None:
    keys = SignalKeys(path)
    keys()
    rotate_signal_key(path)
    entries = json.loads(path.read_text())
    for number, entry in enumerate(entries["keys"]):
        entry["since"] = number  # both began long ago
    path.write_text(json.dumps(entries))
    newest = keys().keys[-1].kid
    kid, _ = rotate_signal_key(path)

    assert [key.kid for key in keys().keys] == [newest, kid]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"keys": []}', '{"keys": [{"since": 0, "pem": "x"}]}', '{"keys": [7]}']
)
def test_a_file_that_holds_something_else_is_named(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"ssf\.json does not hold the keys"):
        SignalKeys(path)()


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    SignalKeys(path)()
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 0600"):
        SignalKeys(path)()


@pytest.mark.parametrize(
    "url", ["https://node.example.org", "https://node.example.org:8443/a/b", "http://127.0.0.1:8470"]
)
def test_a_public_url_is_taken(tmp_path: Path, url: str) -> None:
    assert Config(home=tmp_path, org="Alpha", public_url=url).public_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://node.example.org",
        "https://node.example.org/",
        "https://node.example.org?x=1",
        "https://me@node.example.org",
        "https://node.example.org:port",
        "ftp://node.example.org",
        "node.example.org",
        "https://",
    ],
)
def test_another_is_refused_with_what_to_write(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="public_url"):
        Config(home=tmp_path, org="Alpha", public_url=url)
