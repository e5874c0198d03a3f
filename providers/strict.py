"""Strict readings of JSON (RFC 8259) and base64url (RFC 7515 section 2): one value, one spelling. Pure.

Refused: repeated members, NaN and Infinity, lone surrogates, deep nesting, anything but the expected kind at the top; padding, a
foreign alphabet and stray bits in base64url.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NoReturn


class Malformed(ValueError):
    """The input is not what it claims to be; carries none of it."""


def json_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object in `data` (UTF-8); raises Malformed."""
    value = _json(data)
    if not isinstance(value, dict):
        raise Malformed
    return value


def json_array(data: bytes) -> list[Any]:
    """Return the JSON array in `data` (UTF-8); raises Malformed."""
    value = _json(data)
    if not isinstance(value, list):
        raise Malformed
    return value


def base64url(segment: str) -> bytes:
    """Return the bytes of an unpadded base64url text; raises Malformed unless it is their only spelling."""
    try:
        data = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != segment:
        raise Malformed
    return data


def _json(data: bytes) -> Any:
    """Return the value in `data`; None when it is not JSON as we read it."""
    try:
        text = data.decode()
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
        if "\\ud" in text.lower():  # a lone surrogate can be stored nowhere and encoded by nobody
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed
    return members


def _no_constant(_name: str) -> NoReturn:
    raise Malformed
