"""Which provider types there are."""

from __future__ import annotations

import sys
import tomllib
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
from tests.providers.case import open_case
from tests.providers.kinds import CAPABILITIES, KINDS


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
    ours = set(provider_types([]))
    assert {*KINDS, "github"} <= ours
    stale = entry("oidc", "nowhere:TYPE", "mcp-federation-broker")
    assert set(provider_types([stale])) == ours
    assert ours <= set(provider_types())


def test_every_type_of_ours_is_an_entry_point_of_this_distribution() -> None:
    """What is here and what is installed are the same."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    listed = project["project"]["entry-points"][GROUP]
    assert {name: EntryPoint(name, value, GROUP).load() for name, value in listed.items()} == dict(provider_types([]))


EVERYTHING = {"user", "domain", "group", "role", "acr", "amr", "auth_time"}


@pytest.mark.parametrize(
    ("kind", "prefix", "gives", "options"),
    [
        ("oidc", "OIDC", EVERYTHING, set()),
        ("keycloak", "KEYCLOAK", EVERYTHING | {"organization"}, {"url", "realm"}),
        (
            "google",
            "GOOGLE",
            {"user", "domain", "group", "amr"},
            {"hosted_domains", "service_account_file", "admin_subject"},
        ),
        ("okta", None, EVERYTHING, set()),
        ("auth0", None, EVERYTHING | {"organization"}, {"organization"}),
        ("gitlab", None, {"user", "domain", "group", "auth_time"}, set()),
        ("authentik", None, EVERYTHING, set()),
        ("cognito", None, {"user", "domain", "group", "auth_time"}, set()),
        ("pingfederate", None, EVERYTHING, set()),
        ("dex", None, {"user", "domain", "group"}, set()),
    ],
)
def test_short_forms_options_and_attributes_are_data(
    kind: str, prefix: str | None, gives: set[str], options: set[str]
) -> None:
    """Architecture, section 7: short forms for those that the contract names; attributes that a type can ever know."""
    types = provider_types([])
    assert (types[kind].env_prefix, set(types[kind].gives)) == (prefix, gives)
    assert types[kind].options - types["oidc"].options == options
    assert bool(types[kind].open_to_anyone) == (kind in ("google", "gitlab"))
    good = ProviderSettings(id="idp", type=kind, display_name="", issuer=KINDS[kind].issuer, client_id="broker")
    assert types[kind].faults(good) == ()
    assert types[kind].faults(ProviderSettings(id="x", type=kind, display_name="", issuer="", client_id="x"))


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_capability_that_a_type_lacks_is_absent(kind: str) -> None:
    """Architecture, section 3: found by isinstance, never a stub."""
    async with open_case(kind) as case:
        assert {c for c in CAPABILITIES if isinstance(case.provider, c)} == set(KINDS[kind].can)


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
