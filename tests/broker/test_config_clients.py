"""Pre-registered clients in settings (architecture, section 7; RFC 7591 section 2)."""

from __future__ import annotations

import json

import pytest

from broker.model import ClientSource, digest
from tests.broker.settings_input import LONG_SECRET, load_from, only_fault, refused

APP = {"BROKER_CLIENTS__APP__REDIRECT_URIS": "https://app.example.com/cb"}
PUBLIC_KEY = {"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]}


def test_a_client_is_public_and_named_by_its_id_unless_said() -> None:
    (client,) = load_from(APP).clients

    assert (client.client_id, client.name, client.source) == ("app", "app", ClientSource.CONFIGURED)
    assert client.token_endpoint_auth_method == "none"
    assert client.grant_types == ("authorization_code", "refresh_token")
    assert client.redirect_uris == ("https://app.example.com/cb",)


def test_a_client_with_a_secret_authenticates_with_it_and_only_its_hash_is_kept() -> None:
    (client,) = load_from({**APP, "BROKER_CLIENTS__APP__CLIENT_SECRET": LONG_SECRET}).clients

    assert client.token_endpoint_auth_method == "client_secret_basic"
    assert client.secret_hash == digest(LONG_SECRET)
    assert LONG_SECRET not in repr(client)


@pytest.mark.parametrize("given", [json.dumps(PUBLIC_KEY), None])
def test_a_client_with_keys_signs_assertions(given: str | None) -> None:
    environ = (
        {**APP, "BROKER_CLIENTS__APP__JWKS": given}
        if given
        else {**APP, "BROKER_CLIENTS__APP__JWKS_URI": "https://a.example/jwks"}
    )
    (client,) = load_from(environ).clients

    assert client.token_endpoint_auth_method == "private_key_jwt"
    assert client.jwks is None or json.loads(client.jwks) == PUBLIC_KEY


def test_a_client_in_the_file_may_have_keys_as_a_table() -> None:
    toml = '[clients.app]\nredirect_uris = ["https://a.example/cb"]\n[[clients.app.jwks.keys]]\nkty = "EC"\nx = "x"'

    assert json.loads(load_from({}, toml=toml).clients[0].jwks or "") == {"keys": [{"kty": "EC", "x": "x"}]}


def test_a_client_may_have_scopes_and_a_default_resource() -> None:
    environ = {**APP, "BROKER_RESOURCES__FILES__URL": "https://files.example.com/mcp"}
    environ |= {"BROKER_CLIENTS__APP__SCOPE": "mcp", "BROKER_CLIENTS__APP__DEFAULT_RESOURCE": "files"}
    (client,) = load_from(environ).clients

    assert (client.scope, client.default_resource) == ("mcp", "https://files.example.com/mcp")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLIENT_ID", "https://app.example.com"),
        ("CLIENT_ID", "u_app"),
        ("CLIENT_ID", "app/1"),
        ("CLIENT_ID", "app:1"),
        ("CLIENT_ID", "äpp"),
        ("CLIENT_SECRET", "with space and : colon"),
        ("CLIENT_SECRET", "ä" * 40),
        ("GRANT_TYPES", "implicit"),
        ("GRANT_TYPES", "refresh_token"),
        ("GRANT_TYPES", "authorization_code,client_credentials"),
        ("TOKEN_ENDPOINT_AUTH_METHOD", "client_secret_jwt"),
        ("TOKEN_ENDPOINT_AUTH_METHOD", "client_secret_basic"),
        ("TOKEN_ENDPOINT_AUTH_METHOD", "private_key_jwt"),
        ("JWKS", "[]"),
        ("JWKS", "{}"),
        ("JWKS", '{"keys": []}'),
        ("JWKS", '{"keys": [{"kty": "EC", "d": "hunter2"}]}'),
        ("JWKS", '{"keys": [{"kty": "oct", "k": "hunter2"}]}'),
        ("JWKS_URI", "http://app.example.com/jwks"),
        ("SCOPE", "a  b"),
        ("DEFAULT_RESOURCE", "nowhere"),
    ],
)
def test_metadata_that_could_not_work_or_is_not_safe_is_refused(name: str, value: str) -> None:
    setting, _, wrong, mend = only_fault({**APP, f"BROKER_CLIENTS__APP__{name}": value})

    assert setting == f"BROKER_CLIENTS__APP__{name}"
    assert "hunter2" not in wrong + mend


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.com/cb",
        "javascript:alert(1)",
        "cursor://cb",
        "https://app.example.com/cb#x",
        "https://app.example.com/cb?code=1",
        "https://app.example.com/cb?state=1",
        "/cb",
        "https://app.example.com:99999/cb",
    ],
)
def test_redirect_uris_follow_the_rules_for_everyone(uri: str) -> None:
    """Security rules C3 and C4."""
    assert only_fault({"BROKER_CLIENTS__APP__REDIRECT_URIS": json.dumps([uri])})[0].endswith("REDIRECT_URIS")


def test_a_private_use_scheme_counts_once_it_is_listed() -> None:
    environ = {"BROKER_CLIENTS__APP__REDIRECT_URIS": "cursor://cb", "BROKER_REDIRECT_SCHEMES": "cursor"}

    assert load_from(environ).clients[0].redirect_uris == ("cursor://cb",)


@pytest.mark.parametrize("environ", [{"BROKER_CLIENTS__APP__NAME": "App"}, {"BROKER_CLIENTS__APP__REDIRECT_URIS": ""}])
def test_a_client_needs_a_redirect_uri(environ: dict[str, str]) -> None:
    assert only_fault(environ)[0] == "BROKER_CLIENTS__APP__REDIRECT_URIS"


@pytest.mark.parametrize(
    "extra",
    [
        {"BROKER_CLIENTS__APP__TOKEN_ENDPOINT_AUTH_METHOD": "none", "BROKER_CLIENTS__APP__CLIENT_SECRET": LONG_SECRET},
        {"BROKER_CLIENTS__APP__JWKS": json.dumps(PUBLIC_KEY), "BROKER_CLIENTS__APP__CLIENT_SECRET": LONG_SECRET},
        {"BROKER_CLIENTS__APP__JWKS": json.dumps(PUBLIC_KEY), "BROKER_CLIENTS__APP__JWKS_URI": "https://a.example/j"},
    ],
)
def test_two_kinds_of_credentials_are_refused(extra: dict[str, str]) -> None:
    """Security rule E12: never two at once, never a weaker kind."""
    assert refused({**APP, **extra})


def test_two_clients_with_one_id_are_refused() -> None:
    environ = {**APP, "BROKER_CLIENTS__B__REDIRECT_URIS": "https://b.example/cb", "BROKER_CLIENTS__B__CLIENT_ID": "app"}

    assert "another client has" in only_fault(environ)[2]


def test_an_id_that_is_no_client_id_needs_one() -> None:
    assert (
        only_fault({"BROKER_CLIENTS__U_1__REDIRECT_URIS": "https://b.example/cb"})[0]
        == "BROKER_CLIENTS__U_1__CLIENT_ID"
    )
