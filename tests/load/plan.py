"""What is compared with what, and how much is enough: every operation on every system that has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.load.drive import Cell, Operation
from tests.load.figures import Target
from tests.load.machine import Server
from tests.load.systems import System
from tests.load.wire import Connection
from tests.load.workload import CONNECTIONS, RESOURCE, RESOURCE_OPAQUE, RESOURCE_RS256

OURS, SDK, NODE = "broker", "MCP SDK in memory", "oidc-provider in memory"
RAW_GET = "raw GET"
GROUPED, IN_PLACE = "raw, ES256, grouped commits", "raw, ES256, a commit each"
RAW_RS256, RAW_DURABLE = "raw, one RS256 signature", "raw, grouped commits"
LIMIT = (GROUPED, IN_PLACE)  # the faster of them is the limit that a target means


@dataclass(frozen=True, slots=True)
class Compared:
    """An operation, and the systems to hold ours against. A target on LIMIT is for the faster of the two."""

    name: str
    words: str
    peers: Mapping[str, Target | None]


LIMIT_OF_REFRESH, LIMIT_OF_REDEEM = Target(0.60, 0.80), Target(0.50, 0.65)
COMPARED = (
    Compared(
        "refresh",
        "refresh, ES256",
        {GROUPED: LIMIT_OF_REFRESH, IN_PLACE: LIMIT_OF_REFRESH, SDK: None, NODE: Target(2, 3.5)},
    ),
    Compared("refresh-rs256", "refresh, RS256", {RAW_RS256: Target(0.75)}),
    Compared(
        "redeem",
        "redeem a code, ES256",
        {GROUPED: LIMIT_OF_REDEEM, IN_PLACE: LIMIT_OF_REDEEM, SDK: None, NODE: Target(1.5)},
    ),
    Compared("introspect", "introspect, fresh tokens", {SDK: Target(0.6, 0.8), NODE: None}),
    Compared("introspect-again", "introspect, the same token", {SDK: Target(1.5), NODE: None}),
    Compared("register", "register", {RAW_DURABLE: None, SDK: Target(0.8, 1.5), NODE: None}),
    Compared("authorize", "authorize, page rendered", {RAW_GET: None, SDK: Target(1, 2), NODE: None}),
    Compared("discovery", "discovery", {RAW_GET: Target(0.85), SDK: None, NODE: None}),
    Compared("jwks", "JWKS", {RAW_GET: Target(0.85), NODE: None}),
    Compared("login", "whole login", {SDK: None, NODE: Target(1, 3)}),
)
RAW_PATHS = {
    GROUPED: "/refresh",
    IN_PLACE: "/refresh-in-place",
    RAW_RS256: "/rs256",
    RAW_DURABLE: "/durable",
}
CHAINS, FEW_CHAINS = 64, 8  # grants for each connection: 1,024 in all, and 128 with RS256


def raw_operation(connections: list[Connection], system: str) -> Operation:
    """Return what the raw application does as one of the limits; the request is as large as a refresh."""
    path = RAW_PATHS.get(system)
    body = f"grant_type=refresh_token&refresh_token=rt_{'x' * 96}&client_id=notebook"

    async def get(worker: int) -> bool:
        (await connections[worker].get("/")).expect(200)
        return True

    async def post(worker: int) -> bool:
        assert path is not None
        (await connections[worker].post(path, body)).expect(200)
        return True

    return Operation(get if path is None else post)


def operation(system: System, name: str, *, opaque: str) -> Operation:
    """Return an operation on an authorization server; `opaque` is the resource whose tokens it introspects."""
    made = {
        "refresh": lambda: system.refresh(RESOURCE),
        "refresh-rs256": lambda: system.refresh(RESOURCE_RS256),
        "redeem": lambda: system.redeem(RESOURCE),
        "introspect": lambda: system.introspect(opaque),
        "introspect-again": lambda: system.introspect_again(opaque),
        "register": system.register,
        "authorize": lambda: system.authorize(RESOURCE),
        "discovery": system.discovery,
        "jwks": system.jwks,
        "login": system.login,
    }
    return made[name]()


class Plan:
    """The cells of a run."""

    def __init__(self, wanted: set[str], *, raw: Server, systems: Mapping[str, System]) -> None:
        """Plan the wanted operations for the systems that run."""
        self.compared = tuple(c for c in COMPARED if c.name in wanted)
        self._raw = raw
        self._systems = systems
        self._connections = [Connection(raw.port) for _ in range(CONNECTIONS)]
        self.cells: dict[str, dict[str, Cell]] = {
            c.name: {system: self._cell(c.name, system) for system in (OURS, *c.peers) if self._runs(system)}
            for c in self.compared
        }

    async def prepare(self) -> None:
        """Get the grants that the operations need."""
        needs = {c.name for c in self.compared}
        for name, system in self._systems.items():
            if needs & {"refresh", "introspect", "introspect-again"}:
                await system.begin_chains(RESOURCE, CHAINS)
            if name == OURS and "refresh-rs256" in needs:
                await system.begin_chains(RESOURCE_RS256, FEW_CHAINS)
            if name == NODE and needs & {"introspect", "introspect-again"}:
                await system.begin_chains(RESOURCE_OPAQUE, FEW_CHAINS)

    async def round(self, number: int, seconds: float) -> None:
        """Measure every cell once; the systems of an operation follow each other, in another order each time."""
        for cells in self.cells.values():
            order = [*cells.values()]
            for cell in order[number % len(order) :] + order[: number % len(order)]:
                await cell.round(seconds)

    async def warm_up(self, seconds: float) -> None:
        """Warm every cell up."""
        for cells in self.cells.values():
            for cell in cells.values():
                await cell.warm_up(seconds, stock=int(seconds * 1500))

    def _runs(self, system: str) -> bool:
        return system in self._systems or system == RAW_GET or system in RAW_PATHS

    def _cell(self, name: str, system: str) -> Cell:
        server = self._systems.get(system)
        if server is None:
            return Cell(raw_operation(self._connections, system), pid=self._raw.pid, workers=CONNECTIONS)
        opaque = RESOURCE_OPAQUE if system == NODE else RESOURCE
        return Cell(operation(server, name, opaque=opaque), pid=server.server.pid, workers=CONNECTIONS)
