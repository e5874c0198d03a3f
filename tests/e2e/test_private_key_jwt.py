"""The broker authenticates at an identity provider by a key of its own instead of a secret: npm's oidc-provider checks what it signs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.house import RECHECK, House, running_house
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.private_key import KeyPair, Private, by_key
from tests.e2e.processes import free_port

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Keys:
    """The keys of the clients: `stolen` is registered nowhere."""

    rsa: Private
    ec: Private
    stolen: Private


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys(
        rsa=rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ec=ec.generate_private_key(ec.SECP256R1()),
        stolen=ec.generate_private_key(ec.SECP256R1()),
    )


@pytest.fixture(scope="module")
def clients(
    oidc_provider: IdentityProvider, keys: Keys, port: int, tmp_path_factory: pytest.TempPathFactory
) -> list[IdentityProvider]:
    """The provider by a client with an RSA key, by one with an EC key, and by one whose registered key is another."""
    folder, broker = tmp_path_factory.mktemp("keys"), f"http://127.0.0.1:{port}"
    found = []
    for name, registered, ours, algorithm in (
        ("rsa", keys.rsa, keys.rsa, "RS256"),
        ("ec", keys.ec, keys.ec, "ES256"),
        ("stolen", keys.ec, keys.stolen, "ES256"),
    ):
        pair = KeyPair(registered=registered, ours=ours, algorithm=algorithm)
        client = by_key(oidc_provider, broker, pair, folder, id=name)
        found.append(replace(client, more={**client.more, **RECHECK}))
    return found


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def estate(clients: list[IdentityProvider], port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    more = {name: value for client in clients for name, value in client.environment().items()}
    with running_house(clients[0], tmp_path_factory.mktemp("broker"), more, port=port) as house:
        yield house


@pytest.fixture(params=["rsa", "ec"])
def house(request: pytest.FixtureRequest, estate: House, clients: list[IdentityProvider]) -> House:
    """The broker by each of the clients in turn, or by the one that a test names."""
    [client] = [client for client in clients if client.id == request.param]
    return replace(estate, idp=client)


def test_a_code_is_redeemed_with_an_assertion(house: House, browser: Browserless, app: App):
    """Rule B18; RFC 7523 section 2.2: the provider checks signature, issuer, subject, audience, life and single use."""
    landed = house.idp.sign_in(browser, house.approve(browser, app), "alice")
    assert landed.left, landed.text
    assert app.redeem(landed.params)["scope"] == "notes:read"


def test_each_assertion_is_new(house: House, browser: Browserless, app: App):
    """Rule B18; RFC 7523 section 3: the provider refuses a `jti` that it has seen."""
    for _ in range(2):
        with house.browser() as another:
            assert house.idp.sign_in(another, house.approve(another, app), "alice").left


def test_a_recheck_is_made_with_an_assertion_too(house: House, browser: Browserless, app: App):
    """Rules B16, B18."""
    tokens = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), "alice").params)
    house.refreshed_by_a_recheck(app, tokens, operation="refresh")


@pytest.mark.parametrize("house", ["stolen"], indirect=True)
def test_an_assertion_by_a_key_that_is_not_registered_is_told_as_the_operators_fault(
    house: House, browser: Browserless, app: App
):
    """Rules B12, B18: the person did nothing wrong."""
    page = house.idp.sign_in(browser, house.approve(browser, app), "alice")
    assert not page.left
    assert "not set up correctly" in page.text
    assert house.broker.events("login.failed")[-1]["fault"] == "operator"
