"""Tokens and assertions whose header a stranger wrote: any JSON value under any name, at every endpoint that reads one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from broker.oauth import ASSERTION_TYPE_JWT_BEARER
from tests.broker.assertions import assembled, claims
from tests.broker.token_house import PUBLIC, SECRET
from tests.providers.values import JSON_VALUES

ODD = JSON_VALUES | st.sampled_from(["ES256", "RS256", "at+jwt", "\ud800", "\0", 10**400])
HEADERS = st.fixed_dictionaries({"alg": ODD, "kid": ODD}, optional={"typ": ODD, "crit": ODD, "jwk": ODD})


@pytest.mark.parametrize("path", ["/revoke", "/introspect"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=HEADERS, alg=ODD | st.just("ES256"))
@example(header={"kid": "x"}, alg=[])
@example(header={"kid": "x"}, alg={})
@example(header={"kid": "\ud800"}, alg="ES256")
def test_a_token_with_any_header_is_no_token(opened_house: Any, path: str, header: dict[str, Any], alg: Any):
    """Rules E12, E22, F2: parsing never gives a 5xx; no credentials are needed at /revoke."""
    form = {"token": assembled({**header, "alg": alg}, claims())}
    if path == "/revoke":
        response = opened_house(lambda house: house.post(path, {**form, "client_id": PUBLIC.client_id}))
        assert (response.status_code, response.json()) == (200, {})
    else:
        response = opened_house(lambda house: house.post(path, form, auth=("files", SECRET)))
        assert response.json() == {"active": False}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=HEADERS, alg=ODD | st.just("ES256"), subject=ODD, jti=ODD)
@example(header={}, alg=[], subject="machine", jti="1")
@example(header={"kid": "x"}, alg="ES256", subject="\ud800", jti="\ud800")
def test_an_assertion_with_any_header_authenticates_nobody(
    opened_house: Any, header: dict[str, Any], alg: Any, subject: Any, jti: Any
):
    """Rules E12, E13: parsing never gives a 5xx."""
    body = {**claims(), "iss": subject, "sub": subject, "jti": jti}
    form = {
        "grant_type": "refresh_token",
        "refresh_token": "rt_x",
        "client_assertion_type": ASSERTION_TYPE_JWT_BEARER,
        "client_assertion": assembled({**header, "alg": alg}, body),
    }
    response = opened_house(lambda house: house.post("/token", form))
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
