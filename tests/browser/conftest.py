"""One Chromium for all, one broker for all, and a fresh profile for each person of each test.

The scope is the package: while Playwright is there, its event loop runs in this thread and no asynchronous test can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.people import BOARD, CHROMIUM_FLAGS, NOTES, Profile, Town
from tests.browser.sites import running_site
from tests.e2e import parts
from tests.e2e.app import App
from tests.e2e.broker_process import public_client, resource, running_broker
from tests.e2e.identity_providers import running_oidc_provider

NewProfile = Callable[..., Profile]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=parts.chromium(), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with (
        running_oidc_provider(tmp_path_factory.mktemp("oidc-provider")) as idp,
        running_site("127.0.0.1") as landing,
        running_site("localhost") as stranger,
    ):
        environment = {
            **idp.environment(),
            **resource("notes", NOTES, "Notes"),
            **resource("board", BOARD, "Board"),
            **public_client("notebook", landing.redirect_uri, "Notebook"),
            **public_client("planner", landing.redirect_uri, "Planner"),
            "BROKER_REMEMBER_CONSENT": "true",
        }
        with running_broker(tmp_path_factory.mktemp("broker"), environment) as (broker, witness):
            yield Town(idp, broker, witness, landing, stranger)


@pytest.fixture
def new_profile(chromium: Browser, town: Town) -> Iterator[NewProfile]:
    """Make a profile with no history; keyword arguments are Playwright's."""
    profiles: list[Profile] = []

    def make(**options: Any) -> Profile:
        profiles.append(Profile(chromium.new_context(**options), town))
        return profiles[-1]

    yield make
    for profile in profiles:
        profile.cookies()
        profile.context.close()


@pytest.fixture
def alice(new_profile: NewProfile) -> Profile:
    return new_profile()


@pytest.fixture
def bob(new_profile: NewProfile) -> Profile:
    return new_profile()


@pytest.fixture
def app(town: Town) -> Iterator[App]:
    app = town.app()
    yield app
    app.close()
