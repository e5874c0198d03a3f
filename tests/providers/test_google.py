"""Google as it really answers (facts, section 1.2): the exact shapes, and what follows from them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from providers import google
from providers.base import Fault, Groups, ProviderSettings, Verdict
from tests.providers import scripted_faults as faulty
from tests.providers.case import REDIRECT_URI, START, Case, open_case, upstream_request
from tests.providers.scripted_faults import ABSENT
from tests.providers.scripted_idp import Person

ACME = {"hosted_domains": "example.com"}
SCOPE_URIS = "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/userinfo.profile"


async def asked(options: dict[str, str], **changes: Any) -> dict[str, str]:
    """Return what is asked in an authorization request."""
    async with open_case("google", options=options) as case:
        url = await case.provider.authorization_url(upstream_request(**changes))
        return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def test_the_documented_id_token_signs_in() -> None:
    """The official example, member for member, with the nonce and times of this login."""
    documented = {
        "iss": "https://accounts.google.com",
        "azp": "1234987819200.apps.googleusercontent.com",
        "aud": "1234987819200.apps.googleusercontent.com",
        "sub": "10769150350006150715113082367",
        "hd": "example.com",
        "email": "jsmith@example.com",
        "email_verified": "true",
        **dict.fromkeys(("name", "preferred_username", "groups", "sid", "acr", "amr", "auth_time"), ABSENT),
    }
    async with open_case("google", idp={"client_id": "1234987819200.apps.googleusercontent.com"}, options=ACME) as case:
        case.idp.people["alice"] = Person("10769150350006150715113082367", case.idp.people["alice"].claims)
        case.idp.faults.claims |= documented
        case.idp.faults.token |= {"expires_in": 3599, "scope": SCOPE_URIS, "refresh_expires_in": ABSENT}
        identity = await case.sign_in()
        assert (identity.issuer, identity.subject) == (google.ISSUER, "10769150350006150715113082367")
        assert (identity.email, identity.email_verified) == ("jsmith@example.com", True)
        assert (identity.auth_time, identity.auth_time_stated) == (START, False)
        assert (identity.acr, identity.amr, identity.sid) == (None, None, None)
        assert identity.tokens is not None
        assert identity.tokens.expires_in == 3599


@pytest.mark.parametrize("iss", ["https://accounts.google.com", "accounts.google.com"])
async def test_both_spellings_of_the_issuer_are_one_identity(iss: str) -> None:
    """Whichever the token uses, the person is the same."""
    async with open_case("google") as case:
        case.idp.faults.claims["iss"] = iss
        identity = await case.sign_in()
        assert identity.issuer == google.ISSUER
        assert (await case.refresh(identity)).issuer == google.ISSUER


@pytest.mark.parametrize(
    "iss", ["http://accounts.google.com", "https://accounts.google.com/", "accounts.google.com.evil.example", 7]
)
async def test_no_third_spelling_is_accepted(iss: Any) -> None:
    """Security rule B5: two strings, compared exactly."""
    async with open_case("google") as case:
        case.idp.faults.claims["iss"] = iss
        await case.is_refused("id_token_issuer")


async def test_the_callback_names_the_issuer_in_full() -> None:
    """Security rule B1; RFC 9207: the spelling of the metadata only."""
    async with open_case("google") as case:
        case.idp.faults.callback["iss"] = "accounts.google.com"
        await case.is_refused("callback_issuer")


@pytest.mark.parametrize(
    ("value", "verified"), [(True, True), ("true", True), (False, False), (ABSENT, False), ("yes", False)]
)
async def test_an_email_is_verified_in_both_of_googles_spellings(value: Any, verified: bool) -> None:  # noqa: FBT001 - a table
    """Security rule B10: the documentation's example has the text `true`."""
    async with open_case("google") as case:
        case.idp.faults.claims["email_verified"] = case.idp.faults.userinfo["email_verified"] = value
        assert (await case.sign_in()).email_verified == verified


@pytest.mark.parametrize(
    ("hd", "email", "verified"),
    [
        ("example.com", "a@example.com", True),
        ("EXAMPLE.com", "a@Example.COM", True),
        ("example.com", "a@other.example", False),
        ("example.com", "a@sub.example.com", False),
        (ABSENT, "a@gmail.com", False),
        (ABSENT, "a@example.com", False),
        (7, "a@example.com", False),
    ],
)
async def test_an_email_counts_only_where_the_hosted_domain_equals_its_own(hd: Any, email: str, verified: bool) -> None:  # noqa: FBT001 - a table
    """Security rule B10: Google speaks for nobody else's domain."""
    async with open_case("google", options={}) as case:
        case.idp.faults.claims |= {"hd": hd, "email": email}
        case.idp.faults.userinfo["hd"] = hd
        identity = await case.sign_in()
        assert (identity.email, identity.email_verified) == (email, verified)


async def test_without_an_address_there_is_none() -> None:
    """The scope may be left out."""
    async with open_case("google", options={}, scopes=("openid",)) as case:
        case.idp.faults.claims["email"] = case.idp.faults.userinfo["email"] = ABSENT
        assert (await case.sign_in()).email is None


@pytest.mark.parametrize(
    ("domains", "hd", "welcome"),
    [
        ("example.com", "example.com", True),
        ("example.com", "EXAMPLE.COM", True),
        ('["other.example", "Example.com"]', "example.com", True),
        ("other.example, example.com", "example.com", True),
        ("example.com", "other.example", False),
        ("example.com", "example.com.evil.example", False),
        ("example.com", "sub.example.com", False),
        ("example.com", ABSENT, False),
        ("example.com", None, False),
        ("example.com", ["example.com"], False),
        ("", ABSENT, True),
    ],
)
async def test_the_claim_decides_who_is_of_a_hosted_domain(domains: str, hd: Any, welcome: bool) -> None:  # noqa: FBT001 - a table
    """Setting HOSTED_DOMAINS: exact, and absent means of none; the request parameter is a hint to a page."""
    async with open_case("google", options={"hosted_domains": domains}) as case:
        case.idp.faults.claims["hd"] = case.idp.faults.userinfo["hd"] = hd
        if welcome:
            assert (await case.sign_in()).subject == "u-alice"
        else:
            await case.is_refused("hosted_domain", Fault.DENIED)


async def test_an_address_of_the_domain_is_not_an_account_of_the_domain() -> None:
    """Security rule B10: anybody can make a Google account with a foreign address."""
    async with open_case("google", options=ACME) as case:
        case.idp.faults.claims |= {"hd": ABSENT, "email": "ceo@example.com", "email_verified": True}
        case.idp.faults.userinfo["hd"] = ABSENT
        await case.is_refused("hosted_domain", Fault.DENIED)


async def test_an_account_that_left_the_domain_is_out_at_the_next_re_check() -> None:
    """Security rule B16."""
    async with open_case("google", options=ACME) as case:
        before = await case.sign_in()
        case.idp.faults.refreshed_claims["hd"] = "other.example"
        error = await case.no_refresh(before)
        assert (error.reason, error.fault) == ("hosted_domain", Fault.PERMANENT)


async def test_what_google_is_asked() -> None:
    """A refresh token at every login, a hint for the page, and nothing that it does not know."""
    sent = await asked({})
    assert (sent["access_type"], sent["prompt"], sent["scope"]) == ("offline", "consent", "openid profile email")
    assert not {"hd", "acr_values", "claims"} & set(sent)
    assert (await asked(ACME))["hd"] == "example.com"
    assert (await asked({"hosted_domains": "a.example,b.example"}))["hd"] == "*"
    assert (await asked({}, prompt=("select_account",)))["prompt"] == "select_account consent"
    assert (await asked({}, prompt=("login",)))["prompt"] == "select_account consent"


@pytest.mark.parametrize(
    ("mode", "access_type", "prompt"),
    [("consent", "offline", "consent"), ("silent", "offline", None), ("never", None, None)],
)
async def test_consent_can_be_left_out(mode: str, access_type: str | None, prompt: str | None) -> None:
    """Setting OFFLINE_ACCESS."""
    sent = await asked({"offline_access": mode})
    assert (sent.get("access_type"), sent.get("prompt")) == (access_type, prompt)


async def test_a_second_consent_without_a_refresh_token_lives_with_its_access_token() -> None:
    """Google gives one at the first consent only; UserInfo is asked as long as that works."""
    async with open_case("google", options=ACME) as case:
        case.idp.faults.token["refresh_token"] = ABSENT
        before = await case.sign_in()
        assert (await case.refresh(before)).tokens == before.tokens
        case.idp.faults.answers["userinfo"] = faulty.UNAUTHORIZED
        error = await case.no_refresh(before)
        assert (error.reason, error.fault) == ("no_refresh_token", Fault.INTERACTION)


async def test_a_refresh_without_refresh_token_and_id_token_keeps_both() -> None:
    """The refresh token stays the same for ever; UserInfo has `hd` too."""
    async with open_case("google", options=ACME) as case:
        before = await case.sign_in()
        case.idp.faults.rotation = False
        case.idp.faults.refresh |= {"id_token": ABSENT, "scope": SCOPE_URIS, "expires_in": 3599}
        after = await case.refresh(before)
        assert before.tokens is not None
        assert after.tokens is not None
        assert after.tokens.refresh_token == before.tokens.refresh_token
        assert after.tokens.id_token == before.tokens.id_token


async def test_a_revoked_refresh_token_ends_the_grant() -> None:
    """Security rule B16: the words of Google's token endpoint."""
    async with open_case("google") as case:
        before = await case.sign_in()
        case.idp.faults.answers["refresh"] = faulty.error(
            400, "invalid_grant", text="Token has been expired or revoked."
        )
        assert (await case.no_refresh(before)).fault is Fault.PERMANENT
        case.idp.faults.answers["refresh"] = faulty.error(401, "invalid_client", text="Unauthorized")
        assert (await case.no_refresh(before)).fault is Fault.OPERATOR


async def test_extra_parameters_of_the_callback_are_ignored() -> None:
    """`scope`, `authuser`, `hd`, `prompt` and whatever comes next."""
    async with open_case("google") as case:
        case.idp.faults.callback |= {"scope": SCOPE_URIS, "authuser": "0", "hd": "example.com", "prompt": "consent"}
        assert (await case.sign_in()).subject == "u-alice"


async def test_without_a_service_account_groups_are_unknown() -> None:
    """No token of Google's names them."""
    async with open_case("google", options={}) as case:
        case.idp.faults.claims["groups"] = ABSENT
        assert (await case.sign_in()).groups == Groups.unknown("not_configured")
        assert not case.idp.calls("userinfo")


def settings(options: dict[str, str]) -> ProviderSettings:
    """Return settings that are good."""
    return ProviderSettings(
        id="google", type="google", display_name="Google", issuer=google.ISSUER, client_id="broker", options=options
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"hosted_domains": "example"}, "HOSTED_DOMAINS must list domains"),
        ({"hosted_domains": "alice@example.com"}, "HOSTED_DOMAINS"),
        ({"hosted_domains": "[1]"}, "HOSTED_DOMAINS"),
        ({"hosted_domains": "[]"}, "HOSTED_DOMAINS"),
        ({"service_account_file": "/nowhere/key.json"}, "SERVICE_ACCOUNT_FILE must name the JSON key file"),
        ({"admin_subject": "admin@example.com"}, "ADMIN_SUBJECT needs the SERVICE_ACCOUNT_FILE"),
        ({"userinfo": "perhaps"}, "USERINFO"),
    ],
)
def test_settings_that_cannot_be_used_are_named(options: dict[str, str], named: str) -> None:
    """Security rule G16."""
    (sentence,) = google.TYPE.faults(settings(options))
    assert sentence.startswith(named)


def test_the_issuer_needs_no_setting() -> None:
    """Architecture, section 7: GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET are enough."""
    assert google.issuer_from({}) == google.ISSUER
    assert google.TYPE.faults(settings(ACME)) == ()


async def diagnosed(case: Case, name: str) -> tuple[Verdict, str]:
    """Return a check's status and mend."""
    (check,) = [c for c in await case.provider.check(REDIRECT_URI) if c.name == name]  # type: ignore[attr-defined]
    return check.status, f"{check.detail}; {check.fix}"


async def test_google_without_hosted_domains_is_told() -> None:
    """Everybody with an account could sign in."""
    async with open_case("google", options={}) as case:
        status, words = await diagnosed(case, "who may sign in")
        assert status is Verdict.WARN
        assert "set HOSTED_DOMAINS" in words
    async with open_case("google", options=ACME) as case:
        assert await diagnosed(case, "who may sign in") == (Verdict.OK, "accounts of example.com; ")


@pytest.mark.parametrize(
    "answer",
    [
        faulty.Answer(302, headers={"location": "https://accounts.google.com/signin/oauth/error?authError=CgZy"}),
        faulty.Answer(200, b"<title>Error 400: redirect_uri_mismatch</title>", "text/html"),
    ],
)
async def test_googles_own_error_page_means_an_unknown_redirect_uri(answer: faulty.Answer) -> None:
    """The mismatch is a page, never a callback."""
    async with open_case("google", options=ACME) as case:
        case.idp.faults.answers["authorize"] = answer
        status, words = await diagnosed(case, "redirect URI")
        assert status is Verdict.FAIL
        assert "Authorized redirect URIs" in words
