"""The identity providers, each started once for everything that needs it; a browser and an app for each test with a `house`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.glewlwyd import running_glewlwyd
from tests.e2e.house import House
from tests.e2e.identity_providers import IdentityProvider, running_keycloak, running_oidc_provider
from tests.e2e.lemonldap import LemonldapCompany, running_lemonldap


@pytest.fixture(scope="session")
def oidc_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    with running_oidc_provider(tmp_path_factory.mktemp("oidc-provider")) as provider:
        yield provider


@pytest.fixture(scope="session")
def glewlwyd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    with running_glewlwyd(tmp_path_factory.mktemp("glewlwyd")) as provider:
        yield provider


@pytest.fixture(scope="session")
def lemonldap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], LemonldapCompany]]:
    """Start one for the broker at that issuer: its clients stand in its configuration."""
    with ExitStack() as running:
        yield lambda broker: running.enter_context(running_lemonldap(tmp_path_factory.mktemp("lemonldap"), broker))


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    with running_keycloak(tmp_path_factory.mktemp("keycloak")) as provider:
        yield provider


@pytest.fixture
def browser(house: House) -> Iterator[Browserless]:
    with house.browser() as browser:
        yield browser


@pytest.fixture
def app(house: House) -> Iterator[App]:
    app = house.app()
    yield app
    app.close()
