"""Who somebody is: tenants, templates, keys (facts, section 1.4; security rules B9 and B10)."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Fault, Groups
from providers.entra_settings import PERSONAL
from tests.providers.case import START
from tests.providers.entra.case import EntraCase, open_entra
from tests.providers.entra.scripted_entra import ALICE, AUTHORITY, CONTOSO, FABRIKAM, PLATFORM, SALES, STRANGERS
from tests.providers.scripted_faults import ABSENT


async def test_a_person_is_tenant_and_object_id(entra: EntraCase) -> None:
    """Security rules B9, B10: `sub` differs from app to app, addresses and names are what somebody typed."""
    identity = await entra.sign_in()
    assert (identity.issuer, identity.subject) == (f"{AUTHORITY}/{CONTOSO}/v2.0", f"{CONTOSO}:{ALICE}")
    assert identity.attributes == {"tenant": (CONTOSO,)}
    assert (identity.name, identity.sid) == ("Alice", "sid-pairwise-alice")
    assert identity.groups == Groups.known((PLATFORM, SALES))
    assert (identity.auth_time, identity.auth_time_stated) == (START, False)
    assert identity.tokens is not None
    assert identity.tokens.expires_in == 3599


async def test_a_renamed_person_is_the_same_and_one_with_their_name_is_not(entra: EntraCase) -> None:
    """Security rule B10."""
    before = await entra.sign_in()
    entra.idp.faults.claims |= {
        "preferred_username": "new@example.com",
        "email": "new@example.com",
        "sub": "pairwise-2",
    }
    assert (await entra.sign_in()).subject == before.subject
    entra.idp.faults.claims |= {"sub": "pairwise-alice", "oid": "22222222-0000-4000-8000-000000000000"}
    assert (await entra.sign_in()).subject != before.subject


@pytest.mark.parametrize("tenant", ["organizations", "common"])
async def test_a_shared_endpoint_knows_people_by_their_own_tenants_issuer(tenant: str) -> None:
    """Security rule B9: the same person whether the broker asks one tenant's endpoint or the shared one."""
    async with open_entra(tenant) as shared, open_entra() as single:
        one, other = await shared.as_("alice"), await single.as_("alice")
        assert (one.issuer, one.subject) == (other.issuer, other.subject)
        frank = await shared.as_("frank")
        assert frank.issuer == f"{AUTHORITY}/{FABRIKAM}/v2.0"
        assert frank.attributes == {"tenant": (FABRIKAM,)}


async def test_only_people_of_allowed_tenants_sign_in() -> None:
    """Security rule B9: `tid` on the allow-list, compared without case."""
    async with open_entra("organizations", options={"allowed_tenants": f"{CONTOSO}, {FABRIKAM.upper()}"}) as entra:
        assert (await entra.as_("alice")).attributes["tenant"] == (CONTOSO,)
        assert (await entra.as_("frank")).attributes["tenant"] == (FABRIKAM,)
        error = await entra.refused_as("mallory")
        assert (error.reason, error.fault) == ("tenant_not_allowed", Fault.DENIED)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"tid": FABRIKAM}, "id_token_issuer"),
        ({"tid": STRANGERS, "iss": f"{AUTHORITY}/{CONTOSO}/v2.0"}, "id_token_issuer"),
        ({"tid": ABSENT}, "id_token_tenant"),
        ({"tid": "contoso.com", "iss": f"{AUTHORITY}/contoso.com/v2.0"}, "id_token_tenant"),
        ({"tid": f"{CONTOSO}/../{STRANGERS}"}, "id_token_tenant"),
        ({"tid": 7}, "id_token_tenant"),
        ({"iss": f"https://sts.windows.net/{CONTOSO}/", "ver": "1.0"}, "id_token_issuer"),
        ({"iss": f"{AUTHORITY}/{CONTOSO}/v2.0/"}, "id_token_issuer"),
        ({"iss": f"{AUTHORITY}/{{tenantid}}/v2.0"}, "id_token_issuer"),
        ({"iss": f"https://login.microsoftonline.us/{CONTOSO}/v2.0"}, "id_token_issuer"),
        ({"oid": ABSENT}, "id_token_object_id"),
        ({"oid": "alice"}, "id_token_object_id"),
    ],
    ids=str,
)
async def test_tenant_issuer_and_object_id_agree_or_nobody_signs_in(claims: dict[str, Any], reason: str) -> None:
    """Security rule B9: the template filled from a GUID `tid`, exactly; a version 1.0 token is another issuer's."""
    async with open_entra("organizations") as entra:
        entra.idp.faults.claims |= claims
        await entra.is_refused(reason)


@pytest.mark.parametrize("name", ["frank", "mallory"])
async def test_one_tenants_endpoint_knows_its_own_people_only(entra: EntraCase, name: str) -> None:
    """Security rule B9: whatever a foreign tenant's token says, it is not ours."""
    assert (await entra.refused_as(name)).reason == "id_token_tenant"


@pytest.mark.parametrize(
    ("key_issuer", "name", "reason"),
    [
        (f"{AUTHORITY}/{PERSONAL}/v2.0", "alice", "key_issuer"),
        (f"{AUTHORITY}/{FABRIKAM}/v2.0", "alice", "key_issuer"),
        ("https://login.microsoftonline.us/{tenantid}/v2.0", "alice", "key_issuer"),
        (ABSENT, "alice", "key_issuer"),
        (["not", "text"], "alice", "jwks_unusable"),
        (f"{AUTHORITY}/{PERSONAL}/v2.0", "personal", None),
        (f"{AUTHORITY}/{CONTOSO}/v2.0", "alice", None),
    ],
    ids=str,
)
async def test_a_key_signs_for_the_issuer_that_it_names(key_issuer: Any, name: str, reason: str | None) -> None:
    """Security rule B9: the key of personal accounts is worth nothing for a company's tenant, and one without issuer nothing here."""
    async with open_entra("common") as entra:
        entra.idp.key_issuer = key_issuer
        if reason is None:
            assert (await entra.as_(name)).subject
        else:
            assert (await entra.refused_as(name)).reason == reason


async def test_a_key_without_issuer_serves_at_one_tenants_endpoint(entra: EntraCase) -> None:
    """Security rule B9: there the endpoint itself names the tenant; a key that names another is refused all the same."""
    entra.idp.key_issuer = ABSENT
    assert (await entra.sign_in()).subject
    entra.idp.key_issuer = f"{AUTHORITY}/{FABRIKAM}/v2.0"
    entra.clock.value += 3600
    await entra.is_refused("key_issuer")


async def test_personal_accounts_have_a_tenant_of_their_own() -> None:
    """Security rule B9: `consumers` announces its concrete issuer."""
    async with open_entra("consumers") as entra:
        assert (await entra.as_("personal")).attributes == {"tenant": (PERSONAL,)}
        assert (await entra.refused_as("alice")).reason == "id_token_tenant"


@pytest.mark.parametrize(
    ("tenant", "issuer"),
    [
        (CONTOSO, f"{AUTHORITY}/{FABRIKAM}/v2.0"),
        (CONTOSO, f"{AUTHORITY}/{{tenantid}}/v2.0"),
        ("organizations", f"{AUTHORITY}/organizations/v2.0"),
        ("organizations", "https://evil.example/{tenantid}/v2.0"),
        ("consumers", f"{AUTHORITY}/{{tenantid}}/v2.0"),
    ],
)
async def test_discovery_is_believed_only_with_the_issuer_of_this_endpoint(tenant: str, issuer: str) -> None:
    """Security rules B7, B9: a template only where one is expected, byte for byte."""
    async with open_entra(tenant) as entra:
        entra.idp.faults.discovery["issuer"] = issuer
        await entra.is_refused("discovery_issuer", Fault.OPERATOR)


async def test_a_sovereign_cloud_has_its_own_hosts() -> None:
    """AUTHORITY; Graph and its scope follow from it."""
    idp = {"authority": "https://login.microsoftonline.us", "graph": "https://graph.microsoft.us"}
    async with open_entra(idp=idp) as entra:
        identity = await entra.sign_in()
        assert identity.issuer == f"https://login.microsoftonline.us/{CONTOSO}/v2.0"
        assert identity.groups == Groups.known((PLATFORM, SALES))
        assert entra.idp.calls("authorize")[0].params["scope"].endswith(" https://graph.microsoft.us/User.Read")


async def test_a_guest_is_somebody_of_this_tenant(entra: EntraCase) -> None:
    """Facts, section 1.4: a guest has an object id of their own here; `idp` is where they are at home and identifies nobody."""
    guest = await entra.as_("guest")
    assert guest.attributes == {"tenant": (CONTOSO,)}
    assert guest.issuer == f"{AUTHORITY}/{CONTOSO}/v2.0"
    assert guest.subject == f"{CONTOSO}:7d0b1f5e-0000-4000-8000-0000000000aa"


@pytest.mark.parametrize(
    ("tenant", "name", "claims", "email"),
    [
        (CONTOSO, "alice", {}, ("alice@contoso.example", False)),
        (CONTOSO, "alice", {"email_verified": True}, ("alice@contoso.example", False)),
        (CONTOSO, "alice", {"xms_edov": True}, ("alice@contoso.example", True)),
        (CONTOSO, "alice", {"xms_edov": "1"}, ("alice@contoso.example", True)),
        (CONTOSO, "alice", {"xms_edov": 1}, ("alice@contoso.example", True)),
        (CONTOSO, "alice", {"xms_edov": False}, (None, False)),
        (CONTOSO, "alice", {"xms_edov": "0"}, (None, False)),
        (CONTOSO, "alice", {"acct": 1}, (None, False)),
        (CONTOSO, "alice", {"acct": 0}, ("alice@contoso.example", False)),
        (CONTOSO, "alice", {"email": ABSENT}, (None, False)),
        (CONTOSO, "guest", {}, (None, False)),
        (CONTOSO, "guest", {"xms_edov": True}, ("ceo@contoso.example", True)),
        ("organizations", "alice", {}, (None, False)),
        ("organizations", "mallory", {}, (None, False)),
        ("organizations", "mallory", {"xms_edov": False}, (None, False)),
        ("organizations", "alice", {"xms_edov": True}, ("alice@contoso.example", True)),
    ],
)
async def test_an_address_is_verified_only_where_its_domains_owner_is(
    tenant: str, name: str, claims: dict[str, Any], email: tuple[str | None, bool]
) -> None:
    """Security rule B10 (nOAuth): a tenant's administrator writes any address; without `xms_edov` nobody stands behind it.

    What a member of the one tenant has is left unverified, for an administrator to vouch for; all else could name anybody.
    """
    async with open_entra(tenant) as entra:
        entra.idp.faults.claims |= claims
        identity = await entra.as_(name)
    assert (identity.email, identity.email_verified) == email


async def test_app_roles_are_roles(entra: EntraCase) -> None:
    """Facts, section 1.4: stable texts, never too many for the token."""
    entra.idp.faults.claims["roles"] = ["Files.Reader", "Admin"]
    assert (await entra.sign_in()).attributes["role"] == ("Files.Reader", "Admin")
