"""Key sets, key by key (security rule B8)."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from providers.http import UpstreamResponse
from providers.jwks import candidates, fresh_for, import_keys
from providers.signed_token import UnverifiedToken, VerificationKey, verify
from tests.providers import signing
from tests.providers.values import JSON_VALUES

RSA = signing.public_jwk("RSA")


def imported(*keys: Any) -> list[frozenset[str]]:
    """Return what each usable key may verify."""
    return [key.algorithms for key in import_keys({"keys": list(keys)})]


def test_a_key_verifies_what_its_type_and_members_allow() -> None:
    """RFC 7517 sections 4.1 to 4.4; RFC 7518 section 3.1."""
    all_rsa = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
    assert imported(RSA, {**RSA, "use": "sig"}, {**RSA, "key_ops": ["verify", "sign"]}) == [all_rsa] * 3
    assert imported({**RSA, "alg": "PS384"}) == [frozenset({"PS384"})]
    assert imported({**RSA, "alg": None, "use": None, "kid": None}) == [all_rsa]
    assert imported(signing.public_jwk("P-256"), signing.public_jwk("P-521")) == [
        frozenset({"ES256"}),
        frozenset({"ES512"}),
    ]
    edwards = frozenset({"EdDSA", "Ed25519"})
    key = signing.public_jwk("Ed25519")
    assert imported(key, {**key, "alg": "EdDSA"}, {**key, "alg": "Ed25519"}) == [edwards] * 3


@pytest.mark.parametrize(
    "key",
    [
        {**RSA, "use": "enc"},
        {**RSA, "use": "tls"},
        {**RSA, "use": ["sig"]},
        {**RSA, "alg": "RSA-OAEP"},
        {**RSA, "alg": "HS256"},
        {**RSA, "alg": "ES256"},
        {**RSA, "alg": ["RS256"]},
        {**RSA, "key_ops": ["encrypt"]},
        {**RSA, "key_ops": "verify"},
        {**RSA, "kid": 7},
        {**RSA, "d": "AQ"},
        {**RSA, "n": 7},
        {**RSA, "n": RSA["n"] + "="},
        {**RSA, "e": "AA"},
        {**RSA, "e": "Ag"},
        {**RSA, "e": "AQAAAAAB"},
        {**RSA, "n": signing.b64(b"\xff" * 100_000)},
        {name: value for name, value in RSA.items() if name != "e"},
        {**signing.public_jwk("P-256"), "crv": "BP-256"},
        {**signing.public_jwk("P-256"), "crv": "P-384"},
        {**signing.public_jwk("P-256"), "crv": "secp256k1"},
        {**signing.public_jwk("P-256"), "crv": ["P-256"]},
        {**signing.public_jwk("P-256"), "y": "AQ"},
        {**signing.public_jwk("Ed25519"), "x": "AQ"},
        {**signing.public_jwk("Ed25519"), "alg": "ECDH-ES"},
        dict(OKPKey.generate_key("Ed448").as_dict(private=False)),
        dict(OKPKey.generate_key("X25519").as_dict(private=False)),
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"},
        {"kty": "unheard of"},
        {"kty": ["RSA"]},
        {},
        [],
        "text",
        None,
    ],
)
def test_a_key_that_is_not_for_us_is_left_out_alone(key: Any) -> None:
    """Security rule B8: encryption, symmetric, private, weak, unknown and broken keys; the good one beside them stays."""
    assert len(imported(key, RSA, key)) == 1


def test_a_weak_rsa_key_is_left_out() -> None:
    """RFC 7518 section 3.3: 2048 bits or more."""
    private = rsa.generate_private_key(65537, 1024)  # noqa: S505 - weak on purpose
    number = private.public_key().public_numbers().n
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert imported({"kty": "RSA", "e": "AQAB", "n": signing.b64(number.to_bytes(128))}) == []


def test_a_modulus_that_is_none_verifies_nothing() -> None:
    """Security rule B8: an even number is imported as a key and then no signature fits it."""
    for odd in range(2):
        (made,) = import_keys(
            {"keys": [{"kty": "RSA", "e": "AQAB", "n": signing.b64(b"\xff" * 255 + bytes([254 + odd]))}]}
        )
        made_up = UnverifiedToken(alg="RS256", kid=None, signing_input=b"a.b", payload=b"{}", signature=b"\1" * 256)
        assert verify(made_up, [made]) is None


def test_members_of_others_have_no_say() -> None:
    """RFC 7517 section 4: certificates are not looked at, unknown members are ignored."""
    assert len(imported({**RSA, "x5c": "nonsense", "x5u": 7, "x5t": [], "issuer": "x", "oth": 1})) == 1


@given(JSON_VALUES)
def test_no_key_set_makes_the_import_fail(value: Any) -> None:
    """Security rule B8."""
    import_keys({"keys": value})
    import_keys(
        {"keys": [value, {"kty": "RSA", "n": value, "e": value}, {"kty": "EC", "crv": "P-256", "x": value, "y": value}]}
    )


@given(st.sampled_from(sorted(RSA)), JSON_VALUES)
def test_no_member_makes_the_import_fail(name: str, value: Any) -> None:
    """Security rule B8."""
    import_keys({"keys": [{**RSA, name: value}]})


def key(kid: str | None, family: str = "RSA") -> VerificationKey:
    (made,) = import_keys({"keys": [{**signing.public_jwk(family), **({"kid": kid} if kid else {})}]})
    return made


def token(kid: str | None, alg: str = "RS256") -> UnverifiedToken:
    return UnverifiedToken(alg=alg, kid=kid, signing_input=b"", payload=b"", signature=b"")


def test_the_named_keys_are_tried_in_turn() -> None:
    """Security rule B8."""
    keys = [key("a"), key("b"), key("a", "P-256"), key("a")]
    assert candidates(keys, token("a")) == (keys[0], keys[3])
    assert candidates(keys, token("a", "ES256")) == (keys[2],)
    assert candidates(keys, token("c")) == ()
    assert candidates([key("a")], token("c")) == ()


def test_a_token_without_a_name_tries_every_key_that_fits() -> None:
    """RFC 7515 section 4.1.4; a rotation of nameless keys shows two for a while."""
    keys = [key(None), key("b"), key(None, "P-256")]
    assert candidates(keys, token(None)) == (keys[0], keys[1])
    assert len(candidates([key(None)] * 50, token(None))) == 8


def test_a_lone_nameless_key_serves_every_name() -> None:
    """One key, no `kid` in the set: nothing else can be meant."""
    assert len(candidates([key(None)], token("a"))) == 1
    assert candidates([key(None), key(None)], token("a")) == ()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 3600),
        ("", 3600),
        ("public", 3600),
        ("no-store", 300),
        ("no-cache, no-store, must-revalidate", 300),
        ("No-Store", 300),
        ("max-age=0", 300),
        ("public, max-age=7200, must-revalidate", 7200),
        ("max-age=999999999", 86400),
        ("max-age=99999999999999999999", 3600),
        ("max-age=-5", 3600),
        ("s-maxage=60", 3600),
    ],
)
def test_keys_are_fresh_for_five_minutes_to_a_day(header: str | None, seconds: int) -> None:
    """Security rule B8: our own policy, whatever the server says."""
    headers = {} if header is None else {"cache-control": header}
    assert fresh_for(UpstreamResponse(200, headers, b"")) == seconds
