"""POST /register: what becomes of a registration, and how many there may be."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from broker.audit import Audit
from broker.clock import SystemEntropy
from broker.endpoints.register import Register
from broker.model import digest
from broker.oauth import OAuthError
from broker.protocol import redirect_uri
from broker.secret_source import Secret
from broker.settings import HOUR, Rate, Settings
from broker.store.base import Registration, RegistrationLimits, StoreUnavailable
from broker.web import error_response, tried_basic
from tests.broker.assertions import key_of, public
from tests.broker.client_shapes import REGISTRATIONS, Shape
from tests.broker.client_store import ClientStore
from tests.broker.records import ISSUER, NOW
from tests.broker.resource_issuer import ManualClock

BODY = {"client_name": "App", "redirect_uris": ["https://client.example/cb"], "token_endpoint_auth_method": "none"}
TOKEN = "initial-access-token-of-the-administrator"


class Desk:
    """The registration endpoint in an application of its own."""

    def __init__(self, **changes: Any) -> None:
        self.store = ClientStore()
        self.lines: list[str] = []
        clock = ManualClock()
        self.endpoint = Register(
            Settings(issuer=ISSUER, **changes),
            store=self.store.as_store,
            clock=clock,
            entropy=SystemEntropy(),
            audit=Audit(clock, write=self.lines.append),
        )
        self.source = "2001:db8:1:2:3:4:5:6"
        app = Starlette(routes=self.endpoint.routes(), exception_handlers={OAuthError: _refuse})
        self.app = _with_source(app, lambda: self.source)

    async def post(self, body: Any = None, **headers: str) -> httpx2.Response:
        raw = body if isinstance(body, bytes) else json.dumps(BODY if body is None else body).encode()
        fields = {"content-type": "application/json"} | headers
        sent = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
        transport = httpx2.ASGITransport(self.app)
        async with httpx2.AsyncClient(transport=transport, base_url="https://broker.example.com") as client:
            answer = await client.post("/register", content=raw, headers=sent)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        return answer

    async def refusal(self, body: Any = None, **headers: str) -> tuple[int, str]:
        answer = await self.post(body, **headers)
        assert set(answer.json()) == {"error", "error_description"}
        assert not self.store.clients
        return answer.status_code, answer.json()["error"]


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, OAuthError)
    return error_response(error, basic=tried_basic(request))


def _with_source(app: Starlette, source: Callable[[], str]) -> Callable[..., Awaitable[None]]:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await app(scope | {"state": {"source": source()}}, receive, send)

    return asgi


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_public_client_is_registered_and_told_exactly_what(desk: Desk) -> None:
    """RFC 7591 sections 3.1 and 3.2.1; rule D14."""
    answer = await desk.post()
    assert answer.status_code == 201
    told = answer.json()
    assert re.fullmatch(r"c_[A-Za-z0-9_-]{22}", told.pop("client_id"))
    assert told == BODY | {
        "client_id_issued_at": NOW,
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
    }


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", None])
async def test_a_confidential_client_sees_its_secret_once_and_only_the_hash_is_kept(
    method: str | None, desk: Desk
) -> None:
    """RFC 7591 sections 2 (the default is client_secret_basic) and 3.2.1; rule D14."""
    told = (await desk.post(BODY | {"token_endpoint_auth_method": method})).json()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", told["client_secret"])
    assert told["client_secret_expires_at"] == 0
    assert told["token_endpoint_auth_method"] == (method or "client_secret_basic")
    (client, _, _) = desk.store.registered[0]
    assert client.secret_hash == digest(told["client_secret"])
    assert told["client_secret"] not in repr(client)
    assert told["client_secret"] not in "".join(desk.lines)


@pytest.mark.parametrize("shape", REGISTRATIONS, ids=lambda shape: shape.name)
async def test_the_clients_of_the_field_register_and_can_use_what_they_use(shape: Shape, desk: Desk) -> None:
    """Rule D14: what is echoed is what works."""
    answer = await desk.post(shape.body)
    assert answer.status_code == 201
    told = answer.json()
    assert None not in told.values()
    assert ("client_secret" in told) is shape.method.startswith("client_secret")
    assert told["redirect_uris"] == [uri for uri in shape.body["redirect_uris"] if uri not in shape.dropped]
    assert all(redirect_uri.matches(told["redirect_uris"], uri) for uri in shape.uses)
    stored = desk.store.clients[told["client_id"]]
    assert list(stored.redirect_uris) == told["redirect_uris"]
    assert list(stored.grant_types) == told["grant_types"]


async def test_a_registration_expires_when_it_stays_unused_and_is_counted_by_its_network(desk: Desk) -> None:
    """Rule D13: limits per source, /64 for IPv6, and in all; audited."""
    desk = Desk(dcr_rate=Rate(7, HOUR), dcr_unused=99, dcr_unused_ttl=500)
    await desk.post()
    client, source, limits = desk.store.registered[0]
    assert client.expires_at == NOW + 500
    assert source == "2001:db8:1:2::/64"
    assert limits == RegistrationLimits(rate=7, window=HOUR, unused=99)
    assert desk.store.events == ["client.registered"]


async def test_every_registration_is_a_client_of_its_own(desk: Desk) -> None:
    """Claude registers twice within a second; ids never start https:// or u_ (architecture, section 5)."""
    ids = {(await desk.post()).json()["client_id"] for _ in range(20)}
    assert len(ids) == 20
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]+", one) and not one.startswith(("u_", "https://")) for one in ids)


async def test_too_many_of_one_source_and_too_many_in_all_are_429(desk: Desk) -> None:
    """Rule D13; both say when to come back."""
    desk.store.outcome = Registration.RATE_LIMITED
    answer = await desk.post()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    desk.store.outcome = Registration.FULL
    answer = await desk.post()
    assert answer.status_code == 429  # a limit was met; nothing is down
    assert int(answer.headers["retry-after"]) > 0
    assert desk.store.events == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://client.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["cursor://x/cb"]}, "invalid_redirect_uri"),
        (BODY | {"grant_types": ["implicit"]}, "invalid_client_metadata"),
        (BODY | {"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
        (BODY | {"client_uri": "javascript:alert(1)"}, "invalid_client_metadata"),
        (b"", "invalid_client_metadata"),
        (b"[]", "invalid_client_metadata"),
        (b"{", "invalid_client_metadata"),
        (b"\xff", "invalid_client_metadata"),
        (b'{"redirect_uris":["https://a.example/"],"redirect_uris":[]}', "invalid_client_metadata"),
        (b"{" + b" " * 70_000 + b"}", "invalid_client_metadata"),
    ],
)
async def test_refusals_have_the_codes_of_the_rfc(body: Any, error: str, desk: Desk) -> None:
    """RFC 7591 section 3.2.2; rules D14, G5, G6."""
    assert await desk.refusal(body) == (400, error)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jwt"])
async def test_only_json_is_read(content_type: str, desk: Desk) -> None:
    """RFC 7591 section 3.1: application/json."""
    assert await desk.refusal(**{"content-type": content_type}) == (400, "invalid_client_metadata")


async def test_registration_can_be_switched_off() -> None:
    """BROKER_DCR=false: neither advertised nor there."""
    desk = Desk(dcr=False)
    assert desk.endpoint.metadata() == {}
    assert await desk.refusal() == (404, "invalid_request")
    assert Desk().endpoint.metadata() == {"registration_endpoint": ISSUER + "/register"}


@pytest.mark.parametrize(
    "authorization",
    [None, TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer \xe9"],
)
async def test_an_initial_access_token_is_asked_for_where_there_is_one(authorization: str | None) -> None:
    """RFC 7591 section 3; RFC 6750 section 3.1; BROKER_DCR_TOKEN."""
    desk = Desk(dcr_token=Secret(TOKEN))
    headers = {} if authorization is None else {"authorization": authorization}
    assert await desk.refusal(**headers) == (401, "invalid_token")
    answer = await desk.post(**headers)
    expected = 'Bearer realm="mcp-broker"' if authorization is None else 'Bearer error="invalid_token"'
    assert answer.headers["www-authenticate"] == expected, "a token is asked for, whatever was sent"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_the_right_initial_access_token_registers(scheme: str) -> None:
    """RFC 7591 section 3."""
    desk = Desk(dcr_token=Secret(TOKEN))
    assert (await desk.post(authorization=f"{scheme} {TOKEN}")).status_code == 201


async def test_only_post_is_answered(desk: Desk) -> None:
    """Rule C15."""
    transport = httpx2.ASGITransport(desk.app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://broker.example.com") as client:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            assert (await client.request(method, "/register")).status_code == 405


async def test_an_outage_is_an_outage(desk: Desk) -> None:
    """Faults survived: the application maps it to 503; nothing was registered."""
    desk.store.down = True
    with pytest.raises(StoreUnavailable):
        await desk.post()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


async def test_a_key_with_text_that_is_no_unicode_is_echoed_without_it() -> None:
    """Rules D14, E12: JSON can write half a surrogate pair, which no answer can."""
    key = public(key_of("ES256"), n="\ud800")
    body = BODY | {"token_endpoint_auth_method": "private_key_jwt", "jwks": key}
    response = await Desk().post(body)
    assert response.status_code == 201
    assert "n" not in response.json()["jwks"]["keys"][0]


HOSTILE = st.dictionaries(st.sampled_from([*BODY, "grant_types", "jwks", "scope", "client_uri"]), JSON)


@settings(max_examples=50)
@given(st.binary(max_size=60) | HOSTILE.map(lambda body: BODY | body) | HOSTILE)
async def test_no_body_gives_anything_but_201_or_400(body: Any) -> None:
    """Rule D14: no input gives a 5xx."""
    assert (await Desk().post(body)).status_code in (201, 400)
