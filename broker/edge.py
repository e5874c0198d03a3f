"""What every request passes: its id, its true source, the Host check, odd paths, security headers, CORS, metrics (rules E16, G1 to G4, G8).

One pure ASGI layer, because each layer of the convenient kind costs half a millisecond.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.audit import request_id
from broker.clock import Entropy
from broker.metrics import Metrics
from broker.protocol.public_address import is_loopback
from broker.settings import LOOPBACK_HOSTS, Settings

# Whole, since a name that is only looked for at the front is found in `127.0.0.1:8080@evil` as well.
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::[0-9]{1,5})?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

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
        paths: Iterable[str],
        cors_paths: Iterable[str],
    ) -> None:
        """Precompute everything that does not depend on the request."""
        self._app = app
        self._metrics = metrics
        self._entropy = entropy
        self._paths = frozenset(paths)
        self._cors_paths = frozenset(cors_paths)
        self._callback = f"{settings.issuer_path}/callback/"
        self._trusted = tuple(ipaddress.ip_network(p, strict=False) for p in settings.trusted_proxies)
        self._hosts = LOOPBACK_HOSTS | {urlsplit(settings.issuer).hostname or ""} if bound_to_loopback else None
        self._common = COMMON + ((HSTS,) if settings.secure_cookies else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other scopes pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = self._entropy.token(12)
        request_id.set(identifier)
        headers = scope["headers"]
        scope["state"] = {**scope.get("state", {}), "source": source_of(scope, self._trusted)}
        path, method = scope["path"], scope["method"]
        odd = b"%" in scope.get("raw_path", b"")  # none of ours has one; routers decode what proxies compare as written
        cors = not odd and path in self._cors_paths
        answer = self._observed(path, method, identifier, cors, send)
        if not self._ours(host_name(_header(headers, b"host"))):
            await _plain(answer, 421, b"This host name is not served here.\n")
        elif odd:
            await _plain(answer, 404, b"There is nothing at this address.\n")
        elif cors and method == "OPTIONS":
            await answer({"type": "http.response.start", "status": 204, "headers": list(PREFLIGHT)})
            await answer({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, answer)

    def _ours(self, name: str) -> bool:
        """Tell whether a Host name is served here (rule G1). No name server can point a literal loopback address elsewhere."""
        return self._hosts is None or name in self._hosts or is_loopback(name)

    def _observed(self, path: str, method: str, identifier: str, cors: bool, send: Send) -> Send:  # noqa: FBT001 - internal
        """Return a `send` that adds headers and counts the answer."""
        began = time.perf_counter()
        extra = [(b"x-request-id", identifier.encode()), *self._common, *(CORS if cors else ())]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = message.setdefault("headers", [])
                names = {name for name, _ in present}
                message["headers"] = [*present, *(pair for pair in extra if pair[0] not in names)]
                self._metrics.request(
                    self._label(path), _method(method), message["status"], time.perf_counter() - began
                )
            await send(message)

        return answer

    def _label(self, path: str) -> str:
        if path in self._paths:
            return path
        return "/callback" if path.startswith(self._callback) else "other"


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
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
