"""Contract: the person again, without the person (security rules B6, B10 to B14, B16; OpenID Connect Core section 12)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from providers.base import Fault, Groups, RefreshesIdentity
from tests.providers import scripted_faults as faulty
from tests.providers.case import START, Case
from tests.providers.scripted_faults import ABSENT
from tests.providers.scripted_idp import Person


async def test_a_refresh_vouches_for_the_same_person_with_new_tokens(case: Case) -> None:
    """Core section 12.2; what a sign-in was, a refresh does not change."""
    before = await case.sign_in()
    case.clock.value += 900
    after = await case.refresh(before)
    assert (after.issuer, after.subject, after.sid) == (before.issuer, before.subject, before.sid)
    assert (after.auth_time, after.auth_time_stated) == (START - 5, True)
    assert (after.acr, after.amr) == (before.acr, before.amr)
    assert after.tokens is not None
    assert before.tokens is not None
    assert after.tokens.access_token != before.tokens.access_token
    assert after.tokens.refresh_token != before.tokens.refresh_token
    assert (await case.refresh(after)).subject == "u-alice"


@pytest.mark.parametrize(("told", "sid"), [("sid-2", "sid-2"), (ABSENT, "sid-u-alice"), (7, "sid-u-alice")], ids=repr)
async def test_the_session_there_is_the_one_that_was_told_last(case: Case, told: Any, sid: str) -> None:
    """Back-Channel Logout section 2.4: by its `sid` a token finds what to end; an answer that names none leaves what was known."""
    before = await case.sign_in()
    case.idp.faults.refreshed_claims["sid"] = told
    assert (await case.refresh(before)).sid == sid


async def test_groups_email_and_name_are_read_again(case: Case) -> None:
    """Security rule B16: who changed teams has other groups at the next re-check."""
    before = await case.sign_in()
    alice = case.idp.people["alice"]
    changed = {"groups": ["/sales"], "email": "new@example.com", "email_verified": False, "name": "Alice B"}
    case.idp.people["alice"] = Person(alice.sub, {**alice.claims, **changed})
    after = await case.refresh(before)
    assert after.groups == Groups.known(("/sales",))
    assert (after.email, after.email_verified, after.name) == ("new@example.com", False, "Alice B")


async def test_a_refresh_without_an_id_token_asks_userinfo(case: Case) -> None:
    """Core section 12.2: the ID token is optional; what it would say is asked for."""
    before = await case.sign_in()
    case.idp.faults.refresh["id_token"] = ABSENT
    alice = case.idp.people["alice"]
    case.idp.people["alice"] = Person(alice.sub, {**alice.claims, "groups": []})
    after = await case.refresh(before)
    assert after.groups == Groups.known(())
    assert before.tokens is not None
    assert after.tokens is not None
    assert after.tokens.id_token == before.tokens.id_token


@pytest.mark.parametrize("answer", [faulty.UNAUTHORIZED, faulty.FORBIDDEN])
async def test_a_refresh_after_which_nobody_says_who_it_is_about_vouches_for_nobody(
    case: Case, answer: faulty.Answer
) -> None:
    """Security rule B16: GitLab's library renews the tokens of a blocked person, without an ID token, and closes UserInfo to them."""
    before = await case.sign_in()
    case.idp.faults.refresh["id_token"] = ABSENT
    case.idp.faults.answers["userinfo"] = answer
    error = await case.no_refresh(before)
    assert (error.fault, error.reason) == (Fault.INTERACTION, "userinfo_refused")
    assert error.tokens is not None


async def test_without_a_new_refresh_token_the_old_one_stays(case: Case) -> None:
    """RFC 6749 section 6: Google and Cognito give none."""
    before = await case.sign_in()
    case.idp.faults.rotation = False
    after = await case.refresh(before)
    assert before.tokens is not None
    assert after.tokens is not None
    assert after.tokens.refresh_token == before.tokens.refresh_token
    assert (await case.refresh(after)).subject == "u-alice"


async def test_somebody_disabled_is_refused_for_good(case: Case) -> None:
    """Security rule B16."""
    before = await case.sign_in()
    case.idp.disabled.add("alice")
    error = await case.no_refresh(before)
    assert (error.fault, error.reason, error.tokens) == (Fault.PERMANENT, "invalid_grant", None)


async def test_a_rotated_token_used_again_is_refused_for_good(case: Case) -> None:
    """Security rule B14: which is why one replica refreshes at a time."""
    before = await case.sign_in()
    await case.refresh(before)
    assert (await case.no_refresh(before)).reason == "invalid_grant"


@pytest.mark.parametrize(
    ("answer", "reason", "fault"),
    [
        (faulty.error(400, "invalid_grant"), "invalid_grant", Fault.PERMANENT),
        (faulty.error(200, "invalid_grant"), "invalid_grant", Fault.PERMANENT),
        (faulty.error(400, "interaction_required"), "interaction_required", Fault.INTERACTION),
        (faulty.error(400, "consent_required"), "consent_required", Fault.INTERACTION),
        (faulty.error(400, "login_required"), "login_required", Fault.INTERACTION),
        (faulty.error(403, "access_denied"), "access_denied", Fault.PERMANENT),
        (faulty.error(401, "invalid_client"), "invalid_client", Fault.OPERATOR),
        (faulty.error(401, "unauthorized_client"), "unauthorized_client", Fault.OPERATOR),
        (faulty.error(400, "temporarily_unavailable"), "temporarily_unavailable", Fault.TRANSIENT),
        (faulty.error(503, "invalid_grant"), "token_unavailable", Fault.TRANSIENT),
        (faulty.DOWN, "token_unavailable", Fault.TRANSIENT),
        (faulty.THROTTLED, "token_unavailable", Fault.TRANSIENT),
        (faulty.EMPTY_400, "token_refused", Fault.PERMANENT),
        (faulty.UNAUTHORIZED, "token_unauthorized", Fault.OPERATOR),
        (faulty.HTML, "token_response", Fault.PROTOCOL),
        (faulty.FORBIDDEN, "token_response", Fault.PROTOCOL),  # of a proxy on the way: no word about the person
        (faulty.error(400, "upstream words"), "token_error", Fault.PROTOCOL),
    ],
)
async def test_a_refused_refresh_says_who_can_do_what(
    case: Case, answer: faulty.Answer, reason: str, fault: Fault
) -> None:
    """Security rule B12; dead for good, the person's turn, later, or ours to mend."""
    before = await case.sign_in()
    case.idp.faults.answers["refresh"] = answer
    error = await case.no_refresh(before)
    assert (error.reason, error.fault, error.tokens) == (reason, fault, None)


@pytest.mark.parametrize(
    ("claims", "reason", "fault"),
    [
        ({"sub": "u-bob"}, "subject_changed", Fault.PERMANENT),
        ({"iss": "https://evil.example"}, "id_token_issuer", Fault.PROTOCOL),
        ({"aud": "another-client", "azp": ABSENT}, "id_token_audience", Fault.PROTOCOL),
        ({"azp": "another-client"}, "id_token_azp", Fault.PROTOCOL),
        ({"exp": START - 60}, "id_token_expired", Fault.PROTOCOL),
        ({"iat": START + 61}, "id_token_iat", Fault.PROTOCOL),
        ({"sub": ""}, "id_token_subject", Fault.PROTOCOL),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "id_token_at_hash", Fault.PROTOCOL),
        ({"act": {"sub": "administrator"}}, "id_token_act", Fault.PROTOCOL),
        ({"nonce": "of another login"}, "id_token_nonce", Fault.PROTOCOL),
        ({"events": {}}, "id_token_events", Fault.PROTOCOL),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_refreshed_id_token_is_for_the_same_person_client_and_login(
    case: Case, claims: dict[str, Any], reason: str, fault: Fault
) -> None:
    """Security rules B5, B11; Core section 12.2: and the new tokens are not lost over it (rule B14)."""
    before = await case.sign_in()
    case.idp.faults.refreshed_claims |= claims
    error = await case.no_refresh(before)
    assert (error.reason, error.fault) == (reason, fault)
    assert error.tokens is not None
    assert before.tokens is not None
    assert error.tokens.refresh_token != before.tokens.refresh_token
    case.idp.faults.refreshed_claims.clear()
    assert (await case.refresh(dataclasses.replace(before, tokens=error.tokens))).subject == "u-alice"


async def test_a_bad_signature_on_a_refreshed_id_token_is_refused(case: Case) -> None:
    """Security rule B5."""
    before = await case.sign_in()
    case.idp.faults.bad_signature = True
    assert (await case.no_refresh(before)).reason == "signature"


async def test_a_refreshed_id_token_may_repeat_the_nonce(case: Case) -> None:
    """Core section 12.2: it should not be there, and must be the same if it is."""
    before = await case.sign_in()
    nonce = case.idp.calls("authorize")[0].params["nonce"]
    case.idp.faults.refreshed_claims["nonce"] = nonce
    after = await case.refresh(before)
    case.idp.faults.refreshed_claims.clear()
    after = await case.refresh(after)  # the kept ID token has no nonce now
    case.idp.faults.refreshed_claims["nonce"] = "of another login"
    assert (await case.refresh(after)).subject == "u-alice"


async def test_a_kept_id_token_that_cannot_be_read_any_more_costs_nothing(case: Case) -> None:
    """It only says which nonce the sign-in had."""
    before = await case.sign_in()
    assert before.tokens is not None
    kept = dataclasses.replace(before, tokens=dataclasses.replace(before.tokens, id_token="not.a.token"))
    assert (await case.refresh(kept)).subject == "u-alice"


async def test_userinfo_about_somebody_else_ends_the_grant(case: Case) -> None:
    """Security rule B6."""
    before = await case.sign_in()
    case.idp.faults.refresh["id_token"] = ABSENT
    case.idp.faults.userinfo["sub"] = "u-bob"
    error = await case.no_refresh(before)
    assert (error.reason, error.fault) == ("subject_changed", Fault.PERMANENT)


@pytest.mark.parametrize("claims", [{"auth_time": START + 900}, {"auth_time": ABSENT}, {"acr": "9", "amr": ["x"]}])
async def test_a_refresh_never_makes_a_sign_in_younger_or_stronger(case: Case, claims: dict[str, Any]) -> None:
    """Core section 12.2: the time of the original authentication; nobody sat there when it was refreshed."""
    before = await case.sign_in()
    case.clock.value += 900
    case.idp.faults.refreshed_claims |= claims
    after = await case.refresh(before)
    assert (after.auth_time, after.acr, after.amr) == (before.auth_time, before.acr, before.amr)


async def test_groups_are_unknown_again_where_nothing_says_them(case: Case) -> None:
    """Unknown fails closed; what was known before is for the broker to keep, within bounds."""
    before = await case.sign_in()
    case.idp.faults.refreshed_claims["groups"] = ABSENT
    case.idp.faults.answers["userinfo"] = faulty.FORBIDDEN
    after = await case.refresh(before)
    assert after.groups == Groups.unknown("userinfo_refused")
    assert after.email == before.email


async def test_a_userinfo_that_is_down_after_the_rotation_loses_no_token(case: Case) -> None:
    """Security rule B14: the error carries what to keep."""
    before = await case.sign_in()
    case.idp.faults.refresh["id_token"] = ABSENT
    case.idp.faults.answers["userinfo"] = faulty.DOWN
    error = await case.no_refresh(before)
    assert (error.fault, error.reason) == (Fault.TRANSIENT, "userinfo_unavailable")
    case.idp.faults.answers.clear()
    case.idp.faults.refresh.clear()
    assert (await case.refresh(dataclasses.replace(before, tokens=error.tokens))).subject == "u-alice"


async def test_without_a_refresh_token_userinfo_is_asked_while_the_access_token_lives(case: Case) -> None:
    """Rule B16: the person must sign in again when it is over."""
    case.idp.faults.token["refresh_token"] = ABSENT
    before = await case.sign_in()
    after = await case.refresh(before)
    assert (after.subject, after.groups, after.tokens) == (before.subject, before.groups, before.tokens)
    case.idp.disabled.add("alice")
    error = await case.no_refresh(before)
    assert (error.fault, error.reason) == (Fault.INTERACTION, "no_refresh_token")


async def test_without_a_refresh_token_a_userinfo_that_is_down_ends_nothing(case: Case) -> None:
    """An outage is no verdict about a person."""
    case.idp.faults.token["refresh_token"] = ABSENT
    before = await case.sign_in()
    case.idp.faults.answers["userinfo"] = faulty.DOWN
    assert (await case.no_refresh(before)).fault is Fault.TRANSIENT
    case.idp.faults.answers.clear()
    case.idp.faults.userinfo["sub"] = "u-bob"
    assert (await case.no_refresh(before)).reason == "subject_changed"


async def test_without_refresh_token_and_userinfo_the_person_signs_in_again(case: Case) -> None:
    """Nobody is there to ask."""
    case.idp.faults.token["refresh_token"] = ABSENT
    case.idp.faults.discovery["userinfo_endpoint"] = ABSENT
    before = await case.sign_in()
    assert (await case.no_refresh(before)).reason == "no_refresh_token"


async def test_sessions_keep_tokens_of_their_own(case: Case) -> None:
    """Security rule B14: two logins of one person refresh side by side."""
    first, second = await case.sign_in(), await case.sign_in()
    assert isinstance(case.provider, RefreshesIdentity)
    assert not case.provider.shares_tokens
    await case.refresh(first)
    assert (await case.refresh(second)).subject == "u-alice"


async def test_a_refresh_token_goes_to_the_token_endpoint_only(case: Case) -> None:
    """Security rule B13."""
    before = await case.sign_in()
    assert before.tokens is not None
    await case.refresh(before)
    holders = [call.endpoint for call in case.idp.requests if before.tokens.refresh_token in call.params.values()]
    assert holders == ["token"]
    assert before.tokens.refresh_token is not None
    assert before.tokens.refresh_token not in repr((before, vars(case.provider)))
