"""The settings of type `github`."""

from __future__ import annotations

from typing import Any

import pytest

from providers import github
from providers.base import ProviderSettings, ProviderSettingsError, SpeaksFor
from providers.github_settings import OPTIONS, faults, issuer_from, read_options
from tests.providers.github.scripted_github import ScriptedGitHub


def settings(options: dict[str, str] | None = None, **changes: Any) -> ProviderSettings:
    """Return settings that are good but for `changes`; the issuer follows from the options."""
    options = options or {}
    return ScriptedGitHub().settings(**{"options": options, "issuer": issuer_from(options), **changes})


def test_the_type_is_data_that_the_loader_reads() -> None:
    """Architecture, section 7: the short form GITHUB_…, and a restriction without which anybody could sign in."""
    kind = github.TYPE
    assert (kind.name, kind.env_prefix, kind.options) == ("github", "GITHUB", OPTIONS)
    assert kind.open_to_anyone
    assert kind.gives == {"user", "domain", "group", "organization"}
    assert kind.speaks_for is SpeaksFor.LISTED  # anybody brings a confirmed address along
    assert kind.issuer_from is not None
    assert kind.issuer_from({}) == "https://github.com/login/oauth"
    assert kind.issuer_from({"base_url": "https://GitHub.corp.example/"}) == "https://github.corp.example/login/oauth"


@pytest.mark.parametrize(
    ("base_url", "api_url"),
    [
        ("", "https://api.github.com"),
        ("https://github.com/", "https://api.github.com"),
        ("https://octo.ghe.com", "https://api.octo.ghe.com"),
        ("https://github.corp.example:8443", "https://github.corp.example:8443/api/v3"),
        ("https://notghe.com", "https://notghe.com/api/v3"),
    ],
)
def test_the_api_follows_from_the_host(base_url: str, api_url: str) -> None:
    """Facts, section 1.3."""
    assert read_options(settings({"base_url": base_url})).api_url == api_url


def test_empty_options_are_options_left_out() -> None:
    """Compose files pass variables on that are not set."""
    assert faults(settings(dict.fromkeys(OPTIONS, ""))) == ()
    assert read_options(settings(dict.fromkeys(OPTIONS, ""))) == read_options(settings())


@pytest.mark.parametrize(
    ("changes", "options", "named"),
    [
        ({}, {"base_url": "http://github.corp.example"}, "BASE_URL"),
        ({}, {"base_url": "https://github.corp.example/path"}, "BASE_URL"),
        ({}, {"base_url": "https://github.corp.example?x=1"}, "BASE_URL"),
        ({}, {"base_url": "github.corp.example"}, "BASE_URL"),
        ({}, {"api_url": "http://api.corp.example"}, "API_URL"),
        ({}, {"api_url": "https://api.corp.example/?x=1"}, "API_URL"),
        ({"issuer": "https://github.com"}, {}, "ISSUER"),
        ({"client_id": ""}, {}, "CLIENT_ID"),
        ({"client_secret": None}, {}, "CLIENT_SECRET"),
        ({"client_secret": ""}, {}, "CLIENT_SECRET"),
        ({"scopes": ("read:org", "a b")}, {}, "SCOPES"),
        ({}, {"allowed_orgs": "acme/platform"}, "ALLOWED_ORGS"),
        ({}, {"allowed_orgs": "org:0"}, "ALLOWED_ORGS"),
        ({}, {"allowed_orgs": "acme,,"}, "ALLOWED_ORGS"),
        ({}, {"allowed_orgs": "[]"}, "ALLOWED_ORGS"),
        ({}, {"allowed_orgs": "acme*"}, "ALLOWED_ORGS"),
        ({}, {"require_iss": "no"}, "REQUIRE_ISS"),
        ({}, {"trust_email_verified": "yes"}, "TRUST_EMAIL_VERIFIED"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(changes: dict[str, Any], options: dict[str, str], named: str) -> None:
    """Security rule G16: unsafe or unreadable settings do not start, and say which they are."""
    (sentence,) = faults(settings(options, **changes))
    assert sentence.startswith(f"{named} ")
    with pytest.raises(ProviderSettingsError, match=f"provider github: {named}"):
        read_options(settings(options, **changes))


def test_every_fault_is_told_at_once_and_no_value_with_it() -> None:
    """Security rule B13."""
    bad = settings({"base_url": "http://v-1.example", "allowed_orgs": "v-2/x", "require_iss": "v-3"}, client_secret="")
    with pytest.raises(ProviderSettingsError) as caught:
        read_options(bad)
    assert all(name in str(caught.value) for name in ("BASE_URL", "ALLOWED_ORGS", "REQUIRE_ISS", "CLIENT_SECRET"))
    assert "v-" not in str(caught.value)
