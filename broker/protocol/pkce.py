"""Proof Key for Code Exchange (RFC 7636 sections 4.2, 4.3 and 4.6). S256 only (RFC 9700 section 2.1.1). Pure; rule C6."""

from __future__ import annotations

import hmac
import re

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from broker.oauth import InvalidGrant, InvalidRequest, Reason

METHOD = "S256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # base64url of a SHA-256
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def check_challenge(challenge: str | None, method: str | None) -> None:
    """Refuse a challenge that is absent or malformed, and every method but an explicit S256; raises InvalidRequest."""
    if challenge is None:
        raise InvalidRequest(Reason.CHALLENGE_MISSING)
    if method != METHOD:  # an absent method means `plain` (RFC 7636 section 4.3)
        raise InvalidRequest(Reason.CHALLENGE_METHOD)
    if _CHALLENGE.fullmatch(challenge) is None:
        raise InvalidRequest(Reason.CHALLENGE_MALFORMED)


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    challenge: str = create_s256_code_challenge(verifier)
    return challenge


def verify(verifier: str, challenge: str) -> None:
    """Refuse a verifier that does not belong to the challenge; raises InvalidGrant."""
    if _VERIFIER.fullmatch(verifier) is None:
        raise InvalidGrant(Reason.VERIFIER_MALFORMED)
    if not hmac.compare_digest(challenge_of(verifier).encode(), challenge.encode()):
        raise InvalidGrant(Reason.VERIFIER_MISMATCH)
