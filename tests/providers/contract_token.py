"""Contract: the token endpoint (security rules B4, B12, B13), and how providers depart from RFC 6749."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Callback, Fault, UpstreamError
from tests.naming import stable
from tests.providers import scripted_faults as faulty
from tests.providers.case import Case, upstream_request
from tests.providers.scripted_faults import ABSENT


async def test_the_verifier_and_credentials_go_to_the_token_endpoint_only(case: Case) -> None:
    """Security rules B4, B13; RFC 6749 section 2.3.1: the scripted provider decodes and compares both."""
    request = upstream_request()
    await case.sign_in(request)
    holders = [call.endpoint for call in case.idp.requests if request.code_verifier in call.params.values()]
    assert holders == ["token"]
    assert case.idp.calls("token")[0].headers["authorization"].startswith("Basic ")
    assert all(
        "authorization" not in call.headers for call in case.idp.requests if call.endpoint not in ("token", "userinfo")
    )


REFUSALS = (  # of every token endpoint, whatever it is beside that
    (faulty.error(401, "invalid_client"), "invalid_client", Fault.OPERATOR),
    (faulty.error(401, "unauthorized_client"), "unauthorized_client", Fault.OPERATOR),
    (faulty.DOWN, "token_unavailable", Fault.TRANSIENT),
    (faulty.EMPTY_400, "token_refused", Fault.PERMANENT),
    (faulty.PROBLEM, "token_refused", Fault.PERMANENT),
    (faulty.UNAUTHORIZED, "token_unauthorized", Fault.OPERATOR),
    (faulty.OVERSIZED, "too_large", Fault.PROTOCOL),
)


@pytest.mark.parametrize(
    ("answer", "reason", "fault"),
    [
        *REFUSALS,
        (faulty.error(200, "invalid_grant"), "invalid_grant", Fault.PERMANENT),
        (faulty.error(400, "invalid_grant"), "invalid_grant", Fault.PERMANENT),
        (faulty.error(403, "invalid_code"), "invalid_code", Fault.PERMANENT),
        (faulty.error(400, "interaction_required"), "interaction_required", Fault.INTERACTION),
        (faulty.error(400, "upstream words"), "token_error", Fault.PROTOCOL),
        (faulty.error(503, "invalid_grant"), "token_unavailable", Fault.TRANSIENT),
        (faulty.THROTTLED, "token_unavailable", Fault.TRANSIENT),
        (faulty.FORBIDDEN, "token_response", Fault.PROTOCOL),
        (faulty.NOT_FOUND, "token_status", Fault.OPERATOR),
        (faulty.REDIRECT, "token_status", Fault.OPERATOR),
        (faulty.HTML, "token_response", Fault.PROTOCOL),
    ],
)
async def test_a_token_endpoints_refusal_is_mapped_to_a_word_of_ours(
    case: Case, answer: faulty.Answer, reason: str, fault: Fault
) -> None:
    """Security rule B12; RFC 6749 section 5.2 and how providers depart from it."""
    case.idp.faults.answers["token"] = answer
    await case.is_refused(reason, fault)


@pytest.mark.parametrize(
    "changes",
    [
        {"token_type": "bearer"},
        {"token_type": ABSENT},
        {"expires_in": "300"},
        {"expires_in": ABSENT},
        {"expires_in": True},
        {"refresh_token": ABSENT},
        {"refresh_token": None},
        {"scope": ABSENT},
        {"not-before-policy": 0},
    ],
    ids=stable,
)
async def test_token_responses_vary_and_are_accepted(case: Case, changes: dict[str, Any]) -> None:
    """RFC 6749 section 5.1 and how providers depart from it."""
    case.idp.faults.token |= changes
    identity = await case.sign_in()
    assert identity.tokens is not None
    assert identity.tokens.expires_in == (None if changes.get("expires_in") in (ABSENT, True) else 300)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"access_token": ABSENT}, "token_response"),
        ({"access_token": ""}, "token_response"),
        ({"access_token": "a\r\nx-injected: 1"}, "token_response"),
        ({"access_token": 7}, "token_response"),
        ({"token_type": "DPoP"}, "token_response"),
        ({"id_token": ABSENT}, "id_token_absent"),
        ({"id_token": 7}, "id_token_absent"),
        ({"id_token": "a.b"}, "token_malformed"),
        ({"id_token": "a.b.c.d.e"}, "token_malformed"),
        ({"id_token": "e30." + "x" * 262_100 + ".x"}, "token_malformed"),
        ({"id_token": "x" * 17_000 + ".e30.x"}, "token_malformed"),
    ],
    ids=stable,
)
async def test_a_token_response_that_cannot_be_used_is_refused(
    case: Case, changes: dict[str, Any], reason: str
) -> None:
    """Security rule B5; RFC 6749 section 5.1."""
    case.idp.faults.token |= changes
    await case.is_refused(reason)


async def test_a_code_that_was_spent_is_refused_by_the_provider(case: Case) -> None:
    """RFC 6749 section 4.1.2: the adapter asks once and believes the answer."""
    request = upstream_request()
    params = await case.idp.follow(await case.provider.authorization_url(request))
    await case.provider.identify(Callback(params=params), request)
    with pytest.raises(UpstreamError) as caught:
        await case.provider.identify(Callback(params=params), request)
    assert (caught.value.reason, caught.value.fault) == ("invalid_grant", Fault.PERMANENT)
