"""The life of a signing key: pending, active, retiring, gone (OpenID Connect Core section 10.1.1, RFC 7517). Pure; rule F3.

A state follows from the stored times and the moment, so every replica changes from one key to the next at the same second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from broker.model import SigningKey

PUBLISHED_AHEAD = 2 * 3600  # seconds; verifiers cache a key set for up to an hour
MAC = "HMAC"  # the kind of key that proves refresh tokens; never published, never rotated away
FOREVER = 1 << 62


class State(StrEnum):
    """What a key does at a moment."""

    PENDING = "pending"  # published, does not sign yet
    ACTIVE = "active"
    RETIRING = "retiring"  # published, signs no more
    GONE = "gone"


def state(key: SigningKey, now: int) -> State:
    """Return a key's state at `now` (seconds)."""
    if key.gone_at is not None and now >= key.gone_at:
        return State.GONE
    if key.retires_at is not None and now >= key.retires_at:
        return State.RETIRING
    return State.ACTIVE if now >= key.activates_at else State.PENDING


def signing_key(keys: Iterable[SigningKey], alg: str, now: int) -> SigningKey | None:
    """Return the key that signs for an algorithm: the newest active one.

    Without one (a clock set back before the first key's time) the next pending one signs: it is published, and no key is worse.
    """
    mine = [key for key in keys if key.alg == alg]
    active = [key for key in mine if state(key, now) is State.ACTIVE]
    pending = [key for key in mine if state(key, now) is State.PENDING]
    if active:
        return max(active, key=lambda key: key.activates_at)
    return min(pending, key=lambda key: key.activates_at, default=None)


def due(keys: Iterable[SigningKey], alg: str, *, now: int, rotation: int) -> int | None:
    """Return when a new key of this algorithm should start to sign, or None when there is nothing to do yet. Times in seconds.

    The first key signs at once; a later one `rotation` after its predecessor, and never before verifiers can know it.
    """
    mine = [key.activates_at for key in keys if key.alg == alg and state(key, now) in (State.PENDING, State.ACTIVE)]
    if not mine:
        return now
    successor_at = max(mine) + rotation
    return max(successor_at, now + PUBLISHED_AHEAD) if now >= successor_at - PUBLISHED_AHEAD else None


def boundaries(keys: Sequence[SigningKey], now: int) -> tuple[int, int]:
    """Return the span around `now` in which no key changes its state: from the first time to before the second."""
    times = [t for key in keys for t in (key.activates_at, key.retires_at, key.gone_at) if t is not None]
    return max((t for t in times if t <= now), default=0), min((t for t in times if t > now), default=FOREVER)
