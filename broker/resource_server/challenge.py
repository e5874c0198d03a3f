"""What a resource server says about itself (RFC 9728) and how it refuses (RFC 6750 section 3). Every byte is prepared once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote, urlsplit

from starlette.responses import Response

from broker.oauth import OFFLINE_ACCESS

WELL_KNOWN = "/.well-known/oauth-protected-resource"
# A browser-based client must be able to read the challenge; no answer here depends on cookies.
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "WWW-Authenticate"}
PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type, mcp-protocol-version",
    "Access-Control-Max-Age": "600",
}
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3
_URL = re.compile(r"https?://[\x21\x23-\x5b\x5d-\x7e]+")  # fits into a quoted string as it is


class Challenge:
    """One resource: its metadata document, and its 401, 403 and 503."""

    def __init__(self, *, issuer: str, resource: str, scopes: Sequence[str], all_scopes: Iterable[str]) -> None:
        """`scopes` is what every request needs, `all_scopes` what any request may need; raises ValueError on a setting that is wrong."""
        for url in (issuer, resource):
            if not _URL.fullmatch(url) or urlsplit(url).fragment or not urlsplit(url).hostname:
                raise ValueError(f"{url!r} is not an absolute http(s) URL without a fragment")
        self.scopes = without_offline(scopes)
        supported = without_offline([*self.scopes, *all_scopes])
        if wrong := [scope for scope in supported if not _SCOPE.fullmatch(scope)]:
            raise ValueError(f"not a scope (RFC 6749 section 3.3): {wrong[0]!r}")
        parts = urlsplit(resource)
        path = parts.path if parts.path != "/" else ""
        query = f"?{parts.query}" if parts.query else ""
        self.metadata_paths = frozenset({WELL_KNOWN + unquote(path), WELL_KNOWN})
        self._metadata_url = f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{path}{query}"
        document = {
            "resource": resource,
            "authorization_servers": [issuer],  # byte for byte: clients compare it with the issuer's own metadata
            "bearer_methods_supported": ["header"],
            **({"scopes_supported": supported} if supported else {}),
        }
        self._document = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()

    def metadata(self, method: str) -> Response:
        """Answer at the well-known address (RFC 9728 section 3)."""
        if method == "OPTIONS":
            return Response(status_code=204, headers=PREFLIGHT)
        if method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={"Allow": "GET, HEAD, OPTIONS", **CORS})
        return Response(self._document, 200, {"Cache-Control": "public, max-age=300", **CORS}, "application/json")

    def unauthorized(self, *, token_sent: bool) -> Response:
        """401. Without a token there is no error to name (RFC 6750 section 3.1)."""
        error = "invalid_token" if token_sent else None
        words = "The access token is invalid, expired, or for another server." if token_sent else "Sign in first."
        return self._refuse(401, error, words, self.scopes)

    def insufficient(self, needed: Iterable[str]) -> Response:
        """403 that names every scope this very request needs, so that one step-up is enough."""
        words = "The access token lacks a scope that this request needs."
        return self._refuse(403, "insufficient_scope", words, without_offline([*self.scopes, *needed]))

    def bad_request(self, status: int) -> Response:
        """400, 413 or 415: a body that cannot be judged is not handed on."""
        return _json(status, {"error": "invalid_request", "error_description": "The request cannot be read."}, {})

    def unavailable(self, retry_after: int) -> Response:
        """503: the issuer's keys were never had. Not a 401, on which clients throw good tokens away."""
        words = "Access tokens cannot be verified at the moment."
        body = {"error": "temporarily_unavailable", "error_description": words}
        return _json(503, body, {"Retry-After": str(retry_after)})

    def _refuse(self, status: int, error: str | None, words: str, scopes: Sequence[str]) -> Response:
        parameters = [("error", error), ("error_description", words if error else None)]
        parameters += [("resource_metadata", self._metadata_url), ("scope", " ".join(scopes) or None)]
        header = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters if value)
        body = {"error": error or "invalid_token", "error_description": words}
        return _json(status, body, {"WWW-Authenticate": header})


def without_offline(scopes: Iterable[str]) -> list[str]:
    """Return scopes once each and without offline_access, which is the client's affair and no resource's (MCP, refresh tokens)."""
    return [scope for scope in dict.fromkeys(scopes) if scope != OFFLINE_ACCESS]


def _json(status: int, body: dict[str, str], headers: dict[str, str]) -> Response:
    raw = json.dumps(body, separators=(",", ":")).encode()
    return Response(raw, status, {"Cache-Control": "no-store", **CORS, **headers}, "application/json")
