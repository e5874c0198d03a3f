"""Authorization codes, consents and the grants that come of them, on both databases."""

from __future__ import annotations

import pytest

from broker.store.base import Store
from tests.broker.records import NOW, REDIRECT_URI, make_code, make_grant, make_identity
from tests.broker.store.keeper import (
    Keeper,
    event,
    give_code,
    give_grant,
    make_consent,
    make_session,
    race,
    redeem,
    stored,
)


async def test_code_and_grant_come_back_as_they_were_saved(store: Store):
    """RFC 6749 section 4.1.3: everything that the redemption is compared with."""
    await store.save_session(make_session(), replaces=None, now=NOW, events=())
    grant = make_grant(session_hash=b"b" * 32, identity=make_identity(groups=None, groups_unknown="overage"))
    assert await store.save_code(make_code(), grant, make_consent(), now=NOW, events=event("code.issued"))
    assert await store.find_code(b"c" * 32) == (make_code(), grant)
    assert await store.find_grant("grant-1") == grant
    assert await store.find_grant_by_handle("h" * 22) == grant
    assert await stored(store) == ["code.issued"]


async def test_every_member_of_a_grant_is_kept(store: Store):
    """Architecture section 5, "reserved from day one"."""
    grant = make_grant(
        realm_id="tenant",
        auth_method="client_credentials",
        sub_issued="u_other",
        actor='{"sub":"x"}',
        cnf='{"jkt":"y"}',
        authorization_details="[]",
        status_index=2**40,
    )
    await store.save_code(make_code(), grant, make_consent(), now=NOW, events=())
    assert await store.find_grant("grant-1") == grant


async def test_what_was_never_issued_is_not_found(store: Store):
    """Rule F6."""
    await give_code(store)
    assert await store.find_code(b"x" * 32) is None
    assert await store.find_grant("grant-x") is None
    assert await store.find_grant_by_handle("handle-x") is None


async def test_redeeming_activates_the_grant(store: Store):
    """RFC 6749 section 4.1.3; the grant's expiries start with its first token."""
    code_hash = await give_code(store)
    redeemed = await store.redeem_code(
        code_hash,
        now=NOW + 5,
        generation=1,
        idle_expires_at=NOW + 70,
        expires_at=NOW + 90,
        events=event("token.issued"),
    )
    grant = await store.find_grant("grant-1")
    assert redeemed
    assert grant is not None
    assert (grant.activated_at, grant.generation, grant.idle_expires_at, grant.expires_at) == (
        NOW + 5,
        1,
        NOW + 70,
        NOW + 90,
    )
    assert await stored(store) == ["token.issued"]


async def test_a_redeemed_code_stays_visible_and_is_not_redeemed_again(store: Store):
    """Rule E1: a replay must be recognised."""
    code_hash = await give_code(store)
    assert await redeem(store, code_hash, now=NOW + 1)
    assert not await redeem(store, code_hash, now=NOW + 2, events=event("token.issued"))
    found = await store.find_code(code_hash)
    assert found is not None
    assert found[0].redeemed_at == NOW + 1
    assert await stored(store) == []


@pytest.mark.parametrize(("after", "good"), [(59, True), (60, False), (61, False)])
async def test_a_code_dies_exactly_when_it_expires(store: Store, after: int, *, good: bool):
    """Rule E5."""
    code_hash = await give_code(store)
    assert await redeem(store, code_hash, now=NOW + after) is good


async def test_five_wrong_verifiers_spend_the_code(store: Store):
    """Rule E4: a wrong attempt does not spend the code; five do."""
    code_hash = await give_code(store)
    counts = [await store.count_wrong_attempt(code_hash, events=event("code.attempt_failed")) for _ in range(5)]
    assert counts == [1, 2, 3, 4, 5]
    assert not await redeem(store, code_hash)
    assert await stored(store) == ["code.attempt_failed"] * 5


async def test_four_wrong_verifiers_do_not(store: Store):
    """Rule E4."""
    code_hash = await give_code(store)
    for _ in range(4):
        await store.count_wrong_attempt(code_hash, events=())
    assert await redeem(store, code_hash)


async def test_attempts_count_only_against_a_code_that_could_be_redeemed(store: Store):
    """Rule E2: a replay without proof changes nothing."""
    code_hash = await give_code(store)
    await redeem(store, code_hash)
    assert await store.count_wrong_attempt(code_hash, events=event()) == 0
    assert await store.count_wrong_attempt(b"x" * 32, events=event()) == 0
    assert await stored(store) == []


async def test_a_code_of_a_revoked_grant_redeems_nothing(store: Store):
    """Rule E11."""
    code_hash = await give_code(store)
    assert await store.revoke_grant("grant-1", now=NOW, reason="user", events=())
    assert not await redeem(store, code_hash, events=event("token.issued"))
    assert await stored(store) == []


async def test_of_sixteen_redemptions_one_succeeds(stores: Keeper):
    """Rule E3, on two replicas: one token, one event."""
    replicas = [await stores.open(), await stores.open()]
    code_hash = await give_code(replicas[0])
    won = await race(lambda n: redeem(replicas[n % 2], code_hash, events=event("token.issued")))
    assert won.count(True) == 1
    assert await stored(replicas[1]) == ["token.issued"]


async def test_a_later_approval_replaces_the_code_and_keeps_the_grant(store: Store):
    """Rule A8: both tabs were approved; one code, one grant."""
    await store.save_code(make_code(), make_grant(), make_consent(), now=NOW, events=())
    later = make_code(code_hash=b"d" * 32, grant_id="grant-2", issued_at=NOW + 30, expires_at=NOW + 90)
    grant = make_grant(grant_id="grant-2", handle="i" * 22)
    assert await store.save_code(later, grant, make_consent(), now=NOW, events=())
    assert await store.find_code(b"c" * 32) is None
    assert await store.find_grant("grant-2") is None
    found = await store.find_code(b"d" * 32)
    assert found is not None
    assert found[1] == make_grant()
    assert await redeem(store, b"d" * 32, now=NOW + 89)


async def test_the_replacing_code_starts_without_attempts(store: Store):
    """Rule E4."""
    code_hash = await give_code(store)
    for _ in range(5):
        await store.count_wrong_attempt(code_hash, events=())
    assert await give_code(store) == code_hash
    assert await redeem(store, code_hash)


async def test_no_code_follows_a_redeemed_one(store: Store):
    """Rule A9: a request gives one authorization."""
    code_hash = await give_code(store)
    await redeem(store, code_hash)
    again = make_code(code_hash=b"d" * 32)
    assert not await store.save_code(again, make_grant(), make_consent(), now=NOW, events=event("code.issued"))
    assert await store.find_code(b"d" * 32) is None
    assert await stored(store) == []


async def test_another_person_gets_no_code_for_the_first_ones_grant(store: Store):
    """Rule A10: one request approved by two people in two tabs."""
    await give_code(store)
    mallory = make_grant(grant_id="grant-2", handle="i" * 22, identity=make_identity(subject="u_mallory"))
    code = make_code(code_hash=b"d" * 32, grant_id="grant-2")
    assert not await store.save_code(code, mallory, make_consent(subject="u_mallory"), now=NOW, events=())
    assert await store.find_code(b"d" * 32) is None
    assert not await store.approved_before("u_mallory", "client-1", REDIRECT_URI)


async def test_of_sixteen_approvals_one_code_is_left(stores: Keeper):
    """Rule A9, on two replicas."""
    replicas = [await stores.open(), await stores.open()]

    async def approve(n: int) -> bool:
        code = make_code(code_hash=bytes([n]) * 32, grant_id=f"grant-{n}")
        grant = make_grant(grant_id=f"grant-{n}", handle=f"handle-{n}")
        return await replicas[n % 2].save_code(code, grant, make_consent(), now=NOW, events=())

    assert all(await race(approve))
    codes = [await replicas[0].find_code(bytes([n]) * 32) for n in range(16)]
    grants = [await replicas[0].find_grant(f"grant-{n}") for n in range(16)]
    assert [codes.count(None), grants.count(None)] == [15, 15]


async def test_a_consent_is_found_by_its_key_alone(store: Store):
    """Rule A5."""
    consent = make_consent(remembered=True)
    await store.save_code(make_code(), make_grant(), consent, now=NOW, events=())
    assert await store.find_consent(consent.key) == consent
    assert await store.find_consent(b"z" * 32) is None


async def test_a_remembered_consent_stays_remembered_until_it_is_to_be_forgotten(store: Store):
    """Saving it again without the check mark forgets nothing; with it, remembers; told to forget, forgets."""
    given = [
        (False, False, False),
        (True, False, True),
        (False, False, True),
        (False, True, False),
        (True, False, True),
    ]
    for n, (remembered, forget, kept) in enumerate(given):
        code = make_code(request_id=f"r{n}", code_hash=bytes([n]) * 32, grant_id=f"g{n}")
        grant = make_grant(grant_id=f"g{n}", handle=f"h{n}")
        await store.save_code(code, grant, make_consent(remembered=remembered, forget=forget), now=NOW, events=())
        found = await store.find_consent(b"y" * 32)
        assert found is not None
        assert found.remembered is kept


async def test_an_approval_is_known_by_person_client_and_redirect_uri(store: Store):
    """Rule C5: only what this very person approved before is redirected to."""
    await give_code(store)
    assert await store.approved_before("u_alice", "client-1", REDIRECT_URI)
    assert not await store.approved_before("u_bob", "client-1", REDIRECT_URI)
    assert not await store.approved_before("u_alice", "client-2", REDIRECT_URI)
    assert not await store.approved_before("u_alice", "client-1", REDIRECT_URI + "/")


async def test_many_grants_of_one_person_and_client_live_side_by_side(store: Store):
    """Architecture section 5: installations share a client id."""
    for name in ("1", "2", "3"):
        await give_grant(store, name)
    assert await store.revoke_grant("grant-2", now=NOW, reason="user", events=())
    grants = [await store.find_grant(f"grant-{name}") for name in ("1", "2", "3")]
    assert [grant.revoked_at is None for grant in grants if grant] == [True, False, True]
