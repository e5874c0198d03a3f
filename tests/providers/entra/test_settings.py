"""The settings of type `entra`."""

from __future__ import annotations

from typing import Any

import pytest

from providers import entra
from providers.base import ProviderSettings, ProviderSettingsError, SpeaksFor
from providers.entra import faults
from providers.entra_settings import PERSONAL, graph_url, is_open, issuer_from, metadata_issuer, scopes
from providers.http import open_http
from tests.providers.entra.scripted_entra import AUTHORITY, CONTOSO, FABRIKAM


def settings(options: dict[str, str] | None = None, **changes: Any) -> ProviderSettings:
    """Return settings that are good but for `changes`; the issuer follows from the options."""
    given = {"tenant": CONTOSO, **(options or {})}
    fitting: dict[str, Any] = {
        "id": "entra",
        "type": "entra",
        "display_name": "Entra",
        "issuer": issuer_from(given) or "https://idp.example.test",
        "client_id": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "client_secret": "secret-of-the-broker",
        "options": given,
    }
    return ProviderSettings(**{**fitting, **changes})


def test_the_type_is_data_that_the_loader_reads() -> None:
    """Architecture, section 7: ENTRA_… and AZURE_…; EMAIL_DOMAINS are what an administrator vouches for."""
    kind = entra.TYPE
    assert (kind.name, kind.env_prefix) == ("entra", "ENTRA")
    assert {"tenant", "authority", "graph_url", "allowed_tenants", "federated_token_file"} <= kind.options
    assert "userinfo" not in kind.options
    assert set(kind.aliases.values()) <= kind.options | {"client_id", "client_secret"}
    assert {"tenant", "group", "role", "acr"} <= kind.gives
    assert "amr" not in kind.gives
    assert kind.speaks_for is SpeaksFor.VOUCHED
    assert kind.open_to_anyone is is_open


@pytest.mark.parametrize(
    ("options", "issuer", "announced"),
    [
        ({"tenant": CONTOSO}, f"{AUTHORITY}/{CONTOSO}/v2.0", f"{AUTHORITY}/{CONTOSO}/v2.0"),
        ({"tenant": CONTOSO.upper()}, f"{AUTHORITY}/{CONTOSO}/v2.0", f"{AUTHORITY}/{CONTOSO}/v2.0"),
        ({"tenant": "organizations"}, f"{AUTHORITY}/organizations/v2.0", f"{AUTHORITY}/{{tenantid}}/v2.0"),
        ({"tenant": "common"}, f"{AUTHORITY}/common/v2.0", f"{AUTHORITY}/{{tenantid}}/v2.0"),
        ({"tenant": "consumers"}, f"{AUTHORITY}/consumers/v2.0", f"{AUTHORITY}/{PERSONAL}/v2.0"),
        (
            {"tenant": CONTOSO, "authority": "https://login.microsoftonline.us/"},
            f"https://login.microsoftonline.us/{CONTOSO}/v2.0",
            f"https://login.microsoftonline.us/{CONTOSO}/v2.0",
        ),
    ],
)
def test_the_issuer_follows_from_tenant_and_authority(options: dict[str, str], issuer: str, announced: str) -> None:
    """Security rule B9: known before anybody is asked."""
    assert issuer_from(options) == issuer
    assert metadata_issuer(settings(options)) == announced
    assert faults(settings(options)) == ()


def test_without_a_tenant_there_is_no_issuer() -> None:
    """The loader then says what is missing."""
    assert issuer_from({}) is None
    assert issuer_from({"tenant": " "}) is None


@pytest.mark.parametrize(
    ("tenant", "is_open_to_anyone"), [(CONTOSO, False), ("organizations", True), ("common", True), ("consumers", True)]
)
def test_only_one_tenants_own_endpoint_is_closed_to_strangers(tenant: str, *, is_open_to_anyone: bool) -> None:
    """Architecture, section 7: the others need ALLOWED_TENANTS, another restriction, or ALLOW_ANYONE."""
    assert is_open({"tenant": tenant}) is is_open_to_anyone


@pytest.mark.parametrize(
    ("options", "graph", "scope"),
    [
        ({}, "https://graph.microsoft.com", "User.Read"),
        (
            {"authority": "https://login.microsoftonline.us"},
            "https://graph.microsoft.us",
            "https://graph.microsoft.us/User.Read",
        ),
        (
            {"authority": "https://login.partner.microsoftonline.cn/"},
            "https://microsoftgraph.chinacloudapi.cn",
            "https://microsoftgraph.chinacloudapi.cn/User.Read",
        ),
        (
            {"graph_url": "https://graph.example.test/"},
            "https://graph.example.test",
            "https://graph.example.test/User.Read",
        ),
    ],
)
def test_graph_is_that_of_the_authoritys_cloud(options: dict[str, str], graph: str, scope: str) -> None:
    """Sovereign clouds."""
    assert graph_url(options) == graph
    assert scopes(options)[-1] == scope


@pytest.mark.parametrize(
    ("changes", "options", "named"),
    [
        ({}, {"tenant": "contoso.onmicrosoft.com"}, "TENANT"),
        ({}, {"tenant": "9188040d"}, "TENANT"),
        ({}, {"allowed_tenants": FABRIKAM}, "ALLOWED_TENANTS"),
        ({}, {"tenant": "organizations", "allowed_tenants": "contoso.com"}, "ALLOWED_TENANTS"),
        ({}, {"tenant": "organizations", "allowed_tenants": "[]"}, "ALLOWED_TENANTS"),
        ({}, {"tenant": "consumers", "allowed_tenants": FABRIKAM}, "ALLOWED_TENANTS"),
        ({"scopes": ("openid", "User.Read")}, {}, "SCOPES"),
        ({}, {"authority": "https://login.microsoftonline.com?x=1"}, "AUTHORITY"),
        ({}, {"graph_url": "http://graph.microsoft.com"}, "GRAPH_URL"),
        ({"issuer": "https://sts.windows.net/x"}, {}, "ISSUER"),
        ({"client_id": ""}, {}, "CLIENT_ID"),
        ({}, {"groups_claim": "a..b"}, "GROUPS_CLAIM"),
        ({"client_secret": None}, {"auth_method": "private_key_jwt"}, "AUTH_METHOD"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_named(
    changes: dict[str, Any], options: dict[str, str], named: str
) -> None:
    """Security rule G16: unsafe or unreadable settings do not start, and say which they are."""
    (sentence,) = faults(settings(options, **changes))
    assert sentence.startswith(f"{named} ")
    async with open_http(settings()) as http:
        with pytest.raises(ProviderSettingsError, match=f"{named} "):
            entra.TYPE.build(settings(options, **changes), http, lambda: 0)


def test_an_http_authority_is_for_loopback_in_development() -> None:
    """Architecture, section 7."""
    options = {"authority": "http://127.0.0.1:9400", "graph_url": "http://127.0.0.1:9400"}
    assert [sentence.split()[0] for sentence in faults(settings(options))] == ["AUTHORITY", "GRAPH_URL"]
    assert faults(settings(options, loopback=True)) == ()
