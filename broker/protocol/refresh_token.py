"""Refresh tokens and their rotation (RFC 6749 section 6, RFC 9700 section 4.14.2). Pure; rules E6 to E9, F6.

A token is `rt_` + handle + generation + MAC. The handle finds the grant's row, the MAC proves that the generation is genuine,
and the row's own generation says what it means: nothing about a token is stored, and every token ever issued is recognised.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from enum import Enum, auto

from broker.model import Grant

PREFIX = "rt_"
_TOKEN = re.compile(r"rt_(?P<handle>[A-Za-z0-9_-]{22,64})\.(?P<generation>[1-9][0-9]{0,14})\.[A-Za-z0-9_-]{43}")
_MAC_DOMAIN = b"mcp-federation-broker refresh token\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """A token's readable parts, before its MAC was checked."""

    handle: str
    generation: int
    token: str


class Turn(Enum):
    """What a genuine refresh token leads to."""

    ROTATE = auto()  # it is the current one
    REPEAT = auto()  # its predecessor, within grace: the same successor again
    REUSED = auto()  # an older one: somebody kept a copy; the grant ends
    LATE = auto()  # an older one, while the last rotation is young: refused, nothing ends
    FUTURE = auto()  # newer than the row (a restored backup): refused, nothing ends


def mint(mac_key: bytes, handle: str, generation: int) -> str:
    """Return the refresh token of a generation; the same arguments always give the same token."""
    body = f"{handle}.{generation}"
    mac = hmac.digest(mac_key, _MAC_DOMAIN + body.encode(), "sha256")
    return f"{PREFIX}{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def parse(token: str) -> Unproven | None:
    """Return a token's parts; None when it is not shaped like one of ours."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    return Unproven(handle=found["handle"], generation=int(found["generation"]), token=token)


def genuine(mac_key: bytes, unproven: Unproven) -> bool:
    """Tell whether we issued this very text: it is made again and compared whole, so no other spelling of it passes."""
    return hmac.compare_digest(mint(mac_key, unproven.handle, unproven.generation).encode(), unproven.token.encode())


def decide(grant: Grant, generation: int, *, now: int, grace: int) -> Turn:
    """Say what a genuine token of `generation` leads to; `now` and `grace` in seconds.

    Only the immediate predecessor has grace. An older one within it is refused and ends nothing, since several processes of one
    client may hold it; after it, whoever presents one has kept a copy.
    """
    if generation > grant.generation:
        return Turn.FUTURE
    if generation == grant.generation:
        return Turn.ROTATE
    age = now - (grant.rotated_at or grant.created_at)
    # A rotation that lies in the future (a clock set back) has no grace beyond its length, and is no proof of theft either.
    if generation == grant.generation - 1 and -grace < age < grace:
        return Turn.REPEAT
    return Turn.LATE if age < grace else Turn.REUSED
