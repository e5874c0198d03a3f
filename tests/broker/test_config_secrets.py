"""The places that a secret setting may be in: the value, `…_FILE`, a reference, a mounted credential (architecture, section 7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.settings import Settings
from tests.broker.settings_input import MASTER_KEY, load_from, only_fault

OIDC = {"OIDC_ISSUER": "https://idp.example.com", "OIDC_CLIENT_ID": "b"}


def token_of(settings: Settings) -> str | None:
    return settings.dcr_token.reveal() if settings.dcr_token else None


@pytest.mark.parametrize("content", ["hunter2", "hunter2\n", "hunter2\r\n"])
def test_a_secret_may_be_in_a_file_and_loses_its_line_end(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(content.encode())

    assert token_of(load_from({"BROKER_DCR_TOKEN_FILE": str(path)})) == "hunter2"
    assert token_of(load_from({"BROKER_DCR_TOKEN": f"file:{path}"})) == "hunter2"
    assert token_of(load_from({"BROKER_DCR_TOKEN": f"file://{path}"})) == "hunter2"
    assert token_of(load_from({}, toml=f'dcr_token_file = "{path}"')) == "hunter2"


def test_what_a_file_holds_is_the_secret_even_if_it_looks_like_a_reference(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("env:HOME")

    assert token_of(load_from({"BROKER_DCR_TOKEN_FILE": str(path)})) == "env:HOME"


def test_value_and_file_together_are_refused_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")

    setting, origin, wrong, _ = only_fault({"BROKER_DCR_TOKEN": "two"}, toml=f'dcr_token_file = "{path}"')

    assert (setting, origin) == ("BROKER_DCR_TOKEN", "environment")
    assert "dcr_token_file (broker.toml) is set too" in wrong


def test_a_short_forms_value_and_file_together_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    environ = {**OIDC, "OIDC_CLIENT_SECRET": "x", "OIDC_CLIENT_SECRET_FILE": str(path)}

    assert only_fault(environ)[0] == "OIDC_CLIENT_SECRET"


def test_a_file_that_is_missing_empty_or_no_text_is_refused(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")

    for path, why in (
        (empty, "is empty"),
        (binary, "UTF-8"),
        (tmp_path / "none", "No such file"),
        (tmp_path, "directory"),
    ):
        setting, origin, wrong, mend = only_fault({"BROKER_DCR_TOKEN_FILE": str(path)})
        assert (setting, origin) == ("BROKER_DCR_TOKEN_FILE", "environment")
        assert why in wrong
        assert mend


def test_a_secret_may_be_another_variable() -> None:
    assert token_of(load_from({"BROKER_DCR_TOKEN": "env:TOKEN", "TOKEN": "hunter2"})) == "hunter2"
    assert "the variable TOKEN is not set" in only_fault({"BROKER_DCR_TOKEN": "env:TOKEN"})[2]


def test_each_master_key_of_a_list_may_be_a_reference(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(MASTER_KEY + "\n")
    environ = {"BROKER_MASTER_KEY": f"env:NEW,file:{path}", "NEW": "A" * 43}

    assert load_from(environ).master_keys == (bytes(32), bytes(range(32)))


def test_a_secret_may_be_a_credential_that_systemd_provides(tmp_path: Path) -> None:
    """`LoadCredential=broker_dcr_token:…`; the names are the variables' in lower case."""
    (tmp_path / "broker_dcr_token").write_text("from systemd\n")
    (tmp_path / "oidc_client_secret").write_text("upstream\n")

    settings = load_from({"CREDENTIALS_DIRECTORY": str(tmp_path), **OIDC})

    assert token_of(settings) == "from systemd"
    assert settings.providers[0].adapter.client_secret == "upstream"
    assert settings.origins["BROKER_DCR_TOKEN"] == f"file {tmp_path / 'broker_dcr_token'}"


def test_a_secret_that_is_set_wins_over_a_credential(tmp_path: Path) -> None:
    (tmp_path / "broker_dcr_token").write_text("from systemd")

    assert token_of(load_from({"CREDENTIALS_DIRECTORY": str(tmp_path), "BROKER_DCR_TOKEN": "set"})) == "set"


def test_a_credential_wins_over_the_settings_file_as_its_variable_does(tmp_path: Path) -> None:
    """deploy/README.md, steps 4 and 5: the URL with the password is a file, and the example's has none."""
    (tmp_path / "broker_database_url").write_text("postgresql://broker:password@db.example.com/broker")
    toml = 'database_url = "postgresql://broker@db.example.com/broker"'

    settings = load_from({"CREDENTIALS_DIRECTORY": str(tmp_path), "BROKER_MASTER_KEY": MASTER_KEY}, toml=toml)

    assert ":password@" in settings.database_url.reveal()
    assert settings.origins["BROKER_DATABASE_URL"] == f"file {tmp_path / 'broker_database_url'}"


def test_a_credential_that_is_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broker_dcr_token").write_text("")

    assert only_fault({"CREDENTIALS_DIRECTORY": str(tmp_path)})[0] == "BROKER_DCR_TOKEN"


def test_an_empty_secret_is_refused() -> None:
    assert "is empty" in only_fault({"BROKER_DCR_TOKEN": ""})[2]


def test_a_setting_that_is_no_secret_has_no_file_form_and_no_references() -> None:
    assert only_fault({"BROKER_BIND_FILE": "/x"})[2] == "is not a setting"
    assert only_fault({"BROKER_LOG_LEVEL": "env:HOME"})[0] == "BROKER_LOG_LEVEL"
