"""Registrations and metadata documents become clients, or the right OAuth error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model import Client, ClientSource
from broker.oauth import InvalidClient, InvalidClientMetadata, InvalidRedirectUri, OAuthError, Reason
from broker.protocol import client_metadata, redirect_uri
from tests.broker.assertions import key_of, public
from tests.broker.client_shapes import CURSOR_SCHEME, DOCUMENTS, REGISTRATIONS, Shape
from tests.broker.records import NOW

URL = "https://client.example/client.json"
CALLBACK = "https://client.example/cb"


def registered(body: dict[str, Any], schemes: tuple[str, ...] = ()) -> Client:
    return client_metadata.from_registration(body, client_id="c_1", now=NOW, expires_at=NOW + 60, schemes=schemes)


def registration(**changes: Any) -> dict[str, Any]:
    return {"client_name": "App", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"} | changes


def described(**changes: Any) -> Client:
    document = {"client_id": URL, "client_name": "App", "redirect_uris": [CALLBACK]} | changes
    return client_metadata.from_document(document, client_id=URL, schemes=())


@pytest.mark.parametrize("shape", REGISTRATIONS, ids=lambda shape: shape.name)
def test_the_clients_of_the_field_register_as_they_do(shape: Shape) -> None:
    """RFC 7591 section 3.1; every one can then use the redirect URIs that it really uses (rules C2, D14)."""
    client = registered(shape.body)
    assert client.name == shape.body["client_name"]
    assert client.token_endpoint_auth_method == shape.method
    assert ("refresh_token" in client.grant_types) is shape.refreshes
    assert all(redirect_uri.matches(client.redirect_uris, uri) for uri in shape.uses)
    assert set(shape.body["redirect_uris"]) - set(client.redirect_uris) == set(shape.dropped)


@pytest.mark.parametrize("shape", DOCUMENTS, ids=lambda shape: shape.name)
def test_the_documents_of_the_field_describe_usable_clients(shape: Shape) -> None:
    """Client ID metadata documents as published (rule D7)."""
    assert shape.url is not None
    client = client_metadata.from_document(shape.body, client_id=shape.url, schemes=())
    assert (client.client_id, client.name, client.source) == (shape.url, shape.name, ClientSource.METADATA_DOCUMENT)
    assert client.token_endpoint_auth_method == shape.method
    assert "refresh_token" in client.grant_types
    assert all(redirect_uri.matches(client.redirect_uris, uri) for uri in shape.uses)


def test_opencode_s_document_does_not_cover_the_path_that_it_uses() -> None:
    """Rule C1: a path that the document does not list is refused (opencode#50510)."""
    document = {"client_id": URL, "client_name": "OpenCode", "redirect_uris": ["http://127.0.0.1:19876/callback"]}
    client = client_metadata.from_document(document, client_id=URL, schemes=())
    assert not redirect_uri.matches(client.redirect_uris, "http://127.0.0.1:19876/mcp/oauth/callback")


def test_defaults_are_those_of_the_rfc() -> None:
    """RFC 7591 section 2: client_secret_basic, authorization_code, code; the raw id where no name is given."""
    client = registered({"redirect_uris": [CALLBACK]})
    assert client == Client(
        client_id="c_1",
        name="c_1",
        source=ClientSource.REGISTERED,
        redirect_uris=(CALLBACK,),
        grant_types=("authorization_code",),
        token_endpoint_auth_method="client_secret_basic",
        created_at=NOW,
        expires_at=NOW + 60,
    )


def test_null_and_empty_members_count_as_absent() -> None:
    """Clients in the field send both (`scope: ""`); RFC 7591 section 2 gives neither a meaning."""
    texts = (
        "client_name",
        "token_endpoint_auth_method",
        "scope",
        "application_type",
        "client_uri",
        "logo_uri",
        "jwks_uri",
    )
    lists = ("grant_types", "response_types")
    bare = registered({"redirect_uris": [CALLBACK]})
    assert registered({"redirect_uris": [CALLBACK]} | dict.fromkeys((*texts, *lists, "jwks"))) == bare
    empty: dict[str, Any] = dict.fromkeys(texts, "") | {name: [] for name in lists}
    assert registered({"redirect_uris": [CALLBACK]} | empty) == bare


def test_what_is_kept_is_what_is_echoed() -> None:
    """RFC 7591 section 3.2.1; no null and no unknown member, which strict clients refuse (rule D14)."""
    body = registration(
        grant_types=["refresh_token", "authorization_code", "implicit"],
        response_types=["code", "token"],
        application_type="native",
        scope="files:read files:write",
        client_uri="https://client.example/",
        logo_uri="https://client.example/logo.svg",
        contacts=["me@client.example"],
        software_id="x",
        client_secret="mine",
        client_id="mine",
    )
    assert client_metadata.members(registered(body)) == {
        "client_name": "App",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "scope": "files:read files:write",
        "client_uri": "https://client.example/",
        "logo_uri": "https://client.example/logo.svg",
    }


def test_keys_are_registered_and_echoed() -> None:
    """RFC 7591 section 2: jwks or jwks_uri, for private_key_jwt."""
    keys = public(key_of("ES256"))
    by_value = registered(registration(token_endpoint_auth_method="private_key_jwt", jwks=keys))
    assert client_metadata.members(by_value)["jwks"]["keys"][0]["x"] == keys["keys"][0]["x"]
    by_url = registered(
        registration(token_endpoint_auth_method="private_key_jwt", jwks_uri="https://client.example/jwks")
    )
    assert client_metadata.members(by_url)["jwks_uri"] == "https://client.example/jwks"
    assert registered(registration(jwks=keys)).jwks is None


def test_a_private_use_scheme_is_kept_where_an_administrator_lists_it() -> None:
    """Rule C3; RFC 8252 section 7.1."""
    assert registered(registration(redirect_uris=[CURSOR_SCHEME]), ("cursor",)).redirect_uris == (CURSOR_SCHEME,)


@pytest.mark.parametrize(
    "uris",
    [
        None,
        CALLBACK,
        {},
        [],
        [None],
        [7],
        [CALLBACK, ["x"]],
        [CALLBACK] * 51,
        [CURSOR_SCHEME],
        [CALLBACK, "javascript:alert(1)"],
        [CALLBACK, "http://client.example/cb"],
        [CALLBACK + "#x"],
        [CALLBACK + "?code=1"],
    ],
)
def test_redirect_uris_that_are_missing_or_refused_have_their_own_error(uris: Any) -> None:
    """RFC 7591 section 3.2.2; rules C3, C4."""
    with pytest.raises(InvalidRedirectUri):
        registered(registration(redirect_uris=uris))
    with pytest.raises(InvalidClient):
        described(redirect_uris=uris)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_name": 7},
        {"client_name": ["App"]},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_method": ["none"]},
        {"grant_types": "authorization_code"},
        {"grant_types": [7]},
        {"grant_types": ["implicit"]},
        {"grant_types": ["refresh_token"]},
        {"grant_types": ["client_credentials"]},
        {"response_types": ["token"]},
        {"response_types": {"code": 1}},
        {"scope": ["files:read"]},
        {"scope": 'a"b'},
        {"scope": "a\x00b"},
        {"scope": "\ud800"},
        {"scope": "s" * 2001},
        {"application_type": 7},
        {"client_uri": 7},
        {"client_uri": "javascript:alert(1)"},
        {"client_uri": 'https://client.example/"><script>'},
        {"logo_uri": "data:image/svg+xml,x"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": 7},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "file:///etc/passwd"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://client.example/jwks"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "AA"}]}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {}, "jwks_uri": "https://client.example/jwks"},
    ],
)
def test_other_metadata_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    """RFC 7591 section 3.2.2; rule D14: registration validates everything."""
    with pytest.raises(InvalidClientMetadata) as refused:
        registered(registration(**changes))
    assert refused.value.reason is Reason.METADATA_INVALID


@pytest.mark.parametrize("uri", ["http://client.example/", "https://client.example/#about"])
def test_a_link_that_is_not_plain_https_is_left_out(uri: str) -> None:
    """Rule D2; such a link is no reason to lock a client out."""
    assert registered(registration(client_uri=uri, logo_uri=uri)).client_uri is None


def test_an_unknown_application_type_is_left_out_and_web_is_not_enforced() -> None:
    """SEP-837; OpenID Connect Registration section 2 does not bind us."""
    assert registered(registration(application_type="service")).application_type is None
    assert (
        registered(registration(application_type="web", redirect_uris=["http://localhost/cb"])).application_type
        == "web"
    )


def test_names_are_cleaned() -> None:
    """Rule A12."""
    assert registered(registration(client_name="Good\u202e App\u200b\n")).name == "Good App"
    assert registered(registration(client_name="\u200b")).name == "c_1"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": URL + "/"},
        {"client_id": URL.upper()},
        {"client_id": [URL]},
        {"client_name": None},
        {"client_name": "\u200b"},
        {"client_name": {"en": "App"}},
        {"client_secret": "s"},
        {"client_secret_expires_at": 0},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"token_endpoint_auth_method": "client_secret_jwt", "token_endpoint_auth_methods_supported": ["none"]},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_methods_supported": ["tls_client_auth"]},
        {"token_endpoint_auth_methods_supported": "none"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "AA"}]}},
    ],
)
def test_a_document_that_is_not_its_own_or_holds_a_secret_is_refused(changes: dict[str, Any]) -> None:
    """Rule D7; draft-ietf-oauth-client-id-metadata-document section 4.1."""
    with pytest.raises(InvalidClient) as refused:
        described(**changes)
    assert refused.value.reason is Reason.CLIENT_DOCUMENT_INVALID


@pytest.mark.parametrize(
    ("members", "method"),
    [
        ({}, "none"),
        ({"token_endpoint_auth_method": "none"}, "none"),
        (
            {
                "token_endpoint_auth_method": "none",
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            },
            "none",
        ),
        ({"token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}, "private_key_jwt"),
        ({"token_endpoint_auth_methods_supported": ["none"]}, "none"),
        ({"token_endpoint_auth_method": "tls_client_auth", "token_endpoint_auth_methods_supported": ["none"]}, "none"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "private_key_jwt"),
    ],
)
def test_a_document_s_client_authenticates_as_it_prefers_else_by_the_strongest_offer(
    members: dict[str, Any], method: str
) -> None:
    """OpenID Connect RP Metadata Choices; rule E12: never a weaker kind."""
    assert described(jwks_uri="https://client.example/jwks", **members).token_endpoint_auth_method == method


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    [*client_metadata.members(described(scope="x")), "client_id", "jwks", "jwks_uri", "client_secret", "logo_uri"]
)
TEXTS = st.sampled_from([CALLBACK, URL, "none", "private_key_jwt", "client_secret_basic", "authorization_code", "code"])
WHOLE = {"client_id": URL, "client_name": "App", "redirect_uris": [CALLBACK]}


@given(st.sampled_from([{}, WHOLE]), st.dictionaries(MEMBERS, JSON | TEXTS | st.lists(TEXTS, max_size=3)))
def test_hostile_objects_raise_only_oauth_errors_and_become_only_clean_clients(
    base: dict[str, Any], body: dict[str, Any]
) -> None:
    """Rules D2, D7, D14: no input gives a 5xx, and what is stored is fit to be shown, stored and sent."""
    for make in (registered, lambda body: client_metadata.from_document(body, client_id=URL, schemes=())):
        try:
            client = make(base | body)
        except OAuthError:
            continue
        json.dumps(client_metadata.members(client)).encode()
        assert client.name.isprintable()
        assert client.metadata_hash
        assert client.secret_hash is None
        for uri in client.redirect_uris:
            redirect_uri.check(uri, ())
