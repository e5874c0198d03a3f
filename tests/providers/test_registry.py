"""Which provider types there are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from providers.base import ProviderSettings, ProviderSettingsError, ProviderType, no_faults
from providers.http import open_http
from providers.oidc import OpenIdProvider
from providers.registry import GROUP, build, provider_types


class Package(Distribution):
    """An installed package with a name and nothing else."""

    def __init__(self, name: str) -> None:
        self._named = name

    @property
    def metadata(self) -> Any:
        """Return metadata that holds the name."""
        message = Message()
        message["Name"] = self._named
        return message

    def read_text(self, filename: str) -> None:
        """Hold no file."""

    def locate_file(self, path: Any) -> Any:
        """Live nowhere."""
        return Path(path)


def entry(name: str, value: str, package: str = "acme-provider") -> EntryPoint:
    """Return an entry point of a package."""
    made = EntryPoint(name, value, GROUP)
    vars(made)["dist"] = Package(package)
    return made


@pytest.fixture
def acme() -> Iterator[ModuleType]:
    """Install a module of a third party."""
    module = ModuleType("acme_provider")
    kind = provider_types([])["oidc"]
    vars(module).update(
        TYPE=ProviderType(name="acme", build=kind.build),
        OTHER=ProviderType(name="other", build=kind.build),
        OIDC=kind,
        NONSENSE=7,
    )
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def settings(kind: str) -> ProviderSettings:
    return ProviderSettings(
        id="idp", type=kind, display_name="IdP", issuer="https://idp.example.test", client_id="broker"
    )


def test_ours_are_there_whatever_is_installed() -> None:
    """Settings name them; our own entry points are for others to look at."""
    ours = {"oidc", "keycloak", "github"}
    assert set(provider_types([])) == ours
    stale = entry("oidc", "nowhere:TYPE", "mcp-federation-broker")
    assert set(provider_types([stale])) == ours
    assert ours <= set(provider_types())


def test_the_short_forms_and_options_are_data() -> None:
    """Architecture, section 7."""
    types = provider_types([])
    assert (types["oidc"].env_prefix, types["keycloak"].env_prefix) == ("OIDC", "KEYCLOAK")
    assert types["keycloak"].options - types["oidc"].options == {"url", "realm"}
    assert not types["keycloak"].open_to_anyone
    assert types["keycloak"].faults(settings("keycloak")) == ()
    assert types["keycloak"].faults(
        ProviderSettings(id="x", type="keycloak", display_name="", issuer="", client_id="x")
    )


def test_a_third_partys_type_is_found_by_its_entry_point(acme: ModuleType) -> None:
    """Entry point group `mcp_broker.providers`."""
    found = provider_types([entry("acme", "acme_provider:TYPE")])
    assert found["acme"] is acme.TYPE
    assert no_faults(settings("acme")) == ()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "acme",
            "nowhere_at_all:TYPE",
            "package acme-provider: its provider type 'acme' .* cannot be loaded: ModuleNotFoundError",
        ),
        ("acme", "acme_provider:MISSING", "package acme-provider: .* cannot be loaded: AttributeError"),
        ("acme", "acme_provider:NONSENSE", "package acme-provider: acme_provider:NONSENSE is not a ProviderType"),
        ("acme", "acme_provider:OTHER", "package acme-provider: .* with the name 'acme'"),
        ("oidc", "acme_provider:OIDC", "package acme-provider: the provider type 'oidc' exists already"),
    ],
)
def test_a_broken_entry_point_names_its_package(acme: ModuleType, name: str, value: str, message: str) -> None:
    """An administrator reads what to uninstall."""
    with pytest.raises(ProviderSettingsError, match=message):
        provider_types([entry(name, value)])


def test_two_packages_with_one_type_are_refused(acme: ModuleType) -> None:
    """Which of them signs people in must not depend on the order of installation."""
    twice = [entry("acme", "acme_provider:TYPE"), entry("acme", "acme_provider:TYPE", "acme-fork")]
    with pytest.raises(ProviderSettingsError, match="package acme-fork: the provider type 'acme' exists already"):
        provider_types(twice)


def test_an_entry_point_without_a_package_is_refused_too() -> None:
    """One made by hand has no distribution."""
    with pytest.raises(ProviderSettingsError, match="unknown"):
        provider_types([EntryPoint("acme", "nowhere_at_all:TYPE", GROUP)])


async def test_settings_become_an_adapter(acme: ModuleType) -> None:
    """The composition root's one call."""
    types = provider_types([entry("acme", "acme_provider:TYPE")])
    async with open_http(settings("acme")) as http:
        assert isinstance(build(settings("acme"), http, lambda: 0, types), OpenIdProvider)
        assert isinstance(build(settings("oidc"), http, lambda: 0), OpenIdProvider)
        with pytest.raises(ProviderSettingsError, match="provider idp: the type 'unheard' is unknown"):
            build(settings("unheard"), http, lambda: 0)
