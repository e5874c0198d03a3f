"""From a path of ours straight to its endpoint: one look into a dict, where a router would match a pattern for every route.

Whatever is no exact path and method of ours (paths with parameters, HEAD, what does not exist) is left to Starlette's router. Refusals
are mapped to the wire in `answers`, as there.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from broker.answers import Answers
from broker.oauth import OAuthError
from broker.store.base import StoreUnavailable


class Dispatcher:
    """The routes without parameters; `otherwise` serves the rest."""

    def __init__(self, routes: Sequence[Route], *, otherwise: ASGIApp, answers: Answers) -> None:
        """Keep them by method and path."""
        self._routes = {
            (method, route.path): route
            for route in routes
            for method in (route.methods or set()) - {"HEAD"}
            if "{" not in route.path and inspect.ismethod(route.endpoint)
        }
        # Several routes may share a path, of which the router names the first one's methods alone (RFC 9110 section 15.5.6).
        self._allowed: dict[str, set[str]] = {}
        for route in routes:
            self._allowed.setdefault(route.path, set()).update(route.methods or ())
        self._otherwise = otherwise
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        route = self._routes.get((scope.get("method", ""), scope.get("path", "")))
        if route is None:
            allowed = self._allowed.get(scope.get("path", ""))
            if allowed and scope.get("method", "") not in allowed:
                refusal = HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
                response = await self._answers.no_such_thing(Request(scope), refusal)
                await response(scope, receive, send)
            else:
                await self._otherwise(scope, receive, send)
            return
        scope["route"] = route  # as the router does: refusals name the path by it
        request = Request(scope, receive, send)
        try:
            response = await route.endpoint(request)
        except OAuthError as error:
            response = await self._answers.refused(request, error)
        except StoreUnavailable as error:
            response = await self._answers.store_down(request, error)
        await response(scope, receive, send)
