"""ASGI applications on real sockets of loopback, each in a thread of its own, with TLS where a certificate is given."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import uvicorn


@contextmanager
def serving(
    make_app: Callable[[str], Any], *, certificate: Path | None = None, clock_ahead: int = 0, path: str = ""
) -> Iterator[str]:
    """Serve what `make_app` makes of the URL, and yield that URL; `clock_ahead` in seconds is what its Date header is off by."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        scheme = "http" if certificate is None else "https"
        url = f"{scheme}://localhost:{listener.getsockname()[1]}{path}"
        config = uvicorn.Config(
            make_app(url),
            log_config=None,
            lifespan="off",
            ssl_certfile=certificate,
            date_header=False,
            headers=[("date", formatdate(time.time() + clock_ahead, usegmt=True))],
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield url
        finally:
            server.should_exit = server.force_exit = True  # whoever hangs in it is not waited for
            thread.join(10)
