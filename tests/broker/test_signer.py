from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from joserfc import jwk, jwt

from broker.protocol import jws
from broker.signer import ALGORITHMS, Signer, generate

CLAIMS = {"iss": "https://broker.example.com", "aud": "https://files.example.com/mcp", "name": "Zo\u00eb", "exp": 1}


@pytest.mark.filterwarnings("ignore:EdDSA")  # its JWS name is the one verifiers know
@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_a_signature_verifies_with_the_published_key(alg: str):
    """RFC 7515, RFC 7518 section 3.4, RFC 8037; by an implementation that is not ours."""
    der, public = generate(alg)
    token = await Signer(public["kid"], alg, der).sign(CLAIMS, "at+jwt")
    decoded = jwt.decode(token, jwk.import_key(dict(public)), algorithms=[ALGORITHMS[alg]])
    assert decoded.header == {"alg": ALGORITHMS[alg], "typ": "at+jwt", "kid": public["kid"]}
    assert decoded.claims == CLAIMS


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_the_public_jwk_has_its_thumbprint_and_no_private_member(alg: str):
    """RFC 7638; security rule F3."""
    _, public = generate(alg)
    assert public["kid"] == jwk.import_key({k: v for k, v in public.items() if k != "kid"}).thumbprint()
    assert (public["use"], public["alg"]) == ("sig", ALGORITHMS[alg])
    assert set(public) <= {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}
    assert jws.import_keys({"keys": [json.loads(json.dumps(public))]})


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_many_signatures_have_one_length_and_all_verify(alg: str):
    """RFC 7518 section 3.4: r and s have leading zeros where they are small."""
    der, public = generate(alg)
    signer, key = Signer(public["kid"], alg, der), jws.import_keys({"keys": [public]})[public["kid"]]
    tokens = [await signer.sign({"n": n}, "JWT") for n in range(60)]
    assert len({len(t.rpartition(".")[2]) for t in tokens}) == 1
    assert [json.loads(jws.verify(jws.parse(t), key))["n"] for t in tokens] == list(range(60))


def test_another_algorithm_is_refused():
    """Security rule B5: an explicit list."""
    with pytest.raises(KeyError):
        generate("HS256")


def test_a_key_that_does_not_sign_is_refused():
    """Security rule G11."""
    odd = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError, match="not a signing key"):
        Signer("kid", "Ed25519", odd)
