from __future__ import annotations

import pytest

from tests.broker.records import ISSUER
from tests.broker.token_house import CONFIDENTIAL, OTHER, PUBLIC, SECRET, TokenHouse, faulty, unavailable


async def revoke(house: TokenHouse, token: str, *, client_id: str = PUBLIC.client_id, **form: str) -> int:
    response = await house.post("/revoke", {"client_id": client_id, "token": token, **form})
    assert response.headers["cache-control"] == "no-store"
    return response.status_code


@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "access_token"}, {"token_type_hint": "nonsense"}])
async def test_a_refresh_token_ends_its_grant(house: TokenHouse, hint: dict[str, str]):
    """RFC 7009 section 2.1; security rule E11: the access tokens of the grant end too."""
    body = await house.tokens()
    assert await revoke(house, body["refresh_token"], **hint) == 200
    assert (await house.refresh(body["refresh_token"])).json()["error"] == "invalid_grant"
    assert not await house.active(body["access_token"])
    (event,) = await house.events("grant.revoked")
    assert event["reason"] == "revoked_by_client"


async def test_an_older_refresh_token_ends_its_grant_too(house: TokenHouse):
    """RFC 7009 section 2.1: the client wants the connection to end, whichever generation it kept."""
    first = await house.tokens()
    second = (await house.refresh(first["refresh_token"])).json()
    assert await revoke(house, first["refresh_token"]) == 200
    assert not await house.active(second["access_token"])


async def test_an_access_token_ends_itself_only(house: TokenHouse):
    """Architecture, section 5: an access token ends its own jti."""
    first = await house.tokens()
    second = (await house.refresh(first["refresh_token"])).json()
    assert await revoke(house, first["access_token"]) == 200
    assert not await house.active(first["access_token"])
    assert await house.active(second["access_token"])
    assert (await house.refresh(second["refresh_token"])).status_code == 200
    assert len(await house.events("token.revoked")) == 1


async def test_revoking_twice_is_success_and_one_event(house: TokenHouse):
    """RFC 7009 section 2.2."""
    body = await house.tokens()
    for token in (body["access_token"], body["refresh_token"]):
        assert [await revoke(house, token), await revoke(house, token)] == [200, 200]
    assert len(await house.events("token.revoked", "grant.revoked")) == 2


async def test_only_ones_own_tokens_are_ended(house: TokenHouse):
    """RFC 7009 section 2.1; security rules E14, E22: the answer is the same."""
    body = await house.tokens()
    assert await revoke(house, body["refresh_token"], client_id=OTHER.client_id) == 200
    assert await revoke(house, body["access_token"], client_id=OTHER.client_id) == 200
    assert await house.active(body["access_token"])
    assert (await house.refresh(body["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    "token", ["unknown", "rt_" + "a" * 24 + ".1." + "A" * 43, "a.b.c", "\N{SNOWMAN}", "x" * 20_000]
)
async def test_an_unknown_token_is_success(house: TokenHouse, token: str):
    """RFC 7009 section 2.2."""
    assert await revoke(house, token) == 200


async def test_an_expired_access_token_is_success(house: TokenHouse):
    """RFC 7009 section 2.2."""
    body = await house.tokens()
    house.clock.forward(900)
    assert await revoke(house, body["access_token"]) == 200
    assert not await house.events("token.revoked")


async def test_a_confidential_client_authenticates(house: TokenHouse):
    """RFC 7009 section 2.1; security rule E12."""
    code = await house.login(client=CONFIDENTIAL)
    auth = (CONFIDENTIAL.client_id, SECRET)
    body = (await house.redeem(code, client=CONFIDENTIAL, auth=auth)).json()
    assert await revoke(house, body["access_token"], client_id=CONFIDENTIAL.client_id) == 401
    assert await house.active(body["access_token"])
    assert (await house.post("/revoke", {"token": body["access_token"]}, auth=auth)).status_code == 200
    assert not await house.active(body["access_token"])


async def test_a_token_and_a_client_are_needed(house: TokenHouse):
    """RFC 7009 section 2.1."""
    body = await house.tokens()
    missing = await house.post("/revoke", {"client_id": PUBLIC.client_id})
    assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")
    nobody = await house.post("/revoke", {"token": body["access_token"]})
    assert (nobody.status_code, nobody.json()["error"]) == (401, "invalid_client")
    assert await house.active(body["access_token"])


async def test_only_post_is_answered(house: TokenHouse):
    """RFC 7009 section 2.1; security rules C15, E15."""
    async with house.http() as http:
        assert (await http.get(ISSUER + "/revoke")).status_code == 405


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        ("find_grant_by_handle", "refresh_token"),
        ("revoke_grant", "refresh_token"),
        ("find_grant", "access_token"),
        ("revoke_token", "access_token"),
    ],
)
async def test_a_fault_of_the_store_is_never_success(house: TokenHouse, verb: str, kind: str):
    """Security rule E22."""
    body = await house.tokens()
    assert await revoke(faulty(house, **{verb: unavailable}), body[kind]) == 503
    assert await house.active(body["access_token"])
