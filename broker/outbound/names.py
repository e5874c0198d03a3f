"""Name lookups for hosts that strangers name, apart from everybody else's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable

MOST_LOOKUPS = 64  # at once; a lookup that hangs keeps its place until the system gives up
PATIENCE = 5.0  # seconds after which a name that is still being looked up is refused at once

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NameResolver:
    """getaddrinfo in threads of its own.

    A stranger's slow name server takes none of the threads that others wait for, and cannot delay the end of the process. A name has
    one lookup at a time, which whoever asks meanwhile shares: one that hangs takes one place, however often it is asked for.
    """

    def __init__(self, look_up: Callable[[str, int], list[str]] | None = None) -> None:
        """`look_up` blocks and returns addresses (default: the system's resolver)."""
        self._look_up = look_up or system_addresses
        self._places = threading.BoundedSemaphore(MOST_LOOKUPS)
        self._running: dict[tuple[str, int], tuple[float, asyncio.Future[list[str]]]] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, as the system orders them; raises OSError, also when it or too many others hang."""
        now = asyncio.get_running_loop().time()
        began, answer = self._running.get((host, port), (now, None))
        if now - began > PATIENCE:
            raise OSError("the lookup hangs")
        if answer is None:
            answer = self._start(host, port)
            self._running[host, port] = now, answer
        return await asyncio.shield(answer)

    def _start(self, host: str, port: int) -> asyncio.Future[list[str]]:
        if not self._places.acquire(blocking=False):
            raise OSError("too many lookups")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def settle(addresses: list[str] | None) -> None:
            del self._running[host, port]
            if addresses is None:
                answer.set_exception(OSError("no address"))
                answer.exception()  # seen, even when every caller has gone
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
        return answer


def system_addresses(host: str, port: int) -> list[str]:
    """Return what the system resolver says, without repeats; blocks; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
