"""What this process remembers of outages: whoever may be answered on the last word need not wait for a provider that was just found down.

One outage is one provider's. It says nothing of anybody's session: it only spares a question whose answer STALE_LIMIT can do without,
and one question in `ASKED_AGAIN` is not spared, so that the end is found. Times are monotonic seconds.
"""

from __future__ import annotations

ASKED_AGAIN = 30.0  # seconds


class Outages:
    """Which providers were found down, and when each is to be asked again."""

    def __init__(self) -> None:
        """Know of none."""
        self._asked_again_at: dict[str, float] = {}

    def seen(self, provider: str, *, now: float) -> None:
        """Remember that a provider was asked, again and again, and is down; it is asked again in a while, however often that is seen."""
        if now >= self._asked_again_at.get(provider, now):
            self._asked_again_at[provider] = now + ASKED_AGAIN

    def over(self, provider: str) -> None:
        """Forget the outage: the provider answered."""
        self._asked_again_at.pop(provider, None)

    def spares(self, provider: str, *, now: float) -> bool:
        """Tell whether asking can be spared. Of those who come when it is time to ask again, the first is told to, and only that one."""
        at = self._asked_again_at.get(provider)
        if at is None:
            return False
        if now < at:
            return True
        self._asked_again_at[provider] = now + ASKED_AGAIN
        return False
