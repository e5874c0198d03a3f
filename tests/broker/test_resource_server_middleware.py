"""ProtectedResourceMiddleware around a plain ASGI application: metadata, challenges, tool scopes (RFC 6750, RFC 9728)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from broker.resource_server import BrokerTokenVerifier, ProtectedResourceMiddleware
from broker.resource_server.middleware import MAX_BODY
from tests.broker.resource_issuer import ISSUER, RESOURCE, Issuer, ManualClock

METADATA = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
CHALLENGE = f'Bearer resource_metadata="{METADATA}", scope="notes:read"'


class Application:
    """The application behind: remembers what reached it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.scopes: list[Scope] = []
        self.people: list[str | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, note who is there, say done."""
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        access = get_access_token()
        self.people.append(access.subject if access else None)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def issuer() -> Issuer:
    return Issuer(ManualClock())


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def guarded(issuer: Issuer, application: Application) -> ProtectedResourceMiddleware:
    return ProtectedResourceMiddleware(
        application,
        issuer=ISSUER,
        resource=RESOURCE,
        scopes=["notes:read", "offline_access"],
        tool_scopes={"add_note": ["notes:write"], "purge": ["notes:write", "notes:admin", "offline_access"]},
        public=["/healthz"],
        verifier=BrokerTokenVerifier(ISSUER, RESOURCE, http=issuer.http, clock=issuer.clock),
    )


@pytest.fixture
async def client(guarded: ProtectedResourceMiddleware) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=guarded)
    async with httpx2.AsyncClient(transport=transport, base_url="https://mcp.example.com") as http:
        yield http


def call(tool: Any, **message: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}, **message}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"])
async def test_the_metadata_names_the_issuer_byte_for_byte(client: httpx2.AsyncClient, path: str) -> None:
    """RFC 9728 section 3; no offline_access (MCP authorization, refresh tokens); readable from any web page."""
    answer = await client.get(path)

    assert answer.status_code == 200
    assert answer.json() == {
        "resource": RESOURCE,
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["notes:read", "notes:write", "notes:admin"],
    }
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert f'"{ISSUER}"'.encode() in answer.content


@pytest.mark.parametrize("issuer_url", ["https://auth.example.com", "http://127.0.0.1:9400", "https://a.example/T"])
async def test_no_slash_is_added_to_an_issuer(application: Application, issuer_url: str) -> None:
    """The top interop failure of this field is a slash (architecture, section 5)."""
    guarded = ProtectedResourceMiddleware(application, issuer=issuer_url, resource="https://mcp.example.com")
    transport = httpx2.ASGITransport(app=guarded)
    async with httpx2.AsyncClient(transport=transport, base_url="https://mcp.example.com") as http:
        document = (await http.get("/.well-known/oauth-protected-resource")).json()
        refusal = await http.get("/")

    assert document["authorization_servers"] == [issuer_url]
    assert document["resource"] == "https://mcp.example.com"
    assert "scopes_supported" not in document
    assert refusal.headers["www-authenticate"] == (
        'Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource"'
    )


async def test_the_metadata_takes_get_head_and_preflight_only(
    client: httpx2.AsyncClient, application: Application
) -> None:
    path = "/.well-known/oauth-protected-resource/mcp"
    preflight = await client.options(path, headers={"Origin": "https://app.example"})

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "mcp-protocol-version" in preflight.headers["access-control-allow-headers"]
    assert (await client.head(path)).status_code == 200
    assert (await client.post(path)).status_code == 405
    assert application.scopes == []


async def test_without_a_token_the_challenge_names_metadata_and_scope_and_no_error(
    client: httpx2.AsyncClient, application: Application
) -> None:
    """RFC 6750 section 3.1, RFC 9728 section 5.1; readable from a web page."""
    answer = await client.post("/mcp", json=call("list_notes"))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert answer.headers["access-control-expose-headers"] == "WWW-Authenticate"
    assert answer.headers["cache-control"] == "no-store"
    assert application.scopes == []


async def test_a_bad_token_is_an_invalid_token(
    issuer: Issuer, client: httpx2.AsyncClient, application: Application
) -> None:
    """RFC 6750 section 3.1."""
    for header in (
        f"Bearer {issuer.token(aud='https://other.example.com/mcp')}",
        "Bearer nonsense",
        "Bearer ",
        "Bearer",
        f"Basic {issuer.token()}",
        f"Bearer {issuer.token()}, {issuer.token()}",
        "Bearer \u00e9",
    ):
        answer = await client.get("/mcp", headers=[(b"Authorization", header.encode())])
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token", error_description="')
        assert answer.headers["www-authenticate"].endswith(CHALLENGE.removeprefix("Bearer "))
    assert application.scopes == []


async def test_a_token_counts_in_one_header_only(
    issuer: Issuer, client: httpx2.AsyncClient, application: Application
) -> None:
    """RFC 6750 section 2: one method, and not the query (MCP authorization, access token usage)."""
    token = issuer.token()
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]

    assert (await client.get("/mcp", headers=twice)).status_code == 401
    assert (await client.get(f"/mcp?access_token={token}")).status_code == 401
    assert (await client.post("/mcp", data={"access_token": token})).status_code == 401
    assert application.scopes == []


async def test_the_application_sees_the_person(
    issuer: Issuer, client: httpx2.AsyncClient, application: Application
) -> None:
    """The SDK's `get_access_token()` works behind the middleware, and nobody stays signed in after the request."""
    answer = await client.get("/mcp", headers={"authorization": f"bEaReR {issuer.token()}"})

    assert answer.text == "done"
    assert application.people == ["u_7Hq2"]
    (scope,) = application.scopes
    assert isinstance(scope["user"], AuthenticatedUser)
    assert scope["user"].access_token.resource == RESOURCE
    assert scope["auth"].scopes == ["notes:read", "notes:write"]
    assert scope["state"]["claims"] == issuer.claims()
    assert get_access_token() is None


async def test_a_missing_base_scope_is_a_403_that_starts_a_step_up(issuer: Issuer, client: httpx2.AsyncClient) -> None:
    """RFC 6750 section 3.1; MCP authorization, scope challenge."""
    answer = await client.get("/mcp", headers=bearer(issuer.token(scope="notes:write")))

    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].startswith('Bearer error="insufficient_scope", ')
    assert answer.headers["www-authenticate"].endswith(CHALLENGE.removeprefix("Bearer "))


async def test_a_tool_call_needs_its_tools_scopes_all_named_at_once(
    issuer: Issuer, client: httpx2.AsyncClient, application: Application
) -> None:
    """MCP authorization, scope challenge: 403 carries `scope` and `resource_metadata`, all required scopes at once."""
    reader = bearer(issuer.token(scope="notes:read"))

    assert (await client.post("/mcp", json=call("list_notes"), headers=reader)).status_code == 200
    answer = await client.post("/mcp", json=call("purge"), headers=reader)

    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].endswith(
        f'resource_metadata="{METADATA}", scope="notes:read notes:admin notes:write"'
    )
    assert answer.json()["error"] == "insufficient_scope"
    assert len(application.bodies) == 1
    admin = bearer(issuer.token(scope="notes:admin notes:read notes:write"))
    assert (await client.post("/mcp", json=call("purge"), headers=admin)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b'[{"method":"tools/list"},{"method":"tools/call","params":{"name":"add_note"}}]',
        b'{"method":"tools\\u002fcall","params":{"n\\u0061me":"add\\u005fnote"}}',
        b'\n\t {"params":{"name":"add_note","arguments":{"name":"list_notes"}},"method":"tools/call"} \n',
    ],
)
async def test_a_tool_call_is_found_however_it_is_written(
    issuer: Issuer, client: httpx2.AsyncClient, application: Application, body: bytes
) -> None:
    """JSON-RPC 2.0, batches included."""
    answer = await client.post("/mcp", content=body, headers=bearer(issuer.token(scope="notes:read")))

    assert answer.status_code == 403
    assert application.bodies == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"method":"tools/list","method":"tools/call","params":{"name":"add_note"}}',
        b'{"method":"tools/call","params":{"name":"list_notes","name":"add_note"}}',
        b'{"method":"tools/call","params":{"name":"list_notes"},"params":{"name":"add_note"}}',
        '{"method":"tools/call","params":{"name":"add_note"}}'.encode("utf-16"),
        b'\xef\xbb\xbf{"method":"tools/call","params":{"name":"add_note"}}',
        b'{"method":"tools/call","params":{"name":["add_note"]}}',
        b'{"method":"tools/call","params":["add_note"]}',
        b'{"method":"tools/call"}',
        b'{"x":NaN,"method":"tools/call","params":{"name":"add_note"}}',
        b'{"method":"tools/call","params":{"name":"add_note"}}{}',
        b"method=tools/call",
        b"[" * 100_00,
        b'[[{"method":"tools/call","params":{"name":"add_note"}}]]',
        b'[{"method":"tools/list"},[{"method":"tools/call","params":{"name":"add_note"}}]]',
        b'{"Method":"tools/call","params":{"name":"add_note"}}',
        b'{"method":"tools/list","METHOD":"tools/call","params":{"name":"add_note"}}',
        b'{"method":"tools/call","params":{"name":"list_notes"},"param\xc5\xbf":{"name":"add_note"}}',
        b'{"method":"tools/call","params":{"name":"list_notes","Name":"add_note"}}',
        b'"{\\"method\\":\\"tools/call\\",\\"params\\":{\\"name\\":\\"add_note\\"}}"',
        b"[null]",
        b"7",
    ],
)
async def test_a_body_with_two_readings_reaches_nobody(
    issuer: Issuer, client: httpx2.AsyncClient, application: Application, body: bytes
) -> None:
    """Rule C10: what was not judged is not handed on: the parser behind may read it otherwise."""
    answer = await client.post("/mcp", content=body, headers=bearer(issuer.token(scope="notes:read")))

    assert answer.status_code == 400
    assert application.bodies == []


async def test_a_compressed_or_oversized_body_reaches_nobody(
    issuer: Issuer, client: httpx2.AsyncClient, application: Application
) -> None:
    """Security rule G5: bounded before it is buffered."""
    headers = bearer(issuer.token())
    content = b'{"method":"tools/list","pad":"' + b"x" * MAX_BODY + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1_000_000):
            yield content[start : start + 1_000_000]

    assert (
        await client.post("/mcp", content=b"{}", headers={**headers, "content-encoding": "gzip"})
    ).status_code == 415
    for two in (("identity", "gzip"), ("gzip", "identity"), ("identity", "identity")):
        twice = [*headers.items(), *(("content-encoding", coding) for coding in two)]
        assert (await client.post("/mcp", content=b"{}", headers=twice)).status_code == 415
    assert (await client.post("/mcp", content=content, headers=headers)).status_code == 413
    assert (await client.post("/mcp", content=chunks(), headers=headers)).status_code == 413
    assert (await client.post("/mcp", content=b"{}", headers={**headers, "content-length": "x"})).status_code == 413
    assert application.bodies == []


async def test_the_body_reaches_the_application_unchanged(
    issuer: Issuer, client: httpx2.AsyncClient, application: Application
) -> None:
    body = b' {"method" : "tools/call", "params": {"name": "add_note", "x": 1.50}}\n'

    async def chunks() -> AsyncIterator[bytes]:
        yield body[:10]
        yield b""
        yield body[10:]

    assert (await client.post("/mcp", content=chunks(), headers=bearer(issuer.token()))).status_code == 200
    assert (await client.delete("/mcp", headers=bearer(issuer.token()))).status_code == 200
    assert application.bodies == [body, b""]


async def test_a_client_that_leaves_in_the_middle_of_its_body_reaches_nobody(
    issuer: Issuer, guarded: ProtectedResourceMiddleware, application: Application
) -> None:
    sent: list[Any] = []
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"method"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {issuer.token()}".encode())]
    await guarded({"type": "http", "method": "POST", "path": "/mcp", "headers": headers}, receive, send)

    assert application.bodies == []


async def test_an_outage_of_the_issuer_is_a_503_and_not_a_bad_token(issuer: Issuer, client: httpx2.AsyncClient) -> None:
    """Architecture, section 4: an outage never makes a client throw its tokens away."""
    issuer.down = True

    answer = await client.get("/mcp", headers=bearer(issuer.token()))

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert "www-authenticate" not in answer.headers


async def test_a_public_path_and_a_preflight_need_no_token(
    client: httpx2.AsyncClient, application: Application
) -> None:
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}

    assert (await client.get("/healthz")).status_code == 200
    assert (await client.options("/mcp", headers=preflight)).status_code == 200
    assert (await client.options("/mcp", headers={"Origin": "https://app.example"})).status_code == 401
    assert (await client.get("/healthz/")).status_code == 401
    assert application.people == [None, None]


async def test_a_preflight_brings_no_body_to_the_application(
    client: httpx2.AsyncClient, application: Application
) -> None:
    """Rule C10: an application that dispatches on the body, not on the method, must not get one without a token."""
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    assert (await client.request("OPTIONS", "/mcp", headers=preflight, content=b'{"x":1}')).status_code == 401

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"x":1}'

    assert (await client.request("OPTIONS", "/mcp", headers=preflight, content=chunks())).status_code == 401
    assert application.bodies == []
    scope = {
        "type": "http",
        "method": "OPTIONS",
        "path": "/mcp",
        "headers": [(name.lower().encode(), value.encode()) for name, value in preflight.items()],
    }
    messages: list[Any] = [{"type": "http.request", "body": b"x", "more_body": False}, {"type": "http.disconnect"}]
    received: list[Any] = []

    async def curious(_scope: Any, receive: Any, _send: Any) -> None:
        received.extend([await receive(), await receive()])

    async def receive() -> Any:
        return messages.pop(0)

    inner = ProtectedResourceMiddleware(curious, issuer=ISSUER, resource=RESOURCE)
    await inner(scope, receive, receive)  # type: ignore[arg-type]  # HTTP/2 announces no body
    assert [message.get("body") for message in received] == [b"", None]


def test_sockets_need_a_token_and_are_closed_where_tools_have_scopes(
    issuer: Issuer, guarded: ProtectedResourceMiddleware, application: Application
) -> None:
    """Messages on a socket are not judged one by one."""
    open_to_sockets = ProtectedResourceMiddleware(
        application,
        issuer=ISSUER,
        resource=RESOURCE,
        scopes=["notes:read"],
        verifier=BrokerTokenVerifier(ISSUER, RESOURCE, http=issuer.http, clock=issuer.clock),
    )
    headers = bearer(issuer.token())
    for app, given in ((open_to_sockets, {}), (open_to_sockets, bearer(issuer.token(scope="x"))), (guarded, headers)):
        with (
            pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)),
            TestClient(app).websocket_connect("/mcp", headers=given),
        ):
            pass
    assert application.scopes == []
    with TestClient(open_to_sockets).websocket_connect("/mcp", headers=headers):
        assert len(application.scopes) == 1


async def test_lifespan_events_reach_the_application(guarded: ProtectedResourceMiddleware) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    wrapped = ProtectedResourceMiddleware(app, issuer=ISSUER, resource=RESOURCE)
    await wrapped({"type": "lifespan"}, None, None)  # type: ignore[arg-type]

    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "auth.example.com"},
        {"issuer": 'https://auth.example.com/"'},
        {"resource": "https://mcp.example.com/mcp#part"},
        {"resource": "https:///mcp"},
        {"resource": "https://mcp.example.com/m\u0441p"},
        {"scopes": ["notes read"]},
        {"scopes": ['notes"']},
        {"tool_scopes": {"add_note": [""]}},
    ],
)
async def test_settings_that_cannot_be_right_are_refused(application: Application, wrong: dict[str, Any]) -> None:
    """Nothing that would break a header or never match starts."""
    good: dict[str, Any] = {"issuer": ISSUER, "resource": RESOURCE}

    with pytest.raises(ValueError, match="not a"):
        ProtectedResourceMiddleware(application, **{**good, **wrong})


async def test_json_bodies_of_other_methods_are_judged_as_well(
    issuer: Issuer, client: httpx2.AsyncClient, application: Application
) -> None:
    reader = bearer(issuer.token(scope="notes:read"))

    answer = await client.request("PUT", "/elsewhere", content=json.dumps(call("add_note")), headers=reader)

    assert answer.status_code == 403
    assert application.bodies == []
