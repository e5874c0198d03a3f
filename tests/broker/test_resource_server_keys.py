"""How a resource server keeps the issuer's keys: discovery, rotation, cool-down, outages (rule F3)."""

from __future__ import annotations

from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey

from broker.protocol.bearer import BearerRefused
from broker.protocol.jws import import_keys
from broker.resource_server import BrokerTokenVerifier, KeysUnavailable
from tests.broker.resource_issuer import ISSUER, RESOURCE, Issuer, ManualClock, key_of, public
from tests.providers.values import JSON_VALUES


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def issuer(clock: ManualClock) -> Issuer:
    return Issuer(clock)


@pytest.fixture
def verifier(issuer: Issuer, clock: ManualClock) -> BrokerTokenVerifier:
    return BrokerTokenVerifier(ISSUER, RESOURCE, http=issuer.http, clock=clock)


async def test_nothing_is_fetched_before_the_first_token_and_once_for_a_crowd(
    issuer: Issuer, verifier: BrokerTokenVerifier
) -> None:
    """One load at a time, whoever asks."""
    assert issuer.fetches == []
    tokens = [issuer.token(jti=str(number)) for number in range(20)]

    async with anyio.create_task_group() as group:
        for token in tokens:
            group.start_soon(verifier.verify_token, token)

    assert issuer.fetches == [
        "https://auth.example.com/.well-known/oauth-authorization-server/oauth",
        "https://auth.example.com/oauth/.well-known/jwks.json",
    ]


async def test_a_new_key_is_found_at_once_and_no_request_fails_during_rotation(
    issuer: Issuer, verifier: BrokerTokenVerifier
) -> None:
    """Security rule F3: rotation under load fails no verification."""
    outcomes: list[bool] = []

    async def request(token: str) -> None:
        outcomes.append(await verifier.verify_token(token) is not None)

    for number in range(3):
        old, new = number, number + 1
        issuer.published = [public(key_of("RS256", old)), public(key_of("RS256", new))]  # published, then signing
        async with anyio.create_task_group() as group:
            for turn in range(30):
                signing = old if turn % 2 else new
                group.start_soon(request, issuer.token(number=signing, jti=f"{number}-{turn}"))
        issuer.clock.advance(60)

    assert outcomes == [True] * 90
    assert issuer.key_fetches == 3


async def test_unknown_key_ids_cause_one_load_in_thirty_seconds(issuer: Issuer, verifier: BrokerTokenVerifier) -> None:
    """Garbage key ids cannot make a resource server hammer the issuer."""
    assert await verifier.verify_token(issuer.token()) is not None
    assert issuer.key_fetches == 1

    for second in range(30):
        assert await verifier.verify_token(issuer.token(number=second + 10)) is None
        issuer.clock.advance(1)
    assert issuer.key_fetches == 2

    issuer.published.append(public(key_of("RS256", 10)))
    assert await verifier.verify_token(issuer.token(number=10)) is not None
    assert issuer.key_fetches == 3


async def test_keys_are_loaded_again_every_five_minutes_and_a_withdrawn_key_ends_its_tokens(
    issuer: Issuer, verifier: BrokerTokenVerifier
) -> None:
    """A token seen before does not outlive its key (emergency rotation)."""
    old, new = issuer.token(number=0), issuer.token(number=1)
    issuer.published.append(public(key_of("RS256", 1)))
    assert await verifier.verify_token(old) is not None
    assert await verifier.verify_token(new) is not None

    issuer.published = [public(key_of("RS256", 1))]
    issuer.clock.advance(299)
    assert await verifier.verify_token(old) is not None
    assert issuer.key_fetches == 1
    issuer.clock.advance(1)

    assert await verifier.verify_token(old) is None
    assert await verifier.verify_token(new) is not None
    assert issuer.key_fetches == 3  # the reload, and one for the key that is gone


async def test_another_key_under_the_same_id_ends_what_the_first_one_signed(
    issuer: Issuer, verifier: BrokerTokenVerifier
) -> None:
    token = issuer.token()
    assert await verifier.verify_token(token) is not None

    issuer.published = [{**public(key_of("RS256", 1)), "kid": key_of("RS256").kid}]
    issuer.clock.advance(300)

    assert await verifier.verify_token(token) is None


async def test_while_the_issuer_is_down_the_last_good_keys_stay(issuer: Issuer, verifier: BrokerTokenVerifier) -> None:
    assert await verifier.verify_token(issuer.token()) is not None
    issuer.down = True
    issuer.clock.advance(600)

    for second in range(60):
        assert await verifier.verify_token(issuer.token(jti=str(second))) is not None
        issuer.clock.advance(1)

    assert issuer.key_fetches == 1
    assert len(issuer.fetches) == 2 + 2  # one attempt in thirty seconds


async def test_before_any_keys_came_nothing_is_known_about_a_token_and_recovery_takes_seconds(
    issuer: Issuer, verifier: BrokerTokenVerifier
) -> None:
    """An outage is not a bad token."""
    issuer.down = True
    with pytest.raises(KeysUnavailable):
        await verifier.judge(issuer.token())
    assert await verifier.verify_token(issuer.token()) is None
    assert len(issuer.fetches) == 1

    issuer.down = False
    issuer.clock.advance(2)

    assert await verifier.verify_token(issuer.token()) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ISSUER + "/"},
        {"issuer": "https://evil.example"},
        {"jwks_uri": "http://auth.example.com/jwks.json"},
        {"jwks_uri": "http://127.0.0.1/jwks.json"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": ["https://auth.example.com/jwks.json"]},
        {"jwks_uri": None},
    ],
)
async def test_metadata_of_another_issuer_or_without_safe_keys_gives_no_keys(
    issuer: Issuer, verifier: BrokerTokenVerifier, change: dict[str, Any]
) -> None:
    """RFC 8414 section 3.3; keys come over TLS."""
    issuer.metadata |= change

    with pytest.raises(KeysUnavailable):
        await verifier.judge(issuer.token())


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(500),
        httpx2.Response(302, headers={"Location": ISSUER}),
        httpx2.Response(200, content=b"not json"),
        httpx2.Response(200, content=b"[]"),
        httpx2.Response(200, content=b'{"issuer": "a", "issuer": "b"}'),
        httpx2.Response(200, content=b" " * 300_000),
    ],
)
async def test_an_answer_that_is_no_metadata_gives_no_keys(clock: ManualClock, answer: httpx2.Response) -> None:
    """No redirect is followed, nothing large is read."""
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: answer))
    verifier = BrokerTokenVerifier(ISSUER, RESOURCE, http=http, clock=clock)

    with pytest.raises(KeysUnavailable):
        await verifier.judge(Issuer(clock).token())


async def test_one_unusable_key_never_spoils_the_set(issuer: Issuer, verifier: BrokerTokenVerifier) -> None:
    """Rule F2; RFC 7517 section 5: members that are not understood are left out."""
    good = public(key_of("RS256"))
    point = public(key_of("ES256"))
    issuer.published = [
        None,
        "key",
        {"kty": "RSA"},
        {"kty": "XYZ", "kid": "x"},
        {"kty": ["RSA"], "kid": "x"},
        {**public(key_of("ES256")), "x": "AAAA", "kid": "short"},
        {**public(key_of("ES256")), "x": 7, "kid": "number"},
        {**good, "n": good["n"] + "=", "kid": "padded"},
        {name: value for name, value in point.items() if name != "x"},
        {name: value for name, value in point.items() if name != "y"},
        {**good, "alg": [], "kid": "list"},
        {**good, "alg": {}, "kid": "object"},
        good,
    ]

    assert await verifier.verify_token(issuer.token()) is not None


def test_only_public_signature_keys_of_the_right_size_are_imported() -> None:
    """RFC 7517 sections 4.2 to 4.4, RFC 7518 sections 3.3 and 6.2.1, RFC 8037 section 2."""
    rsa, ec, okp = public(key_of("RS256")), public(key_of("ES256")), public(key_of("EdDSA"))
    bad: list[dict[str, Any]] = [
        {**rsa, "use": "enc"},
        {**rsa, "key_ops": ["sign"]},
        {**rsa, "key_ops": "verify"},
        {**rsa, "alg": "RS512"},
        {**rsa, "alg": "PS256"},
        {**rsa, "e": "AQ"},
        {**rsa, "e": "Ag"},
        {**rsa, "crv": "P-256"},
        {**rsa, "kid": None},
        dict(key_of("RS256").as_dict(private=True)),
        dict(RSAKey.generate_key(4096).as_dict(private=False)) | {"kid": "no", "n": rsa["n"][:-4]},
        dict(ECKey.generate_key("P-384").as_dict(private=False)) | {"kid": "no"},
        {**ec, "y": ec["x"]},
        {**ec, "crv": "secp256k1"},
        dict(OKPKey.generate_key("Ed448").as_dict(private=False)) | {"kid": "no"},
        dict(OKPKey.generate_key("X25519").as_dict(private=False)) | {"kid": "no"},
        {**okp, "x": okp["x"][:-2]},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "no"},
    ]

    assert [key for member in bad for key in import_keys({"keys": [member]})] == []
    assert set(import_keys({"keys": [*bad, rsa, ec, {**okp, "alg": "Ed25519"}]})) == {
        "RS256-0",
        "ES256-0",
        "EdDSA-0",
    }


@given(
    member=st.sampled_from(["kty", "crv", "kid", "alg", "use", "key_ops", "n", "e", "x", "y", "d", "x5c"]),
    value=JSON_VALUES,
    alg=st.sampled_from(["RS256", "ES256", "EdDSA"]),
)
def test_a_key_of_any_shape_leaves_the_others_usable(member: str, value: Any, alg: str) -> None:
    """Rule F2: a member of any JSON type, in a key of any kind, costs at most that key."""
    odd = {**public(key_of(alg, 1)), member: value}
    assert "RS256-0" in import_keys(
        {"keys": [odd, {k: v for k, v in odd.items() if k != member}, public(key_of("RS256"))]}
    )


def test_a_key_id_that_two_keys_share_names_neither() -> None:
    """RFC 7517 section 4.5: ids are distinct, so two are a mistake or an attack."""
    two = [public(key_of("RS256")), {**public(key_of("ES256")), "kid": "RS256-0"}]

    assert import_keys({"keys": [*two, public(key_of("EdDSA"))]}).keys() == {"EdDSA-0"}


async def test_a_token_that_names_no_key_of_the_issuer_is_refused_with_a_reason(
    issuer: Issuer, verifier: BrokerTokenVerifier
) -> None:
    with pytest.raises(BearerRefused, match="unknown_key"):
        await verifier.judge(issuer.token(number=5))
