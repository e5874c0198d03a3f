"""A login at GitHub: the browser sent away and back, and who comes of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from providers.base import Callback, Fault, Groups, Provider, RefreshesIdentity, RevokesTokens, UpstreamError
from tests.providers import scripted_faults as faulty
from tests.providers.case import REDIRECT_URI, START, upstream_request
from tests.providers.github.case import GitHubCase, open_github
from tests.providers.scripted_faults import ABSENT


async def test_a_person_signs_in_and_is_their_number_at_this_host(github: GitHubCase) -> None:
    """Security rule B10: neither the login nor an address is the identity."""
    identity = await github.sign_in()
    assert (identity.issuer, identity.subject) == ("https://github.com/login/oauth", "583231")
    assert (identity.email, identity.email_verified, identity.name) == ("octocat@example.com", True, "The Octocat")
    assert (identity.acr, identity.amr, identity.sid, identity.auth_time) == (None, None, None, START)
    assert identity.attributes == {"organization": ("acme", "org:9919", "Widgets", "org:42")}
    orgs, teams = ("acme", "org:9919", "Widgets", "org:42"), ("acme/platform", "team:7", "Widgets/on-call", "team:8")
    assert identity.groups == Groups.known((*orgs, *teams))


async def test_the_adapter_has_the_capabilities_that_github_has(github: GitHubCase) -> None:
    """Architecture, section 3: found by isinstance. The eleventh-newest token of a person is ended, so one is kept."""
    provider: Provider = github.provider
    assert isinstance(provider, RefreshesIdentity)
    assert isinstance(provider, RevokesTokens)
    assert provider.shares_tokens
    assert not hasattr(provider, "logout_url")
    assert not github.idp.requests


async def test_pkce_is_always_sent(github: GitHubCase) -> None:
    """Security rule B4; there is no ID token, so there is no nonce to compare."""
    request = upstream_request(login_hint="hubot", prompt=("login",))
    url = await github.provider.authorization_url(request)
    assert url.startswith("https://github.com/login/oauth/authorize?")
    sent = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert (sent["code_challenge_method"], len(sent["code_challenge"])) == ("S256", 43)
    assert request.code_verifier not in url
    assert (sent["state"], sent["redirect_uri"]) == (request.state, REDIRECT_URI)
    assert sent["scope"].split() == ["read:user", "user:email", "read:org"] == list(github.provider.scopes)
    assert (sent["login"], sent["prompt"]) == ("hubot", "select_account")
    assert "nonce" not in sent


async def test_the_verifier_and_the_secret_go_to_the_token_endpoint_only(github: GitHubCase) -> None:
    """Security rules B4, B13."""
    request = upstream_request()
    await github.sign_in(request)
    for secret in (request.code_verifier, github.idp.client_secret):
        assert [c.endpoint for c in github.idp.requests if secret in c.params.values()] == ["token"]
    for call in github.idp.requests:
        assert call.headers["host"] == ("github.com" if call.endpoint in ("authorize", "token") else "api.github.com")


@pytest.mark.parametrize(
    "issuer",
    ["https://evil.example", "", "https://github.com", "https://github.com/login/oauth/", "https://ghes.test/x"],
)
async def test_a_response_from_another_issuer_causes_no_token_request(github: GitHubCase, issuer: str) -> None:
    """Security rule B1; RFC 9207 section 2.4."""
    github.idp.faults.callback["iss"] = issuer
    await github.is_refused("callback_issuer")
    assert not github.idp.calls("token")


async def test_github_com_always_says_who_answers(github: GitHubCase) -> None:
    """Security rule B1: its metadata announces `iss`, so that a response without it is none of its own."""
    github.idp.faults.callback["iss"] = ABSENT
    await github.is_refused("callback_issuer_absent")
    github.idp.faults.callback |= {"error": "access_denied", "code": ABSENT}
    await github.is_refused("callback_issuer_absent")
    assert not github.idp.calls("token")


@pytest.mark.parametrize("state", ["", "of-another-login", ABSENT])
async def test_a_response_of_another_login_causes_no_token_request(github: GitHubCase, state: Any) -> None:
    """Security rules B2, B3."""
    github.idp.faults.callback["state"] = state
    await github.is_refused("callback_state")
    assert not github.idp.calls("token")


@pytest.mark.parametrize(
    ("code", "fault", "reason"),
    [
        ("access_denied", Fault.DENIED, "access_denied"),
        ("application_suspended", Fault.OPERATOR, "application_suspended"),
        ("redirect_uri_mismatch", Fault.OPERATOR, "redirect_uri_mismatch"),
        ("<b>upstream words</b>", Fault.PROTOCOL, "callback_error"),
    ],
)
async def test_an_error_response_is_mapped_to_a_word_of_ours(
    github: GitHubCase, code: str, fault: Fault, reason: str
) -> None:
    """Security rule B12."""
    github.idp.faults.callback |= {"error": code, "error_description": "upstream words"}
    await github.is_refused(reason, fault)


@pytest.mark.parametrize("wanted", [{"max_age": 0}, {"max_age": 3600}, {"acr_values": ("mfa",)}])
async def test_a_step_up_that_nothing_could_prove_is_refused(github: GitHubCase, wanted: dict[str, Any]) -> None:
    """Security rule B5's `max_age`: GitHub says neither when nor how somebody signed in."""
    error = await github.refusal(upstream_request(**wanted))
    assert (error.reason, error.fault) == ("step_up_unsupported", Fault.PROTOCOL)
    assert not github.idp.calls("token")


async def test_a_person_who_changed_accounts_is_the_new_account(github: GitHubCase) -> None:
    """Security rule B10: `GET /user` after every exchange, whatever an earlier login said."""
    assert (await github.sign_in()).subject == "583231"
    github.idp.sign_in_as = "hubot"
    second = await github.sign_in()
    assert (second.subject, second.name, second.groups) == ("480938", "hubot", Groups.known(()))
    assert second.attributes == {"organization": ()}


async def test_a_renamed_account_is_the_same_person(github: GitHubCase) -> None:
    """Security rule B10: a login can be given up and taken by somebody else; a number cannot."""
    before = await github.sign_in()
    github.idp.accounts["octocat"].login = "octocat-renamed"
    after = await github.sign_in()
    github.idp.accounts["hubot"].login = "octocat"
    github.idp.sign_in_as = "hubot"
    taken = await github.sign_in()
    assert before.subject == after.subject != taken.subject


async def test_a_code_that_was_spent_is_refused(github: GitHubCase) -> None:
    """Security rule B11: whose token it is, the host decides; the adapter asks once and believes the answer."""
    request = upstream_request()
    params = await github.idp.follow(await github.provider.authorization_url(request))
    await github.provider.identify(Callback(params=params), request)
    with pytest.raises(UpstreamError) as caught:
        await github.provider.identify(Callback(params=params), request)
    assert (caught.value.reason, caught.value.fault) == ("bad_verification_code", Fault.PERMANENT)


@pytest.mark.parametrize(
    ("answer", "reason", "fault"),
    [
        (faulty.Answer(401, b'{"message": "Bad credentials"}'), "token_revoked", Fault.PERMANENT),
        (faulty.Answer(403, b'{"message": "Sorry. Your account was suspended."}'), "user_suspended", Fault.PERMANENT),
        (faulty.Answer(403, b'{"message": "upstream words"}'), "user_forbidden", Fault.OPERATOR),
        (faulty.Answer(403, headers={"x-ratelimit-remaining": "0"}), "rate_limited", Fault.TRANSIENT),
        (faulty.Answer(403, headers={"retry-after": "60"}), "rate_limited", Fault.TRANSIENT),
        (
            faulty.Answer(403, b'{"message": "You have exceeded a secondary rate limit."}'),
            "rate_limited",
            Fault.TRANSIENT,
        ),
        (faulty.THROTTLED, "rate_limited", Fault.TRANSIENT),
        (faulty.DOWN, "user_unavailable", Fault.TRANSIENT),
        (faulty.NOT_FOUND, "user_status", Fault.OPERATOR),
        (faulty.REDIRECT, "user_status", Fault.OPERATOR),
        (faulty.HTML, "user_malformed", Fault.PROTOCOL),
        (faulty.OVERSIZED, "too_large", Fault.PROTOCOL),
        (faulty.Answer(200, b"[]"), "user_malformed", Fault.PROTOCOL),
        (faulty.Answer(200, b'{"login": "octocat"}'), "user_malformed", Fault.PROTOCOL),
        (faulty.Answer(200, b'{"id": "583231", "login": "octocat"}'), "user_malformed", Fault.PROTOCOL),
        (faulty.Answer(200, b'{"id": true, "login": "octocat"}'), "user_malformed", Fault.PROTOCOL),
        (faulty.Answer(200, b'{"id": 0, "login": "octocat"}'), "user_malformed", Fault.PROTOCOL),
        (faulty.Answer(200, b'{"id": 1, "login": "acme/octocat"}'), "user_malformed", Fault.PROTOCOL),
    ],
)
async def test_nobody_signs_in_without_an_answer_about_who_it_is(
    github: GitHubCase, answer: faulty.Answer, reason: str, fault: Fault
) -> None:
    """Security rule B12; rate limits, primary and secondary, are no matter of permission."""
    github.idp.faults.answers["user"] = answer
    await github.is_refused(reason, fault)


@pytest.mark.parametrize("endpoint", ["token", "user", "orgs"])
async def test_a_slow_endpoint_ends_in_time(endpoint: str) -> None:
    """Security rule B7: one time limit for all requests of a login."""
    async with open_github(timeout=0.2) as github:
        github.idp.faults.delay[endpoint] = 30
        with pytest.raises(UpstreamError) as caught:
            await github.sign_in()
        assert (caught.value.fault, caught.value.reason) == (Fault.TRANSIENT, "timeout")


async def test_nothing_secret_prints(github: GitHubCase) -> None:
    """Security rule B13."""
    identity = await github.sign_in()
    assert identity.tokens is not None
    printed = repr((github.provider, github.settings, identity, vars(github.provider)))
    assert github.idp.client_secret not in printed
    assert identity.tokens.access_token not in printed
