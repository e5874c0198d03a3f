"""Server-rendered pages: they work without script, load nothing from anywhere, and forbid framing (security rules A7, C14)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from broker.audit import request_id
from broker.oauth import OAuthError
from broker.web import NO_STORE, json_response

HERE = Path(__file__).parent
_MARK = re.compile("<!([0-9]+)!>")
MOST_FRAMES = 128  # pages of about 5 kB that are kept, but for what varies


def wants_json(request: Request) -> bool:
    """Tell whether the caller is a program that asked for JSON rather than a browser."""
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


class _Html(HTMLResponse):
    """A page whose headers were encoded before."""

    def __init__(self, html: str, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the headers as they are, but for the length."""
        self.status_code, self.background, self.body = status, None, html.encode()
        length = (b"content-length", b"%d" % len(self.body))
        self.raw_headers = [*(pair for pair in headers if pair[0] != b"content-length"), length]


class _Frame(NamedTuple):
    """A page without the texts that vary: what stands between them, and their names in order."""

    parts: tuple[str, ...]
    names: tuple[str, ...]


class Pages:
    """Renders templates with the one stylesheet inlined; its hash is all that the CSP lets in."""

    def __init__(self) -> None:
        """Read stylesheet and templates once."""
        self._frames: dict[object, _Frame] = {}
        style = (HERE / "style.css").read_text()
        loader = jinja2.FileSystemLoader(HERE)
        self._templates = jinja2.Environment(
            loader=loader,
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals["style"] = style
        style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._headers = {
            **NO_STORE,
            # No form-action: Chromium applies it to the redirect after the consent POST and blocks it.
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; "
            "frame-ancestors 'none'",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Vary": "Cookie",
        }
        self._encoded_headers = HTMLResponse("", 200, self._headers).raw_headers

    def render(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page; everything in `context` is escaped."""
        html = self._templates.get_template(template).render(request_id=request_id.get(), **context)
        return HTMLResponse(html, status, self._headers)

    def render_alike(self, template: str, context: tuple[tuple[str, Any], ...], varying: Mapping[str, str]) -> Response:
        """Return a page that is the same for many but for the texts in `varying`; `context`, all of it hashable, is rendered once.

        Everything is escaped, as in `render`.
        """
        texts = {"request_id": request_id.get(), **varying}
        key = (template, context, *texts)
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frame(template, dict(context), tuple(texts))
            if len(self._frames) >= MOST_FRAMES:
                del self._frames[next(iter(self._frames))]
            self._frames[key] = frame
        parts = [frame.parts[0]]
        for name, part in zip(frame.names, frame.parts[1:], strict=True):
            parts += (escape(texts[name]), part)
        return _Html("".join(parts), 200, self._encoded_headers)

    def _frame(self, template: str, context: Mapping[str, Any], names: tuple[str, ...]) -> _Frame:
        """Render with marks where texts will stand. Nobody else can write one: in everything else `<` is escaped."""
        marks = {name: Markup(f"<!{number}!>") for number, name in enumerate(names)}  # noqa: S704 - a number
        html = self._templates.get_template(template).render(**context, **marks)
        pieces = _MARK.split(html)
        return _Frame(tuple(pieces[::2]), tuple(names[int(number)] for number in pieces[1::2]))

    def error(
        self,
        request: Request,
        error: OAuthError,
        *,
        title: str,
        what: str,
        who: str,
        status: int | None = None,
        link: str | None = None,
    ) -> Response:
        """Return an error page: what happened, who can fix it and how; `link` leads back to the app, `status` stands for the error's.

        A program that asks for JSON gets the error's own fixed words: a page's may hold the name of an app (RFC 6749 section 5.2).
        """
        status = error.status if status is None else status
        if wants_json(request):
            response = json_response({"error": error.code, "error_description": error.description}, status=status)
        else:
            words = {"title": title, "what": what, "who": who, "link": link, "code": error.code}
            response = self.render("error.html", status=status, **words)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response
