"""A token that is rotated: one secret, one holder, and an old one that ends."""

from __future__ import annotations

import pytest
from ioint_node.errors import ConflictError, NotFoundError, RequestError
from ioint_node.store import tokens
from ioint_node.store.engine import Store
from ioint_node.store.times import DAY_MS, to_text
from ioint_node.store.tokens import NewToken, TokenCache
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.node.loop.conftest import NOW


async def make(store: Store, *, expires: int | None = None, role: str = "agent") -> NewToken:
    actor = "a-1" if role == "agent" else None
    return await store.write(lambda c: tokens.create(c, role, actor, "green", expires, now=NOW))


async def rotate(store: Store, key: str, *, grace_s: int = 0, now: int = NOW) -> NewToken:
    return await store.write(lambda c: tokens.rotate(c, key, grace_s=grace_s, now=now))


async def who(store: Store, secret: str, now: int = NOW) -> tokens.Caller | None:
    async with store.read() as connection:
        return await tokens.check(connection, secret, now)


async def test_a_rotated_token_is_the_same_caller_with_another_secret(store: Store) -> None:
    made = await make(store, expires=NOW + DAY_MS)
    fresh = await rotate(store, made.id)
    assert fresh.token != made.token
    caller = await who(store, fresh.token)
    assert caller is not None
    assert (caller.id, caller.role, caller.actor, caller.tlp, caller.expires, caller.old) == (
        made.id,
        "agent",
        "a-1",
        "green",
        NOW + DAY_MS,
        False,
    )
    assert await who(store, made.token) is None


async def test_the_old_secret_works_through_its_grace_and_no_longer(store: Store) -> None:
    made = await make(store)
    await rotate(store, made.id, grace_s=60)
    old = await who(store, made.token, NOW + 59_999)
    assert old is not None
    assert (old.id, old.actor, old.old) == (made.id, "a-1", True)
    assert await who(store, made.token, NOW + 60_000) is None


async def test_a_grace_does_not_outlive_the_token(store: Store) -> None:
    made = await make(store, expires=NOW + 1_000)
    await rotate(store, made.id, grace_s=3_600)
    assert await who(store, made.token, NOW + 1_000) is None


async def test_only_one_old_secret_works_at_a_time(store: Store) -> None:
    made = await make(store)
    second = await rotate(store, made.id, grace_s=60)
    third = await rotate(store, made.id, grace_s=60)
    assert await who(store, made.token) is None
    assert await who(store, second.token) is not None
    assert await who(store, third.token) is not None


async def test_a_revoked_token_takes_its_old_secret_with_it(store: Store) -> None:
    made = await make(store)
    fresh = await rotate(store, made.id, grace_s=3_600)
    await store.write(lambda c: tokens.revoke(c, made.id, now=NOW))
    assert await who(store, fresh.token) is None
    assert await who(store, made.token) is None


async def test_what_is_worthless_is_not_rotated(store: Store) -> None:
    revoked, expired = await make(store), await make(store, expires=NOW + 1)
    await store.write(lambda c: tokens.revoke(c, revoked.id, now=NOW))
    for key in (revoked.id, expired.id):
        with pytest.raises(ConflictError, match="revoked or has expired"):
            await rotate(store, key, now=NOW + 1)
    with pytest.raises(NotFoundError):
        await rotate(store, "nowhere")


async def test_an_old_secret_has_no_id_of_its_own(store: Store) -> None:
    made = await make(store)
    await rotate(store, made.id, grace_s=60)
    for job in (tokens.rotate, tokens.revoke):

        async def write(connection: AsyncConnection, job: object = job) -> None:
            await job(connection, f"{made.id}.old", now=NOW)  # type: ignore[operator]

        with pytest.raises(NotFoundError):
            await store.write(write)
    async with store.read() as connection:
        (row,) = await tokens.list_tokens(connection, now=NOW)
    assert (row.id, row.old_until) == (made.id, to_text(NOW + 60_000))


@pytest.mark.parametrize("grace_s", [-1, tokens.GRACE_S + 1])
async def test_a_grace_is_bounded(store: Store, grace_s: int) -> None:
    made = await make(store)
    with pytest.raises(RequestError, match="grace_s"):
        await rotate(store, made.id, grace_s=grace_s)
    assert await who(store, made.token) is not None


async def test_memory_forgets_every_secret_of_a_token(store: Store) -> None:
    cache = TokenCache(store)
    made = await make(store)
    assert await cache.check(made.token, NOW) is not None
    await rotate(store, made.id)
    cache.forget(made.id)
    assert await cache.check(made.token, NOW) is None


async def test_the_list_tells_the_age_of_the_secret(store: Store) -> None:
    made = await make(store)
    async with store.read() as connection:
        (row,) = await tokens.list_tokens(connection, now=NOW + 40 * DAY_MS)
    assert (row.age_days, row.rotated_at, row.actor) == (40, None, "a-1")
    await rotate(store, made.id, now=NOW + 30 * DAY_MS)
    async with store.read() as connection:
        (row,) = await tokens.list_tokens(connection, now=NOW + 40 * DAY_MS)
    assert (row.age_days, row.rotated_at) == (10, to_text(NOW + 30 * DAY_MS))


async def test_what_is_known_of_an_actors_credential(store: Store) -> None:
    made = await make(store, expires=NOW + 100 * DAY_MS)
    await rotate(store, made.id, now=NOW + 10 * DAY_MS)
    async with store.read() as connection:
        found = await tokens.credential_of(connection, "a-1", NOW + 15 * DAY_MS)
        assert await tokens.credential_of(connection, "a-2", NOW) is None
        assert await tokens.credential_of(connection, "a-1", NOW + 100 * DAY_MS) is None
    assert found is not None
    assert (found.age_days, found.rotated_days, found.expires_in_days) == (15.0, 5.0, 85.0)


async def test_of_several_credentials_the_one_used_last_counts(store: Store) -> None:
    first, second = await make(store), await make(store)
    await rotate(store, first.id, now=NOW)
    await store.write(lambda c: tokens.note_use(c, {first.id: NOW + 2, second.id: NOW + 1}))
    async with store.read() as connection:
        found = await tokens.credential_of(connection, "a-1", NOW + DAY_MS)
    assert found is not None
    assert found.rotated_days == 1.0
