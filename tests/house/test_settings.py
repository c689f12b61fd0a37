"""Each setting is documented, used, and what is documented exists."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

from ioint_node.config import Config, load_config

ROOT = Path(__file__).parents[2]
NAMES = {item.name for item in fields(Config)} - {"home"}


def test_every_setting_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text().partition("## Files")[0]
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", text)) == NAMES


def test_the_documented_defaults_are_those_of_the_code(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    config = Config(home=tmp_path, org="Org")
    for name in NAMES - {"org", "group", "store_url"}:
        value = getattr(config, name)
        shown = json.dumps(list(value) if isinstance(value, tuple) else value)
        assert f"| `{name}` | `{shown}` |" in text, name


def test_every_setting_is_read_by_the_node() -> None:
    code = "\n".join(
        path.read_text()
        for path in (ROOT / "node" / "ioint_node").rglob("*.py")
        if path != ROOT / "node" / "ioint_node" / "config" / "settings.py"
    )
    unused = {name for name in NAMES if not re.search(rf"config\.{name}\b", code)}
    assert unused - {"web_tls_proxy"} == set()  # that one only permits another address


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "config.toml").write_text((ROOT / "deploy" / "config.example.toml").read_text())
    assert load_config(tmp_path).org == "Example Org"
