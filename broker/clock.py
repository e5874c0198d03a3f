"""Time and randomness as collaborators, so that protocol decisions take both as arguments. Leaf."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from typing import Protocol


class Clock(Protocol):
    """Where the program reads the time."""

    def now(self) -> int:
        """Return seconds since the epoch (the database's clock where there is one)."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; for time-outs only."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds."""
        ...


class Entropy(Protocol):
    """Where the program reads randomness."""

    def token(self, nbytes: int = 32) -> str:
        """Return `nbytes` random bytes as unpadded base64url."""
        ...

    def bytes(self, nbytes: int) -> bytes:
        """Return `nbytes` random bytes."""
        ...


class Ids:
    """Random ids that are no secrets, drawn in blocks: one call of the system's random source serves many. Not for threads."""

    def __init__(self, entropy: Entropy, nbytes: int, *, block: int = 64) -> None:
        """Each id is `nbytes` random bytes, a multiple of three, as base64url; a block is so many ids."""
        self._entropy = entropy
        self._nbytes = nbytes
        self._size = block
        self._block: list[str] = []

    def next(self) -> str:
        """Return an id that was never returned before."""
        if not self._block:
            text, width = self._entropy.token(self._nbytes * self._size), self._nbytes * 4 // 3
            self._block = [text[i : i + width] for i in range(0, len(text), width)]
        return self._block.pop()


class SystemClock:
    """The machine's clock plus an offset that the store samples from its database."""

    def __init__(self) -> None:
        """Start with no offset."""
        self.offset = 0.0

    def now(self) -> int:
        """Return seconds since the epoch."""
        return int(time.time() + self.offset)

    def monotonic(self) -> float:
        """Return the monotonic clock in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let others work for so many seconds."""
        await asyncio.sleep(seconds)


class SystemEntropy:
    """The operating system's random source."""

    def token(self, nbytes: int = 32) -> str:
        """Return `nbytes` random bytes as unpadded base64url."""
        return base64.urlsafe_b64encode(secrets.token_bytes(nbytes)).rstrip(b"=").decode()

    def bytes(self, nbytes: int) -> bytes:
        """Return `nbytes` random bytes."""
        return secrets.token_bytes(nbytes)
