"""Findings that depend on settings, or on a real socket: certificates, switches, what is asked and what is offered."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from providers.base import Check, Diagnoses, ProviderSettings, Verdict
from providers.http import open_http
from providers.registry import build
from tests.providers.case import REDIRECT_URI, START, TYPES, Case, open_case
from tests.providers.pem import certificate, pem
from tests.providers.scripted_faults import ABSENT, Answer


async def found(case: Case) -> dict[str, Check]:
    """Return every check by name."""
    assert isinstance(case.provider, Diagnoses)
    return {check.name: check for check in await case.provider.check(REDIRECT_URI)}


async def test_a_certificate_that_is_not_trusted_is_found_with_the_ca_in_use(tmp_path: Path) -> None:
    """Security rule B7: the administrator's first question, and which setting answers it."""
    files = {"ca.pem": certificate("P-256", 3), "cert.pem": certificate("P-256", 4), "key.pem": pem("P-256", 4)}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context) as server:
        issuer = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = ProviderSettings(
            id="idp",
            type="oidc",
            display_name="IdP",
            issuer=issuer,
            client_id="broker",
            ca_file=str(tmp_path / "ca.pem"),
        )
        async with open_http(settings) as http:
            provider = build(settings, http, lambda: START, TYPES)
            assert isinstance(provider, Diagnoses)
            discovery, tls, *rest = await provider.check(REDIRECT_URI)
    assert (discovery.status, tls.status) == (Verdict.FAIL, Verdict.FAIL)
    assert discovery.fix == "see the check TLS"
    assert f"CA_FILE {tmp_path / 'ca.pem'}" in tls.detail
    assert "set CA_FILE" in tls.fix
    assert [(check.name, check.status) for check in rest] == [("the rest", Verdict.WARN)]


async def test_a_provider_on_loopback_needs_no_certificate() -> None:
    """Architecture, section 7: development."""
    async with open_case("oidc", idp={"issuer": "http://127.0.0.1:9400"}) as case:
        assert (await found(case))["TLS"].detail == "not used: the provider is on loopback"


async def test_the_roots_in_use_are_named() -> None:
    """With a CA file, and without."""
    async with open_case("oidc", ca_file="/etc/acme-ca.pem") as case:
        assert (await found(case))["TLS"].detail.endswith("the system's roots and CA_FILE /etc/acme-ca.pem")
    async with open_case("oidc") as case:
        assert (await found(case))["TLS"].detail.endswith("leads to the system's roots")


@pytest.mark.parametrize(
    ("required", "advertised", "status"),
    [
        ("true", True, Verdict.OK),
        ("true", ABSENT, Verdict.WARN),
        ("false", True, Verdict.WARN),
        ("false", ABSENT, Verdict.OK),
    ],
)
async def test_a_switch_that_contradicts_the_provider_is_told(required: str, advertised: Any, status: Verdict) -> None:
    """Security rule B1; setting REQUIRE_ISS."""
    async with open_case("oidc", options={"require_iss": required}) as case:
        case.idp.faults.discovery["authorization_response_iss_parameter_supported"] = advertised
        assert (await found(case))["iss parameter"].status is status


@pytest.mark.parametrize(
    ("options", "offered", "status"),
    [
        ({}, ["openid", "offline_access"], Verdict.OK),
        ({}, ["openid"], Verdict.WARN),
        ({"offline_access": "never"}, ["openid", "offline_access"], Verdict.WARN),
    ],
)
async def test_grants_that_end_with_the_session_there_are_told(
    options: dict[str, str], offered: list[str], status: Verdict
) -> None:
    """Security rule B16."""
    async with open_case("keycloak", options=options) as case:
        case.idp.faults.discovery["scopes_supported"] = offered
        assert (await found(case))["refresh tokens"].status is status


@pytest.mark.parametrize(
    ("kind", "options", "claims", "status"),
    [
        ("oidc", {}, ["sub", "groups"], Verdict.OK),
        ("oidc", {}, ["sub"], Verdict.WARN),
        ("oidc", {}, ABSENT, Verdict.WARN),
        ("oidc", {"groups_claim": "resource_access.broker"}, ["resource_access"], Verdict.OK),
        ("google", {}, ["sub", "groups"], Verdict.WARN),
        ("cognito", {}, ["cognito:groups"], Verdict.OK),
    ],
)
async def test_whether_groups_will_come_is_told_as_far_as_it_shows(
    kind: str, options: dict[str, str], claims: Any, status: Verdict
) -> None:
    """Groups that never come are unknown, and unknown fails closed."""
    async with open_case(kind, options=options) as case:
        case.idp.faults.discovery["claims_supported"] = claims
        check = (await found(case))["groups"]
        assert check.status is status
        if status is Verdict.WARN:
            assert check.fix == case.console.groups


async def test_where_logout_tokens_must_be_sent_is_spelled_out() -> None:
    """Security rule B15: the provider calls nobody it does not know."""
    async with open_case("keycloak") as case:
        check = (await found(case))["back-channel logout"]
        assert "https://broker.example.test/backchannel-logout/idp" in check.detail
        assert check.fix == case.console.logout
        case.idp.faults.discovery["backchannel_logout_supported"] = ABSENT
        assert "back-channel logout" not in await found(case)
    async with open_case("okta") as case:
        assert "back-channel logout" not in await found(case)


async def test_a_directory_that_hangs_holds_up_nothing_for_long(tmp_path: Path) -> None:
    """Security rule B7."""
    from tests.providers.test_google_groups import directory_case  # noqa: PLC0415 - its only other user

    async with directory_case(tmp_path, delegated=True, timeout=0.1) as (case, directory):
        directory.answers["token"] = Answer(200, delay=30)
        check = (await found(case))["groups"]
        assert check.status is not Verdict.OK
        assert "timeout" in check.detail
