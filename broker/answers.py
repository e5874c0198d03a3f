"""Where refusals that no page explained become answers (RFC 6749 section 5.2; security rules B12, G13): the one mapping to the wire."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from broker.audit import Audit
from broker.oauth import OAuthError, Reason, TemporarilyUnavailable
from broker.pages import Pages
from broker.web import error_response, json_response, tried_basic

RETRY_AFTER = 5  # seconds, in every 503
START_AGAIN = "Go back to the app and start the connection again"
NOTHING_HERE = "There is nothing at this path, or it does not take this method."


class Answers:
    """Handlers for Starlette's exception middleware."""

    def __init__(self, prefix: str, *, pages: Pages, audit: Audit) -> None:
        """`prefix` is the issuer's path."""
        self._pages = pages
        self._audit = audit
        self._introspect = f"{prefix}/introspect"
        self._page_paths = tuple(
            prefix + p for p in ("/authorize", "/consent", "/callback/", "/logout", "/debug/login")
        )

    async def refused(self, request: Request, error: Exception) -> Response:
        """Answer an OAuthError."""
        assert isinstance(error, OAuthError)  # noqa: S101 - Starlette's registration says so
        self._audit.log("request.refused", path=self._path(request), error=error.code, reason=error.reason.value)
        if request.url.path.startswith(self._page_paths):
            return self._page(request, error, f"{START_AGAIN}.")
        # Introspection takes nothing but Basic, so its challenge is owed even to who tried nothing (RFC 7662 section 2.1).
        return error_response(error, basic=tried_basic(request) or request.url.path == self._introspect)

    async def store_down(self, request: Request, error: Exception) -> Response:
        """Answer 503: nothing was acknowledged, so nothing is lost (architecture, "Outage")."""
        self._audit.log("store.unavailable", "error", path=self._path(request), kind=type(error).__name__)
        outage = TemporarilyUnavailable(Reason.OUTAGE, retry_after=RETRY_AFTER)
        if request.url.path.startswith(self._page_paths):
            return self._page(request, outage, "Try again in a moment. If it lasts, tell your administrator.")
        return error_response(outage)

    async def no_such_thing(self, request: Request, error: Exception) -> Response:
        """Answer an unknown path or method: with a page where a browser asks, such as one that reloads the answer to a form."""
        assert isinstance(error, HTTPException)  # noqa: S101 - Starlette's registration says so
        self._audit.log("request.refused", path="other", status=error.status_code)
        status, code = error.status_code, "not_found" if error.status_code == 404 else "invalid_request"  # noqa: PLR2004 - HTTP
        if "text/html" not in request.headers.get("accept", ""):
            body = {"error": code, "error_description": NOTHING_HERE}
            return json_response(body, status=status, headers=error.headers)
        words = {"title": "There is nothing here", "what": NOTHING_HERE, "who": f"{START_AGAIN}, or check the address."}
        page = self._pages.render("error.html", status=status, **words, link=None, code=code)
        page.headers.update(error.headers or {})
        return page

    def _page(self, request: Request, error: OAuthError, who: str) -> Response:
        return self._pages.error(request, error, title="This cannot go on", what=error.description, who=who)

    def _path(self, request: Request) -> str:
        route = request.scope.get("path", "")
        return route if len(route) < 64 and route.isascii() else "other"  # noqa: PLR2004 - a log field's length
