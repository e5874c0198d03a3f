"""GET /.well-known/jwks.json (RFC 7517 section 5): the public keys, as ready bytes; rule F3."""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from broker.keys import JWKS_MAX_AGE, SigningKeys
from broker.web import Document

PATH = "/.well-known/jwks.json"


class Jwks:
    """The key set."""

    def __init__(self, issuer: str, keys: SigningKeys) -> None:
        """Keep the keys; `issuer` is for the metadata."""
        self._issuer = issuer
        self._document = Document(keys.public_jwks, cache_control=f"public, max-age={JWKS_MAX_AGE}")

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route(PATH, self._document, methods=["GET"])]

    def metadata(self) -> dict[str, Any]:
        """Return what discovery says of this endpoint (RFC 8414 section 2)."""
        return {"jwks_uri": self._issuer + PATH}
