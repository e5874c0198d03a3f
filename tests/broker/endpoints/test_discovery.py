from __future__ import annotations

import json
from pathlib import Path

import pytest

from broker.endpoints.discovery import Discovery
from broker.endpoints.jwks import Jwks
from tests.broker.records import ISSUER
from tests.broker.token_house import MAIL, TokenHouse, make_settings, open_house

ORIGIN = "https://broker.example.com"
PLACES = [
    "/.well-known/oauth-authorization-server/oauth",
    "/.well-known/openid-configuration/oauth",
    "/oauth/.well-known/oauth-authorization-server",
    "/oauth/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
]


async def test_every_place_gives_the_same_bytes_and_never_a_redirect(house: TokenHouse):
    """RFC 8414 section 3.1, OpenID Connect Discovery section 4; mcp.md D1, D2."""
    async with house.http() as http:
        answers = [await http.get(ORIGIN + place, headers={"host": "evil.example"}) for place in PLACES]
    assert {a.status_code for a in answers} == {200}
    assert len({a.content for a in answers}) == 1
    assert {a.headers["content-type"] for a in answers} == {"application/json"}
    assert answers[0].headers["cache-control"] == "public, max-age=300"


async def test_a_root_issuer_has_the_two_root_documents(tmp_path: Path):
    """RFC 8414 section 3."""
    async with open_house(tmp_path, issuer=ORIGIN) as house, house.http() as http:
        answers = [await http.get(f"{ORIGIN}/.well-known/{name}") for name in (
            "oauth-authorization-server", "openid-configuration",
        )]  # fmt: skip
        assert [a.json()["issuer"] for a in answers] == [ORIGIN, ORIGIN]
        assert (await http.get(f"{ORIGIN}/.well-known/oauth-authorization-server/oauth")).status_code == 404


async def test_the_document_says_what_is_there(house: TokenHouse):
    """RFC 8414 section 2; security rules C9, G1: every URL starts with the configured issuer, byte for byte."""
    async with house.http() as http:
        document = (await http.get(ORIGIN + PLACES[0], headers={"host": "evil.example"})).json()
    assert document["issuer"] == ISSUER
    for name in ("token_endpoint", "revocation_endpoint", "introspection_endpoint", "jwks_uri"):
        assert document[name].startswith(ISSUER + "/")
    assert document["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert "none" in document["token_endpoint_auth_methods_supported"]
    assert document["scopes_supported"] == ["files:read", "files:write", "mail:read", "offline_access"]
    assert document["subject_types_supported"] == ["public"]
    assert document["id_token_signing_alg_values_supported"] == ["ES256", "EdDSA"]
    assert document["protected_resources"] == ["https://files.example.com/mcp", MAIL.url]
    assert document["client_id_metadata_document_supported"] is True


@pytest.mark.parametrize("cimd", [True, False])
def test_only_what_is_enabled_is_advertised_and_nothing_is_null(cimd: bool):  # noqa: FBT001 - parametrised
    """mcp.md section 1.2: strict clients refuse nulls."""

    class Optional:
        def metadata(self) -> dict[str, str | None]:
            return {"registration_endpoint": None, "service_documentation": "https://docs.example.com"}

    document = json.loads(Discovery(make_settings(cimd=cimd), [Optional()])._document.body())
    assert ("client_id_metadata_document_supported" in document) is cimd
    assert None not in document.values()
    assert document["service_documentation"] == "https://docs.example.com"
    assert "openid" not in document["scopes_supported"]


async def test_the_key_set_is_where_the_document_says(house: TokenHouse):
    """RFC 7517 section 5; security rule F3: public members only."""
    async with house.http() as http:
        document = (await http.get(ORIGIN + PLACES[0])).json()
        answer = await http.get(document["jwks_uri"])
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["content-type"] == "application/json"
    keys = answer.json()["keys"]
    assert {key["alg"] for key in keys} == {"ES256", "EdDSA"}
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & {member for key in keys for member in key}
    assert document["jwks_uri"] == Jwks(ISSUER, house.keys).metadata()["jwks_uri"]


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration/", "/.well-known/other", "/oauth/jwks.json"])
async def test_other_places_are_not_found(house: TokenHouse, path: str):
    """mcp.md D1: 404, neither a redirect nor a 5xx."""
    async with house.http() as http:
        assert (await http.get(ORIGIN + path)).status_code == 404


async def test_head_is_answered_and_post_is_not(house: TokenHouse):
    """Security rule C15."""
    async with house.http() as http:
        assert (await http.head(ORIGIN + PLACES[0])).status_code == 200
        assert (await http.post(ORIGIN + PLACES[0])).status_code == 405
