"""Name lookups for hosts that strangers name, apart from everybody else's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable

MOST_LOOKUPS = 16  # at once; a lookup that hangs keeps its place until the system gives up

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NameResolver:
    """getaddrinfo in threads of its own.

    A stranger's slow name server takes none of the threads that others wait for, and cannot delay the end of the process.
    """

    def __init__(self, look_up: Callable[[str, int], list[str]] | None = None) -> None:
        """`look_up` blocks and returns addresses (default: the system's resolver)."""
        self._look_up = look_up or system_addresses
        self._places = threading.BoundedSemaphore(MOST_LOOKUPS)

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, as the system orders them; raises OSError, also when too many lookups hang."""
        if not self._places.acquire(blocking=False):
            raise OSError("too many lookups")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def settle(addresses: list[str] | None) -> None:
            if answer.done():
                return
            if addresses is None:
                answer.set_exception(OSError("no address"))
            else:
                answer.set_result(addresses)

        def run() -> None:
            found: list[str] | None = None
            try:
                found = self._look_up(host, port)
            except (OSError, UnicodeError):
                found = None
            finally:
                self._places.release()
                with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                    loop.call_soon_threadsafe(settle, found)

        threading.Thread(target=run, name="broker-names", daemon=True).start()
        return await answer


def system_addresses(host: str, port: int) -> list[str]:
    """Return what the system resolver says, without repeats; blocks; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
