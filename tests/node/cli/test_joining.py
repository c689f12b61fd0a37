"""Joining by an invitation: the code, the door, and what the steward decides."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ioint_node import app
from ioint_node.app import open_node
from ioint_node.card import fingerprint_keys, own_application, own_card
from ioint_node.cli import main
from ioint_node.config import load_config, load_keys, replace_private
from ioint_node.membership.invitations import read_invitation
from ioint_node.store import invitations

pytestmark = pytest.mark.network
Command = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node looks often for what these tests wait for."""
    monkeypatch.setattr(app, "PERIODS", replace(app.PERIODS, application_s=0.1, roster_s=0.2))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command with `-o json` and gives what it printed."""

    def run(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        code = main([*map(str, words), "-o", "json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        document: dict[str, Any] = json.loads(printed.out)
        return document

    return run


def homes(root: Path, command: Command, *names: str) -> list[Path]:
    made = []
    for name in names:
        home = root / name
        command("init", "--home", home, "--org", name, "--web-port", 0, "--exchange-port", 0)
        made.append(home)
    return made


@asynccontextmanager
async def door(home: Path) -> AsyncIterator[str]:
    """The inviter's node with its HTTP side and its jobs alone."""
    async with open_node(load_config(home), ("web", "jobs")) as node:
        yield node.url


async def post(url: str, body: object) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{url}/api/v1/consortium/applications", json=body) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def until(holds: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


async def in_thread(call: Callable[..., Any], *arguments: object) -> Any:
    return await asyncio.to_thread(call, *arguments)


async def test_an_applicant_joins_through_the_inviters_door(tmp_path: Path, command: Command) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    await in_thread(command, "consortium", "create", "--home", alpha)
    async with door(alpha):
        made = await in_thread(command, "consortium", "invite", "--home", alpha)
        join = ("consortium", "join", "--home", beta, "--invitation", made["invitation"])
        first = await in_thread(command, *join)
        assert first["application"]["state"] == "waiting"
        assert [member["name"] for member in first["members"]] == ["alpha"]

        shown = await in_thread(command, "consortium", "show", "--home", alpha)
        assert [(each["name"], each["state"]) for each in shown["applications"]] == [("beta", "waiting")]
        one = shown["applications"][0]["id"]
        await in_thread(command, "consortium", "admit", "--home", alpha, "--application", one)

        second = await in_thread(command, *join, "--wait", 60)
        assert second["application"]["state"] == "admitted"
        assert [member["name"] for member in second["members"]] == ["alpha", "beta"]
        assert not (beta / "invitation").exists()


async def test_who_waits_for_admission_sees_where(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    await in_thread(command, "consortium", "create", "--home", alpha)
    async with door(alpha) as url:
        made = await in_thread(command, "consortium", "invite", "--home", alpha)
        await in_thread(command, "consortium", "join", "--home", beta, "--invitation", made["invitation"])
    shown = await in_thread(command, "consortium", "show", "--home", beta)
    assert (shown["this_node"], shown["applied_at"]) == ("waiting", url)
    for words in (("doctor",), ("status",)):
        capsys.readouterr()
        await in_thread(main, [*words, "--home", str(beta), "-o", "json"])
        assert url in capsys.readouterr().out


async def test_doctor_notes_that_nobody_is_connected(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    card = tmp_path / "beta.json"
    await in_thread(command, "consortium", "card", "--home", beta, "--output", card)
    await in_thread(command, "consortium", "create", "--home", alpha, "--card", card)
    async with door(alpha):
        capsys.readouterr()
        await in_thread(main, ["doctor", "--home", str(alpha)])
    assert "note     peers: connected to 0 of 1 other members" in capsys.readouterr().out


async def test_a_running_applicant_asks_by_itself(tmp_path: Path, command: Command) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    await in_thread(command, "consortium", "create", "--home", alpha)
    async with door(alpha):
        made = await in_thread(command, "consortium", "invite", "--home", alpha)
        await in_thread(command, "consortium", "join", "--home", beta, "--invitation", made["invitation"])
        card = await in_thread(command, "consortium", "show", "--home", alpha)
        await in_thread(
            command, "consortium", "admit", "--home", alpha, "--application", card["applications"][0]["id"]
        )
        async with open_node(load_config(beta), ("jobs",)) as node:
            await until(lambda: node.book.version == 2 and not (beta / "invitation").exists())


@pytest.fixture
async def invited(tmp_path: Path, command: Command) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """`await invited(code, name)`: apply with a code as one of two other organisations."""
    alpha, beta, gamma = await in_thread(homes, tmp_path, command, "alpha", "beta", "gamma")
    await in_thread(command, "consortium", "create", "--home", alpha)
    async with door(alpha) as url:
        made = await in_thread(command, "consortium", "invite", "--home", alpha)
        invitation = read_invitation(made["invitation"])
        bodies = {
            home.name: own_application(load_config(home), load_keys(home), None, invitation)
            for home in (beta, gamma)
        }

        async def apply(
            code: str | None = None, name: str = "beta", *, wrong: bool = False, **changed: object
        ) -> Any:
            if wrong:
                code = invitation.code[:17] + "A" * 32
            body = bodies[name]
            card = {**body["card"], **changed}
            return await post(url, {**body, "code": code or invitation.code, "card": card})

        yield apply


async def test_a_code_is_good_for_one_applicant(invited: Callable[..., Awaitable[Any]]) -> None:
    assert (await invited())[0] == 201
    assert (await invited())[0] == 201
    status, problem = await invited(name="gamma")
    assert (status, "another member" in problem["detail"]) == (403, True)


async def test_a_changed_card_is_refused(invited: Callable[..., Awaitable[Any]]) -> None:
    status, problem = await invited(group="alpha")
    assert (status, "bad_signature" in problem["detail"]) == (400, True)


async def test_guessing_codes_ends_at_too_many_failures(invited: Callable[..., Awaitable[Any]]) -> None:
    guess = "0" * 16 + "." + "A" * 32
    seen = [(await invited(guess))[0] for _ in range(21)]
    assert seen == [403] * 20 + [429]
    assert (await invited())[0] == 201


async def test_bad_cards_under_a_good_code_end_at_too_many_failures(
    invited: Callable[..., Awaitable[Any]],
) -> None:
    seen = [(await invited(group="alpha"))[0] for _ in range(21)]
    assert seen == [400] * 20 + [429]


async def test_a_card_alone_is_no_application_of_its_owner(tmp_path: Path, command: Command) -> None:
    alpha, beta, gamma = await in_thread(homes, tmp_path, command, "alpha", "beta", "gamma")
    await in_thread(command, "consortium", "create", "--home", alpha)
    async with door(alpha) as url:
        made = await in_thread(command, "consortium", "invite", "--home", alpha)
        thief = own_application(
            load_config(gamma), load_keys(gamma), None, read_invitation(made["invitation"])
        )
        stolen = own_card(load_config(beta), load_keys(beta), None)
        status, problem = await post(url, {**thief, "card": stolen})
    assert (status, "bad_signature" in problem["detail"]) == (400, True)


async def test_the_door_gives_a_listed_member_nothing_and_keeps_the_code(
    tmp_path: Path, command: Command
) -> None:
    alpha, beta, gamma = await in_thread(homes, tmp_path, command, "alpha", "beta", "gamma")
    card = tmp_path / "beta.json"
    await in_thread(command, "consortium", "card", "--home", beta, "--output", card)
    await in_thread(command, "consortium", "create", "--home", alpha, "--card", card)
    async with door(alpha) as url:
        made = await in_thread(command, "consortium", "invite", "--home", alpha)
        invitation = read_invitation(made["invitation"])
        member, newcomer = (
            own_application(load_config(home), load_keys(home), None, invitation) for home in (beta, gamma)
        )
        status, problem = await post(url, member)
        assert (status, "on the roster already" in problem["detail"]) == (403, True)
        assert (await post(url, newcomer))[0] == 201


async def test_fingerprint_keys_reach_the_node_of_the_new_member_alone(
    tmp_path: Path, command: Command
) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    await in_thread(command, "consortium", "create", "--home", alpha)
    keys = {"1": "ab" * 32}
    replace_private(load_config(alpha).fingerprint_file, json.dumps({"keys": keys}).encode())
    async with door(alpha) as url:
        made = await in_thread(command, "consortium", "invite", "--home", alpha)
        join = ("consortium", "join", "--home", beta, "--invitation", made["invitation"])
        one = (await in_thread(command, *join))["application"]["id"]
        await in_thread(command, "consortium", "admit", "--home", alpha, "--application", one)
        invitation = read_invitation(made["invitation"])
        body = own_application(load_config(beta), load_keys(beta), None, invitation)
        await in_thread(command, *join, "--wait", 60)
        _, answer = await post(url, body)
    assert keys["1"] not in json.dumps(answer)
    assert b"ab" * 32 not in base64.b64decode(answer["fingerprint_keys_b64"])
    assert fingerprint_keys(load_config(beta)) == keys


async def test_a_code_under_which_wrong_ones_came_too_often_is_worth_nothing(
    invited: Callable[..., Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "WRONG", 2)
    assert (await invited("z"))[0] == 400  # no code at all
    first, _ = await invited(wrong=True)
    second, _ = await invited(wrong=True)
    right, problem = await invited()
    assert (first, second, right) == (403, 403, 403)
    assert "no longer good" in problem["detail"]


async def test_a_member_leaves_and_runs_alone(tmp_path: Path, command: Command) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    card = tmp_path / "beta.json"
    await in_thread(command, "consortium", "card", "--home", beta, "--output", card)
    await in_thread(command, "consortium", "create", "--home", alpha, "--card", card)
    await in_thread(command, "consortium", "join", "--home", beta, "--roster", alpha / "roster.bin")
    async with open_node(load_config(beta), ("web", "jobs")) as node:
        assert node.book.version == 1
        done = await in_thread(command, "consortium", "leave", "--home", beta, "--yes")
        assert (done["left"], done["withdrawn"], done["member"]) == (True, 0, load_keys(beta).member)
        assert node.book.last is None
    assert not (beta / "roster.bin").exists()


async def test_a_steward_is_told_to_hand_over_before_it_leaves(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    card = tmp_path / "beta.json"
    await in_thread(command, "consortium", "card", "--home", beta, "--output", card)
    await in_thread(command, "consortium", "create", "--home", alpha, "--card", card)
    async with door(alpha):
        code = await in_thread(main, ["consortium", "leave", "--home", str(alpha), "--yes"])
    assert code == 1
    assert "rotate --steward" in capsys.readouterr().err.splitlines()[-1]


async def test_a_steward_whom_nobody_follows_leaves_at_once(tmp_path: Path, command: Command) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    card = tmp_path / "beta.json"
    await in_thread(command, "consortium", "card", "--home", beta, "--output", card)
    await in_thread(command, "consortium", "create", "--home", alpha, "--card", card)
    async with door(alpha):
        leave = ("consortium", "leave", "--home", alpha, "--yes", "--now", "--within", 0)
        assert (await in_thread(command, *leave))["left"]
    assert not (alpha / "roster.bin").exists()


async def test_a_member_does_not_spend_an_invitation(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    await in_thread(command, "consortium", "create", "--home", alpha)
    async with door(alpha):
        made = await in_thread(command, "consortium", "invite", "--home", alpha)
        join = ["consortium", "join", "--invitation", made["invitation"], "--home"]
        code = await in_thread(main, [*join, str(alpha)])
        assert (code, "is a member already" in capsys.readouterr().err) == (1, True)
        applied = await in_thread(command, *join, beta)
    assert applied["application"]["state"] == "waiting"


async def test_an_invitation_that_went_astray_is_taken_back(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    await in_thread(command, "consortium", "create", "--home", alpha)
    async with door(alpha):
        invite = ("consortium", "invite", "--home", alpha)
        astray, kept = [await in_thread(command, *invite) for _ in range(2)]
        listed = (await in_thread(command, *invite, "--list"))["items"]
        assert {each["id"] for each in listed} == {astray["id"], kept["id"]}
        await in_thread(command, *invite, "--revoke", astray["id"])
        assert [each["id"] for each in (await in_thread(command, *invite, "--list"))["items"]] == [kept["id"]]
        join = ["consortium", "join", "--home", str(beta), "--invitation", astray["invitation"]]
        assert await in_thread(main, join) == 1
        assert "no longer good" in capsys.readouterr().err
    assert await in_thread(main, [*map(str, invite), "--revoke", astray["id"]]) == 1
    assert "0 open invitations" in capsys.readouterr().err


async def test_an_inviter_who_is_no_steward_hands_the_card_on(tmp_path: Path, command: Command) -> None:
    alpha, beta, gamma = await in_thread(homes, tmp_path, command, "alpha", "beta", "gamma")
    card, passed_on = tmp_path / "beta.json", tmp_path / "gamma.json"
    await in_thread(command, "consortium", "card", "--home", beta, "--output", card)
    await in_thread(command, "consortium", "create", "--home", alpha, "--card", card)
    roster = ("--roster", alpha / "roster.bin")
    await in_thread(command, "consortium", "join", "--home", beta, *roster)
    async with door(beta):
        made = await in_thread(command, "consortium", "invite", "--home", beta)
        join = ("consortium", "join", "--home", gamma, "--invitation", made["invitation"])
        waiting = (await in_thread(command, *join))["application"]
        admit = ("consortium", "admit", "--home", beta, "--application", waiting["id"])
        await in_thread(command, *admit, "--export", passed_on)
        await in_thread(command, "consortium", "admit", "--home", alpha, "--card", passed_on)
        await in_thread(command, "consortium", "join", "--home", beta, *roster)
        assert (await in_thread(command, *join, "--wait", 60))["application"]["state"] == "admitted"


async def test_an_applicant_that_is_refused_is_told_so(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha, beta = await in_thread(homes, tmp_path, command, "alpha", "beta")
    await in_thread(command, "consortium", "create", "--home", alpha)
    async with door(alpha):
        made = await in_thread(command, "consortium", "invite", "--home", alpha)
        join = ("consortium", "join", "--home", beta, "--invitation", made["invitation"])
        waiting = (await in_thread(command, *join))["application"]
        await in_thread(
            command, "consortium", "admit", "--home", alpha, "--application", waiting["id"], "--refuse"
        )
        capsys.readouterr()
        assert await in_thread(main, [*map(str, join), "-o", "json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["application"]["state"] == "refused"
    assert told.err.splitlines()[-1].startswith("the inviter refused this node")
    assert not (beta / "invitation").exists()
    assert (await in_thread(command, "consortium", "leave", "--home", beta, "--yes"))["left"]
