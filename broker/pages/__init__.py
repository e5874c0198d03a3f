"""Server-rendered pages: they work without script, load nothing from anywhere, and forbid framing (security rules A7, C14)."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from broker.audit import request_id
from broker.web import NO_STORE, json_response

HERE = Path(__file__).parent


def wants_json(request: Request) -> bool:
    """Tell whether the caller is a program that asked for JSON rather than a browser."""
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


class Pages:
    """Renders templates with the one stylesheet inlined; its hash is all that the CSP lets in."""

    def __init__(self) -> None:
        """Read stylesheet and templates once."""
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

    def render(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page; everything in `context` is escaped."""
        html = self._templates.get_template(template).render(request_id=request_id.get(), **context)
        return HTMLResponse(html, status, self._headers)

    def error(
        self,
        request: Request,
        *,
        status: int,
        code: str,
        title: str,
        what: str,
        who: str,
        link: str | None = None,
        retry_after: int | None = None,
    ) -> Response:
        """Return an error page (or its JSON): what happened, who can fix it and how; `link` leads back to the app."""
        if wants_json(request):
            response = json_response({"error": code, "error_description": what}, status=status)
        else:
            response = self.render("error.html", status=status, title=title, what=what, who=who, link=link, code=code)
        if retry_after is not None:
            response.headers["Retry-After"] = str(retry_after)
        return response
