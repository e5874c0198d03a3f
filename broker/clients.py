"""Which client an id names: configured, then stored, then a metadata document (rules D7 to D12; architecture, registration).

Stored clients and blocks follow the store's change counter within a second. Documents and key sets are remembered as long as
they are fresh, never their errors. A grant brings the snapshot of its client, so that a public one causes no fetch at the token
endpoint, and one whose host is down keeps its keys for a day.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import replace

from broker.clock import Clock
from broker.model import Client, ClientSource
from broker.oauth import InvalidClient, Reason, TemporarilyUnavailable
from broker.outbound import FetchFailed, GuardedFetcher, Remembered
from broker.protocol import client_id_url, client_keys, client_metadata
from broker.protocol.client_keys import ClientKey, KeysRefused
from broker.settings import Settings
from broker.store.base import Store

FOLLOW = 0.5  # seconds between looks at the store's change counter
MOST_STORED = 5_000  # remembered stored clients
MAX_JWKS = 32 * 1024  # bytes
RETRY_AFTER = 5  # seconds

_STORED_ID = re.compile(r"[A-Za-z0-9._~-]{1,512}")


class ClientResolver:
    """Finds clients and their assertion keys."""

    def __init__(self, settings: Settings, *, store: Store, fetcher: GuardedFetcher, clock: Clock) -> None:
        """Keep the collaborators; nothing is asked yet."""
        self._settings = settings
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._configured = {client.client_id: client for client in settings.clients}
        self._stored: OrderedDict[str, Client] = OrderedDict()
        self._blocked: frozenset[str] = frozenset()
        self._counter: int | None = None
        self._followed_at = 0.0
        self._documents: Remembered[Client] = Remembered(clock)
        self._key_sets: Remembered[str] = Remembered(clock)

    async def resolve(self, client_id: str, *, source: str) -> Client:
        """Return the client of this id; `source` is the caller's address, which a fetch counts against.

        Raises InvalidClient (CLIENT_UNKNOWN, CLIENT_BLOCKED, CLIENT_DOCUMENT_…), TooManyRequests, StoreUnavailable.
        """
        await self._refuse_blocked(client_id)
        if client_id_url.is_url(client_id):
            return await self._document(client_id, source=source)
        client = self._configured.get(client_id) or await self._find_stored(client_id)
        if client is None:
            raise InvalidClient(Reason.CLIENT_UNKNOWN)
        if client.blocked:
            raise InvalidClient(Reason.CLIENT_BLOCKED)
        return client

    async def at_token(self, client_id: str, snapshot: Client | None, *, source: str) -> Client:
        """Return the client that presents a grant; `snapshot` is its metadata as the grant keeps it, None without a grant.

        Configured and stored clients are as they are now. A metadata document's client is as it was at consent, with the keys
        that its document names now. Raises what `resolve` raises, and TemporarilyUnavailable where only the client's host is
        at fault.
        """
        if snapshot is None or snapshot.client_id != client_id or snapshot.source is not ClientSource.METADATA_DOCUMENT:
            return await self.resolve(client_id, source=source)
        await self._refuse_blocked(client_id)
        self._judge_url(client_id)
        if snapshot.token_endpoint_auth_method == "none":  # noqa: S105 - RFC 7591's word for a public client
            return snapshot
        try:
            current = await self._document(client_id, source=source, last_good=True)
        except InvalidClient as fault:
            if snapshot.jwks_uri is not None:
                return snapshot
            raise _at_fault(fault) from None
        return replace(snapshot, jwks=current.jwks, jwks_uri=current.jwks_uri)

    async def assertion_keys(self, client: Client, *, source: str, renew: bool = False) -> tuple[ClientKey, ...]:
        """Return the keys that the client's assertions may be signed with; empty when it has none.

        `renew` looks again, at most once in 30 s, for a signature that no known key made. Raises InvalidClient,
        TooManyRequests, and TemporarilyUnavailable when the keys' host is down and its last good copy is older than a day.
        """
        if client.jwks_uri is not None:
            return client_keys.read(await self._key_set(client, client.jwks_uri, source=source, renew=renew))
        if renew and client.source is ClientSource.METADATA_DOCUMENT:
            client = await self._document(client.client_id, source=source, renew=True, last_good=True)
            return client_keys.read(client.jwks or "")
        return client_keys.read(client.jwks or "")

    async def _refuse_blocked(self, client_id: str) -> None:
        """Catch up with the store, then look whether an administrator blocked this id, of whatever kind it is."""
        now = self._clock.monotonic()
        if self._counter is None or now - self._followed_at >= FOLLOW:
            counter = await self._store.changes()
            if counter != self._counter:
                self._blocked = await self._store.blocked_clients()
                self._stored.clear()
                self._counter = counter
            self._followed_at = now
        if client_id in self._blocked:
            raise InvalidClient(Reason.CLIENT_BLOCKED)

    async def _find_stored(self, client_id: str) -> Client | None:
        if _STORED_ID.fullmatch(client_id) is None:
            return None
        held = self._stored.get(client_id)
        if held is not None:
            self._stored.move_to_end(client_id)
            return held
        counter = self._counter
        client = await self._store.find_client(client_id)
        # A change seen while the store answered may be newer than the answer: then it is used, and not remembered.
        if client is not None and counter == self._counter:
            self._stored[client_id] = client
            if len(self._stored) > MOST_STORED:
                self._stored.popitem(last=False)
        return client

    def _judge_url(self, client_id: str) -> None:
        if not self._settings.cimd:
            raise InvalidClient(Reason.CLIENT_UNKNOWN, "metadata documents are switched off")
        client_id_url.check(client_id, loopback=self._settings.loopback)
        if not self._fetcher.permits(client_id):
            raise InvalidClient(Reason.CLIENT_UNKNOWN, "host is not permitted")

    async def _document(self, url: str, *, source: str, renew: bool = False, last_good: bool = False) -> Client:
        self._judge_url(url)

        async def load() -> tuple[Client, int]:
            try:
                fetched = await self._fetcher.fetch(url, source=source, max_bytes=self._settings.cimd_max_bytes)
            except FetchFailed as fault:
                raise _document_fault(fault) from None
            schemes = self._settings.redirect_schemes
            return client_metadata.from_document(fetched.document, client_id=url, schemes=schemes), fetched.lifetime

        return await self._documents.get(url, load, renew=renew, last_good=last_good)

    async def _key_set(self, client: Client, url: str, *, source: str, renew: bool) -> str:
        vouched = client.source.preregistered

        async def load() -> tuple[str, int]:
            try:
                fetched = await self._fetcher.fetch(url, source=source, max_bytes=MAX_JWKS, vouched=vouched)
                return client_keys.keep(fetched.document), fetched.lifetime
            except FetchFailed as fault:
                raise _document_fault(fault) from None
            except KeysRefused as fault:
                raise InvalidClient(Reason.CLIENT_DOCUMENT_INVALID, f"keys: {fault}") from None

        try:
            # A stranger's copy of a URL never stands for an administrator's: the two were judged differently.
            return await self._key_sets.get(f"{vouched:d} {url}", load, renew=renew, last_good=True)
        except InvalidClient as fault:
            raise _at_fault(fault) from None


def _document_fault(fault: FetchFailed) -> InvalidClient:
    reason = Reason.CLIENT_DOCUMENT_UNREACHABLE if fault.unreachable else Reason.CLIENT_DOCUMENT_INVALID
    return InvalidClient(reason, fault.word)


def _at_fault(fault: InvalidClient) -> InvalidClient | TemporarilyUnavailable:
    """A host that is down ends nobody's grant: clients throw their state away on invalid_client."""
    if fault.reason is Reason.CLIENT_DOCUMENT_UNREACHABLE:
        return TemporarilyUnavailable(Reason.OUTAGE, fault.detail, retry_after=RETRY_AFTER)
    return fault
