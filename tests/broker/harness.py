"""A broker under test: the real application, a real SQLite store and a scripted identity provider, driven over HTTP in process.

Every answer passes the oracles of security.md: no 5xx (503 only where a test says that something is down), `no-store` where it is
owed, no redirect to a place nobody registered; and when the broker closes, no secret that was seen stands in its log.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from broker.app import create_app
from broker.audit import Audit
from broker.clock import SystemEntropy
from broker.core import Broker
from broker.model import Client, ClientSource, Resource
from broker.settings import ProviderConfig, Settings
from broker.store.base import Store
from broker.store.migrate import migrate
from broker.store.open import open_store
from providers.base import ProviderSettings
from providers.http import UpstreamHttp, open_http
from tests.providers.scripted_idp import ScriptedIdp

ISSUER = "https://broker.example.com"
IDP = "https://idp.example.com"
VERIFIER = "v" * 20 + "0123456789abcdefghijklmnop"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
NO_STORE = ("/authorize", "/token", "/register", "/introspect", "/revoke", "/consent", "/callback", "/logout")

FILES = Resource(
    id="files",
    url="https://files.example.com/mcp",
    name="Files",
    scopes={"files:read": "Read your files", "files:write": "Change your files"},
    default_scopes=("files:read",),
)
MAIL = Resource(
    id="mail",
    url="https://mail.example.com/mcp",
    name="Mail",
    scopes={"mail:read": "Read your mail"},
    default_scopes=("mail:read",),
)
TRUSTED = Client(
    client_id="trusted",
    name="Trusted App",
    source=ClientSource.CONFIGURED,
    redirect_uris=("https://trusted.example.com/cb",),
)
NATIVE = Client(
    client_id="native",
    name="Native App",
    source=ClientSource.CONFIGURED,
    redirect_uris=("http://127.0.0.1/callback",),
)


class FakeClock:
    """A clock that a test moves."""

    def __init__(self, now: int = 1_800_000_000) -> None:
        self.time = now

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return float(self.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.05))  # as short as another process needs to make a difference

    def forward(self, seconds: int) -> None:
        self.time += seconds


class Form(HTMLParser):
    """The first form of a page: its action, hidden fields and buttons."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.buttons: list[tuple[str, str]] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {k: v or "" for k, v in attrs}
        if tag == "form":
            self.action = found["action"]
        elif tag == "input" and found.get("type") == "hidden":
            self.fields[found["name"]] = found["value"]
        elif tag == "button" and "name" in found:
            self.buttons.append((found["name"], found["value"]))
        elif tag == "a":
            self.links.append(found["href"])


@dataclass
class Oracle:
    """Looks at every answer of the broker."""

    registered: set[str] = field(default_factory=set)
    outage: bool = False
    secrets: set[str] = field(default_factory=set)
    issuer: str = ISSUER
    log: list[str] = field(default_factory=list)

    async def look(self, response: httpx2.Response) -> None:
        if not str(response.request.url).startswith((ISSUER, self.issuer)):
            return
        path = response.request.url.path
        status = response.status_code
        assert status < 500 or (status == 503 and self.outage), f"{response.request.method} {path} answered {status}"
        if path.startswith(NO_STORE) and status not in (204, 404, 405, 421):
            assert "no-store" in response.headers.get("cache-control", ""), path
        location = response.headers.get("location")
        if location is not None:
            assert location.startswith((IDP, self.issuer, *self.registered)), f"redirect to a stranger: {location}"
            self._keep(parse_qs(urlsplit(location).query), "code", "state")
        for cookie in response.headers.get_list("set-cookie"):
            self.secrets.add(cookie.partition("=")[2].partition(";")[0].strip('"'))
        assert response.headers["x-request-id"]

    def _keep(self, query: Mapping[str, list[str]], *names: str) -> None:
        for name in names:
            self.secrets.update(query.get(name, ()))

    def close(self) -> None:
        text = "\n".join(self.log)
        assert not [s for s in self.secrets if len(s) >= 20 and s in text], "a secret stands in the log"


class Browser:
    """One browser profile: a cookie jar that follows nothing by itself."""

    def __init__(self, under_test: BrokerUnderTest, source: str) -> None:
        self._under_test = under_test
        self.http = under_test.http(source=source)

    async def open(self, url: str, **headers: str) -> httpx2.Response:
        return await self.http.get(url, headers=headers)

    async def authorize(self, **changes: str | None) -> httpx2.Response:
        return await self.open(self._under_test.authorize_url(**changes), accept="text/html")

    async def answer(self, page: httpx2.Response, button: str, value: str, **extra: str) -> httpx2.Response:
        """Press a button of a page as a browser would."""
        form = Form(page.text)
        assert (button, value) in form.buttons, f"no button {button}={value}: {form.buttons}"
        return await self.submit(form, {button: value, **extra})

    async def submit(self, form: Form, fields: Mapping[str, str]) -> httpx2.Response:
        headers = {"sec-fetch-site": "same-origin", "origin": ISSUER}
        return await self.http.post(form.action, data={**form.fields, **fields}, headers=headers)

    async def at_idp(self, consent_answer: httpx2.Response) -> httpx2.Response:
        """Follow the redirect to the identity provider and return its redirect to our callback, not yet followed."""
        assert consent_answer.status_code == 303, consent_answer.text
        return await self.http.get(consent_answer.headers["location"])

    async def login(self, provider: str = "corp", **changes: str | None) -> httpx2.Response:
        """Go from the app's link to its redirect URI; return the redirect (or the page that came instead)."""
        page = await self.authorize(**changes)
        assert page.status_code == 200, page.text
        back = await self.at_idp(await self.answer(page, "provider", provider))
        return await self.http.get(back.headers["location"])

    async def code(self, **changes: Any) -> str:
        """Log in and return the code."""
        done = await self.login(**changes)
        assert done.status_code == 303, done.text
        return query_of(done)["code"]


@dataclass
class BrokerUnderTest:
    """The application and everything around it."""

    app: Any
    broker: Broker
    store: Store
    idp: ScriptedIdp
    settings: Settings
    clock: FakeClock
    oracle: Oracle
    opened: list[httpx2.AsyncClient] = field(default_factory=list)

    def http(self, *, source: str = "203.0.113.7") -> httpx2.AsyncClient:
        """Return a client that reaches the broker and the identity provider, and nothing else."""
        broker = httpx2.ASGITransport(self.app, raise_app_exceptions=True, client=(source, 40000))
        idp = httpx2.ASGITransport(self.idp.app)
        client = httpx2.AsyncClient(
            base_url=ISSUER,
            mounts={ISSUER: broker, self.settings.issuer.removesuffix(self.settings.issuer_path): broker, IDP: idp},
            event_hooks={"response": [self.oracle.look]},
            trust_env=False,
        )
        self.opened.append(client)
        return client

    def browser(self, source: str = "203.0.113.7") -> Browser:
        return Browser(self, source)

    def authorize_url(self, **changes: str | None) -> str:
        params = {
            "response_type": "code",
            "client_id": TRUSTED.client_id,
            "redirect_uri": TRUSTED.redirect_uris[0],
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "resource": FILES.url,
            "state": "client-state-0123456789",
            **changes,
        }
        return f"{self.settings.issuer}/authorize?" + urlencode({k: v for k, v in params.items() if v is not None})

    async def token(self, **form: str) -> httpx2.Response:
        """Call the token endpoint as a public client."""
        async with self.http() as http:
            return await http.post(f"{self.settings.issuer}/token", data={"client_id": TRUSTED.client_id, **form})

    async def redeem(self, code: str, **changes: str) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": VERIFIER,
            "redirect_uri": TRUSTED.redirect_uris[0],
            **changes,
        }
        return await self.token(**form)

    async def refresh(self, refresh_token: str, **changes: str) -> httpx2.Response:
        return await self.token(grant_type="refresh_token", refresh_token=refresh_token, **changes)

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return self.broker.core.metrics.exposition().decode()

    async def events(self, name: str) -> list[dict[str, Any]]:
        """Return the audit events of one name."""
        found = await self.store.read_events(limit=1000, name=name)
        return [{**s.event.fields, "client_id": s.event.client_id, "subject": s.event.subject} for s in found]


def query_of(response: httpx2.Response) -> dict[str, str]:
    """Return the query of a redirect, each parameter once."""
    query = parse_qs(urlsplit(response.headers["location"]).query, strict_parsing=True)
    assert all(len(v) == 1 for v in query.values()), query
    return {k: v[0] for k, v in query.items()}


def request_ids(text: str) -> list[str]:
    """Return the references that a page shows."""
    return re.findall(r"Reference: <code>([^<]+)</code>", text)


@asynccontextmanager
async def running(
    directory: Path,
    *,
    idp: ScriptedIdp | None = None,
    database: str | None = None,
    provider: Mapping[str, Any] | None = None,
    others: Mapping[str, ScriptedIdp] | None = None,
    **changes: Any,
) -> AsyncIterator[BrokerUnderTest]:
    """Run a broker with one provider `corp`, two resources and two pre-registered clients; `changes` are settings.

    `others` are the IdPs of further providers among them, by the provider's id.
    """
    idp = idp or ScriptedIdp(issuer=IDP)
    clock, entropy = FakeClock(), SystemEntropy()
    idp_clock(idp, clock)
    adapter = replace(idp.settings(), id="corp", display_name="Corp")
    config = replace(ProviderConfig(adapter=adapter), **(provider or {}))
    given: dict[str, Any] = {
        "issuer": ISSUER,
        "master_keys": (b"k" * 32,),
        "providers": (config,),
        "resources": (FILES, MAIL),
        "clients": (TRUSTED, NATIVE),
        "signing_alg": "ES256",
        **changes,
    }
    settings = Settings(**given)
    oracle = Oracle()
    oracle.issuer = settings.issuer
    oracle.registered = {uri for c in settings.clients for uri in c.redirect_uris} | {"http://127.0.0.1"}
    audit = Audit(clock, write=oracle.log.append, level="debug")
    url = database or fresh_sqlite(directory)
    store = open_store(url, sink=audit.emit, clock=clock, serving=True)

    def http(settings: ProviderSettings, **observe: Any) -> UpstreamHttp:
        asked = (others or {}).get(settings.id, idp)
        return open_http(settings, transport=httpx2.ASGITransport(asked.app), **observe)

    app = create_app(settings, store=store, clock=clock, entropy=entropy, http=http, audit=audit)
    broker: Broker = app.state.broker
    await broker.start()
    under_test = BrokerUnderTest(app, broker, store, idp, settings, clock, oracle)
    try:
        yield under_test
    finally:
        for client in under_test.opened:
            await client.aclose()
        await broker.stop()
        oracle.close()


@cache
def _migrated() -> bytes:
    """Return an empty database file of this version, made once a process: migrating costs more than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        migrate(f"sqlite:///{path}")
        return path.read_bytes()


def fresh_sqlite(directory: Path) -> str:
    """Put an empty, migrated database into a directory and return its URL."""
    path = directory / "broker.db"
    if not path.exists():
        path.write_bytes(_migrated())
    return f"sqlite:///{path}"


def idp_clock(idp: ScriptedIdp, clock: FakeClock) -> None:
    """Let the identity provider live in the same time."""
    idp.now = clock.now
