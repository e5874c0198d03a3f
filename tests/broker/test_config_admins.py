"""BROKER_ADMIN_GROUPS and BROKER_DEBUG_LOGIN (architecture, section 7; rule G12)."""

from __future__ import annotations

import pytest

from broker.settings import AdminGroup
from tests.broker.settings_input import load_from, only_fault

OIDC = {"OIDC_ISSUER": "https://idp.example.com", "OIDC_CLIENT_ID": "b", "OIDC_CLIENT_SECRET": "made-up"}
TWO = {**OIDC, "KEYCLOAK_ISSUER": "https://kc.example.com/realms/r", "KEYCLOAK_CLIENT_ID": "b"} | {
    "KEYCLOAK_CLIENT_SECRET": "made-up"
}


@pytest.mark.parametrize(
    ("written", "meant"),
    [("/admins", "/admins"), ("oidc:/admins", "/admins"), ("org:42", "org:42"), ("oidc:org:42", "org:42")],
)
def test_with_one_provider_a_group_is_its_own(written: str, meant: str) -> None:
    settings = load_from({**OIDC, "BROKER_ADMIN_GROUPS": written})

    assert settings.admin_groups == (AdminGroup(provider="oidc", group=meant),)


def test_with_several_providers_a_group_names_its_own() -> None:
    """Strangers choose the names of groups and organisations elsewhere."""
    settings = load_from({**TWO, "BROKER_ADMIN_GROUPS": "keycloak:/admins,oidc:staff/*"})

    assert settings.admin_groups == (
        AdminGroup(provider="keycloak", group="/admins"),
        AdminGroup(provider="oidc", group="staff/*"),
    )


@pytest.mark.parametrize("written", ["/admins", "github:/admins", "keycloak:", "org:42"])
def test_a_group_of_no_provider_is_refused_where_there_are_several(written: str) -> None:
    setting, _, wrong, mend = only_fault({**TWO, "BROKER_ADMIN_GROUPS": written})

    assert setting == "BROKER_ADMIN_GROUPS"
    assert "names no provider" in wrong
    assert f"keycloak:{written}" in mend


def test_a_debug_page_that_shows_nothing_to_anybody_is_refused() -> None:
    """Rule G12: behind its switch and the administrators' groups, both."""
    setting, _, _, mend = only_fault({**OIDC, "BROKER_DEBUG_LOGIN": "true"})

    assert setting == "BROKER_DEBUG_LOGIN"
    assert "BROKER_ADMIN_GROUPS" in mend


def test_the_debug_page_is_off_by_default_and_warned_about_when_on() -> None:
    assert not load_from(OIDC).debug_login
    settings = load_from({**OIDC, "BROKER_DEBUG_LOGIN": "true", "BROKER_ADMIN_GROUPS": "/admins"})

    assert settings.debug_login
    assert any("BROKER_DEBUG_LOGIN" in warning for warning in settings.warnings)
