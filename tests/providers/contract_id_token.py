"""Contract: ID tokens (security rules B5, B11; OpenID Connect Core sections 2 and 3.1.3.7)."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Fault
from tests.naming import stable
from tests.providers import signing
from tests.providers.case import START, Case, upstream_request
from tests.providers.scripted_faults import ABSENT

CLAIM_FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("id_token_issuer", {"iss": "https://evil.example"}),
    ("id_token_issuer", {"iss": ABSENT}),
    ("id_token_audience", {"aud": "another-client"}),
    ("id_token_audience", {"aud": []}),
    ("id_token_audience", {"aud": ["broker", 7]}),
    ("id_token_audience", {"aud": {"broker": True}}),
    ("id_token_audience", {"aud": ABSENT}),
    ("id_token_azp", {"azp": "another-client"}),
    ("id_token_azp", {"azp": None}),
    ("id_token_azp", {"aud": ["broker", "another"], "azp": "another"}),
    ("id_token_azp", {"aud": ["broker", "another"], "azp": ABSENT}),
    ("id_token_expired", {"exp": START - 60}),
    ("id_token_expired", {"exp": ABSENT}),
    ("id_token_expired", {"exp": True}),
    ("id_token_expired", {"exp": START + 300.5}),
    ("id_token_expired", {"exp": str(START + 300)}),
    ("id_token_expired", {"exp": 10**15}),
    ("id_token_expired", {"exp": -1}),
    ("id_token_expired", {"exp": None}),
    ("id_token_iat", {"iat": START + 61}),
    ("id_token_iat", {"iat": ABSENT}),
    ("id_token_iat", {"iat": False}),
    ("id_token_iat", {"iat": float(START)}),
    ("id_token_nbf", {"nbf": START + 61}),
    ("id_token_nbf", {"nbf": True}),
    ("id_token_nbf", {"nbf": "0"}),
    ("id_token_nonce", {"nonce": "of another login"}),
    ("id_token_nonce", {"nonce": ABSENT}),
    ("id_token_nonce", {"nonce": "ünïcode"}),
    ("id_token_nonce", {"nonce": 1}),
    ("id_token_subject", {"sub": ABSENT}),
    ("id_token_subject", {"sub": ""}),
    ("id_token_subject", {"sub": 4711}),
    ("id_token_subject", {"sub": "s" * 256}),
    ("id_token_subject", {"sub": "u\x00"}),
    ("id_token_at_hash", {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
    ("id_token_at_hash", {"at_hash": None}),
    ("id_token_auth_time", {"auth_time": START + 61}),
    ("id_token_auth_time", {"auth_time": True}),
    ("id_token_act", {"act": {"sub": "administrator"}}),
    ("id_token_act", {"act": None}),
]


@pytest.mark.parametrize(("reason", "claims"), CLAIM_FAULTS, ids=stable)
async def test_an_id_token_with_one_wrong_claim_is_refused(case: Case, reason: str, claims: dict[str, Any]) -> None:
    """Security rules B5, B11; OpenID Connect Core sections 2 and 3.1.3.7."""
    case.idp.faults.claims |= claims
    await case.is_refused(reason)
    assert not case.idp.calls("userinfo")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["broker"], "azp": ABSENT},
        {"aud": ["another", "broker"]},
        {"azp": ABSENT},
        {"at_hash": ABSENT},
        {"auth_time": ABSENT},
        {"auth_time": 0},
        {"nbf": START + 60},
        {"iat": START + 60},
        {"exp": START - 59},
        {"sub": "s" * 255},
        {"sub": "straße 7"},
    ],
    ids=stable,
)
async def test_what_providers_may_leave_out_or_differ_in_is_accepted(case: Case, claims: dict[str, Any]) -> None:
    """OpenID Connect Core section 2; 60 seconds of leeway."""
    case.idp.faults.claims |= claims
    case.idp.faults.userinfo |= {"sub": claims.get("sub", "u-alice")}
    assert (await case.sign_in()).subject == claims.get("sub", "u-alice")


async def test_without_auth_time_the_token_itself_is_the_evidence(case: Case) -> None:
    """OpenID Connect Core section 2: `auth_time` is optional, and 0 is what one provider says for none."""
    case.idp.faults.claims |= {"auth_time": 0, "iat": START - 7}
    assert (await case.sign_in()).auth_time == START - 7


@pytest.mark.parametrize(
    ("auth_time", "accepted"), [(START - 160, True), (START - 161, False), (ABSENT, False), (0, False)]
)
async def test_max_age_needs_a_recent_auth_time(case: Case, auth_time: Any, accepted: bool) -> None:  # noqa: FBT001 - a table
    """Security rule B5; OpenID Connect Core section 3.1.2.1."""
    case.idp.faults.claims["auth_time"] = auth_time
    request = upstream_request(max_age=100)
    if accepted:
        assert (await case.sign_in(request)).auth_time == auth_time
    else:
        assert (await case.refusal(request)).reason == "id_token_auth_time"


@pytest.mark.parametrize(
    "alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
)
async def test_every_asymmetric_algorithm_verifies(case: Case, alg: str) -> None:
    """Security rule B5; RFC 7518 section 3.1, RFC 9864."""
    case.idp.faults.alg = alg
    assert (await case.sign_in()).subject == "u-alice"


@pytest.mark.parametrize("alg", ["none", "HS256"])
async def test_unsigned_tokens_are_refused_even_if_discovery_lists_them(case: Case, alg: str) -> None:
    """Security rule B5: no signature, or a public key as the secret. [Authlib CVE-2026-28802]."""
    case.idp.faults.alg = alg
    case.idp.faults.discovery["id_token_signing_alg_values_supported"] = ["none", "HS256", "RS256"]
    await case.is_refused("token_algorithm")


async def test_an_algorithm_that_discovery_does_not_list_is_refused(case: Case) -> None:
    """Security rule B5: discovery narrows our list, RS256 where it is silent, and never widens it."""
    case.idp.faults.alg = "ES256"
    case.idp.faults.discovery["id_token_signing_alg_values_supported"] = ABSENT
    await case.is_refused("token_algorithm")


async def test_a_provider_without_an_acceptable_algorithm_is_our_operators_matter(case: Case) -> None:
    """Security rule B5."""
    case.idp.faults.discovery["id_token_signing_alg_values_supported"] = ["none", "HS256"]
    await case.is_refused("discovery_algorithms", Fault.OPERATOR)


async def test_a_bad_signature_is_refused(case: Case) -> None:
    """Security rule B5."""
    case.idp.faults.bad_signature = True
    await case.is_refused("signature")


async def test_a_key_that_is_not_published_proves_nothing(case: Case) -> None:
    """Security rule B5: neither under the published `kid`, nor brought along in the header."""
    case.idp.faults.foreign_key = True
    await case.is_refused("signature")
    foreign = signing.public_jwk("RSA", -1)
    case.idp.faults.header |= {"jwk": foreign, "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x5u"}
    await case.is_refused("signature")
    assert {call.endpoint for call in case.idp.requests} <= {"discovery", "jwks", "authorize", "token"}


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "b64"])
async def test_critical_header_parameters_are_refused(case: Case, crit: Any) -> None:
    """Security rule B5; RFC 7515 section 4.1.11: we understand none. [Authlib CVE-2026-28498, PyJWT CVE-2026-32597]."""
    case.idp.faults.header |= {"crit": crit, "b64": True, "exp": 1}
    await case.is_refused("token_critical")


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "application/at+JWT", 7])
async def test_another_kind_of_token_is_no_id_token(case: Case, typ: Any) -> None:
    """RFC 8725 section 3.11."""
    case.idp.faults.header["typ"] = typ
    await case.is_refused("token_type")


@pytest.mark.parametrize(
    "header",
    [{"x5c": ["M" * 900]}, {"pi.atm": "k1"}, {"typ": ABSENT}, {"cty": "x"}, {"jwk": "nonsense"}, {"x5u": 3}],
    ids=stable,
)
async def test_unknown_and_large_header_parameters_change_nothing(case: Case, header: dict[str, Any]) -> None:
    """RFC 7515 section 4: what is not understood and not critical is ignored."""
    case.idp.faults.header |= header
    assert (await case.sign_in()).subject == "u-alice"


@pytest.mark.parametrize("kid", [7, None, ["a"]])
async def test_a_kid_that_is_no_text_is_refused(case: Case, kid: Any) -> None:
    """RFC 7515 section 4.1.4."""
    case.idp.faults.header["kid"] = kid
    await case.is_refused("token_malformed")
