"""The store's verbs that clients need, in memory, with counts of what was asked and a switch for outages."""

from __future__ import annotations

from collections import Counter
from typing import cast

from broker.model import Client, Events
from broker.store.base import Registration, RegistrationLimits, Store, StoreUnavailable


class ClientStore:
    """Clients, blocks, used keys and registrations. `down` makes every verb fail."""

    def __init__(self, *clients: Client) -> None:
        """Start with these stored clients."""
        self.clients = {client.client_id: client for client in clients}
        self.blocked: set[str] = set()
        self.used: dict[tuple[str, str], int] = {}
        self.counter = 1
        self.calls: Counter[str] = Counter()
        self.down = False
        self.outcome = Registration.SAVED
        self.registered: list[tuple[Client, str, RegistrationLimits]] = []
        self.events: list[str] = []

    @property
    def as_store(self) -> Store:
        """Return this as the protocol of which it is a part."""
        return cast("Store", self)

    def change(self) -> None:
        """Move the change counter, as every change of a client does."""
        self.counter += 1

    def _called(self, verb: str) -> None:
        if self.down:
            raise StoreUnavailable
        self.calls[verb] += 1

    async def changes(self) -> int:
        self._called("changes")
        return self.counter

    async def blocked_clients(self) -> frozenset[str]:
        self._called("blocked_clients")
        return frozenset(self.blocked)

    async def find_client(self, client_id: str) -> Client | None:
        self._called("find_client")
        return self.clients.get(client_id)

    async def first_use(self, purpose: str, key: str, *, expires_at: int, now: int) -> bool:
        self._called("first_use")
        if self.used.get((purpose, key), 0) > now:
            return False
        self.used[purpose, key] = expires_at
        return True

    async def register_client(
        self, client: Client, *, source: str, limits: RegistrationLimits, now: int, events: Events
    ) -> Registration:
        self._called("register_client")
        assert client.created_at == now
        self.registered.append((client, source, limits))
        if self.outcome is Registration.SAVED:
            self.clients[client.client_id] = client
            self.events += [event.name for event in events]
            self.change()
        return self.outcome
