"""Purpose-bound, expiring authenticated encryption under the master keys: AES-256-GCM (NIST SP 800-38D), HKDF (RFC 5869).

What is sealed for one purpose, or in one context, opens for no other (rules A11, F6, G11). Every seal has a key of its own, derived
from 16 random bytes, so that neither the number of seals nor a repeated nonce is a limit. The first master key seals, all open.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from broker.clock import Entropy

KEY_BYTES = 32
# version, master key id, expiry (0: none), salt of the seal's own key, nonce; then ciphertext and tag
_VERSION = b"\x01"
_ID = slice(1, 5)
_EXPIRY = slice(5, 13)
_SALT = slice(13, 29)
_NONCE = slice(29, 41)
_HEADER = 41
_TAG = 16


class SealBroken(Exception):
    """Forged, changed, sealed for another purpose or context, or under a master key that is not listed."""


class SealExpired(SealBroken):
    """Genuine, and too old."""


class WrongMasterKey(Exception):
    """The master keys at hand do not fit; the message says what to do about it (rule G11)."""


class Sealer:
    """Seals under the first master key and opens under any of them."""

    def __init__(self, master_keys: Sequence[bytes], entropy: Entropy) -> None:
        """Keep the keys. Raises WrongMasterKey for an empty list or a key that is not 32 bytes long."""
        if not master_keys or any(len(key) != KEY_BYTES for key in master_keys):
            raise WrongMasterKey(f"a master key is {KEY_BYTES} random bytes, and there must be one")
        self._entropy = entropy
        self._keys = {_key_id(key): key for key in master_keys}
        self._first = _key_id(master_keys[0])
        self._derived: dict[tuple[bytes, str], bytes] = {}  # purposes are constants of ours, so this stays small

    def seal(self, purpose: str, plaintext: bytes, *, context: str = "", expires_at: int | None = None) -> str:
        """Return url-safe text that only `open` with the same purpose and context reads, until `expires_at` (seconds)."""
        header = _VERSION + self._first + (expires_at or 0).to_bytes(8, "big") + self._entropy.bytes(28)
        aead = self._aead(self._first, purpose, header[_SALT])
        raw = header + aead.encrypt(header[_NONCE], plaintext, header + context.encode())
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    def open(self, purpose: str, sealed: str, *, context: str = "", now: int) -> bytes:
        """Return what was sealed; raises SealBroken, or SealExpired where only its time is over. `now` in seconds."""
        raw = _decode(sealed)
        if raw[_ID] not in self._keys:
            raise SealBroken("sealed under a master key that is not listed")
        aead = self._aead(raw[_ID], purpose, raw[_SALT])
        try:
            plaintext = aead.decrypt(raw[_NONCE], raw[_HEADER:], raw[:_HEADER] + context.encode())
        except InvalidTag:
            raise SealBroken("forged, or sealed for something else") from None
        expires_at = int.from_bytes(raw[_EXPIRY], "big")
        if expires_at and now >= expires_at:
            raise SealExpired("too old")
        return plaintext

    def uses_first_key(self, sealed: str) -> bool:
        """Tell whether this was sealed under the key that seals now; raises SealBroken for what is no seal."""
        return _decode(sealed)[_ID] == self._first

    def _aead(self, key_id: bytes, purpose: str, salt: bytes) -> AESGCM:
        key = self._derived.get((key_id, purpose))
        if key is None:
            hkdf = HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=b"mcp-federation-broker seal " + purpose.encode())
            key = self._derived[(key_id, purpose)] = hkdf.derive(self._keys[key_id])
        return AESGCM(hmac.digest(key, salt, "sha256"))


def load_or_create_master_key(path: Path, entropy: Entropy) -> bytes:
    """Return the master key kept in a file with mode 0600, made if there is none: for a loopback issuer only.

    The file appears whole or not at all, and once: of two processes that start together, both return the same key.
    Raises WrongMasterKey when the file does not hold one, OSError when it cannot be read or made.
    """
    with suppress(FileNotFoundError):
        return _read_key(path)
    draft = path.with_name(f".{path.name}.{entropy.token(9)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.urlsafe_b64encode(entropy.bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    try:
        text = path.read_bytes().strip().rstrip(b"=")
        key = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise WrongMasterKey(
            f"{path} does not hold a master key: base64url of {KEY_BYTES} bytes. Restore it from a copy."
        )
    return key


def _key_id(key: bytes) -> bytes:
    return hmac.digest(key, b"mcp-federation-broker master key id", "sha256")[:4]


def _decode(sealed: str) -> bytes:
    try:
        text = sealed.encode("ascii")
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise SealBroken("not a seal") from None
    # One spelling only: stray bits in the last character must not make a second one (rule F6).
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text or len(raw) < _HEADER + _TAG or raw[:1] != _VERSION:
        raise SealBroken("not a seal")
    return raw
