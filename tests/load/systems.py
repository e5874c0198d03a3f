"""The operations of an authorization server, the same for every system; what differs is a dialect.

Chains of refresh tokens and codes come through the systems' own HTTP endpoints, as they do for a real app: nothing is seeded.
Each connection has chains of its own and takes them in turn, so every refresh rotates, and rows are not always the same ones.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import quote, urlencode

from tests.load.drive import Operation, everybody
from tests.load.machine import Server
from tests.load.wire import Answer, Connection
from tests.load.workload import CHALLENGE, CLIENT_ID, CONNECTIONS, REDIRECT_URI, REGISTRATION, SCOPE, VERIFIER

_ACCESS_TOKEN = re.compile(rb'"access_token": ?"([^"]+)"')
_REFRESH_TOKEN = re.compile(rb'"refresh_token": ?"([^"]+)"')
_CODE = re.compile(r"[?&]code=([^&]+)")


class Dialect(Protocol):
    """How a system is spoken to where systems differ."""

    authorize_path: str
    register_path: str
    discovery_path: str
    introspect_path: str
    introspect_headers: str
    jwks_path: str | None
    page: tuple[int, bytes]  # the answer to a request to authorize: its status, and what its body holds

    async def sign_in(self, connection: Connection, worker: int) -> None:
        """Make the worker's person known, so that `code` needs no sign-in."""
        ...

    async def code(self, connection: Connection, worker: int, resource: str) -> str:
        """Return a code for the worker's person."""
        ...

    async def login(self, connection: Connection) -> str:
        """Return a code for a person in a new browser, the sign-in included."""
        ...


def authorize_query(resource: str) -> str:
    """Return the query of a request to authorize."""
    return urlencode(
        {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": REDIRECT_URI,
            "scope": SCOPE,
            "state": "a-state-of-the-benchmark",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "resource": resource,
        }
    )


def code_in(answer: Answer) -> str:
    """Return the code in a redirect; raises WrongAnswer for anything else."""
    if answer.status not in (302, 303):
        answer.refuse("expected a redirect")
    found = _CODE.search(answer.header("location"))
    if found is None:
        answer.refuse("expected a code in the redirect")
    return found[1]


class System:
    """An authorization server and sixteen clients of it."""

    def __init__(self, server: Server, dialect: Dialect, connections: list[Connection]) -> None:
        """Use these connections, one for each worker."""
        self.server = server
        self.dialect = dialect
        self._connections = connections
        self._chains: dict[str, list[deque[str]]] = {}
        self._codes: deque[str] = deque()
        self._tokens: deque[str] = deque()

    @classmethod
    async def connected(cls, server: Server, dialect: Dialect) -> System:
        """Return a system with its connections open and its persons signed in."""
        system = cls(server, dialect, [Connection(server.port) for _ in range(CONNECTIONS)])
        await everybody(lambda worker: dialect.sign_in(system._connections[worker], worker), CONNECTIONS)
        return system

    def moved_to(self, server: Server, connections: list[Connection]) -> System:
        """Return the same clients, with the grants that they have, at another server of the same database."""
        moved = System(server, self.dialect, connections)
        moved._chains = self._chains
        return moved

    def close(self) -> None:
        """Hang up."""
        for connection in self._connections:
            connection.close()

    async def begin_chains(self, resource: str, each: int) -> None:
        """Get `each` grants with a refresh token for every connection."""
        chains = self._chains.setdefault(resource, [deque() for _ in self._connections])

        async def begin(worker: int) -> None:
            for _ in range(each):
                code = await self.dialect.code(self._connections[worker], worker, resource)
                chains[worker].append(_refresh_token(await self._redeem(worker, code)))

        await everybody(begin, len(self._connections))

    async def access_token(self, resource: str) -> str:
        """Return an access token."""
        return _access_token(await self._rotate(0, resource))

    def refresh(self, resource: str) -> Operation:
        """Rotate refresh tokens for a resource."""

        async def step(worker: int) -> bool:
            await self._rotate(worker, resource)
            return True

        return Operation(step)

    def redeem(self, resource: str) -> Operation:
        """Exchange codes that were got beforehand."""

        async def fetch(worker: int) -> None:
            self._codes.append(await self.dialect.code(self._connections[worker], worker, resource))

        async def stock(wanted: int) -> None:
            self._codes.clear()  # what is left of a round before may be too old for this one
            await self._share(wanted, fetch)

        async def step(worker: int) -> bool:
            if not self._codes:
                return False
            await self._redeem(worker, self._codes.popleft())
            return True

        return Operation(step, stock)

    def introspect(self, resource: str) -> Operation:
        """Ask about access tokens that the server was never asked about."""

        async def fetch(worker: int) -> None:
            self._tokens.append(_access_token(await self._rotate(worker, resource)))

        async def stock(wanted: int) -> None:
            await self._share(max(0, wanted - len(self._tokens)), fetch)

        async def step(worker: int) -> bool:
            if not self._tokens:
                return False
            await self._introspect(worker, self._tokens.popleft())
            return True

        return Operation(step, stock)

    def introspect_again(self, resource: str) -> Operation:
        """Ask about the same access token all the time, one for each connection."""
        tokens: dict[int, str] = {}

        async def step(worker: int) -> bool:
            if worker not in tokens:
                tokens[worker] = _access_token(await self._rotate(worker, resource))
            await self._introspect(worker, tokens[worker])
            return True

        return Operation(step)

    def register(self) -> Operation:
        """Register apps."""

        async def step(worker: int) -> bool:
            answer = await self._connections[worker].post(
                self.dialect.register_path, REGISTRATION, media="application/json"
            )
            answer.expect(201, b'"client_id"')
            return True

        return Operation(step)

    def authorize(self, resource: str) -> Operation:
        """Ask for authorization in a browser that has no cookie."""
        status, needle = self.dialect.page
        return self._same_get(f"{self.dialect.authorize_path}?{authorize_query(resource)}", status, needle)

    def discovery(self) -> Operation:
        """Read the metadata."""
        return self._same_get(self.dialect.discovery_path, 200, b'"token_endpoint"')

    def jwks(self) -> Operation:
        """Read the keys."""
        assert self.dialect.jwks_path is not None
        return self._same_get(self.dialect.jwks_path, 200, b'"keys"')

    def login(self) -> Operation:
        """Do everything: authorize, approve, sign in, come back, redeem the code."""

        async def step(worker: int) -> bool:
            await self._redeem(worker, await self.dialect.login(self._connections[worker]))
            return True

        return Operation(step)

    def _same_get(self, path: str, status: int, needle: bytes) -> Operation:
        request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.server.port}\r\n\r\n".encode()
        sends = [connection.send for connection in self._connections]

        async def step(worker: int) -> bool:
            (await sends[worker](request)).expect(status, needle)
            return True

        return Operation(step)

    async def _redeem(self, worker: int, code: str) -> Answer:
        body = (
            f"grant_type=authorization_code&code={code}&client_id={CLIENT_ID}&code_verifier={VERIFIER}"
            f"&redirect_uri={quote(REDIRECT_URI, safe='')}"
        )
        return (await self._connections[worker].post("/token", body)).expect(200, b'"refresh_token"')

    async def _rotate(self, worker: int, resource: str) -> Answer:
        chain = self._chains[resource][worker]
        body = f"grant_type=refresh_token&refresh_token={chain.popleft()}&client_id={CLIENT_ID}"
        answer = (await self._connections[worker].post("/token", body)).expect(200, b'"access_token"')
        chain.append(_refresh_token(answer))
        return answer

    async def _introspect(self, worker: int, token: str) -> None:
        answer = await self._connections[worker].post(
            self.dialect.introspect_path, f"token={token}", self.dialect.introspect_headers
        )
        answer.expect(200, b'"active":true')

    async def _share(self, wanted: int, fetch: Callable[[int], Awaitable[None]]) -> None:
        left = iter(range(wanted))

        async def work(worker: int) -> None:
            for _ in left:
                await fetch(worker)

        await everybody(work, len(self._connections))


def _access_token(answer: Answer) -> str:
    found = _ACCESS_TOKEN.search(answer.body)
    if found is None:
        answer.refuse("expected an access token")
    return found[1].decode()


def _refresh_token(answer: Answer) -> str:
    found = _REFRESH_TOKEN.search(answer.body)
    if found is None:
        answer.refuse("expected a refresh token")
    return found[1].decode()
