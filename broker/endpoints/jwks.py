"""GET /.well-known/jwks.json (RFC 7517 section 5): the public keys, as ready bytes; rule F3."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.keys import JWKS_MAX_AGE, SigningKeys

PATH = "/.well-known/jwks.json"
_HEADERS = {"Cache-Control": f"public, max-age={JWKS_MAX_AGE}"}


class Jwks:
    """The key set."""

    def __init__(self, issuer: str, keys: SigningKeys) -> None:
        """Keep the keys; `issuer` is for the metadata."""
        self._issuer = issuer
        self._keys = keys

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route(PATH, self.handle, methods=["GET"])]

    def metadata(self) -> dict[str, Any]:
        """Return what discovery says of this endpoint (RFC 8414 section 2)."""
        return {"jwks_uri": self._issuer + PATH}

    async def handle(self, _: Request) -> Response:
        """Answer with the keys that tokens may name."""
        return Response(self._keys.public_jwks(), headers=_HEADERS, media_type="application/json")
