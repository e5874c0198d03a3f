"""The public keys that clients bring."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol import client_keys
from broker.protocol.client_keys import KeysRefused
from tests.broker.assertions import key_of, public

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("alg", "algorithms"),
    [("ES256", ("ES256",)), ("RS256", ("RS256", "PS256")), ("EdDSA", ("EdDSA", "Ed25519"))],
)
def test_an_asymmetric_public_key_is_kept_with_the_algorithms_it_is_good_for(
    alg: str, algorithms: tuple[str, ...]
) -> None:
    """RFC 7517 section 4; rule E13."""
    (key,) = client_keys.read(client_keys.keep(public(key_of(alg))))
    assert (key.kid, key.algorithms) == (f"{alg}-0", algorithms)


@pytest.mark.parametrize("alg", ["PS256", "RS256"])
def test_a_key_that_names_its_algorithm_is_good_for_no_other(alg: str) -> None:
    """RFC 7517 section 4.4; RFC 8725 section 3.1."""
    (key,) = client_keys.read(client_keys.keep(public(key_of("RS256"), alg=alg)))
    assert key.algorithms == (alg,)


def test_only_public_members_are_kept() -> None:
    """Rule D14: what a stranger adds to a key is not stored."""
    kept = json.loads(client_keys.keep(public(key_of("ES256"), x5u="https://evil.example", note="<script>")))
    assert set(kept["keys"][0]) == {"kty", "kid", "use", "crv", "x", "y"}


@pytest.mark.parametrize(
    "odd", ["\ud800", float("inf"), [[]], 10**300], ids=["surrogate", "infinite", "nested", "long"]
)
@pytest.mark.parametrize(
    ("alg", "member"), [("ES256", "n"), ("ES256", "e"), ("EdDSA", "y"), ("EdDSA", "n"), ("RS256", "y")]
)
def test_what_another_type_of_key_has_is_not_kept(alg: str, member: str, odd: object) -> None:
    """Rule D14: nobody looked at it, and what is kept is echoed."""
    kept = json.loads(client_keys.keep(public(key_of(alg), **{member: odd})))
    assert member not in kept["keys"][0]


def test_a_key_without_a_name_is_fine() -> None:
    """RFC 7517 section 4.5: kid is optional."""
    (key,) = client_keys.read(client_keys.keep(public(key_of("ES256"), kid=None)))
    assert key.kid is None


def test_one_unusable_key_leaves_the_others() -> None:
    """RFC 7517 section 5; rule B8 in spirit."""
    document = public(key_of("ES256"))
    document["keys"] += [{"kty": "AKP", "alg": "ML-DSA-44"}, 7, None, {"kty": "EC", "crv": "P-256"}]
    assert len(client_keys.read(client_keys.keep(document))) == 1


def test_a_key_that_is_too_large_is_left_out() -> None:
    """Rules D12, G14: verifying with RSA of 8192 bits takes milliseconds, and strangers choose the keys."""

    def modulus(bits: int) -> str:
        return base64.urlsafe_b64encode(((1 << bits) - 189).to_bytes(bits // 8, "big")).rstrip(b"=").decode()

    document = {"keys": [{"kty": "RSA", "e": "AQAB", "kid": str(b), "n": modulus(b)} for b in (2048, 4096, 4104, 8192)]}
    assert [key.kid for key in client_keys.read(client_keys.keep(document))] == ["2048", "4096"]


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_set_with_a_private_key_is_refused_whole(member: str) -> None:
    """Rule D7: whoever publishes a private key has lost it."""
    document = public(key_of("ES256"), key_of("RS256"))
    document["keys"][1][member] = "AQAB"
    with pytest.raises(KeysRefused):
        client_keys.keep(document)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "keys",
        {},
        {"keys": None},
        {"keys": {}},
        {"keys": []},
        {"keys": [{"kty": "oct", "k": "AAAA"}]},
        {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]},
        {"keys": [{"kty": "EC", "crv": "P-256", "x": 1, "y": []}]},
        {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]},
        {"keys": [{"kty": []}]},
        public(key_of("ES256"), use="enc"),
        public(key_of("ES256"), alg="RS256"),
        public(key_of("ES256"), alg="HS256"),
        public(key_of("ES256"), alg=7),
        public(key_of("ES256"), kid=7),
        public(key_of("ES256"), kid=""),
        public(key_of("ES256"), kid="k" * 300),
        public(key_of("ES256"), kid="a\x00b"),
        public(key_of("ES256"), kid="\ud800"),
        {"keys": public(key_of("ES256"))["keys"] * 21},
    ],
)
def test_no_usable_key_or_too_many_are_refused(document: object) -> None:
    """RFC 7517 section 5; rules D7, D14."""
    with pytest.raises(KeysRefused):
        client_keys.keep(document)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": 1}', '{"keys": [{}]}', "\ud800", "nonsense"])
def test_a_text_that_is_no_set_has_no_keys(text: str) -> None:
    """What an administrator mistyped authenticates nobody."""
    assert client_keys.read(text) == ()


def test_a_signature_holds_only_under_its_own_algorithm() -> None:
    """RFC 8725 section 3.1: no confusion between kinds of keys."""
    (key,) = client_keys.read(client_keys.keep(public(key_of("ES256"))))
    assert not key.signed("RS256", b"x", b"y")
    assert not key.signed("ES256", b"x", b"y" * 64)


@given(JSON)
def test_hostile_json_raises_only_a_refusal(document: Any) -> None:
    """No input gives a 5xx (rule D14)."""
    for candidate in (
        document,
        {"keys": document},
        {"keys": [document]},
        {"keys": [{"kty": "EC", "crv": "P-256", "x": document}]},
    ):
        with pytest.raises(KeysRefused):
            client_keys.keep(candidate)
