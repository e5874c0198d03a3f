"""`config schema` and the loader say the same, since both read one table."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from broker.config import SettingsError, load
from broker.config.schema import schema
from broker.config.table import BROKER, CLIENT, POLICY, PROVIDER, RESOURCE, Setting, provider_table
from providers.registry import provider_types
from tests.broker.settings_input import load_from

SCHEMA = schema(provider_types())
GOOD = """
issuer = "http://localhost:8080"
bind = "127.0.0.1:8080"
dcr = false
dcr_rate = "5/m"
session_ttl = 3600
refresh_grace = "0"
trusted_proxies = ["10.0.0.0/8"]
redirect_schemes = "cursor,vscode"
dcr_token = "env:HOME"
signing_alg = "Ed25519"

[providers.corp]
type = "keycloak"
url = "https://sso.example.com"
realm = "staff"
client_id = "broker"
client_secret = "hush"
allowed_groups = ["staff"]
require_iss = true
[providers.corp.acr_map]
"urn:mfa" = "mfa"

[resources.files]
url = "https://files.example.com/mcp"
access_token_ttl = "5m"
[resources.files.scopes]
"files:read" = "Read files"

[clients.inspector]
redirect_uris = ["http://127.0.0.1:6274/oauth/callback"]

[[policy]]
name = "readers"
group = "staff"
resource = ["files"]
scopes = ["files:read"]
"""


def judge(text: str) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(tomllib.loads(text))


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


TABLES: list[tuple[Any, Mapping[str, Setting]]] = [
    (SCHEMA, {name: setting for name, setting in BROKER.items() if name != "config"}),
    (SCHEMA["properties"]["providers"]["additionalProperties"], {**PROVIDER, **provider_table(provider_types())}),
    (SCHEMA["properties"]["resources"]["anyOf"][0]["additionalProperties"], RESOURCE),
    (SCHEMA["properties"]["clients"]["additionalProperties"], CLIENT),
    (SCHEMA["properties"]["policy"]["items"], POLICY),
]


@pytest.mark.parametrize(("part", "table"), TABLES, ids=["broker", "provider", "resource", "client", "policy"])
def test_every_setting_of_the_table_is_in_the_schema_with_its_words(part: Any, table: Mapping[str, Setting]) -> None:
    for name, setting in table.items():
        assert setting.help
        assert not setting.help.startswith("For providers"), f"{name} has no words of its own"
        assert setting.help in part["properties"][name]["description"]
        assert (f"{name}_file" in part["properties"]) == (setting.has_file and not setting.later)
    assert part["additionalProperties"] is False


def test_what_the_loader_takes_fits_the_schema() -> None:
    judge(GOOD)
    assert load_from({"HOME": "/root"}, toml=GOOD).policy[0].name == "readers"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("dcr = false", 'dcr = "maybe"'),
        ("dcr = false", "dcrr = false"),
        ('dcr_rate = "5/m"', 'dcr_rate = "5"'),
        ("session_ttl = 3600", "session_ttl = 0"),
        ("session_ttl = 3600", 'session_ttl = "soon"'),
        ('type = "keycloak"', 'type = "ldap"'),
        ("require_iss = true", 'logout_ends = "everything"'),
        ('access_token_ttl = "5m"', 'require = "mfa"'),
        ('access_token_ttl = "5m"', 'require = { acrr = "mfa" }'),
        ('access_token_ttl = "5m"', "require = {}"),
        ('name = "readers"', "acr = 1"),
        ('name = "readers"', 'max_login_age = "soon"'),
        ('group = "staff"', "group = []"),
        ('signing_alg = "Ed25519"', 'signing_alg = "HS256"'),
        ('issuer = "http://localhost:8080"', 'issuer = "http://localhost:8080/"'),
    ],
)
def test_what_the_schema_refuses_the_loader_refuses(good: str, bad: str) -> None:
    text = GOOD.replace(good, bad)
    assert text != GOOD

    with pytest.raises(jsonschema.ValidationError):
        judge(text)
    with pytest.raises(SettingsError):
        load(None, {"HOME": "/root"}, text.encode(), provider_types())


def test_every_default_of_the_table_is_a_value_of_its_kind() -> None:
    tables: list[Mapping[str, Setting]] = [BROKER, PROVIDER, RESOURCE, CLIENT, POLICY]
    for table in tables:
        for setting in table.values():
            assert setting.help.endswith(".")
            if setting.default is not None:
                assert setting.kind.parse(setting.default) is not None
