"""The one way to an identity provider: no redirects, no cookies, no proxies from the environment, bounded in bytes and in time.

What a provider said never gets into an exception: failures carry a word of ours (security rules B7, B12, B13).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self

import httpx2

from providers.base import Fault, ProviderSettings, ProviderSettingsError, UpstreamError
from providers.strict import Malformed, json_array, json_object

MAX_BODY = 1024 * 1024
_LIMITS = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0)
_HEADERS = {"user-agent": "mcp-federation-broker", "accept-encoding": "identity"}

Observer = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """An answer as it came: header names in lower case, the body decoded from its content coding."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json_object(self) -> dict[str, Any] | None:
        """Return the JSON object in the body, whatever the content type says; None when there is none."""
        try:
            return json_object(self.body)
        except Malformed:
            return None

    def json_array(self) -> list[Any] | None:
        """Return the JSON array in the body, whatever the content type says; None when there is none."""
        try:
            return json_array(self.body)
        except Malformed:
            return None


class UpstreamHttp:
    """The HTTP client of one provider. Close it when the broker stops.

    `timeout` is seconds for one request from first byte out to last byte in. `observe` is told the operation's word and its
    duration in seconds, failures included.
    """

    def __init__(self, client: httpx2.AsyncClient, *, timeout: float, observe: Observer | None = None) -> None:
        self._client = client
        self._timeout = timeout
        self._observe = observe

    async def get_json(
        self, url: str, *, operation: str, authorization: str | None = None, accept: str = "application/json"
    ) -> UpstreamResponse:
        """Return the answer to a GET, whatever its status; raises UpstreamError when there is none within the bounds."""
        request = self._client.build_request("GET", url, headers=_headers(accept, authorization))
        return await self._send(request, operation)

    async def post_form(
        self, url: str, fields: Mapping[str, str], *, operation: str, authorization: str | None = None
    ) -> UpstreamResponse:
        """Return the answer to a urlencoded POST, whatever its status; raises UpstreamError as `get_json` does."""
        headers = _headers("application/json", authorization)
        return await self._send(self._client.build_request("POST", url, headers=headers, data=fields), operation)

    async def spend_form(
        self, url: str, fields: Mapping[str, str], *, operation: str, authorization: str | None, within: float
    ) -> UpstreamResponse:
        """Return the answer to a POST that uses something up, within so many seconds; raises UpstreamError as `post_form` does.

        Without an answer the reason is `answer_lost` (rule B14), except when it is certain that nothing was sent.
        """
        progress = _Progress()
        request = self._client.build_request(
            "POST",
            url,
            headers=_headers("application/json", authorization),
            data=fields,
            extensions={"trace": progress.note},
        )
        return await self._send(request, operation, progress, within)

    async def call(
        self,
        method: str,
        url: str,
        *,
        operation: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
    ) -> UpstreamResponse:
        """Return the answer of an API, whatever its status; `body` is sent as JSON. Raises UpstreamError as `get_json` does."""
        request = self._client.build_request(
            method, url, headers=dict(headers), json=None if body is None else dict(body)
        )
        return await self._send(request, operation)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def _send(
        self,
        request: httpx2.Request,
        operation: str,
        progress: _Progress | None = None,
        within: float | None = None,
    ) -> UpstreamResponse:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            async with asyncio.timeout(self._timeout if within is None else min(within, self._timeout)):
                response = await self._client.send(request, stream=True)
                async with contextlib.aclosing(response):
                    return await _read(response)
        except (TimeoutError, httpx2.TimeoutException) as error:
            lost = progress is not None and progress.may_be_sent(error)
            failure = UpstreamError(Fault.TRANSIENT, "answer_lost" if lost else "timeout")
        except httpx2.DecodingError:
            failure = UpstreamError(Fault.PROTOCOL, "undecodable")
        except httpx2.HTTPError as error:
            lost = progress is not None and progress.may_be_sent(error)
            failure = UpstreamError(
                Fault.TRANSIENT, "tls" if _is_tls(error) else "answer_lost" if lost else "unreachable"
            )
        finally:
            if self._observe is not None:
                self._observe(operation, clock() - started)
        raise failure  # outside the handlers, so that it carries no upstream exception as its context


class _Progress:
    """How far a request got, as the connection tells."""

    _BEFORE_SENDING = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)

    def __init__(self) -> None:
        self._connecting = False

    async def note(self, event: str, _info: Mapping[str, Any]) -> None:
        """Take an event of the connection's log."""
        if event.startswith("connection."):
            self._connecting = True
        elif "send_request" in event:
            self._connecting = False

    def may_be_sent(self, error: BaseException) -> bool:
        """Whether the request may have reached the provider when `error` ended it; a connection that tells nothing may have sent it."""
        return not (self._connecting or isinstance(error, self._BEFORE_SENDING))


class Budget:
    """Seconds that several requests share, running from now on."""

    def __init__(self, seconds: float) -> None:
        self._ends = asyncio.get_running_loop().time() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left, never less than 0."""
        return max(0.0, self._ends - asyncio.get_running_loop().time())


@contextlib.asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Bound several requests together; raises UpstreamError when they take longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            yield
            return
    except TimeoutError:
        pass
    raise UpstreamError(Fault.TRANSIENT, "timeout")


def open_http(
    settings: ProviderSettings, *, transport: httpx2.AsyncBaseTransport | None = None, observe: Observer | None = None
) -> UpstreamHttp:
    """Return the client of one provider: the system's roots and its own CA file, its own proxy, its own time-out.

    `transport` replaces the network in tests. Raises ProviderSettingsError when the CA file or the proxy cannot be used.
    """
    try:
        client = httpx2.AsyncClient(
            verify=_tls_context(settings.ca_file) if transport is None else True,
            proxy=settings.proxy if transport is None else None,
            transport=transport,
            timeout=settings.timeout,
            limits=_LIMITS,
            headers=_HEADERS,
            cookies=CookieJar(
                DefaultCookiePolicy(allowed_domains=())
            ),  # one person's cookie never rides on another's call
            follow_redirects=False,
            trust_env=False,
        )
    except OSError:
        raise ProviderSettingsError(f"provider {settings.id}: CA_FILE cannot be read as PEM certificates") from None
    except (ValueError, httpx2.InvalidURL):
        raise ProviderSettingsError(f"provider {settings.id}: PROXY is not a usable proxy URL") from None
    return UpstreamHttp(client, timeout=settings.timeout, observe=observe)


def document(response: UpstreamResponse, name: str) -> dict[str, Any]:
    """Return the JSON object of a 200; anything else raises UpstreamError with `name` in its reason."""
    if response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UpstreamError(Fault.TRANSIENT, f"{name}_unavailable")
    if response.status != HTTPStatus.OK:  # a redirect or a 404: the address is wrong
        raise UpstreamError(Fault.OPERATOR, f"{name}_status")
    found = response.json_object()
    if found is None:
        raise UpstreamError(Fault.PROTOCOL, f"{name}_not_json")
    return found


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that trusts the system's roots and, in addition, those of `ca_file`; raises OSError."""
    context = httpx2.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def _headers(accept: str, authorization: str | None) -> dict[str, str]:
    return {"accept": accept} if authorization is None else {"accept": accept, "authorization": authorization}


async def _read(response: httpx2.Response) -> UpstreamResponse:
    body = bytearray()
    async for chunk in response.aiter_bytes():  # decompressed in pieces of at most 1 MiB
        body += chunk
        if len(body) > MAX_BODY:
            raise UpstreamError(Fault.PROTOCOL, "too_large")
    return UpstreamResponse(response.status_code, dict(response.headers), bytes(body))


def _is_tls(error: BaseException) -> bool:
    """Whether a certificate or handshake failed rather than the network: the administrator's first question."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
