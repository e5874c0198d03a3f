"""How FastMCP's OAuth proxy is started and spoken to: a consent page of its own, a sign-in upstream, an upstream call at every refresh."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e import parts
from tests.e2e.processes import free_port
from tests.load.dialects import PEOPLE, ROOT, Cookies, people
from tests.load.machine import SERVER, Pinned, Server, wait_for
from tests.load.systems import authorize_query, code_in
from tests.load.upstream import code_for
from tests.load.wire import Connection
from tests.load.workload import RESOURCE

FASTMCP_IS_MISSING = "FastMCP is missing; install it with: bash tests/e2e/install.sh fastmcp"
_FIELD = re.compile(r'name="(txn_id|csrf_token)" value="([^"]*)"')


def start_fastmcp(folder: Path, upstream: Server) -> Server | None:
    """Start FastMCP's server; None where it is not installed."""
    python = parts.cache() / "fastmcp" / "bin" / "python"
    if not python.exists():
        return None
    port = free_port()
    environment = {
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "FASTMCP_CHECK_FOR_UPDATES": "off",
        "FASTMCP_LOG_LEVEL": "WARNING",
    }
    command: list[str | Path] = [python, "-m", "tests.load.fastmcp_server", str(port), upstream.origin]
    process = Pinned(command, folder / "fastmcp.log", environment=environment, cores=SERVER)
    return wait_for(Server("FastMCP", process, port), "/.well-known/oauth-authorization-server")


class FastMcpDialect:
    """FastMCP: every code needs the whole login."""

    authorize_path = "/authorize"
    register_path = "/register"
    discovery_path = "/.well-known/oauth-authorization-server"
    introspect_path = ""  # it has none
    introspect_headers = ""
    jwks_path: str | None = None  # its tokens are symmetric
    page = (302, b"")

    async def sign_in(self, connection: Connection, worker: int) -> None:
        """It has no sessions."""

    async def code(self, connection: Connection, worker: int, resource: str) -> str:  # noqa: ARG002 - the dialects' signature
        """Log in."""
        assert resource == RESOURCE
        return await self.login(connection)

    async def login(self, connection: Connection) -> str:
        """Approve on its page, and come back from the identity provider."""
        browser = Cookies()
        asked = (await connection.get(f"/authorize?{authorize_query(RESOURCE)}")).expect(302)
        page = await connection.get(f"/consent?{urlsplit(asked.header('location')).query}")
        fields = dict(_FIELD.findall(browser.take(page).expect(200).body.decode()))
        transaction = fields["txn_id"]
        body = f"txn_id={transaction}&csrf_token={fields['csrf_token']}&submit=true&action=approve"
        browser.take(await connection.post("/consent", body, browser.line)).expect(302)
        back = f"/auth/callback?code={code_for('none', next(people) % PEOPLE)}&state={transaction}"
        return code_in(await connection.get(back, browser.line))
