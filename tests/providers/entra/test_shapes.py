"""Whatever a token or Graph says, the adapter knows a person, says unknown, or raises UpstreamError (rules B9, B10, B12)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
from hypothesis import given
from hypothesis import strategies as st

from providers import entra_claims
from providers.claims import VerifiedClaims
from providers.entra_groups import GraphGroups
from providers.http import open_http
from providers.signed_token import SignedClaims
from tests.providers.entra.scripted_entra import AUTHORITY, CONTOSO, PLATFORM, ScriptedEntra
from tests.providers.test_answers import refusing_at_most
from tests.providers.values import JSON_VALUES

SHARED = ScriptedEntra("organizations", now=lambda: 0).settings()
VALUES = JSON_VALUES | st.sampled_from(
    [CONTOSO, CONTOSO.upper(), "{tenantid}", f"{AUTHORITY}/{CONTOSO}/v2.0", True, "1"]
)
NAMES = (
    "iss",
    "tid",
    "oid",
    "email",
    "xms_edov",
    "idp",
    "acct",
    "groups",
    "_claim_names",
    "hasgroups",
    "acrs",
    "roles",
)
CLAIMS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, VALUES))
KEYS = st.none() | st.sampled_from([f"{AUTHORITY}/{{tenantid}}/v2.0", f"{AUTHORITY}/{CONTOSO}/v2.0", "{tenantid}", ""])


@given(CLAIMS, KEYS)
def test_an_issuer_is_filled_from_a_guid_and_agreed_by_the_key(values: dict[str, Any], key_issuer: str | None) -> None:
    """Security rule B9."""
    with refusing_at_most():
        expected = entra_claims.issuer(SignedClaims(alg="RS256", values=values, key_issuer=key_issuer), SHARED)
        assert expected == f"{AUTHORITY}/{values['tid']}/v2.0"
        assert values["tid"].lower() == CONTOSO
        assert key_issuer


@given(CLAIMS)
def test_claims_make_a_person_or_nobody(values: dict[str, Any]) -> None:
    """Security rule B10: what is no GUID is no identity; an address counts as verified by `xms_edov` alone."""
    claims = VerifiedClaims({"iss": f"{AUTHORITY}/{CONTOSO}/v2.0", **values})
    with refusing_at_most():
        assert entra_claims.identity(claims, SHARED)[1] == f"{CONTOSO}:{CONTOSO}"
    for shared in (True, False):
        found = entra_claims.email([claims], shared=shared)
        assert found is None or not found.verified or values["xms_edov"] in (True, "1")
        assert found is None or found.verified or not shared
    assert all(isinstance(context, str) for context in entra_claims.contexts(values))
    entra_claims.attributes([claims])


@given(
    CLAIMS,
    st.integers(200, 599),
    st.fixed_dictionaries(
        {}, optional={"value": VALUES | st.just([PLATFORM]), "@odata.nextLink": VALUES, "error": VALUES}
    ),
)
def test_graph_lists_groups_or_they_are_unknown(values: dict[str, Any], status: int, answer: dict[str, Any]) -> None:
    """Whatever it answers, complete or unknown with a word; and nobody else is asked."""
    hosts = set()

    def graph(request: httpx2.Request) -> httpx2.Response:
        hosts.add(request.url.host)
        return httpx2.Response(status, content=json.dumps(answer).encode())

    async def ask() -> Any:
        async with open_http(SHARED, transport=httpx2.MockTransport(graph)) as http:
            return await GraphGroups(SHARED, http).groups([VerifiedClaims(values)], "at")

    groups = asyncio.run(ask())
    assert (groups.names is None) == (groups.reason is not None)
    assert hosts <= {"graph.microsoft.com"}
