"""A token that no resource server may accept, to see whether it looks at the audience (RFC 8707 section 2, RFC 9068 section 4; rule F1).

It is a real token of ours in everything but three names: audience, subject and client are a URN, which can be no resource (those are
http or https URLs), no person (`u_…`) and no client id (no colon, or an https URL). So it is good for no server that verifies tokens
as it should; a server that accepts it accepts every other server's tokens anyway, from people who do have them. It carries the
resource's own scopes, or a refusal for a missing scope would pass for one of the audience. It lives a minute, is recorded before it
is made, belongs to no grant (so introspection calls it inactive), and is sent to the one server under examination.
"""

from __future__ import annotations

from broker.audit import Audit, Event
from broker.clock import Clock, Entropy
from broker.keys import SigningKeys
from broker.model import Resource
from broker.settings import Settings
from broker.store.base import Store

NOBODY = "urn:mcp-broker:canary"
LIFE = 60  # seconds


class Canary:
    """Makes such tokens. `keys` are loaded."""

    def __init__(
        self, settings: Settings, *, keys: SigningKeys, store: Store, audit: Audit, clock: Clock, entropy: Entropy
    ) -> None:
        """Keep the collaborators."""
        self._settings = settings
        self._keys = keys
        self._store = store
        self._audit = audit
        self._clock = clock
        self._entropy = entropy

    async def token(self, resource: Resource) -> str:
        """Return a token as `resource` gets them, for nobody and nowhere. Raises TemporarilyUnavailable without a key, StoreUnavailable."""
        now, jti = self._clock.now(), self._entropy.token(16)
        event = self._audit.event(Event.TOKEN_CANARY, client_id=NOBODY, resource=resource.url, jti=jti)
        await self._store.append_events([event])
        claims = {
            "iss": self._settings.issuer,
            "aud": NOBODY,
            "sub": NOBODY,
            "client_id": NOBODY,
            "azp": NOBODY,
            "scope": " ".join(resource.scopes),
            "iat": now,
            "exp": now + LIFE,
            "jti": jti,
            "grant_id": NOBODY,
            "auth_time": now,
        }
        return await self._keys.sign(
            claims, alg=resource.signing_alg or self._settings.signing_alg, typ=resource.token_typ
        )
