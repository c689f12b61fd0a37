"""Every command that only reads, against a node that runs: what the command asks for, the node's doors take."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
import pytest
from ioint_node.admission import Accepted
from ioint_node.cli import main
from ioint_node.cli.client import Client, connect
from ioint_node.cli.main import ioint
from ioint_node.config import Keys, change_setting, load_config, load_keys, read_run
from ioint_node.flows.parts import ExchangeParts
from ioint_node.flows.receive import receive_segment
from ioint_node.flows.roster import open_book
from ioint_node.reputation.beliefs import Beliefs
from ioint_node.store.engine import open_store
from ioint_node.store.matches import Met, add_met
from ioint_node.store.times import DAY_MS, day_of, to_text
from ioint_protocol import Report, build_segment, encode_record
from ioint_protocol.segment import GENESIS
from ioint_taxonomy import load_catalogue, load_taxonomy

from tests.node.cli.test_run import ready, running

pytestmark = pytest.mark.network

FOUND_S = 10
PATTERN = min(load_catalogue().entries)
# What each is asked for; a name in braces is a field of `Running`.
READING: dict[tuple[str, ...], tuple[str, ...]] = {
    ("agents", "list"): (),
    ("agents", "show"): ("a-17",),
    ("approvals", "left"): (),
    ("approvals", "list"): (),
    ("approvals", "show"): ("{proposal}",),
    ("approvals", "standing"): (),
    ("consortium", "show"): (),
    ("doctor",): (),
    ("explain",): ("s-1",),
    ("filters", "list"): (),
    ("indicators", "decided"): (),
    ("indicators", "disputes"): ("--state", "open", "--pattern", PATTERN[:12]),
    ("incidents", "export"): ("--output", "{home}/findings.jsonl"),
    ("incidents", "list"): ("--state", "unsettled"),
    ("incidents", "show"): ("{incident}",),
    ("indicators", "effects"): (),
    ("indicators", "export"): ("--output", "{home}/rows.jsonl"),
    ("indicators", "list"): (),
    ("indicators", "novel"): (),
    ("indicators", "show"): (PATTERN[:12],),
    ("indicators", "verify"): (PATTERN[:12],),
    ("peers",): (),
    ("policy", "replay"): ("{proposal}",),
    ("policy", "show"): (),
    ("policy", "test"): ("--tolerance", "2"),
    ("preview",): (),
    ("public", "key"): (),
    ("public", "preview"): (),
    ("status",): (),
    ("streams", "list"): (),
    ("support-dump",): (),
    ("token", "list"): (),
    ("webhooks", "dead"): ("{webhook}",),
    ("webhooks", "list"): (),
    ("webhooks", "show"): ("{webhook}",),
    ("why",): (PATTERN[:12],),
}
WIDER = {"family": "research", "verbs": ["send"], "resources": ["email"], "boundary": "external"}
CHANGING = {
    "agents": {"baseline", "import", "override", "respond"},
    "approvals": {"allow", "decide", "revoke"},
    "consortium": {
        "admit", "card", "create", "invite", "join", "leave", "remove", "renew", "rotate", "rule", "sign",
        "suspend",
    },
    "db": {"upgrade"},
    "filters": {"delete", "save"},
    "incidents": {"assign", "close", "note", "reopen"},
    "indicators": {"allow", "confirm", "dispute", "mute", "release", "withdraw"},
    "policy": {"accept", "propose", "refuse", "withdraw"},
    "streams": {"rotate-key", "set"},
    "token": {"create", "revoke", "rotate"},
    "webhooks": {"create", "enable", "remove", "replay", "rotate", "test"},
}  # fmt: skip
WITHOUT_A_NODE = {"bench", "demo", "init", "mcp-proxy", "run", "score", "simulate", "taxonomy", "train"}
OF_A_FILE = {("filters", "explain"), ("policy", "boundary"), ("public", "verify")}


@dataclass(frozen=True, kw_only=True)
class Running:
    """A node that runs and has something of what each command lists."""

    home: Path
    proposal: str
    incident: str
    webhook: str


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("reading")
    home, other = root / "alpha", root / "beta"
    for place in (home, other):
        done("init", "--home", place, "--org", place.name, "--web-port", 0, "--exchange-port", 0)
    done("consortium", "card", "--home", other, "--output", root / "beta.json")
    done("consortium", "create", "--home", home, "--card", root / "beta.json")
    change_setting(load_config(home), "publish_public", True)
    asyncio.run(hear(home, load_keys(other)))
    with running(home) as process:
        ready(home, process)
        door = connect(home)
        act(door)
        incident = until_found(door)
        done("approvals", "allow", "--class", "novel", "--reason", "a trial", "--home", home)
        made = door.post("api", "v1", "policies", body=WIDER)
        hook = door.post("api", "v1", "webhooks", body={"url": "http://127.0.0.1:9/"})
        yield Running(home=home, proposal=str(made["id"])[:12], incident=incident, webhook=hook["id"])


def done(*words: object) -> None:
    assert main([str(word) for word in words]) == 0, words


async def hear(home: Path, teller: Keys) -> None:
    """Let a node that does not run yet hear another member's report."""
    now = time.time_ns() // 1_000_000
    async with open_store(load_config(home).store_url) as store:
        book = await open_book(store)
        parts = ExchangeParts(
            store=store,
            member=load_keys(home).member,
            record_key=None,  # nothing is signed here
            roster=lambda: book.in_force(now),
            consortium=lambda: book.consortium,
            taxonomy=load_taxonomy(),
            catalogue=load_catalogue(),
            beliefs=Beliefs(),
            publish_mode="hold",
            detector="00" * 32,
        )
        body = encode_record(report(day_of(now)))
        wire = build_segment(
            teller.record_key, book.consortium or "", teller.member, 1, GENESIS, book.version, [body]
        )
        decision = await receive_segment(parts, wire, teller.member, now)
        past = Met(
            pattern=PATTERN,
            session_id="s-0",
            actor="a-17",
            principal="",
            at=to_text(now - DAY_MS),
            judged="benign",
        )
        await store.write(lambda connection: add_met(connection, (past,)))
    assert isinstance(decision, Accepted), decision


def report(today: int) -> Report:
    return Report(
        tax=load_taxonomy().version,
        kind="pattern",
        pat=PATTERN,
        intents=tuple(sorted(load_catalogue().entries[PATTERN].intents))[:1],
        basis="threshold",
        bad=1,
        seen=1,
        agents=0,
        day_from=today,
        day_until=today,
        det="00" * 32,
        tlp="clear",
    )


def until_found(door: Client) -> str:
    """The id of the incident of the session that contained the pattern before its report came."""
    ends = time.monotonic() + FOUND_S
    while not (found := door.get("api", "v1", "incidents")["items"]):
        assert time.monotonic() < ends, "nothing was found in the past"
    return str(found[0]["id"])


def act(door: Client) -> None:
    """One session of one agent with one action."""
    actor = {"id": "a-17", "kind": "agent"}
    opened = {"session_id": "s-1", "actor": actor, "declared": {"text": "answer questions about orders"}}
    door.post("api", "v1", "sessions", body=opened)
    action = {"action_id": "1", "tool": "read_file", "arguments": {"path": "orders.txt"}}
    door.post("api", "v1", "sessions", "s-1", "actions", body=action)


@pytest.mark.parametrize("path", READING, ids=" ".join)
def test_every_reading_command_is_answered_by_a_node(
    node: Running, path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format_map(asdict(node)) for word in READING[path]]
    command = [*path, *words, "--home", str(node.home)]
    assert main(command) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.strip()
    assert main([*command, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_every_command_is_known_to_read_or_to_change() -> None:
    found = {path for path in leaves() if path[0] not in WITHOUT_A_NODE and path not in OF_A_FILE}
    assert found == set(READING) | {(name, inner) for name, inners in CHANGING.items() for inner in inners}


def leaves() -> Iterator[tuple[str, ...]]:
    """The path of every command that is no group."""
    context = click.Context(ioint)
    for name in ioint.list_commands(context):
        command = ioint.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, inner) for inner in command.list_commands(context))
        else:
            yield (name,)


def test_a_receipt_is_read_in_fractions_and_kept_in_micro_units(
    node: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("why", PATTERN, "--home", node.home)
    capsys.readouterr()
    done(*command, "-o", "json")
    (voice,) = [
        one for one in json.loads(capsys.readouterr().out)["network"]["voices"] if one["group"] == "beta"
    ]
    assert voice["accusing"] > 1_000
    done(*command)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["beta", f"{voice['accusing'] / 1_000_000:.3f}"] in [line[:2] for line in lines]


def test_a_receipt_is_written_and_replayed_without_a_node(
    node: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    target, nowhere = tmp_path / "receipt.jsonl", tmp_path / "nowhere"
    capsys.readouterr()
    done("why", PATTERN[:12], "--export", target, "--home", node.home, "-o", "json")
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["complete"], told["bytes"]) == (True, True, target.stat().st_size)
    replay = ("why", PATTERN[:12], "--replay", target, "--home", nowhere)
    done(*replay, "--consortium", told["consortium"], "-o", "json")
    found = json.loads(capsys.readouterr().out)
    assert found["network"]["in_the_file"] == found["network"]["here"]
    assert found["local"]["in_the_file"] == found["local"]["here"]
    done(*replay)
    out = capsys.readouterr().out
    assert told["fingerprint"] in out
    assert ["score", str(found["score"]), str(found["score"])] in [line.split() for line in out.splitlines()]
    assert main([str(word) for word in (*replay, "--consortium", "c0" * 32)]) == 1
    assert "not c0c0" in capsys.readouterr().err
    other = max(load_catalogue().entries)
    assert main(["why", other[:12], "--replay", str(target)]) == 1
    assert PATTERN[:12] in capsys.readouterr().err
    target.write_bytes(target.read_bytes().replace(b'"score":', b'"scorn":'))
    assert main([str(word) for word in replay]) == 1
    assert "bytes were changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("--export", "x", "--replay", __file__),
        ("--network-only",),
        ("--replay", __file__, "--network-only"),
        ("--consortium", "c0" * 32),
        ("--replay", "no-such-file"),
    ],
)
def test_what_does_not_go_together_is_a_fault_of_usage(words: tuple[str, ...], tmp_path: Path) -> None:
    assert main(["why", PATTERN, *words, "--home", str(tmp_path)]) == 2


def test_status_begins_with_how_the_node_stands(node: Running, capsys: pytest.CaptureFixture[str]) -> None:
    done("status", "--home", node.home)
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[:6]]
    assert names == ["org", "running", "waiting_for", "halted", "url", "mode"]


def test_the_list_marks_what_a_person_decided(node: Running, capsys: pytest.CaptureFixture[str]) -> None:
    for opinion in ("mute", "allow"):
        done("indicators", opinion, PATTERN, "--reason", "known here", "--home", node.home)
    capsys.readouterr()
    done("indicators", "list", "--home", node.home)
    head, line = capsys.readouterr().out.splitlines()
    assert line[head.index("tlp") : head.index("why")].split("  ") == ["clear", "muted, allowed", ""]


def test_all_effects_go_off_and_on_by_one_command_and_doctor_says_so(
    node: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--home", node.home, "-o", "json")
    for wrong in (["--off"], ["--off", "--on", "--reason", "x"], ["--on", "--hours", "3"]):
        assert main(["indicators", "effects", *wrong, "--home", str(node.home)]) == 2
    done("indicators", "effects", "--off", "--reason", "a drill", "--hours", 2, *at)
    capsys.readouterr()
    main(["doctor", "--home", str(node.home)])
    assert "the effects of the network are off until" in capsys.readouterr().out
    done("indicators", "effects", "--on", *at)
    assert json.loads(capsys.readouterr().out)["off"] is False


def test_a_package_is_allowed_before_anybody_reports_it(
    node: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("pkg:npm/left-pad", "--reason", "ours", "--days", 2, "--home", node.home, "-o", "json")
    done("indicators", "allow", *words)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["subject"], answer["kind"]) == ("pkg:npm/left-pad", "allow")


def test_a_standing_approval_is_revoked_by_the_digits_that_the_list_shows(
    node: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--home", str(node.home), "-o", "json")

    def told(*words: str) -> Any:
        capsys.readouterr()
        assert main(["approvals", *words, *at]) == 0
        return json.loads(capsys.readouterr().out)

    given = told("allow", "--class", "catalogue", "--reason", "a trial")
    told("revoke", given["id"][:8])
    (row,) = [row for row in told("standing")["items"] if row["id"] == given["id"]]
    assert row["revoked_at"] is not None


def test_an_incident_goes_through_the_hands_of_the_commands(
    node: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--home", node.home)
    done("incidents", "assign", node.incident, "mira", *at)
    done("incidents", "note", node.incident, "asked the owner", *at)
    done("incidents", "close", node.incident, "--as", "expected_use", "--note", "month end", *at)
    capsys.readouterr()
    done("incidents", "list", *at)
    assert "closed: expected_use" in capsys.readouterr().out
    done("incidents", "reopen", node.incident, *at)
    capsys.readouterr()
    done("incidents", "show", node.incident, *at, "-o", "json")
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["assignee"], shown["found"]) == ("assigned", "mira", "retro")


def test_a_node_that_runs_feeds_others_and_publishes(
    node: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    door, run = connect(node.home), read_run(load_config(node.home))
    assert run is not None
    ends = time.monotonic() + FOUND_S
    while not (manifest := door.get("feeds", "misp", "manifest.json")):
        assert time.monotonic() < ends, "nothing was put into an event"
    assert {one["Orgc"]["name"] for one in manifest.values()} == {"IOINT"}
    for name in ("public.json", "public-key.json"):
        with urlopen(f"{run.url}/feeds/{name}") as answer:  # noqa: S310 - the node of this test
            (tmp_path / name).write_bytes(answer.read())
    record = bytes(load_keys(node.home).record_key.verify_key).hex()
    key = ("--key", tmp_path / "public-key.json", "--record-key", record)
    capsys.readouterr()
    done("public", "verify", tmp_path / "public.json", *key, "-o", "json")
    assert json.loads(capsys.readouterr().out)["indicators"] == 1


def test_an_export_goes_on_where_its_file_ends(
    node: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "findings.jsonl"
    words = ["incidents", "export", "--output", str(file), "--home", str(node.home), "-o", "json"]
    assert main(words) == 0
    whole = file.read_bytes()
    assert whole
    for kept in (whole, whole.splitlines(keepends=True)[0]):
        file.write_bytes(kept)
        assert main(words) == 0
        assert file.read_bytes() == whole
    capsys.readouterr()
    file.write_bytes(whole[:-9])
    assert main(words) == 1
    assert "is no finding" in capsys.readouterr().err
    assert file.read_bytes() == whole[:-9]
