"""Where secrets are kept: references, files, the keyring (architecture, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.chainer import ChainerBackend
from keyring.errors import InitError, KeyringLocked

from broker.secret_source import (
    MAX_SECRET,
    Secret,
    SecretUnavailable,
    credential_file,
    delete_entry,
    find_entry,
    is_reference,
    read_file,
    resolve,
    split_entry,
    store_entry,
)
from tests.broker.settings_input import load_from, only_fault


class MemoryKeyring(KeyringBackend):
    """A keyring as keyring's own backends are: entries by service and name."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class PlaintextKeyring(MemoryKeyring):
    """Named as those of keyrings.alt that keep secrets in a file in clear."""


class LockedKeyring(MemoryKeyring):
    """A keychain whose owner has not unlocked it."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked(f"{service}/{username}: hunter2")


class BrokenKeyring(MemoryKeyring):
    """A keyring whose service does not answer."""

    def get_password(self, service: str, username: str) -> str | None:
        raise InitError(f"{service}/{username}: hunter2")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise InitError(f"{service}/{username}/{password}: hunter2")


@pytest.fixture
def use() -> Iterator[Callable[[KeyringBackend], KeyringBackend]]:
    """Let keyring use a backend during the test."""
    before = keyring.get_keyring()

    def choose(backend: KeyringBackend) -> KeyringBackend:
        keyring.set_keyring(backend)
        return backend

    yield choose
    keyring.set_keyring(before)


Use = Callable[[KeyringBackend], KeyringBackend]


def test_a_secret_does_not_print() -> None:
    secret = Secret("hunter2")

    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"
    assert secret.reveal() == "hunter2"


@pytest.mark.parametrize("text", ["keyring:a/b", "file:/run/secrets/x", "env:NAME"])
def test_three_prefixes_make_a_reference(text: str) -> None:
    assert is_reference(text)


@pytest.mark.parametrize("text", ["hunter2", "https://x", "Keyring:a/b", "vault:x", "env", ""])
def test_anything_else_is_the_secret_itself(text: str) -> None:
    assert not is_reference(text)
    assert resolve(text, {}) == text


def test_an_entry_of_the_keyring_is_found_by_service_and_name(use: Use) -> None:
    use(MemoryKeyring())
    store_entry("google", "client_secret", "hunter2")

    assert resolve("keyring:google/client_secret", {}) == "hunter2"
    settings = load_from({"BROKER_DCR_TOKEN": "keyring:google/client_secret"})
    assert settings.dcr_token is not None
    assert settings.dcr_token.reveal() == "hunter2"
    assert settings.origins["BROKER_DCR_TOKEN"] == "environment, keyring:google/client_secret"


def test_a_missing_entry_is_told_with_the_command_that_creates_it(use: Use) -> None:
    use(MemoryKeyring())

    setting, _, wrong, mend = only_fault({"BROKER_DCR_TOKEN": "keyring:google/client_secret"})

    assert setting == "BROKER_DCR_TOKEN"
    assert wrong == "the keyring has no entry google/client_secret"
    assert mend == "create it: mcp-broker secrets set google/client_secret"


def test_a_machine_without_a_keyring_is_told_so_with_the_way_around(use: Use) -> None:
    """In a container keyring has only its `fail` backend."""
    use(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]

    _, _, wrong, mend = only_fault({"BROKER_DCR_TOKEN": "keyring:google/client_secret"})

    assert "no keyring back end" in wrong
    assert "file:/path" in mend
    assert "…_FILE" in mend
    with pytest.raises(SecretUnavailable, match="no keyring back end"):
        store_entry("a", "b", "hunter2")


def test_a_keyring_that_is_switched_off_keeps_nothing(use: Use) -> None:
    """Keyring's `null` backend accepts and forgets."""
    use(keyring.backends.null.Keyring())  # type: ignore[no-untyped-call]

    with pytest.raises(SecretUnavailable):
        store_entry("a", "b", "hunter2")


def test_a_keyring_that_keeps_secrets_in_clear_is_refused(use: Use) -> None:
    use(PlaintextKeyring())

    for attempt in (lambda: store_entry("a", "b", "x"), lambda: find_entry("a", "b"), lambda: delete_entry("a", "b")):
        with pytest.raises(SecretUnavailable, match="PlaintextKeyring, which keeps secrets unencrypted") as refusal:
            attempt()
        assert "file:" in refusal.value.mend


def test_a_back_end_of_keyrings_alt_is_refused_unless_it_encrypts(use: Use) -> None:
    elsewhere = type("BasicKeyring", (MemoryKeyring,), {"__module__": "keyrings.alt.pyfs"})
    use(elsewhere())

    with pytest.raises(SecretUnavailable, match=r"keyrings\.alt\.pyfs\.BasicKeyring"):
        find_entry("a", "b")


def test_a_chain_of_back_ends_skips_the_one_in_clear(use: Use) -> None:
    class Chain(ChainerBackend):
        backends = (clear := PlaintextKeyring(), good := MemoryKeyring())

    use(Chain())  # type: ignore[no-untyped-call]
    Chain.clear.set_password("a", "b", "from the clear one")
    store_entry("a", "c", "hunter2")

    assert find_entry("a", "b") is None
    assert find_entry("a", "c") == "hunter2"
    assert Chain.good.entries == {("a", "c"): "hunter2"}


@pytest.mark.parametrize(("backend", "wrong"), [(LockedKeyring, "is locked"), (BrokenKeyring, r"failed \(InitError\)")])
def test_a_keyring_that_fails_is_told_without_its_own_words(use: Use, backend: type[MemoryKeyring], wrong: str) -> None:
    use(backend())

    with pytest.raises(SecretUnavailable, match=wrong) as refusal:
        find_entry("a", "b")
    assert "hunter2" not in str(refusal.value)
    with pytest.raises(SecretUnavailable):
        delete_entry("a", "b")


def test_a_keyring_that_cannot_store_is_told(use: Use) -> None:
    use(BrokenKeyring())

    with pytest.raises(SecretUnavailable, match="InitError"):
        store_entry("a", "b", "secret")


def test_an_entry_can_be_deleted_once(use: Use) -> None:
    use(MemoryKeyring())
    store_entry("a", "b", "hunter2")

    assert delete_entry("a", "b")
    assert not delete_entry("a", "b")


@pytest.mark.parametrize("entry", ["", "a", "/b", "a/", "a\n/b"])
def test_an_entry_is_written_service_and_name(entry: str) -> None:
    with pytest.raises(SecretUnavailable, match="service/name"):
        split_entry(entry)


def test_a_name_may_have_slashes() -> None:
    assert split_entry("mcp-broker/providers/corp") == ("mcp-broker", "providers/corp")


def test_a_file_larger_than_any_secret_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"x" * (MAX_SECRET + 1))

    with pytest.raises(SecretUnavailable, match="larger than"):
        read_file(path)


def test_a_path_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(SecretUnavailable, match="cannot be read"):
        resolve("file:/a\0b", {})


def test_a_credential_is_looked_for_only_where_one_is_provided(tmp_path: Path) -> None:
    assert credential_file("broker_test_nothing", {}) is None
    assert credential_file("broker_test_nothing", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None
