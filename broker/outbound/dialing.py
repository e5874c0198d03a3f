"""Connections to addresses that were judged before, and to no other (security rules D3, D4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import httpcore2

MOST_TRIED = 4  # addresses of one host


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
                return stream
        raise refusal

    async def aclose(self) -> None:
        """Close every connection, also one whose handshake was cut short."""
        while self._streams:
            await self._streams.pop().aclose()
