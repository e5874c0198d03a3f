"""Where a setting's value comes from: command line, environment, broker.toml, default (architecture, section 7)."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from broker.config import examine
from broker.config.table import BROKER
from broker.settings import HOUR, MINUTE, Address, Rate, Settings
from providers.registry import provider_types
from tests.broker.settings_input import LOCAL, MASTER_KEY, load_from, only_fault, refused

PLACES = {"command line": 1, "environment": 2, "broker.toml": 3}


@pytest.mark.parametrize(
    "given", [c for n in range(4) for c in itertools.combinations(PLACES, n)], ids=lambda c: "+".join(c) or "nothing"
)
def test_the_first_place_that_names_a_setting_wins(given: tuple[str, ...]) -> None:
    settings = load_from(
        {"BROKER_SESSION_TTL": "2h"} if "environment" in given else {},
        toml='session_ttl = "3h"' if "broker.toml" in given else None,
        argv={"session_ttl": "1h"} if "command line" in given else None,
    )

    expected = next((PLACES[place] for place in PLACES if place in given), 12)
    assert settings.session_ttl == expected * HOUR
    assert settings.origins["BROKER_SESSION_TTL"].startswith(next((p for p in PLACES if p in given), "default"))


def test_places_are_merged_setting_by_setting_also_inside_a_table() -> None:
    settings = load_from(
        {"BROKER_RESOURCES__FILES__NAME": "Files (test)"},
        toml='log_level = "debug"\n[resources.files]\nurl = "https://files.example.com/mcp"\nname = "Files"',
        argv={"BROKER_RESOURCES__FILES__ACCESS_TOKEN_TTL": "5m"},
    )

    files = settings.resources[0]
    assert (files.url, files.name, files.access_token_ttl) == (
        "https://files.example.com/mcp",
        "Files (test)",
        5 * MINUTE,
    )
    assert settings.log_level == "debug"


def test_a_name_on_the_command_line_may_leave_out_the_prefix() -> None:
    assert (
        load_from({}, argv={"bind": "127.0.0.1:1234"}).bind
        == load_from({}, argv={"BROKER_BIND": "127.0.0.1:1234"}).bind
    )


def test_defaults_are_those_of_the_contract_and_of_the_record() -> None:
    """The table and the record of settings are two places with one truth."""
    settings = load_from({})
    record = Settings(issuer=LOCAL["BROKER_ISSUER"])

    for name in set(BROKER) - {"config", "provider_aliases", "master_key", "admin_groups"}:
        assert getattr(settings, name) == getattr(record, name), name
    assert settings.bind == Address("127.0.0.1", 8080)
    assert settings.dcr_rate == Rate(100, HOUR)
    assert settings.access_token_ttl == 15 * MINUTE
    assert settings.database_url.reveal() == "sqlite:///broker.db"


def test_toml_takes_typed_values() -> None:
    settings = load_from(
        {}, toml='dcr = false\ndcr_unused = 5\nsession_ttl = 60\ntrusted_proxies = ["10.0.0.0/8", "::1"]'
    )

    assert (settings.dcr, settings.dcr_unused, settings.session_ttl) == (False, 5, 60)
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1/128")


def test_a_group_may_be_one_json_object() -> None:
    settings = load_from(
        {"BROKER_CLIENTS": '{"inspector": {"redirect_uris": ["http://127.0.0.1:6274/cb"], "name": "Inspector"}}'}
    )

    assert settings.clients[0].name == "Inspector"


def test_one_entry_of_a_group_may_be_a_json_object() -> None:
    settings = load_from({"BROKER_RESOURCES__FILES": '{"url": "https://files.example.com"}'})

    assert [(r.id, r.url) for r in settings.resources] == [("files", "https://files.example.com")]


def test_the_same_setting_twice_in_the_environment_is_refused() -> None:
    setting, _, wrong, _ = only_fault({"BROKER_DRAIN": "5s", "BROKER_drain": "6s"})

    assert {setting} <= {"BROKER_DRAIN", "BROKER_drain"}
    assert "set twice" in wrong


def test_every_fault_of_every_place_is_told_at_once_with_where_it_is() -> None:
    faults = refused(
        {"BROKER_DCR": "yes", "BROKER_SIGNING_ALG": "HS256"}, toml="drain = -1\nnonsense = 1", argv={"bind": "8080"}
    )

    assert {(setting, origin) for setting, origin, _, _ in faults} == {
        ("BROKER_DCR", "environment"),
        ("BROKER_SIGNING_ALG", "environment"),
        ("drain", "broker.toml"),
        ("nonsense", "broker.toml"),
        ("BROKER_BIND", "command line"),
    }


def test_the_file_is_named_as_broker_config_names_it() -> None:
    setting, origin, _, _ = only_fault({"BROKER_CONFIG": "/etc/broker/production.toml"}, toml='bind = "x"')

    assert (setting, origin) == ("bind", "/etc/broker/production.toml")


@pytest.mark.parametrize("toml", ['config = "other.toml"', "[config]\nx = 1"])
def test_the_file_cannot_name_another_file(toml: str) -> None:
    assert only_fault({}, toml=toml)[0] == "config"


def test_the_command_line_names_the_file_in_its_own_way() -> None:
    assert "--config" in only_fault({}, argv={"config": "x.toml"})[3]


@pytest.mark.parametrize(
    ("toml", "place"), [("issuer = \nx", "line 1"), ("a = 1\na = 2", "line 2"), ('x = "unclosed', "line 1")]
)
def test_a_file_that_is_not_toml_is_refused_with_the_line_and_without_its_text(toml: str, place: str) -> None:
    setting, _, wrong, _ = only_fault({}, toml=toml)

    assert setting == "broker.toml"
    assert place in wrong or "end of document" in wrong
    assert "unclosed" not in wrong


def test_a_file_that_is_not_utf8_is_refused() -> None:
    from broker.config import SettingsError, load  # noqa: PLC0415 - raw bytes are this test's own matter

    with pytest.raises(SettingsError, match="UTF-8"):
        load(None, LOCAL, b'issuer = "\xff"', provider_types())


def test_a_missing_issuer_is_told_with_an_example() -> None:
    with pytest.raises(Exception, match="BROKER_ISSUER: is missing") as caught:
        examine(None, {}, None, provider_types())
    assert "https://auth.example.com" in str(caught.value)


def test_examining_shows_each_value_as_written_and_where_it_was(tmp_path: Path) -> None:
    key = tmp_path / "master.key"
    key.write_text(MASTER_KEY + "\n")
    environ = {
        **LOCAL,
        "BROKER_MASTER_KEY_FILE": str(key),
        "BROKER_DRAIN": "10s",
        "KEYCLOAK_ISSUER": "https://kc/realms/a",
    }
    environ |= {"KEYCLOAK_CLIENT_ID": "broker", "KEYCLOAK_CLIENT_SECRET": "hush"}

    shown = {e.name: (e.value, e.origin) for e in examine(None, environ, b"dcr_unused = 7", provider_types()).entries}

    assert shown["BROKER_DRAIN"] == ("10s", "environment")
    assert shown["BROKER_DCR_UNUSED"] == ("7", "broker.toml (dcr_unused)")
    assert shown["BROKER_SESSION_TTL"] == ("12h", "default")
    assert shown["BROKER_MASTER_KEY"] == ("***", f"environment, file {key} (BROKER_MASTER_KEY_FILE)")
    assert shown["BROKER_PROVIDERS__KEYCLOAK__ISSUER"] == ("https://kc/realms/a", "environment (KEYCLOAK_ISSUER)")
    assert shown["BROKER_PROVIDERS__KEYCLOAK__CLIENT_SECRET"] == ("***", "environment (KEYCLOAK_CLIENT_SECRET)")
    assert shown["BROKER_PROVIDERS__KEYCLOAK__TYPE"] == ("keycloak", "the id")
