"""The re-check, and what Entra's numbers mean (security rules B12, B14, B16)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.base import Fault, Groups
from providers.entra_errors import token_error
from tests.providers import scripted_faults as faulty
from tests.providers.entra.case import EntraCase, open_entra
from tests.providers.entra.scripted_entra import CONTOSO, FABRIKAM, SALES, Directory
from tests.providers.scripted_faults import ABSENT
from tests.providers.values import JSON_VALUES

NUMBERS = [
    (50057, "invalid_grant", Fault.PERMANENT, "user_disabled"),
    (50173, "invalid_grant", Fault.PERMANENT, "grant_revoked"),
    (50133, "invalid_grant", Fault.PERMANENT, "grant_revoked"),
    (700082, "invalid_grant", Fault.PERMANENT, "grant_expired"),
    (70008, "invalid_grant", Fault.PERMANENT, "grant_expired"),
    (54005, "invalid_grant", Fault.PERMANENT, "code_redeemed"),
    (50105, "invalid_grant", Fault.PERMANENT, "user_not_assigned"),
    (50020, "interaction_required", Fault.PERMANENT, "account_not_in_tenant"),
    (90072, "invalid_grant", Fault.PERMANENT, "account_not_in_tenant"),
    (53003, "interaction_required", Fault.INTERACTION, "conditional_access"),
    (50076, "interaction_required", Fault.INTERACTION, "mfa_required"),
    (50079, "invalid_grant", Fault.INTERACTION, "mfa_required"),
    (50158, "interaction_required", Fault.INTERACTION, "mfa_required"),
    (70043, "invalid_grant", Fault.INTERACTION, "sign_in_too_old"),
    (65001, "invalid_grant", Fault.INTERACTION, "consent_required"),
    (50055, "invalid_grant", Fault.INTERACTION, "password_expired"),
    (7000215, "invalid_client", Fault.OPERATOR, "client_secret_wrong"),
    (7000222, "invalid_client", Fault.OPERATOR, "client_secret_expired"),
    (700027, "invalid_client", Fault.OPERATOR, "client_assertion_refused"),
    (700016, "unauthorized_client", Fault.OPERATOR, "client_not_in_tenant"),
    (50011, "invalid_request", Fault.OPERATOR, "redirect_uri_mismatch"),
    (70011, "invalid_scope", Fault.OPERATOR, "invalid_scope"),
    (500011, "invalid_resource", Fault.OPERATOR, "resource_refused"),
    (50196, "invalid_grant", Fault.TRANSIENT, "throttled"),
    (90033, "invalid_grant", Fault.TRANSIENT, "unavailable"),
    (999999, "invalid_resource", Fault.OPERATOR, "resource_refused"),
    (999999, "invalid_grant", Fault.PERMANENT, "invalid_grant"),
    (999999, "interaction_required", Fault.INTERACTION, "interaction_required"),
    (999999, "upstream words", Fault.PROTOCOL, "token_error"),
]


@pytest.mark.parametrize(("number", "error", "fault", "reason"), NUMBERS)
async def test_a_number_says_more_than_the_error_beside_it(
    entra: EntraCase, number: int, error: str, fault: Fault, reason: str
) -> None:
    """Security rules B12, B16: who can do what about it, at a login and at a re-check; an unknown number leaves it to the error."""
    identity = await entra.sign_in()
    entra.idp.number, entra.idp.error = number, error
    refused = await entra.no_refresh(identity)
    assert (refused.fault, refused.reason, refused.tokens) == (fault, reason, None)
    await entra.is_refused(reason, fault)


async def test_a_claims_challenge_ends_the_grant_with_its_reason(entra: EntraCase) -> None:
    """Facts, section 1.4: `interaction_required` with `claims`; only a person can meet it."""
    identity = await entra.sign_in()
    challenge = entra.idp.aadsts(50076, "interaction_required", claims='{"access_token":{"capolids":{}}}', suberror="x")
    entra.idp.faults.answers["token"] = challenge
    assert (await entra.no_refresh(identity)).fault is Fault.INTERACTION


async def test_a_refresh_reads_everything_anew_and_keeps_the_sign_in(entra: EntraCase) -> None:
    """Security rule B16; scopes of one resource, which the scripted service insists on. The old refresh token stays good."""
    entra.idp.faults.claims["acrs"] = ["c1"]
    known = await entra.sign_in()
    entra.clock.value += 3600
    entra.idp.directory["pairwise-alice"] = Directory([SALES])
    entra.idp.faults.claims |= {"roles": ["Admin"], "name": "Alice B"}
    found = await entra.refresh(known)
    assert (found.issuer, found.subject, found.auth_time, found.acr) == (
        known.issuer,
        known.subject,
        known.auth_time,
        "c1",
    )
    assert found.groups == Groups.known((SALES,))
    assert found.attributes == {"tenant": (CONTOSO,), "role": ("Admin",)}
    assert found.name == "Alice B"
    assert found.tokens is not None
    assert found.tokens != known.tokens
    assert (await entra.refresh(known)).subject == known.subject


async def test_a_refresh_without_an_id_token_knows_no_tenant_and_no_role(entra: EntraCase) -> None:
    """What is not said again is unknown; groups come from Graph all the same."""
    known = await entra.sign_in()
    entra.idp.faults.refresh["id_token"] = ABSENT
    found = await entra.refresh(known)
    assert (found.subject, found.attributes) == (known.subject, {})
    assert found.groups == known.groups


async def test_a_disabled_person_is_out(entra: EntraCase) -> None:
    """Security rule B16: at the next re-check."""
    known = await entra.sign_in()
    entra.idp.disabled.add("alice")
    error = await entra.no_refresh(known)
    assert (error.fault, error.reason) == (Fault.PERMANENT, "user_disabled")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"oid": "22222222-0000-4000-8000-000000000000"}, "subject_changed"),
        ({"tid": FABRIKAM, "iss": f"https://login.microsoftonline.com/{FABRIKAM}/v2.0"}, "subject_changed"),
        ({"tid": FABRIKAM}, "id_token_issuer"),
    ],
    ids=str,
)
async def test_somebody_else_is_not_this_person(claims: dict[str, Any], reason: str) -> None:
    """Security rules B9, B14: never somebody else's session."""
    async with open_entra("organizations") as entra:
        known = await entra.sign_in()
        entra.idp.faults.refreshed_claims |= claims
        assert (await entra.no_refresh(known)).reason == reason


async def test_a_tenant_that_is_allowed_no_more_is_out() -> None:
    """Security rules B9, B16: the settings of now decide; what said no is a rule, not the person."""
    async with (
        open_entra("organizations", options={"allowed_tenants": FABRIKAM}) as entra,
        open_entra("organizations") as before,
    ):
        known = await before.as_("alice")
        entra.idp._sessions, entra.idp._tokens = before.idp._sessions, before.idp._tokens
        error = await entra.no_refresh(known)
        assert (error.fault, error.reason) == (Fault.PERMANENT, "tenant_not_allowed")


@pytest.mark.parametrize("answer", [faulty.DOWN, faulty.THROTTLED])
async def test_an_outage_keeps_the_grant(entra: EntraCase, answer: faulty.Answer) -> None:
    """Security rule B16."""
    known = await entra.sign_in()
    entra.idp.faults.answers["token"] = answer
    assert (await entra.no_refresh(known)).fault is Fault.TRANSIENT


async def test_without_a_refresh_token_the_person_must_come_again(entra: EntraCase) -> None:
    """No `offline_access`: nothing else would tell that somebody left."""
    entra.idp.faults.token["refresh_token"] = ABSENT
    error = await entra.no_refresh(await entra.sign_in())
    assert (error.fault, error.reason) == (Fault.INTERACTION, "no_refresh_token")


@given(
    st.dictionaries(
        st.sampled_from(["error", "error_codes", "suberror", "claims"]), JSON_VALUES | st.just([50057, "x"])
    )
)
def test_no_refusal_makes_the_reading_fail(answer: dict[str, Any]) -> None:
    """Security rule B12."""
    found = token_error(answer)
    assert found is None or found.reason.replace("_", "").isalpha()
