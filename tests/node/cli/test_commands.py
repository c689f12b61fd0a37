"""Commands as an operator types them: what they print, where, and with which exit code."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from ioint_node.access.certificates import thumbprint
from ioint_node.cli import main
from ioint_node.cli.main import COMMANDS, ioint
from ioint_node.store import engine


class Shell:
    """Runs command lines in this process and keeps what they printed."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def run(self, *words: object) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._capture.readouterr()
        code = main([str(word) for word in words])
        printed = self._capture.readouterr()
        return code, printed.out, printed.err

    def json(self, *words: object) -> dict[str, Any]:
        """The one document on standard output of a command that must succeed."""
        code, out, err = self.run(*words, "-o", "json")
        assert code == 0, err
        document: dict[str, Any] = json.loads(out)
        return document


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def every_command() -> list[tuple[str, ...]]:
    """The path of every command and subcommand."""
    paths: list[tuple[str, ...]] = []
    context = click.Context(ioint)
    for name in ioint.list_commands(context):
        command = ioint.get_command(context, name)
        paths.append((name,))
        if isinstance(command, click.Group):
            paths += [(name, inner) for inner in command.list_commands(context)]
    return paths


def make_node(shell: Shell, home: Path, org: str) -> dict[str, Any]:
    return shell.json("init", "--home", home, "--org", org, "--web-port", 0, "--exchange-port", 0)


def test_every_command_has_help_and_the_list_tells_the_same() -> None:
    context = click.Context(ioint)
    for name in COMMANDS:
        command = ioint.get_command(context, name)
        assert command is not None
        assert command.short_help == COMMANDS[name][2]
        assert command.help
        for inner in command.commands.values() if isinstance(command, click.Group) else ():
            assert inner.help, inner.name


def test_every_command_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()
    missing = [" ".join(path) for path in every_command() if f"`ioint {' '.join(path)}" not in text]
    assert missing == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ioint_node.cli import main; main(['--help']); "
        "sys.exit(any(name in sys.modules for name in ('sklearn', 'numpy', 'sqlalchemy', 'aiohttp', 'libp2p',"
        " 'ioint_protocol')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()


def test_a_command_that_only_reads_files_does_not_import_the_database(shell: Shell, tmp_path: Path) -> None:
    make_node(shell, tmp_path / "node", "Alpha")
    for words in (["consortium", "card"], ["status"]):
        arguments = [*words, "--home", str(tmp_path / "node")]
        code = (
            f"import sys; from ioint_node.cli import main; main({arguments!r}); "
            "sys.exit(any(name in sys.modules for name in ('sqlalchemy', 'alembic', 'numpy', 'aiohttp')))"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()


def test_all_that_a_command_makes_is_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "node"
    for words in (["init", "--org", "Alpha"], ["token", "create", "--role", "soc"], ["consortium", "create"]):
        command = [sys.executable, "-m", "ioint_node", *words, "--home", str(home)]
        subprocess.run(command, check=True, capture_output=True, timeout=60, umask=0o022)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
    assert {name for name, mode in modes.items() if mode & 0o077} == set()
    assert {"ioint.db", "local.token", "steward.key", "roster.bin"} <= set(modes)


def test_a_wrong_option_is_a_usage_error_and_names_the_help(shell: Shell) -> None:
    code, out, err = shell.run("token", "create", "--rol", "admin")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "ioint: see `ioint token create --help`"


@pytest.mark.parametrize("words", [(), ("consortium",), ("token",)])
def test_who_names_no_command_gets_the_help_and_no_fault(shell: Shell, words: tuple[str, ...]) -> None:
    _, help_text, _ = shell.run(*words, "--help")
    assert shell.run(*words) == (2, "", help_text)


def test_an_unknown_command_is_a_usage_error(shell: Shell) -> None:
    code, _, err = shell.run("frobnicate")
    assert code == 2
    assert err.splitlines()[-1] == "ioint: see `ioint --help`"


def test_a_mistyped_command_is_answered_with_the_nearest_one(shell: Shell) -> None:
    code, _, err = shell.run("statsu")
    assert code == 2
    assert "did you mean status?" in err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("init", "--org", "Alpha", "--web-port", "80x"), "whole number"),
        (("agents", "list", "--limit", "many"), "whole number"),
        (("policy", "test", "--tolerance", "much"), "number"),
    ],
)
def test_what_is_no_number_is_refused_in_plain_words(
    shell: Shell, words: tuple[str, ...], wanted: str
) -> None:
    code, _, err = shell.run(*words)
    assert code == 2
    assert f"is not a valid {wanted}." in err.splitlines()[0]


def test_no_help_is_cut_in_a_list_of_commands(shell: Shell) -> None:
    for name in COMMANDS:
        _, out, _ = shell.run(name, "--help")
        assert "..." not in out.partition("Commands:")[2], name


def test_a_result_for_a_missing_directory_names_it(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").touch()
    place = tmp_path / "nowhere"
    code, _, err = shell.run("score", "--input", tmp_path / "in.jsonl", "--output", place / "out.jsonl")
    assert code == 1
    assert err.splitlines()[-1].endswith(f"{place} is no directory: make it, or name another --output")


def test_a_failure_says_what_to_do_and_keeps_standard_output_json(shell: Shell, tmp_path: Path) -> None:
    code, out, err = shell.run("status", "--home", tmp_path / "nowhere", "-o", "json")
    assert code == 1
    assert "ioint init" in err.splitlines()[-1]
    assert "ioint init" in json.loads(out)["error"]


def test_init_makes_a_node_that_nobody_else_can_read(shell: Shell, tmp_path: Path) -> None:
    home = tmp_path / "node"
    made = make_node(shell, home, "Alpha")
    assert made["publish"] == "hold"
    assert made["mode"] == "observe"
    for path in (home, *home.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_init_keeps_what_is_there(shell: Shell, tmp_path: Path) -> None:
    first = make_node(shell, tmp_path / "node", "Alpha")
    code, out, err = shell.run("init", "--home", tmp_path / "node", "--org", "Beta")
    assert (code, out) == (1, "")
    assert "it is kept" in err
    assert "ioint run --home" in err.splitlines()[-1]
    card = shell.json("consortium", "card", "--home", tmp_path / "node")
    assert (card["member"], card["name"]) == (first["member"], "Alpha")


def test_a_token_is_shown_once_and_works_until_it_is_revoked(shell: Shell, tmp_path: Path) -> None:
    home = tmp_path / "node"
    make_node(shell, home, "Alpha")
    made = shell.json("token", "create", "--home", home, "--role", "agent", "--actor", "a-17")
    assert set(made) >= {"id", "token", "role", "actor", "tlp", "expires"}
    listed = shell.json("token", "list", "--home", home)
    assert made["token"] not in json.dumps(listed)
    assert {row["role"] for row in listed["items"]} == {"admin", "agent"}
    shell.json("token", "revoke", made["id"], "--home", home)
    rows = {row["id"]: row for row in shell.json("token", "list", "--home", home)["items"]}
    assert rows[made["id"]]["revoked_at"] is not None


def test_a_token_is_cut_to_scopes_and_bound_to_a_certificate(shell: Shell, tmp_path: Path) -> None:
    home, certificate = tmp_path / "node", tmp_path / "client.pem"
    make_node(shell, home, "Alpha")
    create = ("token", "create", "--home", home, "--role", "soc")
    certificate.write_text(ssl.DER_cert_to_PEM_cert(b"any bytes"))
    made = shell.json(*create, "--scope", "query,opine", "--cert", certificate)
    assert made["scopes"] == ["opine", "query"]
    assert made["certificate"] == thumbprint(b"any bytes")
    code, _, err = shell.run(*create, "--scope", "decide")
    assert code == 1
    assert "does not open decide" in err
    certificate.write_text("no certificate")
    code, _, err = shell.run(*create, "--cert", certificate)
    assert code == 1
    assert "holds no certificate" in err


def test_an_agents_token_needs_its_actor(shell: Shell, tmp_path: Path) -> None:
    make_node(shell, tmp_path / "node", "Alpha")
    code, _, err = shell.run("token", "create", "--home", tmp_path / "node", "--role", "agent")
    assert code == 2
    assert "one actor" in err


def test_a_token_that_does_not_exist_points_at_the_list(shell: Shell, tmp_path: Path) -> None:
    make_node(shell, tmp_path / "node", "Alpha")
    code, _, err = shell.run("token", "revoke", "nope", "--home", tmp_path / "node")
    assert code == 1
    assert err.splitlines()[-1].endswith("see `ioint token list`")


def test_the_database_is_upgraded_twice_without_harm(shell: Shell, tmp_path: Path) -> None:
    make_node(shell, tmp_path / "node", "Alpha")
    done = shell.json("db", "upgrade", "--home", tmp_path / "node")
    assert done["from"] == done["to"]


def test_the_doctor_names_every_failure_with_its_repair(shell: Shell, tmp_path: Path) -> None:
    home = tmp_path / "node"
    make_node(shell, home, "Alpha")
    (home / "keys" / "record.key").chmod(0o644)
    code, out, _ = shell.run("doctor", "--home", home, "-o", "json")
    checks = {row["check"]: row for row in json.loads(out)["checks"]}
    assert code == 1
    assert checks["settings"]["ok"]
    assert checks["database"]["ok"]
    assert "chmod 0600" in checks["keys"]["detail"]
    assert "ioint run" in checks["running"]["detail"]


def test_the_doctor_tells_a_fault_once_and_skips_what_it_hides(shell: Shell, tmp_path: Path) -> None:
    code, out, _ = shell.run("doctor", "--home", tmp_path / "nowhere", "-o", "json")
    rows = json.loads(out)["checks"]
    assert code == 1
    assert [row["check"] for row in rows if row["ok"] is False] == ["settings"]
    assert {row["detail"] for row in rows if row["ok"] is None} == {"needs settings first"}


def test_the_doctor_names_a_boundary_that_the_running_node_may_not_have_taken_up(
    shell: Shell, tmp_path: Path
) -> None:
    home = tmp_path / "node"
    make_node(shell, home, "Alpha")
    (home / "boundary.json").write_text('{"schema":"ioint.boundary/1","rules":[]}')
    settings = home / "config.toml"
    settings.write_text(settings.read_text().replace('boundary = ""', 'boundary = "boundary.json"'))

    def told() -> dict[str, Any]:
        _, out, _ = shell.run("doctor", "--home", home, "-o", "json")
        return next(row for row in json.loads(out)["checks"] if row["check"] == "boundary")

    assert "note" not in told()
    started = home / "run.json"
    started.write_text("{}")
    os.utime(started, (1, 1))
    assert "restart it" in told()["detail"]
    (home / "boundary.json").write_text('{"schema":"ioint.boundary/1","rules":[{"effect":"allow"}]}')
    assert told()["detail"].startswith("Invalid enum value")


def test_the_doctor_names_files_that_others_can_read(shell: Shell, tmp_path: Path) -> None:
    home = tmp_path / "node"
    make_node(shell, home, "Alpha")
    (home / "ioint.db").chmod(0o644)
    _, out, _ = shell.run("doctor", "--home", home, "-o", "json")
    checks = {row["check"]: row for row in json.loads(out)["checks"]}
    assert f"chmod go-rwx {home / 'ioint.db'}" in checks["files"]["detail"]


def test_the_doctor_tries_whether_a_write_reaches_the_disk(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "node"
    make_node(shell, home, "Alpha")

    def examine() -> dict[str, Any]:
        _, out, _ = shell.run("doctor", "--home", home, "-o", "json")
        return next(row for row in json.loads(out)["checks"] if row["check"] == "writes")

    assert "GB are free" in examine()["detail"]

    async def no_room(*_arguments: object, **_how: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(engine, "_run_job", no_room)
    found = examine()
    assert not found["ok"]
    assert "free space" in found["detail"]


def test_a_broken_database_is_named_with_the_remedy_by_every_command(shell: Shell, tmp_path: Path) -> None:
    home = tmp_path / "node"
    make_node(shell, home, "Alpha")
    (home / "ioint.db").write_bytes(b"no database " * 1_000)
    for words in (["run"], ["token", "list"], ["token", "create", "--role", "soc"], ["consortium", "show"]):
        code, out, err = shell.run(*words, "--home", home)
        assert (code, out) == (1, "")
        assert f"{home / 'ioint.db'}: the database is damaged" in err
        assert "restore a backup" in err.splitlines()[-1]


def test_a_command_for_a_running_node_says_how_to_start_it(shell: Shell, tmp_path: Path) -> None:
    make_node(shell, tmp_path / "node", "Alpha")
    for words in (["agents", "list"], ["peers"], ["why", "ab" * 32], ["approvals", "list"]):
        code, out, err = shell.run(*words, "--home", tmp_path / "node")
        assert (code, out) == (1, "")
        assert "ioint run --home" in err.splitlines()[-1]


def test_foreign_text_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    from ioint_node.cli.options import cell, show_tree

    assert "\x1b" not in cell("\x1b[2J evil")
    assert cell({"a": "\x1b"}).isprintable()
    assert cell("two\nlines\x1b") == "two lines�"
    show_tree({"\x1b[2J": {"\x1b": [{"\x1b": "\x1b"}]}, "one\x1b": "\x1b"})
    assert "\x1b" not in capsys.readouterr().out


def test_a_hostile_receipt_is_refused_in_one_line_that_can_be_printed(shell: Shell, tmp_path: Path) -> None:
    for number, text in enumerate(
        ('{"line":"\\u001b[2J\\nioint: same"}', "\x1b[2J", '{"line":"end","\x1b":0}')
    ):
        receipt = tmp_path / f"{number}.jsonl"
        receipt.write_text(f"{text}\n")
        code, _, err = shell.run("why", "ab" * 32, "--replay", receipt)
        assert code == 1
        assert len(err.splitlines()) == 1
        assert err.strip().isprintable()


def test_a_preview_shows_the_very_bytes_before_anything_can_leave(shell: Shell, tmp_path: Path) -> None:
    make_node(shell, tmp_path / "node", "Alpha")
    shown = shell.json("preview", "--home", tmp_path / "node")
    (record,) = shown["items"]
    told = json.loads(base64.b64decode(record["bytes_b64"]))
    explained = {row["field"].removesuffix("[]") for row in record["fields"]}
    assert explained == {name for name, value in told.items() if value != []}
    assert (record["state"], shown["sample"]) == ("held", True)
    code, out, err = shell.run("preview", "--home", tmp_path / "node")
    assert code == 0, err
    assert out.startswith("a made-up sample")
    assert all(row["why"] in out for row in record["fields"])
