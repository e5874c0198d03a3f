"""The S256 code challenge (RFC 7636 section 4.2). Pure."""

from __future__ import annotations

import base64
import hashlib


def challenge(verifier: str) -> str:
    """Return the challenge of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
