"""Logout tokens under mutation: one change and they end nobody's session, and nothing but UpstreamError comes out (rule B15)."""

from __future__ import annotations

import json
import string
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from providers.base import LogoutEvent, UpstreamError
from providers.jwks import candidates, import_keys
from providers.logout_token import EVENT, KIND, Expected, check
from providers.signed_token import ALGORITHMS, SignedClaims, parse, verify
from tests.providers import signing
from tests.providers.case import START
from tests.providers.values import JSON_VALUES

KEYS = import_keys({"keys": [{**signing.public_jwk("RSA"), "kid": "k"}]})
EXPECTED = Expected(issuer="https://idp.example.test", client_id="broker")
HEADER = {"alg": "RS256", "typ": "logout+jwt", "kid": "k"}
CLAIMS: dict[str, Any] = {
    "iss": "https://idp.example.test",
    "aud": "broker",
    "iat": START,
    "exp": START + 120,
    "jti": "j-1",
    "sub": "u-alice",
    "sid": "s-1",
    "events": {EVENT: {}},
}


def signed(claims: Any = CLAIMS, header: dict[str, Any] = HEADER) -> str:
    """Return a token with a true signature."""
    return signing.compact(header, json.dumps(claims).encode(), signing.key_of("RSA"))


def judge(token: str) -> LogoutEvent | None:
    """Return what a token says, None when it is refused."""
    try:
        parsed = parse(token, kind=KIND)
        found = verify(parsed, candidates(KEYS, parsed))
        return None if found is None else check(found, EXPECTED, START)
    except UpstreamError:
        return None


VALID = signed()
EVENT_OF_VALID = LogoutEvent(
    issuer="https://idp.example.test", subject="u-alice", sid="s-1", jti="j-1", expires_at=START + 180
)


def test_the_valid_token_is_valid() -> None:
    """What every mutation starts from."""
    assert judge(VALID) == EVENT_OF_VALID


@given(st.integers(0, len(VALID) - 1), st.sampled_from(string.ascii_letters + string.digits + "-_.=+/ \n"))
def test_no_other_character_anywhere_validates(at: int, character: str) -> None:
    """Security rules B15, F6."""
    assume(VALID[at] != character)
    assert judge(VALID[:at] + character + VALID[at + 1 :]) is None


@given(st.integers(0, len(VALID) - 1), st.integers(1, 400))
def test_no_shorter_token_validates(at: int, count: int) -> None:
    """Security rules B15, F6."""
    assert judge(VALID[:at] + VALID[at + count :]) is None


def is_harmless(name: str, value: Any) -> bool:  # noqa: PLR0911 - a table
    """Whether a valid token with this one claim changed is as good; written down apart from the code under test."""
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 253_402_300_800
    word = isinstance(value, str) and value != "" and value.isprintable()
    match name:
        case "aud":
            return value == "broker" or (
                isinstance(value, list) and "broker" in value and all(isinstance(entry, str) for entry in value)
            )
        case "exp":
            return whole and value > START - 60
        case "iat":
            return whole and value <= START + 60
        case "sub":
            return value is None or (word and len(value) <= 255)
        case "sid":
            return value is None or (word and len(value) <= 1024)
        case "jti":
            return word and len(value) <= 1024
        case "events":
            return isinstance(value, dict) and isinstance(value.get(EVENT), dict)
        case "nonce":
            return False
    return CLAIMS.get(name) == value or name != "iss"


NEAR = st.sampled_from([START - 60, START - 59, START + 60, START + 61, -1, 0, 1, 10**12, 10**400])
ALIKE = st.sampled_from(
    [
        "broker",
        "Broker",
        ["broker"],
        ["x"],
        ["broker", 1],
        {EVENT: {}},
        {EVENT: {"a": 1}},
        {EVENT: []},
        {EVENT: None},
        EVENT,
    ]
)


@given(st.sampled_from([*CLAIMS, "nonce", "typ", "azp", "at_hash"]), JSON_VALUES | NEAR | ALIKE | NEAR.map(str))
def test_a_changed_claim_validates_only_where_it_is_harmless(name: str, value: Any) -> None:
    """Back-Channel Logout section 2.6, with a true signature over the changed claim."""
    assert (judge(signed({**CLAIMS, name: value})) is not None) == is_harmless(name, value)


@given(st.sets(st.sampled_from(sorted(CLAIMS))))
def test_missing_claims_validate_only_where_a_person_or_a_session_is_left(missing: set[str]) -> None:
    """Back-Channel Logout section 2.4: all are required but one of `sub` and `sid`."""
    left = {name: value for name, value in CLAIMS.items() if name not in missing}
    assert (judge(signed(left)) is not None) == (missing in (set(), {"sub"}, {"sid"}))


@given(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "x5u", "x5c", "zip"]), JSON_VALUES)
def test_a_changed_header_never_points_to_another_key_or_kind(name: str, value: Any) -> None:
    """Security rules B5, B15: what is ignored may differ, nothing else."""
    event = judge(signed(header={**HEADER, **({} if name == "alg" else {name: value})}))
    if name in ("crit", "kid"):
        assert event is None
    elif name == "typ":
        good = isinstance(value, str) and (value.lower() == KIND or not value.lower().endswith("+jwt"))
        assert (event is not None) == good
    elif name != "b64":
        assert event == EVENT_OF_VALID


@given(JSON_VALUES | st.dictionaries(st.sampled_from(sorted(CLAIMS)), JSON_VALUES))
def test_no_claims_make_the_judgement_fail(values: Any) -> None:
    """A refusal is an UpstreamError and nothing else; what passes says whom."""
    if not isinstance(values, dict):
        assert judge(signed(values)) is None
        return
    try:
        event = check(SignedClaims(alg="RS256", values=values), EXPECTED, START)
    except UpstreamError:
        return
    assert event.subject or event.sid


@given(st.text() | st.text(alphabet=string.ascii_letters + ".-_", max_size=60))
def test_no_text_makes_the_judgement_fail(text: str) -> None:
    """Strangers can post anything here."""
    assert judge(text) is None


def test_our_algorithms_are_all_asymmetric() -> None:
    """Security rule B5: the list that a logout token may be signed by."""
    assert not {"none", "HS256", "HS384", "HS512"} & ALGORITHMS
