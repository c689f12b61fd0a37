"""What is shown to somebody who helps: how much there is of everything, and nothing of what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ioint_node.cli.main import main
from ioint_node.config import change_setting, load_config

CANARY = "Canaryq7x"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node whose every free setting holds a name of its own."""
    made = tmp_path / CANARY
    main(["init", "--home", str(made), "--org", CANARY, "--web-port", "0", "--exchange-port", "0"])
    config = load_config(made)
    for name, value in (
        ("own_domains", (f"{CANARY.lower()}.example",)),
        ("private_names", (f"@{CANARY}",)),
        ("announce", (f"/dns4/{CANARY.lower()}.example/tcp/4470",)),
        ("consortium", CANARY),
    ):
        config = change_setting(config, name, value)  # type: ignore[arg-type]
    return made


def dump(home: Path, tmp_path: Path) -> str:
    target = tmp_path / "dump.json"
    assert main(["support-dump", "--home", str(home), "--output", str(target)]) == 0
    return target.read_text()


def test_no_name_of_ours_and_no_path_is_in_it(home: Path, tmp_path: Path) -> None:
    text = dump(home, tmp_path)
    assert CANARY.lower() not in text.lower()
    assert str(tmp_path) not in text


def test_no_key_and_no_token_is_in_it(home: Path, tmp_path: Path) -> None:
    text = dump(home, tmp_path)
    secrets = [*(home / "keys").glob("*.key"), home / "local.token"]
    assert len(secrets) >= 3
    assert not any(file.read_text().strip() in text for file in secrets)


def test_it_tells_versions_settings_schema_and_counts(home: Path, tmp_path: Path) -> None:
    told = json.loads(dump(home, tmp_path))
    assert told["schema"] == "ioint.support/1"
    assert {"ioint", "python", "libp2p"} <= told["versions"].keys()
    assert (
        told["settings"] | {"publish": "hold", "own_domains": "1 entries", "org": "set"} == told["settings"]
    )
    assert told["database"]["schema"] == told["database"]["newest"]
    assert told["database"]["rows"]["sessions"] == 0
    assert told["running"] is None
