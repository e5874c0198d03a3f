from __future__ import annotations

from typing import Any

import pytest

from broker.oauth import InvalidToken, Reason
from broker.protocol import access_token
from tests.broker.records import ISSUER, NOW, make_grant, make_identity

AUDIENCE = "https://files.example.com/mcp"


def minted(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "scopes": ("files:read", "files:write"),
        "jti": "jti-1",
        "now": NOW,
        "ttl": 900,
    }
    return access_token.claims(changes.pop("grant", make_grant()), **fields | changes)


def check(typ: object, body: dict[str, Any], *, now: int) -> access_token.AccessToken:
    token = access_token.read(typ, body, issuer=ISSUER)
    access_token.check_time(token, now=now)
    return token


def reason_of(body: dict[str, Any], *, typ: object = "at+jwt", now: int = NOW) -> Reason:
    with pytest.raises(InvalidToken) as refused:
        check(typ, body, now=now)
    return refused.value.reason


def test_the_claims_are_those_of_rfc_9068_and_no_more():
    """RFC 9068 section 2.2; security rules C11, F5: one audience, no e-mail, no name."""
    assert minted() == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "u_alice",
        "client_id": "client-1",
        "azp": "client-1",
        "scope": "files:read files:write",
        "iat": NOW,
        "exp": NOW + 900,
        "jti": "jti-1",
        "grant_id": "grant-1",
        "auth_time": NOW - 30,
    }


def test_acr_and_amr_are_told_when_known():
    """RFC 9068 section 2.2.1."""
    body = minted(grant=make_grant(identity=make_identity(acr="urn:mfa", amr=("pwd", "otp"))))
    assert (body["acr"], body["amr"]) == ("urn:mfa", ["pwd", "otp"])


def test_a_grant_may_name_another_subject():
    """Architecture, section 5: `sub_issued` is reserved."""
    assert minted(grant=make_grant(sub_issued="pairwise"))["sub"] == "pairwise"


@pytest.mark.parametrize("typ", ["at+jwt", "JWT"])
def test_our_own_token_is_recognised(typ: str):
    """RFC 7662 section 2.2."""
    token = check(typ, minted(), now=NOW + 899)
    assert (token.jti, token.grant_id, token.client_id) == ("jti-1", "grant-1", "client-1")
    assert (token.audience, token.expires_at, token.claims["sub"]) == (AUDIENCE, NOW + 900, "u_alice")


@pytest.mark.parametrize("typ", [None, "", "jwt", "logout+jwt", "oauth-id-jag+jwt", "dpop+jwt", ["at+jwt"], 1])
def test_another_kind_of_jwt_is_refused(typ: object):
    """RFC 9068 section 4; security rule E10."""
    with pytest.raises(InvalidToken):
        check(typ, minted(), now=NOW)


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "client_id", "jti", "grant_id", "scope", "iat", "exp"])
@pytest.mark.parametrize("value", [None, ["x"], {}, True, 1.5])
def test_a_token_lacks_no_claim_and_has_each_with_its_type(name: str, value: object):
    """Security rule E10."""
    assert reason_of(minted() | {name: value}) is Reason.TOKEN_KIND


def test_another_issuers_token_is_refused():
    """RFC 9068 section 4."""
    assert reason_of(minted(issuer=ISSUER + "/")) is Reason.TOKEN_ISSUER


def test_a_bound_token_is_refused_as_bearer():
    """RFC 7800; architecture, section 5: a `cnf` that is not understood is refused."""
    assert reason_of(minted() | {"cnf": {"jkt": "thumbprint"}}) is Reason.TOKEN_BOUND


@pytest.mark.parametrize("now", [NOW + 900, NOW + 10**6, NOW - 61])
def test_a_token_outside_its_time_is_refused(now: int):
    """RFC 7519 section 4.1.4; security rule F4: no leeway on our own expiry."""
    assert reason_of(minted(), now=now) is Reason.TOKEN_TIME


def test_a_replica_a_minute_ahead_is_believed():
    """Security rule F4: 60 s of leeway inward."""
    assert check("at+jwt", minted(), now=NOW - 60).jti == "jti-1"
