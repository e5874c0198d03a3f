"""ID tokens under mutation: one change and it is worth nothing, and nothing but UpstreamError ever comes out (rule B5)."""

from __future__ import annotations

import dataclasses
import json
import string
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from providers.base import UpstreamError
from providers.claims import VerifiedClaims
from providers.id_token import Expected, auth_time, check, check_refreshed, subject
from providers.jwks import candidates, import_keys
from providers.signed_token import ALGORITHMS, UnverifiedToken, parse, verify
from tests.providers import signing
from tests.providers.case import START
from tests.providers.values import JSON_VALUES

KEYS = import_keys({"keys": [{**signing.public_jwk("RSA"), "kid": "k"}, {**signing.public_jwk("P-256"), "kid": "e"}]})
EXPECTED = Expected(issuer="https://idp.example.test", client_id="broker", nonce="n-0", access_token="at-0")
HEADER = {"alg": "RS256", "typ": "JWT", "kid": "k"}
CLAIMS: dict[str, Any] = {
    "iss": "https://idp.example.test",
    "sub": "u-alice",
    "aud": "broker",
    "azp": "broker",
    "exp": START + 300,
    "iat": START,
    "nbf": START,
    "auth_time": START,
    "nonce": "n-0",
    "at_hash": signing.at_hash("at-0", "RS256"),
    "email": "alice@example.com",
}


def signed(claims: Any = CLAIMS, header: dict[str, Any] = HEADER) -> str:
    """Return a token with a true signature."""
    return signing.compact(header, json.dumps(claims).encode(), signing.key_of("RSA"))


def judge(token: str, expected: Expected = EXPECTED) -> VerifiedClaims | None:
    """Return the verified claims, None when the token is refused."""
    try:
        parsed = parse(token)
        found = verify(parsed, candidates(KEYS, parsed))
        return None if found is None else check(found, expected, START)
    except UpstreamError:
        return None


VALID = signed()


def test_the_valid_token_is_valid() -> None:
    """What every mutation starts from."""
    claims = judge(VALID)
    assert claims is not None
    assert (subject(claims), auth_time(claims)) == ("u-alice", START)


@given(st.integers(0, len(VALID) - 1), st.sampled_from(string.ascii_letters + string.digits + "-_.=+/ \n"))
def test_no_other_character_anywhere_validates(at: int, character: str) -> None:
    """Security rules B5, F6."""
    assume(VALID[at] != character)
    assert judge(VALID[:at] + character + VALID[at + 1 :]) is None


@given(st.integers(0, len(VALID)), st.text(min_size=1, max_size=3))
def test_no_inserted_text_validates(at: int, text: str) -> None:
    """Security rules B5, F6: no padding, no spaces, no second spelling."""
    assert judge(VALID[:at] + text + VALID[at:]) is None


@given(st.integers(0, len(VALID) - 1), st.integers(1, 400))
def test_no_shorter_token_validates(at: int, count: int) -> None:
    """Security rules B5, F6."""
    assert judge(VALID[:at] + VALID[at + count :]) is None


@given(st.permutations(VALID.split(".")))
def test_no_other_order_validates(segments: list[str]) -> None:
    """RFC 7515 section 7.1."""
    assume(segments != VALID.split("."))
    assert judge(".".join(segments)) is None


def is_harmless(name: str, value: Any) -> bool:  # noqa: PLR0911 - a table
    """Whether a valid token with this one claim changed is as good; written down apart from the code under test."""
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 253_402_300_800
    match name:
        case "aud":
            return value in ("broker", ["broker"]) or (
                isinstance(value, list) and "broker" in value and all(isinstance(entry, str) for entry in value)
            )
        case "exp":
            return whole and value > START - 60
        case "iat":
            return whole and START - 660 <= value <= START + 60
        case "nbf":
            return whole and value <= START + 60
        case "auth_time":
            return value is None or (whole and value <= START + 60)
        case "sub":
            return isinstance(value, str) and 1 <= len(value) <= 255 and value.isprintable() and bool(value.strip())
        case "act":
            return False
    return CLAIMS.get(name) == value or name not in ("iss", "azp", "nonce", "at_hash")


NEAR = st.sampled_from(
    [START - 61, START - 60, START - 59, START, START + 59, START + 60, START + 61, -1, 0, 1, 10**12, 10**400]
)
ALIKE = st.sampled_from(
    [
        "broker",
        "Broker",
        "broker ",
        "https://idp.example.test/",
        ["broker"],
        ["broker", "x"],
        ["x"],
        ["broker", 1],
        [["broker"]],
    ]
)


@settings(max_examples=300)
@given(st.sampled_from([*CLAIMS, "act", "events", "typ", "_claim_names"]), JSON_VALUES | NEAR | ALIKE | NEAR.map(str))
def test_a_changed_claim_validates_only_where_it_is_harmless(name: str, value: Any) -> None:
    """Security rules B5, B11: with a true signature over the changed claim."""
    assert (judge(signed({**CLAIMS, name: value})) is not None) == is_harmless(name, value)


@given(st.sampled_from(sorted(CLAIMS)))
def test_a_missing_claim_validates_only_where_it_is_optional(name: str) -> None:
    """OpenID Connect Core section 2."""
    optional = {"azp", "nbf", "auth_time", "at_hash", "email"}
    assert (judge(signed({n: v for n, v in CLAIMS.items() if n != name})) is not None) == (name in optional)


@given(JSON_VALUES)
def test_claims_that_are_no_object_never_validate(value: Any) -> None:
    """RFC 7519 section 7.2."""
    assert judge(signed(value)) is None


@given(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "pi.atm"]), JSON_VALUES)
def test_a_changed_header_never_points_to_another_key(name: str, value: Any) -> None:
    """Security rule B5; RFC 7515 section 4: signed by our key all the same, so only what is ignored may differ."""
    valid = judge(signed(header={**HEADER, "alg": "RS256"} | ({} if name == "alg" else {name: value}))) is not None
    ignored = name in ("jwk", "jku", "x5u", "x5c", "zip", "pi.atm") or (name == "b64" and value is True)
    if name in ("alg", "typ", "kid"):
        assert not valid or name == "alg" or isinstance(value, str)
    else:
        assert valid == ignored


@given(st.text() | st.text(alphabet=string.ascii_letters + ".-_", max_size=60))
def test_no_text_makes_the_judgement_fail(text: str) -> None:
    """A refusal is an UpstreamError and nothing else."""
    assert judge(text) is None


@given(st.sampled_from(sorted(ALGORITHMS)), st.binary(max_size=600))
def test_no_made_up_signature_verifies(alg: str, signature: bytes) -> None:
    """RFC 7515 section 5.2: by any algorithm, of any length."""
    made_up = UnverifiedToken(alg=alg, kid=None, signing_input=b"a.b", payload=b"{}", signature=signature)
    assert verify(made_up, KEYS) is None


@pytest.mark.parametrize(("length", "accepted"), [(900, True), (11_000, True), (13_000, False)])
def test_a_header_holds_a_certificate_chain_and_not_much_more(length: int, accepted: bool) -> None:  # noqa: FBT001 - a table
    """Security rule B5: 16 KiB as written, signed or not."""
    assert (judge(signed(header={**HEADER, "x5c": ["M" * length]})) is not None) == accepted


@pytest.mark.parametrize(("length", "accepted"), [(180_000, True), (200_000, False)])
def test_a_token_holds_hundreds_of_groups_and_not_much_more(length: int, accepted: bool) -> None:  # noqa: FBT001 - a table
    """Security rule B5: 256 KiB as written, signed or not."""
    assert (judge(signed({**CLAIMS, "groups": ["g" * length]})) is not None) == accepted


def test_a_repeated_claim_is_refused() -> None:
    """RFC 7519 section 4."""
    payload = json.dumps(CLAIMS)[:-1] + ', "sub": "u-root"}'
    assert judge(signing.compact(HEADER, payload.encode(), signing.key_of("RSA"))) is None


def test_an_algorithm_only_counts_with_a_key_of_its_kind() -> None:
    """RFC 8725 section 3.1: an RSA token under the name of an EC key."""
    assert judge(signed(header={**HEADER, "kid": "e"})) is None


@pytest.mark.parametrize("changed", ["nonce", "access_token", "issuer", "client_id"])
def test_a_token_for_another_login_or_client_is_refused(changed: str) -> None:
    """Security rules B5, B11."""
    assert judge(VALID, Expected(**{**dataclasses.asdict(EXPECTED), changed: "another"})) is None


@pytest.mark.parametrize("blank", ["", " ", "   ", "\u00a0", "\u3000", "\t", "a\0b", "x" * 256])
def test_a_blank_subject_is_nobody(blank: str) -> None:
    """Security rule B5: everybody whose `sub` an IdP lost would be the same person."""
    assert judge(signed({**CLAIMS, "sub": blank})) is None


@pytest.mark.parametrize(
    ("age", "accepted"), [(START - 1, False), (86_400, False), (661, False), (660, True), (300, True), (-61, False)]
)
def test_a_token_was_made_during_this_login(age: int, accepted: bool) -> None:  # noqa: FBT001 - a table
    """Security rule B5; Core section 3.1.3.7, item 10: ten minutes and a minute of leeway."""
    assert (judge(signed({**CLAIMS, "iat": START - age})) is not None) == accepted


def test_a_refreshed_token_may_be_one_that_was_made_before() -> None:
    """Core section 12.2; security rule B5: only its `exp` says how long it counts."""
    parsed = parse(signed({**CLAIMS, "iat": START - 86_400}))
    found = verify(parsed, candidates(KEYS, parsed))
    assert found is not None
    assert subject(check_refreshed(found, EXPECTED, START)) == "u-alice"
