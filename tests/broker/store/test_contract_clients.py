"""Stored clients and the limits of registration, on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.model import Client, ClientSource
from broker.store.base import Registration, RegistrationLimits, Store
from tests.broker.records import NOW, make_client
from tests.broker.store.keeper import (
    GENEROUS,
    Keeper,
    event,
    give_code,
    give_grant,
    make_registered,
    race,
    redeem,
    stored,
)


async def register(
    store: Store, name: str, *, source: str = "192.0.2.1", limits: RegistrationLimits = GENEROUS, now: int = NOW
) -> Registration:
    client = make_registered(name, created_at=now)
    return await store.register_client(client, source=source, limits=limits, now=now, events=event("client.registered"))


DAY = 86400


def unused(limit: int) -> RegistrationLimits:
    return replace(GENEROUS, unused=limit)


EVERYTHING = Client(
    client_id="client-9",
    name="Käse & <b>",
    source=ClientSource.ADDED,
    redirect_uris=("https://a.example/cb", "http://127.0.0.1/cb"),
    grant_types=(),
    token_endpoint_auth_method="private_key_jwt",
    secret_hash=b"\0\xff" * 16,
    jwks='{"keys":[]}',
    jwks_uri="https://a.example/jwks",
    scope="a b",
    application_type="native",
    client_uri="https://a.example",
    logo_uri="https://a.example/logo",
    default_resource="https://files.example.com/mcp",
    created_at=NOW,
)


async def test_a_client_comes_back_as_it_was_saved(store: Store):
    """RFC 7591 section 2."""
    assert await store.save_client(EVERYTHING, events=event("client.added"))
    assert await store.find_client("client-9") == EVERYTHING
    assert await store.find_client("client-8") is None
    assert await stored(store) == ["client.added"]


async def test_an_id_is_taken_once(store: Store):
    """The second administrator is told, and nothing is audited."""
    assert await store.save_client(EVERYTHING, events=())
    assert not await store.save_client(replace(EVERYTHING, name="Other"), events=event("client.added"))
    found = await store.find_client("client-9")
    assert found is not None
    assert found.name == EVERYTHING.name
    assert await stored(store) == []


async def test_clients_are_listed_oldest_first(store: Store):
    """`mcp-broker clients list`."""
    for name, created in (("b", NOW + 2), ("c", NOW + 1), ("a", NOW + 2)):
        await store.save_client(make_client(client_id=name, created_at=created), events=())
    assert [client.client_id for client in await store.list_clients()] == ["c", "a", "b"]


async def test_removing_a_client_ends_its_grants(store: Store):
    """Rule E11: nothing of the client's works any more."""
    await store.save_client(make_client(client_id="gone"), events=())
    handle = await give_grant(store, "1", client_id="gone")
    await give_grant(store, "2", client_id="stays")
    assert await store.remove_client("gone", now=NOW + 1, events=event("client.removed"))
    assert await store.find_client("gone") is None
    assert await store.token_ended("jti", "grant-1", now=NOW)
    assert not await store.token_ended("jti", "grant-2", now=NOW)
    assert not await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=())
    assert await store.find_consent(b"1".ljust(32, b"y")) is None
    assert not await store.remove_client("gone", now=NOW + 1, events=event("client.removed"))
    assert await stored(store) == ["client.removed"]


async def test_a_blocked_clients_access_tokens_are_ended_while_the_block_lasts(store: Store):
    """Rule E10: an administrator who blocks an app means now, not when its last token has expired."""
    await give_grant(store, "1", client_id="client-1")
    await give_grant(store, "2", client_id="client-2")
    await store.block_client("client-1", blocked=True, events=())
    assert await store.token_ended("jti", "grant-1", now=NOW)
    assert not await store.token_ended("jti", "grant-2", now=NOW)
    await store.block_client("client-1", blocked=False, events=())
    assert not await store.token_ended("jti", "grant-1", now=NOW)


async def test_any_client_id_can_be_blocked(store: Store):
    """Configured clients and metadata documents are not in the table, and can be blocked all the same."""
    document = "https://client.example/metadata"
    await store.save_client(make_client(), events=())
    assert await store.block_client(document, blocked=True, events=event("client.blocked"))
    assert await store.block_client("client-1", blocked=True, events=())
    assert not await store.block_client("client-1", blocked=True, events=event("client.blocked"))
    assert await store.blocked_clients() == {document, "client-1"}
    found = await store.find_client("client-1")
    assert found is not None
    assert found.blocked
    assert [client.blocked for client in await store.list_clients()] == [True]
    assert await store.block_client("client-1", blocked=False, events=event("client.unblocked"))
    assert not await store.block_client("client-1", blocked=False, events=event("client.unblocked"))
    assert await store.blocked_clients() == {document}
    assert await stored(store) == ["client.blocked", "client.unblocked"]


async def test_a_registration_is_saved_with_its_event(store: Store):
    """RFC 7591 section 3.2.1; rule D14."""
    assert await register(store, "dcr") is Registration.SAVED
    assert await store.find_client("dcr") == make_registered("dcr", created_at=NOW)
    assert await stored(store) == ["client.registered"]


async def test_a_source_registers_so_many_in_a_window(store: Store):
    """Rule D13: a refused one leaves nothing; another source is not affected; the next window starts exactly at its end."""
    limits = RegistrationLimits(rate=2, window=100, unused=1000)
    got = [await register(store, f"c{n}", limits=limits, now=NOW + n) for n in range(3)]
    assert got == [Registration.SAVED, Registration.SAVED, Registration.RATE_LIMITED]
    assert await store.find_client("c2") is None
    assert await register(store, "other", source="192.0.2.2", limits=limits) is Registration.SAVED
    assert await register(store, "early", limits=limits, now=NOW + 99) is Registration.RATE_LIMITED
    assert await register(store, "next", limits=limits, now=NOW + 100) is Registration.SAVED
    assert await stored(store) == ["client.registered"] * 4


async def test_a_rate_of_nothing_registers_nothing(store: Store):
    """Rule D13."""
    limits = RegistrationLimits(rate=0, window=100, unused=1000)
    assert await register(store, "c", limits=limits) is Registration.RATE_LIMITED


async def test_unused_clients_are_limited_in_all(store: Store):
    """Rule D13: whoever the sources are; clients that an administrator added do not count."""
    await store.save_client(make_client(), events=())
    got = [await register(store, f"c{n}", source=f"192.0.2.{n}", limits=unused(2)) for n in range(3)]
    assert got == [Registration.SAVED, Registration.SAVED, Registration.FULL]
    assert await store.find_client("c2") is None
    assert await stored(store) == ["client.registered"] * 2


async def test_a_client_with_a_grant_is_not_unused(store: Store):
    """Rule D13: the first redeemed code makes room, later ones do not."""
    await register(store, "c1", limits=unused(1))
    await give_code(store, "0", client_id="c1")
    assert await register(store, "c2", limits=unused(1)) is Registration.FULL
    await give_grant(store, "1", client_id="c1")
    await give_grant(store, "2", client_id="c1")
    assert await register(store, "c2", limits=unused(1)) is Registration.SAVED
    assert await register(store, "c3", limits=unused(1)) is Registration.FULL


async def test_a_grant_of_another_kind_of_client_makes_no_room(store: Store):
    """Rule D13."""
    await store.save_client(make_client(client_id="added"), events=())
    await register(store, "c1", limits=unused(1))
    await give_grant(store, "1", client_id="added")
    await give_grant(store, "2", client_id="https://client.example/metadata")
    assert await register(store, "c2", limits=unused(1)) is Registration.FULL


async def test_when_full_the_oldest_unused_for_a_day_gives_way(store: Store):
    """Rule D13: one source that fills the house locks nobody out, and no client with a live grant goes."""
    await register(store, "used", limits=unused(3))
    await give_grant(store, "1", client_id="used")
    await register(store, "busy", limits=unused(3))
    for n, at in (("old", NOW + 1), ("young", NOW + DAY)):
        assert await register(store, n, limits=unused(3), now=at) is Registration.SAVED
    await give_code(store, "2", client_id="busy", expires_at=NOW + DAY + 60)
    assert await register(store, "c1", limits=unused(3), now=NOW + DAY) is Registration.FULL
    assert await register(store, "c1", limits=unused(3), now=NOW + DAY + 1) is Registration.SAVED
    assert await register(store, "c2", limits=unused(3), now=NOW + DAY + 1) is Registration.FULL
    there = [client.client_id for client in await store.list_clients()]
    assert sorted(there) == ["busy", "c1", "used", "young"]
    assert await register(store, "c2", limits=unused(4), now=NOW + DAY + 1) is Registration.SAVED
    assert await register(store, "c3", limits=unused(4), now=NOW + DAY + 1) is Registration.FULL


async def test_removing_an_unused_client_makes_room(store: Store):
    """Rule D13; removing a used one does not."""
    await register(store, "c1", limits=unused(2))
    await give_grant(store, "1", client_id="c1")
    await register(store, "c2", limits=unused(2))
    await register(store, "c3", limits=unused(2))
    await store.remove_client("c1", now=NOW, events=())
    assert await register(store, "c4", limits=unused(2)) is Registration.FULL
    await store.remove_client("c2", now=NOW, events=())
    assert await register(store, "c4", limits=unused(2)) is Registration.SAVED


async def test_sixteen_registrations_keep_within_both_limits(stores: Keeper):
    """Rule D13, on two replicas."""
    replicas = [await stores.open(), await stores.open()]
    rate = RegistrationLimits(rate=5, window=100, unused=1000)
    got = await race(lambda n: register(replicas[n % 2], f"a{n}", limits=rate))
    assert got.count(Registration.SAVED) == 5
    got = await race(lambda n: register(replicas[n % 2], f"b{n}", source=f"192.0.2.{n}", limits=unused(9)))
    assert got.count(Registration.SAVED) == 4


async def test_the_first_grant_postpones_a_registrations_expiry(store: Store):
    """Rule D13: clients with live grants never expire."""
    await register(store, "c1")
    code_hash = await give_code(store, client_id="c1")
    await redeem(store, code_hash, expires_at=NOW + 9000)
    found = await store.find_client("c1")
    assert found is not None
    assert found.expires_at == NOW + 9000


@pytest.mark.parametrize("verb", ["save", "block", "unblock", "remove", "revoke", "end", "keys"])
async def test_what_caches_follow_moves_the_counter(store: Store, verb: str):
    """Architecture section 8: what commands change holds within a second."""
    await store.save_client(make_client(client_id="there"), events=())
    await store.block_client("blocked", blocked=True, events=())
    await give_grant(store)
    acts = {
        "save": lambda: store.save_client(make_client(client_id="new"), events=()),
        "block": lambda: store.block_client("other", blocked=True, events=()),
        "unblock": lambda: store.block_client("blocked", blocked=False, events=()),
        "remove": lambda: store.remove_client("there", now=NOW, events=()),
        "revoke": lambda: store.revoke_grant("grant-1", now=NOW, reason="user", events=()),
        "end": lambda: store.revoke_token("jti", expires_at=NOW + 9, events=()),
        "keys": lambda: store.replace_keys(0, (), events=()),
    }
    before = await store.changes()
    assert await acts[verb]()
    after = await store.changes()
    assert after > before
    assert not await acts[verb]()
    assert await store.changes() == after


async def test_a_login_does_not_move_the_counter(store: Store):
    """Caches are not thrown away for what no cache holds."""
    before = await store.changes()
    await register(store, "c1")
    handle = await give_grant(store)
    await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=())
    assert await store.changes() == before
