"""Names: unknown ones are refused with the nearest right one, the contract's are all known, Kubernetes' are ignored."""

from __future__ import annotations

import pytest

from tests.broker.settings_input import load_from, only_fault, refused

PROVIDER = {"BROKER_PROVIDERS__OIDC__ISSUER": "https://idp.example.com", "BROKER_PROVIDERS__OIDC__CLIENT_ID": "broker"}

# Every name of the contract (architecture, section 7), with a value that is good where this version supports it.
SUPPORTED = {
    "BROKER_ADMIN_BIND": "127.0.0.1:9001",
    "BROKER_DATABASE_URL": "sqlite:///x.db",
    "BROKER_DCR": "true",
    "BROKER_DCR_RATE": "5/m",
    "BROKER_DCR_UNUSED": "10",
    "BROKER_DCR_UNUSED_TTL": "1d",
    "BROKER_DCR_TOKEN": "initial",
    "BROKER_CIMD": "false",
    "BROKER_CIMD_ALLOWED_HOSTS": "clients.example.com,localhost:9000",
    "BROKER_CIMD_MAX_BYTES": "6000",
    "BROKER_CIMD_PROXY": "http://proxy.example.com:3128",
    "BROKER_REDIRECT_SCHEMES": "cursor",
    "BROKER_ACCESS_TOKEN_TTL": "5m",
    "BROKER_REFRESH_TOKEN_TTL": "1d",
    "BROKER_GRANT_TTL": "2d",
    "BROKER_REFRESH_GRACE": "0",
    "BROKER_SESSION_TTL": "1h",
    "BROKER_KEY_ROTATION": "30d",
    "BROKER_AUDIT_RETENTION": "30d",
    "BROKER_REMEMBER_CONSENT": "true",
    "BROKER_ASSERTION_AUDIENCE": "issuer_or_token_endpoint",
    "BROKER_SIGNING_ALG": "ES256",
    "BROKER_TRUSTED_PROXIES": "10.0.0.1",
    "BROKER_LOG_FORMAT": "text",
    "BROKER_LOG_LEVEL": "warning",
    "BROKER_LOOPBACK_SAME_SOURCE": "enforce",
    "BROKER_DRAIN": "0",
    "BROKER_PROVIDERS__OIDC__TYPE": "oidc",
    "BROKER_PROVIDERS__OIDC__CLIENT_SECRET": "hush",
    "BROKER_PROVIDERS__OIDC__SCOPES": "openid",
    "BROKER_PROVIDERS__OIDC__DISPLAY_NAME": "Corp",
    "BROKER_PROVIDERS__OIDC__RECHECK_INTERVAL": "5m",
    "BROKER_PROVIDERS__OIDC__EMAIL_DOMAINS": "example.com",
    "BROKER_PROVIDERS__OIDC__ACR_MAP": '{"https://refeds.org/profile/mfa": "mfa"}',
    "BROKER_PROVIDERS__OIDC__IDENTITY_NAMESPACE": "corp",
    "BROKER_PROVIDERS__OIDC__ALLOWED_DOMAINS": "example.com",
    "BROKER_PROVIDERS__OIDC__ALLOWED_GROUPS": "staff",
    "BROKER_PROVIDERS__OIDC__ALLOW_ANYONE": "true",
    "BROKER_PROVIDERS__OIDC__GROUPS_CLAIM": "groups",
    "BROKER_PROVIDERS__OIDC__ROLES_CLAIM": "roles",
    "BROKER_PROVIDERS__OIDC__PROXY": "http://proxy.example.com:3128",
    "BROKER_PROVIDERS__OIDC__TIMEOUT": "5s",
    "BROKER_PROVIDERS__OIDC__LOGOUT_ENDS": "sessions",
    "BROKER_PROVIDERS__OIDC__STALE_LIMIT": "0",
    "BROKER_RESOURCES__FILES__NAME": "Files",
    "BROKER_RESOURCES__FILES__SCOPES": '{"files:read": "Read files"}',
    "BROKER_RESOURCES__FILES__DEFAULT_SCOPES": "files:read",
    "BROKER_RESOURCES__FILES__SECRET": "hush",
    "BROKER_RESOURCES__FILES__SIGNING_ALG": "Ed25519",
    "BROKER_RESOURCES__FILES__TOKEN_TYP": "JWT",
    "BROKER_RESOURCES__FILES__ACCESS_TOKEN_TTL": "5m",
    "BROKER_RESOURCES__FILES__REQUIRE": '{"acr": "mfa", "max_login_age": "12h"}',
    "BROKER_DEFAULT_RESOURCE": "files",
    "BROKER_CLIENTS__APP__CLIENT_ID": "my-app",
    "BROKER_CLIENTS__APP__NAME": "App",
    "BROKER_CLIENTS__APP__CLIENT_SECRET": "hush",
    "BROKER_CLIENTS__APP__GRANT_TYPES": "authorization_code",
    "BROKER_CLIENTS__APP__TOKEN_ENDPOINT_AUTH_METHOD": "client_secret_post",
    "BROKER_POLICY": '[{"group": "staff"}]',
    "BROKER_ADMIN_GROUPS": "admins",
    "BROKER_DEBUG_LOGIN": "true",
}
BASE = {
    **PROVIDER,
    "BROKER_RESOURCES__FILES__URL": "https://files.example.com/mcp",
    "BROKER_CLIENTS__APP__REDIRECT_URIS": "https://app.example.com/cb",
}


@pytest.mark.parametrize("name", SUPPORTED)
def test_a_name_of_the_contract_is_supported(name: str) -> None:
    related = {
        "BROKER_RESOURCES__FILES__DEFAULT_SCOPES": ["BROKER_RESOURCES__FILES__SCOPES"],
        "BROKER_CLIENTS__APP__TOKEN_ENDPOINT_AUTH_METHOD": ["BROKER_CLIENTS__APP__CLIENT_SECRET"],
        "BROKER_DEBUG_LOGIN": ["BROKER_ADMIN_GROUPS"],
    }
    chosen = [name, *related.get(name, [])]

    assert load_from({**BASE, **{n: SUPPORTED[n] for n in chosen}}).issuer


def test_all_supported_names_work_together() -> None:
    assert load_from({**BASE, **SUPPORTED}).default_resource == "https://files.example.com/mcp"


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("BROKER_ISUER", "BROKER_ISSUER"),
        ("BROKER_MASTERKEY", "BROKER_MASTER_KEY"),
        ("BROKER_ACCESS_TTL", "BROKER_ACCESS_TOKEN_TTL"),
        ("BROKER_ISSUER_FILE", "BROKER_ISSUER"),
        ("BROKER_KEYCLOAK_ISSUER", "KEYCLOAK_ISSUER"),
        ("BROKER_RECHECK_INTERVAL", "BROKER_PROVIDERS__<ID>__RECHECK_INTERVAL"),
        ("BROKER_PROVIDERS__CORP__ISUER", "BROKER_PROVIDERS__CORP__ISSUER"),
        ("BROKER_PROVIDERS_CORP_CLIENT_ID", "BROKER_PROVIDERS__CORP__CLIENT_ID"),
        ("BROKER_PROVIDER__CORP__CLIENT_ID", "BROKER_PROVIDERS__CORP__CLIENT_ID"),
        ("BROKER_PROVIDERS__MY__CORP__ISSUER", "BROKER_PROVIDERS__MY_CORP__ISSUER"),
        ("BROKER_RESOURCES__FILES__SCOPES__READ", "BROKER_RESOURCES__FILES__SCOPES"),
        ("BROKER_RESOURCE_FILES_URL", "BROKER_RESOURCES__FILES__URL"),
        ("BROKER_CLIENTS__APP__REDIRECT_URI", "BROKER_CLIENTS__APP__REDIRECT_URIS"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_right_one(name: str, right: str) -> None:
    setting, origin, wrong, mend = only_fault({name: "x"})

    assert (setting, origin, wrong) == (name, "environment", "is not a setting")
    assert mend == f"write {right}"


def test_a_variable_like_no_other_leads_to_the_schema() -> None:
    assert "mcp-broker config schema" in only_fault({"BROKER_QQQQQ": "x"})[3]
    assert "mcp-broker config schema" in only_fault({"BROKER_PROVIDERS__X__QQQQQ": "x"})[3]


@pytest.mark.parametrize(
    ("toml", "name", "right"),
    [
        ('isuer = "x"', "isuer", "issuer"),
        ("[provider.corp]\nissuer = 1", "provider", "providers"),
        ('[resources.files]\nurl = "https://a.example.com"\nscope = "x"', "resources.files.scope", "scopes"),
        ('[[polcy]]\nname = "x"', "polcy", "policy"),
    ],
)
def test_an_unknown_key_of_the_file_is_refused_with_the_nearest_right_one(toml: str, name: str, right: str) -> None:
    setting, origin, _, mend = only_fault({}, toml=toml)

    assert (setting, origin, mend) == (name, "broker.toml", f"write {right}")


@pytest.mark.parametrize("toml", ["providers = 1", 'clients = ["a"]', 'providers = "x"', "[providers]\ncorp = 1"])
def test_a_group_that_is_no_table_is_refused(toml: str) -> None:
    assert only_fault({}, toml=toml)[1] == "broker.toml"


def test_json_of_a_group_that_is_no_json_is_refused_without_quoting_it() -> None:
    setting, _, wrong, _ = only_fault({"BROKER_CLIENTS": '{"app": {"client_secret": "hunter2"}'})

    assert setting == "BROKER_CLIENTS"
    assert "not JSON (line 1" in wrong
    assert "hunter2" not in wrong


def test_what_kubernetes_injects_for_a_service_called_broker_is_ignored() -> None:
    load_from(
        {
            "BROKER_SERVICE_HOST": "10.0.0.1",
            "BROKER_SERVICE_PORT": "8080",
            "BROKER_SERVICE_PORT_HTTP": "8080",
            "BROKER_PORT": "tcp://10.0.0.1:8080",
            "BROKER_PORT_8080_TCP": "tcp://10.0.0.1:8080",
            "BROKER_PORT_8080_TCP_ADDR": "10.0.0.1",
        }
    )


@pytest.mark.parametrize(
    ("name", "value"), [("BROKER_CANARY_SERVICE_HOST", "10.0.0.1"), ("BROKER_CANARY_PORT", "tcp://10.0.0.1:80")]
)
def test_what_kubernetes_injects_for_a_similar_service_is_refused_with_the_way_to_stop_it(
    name: str, value: str
) -> None:
    assert "enableServiceLinks: false" in only_fault({name: value})[3]


def test_variables_of_other_programs_are_left_alone() -> None:
    load_from({"PATH": "/bin", "BROKERAGE": "x", "KEYCLOAK_ADMIN": "admin", "KEYCLOAK_HOME": "/opt", "OIDC_DEBUG": "1"})


@pytest.mark.parametrize("id_", ["Corp", "corp sso", "-corp", "ä", "x" * 64])
def test_an_id_that_could_not_stand_in_a_path_is_refused(id_: str) -> None:
    faults = refused({}, toml=f'[providers."{id_}"]\ntype = "oidc"')

    assert any("id that is not plain" in wrong for _, _, wrong, _ in faults)
