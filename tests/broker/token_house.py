"""The token side of the broker under test: real store, keys, clients, policy, grants and endpoints, over HTTP in process.

A login is one call: the store gets the code, the grant and the consent that the callback would have saved.
"""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from broker.audit import Audit
from broker.client_auth import ClientAuthenticator
from broker.client_gate import ClientGate
from broker.clients import ClientResolver
from broker.clock import SystemEntropy
from broker.endpoints.discovery import Discovery
from broker.endpoints.introspect import Introspect
from broker.endpoints.jwks import Jwks
from broker.endpoints.revoke import Revoke
from broker.endpoints.token import Token
from broker.grants.authorization_code import AuthorizationCodeGrant
from broker.grants.base import GrantType
from broker.grants.refresh_token import RefreshTokenGrant
from broker.keys import SigningKeys
from broker.model import Client, Consent, digest
from broker.oauth import OAuthError, Reason, TemporarilyUnavailable
from broker.outbound import GuardedFetcher
from broker.own_tokens import OwnTokens
from broker.policy import Policy
from broker.seal import Sealer
from broker.settings import ProviderConfig, Settings
from broker.store.base import Store, StoreUnavailable
from broker.store.open import open_store
from broker.token_issuer import TokenIssuer
from broker.upstream.configured import Upstream
from broker.upstream.recheck import Recheck
from broker.upstream.vault import TokenVault
from broker.web import error_response, tried_basic
from providers.base import ProviderSettings
from tests.broker.records import ISSUER, NOW, VERIFIER, make_client, make_code, make_grant, make_identity, make_resource

SOURCE = "192.0.2.1"
SECRET = "s" * 40
ENTROPY = SystemEntropy()
MASTER_KEY = b"m" * 32

FILES = make_resource(secret_hash=digest(SECRET))
MAIL = make_resource(
    id="mail",
    url="https://mail.example.com/mcp",
    scopes={"mail:read": "Read mail"},
    default_scopes=("mail:read",),
    secret_hash=digest(SECRET + "mail"),
    signing_alg="Ed25519",
    token_typ="JWT",
)
PUBLIC = make_client()
OTHER = make_client(client_id="client-2")
CONFIDENTIAL = make_client(
    client_id="client-3", token_endpoint_auth_method="client_secret_basic", secret_hash=digest(SECRET)
)
ONE_SHOT = make_client(client_id="client-4", grant_types=("authorization_code",))
NATIVE = make_client(client_id="client-5", redirect_uris=("http://127.0.0.1/callback",))
PROVIDER = ProviderSettings(
    id="corp", type="oidc", display_name="Corp", issuer="https://idp.example.com", client_id="broker"
)


class FakeClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return float(self.time)

    async def sleep(self, _seconds: float) -> None:
        await asyncio.sleep(0)

    def forward(self, seconds: int) -> None:
        self.time += seconds


def make_settings(**changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "issuer": ISSUER,
        "master_keys": (MASTER_KEY,),
        "providers": (ProviderConfig(adapter=PROVIDER),),
        "resources": (FILES, MAIL),
        "clients": (PUBLIC, OTHER, CONFIDENTIAL, ONE_SHOT, NATIVE),
        "signing_alg": "ES256",
    }
    return Settings(**fields | changes)


@dataclass
class TokenHouse:
    """Everything between the token endpoint and the database."""

    settings: Settings
    clock: FakeClock
    store: Store
    keys: SigningKeys
    app: ASGIApp
    log: list[str]

    async def login(self, *, client: Client = PUBLIC, identity: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """Save what a finished login saves and return the code; `changes` are the code's fields."""
        now = self.clock.now()
        text = ENTROPY.token()
        fields: dict[str, Any] = {
            "code_hash": digest(text),
            "request_id": ENTROPY.token(12),
            "grant_id": ENTROPY.token(12),
            "client_id": client.client_id,
            "source": SOURCE,
            "issued_at": now,
            "expires_at": now + 60,
        }
        code = make_code(**fields | changes)
        grant = make_grant(
            grant_id=code.grant_id,
            client_id=client.client_id,
            client_snapshot=client,
            identity=make_identity(**identity or {}),
            resource=code.resource,
            scopes=code.scopes,
            handle=ENTROPY.token(18),
            mac_key_id=self.keys.mac_key_id,
            created_at=now,
            idle_expires_at=now + 60,
            expires_at=now + 60,
        )
        consent = Consent(
            key=ENTROPY.bytes(32),
            subject=grant.identity.subject,
            client_id=client.client_id,
            redirect_uri=code.redirect_uri,
            resource=code.resource,
            scopes=code.scopes,
            created_at=now,
            remembered=False,
        )
        assert await self.store.save_code(code, grant, consent, now=now, events=[])
        return text

    def http(self, source: str = SOURCE, auth: tuple[str, str] | None = None) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(self.app, client=(source, 40000))
        return httpx2.AsyncClient(base_url=ISSUER, transport=transport, auth=auth, trust_env=False)

    async def post(
        self, path: str, form: Mapping[str, str], *, auth: tuple[str, str] | None = None, source: str = SOURCE
    ) -> httpx2.Response:
        async with self.http(source, auth) as http:
            response = await http.post(ISSUER + path, data=dict(form))
        if path != "/introspect" and "error" in response.json():
            assert response.headers["cache-control"] == "no-store"
        return response

    async def token(
        self, *, client: Client | None = PUBLIC, auth: tuple[str, str] | None = None, source: str = SOURCE, **form: str
    ) -> httpx2.Response:
        """Call the token endpoint; a public client names itself in the body."""
        named = {"client_id": client.client_id} if client is not None and auth is None else {}
        return await self.post("/token", named | form, auth=auth, source=source)

    async def redeem(self, code: str, *, client: Client | None = PUBLIC, **form: Any) -> httpx2.Response:
        fields = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
        return await self.token(client=client, **fields | form)

    async def refresh(self, token: str, *, client: Client | None = PUBLIC, **form: Any) -> httpx2.Response:
        return await self.token(client=client, **{"grant_type": "refresh_token", "refresh_token": token} | form)

    async def tokens(self, *, client: Client = PUBLIC, **changes: Any) -> dict[str, Any]:
        """Log in, redeem the code and return the token response."""
        response = await self.redeem(await self.login(client=client, **changes), client=client)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def introspect(self, token: str, *, resource: str = "files", secret: str = SECRET) -> dict[str, Any]:
        response = await self.post("/introspect", {"token": token}, auth=(resource, secret))
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def active(self, token: str) -> bool:
        return bool((await self.introspect(token))["active"])

    async def events(self, *names: str) -> list[dict[str, Any]]:
        """Return the audit events of these names, oldest first."""
        stored = await self.store.read_events(limit=10_000)
        return [{"name": s.event.name, **s.event.fields} for s in stored if s.event.name in names]


@asynccontextmanager
async def open_house(
    directory: Path, *, clock: FakeClock | None = None, serving: bool = True, fetcher: Any = None, **changes: Any
) -> AsyncIterator[TokenHouse]:
    """Open a house on the database of a directory; `changes` are settings. A second one beside it does not serve."""
    settings = make_settings(**changes)
    clock = clock or FakeClock()
    path = directory / "broker.db"
    if not path.exists():
        path.write_bytes(await _empty_database())
    log: list[str] = []
    audit = Audit(clock, write=log.append)
    store = open_store(f"sqlite:///{path}", sink=audit.emit, clock=clock, serving=serving)
    await store.open()
    keys = SigningKeys(
        store=store,
        sealer=Sealer(settings.master_keys, ENTROPY),
        clock=clock,
        entropy=ENTROPY,
        audit=audit,
        settings=settings,
    )
    try:
        await keys.start()
        yield TokenHouse(
            settings, clock, store, keys, compose(settings, store, keys, audit, clock=clock, fetcher=fetcher), log
        )
    finally:
        await store.close()


@cache
def _fetcher() -> GuardedFetcher:
    """Return a fetcher whose every host is unknown; made once, since it reads a large certificate bundle."""

    async def nobody(*_: Any) -> list[str]:
        return []

    return GuardedFetcher(make_settings(), clock=FakeClock(), resolve=nobody)


_migrated: list[bytes] = []


async def _empty_database() -> bytes:
    """Return a database file as `open` makes it: migrated once in this process, which takes longer than most tests."""
    if not _migrated:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "broker.db"
            store = open_store(f"sqlite:///{path}", sink=lambda _: None, clock=FakeClock(), serving=True)
            await store.open()
            await store.close()
            _migrated.append(path.read_bytes())
    return _migrated[0]


def compose(
    settings: Settings, store: Store, keys: SigningKeys, audit: Audit, *, clock: FakeClock, fetcher: Any = None
) -> ASGIApp:
    """Build the endpoints as the application does."""
    fetcher = fetcher or _fetcher()
    clients = ClientResolver(settings, store=store, fetcher=fetcher, clock=clock)
    gate = ClientGate(clients, ClientAuthenticator(settings, clients=clients, store=store, clock=clock))
    own_tokens = OwnTokens(settings.issuer, store=store, keys=keys)
    policy = Policy(settings)
    shared: dict[str, Any] = {
        "store": store,
        "policy": policy,
        "entropy": ENTROPY,
        "audit": audit,
        "settings": settings,
    }
    vault = TokenVault(Sealer(settings.master_keys, ENTROPY))
    nobody = Upstream({}, replace(settings, providers=()))  # nobody is asked again: re-checks have tests of their own
    recheck = Recheck(nobody, store=store, vault=vault, audit=audit, clock=clock, entropy=ENTROPY)
    refresh = RefreshTokenGrant(tokens=own_tokens, recheck=recheck, **shared)
    grants: list[GrantType] = [AuthorizationCodeGrant(**shared), refresh]
    issuer = TokenIssuer(settings.issuer, settings.signing_alg, keys=keys, clock=clock)
    endpoints: list[Any] = [
        Token(settings.issuer, gate=gate, grants=grants, tokens=issuer, clock=clock),
        Revoke(settings.issuer, gate=gate, tokens=own_tokens, store=store, clock=clock, audit=audit),
        Introspect(settings.issuer, resources=settings.resources, tokens=own_tokens, store=store, clock=clock),
        Jwks(settings.issuer, keys),
    ]
    endpoints.append(Discovery(settings, list(endpoints)))
    app = Starlette(exception_handlers={OAuthError: _refused, StoreUnavailable: _down})
    app.router.redirect_slashes = False
    for endpoint in endpoints:
        app.routes.extend(_under(settings.issuer_path, endpoint))
    app.routes.extend(endpoints[-1].root_routes(settings.issuer_path))

    async def with_source(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"source": scope["client"][0]}
        await app(scope, receive, send)

    return with_source


def _under(path: str, endpoint: Any) -> list[Any]:
    return [type(r)(path + r.path, r.endpoint, methods=list(r.methods)) for r in endpoint.routes()]


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, OAuthError)
    return error_response(error, basic=tried_basic(request))


def _down(request: Request, error: Exception) -> Response:
    return error_response(TemporarilyUnavailable(Reason.OUTAGE, retry_after=5))


def decoded(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a JWT's header and claims, without any check."""
    header, claims, _ = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    return json.loads(header), json.loads(claims)


class FaultyStore:
    """A store whose verbs can be replaced one by one: a database that is down, or a replica that lags."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.replaced: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return self.replaced.get(name) or getattr(self._store, name)


def faulty(house: TokenHouse, **verbs: Any) -> TokenHouse:
    """Return the same house with some verbs of the store replaced."""
    store: Any = FaultyStore(house.store)
    store.replaced.update(verbs)
    audit = Audit(house.clock, write=house.log.append)
    return replace(house, store=store, app=compose(house.settings, store, house.keys, audit, clock=house.clock))


async def unavailable(*_: Any, **__: Any) -> Any:
    """A verb of a store that is down."""
    raise StoreUnavailable
