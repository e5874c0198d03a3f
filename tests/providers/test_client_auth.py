"""The settings that say how the broker authenticates, and the keys behind them (security rules B13, B18, G16)."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jws import JWSRegistry

from providers.base import Fault, ProviderSettings, ProviderSettingsError, UpstreamError
from providers.client_auth import ASSERTION_TYPE, ClientAuth, Credentials, faults
from providers.private_key import Unusable, load_key
from tests.providers.case import START
from tests.providers.pem import certificate, pem, verification_key

TOKEN_ENDPOINT = "https://idp.example.test/token"
BOTH = ("client_secret_basic", "client_secret_post")


def settings(options: dict[str, str] | None = None, **changes: Any) -> ProviderSettings:
    """Return settings that are good."""
    fitting: dict[str, Any] = {
        "id": "idp",
        "type": "oidc",
        "display_name": "IdP",
        "issuer": "https://idp.example.test",
        "client_id": "broker",
        "client_secret": "secret-of-the-broker",
    }
    return ProviderSettings(**{**fitting, "options": options or {}, **changes})


async def present(given: ProviderSettings, offered: tuple[str, ...] = BOTH, **how: Any) -> Credentials:
    """Return what a request to the token endpoint carries."""
    return await ClientAuth(given, lambda: START, **how).credentials(TOKEN_ENDPOINT, offered)


def opened(credentials: Credentials) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of an assertion."""
    head, payload, _ = credentials.fields["client_assertion"].split(".")
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, payload))
    return header, claims


@pytest.mark.parametrize(
    ("options", "changes", "named"),
    [
        ({"auth_method": "client_secret_jwt"}, {}, "AUTH_METHOD must be one of client_secret_basic"),
        (
            {"auth_method": "client_secret_post"},
            {"client_secret": None},
            "AUTH_METHOD client_secret_post needs a CLIENT_SECRET",
        ),
        ({"auth_method": "private_key_jwt"}, {}, "AUTH_METHOD private_key_jwt needs a PRIVATE_KEY"),
        ({"auth_method": "federated_token_file"}, {}, "AUTH_METHOD federated_token_file needs a FEDERATED_TOKEN_FILE"),
        ({"private_key": "/nowhere/key.pem"}, {}, "PRIVATE_KEY must be, or name a file with"),
        ({"private_key": "\x00"}, {}, "PRIVATE_KEY must be, or name a file with"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----"}, {}, "PRIVATE_KEY must be"),
        ({"certificate": "x"}, {}, "CERTIFICATE needs the PRIVATE_KEY that belongs to it"),
    ],
)
def test_settings_that_cannot_authenticate_are_named(
    options: dict[str, str], changes: dict[str, Any], named: str
) -> None:
    """Security rules B13, G16: one sentence each, without a value."""
    (sentence,) = faults(settings(options, **changes))
    assert sentence.startswith(named)


@pytest.mark.parametrize("kind", ["RSA-1024", "P-224", "Ed448", "DSA"])
def test_a_key_that_is_weak_or_signs_nothing_here_is_refused(kind: str) -> None:
    """Security rule B18."""
    with pytest.raises(Unusable, match="RSA of 2048 bits or more"):
        load_key(pem(kind))


def test_an_encrypted_key_is_refused() -> None:
    """There is nobody to type its password."""
    with pytest.raises(Unusable, match="unencrypted"):
        load_key(pem("P-256", password=b"hush"))


def test_a_key_that_cannot_be_used_does_not_start_and_is_not_quoted() -> None:
    """Security rules B13, G16."""
    given = settings({"private_key": pem("RSA-1024")})
    with pytest.raises(ProviderSettingsError, match="provider idp: PRIVATE_KEY must be") as caught:
        ClientAuth(given, lambda: START)
    assert pem("RSA-1024").splitlines()[1] not in repr(caught.value)


def test_a_certificate_is_that_of_the_key() -> None:
    """RFC 7515 section 4.1.8."""
    for bad in (
        certificate("RSA", 1),
        pem("RSA"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "/nowhere",
    ):
        with pytest.raises(Unusable, match="PEM certificate of PRIVATE_KEY"):
            load_key(pem("RSA"), bad)


async def test_the_strongest_way_of_which_all_parts_are_there_is_chosen(tmp_path: Path) -> None:
    """Security rule B18: one way at a time, whatever else is configured."""
    (tmp_path / "token").write_text("a.b.c")
    key, file = {"private_key": pem("P-256")}, {"federated_token_file": str(tmp_path / "token")}
    chosen = [await present(settings(options)) for options in ({**key, **file}, file, {})]
    assert opened(chosen[0])[1]["iss"] == "broker"
    assert chosen[1].fields["client_assertion"] == "a.b.c"
    assert (chosen[2].fields, chosen[2].authorization is None) == ({}, False)
    assert dict((await present(settings(key | {"auth_method": "none"}))).fields) == {"client_id": "broker"}
    assert (await present(settings(key | {"auth_method": "client_secret_post"}))).fields["client_secret"]


async def test_an_assertion_names_us_the_issuer_and_a_moment() -> None:
    """Security rule B18; RFC 7523 section 3: `aud` is one text."""
    sent = await present(settings({"private_key": pem("RSA")}), unique=lambda: "j-1")
    header, claims = opened(sent)
    assert header == {"alg": "RS256", "typ": "JWT"}
    assert claims == {
        "iss": "broker",
        "sub": "broker",
        "aud": "https://idp.example.test",
        "jti": "j-1",
        "iat": START,
        "nbf": START,
        "exp": START + 300,
    }
    assert (sent.fields["client_id"], sent.fields["client_assertion_type"]) == ("broker", ASSERTION_TYPE)
    assert "client_secret" not in sent.fields


async def test_an_assertion_names_the_endpoint_only_where_the_type_says_so() -> None:
    """Security rule B18."""
    _, claims = opened(await present(settings({"private_key": pem("RSA")}), names_endpoint=True))
    assert claims["aud"] == TOKEN_ENDPOINT


async def test_no_two_assertions_are_the_same() -> None:
    """RFC 7523 section 3: `jti`."""
    auth = ClientAuth(settings({"private_key": pem("P-256")}), lambda: START)
    made = [opened(await auth.credentials(TOKEN_ENDPOINT, BOTH))[1]["jti"] for _ in range(50)]
    assert len(set(made)) == 50
    assert min(map(len, made)) >= 22


@pytest.mark.parametrize(
    ("kind", "alg"),
    [("RSA", "RS256"), ("P-256", "ES256"), ("P-384", "ES384"), ("P-521", "ES512"), ("Ed25519", "EdDSA")],
)
async def test_every_kind_of_key_signs_by_its_own_algorithm(kind: str, alg: str) -> None:
    """RFC 7518 section 3.1; RFC 8037 section 3.1."""
    token = (await present(settings({"private_key": pem(kind)}))).fields["client_assertion"]
    head, payload, signature = token.split(".")
    assert json.loads(base64.urlsafe_b64decode(head + "=="))["alg"] == alg
    primitive = JWSRegistry.algorithms["Ed25519" if alg == "EdDSA" else alg]
    signed = base64.urlsafe_b64decode(signature + "==")
    assert primitive.verify(f"{head}.{payload}".encode(), signed, verification_key(kind))


async def test_a_type_may_sign_by_another_rsa_algorithm() -> None:
    """RFC 7518 section 3.5."""
    header, _ = opened(await present(settings({"private_key": pem("RSA")}), rsa_algorithm="PS256"))
    assert header["alg"] == "PS256"


async def test_a_certificate_and_a_key_id_are_named_in_the_header() -> None:
    """RFC 7515 sections 4.1.4 and 4.1.8: `x5t#S256`, never `x5c`."""
    given = settings({"private_key": pem("RSA"), "certificate": certificate("RSA"), "key_id": "k-1"})
    header, _ = opened(await present(given))
    der = x509.load_pem_x509_certificate(certificate("RSA").encode()).public_bytes(Encoding.DER)
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "k-1", "x5t#S256": thumbprint}
    assert ClientAuth(given, lambda: START).certificate_expires_at == 1_900_000_000
    assert ClientAuth(settings(), lambda: START).certificate_expires_at is None


async def test_a_key_may_be_in_a_file_or_in_one_line(tmp_path: Path) -> None:
    """Environment variables hold no line breaks."""
    (tmp_path / "key.pem").write_text(pem("P-256"))
    (tmp_path / "cert.pem").write_text(certificate("P-256"))
    in_file = {"private_key": str(tmp_path / "key.pem"), "certificate": str(tmp_path / "cert.pem")}
    in_line = {
        name: value.replace("\n", "\\n")
        for name, value in (("private_key", pem("P-256")), ("certificate", certificate("P-256")))
    }
    assert faults(settings(in_file)) == faults(settings(in_line)) == ()
    first, second = opened(await present(settings(in_file))), opened(await present(settings(in_line)))
    assert first[0] == second[0]


@pytest.mark.parametrize("content", [b"", b"two words.b.c", b"a.b", b"a.b.c.d", b"\xff.b.c", b"a.b." + b"c" * 16_384])
async def test_a_federated_file_without_a_token_is_our_operators_matter(tmp_path: Path, content: bytes) -> None:
    """RFC 7523 section 2.2: nothing odd is sent."""
    (tmp_path / "token").write_bytes(content)
    given = settings({"federated_token_file": str(tmp_path / "token")}, client_secret=None)
    with pytest.raises(UpstreamError) as caught:
        await present(given)
    assert (caught.value.fault, caught.value.reason) == (Fault.OPERATOR, "federated_token_file")


async def test_a_secret_goes_where_the_provider_takes_it() -> None:
    """RFC 6749 section 2.3.1."""
    given = settings(client_id="a:b", client_secret="c d+ü")
    assert (await present(given)).authorization == "Basic " + base64.b64encode(b"a%3Ab:c+d%2B%C3%BC").decode()
    posted = await present(given, ("client_secret_post",))
    assert dict(posted.fields) == {"client_id": "a:b", "client_secret": "c d+ü"}
    with pytest.raises(UpstreamError, match="auth_method"):
        await present(given, ("private_key_jwt",))


def test_credentials_print_nothing() -> None:
    """Security rule B13."""
    assert "hush" not in repr(Credentials({"client_secret": "hush"}, "Basic hush"))
    assert pem("RSA").splitlines()[1] not in repr(load_key(pem("RSA")))
