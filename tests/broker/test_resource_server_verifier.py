"""What BrokerTokenVerifier accepts and refuses (RFC 9068 section 4, RFC 8725)."""

from __future__ import annotations

import hmac
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from broker.resource_server import BrokerTokenVerifier
from tests.broker.resource_issuer import ISSUER, RESOURCE, Issuer, ManualClock, encode, key_of, public, sign
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


async def test_a_good_token_becomes_an_access_token_with_subject_resource_and_claims(
    issuer: Issuer, verifier: BrokerTokenVerifier
) -> None:
    """Architecture, section 6, for MCP servers."""
    token = issuer.token(acr="2", amr=["pwd", "mfa"])

    access = await verifier.verify_token(token)

    assert access is not None
    assert access.token == token
    assert access.client_id == "client-1"
    assert access.subject == "u_7Hq2"
    assert access.scopes == ["notes:read", "notes:write"]
    assert access.expires_at == issuer.clock.now() + 900
    assert access.resource == RESOURCE
    assert access.claims == issuer.claims(acr="2", amr=["pwd", "mfa"])


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
async def test_each_algorithm_of_the_broker_is_accepted(
    issuer: Issuer, verifier: BrokerTokenVerifier, alg: str
) -> None:
    issuer.published = [public(key_of(alg))]

    assert await verifier.verify_token(issuer.token(alg=alg)) is not None


@pytest.mark.parametrize(
    "audience",
    [
        "https://mcp.example.com/mcp/",
        "https://mcp.example.com/MCP",
        "https://MCP.example.com/mcp",
        "https://mcp.example.com",
        "https://mcp.example.com:443/mcp",
        "https://mcp.example.com/mcp2",
        "https://mcp.example.com.evil.example/mcp",
        "http://mcp.example.com/mcp",
        "https://mcp.example.com/mcp#",
        "https://mcp.example.com/mcp?",
        "https://mcp.example.com/%6dcp",
        "https://mcp.ex\u0430mple.com/mcp",
        ["https://mcp.example.com/mcp", "https://other.example.com/mcp"],
        [["https://mcp.example.com/mcp"]],
        {"https://mcp.example.com/mcp": 1},
        [],
        "",
        True,
    ],
)
async def test_a_token_for_a_look_alike_resource_is_refused(
    issuer: Issuer, verifier: BrokerTokenVerifier, audience: object
) -> None:
    """Security rule F1; RFC 9068 section 4. Two audiences are one too many: the other one could replay the token here."""
    assert await verifier.verify_token(issuer.token(aud=audience)) is None


async def test_an_audience_list_of_this_resource_alone_is_the_same_as_the_string(
    issuer: Issuer, verifier: BrokerTokenVerifier
) -> None:
    """RFC 7519 section 4.1.3."""
    assert await verifier.verify_token(issuer.token(aud=[RESOURCE])) is not None


@pytest.mark.parametrize("wrong", [ISSUER + "/", ISSUER.upper(), "https://auth.example.com", "", 1, [ISSUER], None])
async def test_only_the_exact_issuer_counts(issuer: Issuer, verifier: BrokerTokenVerifier, wrong: object) -> None:
    """RFC 9068 section 4: byte for byte."""
    assert await verifier.verify_token(issuer.token(iss=wrong)) is None


@pytest.mark.parametrize("claim", ["client_id", "sub", "exp", "aud", "iss"])
async def test_a_missing_claim_is_a_refusal(issuer: Issuer, verifier: BrokerTokenVerifier, claim: str) -> None:
    """RFC 9068 section 2.2."""
    changes: dict[str, Any] = {claim: None}

    assert await verifier.verify_token(issuer.token(**changes)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": ""},
        {"client_id": 7},
        {"sub": ""},
        {"sub": ["u_7Hq2"]},
        {"exp": "1900000000"},
        {"exp": True},
        {"exp": -1},
        {"exp": 1e300},
        {"exp": [1900000000]},
        {"iat": "now"},
        {"nbf": {}},
        {"scope": ["notes:read"]},
        {"scope": "notes:read  notes:write"},
        {"scope": ' "'},
        {"cnf": {"jkt": "thumbprint"}},
        {"cnf": {}},
    ],
)
async def test_a_claim_of_the_wrong_shape_is_a_refusal(
    issuer: Issuer, verifier: BrokerTokenVerifier, changes: dict[str, Any]
) -> None:
    """RFC 7519 section 4.1, RFC 6749 section 3.3; RFC 7800 section 3.1 for `cnf`, whose proof nobody here asks for."""
    assert await verifier.verify_token(issuer.token(**changes)) is None


async def test_a_token_without_scope_is_good_and_has_none(issuer: Issuer, verifier: BrokerTokenVerifier) -> None:
    """Scopes are not judged here: refusing would turn the step-up's 403 into a 401 (architecture, section 6)."""
    access = await verifier.verify_token(issuer.token(scope=None))

    assert access is not None
    assert access.scopes == []


@pytest.mark.parametrize(
    ("exp", "good"), [(1, True), (0, True), (-59, True), (-60, False), (-61, False), (-3600, False)]
)
async def test_an_expired_token_has_sixty_seconds_and_no_more(
    issuer: Issuer, verifier: BrokerTokenVerifier, exp: int, *, good: bool
) -> None:
    """Security rule F4: leeway for what comes in."""
    token = issuer.token(exp=issuer.clock.now() + exp)

    assert (await verifier.verify_token(token) is not None) is good


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize(("ahead", "good"), [(0, True), (60, True), (61, False), (86400, False)])
async def test_a_token_from_the_future_has_sixty_seconds_and_no_more(
    issuer: Issuer, verifier: BrokerTokenVerifier, claim: str, ahead: int, *, good: bool
) -> None:
    """Security rule F4."""
    changes: dict[str, Any] = {claim: issuer.clock.now() + ahead, "exp": issuer.clock.now() + 100_000}

    assert (await verifier.verify_token(issuer.token(**changes)) is not None) is good


async def test_a_token_seen_before_still_expires(issuer: Issuer, verifier: BrokerTokenVerifier) -> None:
    """Security rule F4: the cache never lengthens a token's life."""
    token = issuer.token()
    assert await verifier.verify_token(token) is not None

    issuer.clock.advance(900 + 59)
    assert await verifier.verify_token(token) is not None
    issuer.clock.advance(1)
    assert await verifier.verify_token(token) is None


async def test_a_clock_that_jumps_back_makes_no_token_immortal(issuer: Issuer, verifier: BrokerTokenVerifier) -> None:
    """Security rule F4: a token seen before is from the future now, and refused."""
    token = issuer.token()
    assert await verifier.verify_token(token) is not None

    issuer.clock.wall -= 3600

    assert await verifier.verify_token(token) is None


@pytest.mark.parametrize("typ", ["JWT", "jwt", "id+jwt", "logout+jwt", "application/jwt", "", None])
async def test_another_kind_of_jwt_is_refused(issuer: Issuer, verifier: BrokerTokenVerifier, typ: str | None) -> None:
    """RFC 9068 section 4; security rule E10: no token kind passes for another."""
    assert await verifier.verify_token(issuer.token(typ=typ)) is None


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_the_type_is_a_media_type(issuer: Issuer, verifier: BrokerTokenVerifier, typ: str) -> None:
    """RFC 7515 section 4.1.9: no case, `application/` may be left out."""
    assert await verifier.verify_token(issuer.token(typ=typ)) is not None


async def test_a_resource_that_is_configured_for_jwt_takes_jwt_only(issuer: Issuer, clock: ManualClock) -> None:
    """Architecture, section 5: `typ` may be JWT per resource."""
    verifier = BrokerTokenVerifier(ISSUER, RESOURCE, token_typ="JWT", http=issuer.http, clock=clock)

    assert await verifier.verify_token(issuer.token(typ="JWT")) is not None
    assert await verifier.verify_token(issuer.token(typ="at+jwt")) is None
    with pytest.raises(ValueError, match="token_typ"):
        BrokerTokenVerifier(ISSUER, RESOURCE, token_typ="anything")


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["exp"]},
        {"b64": False},
        {"jku": "https://evil.example/jwks"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["AAAA"]},
        {"kid": ""},
        {"kid": 7},
        {"kid": None},
        {"typ": ["at+jwt"]},
    ],
)
async def test_a_header_that_brings_its_own_key_or_rules_is_refused(
    issuer: Issuer, verifier: BrokerTokenVerifier, extra: dict[str, Any]
) -> None:
    """RFC 7515 section 4.1.11; RFC 8725 section 3.10: however well it is signed."""
    key = key_of("RS256")
    good = {"alg": "RS256", "kid": key.kid, "typ": "at+jwt"}

    assert await verifier.verify_token(sign(key, good, issuer.claims())) is not None
    assert await verifier.verify_token(sign(key, good | extra, issuer.claims())) is None


async def test_a_public_key_is_no_hmac_secret_and_none_is_no_algorithm(
    issuer: Issuer, verifier: BrokerTokenVerifier
) -> None:
    """RFC 8725 section 2.1: key confusion."""
    key = key_of("RS256")
    assert isinstance(key, RSAKey)
    payload = encode(json.dumps(issuer.claims()).encode())
    assert await verifier.verify_token(issuer.token()) is not None

    for secret in (key.as_pem(private=False), key.as_der(private=False), json.dumps(public(key)).encode()):
        signing_input = encode(json.dumps({"alg": "HS256", "kid": key.kid, "typ": "at+jwt"}).encode()) + "." + payload
        mac = hmac.digest(secret, signing_input.encode(), "sha256")
        assert await verifier.verify_token(f"{signing_input}.{encode(mac)}") is None
    for alg in ("none", "None", "NONE", "", None):
        header = encode(json.dumps({"alg": alg, "kid": key.kid, "typ": "at+jwt"}).encode())
        assert await verifier.verify_token(f"{header}.{payload}.") is None
        assert await verifier.verify_token(f"{header}.{payload}.AA") is None


async def test_a_key_of_one_algorithm_is_not_used_for_another(issuer: Issuer, verifier: BrokerTokenVerifier) -> None:
    """RFC 8725 section 3.1: the key decides the algorithm."""
    issuer.published = [public(key_of("RS256")), public(key_of("ES256"))]
    header = {"alg": "ES256", "kid": key_of("RS256").kid, "typ": "at+jwt"}

    assert await verifier.verify_token(sign(key_of("ES256"), header, issuer.claims())) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe{}",
        b'{"iss":"a","iss":"b"}',
        b'{"exp":NaN}',
        b'{"exp":1e999}',
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"exp":' + b"9" * 5000 + b"}",
    ],
)
async def test_a_signed_payload_that_is_no_plain_object_is_refused(
    verifier: BrokerTokenVerifier, payload: bytes
) -> None:
    """RFC 7519 section 7.2; RFC 8259 section 4: one reading only."""
    key = key_of("RS256")

    assert await verifier.verify_token(sign(key, {"alg": "RS256", "kid": key.kid, "typ": "at+jwt"}, payload)) is None


async def test_a_repeated_claim_is_refused_even_if_both_are_good(issuer: Issuer, verifier: BrokerTokenVerifier) -> None:
    """RFC 7519 section 4: two readings are none."""
    key = key_of("RS256")
    claims = json.dumps(issuer.claims())
    doubled = claims[:-1] + f', "aud": "{RESOURCE}"' + "}"

    token = sign(key, {"alg": "RS256", "kid": key.kid, "typ": "at+jwt"}, doubled.encode())

    assert await verifier.verify_token(token) is None


@pytest.mark.parametrize(
    "spoil", ["{} ", " {}", "{}=", "{}\n", "{}.", ".{}", "{}.e30", "\ud800{}", "{}\u00e9", "{}\x00"]
)
async def test_a_token_has_one_spelling(issuer: Issuer, verifier: BrokerTokenVerifier, spoil: str) -> None:
    """RFC 7515 section 2: base64url without padding, line breaks or other characters."""
    token = issuer.token()
    assert await verifier.verify_token(token) is not None

    assert await verifier.verify_token(spoil.format(token)) is None


async def test_a_token_too_long_to_be_ours_is_refused_unread(issuer: Issuer, verifier: BrokerTokenVerifier) -> None:
    assert await verifier.verify_token(issuer.token(filler="x" * 20_000)) is None
    assert issuer.fetches == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_changed_token_is_accepted(issuer: Issuer, verifier: BrokerTokenVerifier, data: st.DataObject) -> None:
    """Security rules F2 and F6: any change of any character makes the token worthless."""
    token = issuer.token()
    assert await verifier.verify_token(token) is not None
    place = data.draw(st.integers(0, len(token) - 1))
    length = data.draw(st.integers(0, 3))
    alphabet = st.characters(min_codepoint=0, max_codepoint=0x2FFF)
    insert = data.draw(st.text(st.one_of(st.sampled_from("AQgw-_=.e"), alphabet), max_size=3))
    changed = token[:place] + insert + token[place + length :]

    if changed != token:
        assert await verifier.verify_token(changed) is None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["iss", "aud", "sub", "client_id", "exp", "iat", "nbf", "scope", "cnf", "jti"]),
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=20)
        | st.sampled_from([ISSUER, RESOURCE]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
)
async def test_any_claim_of_any_shape_is_judged_and_never_crashes(
    issuer: Issuer, verifier: BrokerTokenVerifier, name: str, value: Any
) -> None:
    """Signed claims of arbitrary JSON: an access token or None, and what is accepted names this issuer, resource and time."""
    key = key_of("EdDSA")
    issuer.published = [public(key)]
    claims = {**issuer.claims(), name: value}

    access = await verifier.verify_token(sign(key, {"alg": "EdDSA", "kid": key.kid, "typ": "at+jwt"}, claims))

    if access is not None:
        assert claims["iss"] == ISSUER
        assert claims["aud"] in (RESOURCE, [RESOURCE])
        assert "cnf" not in claims
        assert isinstance(access.subject, str)
        assert access.expires_at is not None
        assert math.isfinite(access.expires_at)
        assert access.expires_at + 60 > issuer.clock.now()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["alg", "kid", "typ", "jwk", "crit", "cty"]), value=JSON_VALUES)
@example(name="alg", value=[])
@example(name="alg", value={})
@example(name="kid", value="\ud800")
async def test_a_header_of_any_shape_is_judged_and_never_crashes(
    issuer: Issuer, verifier: BrokerTokenVerifier, name: str, value: Any
) -> None:
    """Rules E12, F2: a bearer token of any stranger reaches the verifier; its header may hold any JSON."""
    key = key_of("EdDSA")
    issuer.published = [public(key)]
    header = {"alg": "EdDSA", "kid": key.kid, "typ": "at+jwt", name: value}

    access = await verifier.verify_token(sign(key, header, issuer.claims()))

    assert access is None or name == "cty"


async def test_what_one_request_does_to_its_claims_never_reaches_another(
    issuer: Issuer, verifier: BrokerTokenVerifier
) -> None:
    token = issuer.token(amr=["pwd"], act={"sub": "agent"})
    first = await verifier.verify_token(token)
    assert first is not None
    assert first.claims is not None
    first.scopes.append("admin")
    first.claims["sub"] = "somebody else"
    first.claims["amr"].append("mfa")
    first.claims["act"]["sub"] = "somebody else"

    second = await verifier.verify_token(token)

    assert second is not None
    assert second.scopes == ["notes:read", "notes:write"]
    assert second.claims == issuer.claims(amr=["pwd"], act={"sub": "agent"})


async def test_the_cache_is_bounded_and_forgets_the_oldest(issuer: Issuer, clock: ManualClock) -> None:
    verifier = BrokerTokenVerifier(ISSUER, RESOURCE, http=issuer.http, clock=clock, cache_size=3)
    tokens = [issuer.token(jti=str(number)) for number in range(5)]

    for token in tokens:
        assert await verifier.verify_token(token) is not None

    assert len(verifier._known) == 3
    assert await verifier.verify_token(tokens[0]) is not None  # verified again
