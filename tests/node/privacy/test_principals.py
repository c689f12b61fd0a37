"""People and service owners are counted, not the agents that act for them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ioint_node.privacy.principals import principal, unknown

KEY, OTHER = bytes(range(32)), bytes(32)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=40)


def who(actor: str, *, user: str | None = None, owner: str = "", kind: str = "user", key: bytes = KEY) -> str:
    return principal(on_behalf_of=user, owner=owner, actor=actor, kind=kind, key=key)


def test_fifty_agents_of_one_user_are_one_principal() -> None:
    assert len({who(f"agent-{number}", user="alice") for number in range(50)}) == 1


def test_fifty_agents_of_one_owner_are_one_principal() -> None:
    assert len({who(f"bot-{number}", owner="payroll team") for number in range(50)}) == 1


def test_a_user_comes_before_the_owner_and_the_owner_before_the_actor() -> None:
    assert who("bot", user="alice", owner="team") == who("other", user="alice")
    assert who("bot", owner="team") == who("team")


def test_a_person_is_the_same_whether_as_user_owner_or_actor() -> None:
    assert who("bot", user="Alice ") == who("bot", owner="alice") == who("alice")


def test_the_unknown_person_is_nobody_that_has_a_name() -> None:
    assert unknown(KEY) != who("unknown")


def test_agents_without_user_and_owner_are_one_unknown_person() -> None:
    assert {who(f"bot-{number}", kind=kind) for number in range(9) for kind in ("agent", "workload")} == {
        unknown(KEY)
    }


def test_a_person_is_one_however_the_name_is_spelled() -> None:
    spellings = (
        "alice",
        "Alice ",
        "ALICE",
        "\uff41lice",
        "al\u0131ce",
        "al\u200bice",
        "\u00e1lice",
        "a\u0301lice",
    )
    assert len({who("bot", user=spelling) for spelling in spellings}) == 1


@given(NAMES, NAMES)
def test_another_key_gives_another_digest(name: str, agent: str) -> None:
    assert who(agent, user=name) != who(agent, user=name, key=OTHER)


@given(NAMES)
def test_the_digest_does_not_hold_the_name(name: str) -> None:
    digest = who(name)
    assert len(digest) == 32
    assert len(name) < 4 or name.casefold() not in digest
