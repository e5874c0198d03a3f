"""Contract: discovery (security rule B7), and documents that are none."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from providers.base import Fault
from tests.providers import scripted_faults as faulty
from tests.providers.case import REDIRECT_URI, Case, upstream_request
from tests.providers.scripted_faults import ABSENT


async def test_pkce_and_nonce_are_sent_whatever_discovery_says(case: Case) -> None:
    """Security rule B4: forced by the preset, not by discovery."""
    case.idp.faults.discovery["code_challenge_methods_supported"] = ABSENT
    request = upstream_request(login_hint="bob")
    url = await case.provider.authorization_url(request)
    sent = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert sent["code_challenge_method"] == "S256"
    assert sent["code_challenge"] != request.code_verifier
    assert request.code_verifier not in url
    assert (sent["nonce"], sent["state"]) == (request.nonce, request.state)
    assert (sent["response_type"], sent["redirect_uri"]) == ("code", REDIRECT_URI)
    assert sent["scope"].split() == list(case.provider.scopes)
    assert sent["login_hint"] == "bob"


async def test_the_adapter_starts_while_its_provider_is_down(case: Case) -> None:
    """Security rule B7: construction made no request, and a login works as soon as the provider does."""
    assert not case.idp.requests
    case.idp.faults.answers["discovery"] = faulty.DOWN
    await case.is_refused("discovery_unavailable", Fault.TRANSIENT)
    case.idp.faults.answers.clear()
    case.clock.value += 2
    assert (await case.sign_in()).subject == case.alice


async def test_the_last_good_discovery_document_is_kept(case: Case) -> None:
    """Security rule B7."""
    await case.sign_in()
    case.clock.value += 7 * 86400
    for broken in (faulty.DOWN, faulty.HTML, faulty.NOT_FOUND):
        case.idp.faults.answers["discovery"] = broken
        assert (await case.sign_in()).subject == case.alice
    case.idp.faults.answers.clear()
    case.idp.faults.discovery["issuer"] = "https://evil.example"
    case.clock.value += 7 * 86400
    assert (await case.sign_in()).subject == case.alice


@pytest.mark.parametrize(
    ("changes", "reason", "fault"),
    [
        ({"issuer": "https://evil.example"}, "discovery_issuer", Fault.OPERATOR),
        ({"issuer": "SLASH"}, "discovery_issuer", Fault.OPERATOR),
        ({"issuer": ABSENT}, "discovery_issuer", Fault.OPERATOR),
        ({"token_endpoint": "http://idp.example.test/token"}, "discovery_endpoint", Fault.PROTOCOL),
        ({"token_endpoint": "http://127.0.0.1/token"}, "discovery_endpoint", Fault.PROTOCOL),
        ({"authorization_endpoint": "javascript:alert(1)"}, "discovery_endpoint", Fault.PROTOCOL),
        ({"authorization_endpoint": ABSENT}, "discovery_endpoint", Fault.PROTOCOL),
        ({"jwks_uri": "https://user:pass@idp.example.test/jwks"}, "discovery_endpoint", Fault.PROTOCOL),
        ({"jwks_uri": "https://idp.example.test:port/jwks"}, "discovery_endpoint", Fault.PROTOCOL),
        ({"jwks_uri": ["https://idp.example.test/jwks"]}, "discovery_endpoint", Fault.PROTOCOL),
        ({"userinfo_endpoint": "file:///etc/passwd"}, "discovery_endpoint", Fault.PROTOCOL),
    ],
)
async def test_discovery_is_believed_only_with_our_issuer_and_safe_endpoints(
    case: Case, changes: dict[str, Any], reason: str, fault: Fault
) -> None:
    """Security rule B7; OpenID Connect Discovery section 4.3."""
    case.idp.faults.discovery |= {k: case.idp.issuer + "/" if v == "SLASH" else v for k, v in changes.items()}
    await case.is_refused(reason, fault)


@pytest.mark.parametrize("endpoint", ["discovery", "jwks"])
@pytest.mark.parametrize(
    ("answer", "word", "fault"),
    [
        (faulty.DOWN, "{}_unavailable", Fault.TRANSIENT),
        (faulty.THROTTLED, "{}_unavailable", Fault.TRANSIENT),
        (faulty.HTML, "{}_not_json", Fault.PROTOCOL),
        (faulty.REDIRECT, "{}_status", Fault.OPERATOR),
        (faulty.NOT_FOUND, "{}_status", Fault.OPERATOR),
        (faulty.OVERSIZED, "too_large", Fault.PROTOCOL),
    ],
)
async def test_a_document_that_is_none_is_refused(
    case: Case, endpoint: str, answer: faulty.Answer, word: str, fault: Fault
) -> None:
    """Security rules B7, B12: size limits, no redirects, no upstream text."""
    case.idp.faults.answers[endpoint] = answer
    await case.is_refused(word.format(endpoint), fault)
