"""Contract: the browser sent away and back again (security rules B1 to B4, B12), and the login as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Fault, Groups
from tests.providers.case import START, Case, upstream_request
from tests.providers.scripted_faults import ABSENT


async def test_a_person_signs_in_and_is_who_the_provider_says(case: Case) -> None:
    """OpenID Connect Core section 3.1."""
    identity = await case.sign_in()
    assert (identity.issuer, identity.subject) == (case.idp.issuer, "u-alice")
    assert (identity.email, identity.email_verified, identity.name) == ("alice@example.com", True, "Alice A")
    assert identity.groups == Groups.known(("/eng", "/eng/platform"))
    assert (identity.acr, identity.amr, identity.sid) == ("1", ("pwd", "otp"), "sid-u-alice")
    assert identity.auth_time == START - 5
    assert identity.tokens is not None
    assert identity.tokens.expires_in == 300


async def test_a_query_of_the_authorization_endpoint_stays(case: Case) -> None:
    """RFC 6749 section 3.1."""
    case.idp.faults.discovery["authorization_endpoint"] = f"{case.idp.issuer}/authorize?tenant=a"
    url = await case.provider.authorization_url(upstream_request())
    assert url.startswith(f"{case.idp.issuer}/authorize?tenant=a&response_type=code&")


@pytest.mark.parametrize("issuer", ["https://evil.example", "", "HTTPS://IDP.EXAMPLE.TEST"])
async def test_a_response_from_another_issuer_causes_no_token_request(case: Case, issuer: str) -> None:
    """Security rule B1; RFC 9207 section 2.4: whether or not the provider advertises `iss`."""
    case.idp.faults.callback["iss"] = issuer
    for advertised in (True, False):
        case.idp.faults.discovery["authorization_response_iss_parameter_supported"] = advertised
        await case.is_refused("callback_issuer")
    assert not case.idp.calls("token")


async def test_a_response_without_issuer_is_refused_where_it_is_advertised(case: Case) -> None:
    """Security rule B1; RFC 9207 section 2.4."""
    case.idp.faults.callback["iss"] = ABSENT
    await case.is_refused("callback_issuer_absent")
    assert not case.idp.calls("token")


async def test_an_error_without_issuer_is_refused_where_it_is_advertised(case: Case) -> None:
    """Security rule B1; RFC 9207 section 2.4: an error response is held to it as well, before what it says is read."""
    case.idp.faults.callback |= {"iss": ABSENT, "error": "access_denied", "code": ABSENT}
    await case.is_refused("callback_issuer_absent")
    case.idp.faults.discovery["authorization_response_iss_parameter_supported"] = ABSENT
    case.idp.faults.callback["iss"] = case.idp.issuer
    await case.is_refused("access_denied", Fault.DENIED)


async def test_a_response_without_issuer_serves_where_it_is_not_advertised(case: Case) -> None:
    """RFC 9207 section 2.4: absence is fine from a provider that never announced it."""
    case.idp.faults.callback["iss"] = ABSENT
    case.idp.faults.discovery["authorization_response_iss_parameter_supported"] = ABSENT
    assert (await case.sign_in()).subject == "u-alice"


@pytest.mark.parametrize("state", ["", "of-another-login", ABSENT, "ümlaut"])
async def test_a_response_of_another_login_causes_no_token_request(case: Case, state: Any) -> None:
    """Security rules B2, B3: the stored login is the only source of context."""
    case.idp.faults.callback["state"] = state
    await case.is_refused("callback_state")
    assert not case.idp.calls("token")


@pytest.mark.parametrize("code", ["", ABSENT, "a\x00b", "\N{SNOWMAN}", "c" * 9000])
async def test_a_response_without_a_usable_code_causes_no_token_request(case: Case, code: Any) -> None:
    """RFC 6749 sections 4.1.2 and A.11."""
    case.idp.faults.callback["code"] = code
    await case.is_refused("callback_code")
    assert not case.idp.calls("token")


@pytest.mark.parametrize(
    ("code", "fault", "reason"),
    [
        ("access_denied", Fault.DENIED, "access_denied"),
        ("unauthorized", Fault.DENIED, "unauthorized"),
        ("login_required", Fault.INTERACTION, "login_required"),
        ("interaction_required", Fault.INTERACTION, "interaction_required"),
        ("temporarily_unavailable", Fault.TRANSIENT, "temporarily_unavailable"),
        ("server_error", Fault.TRANSIENT, "server_error"),
        ("invalid_scope", Fault.OPERATOR, "invalid_scope"),
        ("unauthorized_client", Fault.OPERATOR, "unauthorized_client"),
        ("<script>upstream words</script>", Fault.PROTOCOL, "callback_error"),
    ],
)
async def test_an_error_response_is_mapped_to_a_word_of_ours(case: Case, code: str, fault: Fault, reason: str) -> None:
    """Security rule B12; RFC 6749 section 4.1.2.1."""
    case.idp.faults.callback |= {"error": code, "error_description": "upstream words"}
    await case.is_refused(reason, fault)
    assert not case.idp.calls("token")


async def test_unknown_parameters_of_a_response_are_ignored(case: Case) -> None:
    """RFC 6749 section 4.1.2: `session_state`, `authuser`, `hd` and whatever comes next."""
    case.idp.faults.callback |= {"session_state": "x", "authuser": "0", "hd": "example.com"}
    assert (await case.sign_in()).subject == case.alice


async def test_nothing_secret_prints(case: Case) -> None:
    """Security rule B13."""
    request = upstream_request()
    identity = await case.sign_in(request)
    assert identity.tokens is not None
    printed = repr((case.provider, case.settings, identity, request, vars(case.provider)))
    for secret in (
        case.settings.client_secret,
        identity.tokens.access_token,
        request.nonce,
        request.state,
        request.code_verifier,
    ):
        assert secret is not None
        assert secret not in printed
