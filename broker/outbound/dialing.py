"""Connections to addresses that were judged before, and to no other, on which one answer comes (security rules D3, D4, D6)."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore2

MOST_TRIED = 4  # addresses of one host
_INTERIM = re.compile(rb"HTTP/[0-9]\.[0-9] 1")  # RFC 9110 section 15.2
_STATUS = len(b"HTTP/1.1 1")  # bytes that tell an interim answer


class OneAnswer(httpcore2.AsyncNetworkStream):
    """A connection that ends where the other side begins with an interim answer (1xx).

    We never ask for one, and HTTP libraries skip any number of them, outside every limit of size.
    """

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        """Wrap a connection on which nothing was read yet."""
        self._stream = stream
        self._begun = b""

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> bytes:
        """Return bytes as they come; raises httpcore2.RemoteProtocolError at an interim answer."""
        data = await self._stream.read(max_bytes, timeout)
        if len(self._begun) < _STATUS:
            self._begun += data[: _STATUS - len(self._begun)]
            if _INTERIM.fullmatch(self._begun):
                raise httpcore2.RemoteProtocolError("interim answer")
        return data

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> None:
        """Send bytes."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> httpcore2.AsyncNetworkStream:
        """Return the same connection under TLS, on which the answer comes."""
        return OneAnswer(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself."""
        return self._stream.get_extra_info(info)


class Dialer(httpcore2.AsyncNetworkBackend):
    """A network backend that dials fixed addresses whatever the host is called, and closes all that it opened.

    The name stays what TLS verifies and the Host header says; no second lookup gives a rebinding name server a say.
    """

    def __init__(self, addresses: Sequence[str] | None) -> None:
        """`addresses` None: the host is the administrator's own proxy, and is dialled by its name."""
        self._addresses = addresses
        self._network = httpcore2.AnyIOBackend()
        self._streams: list[httpcore2.AsyncNetworkStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers; raises httpcore2.ConnectError or ConnectTimeout."""
        refusal: Exception = httpcore2.ConnectError("no address")
        for address in [host] if self._addresses is None else self._addresses[:MOST_TRIED]:
            try:
                stream = await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as fault:
                refusal = fault
            else:
                self._streams.append(stream)
                return OneAnswer(stream)
        raise refusal

    async def aclose(self) -> None:
        """Close every connection, also one whose handshake was cut short."""
        while self._streams:
            await self._streams.pop().aclose()
