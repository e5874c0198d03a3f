"""Asking our own issuer and the MCP servers, as their clients would: bounded in bytes and time, redirects not followed.

The addresses come from the administrator's settings, so that the environment's proxies and certificates are as good for them as for
anything else on this machine.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from broker.protocol import jws
from broker.settings import LOOPBACK_HOSTS

TIMEOUT = 8.0  # seconds for one question
MAX_BODY = 256 * 1024  # bytes; of an answer that is longer, the beginning
HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "mcp-broker-doctor"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as it came; header names in lower case. `certificate_ends`: when the server's certificate does, in seconds."""

    url: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    certificate_ends: int | None = None

    def json_object(self) -> dict[str, Any] | None:
        """Return the JSON object in the body; None when there is none, or one that two parsers may read differently."""
        try:
            return jws.decode_object(self.body)
        except jws.JwsRefused:
            return None


class Unanswered(Exception):
    """There was no answer; the text says why in our words. `tls`: somebody is there whose certificate is not trusted here."""

    def __init__(self, why: str, *, tls: bool = False) -> None:
        """Keep both."""
        super().__init__(why)
        self.tls = tls


class Web:
    """Asks. One for a whole examination: the certificates are read once."""

    def __init__(self) -> None:
        """Read the system's certificates (SSL_CERT_FILE where it is set)."""
        self._tls = httpx2.create_ssl_context()

    async def get(self, url: str) -> Answer:
        """Return the answer to a GET; raises Unanswered."""
        return await self._ask("GET", url, HEADERS, None)

    async def post(self, url: str, body: Mapping[str, Any], *, headers: Mapping[str, str]) -> Answer:
        """Return the answer to a POST of JSON; raises Unanswered."""
        return await self._ask("POST", url, {**HEADERS, **headers}, dict(body))

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: dict[str, Any] | None) -> Answer:
        environment = urlsplit(url).hostname not in LOOPBACK_HOSTS
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                httpx2.AsyncClient(verify=self._tls, trust_env=environment, timeout=TIMEOUT) as client,
                client.stream(method, url, headers=dict(headers), json=body, follow_redirects=False) as response,
            ):
                return Answer(
                    url=url,
                    status=response.status_code,
                    headers=dict(response.headers),
                    body=await _beginning(response),
                    certificate_ends=_certificate_ends(response),
                )
        except (TimeoutError, httpx2.TimeoutException):
            raise Unanswered(f"there was no answer within {TIMEOUT:.0f} seconds") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise _unanswered(error) from None


async def _beginning(response: httpx2.Response) -> bytes:
    """Return the body, or its beginning: an event stream need not end."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return b""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY:
            break
    return bytes(body[:MAX_BODY])


def _certificate_ends(response: httpx2.Response) -> int | None:
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = connection.getpeercert() if connection is not None else None
    return int(ssl.cert_time_to_seconds(certificate["notAfter"])) if certificate else None


def _unanswered(error: BaseException) -> Unanswered:
    """Say why, in words that a person can act on."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Unanswered(f"its certificate is not trusted here: {cause.verify_message}", tls=True)
        if isinstance(cause, ssl.SSLError):
            return Unanswered("the TLS handshake failed", tls=True)
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return Unanswered("the host name is not known here")
        if isinstance(cause, ConnectionRefusedError):
            return Unanswered("nothing listens there")
    return Unanswered("no connection could be made, or it broke")


def _causes(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
        waiting += [c for c in (cause.__cause__, cause.__context__) if c is not None]
