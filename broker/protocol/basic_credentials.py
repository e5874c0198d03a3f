"""HTTP Basic as clients send it (RFC 7617 section 2, RFC 6749 section 2.3.1). Pure; rule E12.

RFC 6749 has id and secret percent-encoded before they are joined; the TypeScript SDK does not do so, the Python SDK does.
Ids and secrets of ours read the same both ways; those that an administrator chose are compared in both readings.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from broker.oauth import InvalidClient, Reason

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Basic:
    """An id, and the readings of its secret: decoded, and raw where that differs; none when the secret is empty."""

    id: str
    secrets: tuple[str, ...] = field(repr=False)


def parse(authorization: str) -> Basic:
    """Return the credentials of an Authorization header; raises InvalidClient for another scheme or a malformed value."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient(Reason.CREDENTIALS_KIND, "authorization scheme")
    try:
        text = base64.b64decode(value.strip(" ").encode("ascii"), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeError):
        raise InvalidClient(Reason.CREDENTIALS_MALFORMED) from None
    identifier, colon, secret = text.partition(":")
    if not colon or not identifier or not text.isprintable():
        raise InvalidClient(Reason.CREDENTIALS_MALFORMED)
    decoded = _decoded(secret)
    readings = [secret] if decoded is None else [decoded, secret]
    return Basic(_decoded(identifier) or identifier, tuple(dict.fromkeys(readings)) if secret else ())


def _decoded(text: str) -> str | None:
    """Return the form-decoded text, or None where it was never encoded."""
    if _BROKEN_ESCAPE.search(text):
        return None
    try:
        decoded = unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        return None
    return decoded if decoded.isprintable() else None
