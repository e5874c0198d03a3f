"""`mcp-broker config show | validate | schema` (architecture, section 8)."""

from __future__ import annotations

import json

from tests.broker.cli.terminal import Terminal

PROVIDER = {"OIDC_ISSUER": "https://idp.example.com", "OIDC_CLIENT_ID": "b", "OIDC_CLIENT_SECRET": "hunter2-upstream"}


def test_show_prints_each_setting_with_its_origin_and_no_secret(terminal: Terminal) -> None:
    terminal.env |= {**PROVIDER, "BROKER_DCR_TOKEN": "hunter2", "BROKER_DATABASE_URL": "postgresql://u:hunter2@h/d"}
    terminal.env["BROKER_MASTER_KEY"] = "A" * 43

    text = terminal.ok("config", "show")

    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines()}
    assert lines["BROKER_DCR_TOKEN"].split() == ["***", "environment"]
    assert lines["BROKER_DATABASE_URL"].split() == ["***", "environment"]
    assert lines["BROKER_PROVIDERS__OIDC__CLIENT_SECRET"].split() == ["***", "environment", "(OIDC_CLIENT_SECRET)"]
    assert lines["BROKER_SESSION_TTL"].split() == ["12h", "default"]
    assert "(not set)" in lines["BROKER_CIMD_PROXY"]
    assert "hunter2" not in text + terminal.ok("config", "show", "--json")
    assert "A" * 43 not in text


def test_show_as_json_is_a_list(terminal: Terminal) -> None:
    shown = terminal.json("config", "show")

    assert {"name": "BROKER_CIMD_PROXY", "value": None, "origin": "default"} in shown


def test_good_settings_are_good(terminal: Terminal) -> None:
    terminal.env |= {**PROVIDER, "BROKER_RESOURCES": "https://files.example.com/mcp"}

    assert "1 provider, 1 resource, 0 clients, 0 policy rules" in terminal.ok("config", "validate")
    assert terminal.json("config", "validate") == {"valid": True, "faults": [], "warnings": []}


def test_what_is_allowed_and_perhaps_not_meant_is_told(terminal: Terminal) -> None:
    terminal.env["BROKER_ADMIN_BIND"] = "0.0.0.0:8081"

    assert "Warning: BROKER_ADMIN_BIND is 0.0.0.0:8081" in terminal.ok("config", "validate")
    assert len(terminal.json("config", "validate")["warnings"]) == 3


def test_faults_end_with_status_2_and_are_all_told(terminal: Terminal) -> None:
    terminal.env |= {"BROKER_DCR": "yes", "BROKER_ISUER": "x", "BROKER_DCR_TOKEN_FILE": "/nowhere"}

    told = terminal.refused("config", "validate", status=2)
    result = terminal.run("config", "validate", "--json")

    assert "3 settings are wrong" in told
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert not found["valid"]
    assert [fault["setting"] for fault in found["faults"]] == ["BROKER_ISUER", "BROKER_DCR", "BROKER_DCR_TOKEN_FILE"]
    assert all(set(fault) == {"setting", "origin", "wrong", "mend"} for fault in found["faults"])


def test_the_schema_is_printed_without_any_settings(terminal: Terminal) -> None:
    terminal.env = {"BROKER_ISSUER": ""}

    assert terminal.json("config", "schema")["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(terminal.ok("config", "schema"))["properties"]["issuer"]
