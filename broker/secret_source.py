"""A secret that does not print, and the places it may come from: a file, the keyring, another variable.

A reference is `keyring:service/name`, `file:/path` or `env:NAME`; anything else is the secret itself. Refuses a keyring that
would keep secrets in clear. No message of this module contains a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

MAX_SECRET = 64 * 1024  # bytes; a larger file is not a secret
RUN_SECRETS = Path("/run/secrets")  # where containers mount secrets
_REFERENCE = re.compile(r"(keyring|file|env):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret value; `repr` and `str` are ***."""

    _value: str

    def reveal(self) -> str:
        """Return the value itself: for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        """Return three stars."""
        return "***"

    __str__ = __repr__


class SecretUnavailable(Exception):
    """A secret that cannot be had: `wrong` says why, `mend` what to do about it; both are safe to print."""

    def __init__(self, wrong: str, mend: str) -> None:
        """Keep both sentences."""
        super().__init__(f"{wrong}. {mend}.")
        self.wrong = wrong
        self.mend = mend


def is_reference(text: str) -> bool:
    """Tell whether a setting's text names a place instead of being the secret."""
    return _REFERENCE.fullmatch(text) is not None


def resolve(text: str, environ: Mapping[str, str]) -> str:
    """Return the secret that a setting's text is or refers to; raises SecretUnavailable."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return text
    kind, rest = match.groups()
    if kind == "file":
        return read_file(Path(rest.removeprefix("//")))
    if kind == "env":
        if not environ.get(rest):
            raise SecretUnavailable(f"the variable {rest} is not set or empty", f"set {rest}")
        return environ[rest]
    service, name = split_entry(rest)
    return from_keyring(service, name)


def read_file(path: Path) -> str:
    """Return a file's text without its trailing newline; raises SecretUnavailable."""
    mend = "mount a readable file that holds the secret and nothing else"
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET + 1)
        text = raw.decode("utf-8").rstrip("\r\n")
    except (OSError, ValueError) as fault:  # ValueError: not UTF-8, or a path that no file can have
        why = fault.strerror if isinstance(fault, OSError) else "not text in UTF-8"
        raise SecretUnavailable(f"the file {path} cannot be read ({why})", mend) from None
    if len(raw) > MAX_SECRET:
        raise SecretUnavailable(f"the file {path} is larger than {MAX_SECRET} bytes", mend)
    if not text:
        raise SecretUnavailable(f"the file {path} is empty", mend)
    return text


def credential_file(name: str, environ: Mapping[str, str]) -> Path | None:
    """Return the file that systemd (`LoadCredential=`) or a container runtime provides under a lower-case name, if there is one."""
    directories = [RUN_SECRETS]
    if environ.get("CREDENTIALS_DIRECTORY"):
        directories.insert(0, Path(environ["CREDENTIALS_DIRECTORY"]))
    return next((d / name for d in directories if (d / name).is_file()), None)


def split_entry(entry: str) -> tuple[str, str]:
    """Return service and name of `service/name`; raises SecretUnavailable when it is not of that form."""
    service, slash, name = entry.partition("/")
    if not (service and slash and name and entry.isprintable()):
        raise SecretUnavailable("a keyring entry is written service/name", "write keyring:service/name")
    return service, name


def from_keyring(service: str, name: str) -> str:
    """Return an entry of the keyring; raises SecretUnavailable, with the command that creates a missing one."""
    found = find_entry(service, name)
    if not found:
        raise SecretUnavailable(
            f"the keyring has no entry {service}/{name}", f"create it: mcp-broker secrets set {service}/{name}"
        )
    return found


def find_entry(service: str, name: str) -> str | None:
    """Return an entry of the keyring, or None; raises SecretUnavailable when there is no usable keyring."""
    from keyring.errors import KeyringError  # noqa: PLC0415 - importing keyring searches for back ends; only its users pay

    try:
        entries = (backend.get_password(service, name) for backend in _backends())
        return next((entry for entry in entries if entry is not None), None)
    except KeyringError as fault:
        raise _keyring_failed(fault) from None


def store_entry(service: str, name: str, secret: str) -> None:
    """Put an entry into the keyring; raises SecretUnavailable."""
    from keyring.errors import KeyringError  # noqa: PLC0415 - as above

    try:
        _backends()[0].set_password(service, name, secret)
    except KeyringError as fault:
        raise _keyring_failed(fault) from None


def delete_entry(service: str, name: str) -> bool:
    """Take an entry out of the keyring; False when there was none. Raises SecretUnavailable."""
    from keyring.errors import KeyringError  # noqa: PLC0415 - as above

    try:
        holders = [b for b in _backends() if b.get_password(service, name) is not None]
        for backend in holders:
            backend.delete_password(service, name)
    except KeyringError as fault:
        raise _keyring_failed(fault) from None
    return bool(holders)


def _backends() -> list[KeyringBackend]:
    """Return the back ends that keyring chose, best first, without those that keep secrets in clear or not at all."""
    import keyring  # noqa: PLC0415 - as above
    from keyring.backends import chainer, fail, null  # noqa: PLC0415 - as above

    chosen = keyring.get_keyring()
    candidates = list(chosen.backends) if isinstance(chosen, chainer.ChainerBackend) else [chosen]
    usable = [b for b in candidates if not isinstance(b, fail.Keyring | null.Keyring) and not _in_clear(b)]
    if usable:
        return usable
    clear = next((b for b in candidates if _in_clear(b)), None)
    if clear is not None:
        name = f"{type(clear).__module__}.{type(clear).__qualname__}"
        raise SecretUnavailable(
            f"the only keyring back end of this machine is {name}, which keeps secrets unencrypted in a file",
            "use a file: reference or the setting's …_FILE form, or uninstall keyrings.alt and unlock a real keyring",
        )
    raise _no_keyring()


def _in_clear(backend: KeyringBackend) -> bool:
    kind = type(backend)
    return "plaintext" in kind.__qualname__.lower() or (
        kind.__module__.startswith("keyrings.alt") and "encrypted" not in kind.__qualname__.lower()
    )


def _no_keyring() -> SecretUnavailable:
    return SecretUnavailable(
        "this machine has no keyring back end (no Secret Service, macOS Keychain or Windows Credential Locker is running)",
        "keep the secret in a file instead: a file:/path reference, or the setting's …_FILE form",
    )


def _keyring_failed(fault: Exception) -> SecretUnavailable:
    from keyring.errors import KeyringLocked, NoKeyringError  # noqa: PLC0415 - as above

    if isinstance(fault, NoKeyringError):
        return _no_keyring()
    if isinstance(fault, KeyringLocked):
        return SecretUnavailable("the keyring is locked", "unlock it, or use a file:/path reference")
    return SecretUnavailable(
        f"the keyring failed ({type(fault).__name__})", "see that it is running, or use a file:/path reference"
    )
