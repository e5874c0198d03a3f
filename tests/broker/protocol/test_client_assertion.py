"""Signed client assertions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.oauth import InvalidClient, Reason
from broker.protocol import client_assertion, client_keys
from tests.broker.assertions import CLIENT_ID, assembled, claims, key_of, public, signed
from tests.broker.records import ISSUER, NOW

KEYS = client_keys.read(client_keys.keep(public(key_of("ES256"), key_of("RS256"), key_of("EdDSA"))))


def judged(*, audiences: tuple[str, ...] = (ISSUER,), **changes: Any) -> client_assertion.SingleUse:
    parsed = client_assertion.parse(assembled({"alg": "ES256"}, claims(**changes)))
    return client_assertion.check(parsed, client_id=CLIENT_ID, audiences=audiences, now=NOW)


@pytest.mark.parametrize(
    ("alg", "key"),
    [("ES256", "ES256"), ("RS256", "RS256"), ("PS256", "RS256"), ("EdDSA", "EdDSA"), ("Ed25519", "EdDSA")],
)
@pytest.mark.parametrize("kid", ["own", None])
def test_an_assertion_signed_with_a_key_of_the_client_holds(alg: str, key: str, kid: str | None) -> None:
    """RFC 7523 section 3, with and without a key's name; rule E12."""
    header = {} if kid else {"kid": None}
    parsed = client_assertion.parse(signed(key_of(key), alg, **header))
    assert client_assertion.is_signed(parsed, KEYS)
    assert parsed.client_id == CLIENT_ID


def test_a_stranger_s_key_or_another_name_does_not_hold() -> None:
    """RFC 7523 section 3 item 9."""
    assert not client_assertion.is_signed(client_assertion.parse(signed(key_of("ES256", 1), "ES256")), KEYS)
    assert not client_assertion.is_signed(client_assertion.parse(signed(key_of("ES256"), "ES256", kid="RS256-0")), KEYS)
    assert not client_assertion.is_signed(client_assertion.parse(signed(key_of("ES256"), "ES256")), ())


@pytest.mark.parametrize(("before", "kid", "holds"), [(7, None, True), (8, None, False), (19, "own", True)])
def test_eight_keys_are_tried_and_the_named_one_first(before: int, kid: str | None, holds: object) -> None:
    """Rules E12, G14: nineteen strangers' keys cost every wrong assertion a verification each, on the event loop."""
    others = [public(key_of("ES256", number + 1), kid=None)["keys"][0] for number in range(before)]
    own = public(key_of("ES256"), kid=kid)["keys"]
    keys = client_keys.read(client_keys.keep({"keys": others + own}))
    assert len(keys) == before + 1
    parsed = client_assertion.parse(signed(key_of("ES256"), "ES256", kid=kid))
    assert client_assertion.is_signed(parsed, keys) is holds


def test_the_algorithms_that_metadata_announces_are_those_that_work() -> None:
    """RFC 8414 section 2: token_endpoint_auth_signing_alg_values_supported; asymmetric only."""
    assert set(client_keys.ALGORITHMS) == {"ES256", "RS256", "PS256", "EdDSA", "Ed25519"}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"alg": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES512"},
        {"alg": ["ES256"]},
        {"alg": "ES256", "kid": 7},
        {"alg": "ES256", "typ": "at+jwt"},
        {"alg": "ES256", "typ": "oauth-id-jag+jwt"},
        {"alg": "ES256", "typ": "dpop+jwt"},
        {"alg": "ES256", "typ": 7},
        {"alg": "ES256", "crit": ["x"]},
        {"alg": "ES256", "b64": False},
        {"alg": "ES256", "jwk": {}},
        {"alg": "ES256", "jku": "https://evil.example/jwks"},
        {"alg": "ES256", "x5u": "https://evil.example/cert"},
        {"alg": "ES256", "x5c": ["AA"]},
        [],
        "ES256",
    ],
)
def test_a_header_that_brings_a_key_or_is_of_another_kind_is_refused(header: Any) -> None:
    """RFC 8725 sections 3.1, 3.10 and 3.11; rules E10, E13."""
    with pytest.raises(InvalidClient) as refused:
        client_assertion.parse(assembled(header, claims()))
    assert refused.value.reason is Reason.ASSERTION_INVALID


@pytest.mark.parametrize("typ", ["JWT", "jwt", "client-authentication+jwt", "application/client-authentication+jwt"])
def test_the_usual_types_are_accepted(typ: str) -> None:
    """draft-ietf-oauth-rfc7523bis section 4; RFC 7519 section 5.1."""
    assert client_assertion.parse(assembled({"alg": "ES256", "typ": typ}, claims())).alg == "ES256"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "é.é.é",
        "e30.e30.",
        "e30=.e30.AA",
        assembled({"alg": "ES256"}, b"{}"),
        assembled({"alg": "ES256"}, b"not json"),
        assembled({"alg": "ES256"}, b"[]"),
        assembled({"alg": "ES256"}, b'{"sub":"a","sub":"b"}'),
        assembled({"alg": "ES256"}, {"sub": 7}),
        assembled({"alg": "ES256"}, {"sub": ""}),
        assembled({"alg": "ES256"}, {"sub": ["a"]}),
        assembled({"alg": "ES256"}, b'{"sub":"a","exp":' + b"9" * 5000 + b"}"),
        assembled({"alg": "ES256"}, b'{"sub":' * 200 + b"1" + b"}" * 200),
        assembled({"alg": "ES256"}, claims(x="y" * 20_000)),
    ],
)
def test_a_malformed_assertion_is_refused(text: str) -> None:
    """Rules E12, E13: never a 5xx."""
    with pytest.raises(InvalidClient):
        client_assertion.parse(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"iss": None},
        {"iss": [CLIENT_ID]},
        {"sub": "other"},
        {"aud": None},
        {"aud": "https://other.example"},
        {"aud": ISSUER + "/"},
        {"aud": ISSUER + "/token"},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": []},
        {"aud": [[ISSUER]]},
        {"aud": {"x": ISSUER}},
        {"exp": None},
        {"exp": NOW - 60},
        {"exp": NOW + 361},
        {"exp": NOW + 86400},
        {"exp": str(NOW + 60)},
        {"exp": True},
        {"exp": -1},
        {"exp": 1e300},
        {"iat": NOW + 61},
        {"iat": "now"},
        {"nbf": NOW + 61},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "j" * 257},
    ],
)
def test_claims_that_are_not_ours_or_not_now_are_refused(changes: dict[str, Any]) -> None:
    """RFC 7523 section 3; rule E13: one audience, ours [CVE-2025-27370], a short life, a jti."""
    with pytest.raises(InvalidClient) as refused:
        judged(**changes)
    assert refused.value.reason is Reason.ASSERTION_INVALID


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [ISSUER]},
        {"exp": NOW - 59},
        {"exp": NOW + 360},
        {"exp": NOW + 299.5},
        {"iat": None},
        {"iat": NOW + 60, "nbf": NOW + 60},
        {"jti": "j" * 256},
        {"jti": "\ud800"},
    ],
)
def test_clocks_may_differ_by_a_minute(changes: dict[str, Any]) -> None:
    """Rules E13 and F4."""
    assert judged(**changes).expires_at > NOW


def test_the_token_endpoint_is_an_audience_only_where_settings_say_so() -> None:
    """Rule E13; draft-ietf-oauth-rfc7523bis."""
    endpoint = ISSUER + "/token"
    assert judged(audiences=(ISSUER, endpoint), aud=endpoint).key == judged().key


def test_what_is_consumed_names_issuer_and_jti_and_not_the_spelling() -> None:
    """Rule E13: whatever else differs, the same issuer and jti are the same use; it is kept until the assertion is dead."""
    once = judged(jti="one")
    assert once == client_assertion.SingleUse(key=once.key, expires_at=NOW + 360)
    assert judged(jti="one", exp=NOW + 100, extra=1).key == once.key
    assert judged(jti="two").key != once.key


def test_issuer_and_jti_cannot_be_shifted_into_each_other() -> None:
    """Rule E13."""
    keys = set()
    for client_id, jti in (("ab", "c"), ("a", "bc"), ("1:a", "b")):
        parsed = client_assertion.parse(assembled({"alg": "ES256"}, claims(iss=client_id, sub=client_id, jti=jti)))
        keys.add(client_assertion.check(parsed, client_id=client_id, audiences=(ISSUER,), now=NOW).key)
    assert len(keys) == 3


@given(st.text(max_size=200))
def test_arbitrary_text_raises_only_the_oauth_error(text: str) -> None:
    """Rule E12: parsing never gives a 5xx."""
    with pytest.raises(InvalidClient):
        client_assertion.parse(text)


NAMES = st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "jti"])
VALUES = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.lists(st.text())


@given(st.dictionaries(NAMES, VALUES))
def test_arbitrary_claims_raise_only_the_oauth_error(body: dict[str, Any]) -> None:
    """Rule E13: never a 5xx."""
    try:
        parsed = client_assertion.parse(assembled({"alg": "ES256"}, claims(**body)))
        client_assertion.check(parsed, client_id=CLIENT_ID, audiences=(ISSUER,), now=NOW)
    except InvalidClient:
        return
    assert claims(**body)["aud"] in (ISSUER, [ISSUER])
