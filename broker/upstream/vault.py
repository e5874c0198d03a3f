"""Upstream tokens under seal (rules B13, G11): bound to the person at the provider, and to nothing that a new login changes."""

from __future__ import annotations

import json

from broker.model import REALM, Identity
from broker.seal import SealBroken, Sealer
from broker.store.base import Store
from providers.base import UpstreamTokens

PURPOSE = "upstream-tokens"
BATCH = 200


class TokenVault:
    """Seals and opens upstream tokens."""

    def __init__(self, sealer: Sealer) -> None:
        """Keep the master keys."""
        self._sealer = sealer

    def seal(self, identity: Identity, tokens: UpstreamTokens) -> str:
        """Return the tokens as text that only `open` for the same person reads."""
        members = {
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "id_token": tokens.id_token,
            "expires_in": tokens.expires_in,
        }
        text = json.dumps({name: value for name, value in members.items() if value is not None})
        return self._sealer.seal(PURPOSE, text.encode(), context=_context(identity))

    def open(self, identity: Identity, sealed: str, *, now: int) -> UpstreamTokens:
        """Return the tokens; raises SealBroken. `now` in seconds."""
        members = json.loads(self._sealer.open(PURPOSE, sealed, context=_context(identity), now=now))
        return UpstreamTokens(
            access_token=members["access_token"],
            refresh_token=members.get("refresh_token"),
            id_token=members.get("id_token"),
            expires_in=members.get("expires_in"),
        )

    async def reseal(self, store: Store, *, now: int) -> tuple[int, int]:
        """Seal all that the store keeps under the first master key; return how many were not, and how many no listed key opens."""
        moved, unreadable, after = 0, 0, ""
        while found := await store.sealed_tokens(after=after, limit=BATCH):
            for upstream_session_id, sealed in found:
                try:
                    if not self._sealer.uses_first_key(sealed):
                        moved += await self._move(store, upstream_session_id, sealed, now)
                except SealBroken:
                    unreadable += 1
            after = found[-1][0]
        return moved, unreadable

    async def _move(self, store: Store, upstream_session_id: str, sealed: str, now: int) -> bool:
        session = await store.find_upstream_session(upstream_session_id)
        if session is None or session.sealed_tokens != sealed:  # renewed meanwhile, under the first key
            return False
        context = _context(session.identity)
        text = self._sealer.open(PURPOSE, sealed, context=context, now=now)
        resealed = self._sealer.seal(PURPOSE, text, context=context)
        return await store.reseal_tokens(upstream_session_id, sealed=sealed, resealed=resealed)


def _context(identity: Identity) -> str:
    return json.dumps([REALM, identity.provider, identity.subject])
