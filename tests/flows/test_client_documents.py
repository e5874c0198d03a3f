"""Clients that are documents of somebody else's, through the whole login (OAuth Client ID Metadata Document; security rules A4, D1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.broker.harness import BrokerUnderTest, Browser, Form, query_of, running
from tests.e2e.client_document import running_client_site

REDIRECT = "http://127.0.0.1:{port}/callback"
FAMOUS = {
    "client_name": "Famous App",
    "redirect_uris": ["http://127.0.0.1/callback"],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
}
SHORT = "You allowed exactly this before"


@dataclass(frozen=True)
class Apps:
    """A broker that remembers consent, an app everybody knows, and a look-alike that has a document of its own."""

    broker: BrokerUnderTest
    famous: str
    lookalike: str

    def request(self, client_id: str, port: int, **changes: str) -> dict[str, str]:
        """Return what a program on this computer asks in the name of a document."""
        return {"client_id": client_id, "redirect_uri": REDIRECT.format(port=port), **changes}

    async def approve(self, browser: Browser) -> None:
        """Let a person allow the famous app, and remember it."""
        page = await browser.authorize(**self.request(self.famous, 51000))
        back = await browser.at_idp(await browser.answer(page, "provider", "corp", remember="yes"))
        assert query_of(await browser.open(back.headers["location"]))["code"]


@pytest.fixture
async def apps(tmp_path: Path) -> AsyncIterator[Apps]:
    with running_client_site(tmp_path, **FAMOUS) as site:
        lookalike = site.another("/other/client.json", **FAMOUS)
        async with running(
            tmp_path,
            issuer="http://localhost:8080",
            remember_consent=True,
            cimd_ca_file=str(site.ca_file),
            cimd_allowed_hosts=(site.origin.removeprefix("https://"),),
        ) as broker:
            yield Apps(broker, site.client_id, lookalike)


@pytest.mark.parametrize("port", [51000, 62000], ids=["the port approved", "any other program's port"])
async def test_somebody_elses_document_with_a_loopback_redirect_never_gets_silent_consent(apps: Apps, port: int):
    """Security rules D1, A4: any program here may use the known app's name; without a click nobody gets a code by it."""
    browser = apps.broker.browser()
    await apps.approve(browser)
    before = len(await apps.broker.events("code.issued"))
    page = await browser.authorize(**apps.request(apps.famous, port))
    silent = await browser.authorize(**apps.request(apps.famous, port, prompt="none"))

    assert page.status_code == 200
    assert ("decision", "allow") in Form(page.text).buttons
    assert "only if you started that program yourself" in page.text
    answer = parse_qs(urlsplit(silent.headers["location"]).query)
    assert answer["error"] == ["interaction_required"]
    assert "code" not in answer
    assert len(await apps.broker.events("code.issued")) == before


async def test_what_one_person_allowed_a_document_shortens_nobody_elses_page(apps: Apps):
    """Security rules D1, A5: remembered for this person alone."""
    await apps.approve(apps.broker.browser())
    other = apps.broker.browser()
    apps.broker.idp.sign_in_as = "bob"
    await other.login()
    page = await other.authorize(**apps.request(apps.famous, 51000))

    assert ("decision", "allow") in Form(page.text).buttons
    assert SHORT not in page.text


async def test_a_document_that_takes_a_known_apps_name_and_redirect_is_asked_in_full(apps: Apps):
    """Security rules D1, A1: an app is known by its document's whole address, not by its name, host or redirect."""
    browser = apps.broker.browser()
    await apps.approve(browser)
    known = await browser.authorize(**apps.request(apps.famous, 51000))
    page = await browser.authorize(**apps.request(apps.lookalike, 51000))

    assert SHORT in known.text
    assert SHORT not in page.text
    assert ("decision", "allow") in Form(page.text).buttons
