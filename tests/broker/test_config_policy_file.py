"""Policy rules in a file of their own: BROKER_POLICY_FILE, or BROKER_POLICY=file:/path."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.config import examine
from broker.config.policy_file import LARGEST
from providers.registry import provider_types
from tests.broker.settings_input import LOCAL, load_from, only_fault

JSON = '[{"name": "staff", "group": "staff"}]'
TOML = '# Who gets what.\n[[policy]]\nname = "staff"\ngroup = "staff"\n'
ONE = {"OIDC_ISSUER": "https://idp.example.com", "OIDC_CLIENT_ID": "b", "OIDC_CLIENT_SECRET": "s"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy"


@pytest.mark.parametrize("text", [JSON, f"\n  {JSON}\n", TOML, TOML.partition("\n")[2]])
def test_the_file_holds_json_or_toml(file: Path, text: str) -> None:
    file.write_text(text)

    for environ in ({"BROKER_POLICY_FILE": str(file)}, {"BROKER_POLICY": f"file:{file}"}):
        assert [rule.name for rule in load_from({**ONE, **environ}).policy] == ["staff"]
    assert [rule.name for rule in load_from(ONE, toml=f'policy = "file://{file}"').policy] == ["staff"]


def test_the_file_is_known_to_whoever_watches_it(file: Path) -> None:
    file.write_text(JSON)
    named = {**LOCAL, **ONE, "BROKER_POLICY_FILE": str(file)}

    assert examine(None, named, None, provider_types()).files == (file,)
    assert examine(None, {**LOCAL, **ONE, "BROKER_POLICY": JSON}, None, provider_types()).files == ()


def test_a_fault_in_the_file_names_its_rule(file: Path) -> None:
    file.write_text(JSON.replace("group", "grop"))

    setting, origin, wrong, mend = only_fault({**ONE, "BROKER_POLICY_FILE": str(file)})
    assert (setting, origin, mend) == ("BROKER_POLICY_FILE, rule 1", "environment", "write group")
    assert "grop" in wrong


def test_a_file_beside_the_rules_themselves_is_refused(file: Path) -> None:
    file.write_text(JSON)
    assert "is set too" in only_fault({**ONE, "BROKER_POLICY": JSON, "BROKER_POLICY_FILE": str(file)})[2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"nonsense", "neither JSON nor TOML"),
        (b"", "holds something else than policy, or nothing"),
        (b'issuer = "http://localhost"', "holds something else than policy"),
        (b"[" * 100_000, "neither JSON nor TOML"),
        (b"#" * (LARGEST + 1), "is larger than"),
        (b"[nonsense", "is not JSON"),
        (b'policy = "x"', "is not JSON"),
        (b"policy = 1", "is not a list of rules"),
    ],
    ids=["absent", "binary", "nonsense", "empty", "settings", "deep", "huge", "half", "text", "number"],
)
def test_a_file_without_rules_is_refused(file: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        file.write_bytes(content)
    assert says in only_fault({**ONE, "BROKER_POLICY_FILE": str(file)})[2]
