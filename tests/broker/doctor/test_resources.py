"""MCP servers as their clients meet them: metadata, challenge, and a token for another server (rules F1, E10; RFC 9728)."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jws
from joserfc.jwk import KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from broker.doctor.canary import NOBODY
from broker.resource_server import ProtectedResourceMiddleware
from tests.broker.doctor.servers import serving
from tests.broker.doctor.world import World
from tests.e2e.processes import Process, answers, free_port
from tests.flows.test_process import BIN, START

WELL_KNOWN = "/.well-known/oauth-protected-resource"
Handler = Callable[[Request], Awaitable[Response]]


@contextmanager
def running(folder: Path, **changes: str) -> Iterator[dict[str, str]]:
    """Run a broker; yield its settings."""
    port = free_port()
    settings = {
        "BROKER_ISSUER": f"http://localhost:{port}",
        "BROKER_BIND": f"127.0.0.1:{port}",
        "BROKER_ADMIN_BIND": f"127.0.0.1:{free_port()}",
        "BROKER_DATABASE_URL": f"sqlite:///{folder}/broker.db",
        "BROKER_DRAIN": "0s",
        **changes,
    }
    process = Process([BIN, "serve"], folder / "serve.log", environment={**os.environ, **settings})
    try:
        process.wait_until(lambda: answers(settings["BROKER_ISSUER"] + "/readyz"), within=START)
        yield settings
    finally:
        process.stop()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A broker for all tests of this module: what they get wrong is at their MCP servers."""
    with running(tmp_path_factory.mktemp("broker")) as settings:
        yield settings


@pytest.fixture
def town(world: World, broker: dict[str, str]) -> World:
    """A world beside that broker."""
    world.env |= broker
    return world


class Server:
    """An MCP server that a test gets wrong in one place: what it says of itself, and how it answers."""

    def __init__(self, issuer: str, url: str) -> None:
        self.issuer = issuer
        self.resource = f"{url}/mcp"
        self.document: dict[str, Any] = {
            "resource": self.resource,
            "authorization_servers": [issuer],
            "scopes_supported": ["files:read"],
        }
        self.metadata_url = f"{url}{WELL_KNOWN}/mcp"
        self.challenge: str | None = f'Bearer resource_metadata="{self.metadata_url}", scope="files:read"'
        self.tokens: list[str] = []
        self.accepts: Callable[[str], bool] = lambda _token: False
        self.instead: Callable[[Request], Response] | None = None
        self.app = Starlette(
            routes=[
                Route("/mcp", self._mcp, methods=["GET", "POST"]),
                Route(f"{WELL_KNOWN}/mcp", self._metadata),
            ]
        )

    async def _metadata(self, _request: Request) -> Response:
        return JSONResponse(self.document)

    async def _mcp(self, request: Request) -> Response:
        assert (await request.json())["method"] == "ping"
        if self.instead is not None:
            return self.instead(request)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token:
            self.tokens.append(token)
            if self.accepts(token):
                return JSONResponse({"jsonrpc": "2.0", "id": "doctor", "result": {}})
        headers = {} if self.challenge is None else {"www-authenticate": self.challenge}
        return JSONResponse({"error": "invalid_token"}, 401, headers)


def serve(town: World) -> Server:
    """Start a server that does everything right and register it as `files`."""
    made: list[Server] = []

    def make(url: str) -> Any:
        made.append(Server(town.env["BROKER_ISSUER"], url))
        return made[0].app

    town.stack.enter_context(serving(make))
    town.env |= {
        "BROKER_RESOURCES__FILES__URL": made[0].resource,
        "BROKER_RESOURCES__FILES__SCOPES": '{"files:read": "Read files"}',
    }
    return made[0]


def signed_by(issuer: str, token: str) -> dict[str, Any]:
    """Return a token's claims after its signature was verified, and nothing else, as careless servers do."""
    keys = KeySet.import_key_set(httpx2.get(f"{issuer}/.well-known/jwks.json", trust_env=False).json())
    claims: dict[str, Any] = json.loads(jws.deserialize_compact(token, keys, algorithms=["RS256"]).payload)
    return claims


def test_a_good_server_is_good(town: World) -> None:
    server = serve(town)

    found = {f["name"]: f for f in town.examine("--resource", server.resource) if f["name"].startswith("files: ")}

    assert {name: f["status"] for name, f in found.items()} == {
        "files: challenge": "OK",
        "files: metadata": "OK",
        "files: foreign token": "OK",
    }
    assert "byte for byte" in found["files: metadata"]["detail"]


def slash_after_the_issuer(server: Server) -> None:
    server.document["authorization_servers"] = [server.issuer + "/"]


def another_issuer(server: Server) -> None:
    server.document["authorization_servers"] = ["https://another.example.com"]


def no_issuer(server: Server) -> None:
    del server.document["authorization_servers"]


def slash_after_the_resource(server: Server) -> None:
    server.document["resource"] += "/"


def another_resource(server: Server) -> None:
    server.document["resource"] = "https://mail.example.com/mcp"


def metadata_is_not_there(server: Server) -> None:
    server.challenge = f'Bearer resource_metadata="{server.metadata_url}x"'


def no_metadata_in_the_challenge(server: Server) -> None:
    server.challenge = 'Bearer realm="mcp"'


def no_challenge(server: Server) -> None:
    server.challenge = None


def unencrypted_metadata(server: Server) -> None:
    server.challenge = 'Bearer resource_metadata="http://files.example.com/metadata"'


def not_protected(server: Server) -> None:
    server.instead = lambda _: JSONResponse({"result": {}})


def not_there(server: Server) -> None:
    server.instead = lambda _: Response(status_code=404)


def somewhere_else(server: Server) -> None:
    server.instead = lambda _: RedirectResponse("/mcp/", 307)


def broken(server: Server) -> None:
    server.instead = lambda _: Response(status_code=500)


def scopes_that_are_never_granted(server: Server) -> None:
    server.document["scopes_supported"] = ["files:read", "files:write"]


def any_token_of_ours(server: Server) -> None:
    server.accepts = lambda token: bool(signed_by(server.issuer, token))


@pytest.mark.parametrize(
    ("seed", "name", "expected"),
    [
        (slash_after_the_issuer, "metadata", ("FAIL", "a slash too many", "plain text")),
        (another_issuer, "metadata", ("FAIL", "another.example.com", "authorization_servers")),
        (no_issuer, "metadata", ("FAIL", "None", "authorization_servers")),
        (slash_after_the_resource, "metadata", ("FAIL", "/mcp/'", "BROKER_RESOURCES__FILES__URL")),
        (another_resource, "metadata", ("FAIL", "mail.example.com", "BROKER_RESOURCES__FILES__URL")),
        (metadata_is_not_there, "metadata", ("FAIL", "404", "RFC 9728")),
        (no_metadata_in_the_challenge, "challenge", ("FAIL", "metadata", "WWW-Authenticate")),
        (no_challenge, "challenge", ("FAIL", "metadata", "WWW-Authenticate")),
        (unencrypted_metadata, "challenge", ("FAIL", "no https", "WWW-Authenticate")),
        (not_protected, "challenge", ("FAIL", "answers 200", "Protect the server")),
        (not_there, "challenge", ("FAIL", "answers 404", "BROKER_RESOURCES__FILES__URL")),
        (somewhere_else, "challenge", ("FAIL", "answers 307", "BROKER_RESOURCES__FILES__URL")),
        (broken, "challenge", ("FAIL", "answers 500", "own log")),
        (scopes_that_are_never_granted, "scopes", ("WARN", "files:write", "BROKER_RESOURCES__FILES__SCOPES")),
        (any_token_of_ours, "foreign token", ("FAIL", "accepted", "aud")),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_server_that_is_wrong_in_one_place_is_found(
    town: World, seed: Callable[[Server], None], name: str, expected: tuple[str, str, str]
) -> None:
    """Rule F1: a token for one MCP server is refused by every other."""
    server = serve(town)
    seed(server)
    status, detail, fix = expected

    found = town.finding(f"files: {name}", "--resource", "files")

    assert found["status"] == status, found
    assert detail in found["detail"], found
    assert fix in found["fix"], found


def test_a_server_that_is_not_up_is_found(town: World) -> None:
    town.env["BROKER_RESOURCES__FILES__URL"] = f"http://localhost:{free_port()}/mcp"

    found = town.finding("files: challenge", "--resource", "all")

    assert (found["status"], "Start the server" in found["fix"]) == ("FAIL", True)


def test_our_own_middleware_passes(town: World) -> None:
    """Rule F1: signature, issuer and time of the canary are good; it is refused for its audience alone."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"result": {}})(scope, receive, send)

    def make(url: str) -> Any:
        return ProtectedResourceMiddleware(app, issuer=town.env["BROKER_ISSUER"], resource=f"{url}/mcp", scopes=["mcp"])

    url = town.stack.enter_context(serving(make))
    town.env["BROKER_RESOURCES"] = f"{url}/mcp"

    found = [
        f
        for f in town.examine("--resource", f"{url}/mcp")
        if f["name"].partition(": ")[2] in ("challenge", "metadata", "foreign token")
    ]

    assert [f["status"] for f in found] == ["OK", "OK", "OK"]


def test_the_canary_is_a_minutes_token_for_nobody_and_recorded(town: World) -> None:
    """Its names can be no resource, no person and no client; its scopes are the resource's own."""
    server = serve(town)
    town.examine("--resource", "files")

    (token,) = server.tokens
    claims = signed_by(server.issuer, token)

    assert {claims[name] for name in ("aud", "sub", "client_id", "azp", "grant_id")} == {NOBODY}
    assert not NOBODY.startswith(("http", "u_"))
    assert ":" in NOBODY, "a client id has no colon unless it is a URL"
    assert claims["exp"] - claims["iat"] == 60
    assert claims["scope"] == "files:read"
    events = town.terminal.json("audit", "tail")
    (recorded,) = [e for e in events if e["event"] == "token.canary" and e.get("jti") == claims["jti"]]
    assert recorded["resource"] == server.resource


def test_the_canary_is_inactive_at_introspection(world: World) -> None:
    """Rule E22: it belongs to no grant and is for nobody, so that whoever asks the broker about it learns nothing."""
    server, secret = serve(world), "a-secret-of-the-resource-that-is-long-enough"
    world.env["BROKER_RESOURCES__FILES__SECRET"] = secret
    with running(world.folder, **{k: v for k, v in world.env.items() if k.startswith("BROKER_RES")}) as settings:
        world.env |= settings
        world.examine("--resource", "files")
        asked = httpx2.post(
            settings["BROKER_ISSUER"] + "/introspect",
            data={"token": server.tokens[0]},
            auth=("files", secret),
            trust_env=False,
        )

    assert (asked.status_code, asked.json()) == (200, {"active": False})


def test_without_keys_the_foreign_token_is_not_tried_and_said_so(world: World) -> None:
    server = serve(world)

    found = world.finding("files: foreign token", "--resource", "files")

    assert (found["status"], "mcp-broker serve" in found["fix"]) == ("WARN", True)
    assert server.tokens == []


def test_resources_are_left_alone_unless_asked_for(town: World) -> None:
    """They may be where this machine cannot reach them."""
    server = serve(town)

    assert not [f for f in town.examine() if f["name"].startswith("files: ")]
    assert server.tokens == []
    assert server.resource in town.terminal.refused("doctor", "--resource", "mail", status=2)
