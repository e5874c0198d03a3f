"""Client authentication: of the registered kind, one mechanism, the same answer for every wrong proof."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from broker.client_auth import ClientAuthenticator, Presented
from broker.clients import ClientResolver
from broker.model import Client, digest
from broker.oauth import ASSERTION_TYPE_JWT_BEARER, InvalidClient, InvalidRequest, OAuthError, Reason
from broker.outbound import GuardedFetcher
from broker.protocol import client_keys
from broker.settings import Settings
from broker.store.base import StoreUnavailable
from broker.web import parse_urlencoded
from tests.broker.assertions import CLIENT_ID, assembled, claims, key_of, public, signed
from tests.broker.client_store import ClientStore
from tests.broker.records import ISSUER, make_client
from tests.broker.resource_issuer import ManualClock

SECRET = "s" * 43
PUBLIC = make_client(client_id="public")
BASIC = make_client(client_id="basic", token_endpoint_auth_method="client_secret_basic", secret_hash=digest(SECRET))
POST = replace(BASIC, client_id="post", token_endpoint_auth_method="client_secret_post")
MACHINE = make_client(
    client_id=CLIENT_ID, token_endpoint_auth_method="private_key_jwt", jwks=client_keys.keep(public(key_of("ES256")))
)
CLIENTS = (PUBLIC, BASIC, POST, MACHINE)


class House:
    """An authenticator among its collaborators."""

    def __init__(self, **changes: Any) -> None:
        settings = Settings(issuer=ISSUER, clients=CLIENTS, **changes)
        self.clock = ManualClock()
        self.store = ClientStore()
        store = self.store.as_store
        fetcher = GuardedFetcher(settings, clock=self.clock)
        self.clients = ClientResolver(settings, store=store, fetcher=fetcher, clock=self.clock)
        self.authenticator = ClientAuthenticator(settings, clients=self.clients, store=store, clock=self.clock)

    def present(self, body: dict[str, str], *authorization: str) -> Presented:
        headers = [(b"authorization", value.encode("latin-1")) for value in authorization]
        request = Request({"type": "http", "method": "POST", "headers": headers, "state": {"source": "192.0.2.1"}})
        return self.authenticator.present(request, parse_urlencoded(urlencode(body).encode()))

    async def authenticate(self, body: dict[str, str], *authorization: str) -> Client:
        presented = self.present(body, *authorization)
        client = await self.clients.resolve(presented.client_id, source=presented.source)
        await self.authenticator.authenticate(client, presented)
        return client

    async def refusal(self, body: dict[str, str], *authorization: str) -> Reason:
        with pytest.raises(OAuthError) as refused:
            await self.authenticate(body, *authorization)
        assert isinstance(refused.value, InvalidClient | InvalidRequest)
        return refused.value.reason


@pytest.fixture
def house() -> House:
    return House()


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def asserted(assertion: str | None = None, **body: str) -> dict[str, str]:
    proof = signed(key_of("ES256"), "ES256") if assertion is None else assertion
    return {"client_assertion_type": ASSERTION_TYPE_JWT_BEARER, "client_assertion": proof} | body


@pytest.mark.parametrize(
    ("body", "authorization", "client_id"),
    [
        ({"client_id": "public"}, [], "public"),
        ({}, [basic("public", "")], "public"),
        ({"client_id": "public", "client_secret": ""}, [], "public"),
        ({}, [basic("basic", SECRET)], "basic"),
        ({"client_id": "basic"}, [basic("basic", SECRET)], "basic"),
        ({"client_id": "basic", "client_secret": SECRET}, [], "basic"),
        ({}, [basic("post", SECRET)], "post"),
        ({"client_id": "post", "client_secret": SECRET}, [], "post"),
        (asserted(), [], CLIENT_ID),
        (asserted(client_id=CLIENT_ID), [], CLIENT_ID),
    ],
)
async def test_the_registered_kind_is_accepted_a_secret_in_either_place(
    body: dict[str, str], authorization: list[str], client_id: str, house: House
) -> None:
    """Rule E12; RFC 6749 section 2.3.1; RFC 7523 section 3: client_id may be left to the assertion."""
    assert (await house.authenticate(body, *authorization)).client_id == client_id


@pytest.mark.parametrize(
    ("body", "authorization"),
    [
        ({"client_id": "basic", "client_secret": SECRET}, [basic("basic", SECRET)]),
        ({"client_secret": SECRET}, [basic("basic", "")]),
        (asserted(), [basic(CLIENT_ID, "x")]),
        (asserted(client_secret="x", client_id=CLIENT_ID), []),
        ({"client_assertion_type": "x", "client_secret": "x", "client_id": "basic"}, []),
        ({"client_id": "basic"}, [basic("basic", SECRET), basic("basic", SECRET)]),
        ({"client_id": "public"}, [basic("basic", SECRET)]),
        (asserted(client_id="public"), []),
    ],
)
async def test_two_mechanisms_or_two_ids_are_one_too_many(
    body: dict[str, str], authorization: list[str], house: House
) -> None:
    """Rule E12; RFC 6749 sections 2.3 and 5.2: invalid_request."""
    with pytest.raises(InvalidRequest) as refused:
        house.present(body, *authorization)
    assert refused.value.reason is Reason.CREDENTIALS_AMBIGUOUS


@pytest.mark.parametrize(
    ("body", "authorization", "reason"),
    [
        ({}, [], Reason.CREDENTIALS_MISSING),
        ({"client_id": ""}, [], Reason.CREDENTIALS_MISSING),
        ({"client_id": "x" * 3000}, [], Reason.CLIENT_UNKNOWN),
        ({}, ["Bearer token"], Reason.CREDENTIALS_KIND),
        ({}, ["Basic !"], Reason.CREDENTIALS_MALFORMED),
        ({"client_assertion": "x"}, [], Reason.CREDENTIALS_KIND),
        ({"client_assertion_type": ASSERTION_TYPE_JWT_BEARER}, [], Reason.CREDENTIALS_KIND),
        ({"client_assertion_type": "urn:saml2", "client_assertion": "x"}, [], Reason.CREDENTIALS_KIND),
        (asserted("x"), [], Reason.ASSERTION_INVALID),
    ],
)
async def test_what_presents_nobody_is_invalid_client(
    body: dict[str, str], authorization: list[str], reason: Reason, house: House
) -> None:
    """Rule E12; RFC 6749 section 5.2."""
    with pytest.raises(InvalidClient) as refused:
        house.present(body, *authorization)
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("body", "authorization", "reason"),
    [
        ({"client_id": "basic"}, [], Reason.CREDENTIALS_MISSING),
        ({}, [basic("basic", "")], Reason.CREDENTIALS_MISSING),
        ({"client_id": CLIENT_ID}, [], Reason.CREDENTIALS_MISSING),
        ({"client_id": CLIENT_ID, "client_secret": SECRET}, [], Reason.CREDENTIALS_KIND),
        ({"client_id": "public", "client_secret": SECRET}, [], Reason.CREDENTIALS_KIND),
        ({}, [basic("public", "x")], Reason.CREDENTIALS_KIND),
        (asserted(assembled({"alg": "ES256"}, claims(sub="basic", iss="basic"))), [], Reason.CREDENTIALS_KIND),
        (asserted(assembled({"alg": "ES256"}, claims(sub="public", iss="public"))), [], Reason.CREDENTIALS_KIND),
    ],
)
async def test_no_weaker_and_no_other_kind_is_accepted(
    body: dict[str, str], authorization: list[str], reason: Reason, house: House
) -> None:
    """Rule E12."""
    assert await house.refusal(body, *authorization) is reason


async def test_an_unknown_client_and_a_wrong_secret_get_the_same_answer(house: House) -> None:
    """Rule E14: the reason is ours; code, status and description are the same."""
    wires = set()
    for body in ({"client_id": "nobody", "client_secret": SECRET}, {"client_id": "basic", "client_secret": "guess"}):
        with pytest.raises(InvalidClient) as refused:
            await house.authenticate(body)
        wires.add((type(refused.value), refused.value.code, refused.value.status, refused.value.description))
    assert len(wires) == 1


@pytest.mark.parametrize("secret", ["guess", SECRET[:-1], SECRET + "s", SECRET.upper(), "%73" * 43 + "x"])
async def test_a_wrong_secret_is_refused_in_every_reading(secret: str, house: House) -> None:
    """Rule E12."""
    assert await house.refusal({}, basic("basic", secret)) is Reason.CREDENTIALS_WRONG
    assert await house.refusal({"client_id": "basic", "client_secret": secret}) is Reason.CREDENTIALS_WRONG


@pytest.mark.parametrize("secret", ["a/b+c=", "100%", "a%2Fb"])
async def test_a_secret_with_odd_characters_is_accepted_encoded_and_raw(secret: str) -> None:
    """RFC 6749 section 2.3.1; the TypeScript SDK does not encode, the Python SDK does."""
    house = House()
    client = replace(BASIC, secret_hash=digest(secret))
    for spelling in (secret, urlencode({"": secret})[1:]):
        await house.authenticator.authenticate(client, house.present({}, basic("basic", spelling)))


async def test_a_client_without_a_stored_secret_has_no_right_one(house: House) -> None:
    """Rule E12: the hash of nothing is no secret."""
    empty = replace(BASIC, secret_hash=None)
    with pytest.raises(InvalidClient):
        await house.authenticator.authenticate(empty, house.present({"client_id": "basic", "client_secret": "x"}))
    presented = Presented(client_id="basic", kind="secret", source="", secret_hashes=(b"",))
    with pytest.raises(InvalidClient):
        await house.authenticator.authenticate(empty, presented)


async def test_one_client_s_proof_serves_no_other(house: House) -> None:
    """Rule E9: the one who is authenticated is the one who was presented."""
    with pytest.raises(InvalidClient):
        await house.authenticator.authenticate(POST, house.present({}, basic("basic", SECRET)))


async def test_an_unknown_method_authenticates_nobody(house: House) -> None:
    """Rule E12: fails closed."""
    odd = replace(BASIC, token_endpoint_auth_method="tls_client_auth")
    with pytest.raises(InvalidClient):
        await house.authenticator.authenticate(odd, house.present({"client_id": "basic", "client_secret": SECRET}))


async def test_an_assertion_counts_once_whatever_its_spelling(house: House) -> None:
    """Rule E13: consumed by issuer and jti, and kept until it is dead."""
    first = signed(key_of("ES256"), "ES256", claims(jti="one"))
    again = signed(key_of("ES256"), "ES256", claims(jti="one", extra=1))
    assert first != again
    await house.authenticate(asserted(first))
    assert await house.refusal(asserted(first)) is Reason.ASSERTION_REPLAYED
    assert await house.refusal(asserted(again)) is Reason.ASSERTION_REPLAYED
    await house.authenticate(asserted(signed(key_of("ES256"), "ES256", claims(jti="two"))))
    house.clock.advance(359)
    assert await house.refusal(asserted(first)) is Reason.ASSERTION_REPLAYED
    house.clock.advance(1)
    assert await house.refusal(asserted(first)) is Reason.ASSERTION_INVALID


@pytest.mark.parametrize(
    "forged",
    [
        signed(key_of("ES256", 1), "ES256", kid="ES256-0"),
        signed(key_of("RS256"), "RS256"),
        signed(key_of("ES256"), "ES256")[:-4] + "AAAA",
        assembled({"alg": "ES256", "kid": "ES256-0"}, claims()),
        signed(key_of("ES256"), "ES256", claims(aud="https://other.example")),
        signed(key_of("ES256"), "ES256", claims(aud=ISSUER + "/token")),
        signed(key_of("ES256"), "ES256", claims(iss="other")),
    ],
)
async def test_a_forgery_is_refused_and_spends_nothing(forged: str, house: House) -> None:
    """Rule E13: a forger cannot spend the jti of the real client."""
    assert await house.refusal(asserted(forged)) is Reason.ASSERTION_INVALID
    assert house.store.used == {}


async def test_the_token_endpoint_is_an_audience_where_the_switch_says_so() -> None:
    """Rule E13; BROKER_ASSERTION_AUDIENCE."""
    house = House(assertion_audience="issuer_or_token_endpoint")
    await house.authenticate(asserted(signed(key_of("ES256"), "ES256", claims(aud=ISSUER + "/token"))))
    await house.authenticate(asserted(signed(key_of("ES256"), "ES256", claims(aud=[ISSUER], jti="jti-2"))))


async def test_an_outage_is_not_a_wrong_assertion(house: House) -> None:
    """Architecture, section 4: never invalid_client for an outage; nothing is accepted that could not be consumed."""
    presented = house.present(asserted())
    client = await house.clients.resolve(presented.client_id, source="")
    house.store.down = True
    with pytest.raises(StoreUnavailable):
        await house.authenticator.authenticate(client, presented)


def test_nothing_presented_prints_a_secret(house: House) -> None:
    """Oracle: no secret in a log."""
    assert SECRET not in repr(house.present({}, basic("basic", SECRET)))
    assert digest(SECRET).hex() not in repr(house.present({}, basic("basic", SECRET)))


HOUSE = House()
FIELDS = st.sampled_from(["client_id", "client_secret", "client_assertion", "client_assertion_type", "grant_type"])
VALUES = st.text(max_size=40) | st.sampled_from(["basic", "public", SECRET, ASSERTION_TYPE_JWT_BEARER, "a.b.c"])
HEADERS = st.lists(
    st.text(st.characters(max_codepoint=255), max_size=60)
    | st.binary(max_size=60).map(lambda raw: "Basic " + base64.b64encode(raw).decode()),
    max_size=2,
)


@given(st.dictionaries(FIELDS, VALUES, max_size=4), HEADERS)
def test_no_combination_gives_anything_but_an_oauth_error(body: dict[str, str], headers: list[str]) -> None:
    """Rule E12: parsing never gives a 5xx."""
    try:
        presented = HOUSE.present(body, *headers)
    except (InvalidClient, InvalidRequest):
        return
    assert presented.client_id
