from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from broker import own_tokens
from broker.endpoints.introspect import Introspect
from broker.own_tokens import OwnTokens
from tests.broker.records import ISSUER, make_resource
from tests.broker.token_house import FILES, MAIL, PUBLIC, SECRET, TokenHouse, decoded, faulty, unavailable

INACTIVE = {"active": False}


async def signed(house: TokenHouse, typ: str = "at+jwt", alg: str = "ES256", **changes: Any) -> str:
    """Return a token signed with our own key, its claims changed; a change to None takes the claim away."""
    _, claims = decoded((await house.tokens())["access_token"])
    body = {name: value for name, value in (claims | changes).items() if value is not None}
    return await house.keys.sign(body, alg=alg, typ=typ)


async def test_an_active_token_is_described_to_its_resource(house: TokenHouse):
    """RFC 7662 section 2.2; security rule E22."""
    token = (await house.tokens())["access_token"]
    _, claims = decoded(token)
    assert await house.introspect(token) == {"active": True, "token_type": "Bearer", **claims}
    assert await house.introspect(token) == {"active": True, "token_type": "Bearer", **claims}


async def test_a_token_for_another_audience_is_inactive(house: TokenHouse):
    """RFC 7662 section 4; security rules E22, F1."""
    files = (await house.tokens())["access_token"]
    mail = (await house.tokens(resource=MAIL.url, scopes=("mail:read",)))["access_token"]
    assert await house.introspect(files, resource="mail", secret=SECRET + "mail") == INACTIVE
    assert await house.introspect(mail) == INACTIVE
    assert (await house.introspect(mail, resource="mail", secret=SECRET + "mail"))["active"] is True


async def test_a_token_dies_at_its_expiry(house: TokenHouse):
    """RFC 7662 section 2.2; security rule F4: no leeway on our own expiry."""
    token = (await house.tokens())["access_token"]
    house.clock.forward(899)
    assert await house.active(token)
    house.clock.forward(1)
    assert await house.introspect(token) == INACTIVE


async def test_no_other_kind_of_token_is_active(house: TokenHouse):
    """Security rule E10."""
    code = await house.login()
    body = (await house.redeem(code)).json()
    for text in (body["refresh_token"], code, SECRET, "", "a.b.c", "\N{SNOWMAN}"):
        answer = await house.post("/introspect", {"token": text}, auth=("files", SECRET))
        assert answer.json() == INACTIVE if text else answer.status_code == 400


@pytest.mark.parametrize("typ", ["logout+jwt", "dpop+jwt", "oauth-id-jag+jwt", ""])
async def test_another_kind_of_jwt_of_ours_is_inactive(house: TokenHouse, typ: str):
    """RFC 8725 section 3.11; security rule E10."""
    assert await house.introspect(await signed(house, typ=typ)) == INACTIVE
    assert await house.active(await signed(house))


@pytest.mark.parametrize(
    "changes",
    [
        {"cnf": {"jkt": "thumbprint"}},
        {"aud": [FILES.url]},
        {"aud": FILES.url + "/"},
        {"iss": "https://other.example.com"},
        {"jti": None},
        {"grant_id": None},
        {"grant_id": "unknown"},
        {"exp": None},
        {"exp": "9999999999"},
        {"iat": 9_999_999_999},
    ],
)
async def test_a_token_that_says_something_else_is_inactive(house: TokenHouse, changes: dict[str, Any]):
    """Architecture, section 5: a `cnf` that is not understood is refused; security rules E10, E22."""
    assert await house.introspect(await signed(house, **changes)) == INACTIVE


async def test_a_token_signed_by_somebody_else_is_inactive(house: TokenHouse):
    """RFC 7515 section 5.2; security rules E10, F8."""
    token = (await house.tokens())["access_token"]
    header, claims = decoded(token)
    key = ECKey.generate_key("P-256")
    for kid in (header["kid"], "unknown"):
        forged = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": kid}, claims, key)
        assert await house.introspect(forged) == INACTIVE
    assert await house.introspect(token.rpartition(".")[0] + ".") == INACTIVE


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_changed_character_makes_a_token_inactive(house: TokenHouse, part: int):
    """Security rule F6: also in the last character, whose spare bits some decoders ignore."""
    token = (await house.tokens())["access_token"]
    parts = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for position in (0, len(parts[part]) // 2, len(parts[part]) - 1):
        near = alphabet[alphabet.index(parts[part][position]) ^ 1]
        changed = [*parts]
        changed[part] = parts[part][:position] + near + parts[part][position + 1 :]
        assert await house.introspect(".".join(changed)) == INACTIVE
    assert await house.active(token)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=200))
def test_no_text_is_active(opened_house: Any, text: str):
    """Security rules E10, F6."""
    answer = opened_house(lambda house: house.post("/introspect", {"token": text}, auth=("files", SECRET)))
    assert answer.status_code == 400 if "\0" in text else answer.json() == INACTIVE


async def test_a_verified_signature_is_remembered_but_liveness_is_not(house: TokenHouse):
    """Security rule E11: what was revoked is inactive at once, however often it was asked before."""
    body = await house.tokens()
    assert [await house.active(body["access_token"]) for _ in range(3)] == [True] * 3
    await house.post("/revoke", {"client_id": PUBLIC.client_id, "token": body["refresh_token"]})
    assert not await house.active(body["access_token"])


async def test_what_is_remembered_is_bounded(house: TokenHouse, monkeypatch: pytest.MonkeyPatch):
    """Architecture, section 9: caches are bounded, and losing an entry changes no answer."""
    monkeypatch.setattr(own_tokens, "READ", 1)
    tokens = OwnTokens(ISSUER, store=house.store, keys=house.keys, remembered=2)
    issued = [(await house.tokens())["access_token"] for _ in range(3)]
    for _ in range(2):
        found = [await tokens.access_token(token, now=house.clock.now()) for token in issued]
        assert [token.jti for token in found] == [decoded(token)[1]["jti"] for token in issued]
    assert (len(tokens._verified), len(tokens._read)) == (2, 1)


@pytest.mark.parametrize(
    "auth",
    [("files", "x" * 40), ("mail", SECRET), ("FILES", SECRET), ("nobody", SECRET), ("files", ""), ("client-3", SECRET)],
)
async def test_only_a_resource_with_its_secret_may_ask(house: TokenHouse, auth: tuple[str, str]):
    """RFC 7662 section 2.1; security rules E12, E22."""
    token = (await house.tokens())["access_token"]
    response = await house.post("/introspect", {"token": token}, auth=auth)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !!!", "Basic ZmlsZXM=", "Basic /w==", "Bearer x", "Digest x"]
)
async def test_malformed_credentials_are_refused(house: TokenHouse, header: str | None):
    """Security rule E12: parsing never gives a 5xx."""
    headers = {} if header is None else {"authorization": header}
    async with house.http() as http:
        response = await http.post(ISSUER + "/introspect", data={"token": "x"}, headers=headers)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


async def test_two_authorization_headers_are_refused(house: TokenHouse):
    """Security rule E12: never two at once."""
    headers = [("authorization", "Basic ZmlsZXM6eA=="), ("authorization", "Basic ZmlsZXM6eA==")]
    async with house.http() as http:
        response = await http.post(ISSUER + "/introspect", data={"token": "x"}, headers=headers)
    assert response.status_code == 401


async def test_credentials_and_token_are_not_read_from_the_query(house: TokenHouse):
    """Security rule E15."""
    token = (await house.tokens())["access_token"]
    answer = await house.post(f"/introspect?token={token}", {"other": "x"}, auth=("files", SECRET))
    assert answer.json()["error"] == "invalid_request"
    async with house.http() as http:
        assert (await http.get(f"{ISSUER}/introspect?token={token}", auth=("files", SECRET))).status_code == 405


async def test_a_fault_of_the_store_is_never_an_answer(house: TokenHouse):
    """Security rule E22."""
    token = (await house.tokens())["access_token"]
    answer = await faulty(house, token_ended=unavailable).post("/introspect", {"token": token}, auth=("files", SECRET))
    assert answer.status_code == 503
    assert "active" not in json.loads(answer.content)


async def test_without_a_resource_secret_there_is_nobody_to_answer(house: TokenHouse):
    """Architecture, section 7: a resource with a secret may introspect; discovery advertises what is enabled."""
    tokens = OwnTokens(ISSUER, store=house.store, keys=house.keys)
    nobody = Introspect(ISSUER, resources=[make_resource()], tokens=tokens, store=house.store, clock=house.clock)
    assert nobody.metadata() == {}


async def test_credentials_that_were_right_once_make_no_others_right(house: TokenHouse):
    """Rule E14: what is remembered is one spelling of one resource's secret, and whose it is."""
    token = (await house.tokens())["access_token"]
    mail = {"resource": "mail", "secret": SECRET + "mail"}
    for _ in range(3):
        assert await house.active(token)
        assert await house.introspect(token, **mail) == INACTIVE
        for caller, secret in (
            ("files", SECRET + "x"),
            ("files", SECRET + "mail"),
            ("mail", SECRET),
            ("nobody", SECRET),
        ):
            answer = await house.post("/introspect", {"token": token}, auth=(caller, secret))
            assert answer.status_code == 401
