"""Contract: tokens given back (RFC 7009; security rules B12, B13)."""

from __future__ import annotations

import pytest

from providers.base import Fault, RevokesTokens, UpstreamError, UpstreamIdentity
from tests.providers import scripted_faults as faulty
from tests.providers.case import Case, ended, judged
from tests.providers.scripted_faults import ABSENT


async def give_back(case: Case, identity: UpstreamIdentity) -> bool:
    """Give the tokens of a sign-in back; tell whether there was a place for them."""
    assert isinstance(case.provider, RevokesTokens)
    assert identity.tokens is not None
    return await case.provider.revoke(identity.tokens)


async def test_a_refresh_token_given_back_is_dead(case: Case) -> None:
    """RFC 7009 section 2.1: the broker authenticates, and sends one token."""
    identity, other = await case.sign_in(), await case.sign_in()
    assert await give_back(case, identity)
    (call,) = case.idp.calls("revoke")
    assert identity.tokens is not None
    assert call.params["token"] == identity.tokens.refresh_token
    assert call.params["token_type_hint"] == "refresh_token"
    assert (await case.no_refresh(identity)).reason == "invalid_grant"
    assert (await case.refresh(other)).subject == "u-alice"


async def test_without_a_refresh_token_the_access_token_is_given_back(case: Case) -> None:
    """RFC 7009 section 2.1."""
    case.idp.faults.token["refresh_token"] = ABSENT
    identity = await case.sign_in()
    await give_back(case, identity)
    assert (await case.no_refresh(identity)).reason == "no_refresh_token"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (faulty.error(400, "invalid_token"), None),
        (faulty.error(400, "invalid_grant"), None),
        (faulty.error(401, "invalid_client"), ("invalid_client", Fault.OPERATOR)),
        (faulty.error(400, "unsupported_token_type"), ("revocation_refused", Fault.OPERATOR)),
        (faulty.EMPTY_400, ("token_refused", Fault.OPERATOR)),
        (faulty.NOT_FOUND, ("token_status", Fault.OPERATOR)),
        (faulty.DOWN, ("revocation_unavailable", Fault.TRANSIENT)),
        (faulty.THROTTLED, ("revocation_unavailable", Fault.TRANSIENT)),
    ],
)
async def test_a_token_that_was_dead_is_given_back_and_any_other_refusal_is_told(
    case: Case, answer: faulty.Answer, outcome: tuple[str, Fault] | None
) -> None:
    """RFC 7009 section 2.2; security rule B12."""
    identity = await case.sign_in()
    case.idp.faults.answers["revoke"] = answer
    if outcome is None:
        assert await give_back(case, identity)
    else:
        error: UpstreamError = judged(await ended(give_back(case, identity)))
        assert (error.reason, error.fault) == outcome


@pytest.mark.parametrize("endpoint", [ABSENT, "http://idp.example.test/revoke", 7])
async def test_without_a_safe_place_nothing_is_given_back(case: Case, endpoint: object) -> None:
    """Security rules B7, B13: no token goes anywhere unsafe."""
    case.idp.faults.discovery["revocation_endpoint"] = endpoint
    identity = await case.sign_in()
    assert not await give_back(case, identity)
    assert not case.idp.calls("revoke")
