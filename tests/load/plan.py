"""What is compared with what, and how much is enough: every operation on every system that has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.load import goals
from tests.load.drive import Cell, Operation
from tests.load.goals import Goal
from tests.load.machine import Server
from tests.load.systems import System
from tests.load.wire import Connection
from tests.load.workload import CONNECTIONS, RESOURCE, RESOURCE_OPAQUE, RESOURCE_RS256

OURS, SDK, NODE, FASTMCP = "broker", "MCP SDK in memory", "oidc-provider in memory", "FastMCP in memory"
RAW_GET = "raw GET"
GROUPED, IN_PLACE = "raw, ES256, grouped commits", "raw, ES256, a commit each"
RAW_RS256, RAW_DURABLE = "raw, one RS256 signature", "raw, grouped commits"
LIMIT = (GROUPED, IN_PLACE)  # the cheaper of them is the limit that a goal means


@dataclass(frozen=True, slots=True)
class Compared:
    """An operation, and the systems to hold ours against. A goal on LIMIT is for the cheaper of the two."""

    name: str
    words: str
    peers: Mapping[str, Goal | None]


COMPARED = (
    Compared(
        "refresh",
        "refresh, ES256",
        {
            GROUPED: goals.REFRESH_LIMIT,
            IN_PLACE: goals.REFRESH_LIMIT,
            SDK: None,
            NODE: goals.REFRESH_NODE,
            FASTMCP: goals.REFRESH_FASTMCP,
        },
    ),
    Compared("refresh-rs256", "refresh, RS256", {RAW_RS256: goals.REFRESH_RS256}),
    Compared(
        "redeem",
        "redeem a code, ES256",
        {
            GROUPED: goals.REDEEM_LIMIT,
            IN_PLACE: goals.REDEEM_LIMIT,
            SDK: None,
            NODE: goals.REDEEM_NODE,
            FASTMCP: None,
        },
    ),
    Compared("introspect", "introspect, fresh tokens", {SDK: goals.INTROSPECT_SDK, NODE: None}),
    Compared("introspect-again", "introspect, the same token", {SDK: goals.AGAIN_SDK, NODE: None}),
    Compared("register", "register", {RAW_DURABLE: None, SDK: goals.REGISTER_SDK, NODE: None}),
    Compared("authorize", "authorize, page rendered", {RAW_GET: None, SDK: goals.AUTHORIZE_SDK, NODE: None}),
    Compared("discovery", "discovery", {RAW_GET: goals.DISCOVERY_RAW, SDK: None, NODE: None}),
    Compared("jwks", "JWKS", {RAW_GET: goals.JWKS_RAW, NODE: None}),
    Compared("login", "whole login", {SDK: None, NODE: goals.LOGIN_NODE, FASTMCP: goals.LOGIN_FASTMCP}),
)
RAW_PATHS = {
    GROUPED: "/refresh",
    IN_PLACE: "/refresh-in-place",
    RAW_RS256: "/rs256",
    RAW_DURABLE: "/durable",
}
CHAINS, FEW_CHAINS = 64, 8  # grants for each connection: 1,024 in all, and 128 with RS256
FASTMCP_CHAINS, FASTMCP_CODES = (
    1,
    32,
)  # each takes FastMCP a whole login, and a refresh there costs the same with one as with many


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
            if name == FASTMCP and "refresh" in needs:
                await system.begin_chains(RESOURCE, FASTMCP_CHAINS)
            elif name != FASTMCP and needs & {"refresh", "introspect", "introspect-again"}:
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
            return Cell(raw_operation(self._connections, system), pids=[self._raw.pid], workers=CONNECTIONS)
        opaque = RESOURCE_OPAQUE if system == NODE else RESOURCE
        most = FASTMCP_CODES if system == FASTMCP else None
        return Cell(operation(server, name, opaque=opaque), pids=[server.server.pid], workers=CONNECTIONS, most=most)
