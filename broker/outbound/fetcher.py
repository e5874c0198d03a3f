"""The guarded GET: a URL that a stranger names becomes a JSON object, or a refusal (security rules D3 to D6, D10, D12)."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2

from broker.clock import Clock
from broker.oauth import InvalidRequest, Reason, TooManyRequests
from broker.outbound.dialing import Dialer
from broker.outbound.limiter import Limiter
from broker.outbound.names import NameResolver, Resolve
from broker.protocol import freshness, web_url
from broker.protocol.public_address import is_loopback, is_public, network_of
from broker.protocol.web_url import WebUrl
from broker.settings import Rate, Settings
from broker.web import parse_json_object

TOTAL = 5.0  # seconds for everything: lookup, connection, handshake, every byte
PER_CONNECTION = 2.0  # seconds for one address to answer, so that another one gets its turn
PROXY_LOOKUP = 1.0  # seconds; behind a proxy this machine often cannot look names up at all
AT_ONCE = 64  # fetches
AT_ONCE_PER_SOURCE = 8
PER_HOST = Rate(60, 60)
PER_SOURCE = Rate(15, 60)  # a share of a host's, so that no source takes it from all the others
HTTPS_PORT = 443
OK = 200
SERVER_ERRORS = 500

REQUEST_HEADERS = (
    ("Accept", "application/json"),
    ("Accept-Encoding", "identity"),
    ("User-Agent", "mcp-federation-broker"),
    ("Connection", "close"),
)

# What a connection may die of; TLS failures are OSErrors, time-outs of one connection attempt among many are not the whole's.
BROKEN = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, httpcore2.ProxyError, OSError)

Headers = list[tuple[bytes, bytes]]


class FetchFailed(Exception):
    """No document. `word` says why in words of ours; `unreachable` whether trying later may help."""

    def __init__(self, word: str, *, unreachable: bool = False) -> None:
        """Keep both; nothing that the other side said."""
        super().__init__(word)
        self.word = word
        self.unreachable = unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A JSON object and for how many seconds it may be reused."""

    document: dict[str, Any]
    lifetime: int


class GuardedFetcher:
    """Fetches for strangers. One fetch at a time for each URL; limits for each host, each source, and in all."""

    def __init__(
        self, settings: Settings, *, clock: Clock, resolve: Resolve | None = None, total: float = TOTAL
    ) -> None:
        """`resolve` returns a host's addresses (default: the system's); asked once for each fetch. `total` in seconds."""
        self._total = total
        self._loopback = settings.loopback
        self._allowed = None if settings.cimd_allowed_hosts is None else _entries(settings.cimd_allowed_hosts)
        self._proxy = httpx2.Proxy(settings.cimd_proxy) if settings.cimd_proxy else None
        self._resolve = resolve or NameResolver()
        self._tls = httpcore2.default_ssl_context()
        if settings.cimd_ca_file is not None:
            self._tls.load_verify_locations(cafile=settings.cimd_ca_file)
        self._hosts = Limiter(PER_HOST, clock)
        self._sources = Limiter(PER_SOURCE, clock)
        self._running: dict[tuple[str, bool], asyncio.Task[Fetched]] = {}
        self._running_for: Counter[str] = Counter()

    def permits(self, url: str) -> bool:
        """Tell whether settings and grammar let this URL be fetched at all; asks nobody."""
        try:
            self._judge(url, vouched=False)
        except FetchFailed:
            return False
        return True

    async def fetch(self, url: str, *, source: str, max_bytes: int, vouched: bool = False) -> Fetched:
        """Return the JSON object at a URL; whoever asks while it is being fetched shares the answer.

        `source` is the caller's address. `vouched`: an administrator named the URL, so that it may lead into the own network.
        Raises FetchFailed and TooManyRequests.
        """
        target = self._judge(url, vouched=vouched)
        running = self._running.get((url, vouched))
        if running is None:
            network = network_of(source)
            self._limit(target, network)
            running = asyncio.create_task(self._fetch(target, max_bytes, vouched=vouched))
            self._running[url, vouched] = running
            self._running_for[network] += 1
            running.add_done_callback(lambda task: self._done((url, vouched), network, task))
        return await asyncio.shield(running)

    async def aclose(self) -> None:
        """Abandon what is under way."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, key: tuple[str, bool], network: str, task: asyncio.Task[Fetched]) -> None:
        del self._running[key]
        self._running_for[network] -= 1
        if not self._running_for[network]:
            del self._running_for[network]
        if not task.cancelled():
            task.exception()  # seen, even when every caller has gone

    def _limit(self, target: WebUrl, network: str) -> None:
        if len(self._running) >= AT_ONCE or self._running_for[network] >= AT_ONCE_PER_SOURCE:
            raise TooManyRequests(Reason.RATE_LIMITED, "fetches at once", retry_after=int(TOTAL))
        wait = self._sources.take(network) or self._hosts.take(target.host.lower())
        if wait:
            raise TooManyRequests(Reason.RATE_LIMITED, "fetches", retry_after=wait)

    def _judge(self, url: str, *, vouched: bool) -> WebUrl:
        """Return a URL that may be looked up: https on a permitted host and port, or anything on loopback where we are there."""
        target = web_url.parse(url)
        if target is None:
            raise FetchFailed("url")
        near = target.loopback and self._loopback
        if target.scheme == "http" and not near:
            raise FetchFailed("scheme")
        if vouched:
            return target
        host = target.host.lower()
        if self._allowed is None:
            permitted = near or target.effective_port == HTTPS_PORT
        else:
            by_host = (host, None) in self._allowed and (near or target.effective_port == HTTPS_PORT)
            permitted = by_host or (host, target.effective_port) in self._allowed
        if not permitted:
            raise FetchFailed("host")
        return target

    async def _fetch(self, target: WebUrl, max_bytes: int, *, vouched: bool) -> Fetched:
        try:
            async with asyncio.timeout(self._total):
                addresses = await self._addresses(target, vouched=vouched)
                headers, body = await self._get(target, addresses, max_bytes)
        except TimeoutError:
            raise FetchFailed("timeout", unreachable=True) from None
        except BROKEN:
            raise FetchFailed("connection", unreachable=True) from None
        try:
            document = parse_json_object(body)
        except InvalidRequest:
            raise FetchFailed("json") from None
        values = {name: _joined(headers, name) for name in ("cache-control", "age", "expires", "date")}
        lifetime = freshness.lifetime(**{name.replace("-", "_"): value for name, value in values.items()})
        return Fetched(document=document, lifetime=lifetime)

    async def _addresses(self, target: WebUrl, *, vouched: bool) -> list[str] | None:
        """Return the addresses to dial, every one judged (rules D3, D4); None: the proxy dials."""
        proxied = self._proxied(target)
        try:
            async with asyncio.timeout(PROXY_LOOKUP if proxied else None):
                addresses = await self._resolve(target.host, target.effective_port)
        except (OSError, TimeoutError):
            if proxied:
                return None
            raise FetchFailed("name", unreachable=True) from None
        if not addresses or not all(self._reachable(address, target, vouched=vouched) for address in addresses):
            raise FetchFailed("address")
        return None if proxied else addresses

    def _reachable(self, address: str, target: WebUrl, *, vouched: bool) -> bool:
        if target.scheme == "http":
            return is_loopback(address)  # in clear on this machine only
        return vouched or is_public(address) or (self._loopback and is_loopback(address))

    def _proxied(self, target: WebUrl) -> bool:
        return self._proxy is not None and not (target.loopback and self._loopback)

    async def _get(self, target: WebUrl, addresses: list[str] | None, max_bytes: int) -> tuple[Headers, bytes]:
        request_headers = [("Host", target.authority), *REQUEST_HEADERS]
        host = f"[{target.host}]" if ":" in target.host else target.host
        url = httpcore2.URL(scheme=target.scheme, host=host, port=target.effective_port, target=target.target)
        timeouts = {"connect": PER_CONNECTION}  # everything else ends with the whole
        extensions = {"timeout": timeouts, "sni_hostname": target.host}
        async with AsyncExitStack() as opened:
            dialer = Dialer(addresses)
            opened.push_async_callback(dialer.aclose)
            pool = await opened.enter_async_context(self._pool(dialer, proxied=addresses is None))
            answer = await opened.enter_async_context(
                pool.stream("GET", url, headers=request_headers, extensions=extensions)
            )
            _check_head(answer.status, answer.headers, max_bytes)
            body = bytearray()
            async for chunk in answer.aiter_stream():
                body += chunk
                if len(body) > max_bytes:
                    raise FetchFailed("size")
            return answer.headers, bytes(body)

    def _pool(self, dialer: Dialer, *, proxied: bool) -> httpcore2.AsyncConnectionPool:
        if not proxied or self._proxy is None:
            return httpcore2.AsyncConnectionPool(ssl_context=self._tls, network_backend=dialer)
        proxy = self._proxy.url
        return httpcore2.AsyncHTTPProxy(
            httpcore2.URL(scheme=proxy.raw_scheme, host=proxy.raw_host, port=proxy.port, target=b"/"),
            proxy_auth=self._proxy.raw_auth,
            ssl_context=self._tls,
            network_backend=dialer,
        )


def _check_head(status: int, headers: Headers, max_bytes: int) -> None:
    """Refuse what is no plain JSON answer: redirects, errors, other types, encoded or announced-as-too-large bodies (D5, D6)."""
    if status != OK:
        raise FetchFailed("status", unreachable=status >= SERVER_ERRORS)
    media_type = _joined(headers, "content-type").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise FetchFailed("content type")
    if _joined(headers, "content-encoding").lower() not in ("", "identity"):
        raise FetchFailed("content encoding")  # nothing is ever decompressed
    length = _joined(headers, "content-length")
    if length.isdecimal() and int(length[:12]) > max_bytes:
        raise FetchFailed("size")


def _joined(headers: Headers, name: str) -> str:
    wanted = name.encode()
    return ", ".join(value.decode("latin-1").strip() for key, value in headers if key.lower() == wanted)


def _entries(hosts: tuple[str, ...]) -> frozenset[tuple[str, int | None]]:
    parsed = (web_url.parse(f"https://{host}") for host in hosts)
    return frozenset((entry.host.lower(), entry.port) for entry in parsed if entry is not None)
