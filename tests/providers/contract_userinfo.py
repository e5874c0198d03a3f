"""Contract: UserInfo, groups and e-mail (security rules B6, B10)."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Fault, Groups
from tests.naming import stable
from tests.providers import scripted_faults as faulty
from tests.providers.case import START, Case
from tests.providers.scripted_faults import ABSENT


async def test_userinfo_about_somebody_else_ends_the_login(case: Case) -> None:
    """Security rule B6; OpenID Connect Core section 5.3.4."""
    case.idp.faults.thin_id_token = True
    for sub in ("u-bob", ABSENT, None, 7, ["u-alice"]):
        case.idp.faults.userinfo["sub"] = sub
        await case.is_refused("userinfo_subject")


async def test_userinfo_fills_in_what_a_thin_id_token_lacks(case: Case) -> None:
    """OpenID Connect Core section 5.3."""
    case.idp.faults.thin_id_token = True
    identity = await case.sign_in()
    assert (identity.email, identity.email_verified, identity.name) == ("alice@example.com", True, "Alice A")
    assert identity.groups == Groups.known(("/eng", "/eng/platform"))
    assert len(case.idp.calls("userinfo")) == 1


async def test_userinfo_is_not_asked_for_what_the_id_token_says(case: Case) -> None:
    """One request less in every login."""
    await case.sign_in()
    assert not case.idp.calls("userinfo")


async def test_signed_userinfo_is_verified_like_an_id_token(case: Case) -> None:
    """OpenID Connect Core section 5.3.2."""
    case.idp.faults.thin_id_token = case.idp.faults.signed_userinfo = True
    assert (await case.sign_in()).email == "alice@example.com"
    for changes in ({"aud": "another"}, {"iss": "https://evil.example"}):
        case.idp.faults.userinfo = dict(changes)
        await case.is_refused("userinfo_audience")
    case.idp.faults.userinfo = {"exp": START - 60}
    await case.is_refused("userinfo_expired")


@pytest.mark.parametrize(
    ("answer", "reason", "fault"),
    [
        (faulty.DOWN, "userinfo_unavailable", Fault.TRANSIENT),
        (faulty.THROTTLED, "userinfo_unavailable", Fault.TRANSIENT),
        (faulty.HTML, "userinfo_not_json", Fault.PROTOCOL),
        (faulty.OVERSIZED, "too_large", Fault.PROTOCOL),
        (faulty.REDIRECT, "userinfo_status", Fault.OPERATOR),
        (faulty.Answer(200, b"not.a", "application/jwt"), "token_malformed", Fault.PROTOCOL),
        (faulty.Answer(200, b'{"sub": "u-alice", "sub": "u-bob"}'), "userinfo_not_json", Fault.PROTOCOL),
    ],
)
async def test_a_userinfo_answer_that_is_none_ends_the_login(
    case: Case, answer: faulty.Answer, reason: str, fault: Fault
) -> None:
    """Security rule B6: nothing is guessed in its place."""
    case.idp.faults.thin_id_token = True
    case.idp.faults.answers["userinfo"] = answer
    await case.is_refused(reason, fault)


@pytest.mark.parametrize("answer", [faulty.FORBIDDEN, faulty.UNAUTHORIZED])
async def test_groups_are_unknown_where_userinfo_is_closed_to_us(case: Case, answer: faulty.Answer) -> None:
    """Group data is complete, empty or unknown; unknown fails closed."""
    case.idp.faults.thin_id_token = True
    case.idp.faults.answers["userinfo"] = answer
    identity = await case.sign_in()
    assert identity.groups == Groups.unknown("userinfo_refused")
    assert identity.email is None


@pytest.mark.parametrize(
    ("groups", "read"),
    [
        (["a", "b", "a"], Groups.known(("a", "b"))),
        ([], Groups.known(())),
        ("Domain Users", Groups.known(("Domain Users",))),
        ("a,b", Groups.unknown("claim_malformed")),
        ('["a"]', Groups.unknown("claim_malformed")),
        ("", Groups.unknown("claim_malformed")),
        ([1], Groups.unknown("claim_malformed")),
        ([""], Groups.unknown("claim_malformed")),
        ({"a": 1}, Groups.unknown("claim_malformed")),
        (True, Groups.unknown("claim_malformed")),
        (ABSENT, Groups.unknown("claim_absent")),
        (None, Groups.unknown("claim_absent")),
    ],
    ids=stable,
)
async def test_groups_are_complete_empty_or_unknown(case: Case, groups: Any, read: Groups) -> None:
    """Architecture, section 5: an absent claim is unknown, an empty list is empty."""
    case.idp.faults.claims["groups"] = case.idp.faults.userinfo["groups"] = groups
    assert (await case.sign_in()).groups == read


@pytest.mark.parametrize(
    ("value", "verified"),
    [
        (True, True),
        ("true", True),
        (False, False),
        ("false", False),
        (ABSENT, False),
        (None, False),
        (1, False),
        ("True", False),
    ],
)
async def test_an_email_is_verified_only_as_true_or_the_text_true(case: Case, value: Any, verified: bool) -> None:  # noqa: FBT001 - a table
    """Security rule B10."""
    case.idp.faults.claims["email_verified"] = case.idp.faults.userinfo["email_verified"] = value
    identity = await case.sign_in()
    assert (identity.email, identity.email_verified) == ("alice@example.com", verified)


async def test_a_verified_flag_never_moves_to_another_sources_address(case: Case) -> None:
    """Security rule B10: address and flag are read from one source together."""
    case.idp.faults.claims |= {"email": "claimed@example.com", "email_verified": ABSENT, "groups": ABSENT}
    case.idp.faults.userinfo |= {"email": "proved@example.com", "email_verified": True}
    identity = await case.sign_in()
    assert (identity.email, identity.email_verified) == ("proved@example.com", True)
    case.idp.faults.claims |= {"email_verified": False}
    identity = await case.sign_in()
    assert (identity.email, identity.email_verified) == ("claimed@example.com", False)


async def test_the_same_address_is_not_the_same_person(case: Case) -> None:
    """Security rule B10: identity is issuer and subject."""
    first = await case.sign_in()
    case.idp.sign_in_as = "bob"
    case.idp.faults.claims |= {"email": first.email, "email_verified": True}
    second = await case.sign_in()
    assert second.email == first.email
    assert second.subject != first.subject
