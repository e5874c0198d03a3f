"""The signing keys and the refresh-token MAC key: loaded, rotated by schedule, published (OpenID Connect Core section 10.1.1; rule F3).

Keys live sealed in the store; every change names the ring's version, so any replica may make it and exactly one does. Which key
signs at a moment is decided by stored times alone (`protocol.key_ring`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from broker.audit import Audit, Event
from broker.clock import Clock, Entropy
from broker.model import REALM, AuditEvent, SigningKey
from broker.oauth import Reason, TemporarilyUnavailable
from broker.protocol import jws, key_ring
from broker.protocol.access_token import LEEWAY
from broker.protocol.key_ring import MAC, State
from broker.seal import KEY_BYTES, SealBroken, Sealer, WrongMasterKey
from broker.settings import Settings
from broker.signer import PUBLIC_MEMBERS, Signer, generate
from broker.store.base import KeyRing, Store, StoreUnavailable

__all__ = ["JWKS_MAX_AGE", "SigningKeys", "WrongMasterKey"]

JWKS_MAX_AGE = 300  # seconds for which a key set may be cached
PURPOSE = "signing-key"
_ATTEMPTS = 20  # to change the ring beside other replicas
_RELOAD_PAUSE = 1.0  # seconds between reloads that a stranger's `kid` can cause
_NO_KEYS = KeyRing(version=-1, keys=())
_WRONG_MASTER_KEY = (
    "BROKER_MASTER_KEY does not open the keys in this database. Name the key they were sealed with: it may stand after a newer "
    "one in the comma-separated list, and `mcp-broker keys reseal` then moves everything to the first."
)


@dataclass(slots=True, kw_only=True)
class _Draft:
    """The ring as it should become, and the events that say why."""

    keys: list[SigningKey]
    now: int
    events: list[AuditEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What follows from the ring while no key changes its state: from `since` to before `until` (seconds)."""

    since: int
    until: int
    signers: Mapping[str, Signer]
    verifying: Mapping[str, jws.VerifyingKey]
    jwks: bytes


class SigningKeys:
    """Every key of the broker. `start` comes first; the rest raises StoreUnavailable only where it says that it asks the store."""

    def __init__(
        self, *, store: Store, sealer: Sealer, clock: Clock, entropy: Entropy, audit: Audit, settings: Settings
    ) -> None:
        """Keep the collaborators; nothing is loaded yet."""
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._entropy = entropy
        self._audit = audit
        self._rotation = settings.key_rotation
        self._algorithms = settings.signing_algs
        self._longest_ttl = _longest_ttl(settings)
        self._ring = _NO_KEYS
        self._signers: dict[str, Signer] = {}
        self._mac_keys: dict[str, bytes] = {}
        self._view = _View(since=0, until=0, signers={}, verifying={}, jwks=b"")
        self._reloaded_at = float("-inf")

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms in use, as configured, the global one first."""
        return self._algorithms

    @property
    def all(self) -> tuple[SigningKey, ...]:
        """Every key as stored, sealed, MAC keys included."""
        return self._ring.keys

    async def start(self) -> None:
        """Load the keys and make those that are missing.

        Raises WrongMasterKey when the stored ones cannot be opened (nothing is changed then), StoreUnavailable.
        """
        await self._change(self._upkeep)

    async def load(self) -> None:
        """Load the keys as they are: none is made, rotated or dropped. Raises WrongMasterKey, StoreUnavailable."""
        self._use(await self._store.load_keys())

    async def refresh(self) -> None:
        """Follow the other replicas and the schedule: rotate, retire, delete. Called every few seconds; raises StoreUnavailable."""
        try:
            await self._change(self._upkeep)
        except WrongMasterKey:  # another replica has a newer master key: what is loaded still serves
            self._audit.log("keys.unreadable", "error")

    async def rotate(self, alg: str | None = None, *, at_once: bool = False) -> list[SigningKey]:
        """Make a new key for one algorithm, or for each in use, and return them.

        It signs once verifiers can know it (`key_ring.PUBLISHED_AHEAD`), or `at_once`, where keys not yet in use are dropped.
        Raises KeyError for an unknown algorithm, WrongMasterKey, StoreUnavailable.
        """
        made: list[SigningKey] = []

        async def edit(draft: _Draft) -> None:
            made.clear()
            starts_at = draft.now if at_once else draft.now + key_ring.PUBLISHED_AHEAD
            for name in [alg] if alg else self._algorithms:
                if at_once:
                    self._drop(draft, State.PENDING, name)
                made.append(await self._succeed(draft, name, starts_at))

        await self._change(edit)
        return made

    async def reseal(self) -> int:
        """Seal every key under the first master key; return how many were not. Raises WrongMasterKey, StoreUnavailable."""
        moved: list[str] = []

        async def edit(draft: _Draft) -> None:
            moved[:] = [key.kid for key in draft.keys if not self._sealer.uses_first_key(key.sealed)]
            for i, key in enumerate(draft.keys):
                if key.kid in moved:
                    secret = self._sealer.open(PURPOSE, key.sealed, context=_context(key.kid), now=draft.now)
                    draft.keys[i] = replace(key, sealed=self._sealer.seal(PURPOSE, secret, context=_context(key.kid)))

        await self._change(edit)
        return len(moved)

    async def sign(self, claims: Mapping[str, Any], *, alg: str, typ: str) -> str:
        """Return the claims as a compact JWS signed with the algorithm's active key. Raises TemporarilyUnavailable without one."""
        signer = self._now().signers.get(alg)
        if signer is None:
            raise TemporarilyUnavailable(Reason.OUTAGE, f"no {alg} key", retry_after=5)
        return await signer.sign(claims, typ)

    def signing_since(self) -> dict[str, int]:
        """Return for each algorithm since when its current key signs, in seconds since the epoch."""
        current = {alg: key_ring.signing_key(self._ring.keys, alg, self._clock.now()) for alg in self._algorithms}
        return {alg: key.activates_at for alg, key in current.items() if key is not None}

    def public_jwks(self) -> bytes:
        """Return the JWK set as JSON: pending, active and retiring keys, public members only."""
        return self._now().jwks

    def verification_key(self, kid: str) -> jws.VerifyingKey | None:
        """Return the public key that published tokens name by this `kid`, or None."""
        return self._now().verifying.get(kid)

    async def find_verification_key(self, kid: str) -> jws.VerifyingKey | None:
        """Return the same, asking the store once a second at most: another replica may have made the key just now."""
        key = self.verification_key(kid)
        if key is None and self._clock.monotonic() - self._reloaded_at >= _RELOAD_PAUSE:
            self._reloaded_at = self._clock.monotonic()
            await self.refresh()
            key = self.verification_key(kid)
        return key

    @property
    def mac_key_id(self) -> str:
        """The id of the MAC key for new grants."""
        return max((k for k in self._ring.keys if k.alg == MAC), key=lambda k: k.activates_at).kid

    def mac_key(self, key_id: str) -> bytes | None:
        """Return the MAC key that a grant names, or None."""
        return self._mac_keys.get(key_id)

    async def _change(self, edit: Callable[[_Draft], Awaitable[None]]) -> None:
        for _ in range(_ATTEMPTS):
            ring = await self._store.load_keys()
            self._use(ring)
            draft = _Draft(keys=list(ring.keys), now=self._clock.now())
            await edit(draft)
            if draft.keys == list(ring.keys):
                return
            if await self._store.replace_keys(ring.version, draft.keys, events=draft.events):
                self._use(await self._store.load_keys())
                return
        raise StoreUnavailable("the key ring keeps changing")

    async def _upkeep(self, draft: _Draft) -> None:
        for i, key in enumerate(draft.keys):
            if key.gone_at is None and key.retires_at is not None and draft.now >= key.retires_at:
                draft.keys[i] = replace(key, gone_at=key.retires_at + self._longest_ttl + LEEWAY + JWKS_MAX_AGE)
                draft.events.append(self._audit.event(Event.KEY_RETIRED, kid=key.kid, alg=key.alg))
        self._drop(draft, State.GONE)
        for alg in self._algorithms:
            starts_at = key_ring.due(draft.keys, alg, now=draft.now, rotation=self._rotation)
            if starts_at is not None:
                await self._succeed(draft, alg, starts_at)
        if not any(key.alg == MAC for key in draft.keys):
            self._add(draft, self._seal(MAC, self._entropy.token(12), self._entropy.bytes(KEY_BYTES), draft.now))

    async def _succeed(self, draft: _Draft, alg: str, starts_at: int) -> SigningKey:
        secret, jwk = await asyncio.to_thread(generate, alg)
        for i, key in enumerate(draft.keys):
            if key.alg == alg and (key.retires_at is None or key.retires_at > starts_at):
                draft.keys[i] = replace(key, retires_at=starts_at)
        made = replace(
            self._seal(alg, jwk["kid"], secret, draft.now), public_jwk=json.dumps(jwk), activates_at=starts_at
        )
        self._add(draft, made)
        return made

    def _seal(self, alg: str, kid: str, secret: bytes, now: int) -> SigningKey:
        sealed = self._sealer.seal(PURPOSE, secret, context=_context(kid))
        return SigningKey(kid=kid, alg=alg, sealed=sealed, public_jwk="", created_at=now, activates_at=now)

    def _add(self, draft: _Draft, made: SigningKey) -> None:
        draft.keys.append(made)
        draft.events.append(
            self._audit.event(Event.KEY_CREATED, kid=made.kid, alg=made.alg, activates_at=made.activates_at)
        )

    def _drop(self, draft: _Draft, state: State, alg: str | None = None) -> None:
        for key in list(draft.keys):
            if key_ring.state(key, draft.now) is state and alg in (None, key.alg):
                draft.keys.remove(key)
                draft.events.append(self._audit.event(Event.KEY_GONE, kid=key.kid, alg=key.alg))

    def _use(self, ring: KeyRing) -> None:
        """Open the keys of a ring that is not loaded yet; raises WrongMasterKey and keeps the one before."""
        if ring == self._ring:
            return
        signers, mac_keys = {}, {}
        for key in ring.keys:
            if key.alg == MAC:
                mac_keys[key.kid] = self._mac_keys.get(key.kid) or self._open(key)
            else:
                signers[key.kid] = self._signers.get(key.kid) or Signer(key.kid, key.alg, self._open(key))
        self._ring, self._signers, self._mac_keys = ring, signers, mac_keys
        self._view = self._look(self._clock.now())

    def _open(self, key: SigningKey) -> bytes:
        try:
            return self._sealer.open(PURPOSE, key.sealed, context=_context(key.kid), now=self._clock.now())
        except SealBroken:
            raise WrongMasterKey(_WRONG_MASTER_KEY) from None

    def _now(self) -> _View:
        now = self._clock.now()
        if not self._view.since <= now < self._view.until:
            self._view = self._look(now)
        return self._view

    def _look(self, now: int) -> _View:
        keys = self._ring.keys
        since, until = key_ring.boundaries(keys, now)
        signing = {alg: key_ring.signing_key(keys, alg, now) for alg in {key.alg for key in keys if key.alg != MAC}}
        public = [_public(key) for key in keys if key.alg != MAC and key_ring.state(key, now) is not State.GONE]
        return _View(
            since=since,
            until=until,
            signers={alg: self._signers[key.kid] for alg, key in signing.items() if key is not None},
            verifying=jws.import_keys({"keys": public}),
            jwks=json.dumps({"keys": public}, separators=(",", ":")).encode(),
        )


def _public(key: SigningKey) -> dict[str, str]:
    """Return a key's public JWK, member by member: whatever else a row may hold is not published (rule F3)."""
    members = json.loads(key.public_jwk)
    return {name: members[name] for name in PUBLIC_MEMBERS if name in members}


def _context(kid: str) -> str:
    return f"{REALM}/{kid}"


def _longest_ttl(settings: Settings) -> int:
    """Return how long an access token can live, in seconds: a retiring key stays until none of its tokens does."""
    chosen = [r.access_token_ttl for r in settings.resources] + [r.access_token_ttl for r in settings.policy]
    return max(settings.access_token_ttl, *(ttl for ttl in chosen if ttl is not None), 0)
