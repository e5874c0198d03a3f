"""Web sites that the broker does not know: the app's landing page, and a stranger's page that means harm."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

LANDED = "<!doctype html><title>App</title><h1>The app has your answer</h1>"


@dataclass
class Site:
    """A site on loopback; `pages` maps a path to HTML, any other path lands. `answers` are the queries of /callback."""

    host: str
    port: int = 0
    pages: dict[str, str] = field(default_factory=dict)
    answers: list[dict[str, str]] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://{self.host}:{self.port}"

    @property
    def redirect_uri(self) -> str:
        """Where an app waits for its answer."""
        return self.origin + "/callback"

    def page(self, path: str, html: str) -> str:
        """Publish a page and return its address."""
        self.pages[path] = f"<!doctype html><title>A page of a stranger</title>{html}"
        return self.origin + path


@contextmanager
def running_site(host: str) -> Iterator[Site]:
    """Serve from a thread."""
    site = Site(host)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/callback":
                site.answers.append(dict(parse_qsl(parts.query)))
            body = site.pages.get(parts.path, LANDED).encode()
            self.send_response(200 if parts.path in ("/callback", *site.pages) else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
