"""Settings and keys: what is refused, and what the refusal says to do."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
from ioint_node.config import (
    Config,
    RunInfo,
    change_setting,
    clear_run,
    default_home,
    hold_home,
    load_config,
    load_keys,
    make_keys,
    make_steward_key,
    read_run,
    write_config,
    write_private,
    write_run,
)
from ioint_node.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_what_was_written_is_what_is_read(home: Path) -> None:
    config = Config(
        home=home,
        org="Org & Sons",
        announce=("/dns4/node.example.org/tcp/4470",),
        mode="enforce",
        tolerance=0.5,
        enforce_families=("research=25",),
        enforce_agents=("a-17=100",),
        fail_closed=(),
    )
    write_config(config)
    assert load_config(home) == config


def test_the_store_follows_a_home_that_was_moved(home: Path) -> None:
    write_config(Config(home=home, org="Org"))
    moved = home.rename(home.with_name("moved"))
    assert str(moved / "ioint.db") in load_config(moved).store_url


def test_one_setting_changes_and_the_rest_of_the_file_stays(home: Path) -> None:
    write_config(Config(home=home, org="Org"))
    path = home / "config.toml"
    path.write_text(path.read_text() + "# a note of the operator\n")
    changed = change_setting(load_config(home), "publish", "catalogue")
    assert changed.publish == "catalogue"
    assert load_config(home) == changed
    assert "# a note of the operator" in path.read_text()


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ('org = ""', "write 1 to 64"),
        ('mode = "block"', "observe, enforce"),
        ('publish = "all"', "hold, catalogue, off"),
        ("web_port = 70000", "from 0 to 65535"),
        ("web_port = 4470", "give each a port of its own"),
        ('exchange_host = "0.0.0.0"\nexchange_port = 8470', "give each a port of its own"),
        ("retention_days = 0", "from 1 to"),
        ("tolerance = 0", "from 0.1 to 30"),
        ("tolerance = nan", "from 0.1 to 30"),
        ('tolerance = "1"', "a number"),
        ("tolerance = true", "a number"),
        ("enforce_share = 101", "from 0 to 100"),
        ('enforce_families = ["research"]', "NAME=PERCENT"),
        ('enforce_families = ["reserch=25"]', "did you mean research?"),
        ('enforce_agents = ["a-17=101"]', "NAME=PERCENT"),
        ('enforce_agents = ["a-17=1", "a-17=2"]', "named twice"),
        ('fail_closed = ["everything"]', "observe, derive, mutate"),
        ('web_host = "localhost"', "IP address"),
        ('web_host = "0.0.0.0"', "web_tls_proxy = true"),
        ('announce = ["node.example.org:4470"]', "/dns4/"),
        ('store_url = "mysql://db"', "sqlite+aiosqlite"),
        ("web_prot = 1", "did you mean web_port?"),
        ("nonsense = 1", "docs/configuration.md"),
        ('web_port = "8470"', "a whole number"),
        ("web_port = true", "a whole number"),
        ("announce = [1]", "a list of texts"),
        ("web_port = ", "correct that line"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_write(home: Path, line: str, remedy: str) -> None:
    home.mkdir(mode=0o700)
    org = "" if line.startswith("org") else 'org = "Org"\n'
    (home / "config.toml").write_text(f"{org}{line}\n")
    with pytest.raises(ConfigError, match=r".*") as caught:
        load_config(home)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    "ports",
    ["web_port = 0\nexchange_port = 0", 'web_port = 4470\nexchange_host = "192.0.2.1"'],
    ids=["any that are free", "on addresses of their own"],
)
def test_both_doors_may_have_one_port_where_they_do_not_meet(home: Path, ports: str) -> None:
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(f'org = "Org"\n{ports}\n')
    config = load_config(home)
    assert config.web_port == config.exchange_port


def test_a_whole_number_is_a_tolerance_too(home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text('org = "Org"\ntolerance = 2\n')
    assert load_config(home).tolerance == 2.0


def test_the_settings_become_a_policy(home: Path) -> None:
    config = Config(
        home=home,
        org="Org",
        mode="enforce",
        enforce_share=0,
        enforce_families=("research=100",),
        fail_closed=("value",),
    )
    policy = config.policy(b"salt")
    assert policy.staging.enforces("a-1", "research")
    assert not policy.staging.enforces("a-1", "monitor")
    assert policy.fail_mode(enforced=True)["value"] == "closed"
    assert not Config(home=home, org="Org").policy(b"salt").staging.enforces("a-1", "research")


def test_a_missing_node_is_named_with_the_command_that_makes_it(home: Path) -> None:
    with pytest.raises(ConfigError, match="ioint init --home"):
        load_config(home)


def test_a_password_in_the_database_address_is_not_shown(home: Path) -> None:
    config = Config(home=home, org="Org", store_url="postgresql+asyncpg://ioint:hidden@127.0.0.1/ioint")
    assert "hidden" not in repr(config)


def test_keys_are_for_their_owner_alone_and_never_shown(home: Path) -> None:
    keys = make_keys(home)
    for path in (home / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert keys.node_seed != keys.record_seed
    assert keys.node_seed.hex() not in repr(keys)
    assert load_keys(home) == keys


def test_a_key_is_never_overwritten(home: Path) -> None:
    before = make_keys(home)
    with pytest.raises(ConfigError, match="exists"):
        make_keys(home)
    assert load_keys(home) == before


def test_a_key_that_others_can_read_is_refused(home: Path) -> None:
    make_keys(home)
    (home / "keys" / "node.key").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 0600"):
        load_keys(home)


def test_a_home_that_others_can_enter_is_refused(home: Path) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    with pytest.raises(ConfigError, match="chmod 0700"):
        make_keys(home)


def test_a_damaged_key_is_refused(home: Path) -> None:
    make_keys(home)
    (home / "keys" / "record.key").write_text("not a key")
    with pytest.raises(ConfigError, match="64 hex digits"):
        load_keys(home)


def test_a_steward_key_is_made_beside_the_others(home: Path) -> None:
    keys = make_keys(home)
    assert keys.steward_key is None
    steered = make_steward_key(home)
    assert steered.steward_key is not None
    assert steered.record_seed == keys.record_seed


def test_a_running_node_is_found_and_a_dead_one_is_not(home: Path) -> None:
    config = Config(home=home, org="Org")
    write_config(config)
    assert read_run(config) is None
    run = RunInfo(url="http://127.0.0.1:8470", pid=os.getpid(), peer_id="12D3KooW")
    write_run(config, run)
    assert read_run(config) == run
    assert stat.S_IMODE(config.run_file.stat().st_mode) == 0o600
    clear_run(config)
    assert read_run(config) is None


def test_the_home_comes_from_the_option_then_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IOINT_HOME", str(tmp_path / "environment"))
    assert default_home() == tmp_path / "environment"
    assert default_home(tmp_path / "option") == tmp_path / "option"
    monkeypatch.delenv("IOINT_HOME")
    assert default_home() == Path.home() / ".ioint"


def test_one_home_runs_one_node(home: Path) -> None:
    config = Config(home=home, org="Org")
    write_config(config)
    with hold_home(config), pytest.raises(ConfigError, match="stop it first"), hold_home(config):
        pass
    with hold_home(config):
        pass


@pytest.mark.parametrize(
    "name", ["", "config.toml", "keys", "keys/node.key", "ioint.db", "ioint.db-wal", "local.token"]
)
def test_a_node_does_not_run_where_others_can_reach_what_is_its_owners(home: Path, name: str) -> None:
    config = Config(home=home, org="Org")
    write_config(config)
    make_keys(home)
    path = home / name
    if not path.exists():
        write_private(path, b"")
    with hold_home(config):
        pass
    path.chmod(path.stat().st_mode | 0o044)
    with pytest.raises(ConfigError, match=re.escape(f"run `chmod go-rwx {path}`")), hold_home(config):
        pass


def test_one_command_repairs_all_that_others_can_reach(tmp_path: Path) -> None:
    config = Config(home=tmp_path / "a home", org="Org")
    write_config(config)
    config.home.chmod(0o755)
    config.config_file.chmod(0o644)
    with pytest.raises(ConfigError) as caught, hold_home(config):
        pass
    subprocess.run(shlex.split(str(caught.value).split("`")[1]), check=True, timeout=10)
    with hold_home(config):
        pass


def test_the_roster_is_public_and_a_database_elsewhere_is_looked_at_too(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    elsewhere.touch(mode=0o644)
    config = Config(home=home, org="Org", store_url=f"sqlite+aiosqlite:///{elsewhere}")
    write_config(config)
    config.roster_file.touch(mode=0o644)
    with pytest.raises(ConfigError, match=r"elsewhere\.db") as caught, hold_home(config):
        pass
    assert "roster.bin" not in str(caught.value)
    server = Config(home=home, org="Org", store_url="postgresql+asyncpg://ioint@127.0.0.1/ioint")
    assert not any(path.suffix == ".db" for path in server.private_paths)


@pytest.mark.parametrize("domain", ["", "Example.org", "example", "a b.org", "-x.org", "x" * 260 + ".org"])
def test_what_is_no_domain_is_refused(tmp_path: Path, domain: str) -> None:
    with pytest.raises(ConfigError, match="own_domains"):
        Config(home=tmp_path, org="Alpha", own_domains=("example.org", domain))
