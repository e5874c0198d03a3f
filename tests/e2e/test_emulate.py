"""Logins through Google, GitHub and Entra in their shapes (npm's emulate), driven without a browser window.

What emulate cannot do: it checks no PKCE for GitHub, knows no teams there and no groups at Entra, disables nobody, and sends no logout
tokens (nor do the three that it plays).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.emulate import TENANT, Emulators, emulators
from tests.e2e.house import OUT, RECHECK, House, running_house
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.processes import wait_until

pytestmark = pytest.mark.e2e

BOTH = "notes:read notes:write"
RULES = [
    {"name": "the company reads", "provider": ["google"], "domain": ["example.com"], "scopes": ["notes:read"]},
    {"name": "the organisation reads", "provider": ["github"], "organization": ["acme"], "scopes": ["notes:read"]},
    {"name": "a team writes", "provider": ["github"], "group": ["acme/*"], "scopes": ["notes:write"]},
    {"name": "the tenant reads", "provider": ["entra"], "tenant": [TENANT], "scopes": ["notes:read"]},
    {"name": "groups write", "provider": ["entra"], "group": ["*"], "scopes": ["notes:write"]},
]
RECHECKED_BY = {
    "google": "refresh",
    "github": "user",
    "entra": "refresh",
}  # what the re-check asks, in the metrics' words


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Emulators:
    return emulators(
        tmp_path_factory.mktemp("emulate"),
        google={**RECHECK, "HOSTED_DOMAINS": "example.com"},
        github={**RECHECK, "ALLOWED_ORGS": "acme"},
        entra=RECHECK,
    )


@pytest.fixture(scope="module")
def shared(played: Emulators) -> IdentityProvider:
    """Entra again, now for people of every organisation."""
    return replace(
        played.entra,
        id="colleagues",
        issuer=played.entra.issuer.replace(TENANT, "organizations"),
        more={**played.entra.more, "TENANT": "organizations", "ALLOWED_TENANTS": TENANT},
    )


@pytest.fixture(scope="module")
def strict(played: Emulators) -> IdentityProvider:
    """GitHub again, now held to naming itself in the callback."""
    return replace(played.github, id="strict", more={**played.github.more, "REQUIRE_ISS": "true"})


@pytest.fixture(scope="module")
def estate(
    played: Emulators, shared: IdentityProvider, strict: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    more = {
        **played.environment(),
        **shared.environment(),
        **strict.environment(),
        "BROKER_POLICY": json.dumps(RULES),
    }
    with (
        running_house(played.google, tmp_path_factory.mktemp("broker"), more) as house,
        played.running(house.broker.issuer),
    ):
        yield house


@pytest.fixture(params=["google", "github", "entra"])
def house(
    request: pytest.FixtureRequest,
    estate: House,
    played: Emulators,
    shared: IdentityProvider,
    strict: IdentityProvider,
) -> House:
    """The broker before each of the three in turn, or before the one that a test names."""
    known = (played.google, played.github, played.entra, shared, strict)
    [idp] = [idp for idp in known if idp.provider == request.param]
    return replace(estate, idp=idp)


def test_a_person_signs_in_and_gets_what_is_known_of_them(house: House, browser: Browserless, app: App):
    """Architecture sections 5 and 7: Google's `hd`, GitHub's organisation, Entra's tenant meet a rule.

    Groups that nobody lists are unknown, and what a rule gives to groups is withheld.
    """
    landed = house.idp.sign_in(browser, house.approve(browser, app, scope=BOTH), "alice")
    assert landed.left, landed.text
    tokens = app.redeem(landed.params)
    assert tokens["scope"] == "notes:read"
    assert house.is_active(tokens["access_token"])


def test_pkce_is_sent_to_each_of_them(house: House, browser: Browserless, app: App):
    """Rule B4: by the preset, whatever the metadata says; emulate checks it for Google and Entra, and ignores it for GitHub."""
    page = house.approve(browser, app)
    assert page.params["code_challenge_method"] == "S256"
    assert page.params["state"]
    assert ("nonce" in page.params) == (house.idp.type != "github")


def test_each_person_is_known_by_the_providers_subject(house: House, app: App):
    """Architecture section 5, identity: the same person in another browser is the same subject."""
    subjects = set()
    for _ in range(2):
        with house.browser() as browser:
            landed = house.idp.sign_in(browser, house.approve(browser, app), "alice")
        subjects.add(app.claims(app.redeem(landed.params)["access_token"])["sub"])
    assert len(subjects) == 1


STRANGERS = {
    "google": ("mallory", "hosted_domain"),  # a private account has no `hd`
    "github": ("bob", "organization_not_allowed"),
    "entra": ("mallory", "id_token_tenant"),  # the token names another tenant than the endpoint's
}


def test_a_stranger_stays_out(house: House, browser: Browserless, app: App):
    """Rules B9, B10, B12: of another domain, organisation or tenant; no code comes of it, and the log has a word of ours."""
    person, reason = STRANGERS[house.idp.type]
    failed = len(house.broker.events("login.failed"))
    ended = house.idp.sign_in(browser, house.approve(browser, app), person)
    assert not ended.left
    assert ended.status == (
        400 if reason == "id_token_tenant" else 403
    )  # a token that is not to be believed, or a rule that says no
    [event] = house.broker.events("login.failed")[failed:]
    assert (event["provider"], event["reason"]) == (house.idp.provider, reason)


@pytest.mark.parametrize("house", ["strict"], indirect=True)
def test_a_github_that_must_name_itself_and_does_not_is_refused(house: House, browser: Browserless, app: App):
    """Rule B1: github.com sends `iss` since 2026, emulate does not; where it is required its absence ends the login unredeemed."""
    page = house.idp.sign_in(browser, house.approve(browser, app), "alice")
    assert (page.left, page.status) == (False, 400)
    assert house.broker.events("login.failed")[-1]["reason"] == "callback_issuer_absent"
    assert house.broker.upstream_calls("strict", "token") == 0


@pytest.mark.parametrize("house", ["colleagues"], indirect=True)
def test_a_shared_entra_endpoint_without_the_template_is_refused(house: House, browser: Browserless, app: App):
    """Rules B7, B9: the metadata of `organizations` must name the template; emulate names the tenant of personal accounts."""
    house.witness.expected_faults.add(503)
    page = house.approve(browser, app)
    assert (page.url, page.status) == (house.broker.url("/consent"), 503)
    event = house.broker.events("login.failed")[-1]
    assert (event["provider"], event["fault"], event["reason"]) == ("colleagues", "operator", "discovery_issuer")


def test_a_refresh_asks_the_provider_again_and_goes_on(house: House, browser: Browserless, app: App):
    """Rule B16; E6: Google keeps its refresh token, Entra rotates it, GitHub has none and is asked who the token belongs to."""
    first = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), "alice").params)
    second = house.refreshed_by_a_recheck(app, first, operation=RECHECKED_BY[house.idp.type])
    third = house.refreshed_by_a_recheck(app, second, operation=RECHECKED_BY[house.idp.type])
    assert app.claims(third["access_token"])["sub"] == app.claims(first["access_token"])["sub"]


def test_whose_upstream_tokens_are_dead_is_out_at_the_next_recheck(
    house: House, played: Emulators, browser: Browserless, app: App
):
    """Rule B16: emulate disables nobody, so all tokens of the service are killed.

    Google and Entra answer `invalid_grant`; emulate's GitHub takes a token that it does not know for another person's, which is no reason
    to go on either.
    """
    tokens = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), "alice").params)
    played.forget(house.idp)
    house.out_at_the_next_recheck(app, tokens)


def test_whoever_takes_access_back_is_out_at_the_next_recheck_and_nobody_else(
    house: House, played: Emulators, browser: Browserless, app: App
):
    """Rule B16: as a person does on GitHub's and Google's pages, and as revoking somebody's sessions at Entra does."""
    with house.browser() as other:
        colleagues = app.redeem(house.idp.sign_in(other, house.approve(other, app), "carol").params)
    tokens = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), "alice").params)
    played.revoke(house.idp, browser, "alice")
    house.out_at_the_next_recheck(app, tokens)
    newest = house.refreshed_by_a_recheck(app, colleagues, operation=RECHECKED_BY[house.idp.type])
    assert house.is_active(newest["access_token"])


@pytest.mark.parametrize("house", ["github"], indirect=True)
def test_whoever_leaves_the_organisation_is_out_at_the_next_recheck(
    house: House, played: Emulators, browser: Browserless, app: App
):
    """Rule B16: how a company lets somebody go at GitHub, where their account is their own."""
    tokens = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), "dave").params)
    played.dismiss("dave")
    house.out_at_the_next_recheck(app, tokens)


def test_a_live_session_issues_nothing_once_the_upstream_tokens_are_dead(
    house: House, played: Emulators, browser: Browserless, app: App
):
    """Rule B16: the same re-check before anything is issued from a live browser session; then it is the provider's page again."""
    assert house.idp.sign_in(browser, house.approve(browser, app), "alice").left
    assert house.asked_for_another(browser, app).left
    played.forget(house.idp)
    wait_until(lambda: not house.asked_for_another(browser, app).left, within=OUT, describe=lambda: "still issued")
    assert house.idp.sign_in(browser, house.approve(browser, app), "alice").left


def test_whoever_is_revoked_here_is_out_within_a_second(house: House, browser: Browserless, app: App):
    """Rule B15's second where the provider tells nobody: none of these three sends logout tokens, here or in reality."""
    tokens = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), "alice").params)
    house.out_when_revoked(app, browser, tokens)
