"""What every request passes: its id, its true source, the Host check, odd paths, security headers, CORS, metrics (rules E16, G1 to G4, G8).

One pure ASGI layer, because each layer of the convenient kind costs half a millisecond. Documents that are ready bytes are answered here.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.audit import request_id
from broker.clock import Entropy, Ids
from broker.metrics import Metrics
from broker.protocol.public_address import is_loopback
from broker.settings import LOOPBACK_HOSTS, Settings
from broker.web import Document

# Whole, since a name that is only looked for at the front is found in `127.0.0.1:8080@evil` as well.
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::[0-9]{1,5})?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = tuple[tuple[bytes, bytes], ...]
ID_BYTES = 12  # random ones in a request id
MOST_SORTS = 64  # sorts of answers for which the headers to add are remembered

COMMON = (  # where the answer does not say otherwise itself
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
HSTS = (b"strict-transport-security", b"max-age=31536000")
CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"www-authenticate, retry-after, x-request-id"),
)
PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, content-type, mcp-protocol-version"),
    (b"access-control-max-age", b"600"),
)


def common_headers(settings: Settings) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of every answer that does not set them itself (rule G8)."""
    return COMMON + ((HSTS,) if settings.secure_cookies else ())


class Edge:
    """Wraps the application; `paths` are the known paths for metrics, `cors_paths` those that any origin may call."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        bound_to_loopback: bool,
        metrics: Metrics,
        entropy: Entropy,
        paths: Mapping[str, Document | None],
        cors_paths: Iterable[str],
    ) -> None:
        """Precompute everything that does not depend on the request. A path's document, if it has one, is answered here."""
        self._app = app
        self._metrics = metrics
        self._ids = Ids(entropy, ID_BYTES)
        prefix = settings.issuer_path
        self._labels = {path: path.removeprefix(prefix).removesuffix(prefix) or path for path in paths}
        self._cors_paths = frozenset(cors_paths)
        self._callback = f"{settings.issuer_path}/callback/"
        self._trusted = tuple(ipaddress.ip_network(p, strict=False) for p in settings.trusted_proxies)
        self._hosts = Hosts(settings.issuer.partition("://")[2]) if bound_to_loopback else None
        common = common_headers(settings)
        self._added = {True: Added(common + CORS), False: Added(common)}
        self._documents = {
            path: (document, self._added[path in self._cors_paths].to(document.headers))
            for path, document in paths.items()
            if document is not None
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other scopes pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        path, method = scope["path"], scope["method"]
        identifier = self._ids.next()
        known_host = self._hosts is None or self._hosts.hold(scope["headers"])
        odd = b"%" in scope.get("raw_path", b"")  # none of ours has one; routers decode what proxies compare as written
        if known_host and not odd and method == "GET" and path in self._documents:
            document, headers = self._documents[path]
            body = document.body()
            complete = [*headers, (b"x-request-id", identifier.encode()), (b"content-length", b"%d" % len(body))]
            self._metrics.request(self._label(path), method, 200, time.perf_counter() - began)
            await send({"type": "http.response.start", "status": 200, "headers": complete})
            await send({"type": "http.response.body", "body": body})
            return
        request_id.set(identifier)
        state = scope.setdefault("state", {})
        state["source"] = source_of(scope, self._trusted)
        cors = not odd and path in self._cors_paths
        added = self._added[cors]

        async def answer(message: Message) -> None:
            """Add headers, and count the answer."""
            if message["type"] == "http.response.start":
                state["answered"] = True
                present = message.get("headers", ())
                message["headers"] = [*added.to(tuple(present)), (b"x-request-id", identifier.encode())]
                seconds = time.perf_counter() - began
                self._metrics.request(self._label(path), _method(method), message["status"], seconds)
            await send(message)

        if not known_host:
            await _plain(answer, 421, b"This host name is not served here.\n")
        elif odd:
            await _plain(answer, 404, b"There is nothing at this address.\n")
        elif cors and method == "OPTIONS":
            await answer({"type": "http.response.start", "status": 204, "headers": list(PREFLIGHT)})
            await answer({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, answer)

    def _label(self, path: str) -> str:
        """Return an endpoint's path without the issuer's, so that dashboards fit every installation."""
        return self._labels.get(path) or ("/callback" if path.startswith(self._callback) else "other")


class Added:
    """Headers that an answer gets unless it has its own of that name."""

    def __init__(self, headers: Headers) -> None:
        """Keep them."""
        self._headers = headers
        self._missing: dict[
            tuple[bytes, ...], Headers
        ] = {}  # by the names an answer has: our endpoints have a dozen sorts

    def to(self, present: Headers) -> Headers:
        """Return an answer's headers and those that it lacks."""
        names = tuple([name for name, _ in present])
        missing = self._missing.get(names)
        if missing is None:
            missing = tuple(pair for pair in self._headers if pair[0] not in names)
            if len(self._missing) < MOST_SORTS:
                self._missing[names] = missing
        return present + missing


class Hosts:
    """The names by which a broker on loopback is called (rule G1)."""

    def __init__(self, issuer_host: str) -> None:
        """Know this machine's names and the issuer's own."""
        authority = issuer_host.partition("/")[0].lower()
        self._names = LOOPBACK_HOSTS | {host_name(authority)} - {""}
        self._as_written = {authority.encode("latin-1")}

    def hold(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Tell whether a request's Host header is one of them, with any port."""
        values = [value for name, value in headers if name == b"host"]
        if len(values) == 1 and values[0] in self._as_written:
            return True
        name = host_name(_header(headers, b"host"))
        # No name server can point a literal loopback address elsewhere.
        return name in self._names or is_loopback(name)


def source_of(scope: Scope, trusted: tuple[Network, ...]) -> str:
    """Return the caller's address: the peer, or what trusted proxies say in X-Forwarded-For, nearest first (rules G2, G3)."""
    peer = (scope.get("client") or ("unknown", 0))[0]
    if not trusted or not _within(peer, trusted):
        return str(peer)
    hops = [_without_port(h.strip()) for h in _header(scope["headers"], b"x-forwarded-for").split(",") if h.strip()]
    for hop in reversed(hops):
        if not _within(hop, trusted):
            return hop if _is_address(hop) else str(peer)
        peer = hop
    return str(peer)


def _without_port(hop: str) -> str:
    """Return the address of `192.0.2.1:443`, `[2001:db8::1]` and `[2001:db8::1]:443`, as some load balancers write; else the text."""
    if hop.startswith("["):
        address, closed, rest = hop[1:].partition("]")
        return address if closed and ":" in address and _is_port(rest) else hop
    address, _, port = hop.partition(":")
    return address if "." in address and _is_port(f":{port}") else hop


def _is_port(text: str) -> bool:
    """Whether this is what may follow an address: nothing, or a colon and a port."""
    return not text or (len(text) <= len(":65535") and text[0] == ":" and text[1:].isascii() and text[1:].isdigit())


def host_name(host: str) -> str:
    """Return a Host header's name in lower case, without port and brackets; empty where it is malformed (RFC 9110 section 7.2)."""
    found = _HOST.fullmatch(host)
    return (found["v6"] or found["name"]).lower() if found else ""


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    return _is_address(address) and any(ipaddress.ip_address(address) in n for n in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _header(headers: list[tuple[bytes, bytes]], name: bytes) -> str:
    return ",".join(v.decode("latin-1") for n, v in headers if n == name)


def _method(method: str) -> str:
    return method if method in ("GET", "POST", "OPTIONS", "HEAD") else "other"


async def _plain(send: Send, status: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
