"""Contract: back-channel logout tokens (security rule B15; OpenID Connect Back-Channel Logout 1.0 sections 2.4 and 2.6)."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Fault, LogoutEvent, UpstreamError, VerifiesLogout
from tests.providers import scripted_faults as faulty
from tests.providers.case import START, Case, ended, judged
from tests.providers.scripted_faults import ABSENT

EVENT = "http://schemas.openid.net/event/backchannel-logout"


def verifier(case: Case) -> VerifiesLogout:
    """Return the provider, which verifies logout tokens."""
    assert isinstance(case.provider, VerifiesLogout)
    return case.provider


async def verdict(case: Case, token: str) -> UpstreamError:
    """Return the error that a token is refused with."""
    return judged(await ended(verifier(case).verify_logout_token(token)))


async def test_a_logout_token_says_who_and_which_session(case: Case) -> None:
    """Section 2.4; `jti` is used up until the token could no longer be accepted."""
    event = await verifier(case).verify_logout_token(case.idp.logout_token({"jti": "j-1"}))
    assert event == LogoutEvent(
        issuer=case.idp.issuer, subject="u-alice", sid="sid-u-alice", jti="j-1", expires_at=START + 180
    )


@pytest.mark.parametrize(
    ("claims", "subject", "sid"),
    [({"sub": ABSENT}, None, "sid-u-alice"), ({"sid": ABSENT}, "u-alice", None), ({"sid": None}, "u-alice", None)],
)
async def test_a_session_or_a_person_alone_is_enough(
    case: Case, claims: dict[str, Any], subject: str | None, sid: str | None
) -> None:
    """Section 2.4: `sub`, `sid` or both."""
    event = await verifier(case).verify_logout_token(case.idp.logout_token(claims))
    assert (event.subject, event.sid) == (subject, sid)


@pytest.mark.parametrize("typ", ["logout+jwt", "LOGOUT+JWT", "application/logout+jwt", "JWT", "jwt", ABSENT])
async def test_a_logout_token_may_name_its_type(case: Case, typ: Any) -> None:
    """Section 2.4: explicit typing is recommended, not required."""
    event = await verifier(case).verify_logout_token(case.idp.logout_token(header={"typ": typ}))
    assert event.subject == "u-alice"


@pytest.mark.parametrize("typ", ["at+jwt", "id_token+jwt", "secevent+jwt", 7, None])
async def test_another_kind_of_token_is_no_logout_token(case: Case, typ: Any) -> None:
    """RFC 8725 section 3.11."""
    assert (await verdict(case, case.idp.logout_token(header={"typ": typ}))).reason == "token_type"


@pytest.mark.parametrize(
    ("reason", "claims"),
    [
        ("issuer", {"iss": "https://evil.example"}),
        ("issuer", {"iss": ABSENT}),
        ("audience", {"aud": "another-client"}),
        ("audience", {"aud": ABSENT}),
        ("audience", {"aud": ["broker", 7]}),
        ("iat", {"iat": ABSENT}),
        ("iat", {"iat": START + 61}),
        ("iat", {"iat": True}),
        ("expired", {"exp": START - 60}),
        ("expired", {"exp": ABSENT}),
        ("expired", {"exp": str(START + 60)}),
        ("subject", {"sub": ABSENT, "sid": ABSENT}),
        ("subject", {"sub": ""}),
        ("subject", {"sub": 7}),
        ("subject", {"sid": ""}),
        ("subject", {"sid": ["a"]}),
        ("events", {"events": ABSENT}),
        ("events", {"events": {}}),
        ("events", {"events": EVENT}),
        ("events", {"events": [EVENT]}),
        ("events", {"events": {EVENT: True}}),
        ("events", {"events": {"http://schemas.openid.net/event/other": {}}}),
        ("nonce", {"nonce": "n"}),
        ("nonce", {"nonce": None}),
        ("jti", {"jti": ABSENT}),
        ("jti", {"jti": ""}),
        ("jti", {"jti": 7}),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_logout_token_with_one_wrong_claim_is_refused(case: Case, reason: str, claims: dict[str, Any]) -> None:
    """Security rule B15; section 2.6 in full, but replay."""
    error = await verdict(case, case.idp.logout_token(claims))
    assert (error.reason, error.fault) == (f"logout_token_{reason}", Fault.PROTOCOL)


@pytest.mark.parametrize("claims", [{"aud": ["broker"]}, {"aud": ["x", "broker"]}, {"exp": START - 59}, {"extra": 1}])
async def test_what_logout_tokens_may_differ_in_is_accepted(case: Case, claims: dict[str, Any]) -> None:
    """Sections 2.4 and 2.6; 60 seconds of leeway."""
    assert (await verifier(case).verify_logout_token(case.idp.logout_token(claims))).subject == "u-alice"


async def test_an_id_token_is_no_logout_token_nor_the_other_way_round(case: Case) -> None:
    """Section 4.1: neither passes for the other, whatever its type says."""
    identity = await case.sign_in()
    assert identity.tokens is not None
    assert identity.tokens.id_token is not None
    assert (await verdict(case, identity.tokens.id_token)).reason == "logout_token_events"
    for typ in ("logout+jwt", "JWT"):
        case.idp.faults.token["id_token"] = case.idp.logout_token(header={"typ": typ})
        assert (await case.refusal()).reason in ("token_type", "id_token_nonce")
    case.idp.faults.token.clear()
    before = await case.sign_in()
    case.idp.faults.refresh["id_token"] = case.idp.logout_token({"azp": case.idp.client_id}, {"typ": "JWT"})
    assert (await case.no_refresh(before)).reason == "id_token_events"


@pytest.mark.parametrize("alg", ["none", "HS256"])
async def test_an_unsigned_logout_token_is_refused(case: Case, alg: str) -> None:
    """Section 2.6: `none` must not be used, nor a public key as a secret."""
    case.idp.faults.alg = alg
    case.idp.faults.discovery["id_token_signing_alg_values_supported"] = ["none", "HS256", "RS256"]
    assert (await verdict(case, case.idp.logout_token())).reason == "token_algorithm"


async def test_a_logout_token_signed_by_somebody_else_is_refused(case: Case) -> None:
    """Section 2.6: and a key that came along in the header is not looked at."""
    case.idp.faults.foreign_key = True
    foreign = {"jku": "https://evil.example/jwks"}
    assert (await verdict(case, case.idp.logout_token(header=foreign))).reason == "signature"
    case.idp.faults.foreign_key = False
    case.idp.faults.bad_signature = True
    assert (await verdict(case, case.idp.logout_token())).reason == "signature"


async def test_a_logout_token_by_a_rotated_key_is_believed(case: Case) -> None:
    """Security rule B8."""
    await case.sign_in()
    case.idp.rotate()
    assert (await verifier(case).verify_logout_token(case.idp.logout_token())).subject == "u-alice"


async def test_a_provider_that_is_down_makes_no_verdict(case: Case) -> None:
    """The sender tries again later."""
    token = case.idp.logout_token()
    case.idp.faults.answers["jwks"] = faulty.DOWN
    assert (await verdict(case, token)).fault is Fault.TRANSIENT
    case.clock.value += 2
    case.idp.faults.answers["discovery"] = faulty.DOWN
    assert (await verdict(case, token)).fault is Fault.TRANSIENT


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.b.c.d.e", "\u2603.\u2603.\u2603", "x" * 300_000])
async def test_what_is_no_token_is_refused_without_a_request(case: Case, token: str) -> None:
    """Whatever a stranger posts costs the provider nothing."""
    assert (await verdict(case, token)).reason == "token_malformed"
    assert not case.idp.calls("jwks")
