"""Every settings file in deploy/examples is good, and so is every line in it that waits to be used (architecture, section 7)."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from broker.config import load
from broker.config.schema import schema
from broker.settings import Settings
from providers.base import EndsSession, VerifiesLogout
from providers.registry import provider_types
from tests.broker.cli.terminal import Terminal, make_terminal
from tests.broker.doctor.authority import Authority, self_signed
from tests.broker.settings_input import LONG_SECRET, MASTER_KEY

EXAMPLES = sorted((Path(__file__).parents[2] / "deploy" / "examples").glob("*.toml"))
HOME = "/etc/mcp-broker"
_VARIABLE = re.compile(r"\bBROKER_[A-Z0-9_]+\b")
_EXTRA = re.compile(r"(?:^#: .*\n)+", re.MULTILINE)


def environment(text: str) -> dict[str, str]:
    """Return made-up secrets for exactly the variables that the head of an example asks for."""
    head = text.partition("\nissuer")[0]
    return {name: MASTER_KEY if name == "BROKER_MASTER_KEY" else LONG_SECRET for name in _VARIABLE.findall(head)}


def can(kind: str, capability: type) -> bool:
    """Whether a type's adapters have a capability, without making one."""
    build: Any = provider_types()[kind].build
    return issubclass(getattr(build, "func", build), capability)


def loaded(text: str) -> Settings:
    return load(None, environment(text), text.encode(), provider_types())


def texts() -> Iterator[Any]:
    for path in EXAMPLES:
        yield pytest.param(path.read_text(), id=path.stem)


def extras() -> Iterator[Any]:
    """Yield each example with one block of its extra lines in use."""
    for path in EXAMPLES:
        text = path.read_text()
        for number, found in enumerate(_EXTRA.finditer(text), start=1):
            used = found[0].replace("#: ", "")
            yield pytest.param(text[: found.start()] + used + text[found.end() :], id=f"{path.stem}-{number}")


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return make_terminal(tmp_path, monkeypatch)


def test_there_is_an_example_for_each_type_of_provider_and_one_with_several_at_once() -> None:
    kinds = {path.stem: {p.adapter.type for p in loaded(path.read_text()).providers} for path in EXAMPLES}

    assert set(kinds) == {*provider_types(), "company"}
    assert all(found == {name} for name, found in kinds.items() if name != "company")
    assert len(kinds["company"]) > 2


@pytest.mark.parametrize("text", list(texts()))
def test_an_example_is_good_and_warns_of_nothing(text: str, terminal: Terminal) -> None:
    Path("broker.toml").write_text(text)
    terminal.env = environment(text)

    told = terminal.json("config", "validate")

    assert told == {"valid": True, "faults": [], "warnings": []}


@pytest.mark.parametrize("text", list(texts()))
def test_an_example_holds_no_secret_and_names_every_one_it_needs(text: str) -> None:
    """Rule G11: secrets come from the environment or from files of their own."""
    settings = loaded(text)

    assert not re.search(r"^\s*(client_secret|master_key|secret)\s*=", text, re.MULTILINE)
    assert all(p.adapter.client_secret == LONG_SECRET for p in settings.providers)
    assert settings.master_keys


@pytest.mark.parametrize("text", list(texts()))
def test_an_example_spells_out_what_to_register_at_each_provider(text: str) -> None:
    settings = loaded(text)

    written = set(re.findall(r"https://\S+/callback/\S+", text))
    assert written == {settings.url(f"/callback/{p.id}") for p in settings.providers}
    head = text.partition("\nissuer")[0]
    notified = {p.id for p in settings.providers if can(p.adapter.type, VerifiesLogout)}
    assert set(re.findall(r"(https://\S+/backchannel-logout/\S+) \(back-channel logout\)", head)) == {
        settings.url(f"/backchannel-logout/{id_}") for id_ in notified
    }
    returning = any(can(p.adapter.type, EndsSession) for p in settings.providers)
    assert (f"{settings.url('/logout')} (where its own logout returns to" in head) is returning


@pytest.mark.parametrize("text", list(texts()))
def test_an_example_takes_its_secrets_from_files_as_the_service_does(text: str, terminal: Terminal) -> None:
    """deploy/systemd: one file each, named as its variable in lower case."""
    Path("broker.toml").write_text(text)
    folder = terminal.directory / "secrets"
    folder.mkdir()
    for name, secret in environment(text).items():
        (folder / name.lower()).write_text(secret + "\n")
    terminal.env = {"CREDENTIALS_DIRECTORY": str(folder)}

    assert terminal.json("config", "validate")["valid"]
    shown = {entry["name"]: entry["origin"] for entry in terminal.json("config", "show")}
    assert all(shown[name] == f"file {folder}/{name.lower()}" for name in environment(text))


@pytest.mark.parametrize("text", list(texts()))
def test_an_editor_that_follows_the_schema_finds_no_fault(text: str) -> None:
    jsonschema.validate(tomllib.loads(text), schema(provider_types()))


@pytest.mark.parametrize("text", list(extras()))
def test_every_extra_line_works(text: str, tmp_path: Path) -> None:
    """One block at a time: some are alternatives of each other. The files that they name are made up."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {
        "type": "service_account",
        "client_email": "groups@example.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": pem,
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    files = {
        "ca.pem": Authority(tmp_path).root.read_text(),
        "entra-key.pem": pem,
        "entra-certificate.pem": self_signed(key),
        "google-service-account.json": json.dumps(account),
        "azure-identity-token": "eyJ.made.up",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)

    assert loaded(text.replace(HOME, str(tmp_path))).providers
    assert set(re.findall(rf"{HOME}/([\w.-]+)", text)) <= set(files), "a file that this test does not make"
