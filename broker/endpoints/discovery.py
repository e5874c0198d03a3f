"""Discovery (RFC 8414 section 3, OpenID Connect Discovery section 4): one document, the same bytes in every place; rules C9, G1.

OpenID Connect's name and members are there because MCP clients look under both. We issue no ID tokens: `openid` is no scope here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from starlette.routing import Route

from broker.oauth import OFFLINE_ACCESS
from broker.settings import Settings
from broker.signer import ALGORITHMS
from broker.web import Document

NAMES = ("oauth-authorization-server", "openid-configuration")


@runtime_checkable
class DescribesItself(Protocol):
    """An endpoint that contributes to the document."""

    def metadata(self) -> dict[str, Any]:
        """Return its members."""
        ...


class Discovery:
    """The discovery document."""

    def __init__(self, settings: Settings, endpoints: Sequence[DescribesItself]) -> None:
        """Make the document once; only what is enabled is in it, and nothing is null."""
        document = _own_members(settings)
        for endpoint in endpoints:
            document |= {name: value for name, value in endpoint.metadata().items() if value is not None}
        self._members = document
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
        self._document = Document(lambda: text, cache_control="public, max-age=300")

    def validate(self) -> None:
        """Raise ValueError when the document contradicts RFC 8414 section 2: such a composition must not start (https only)."""
        AuthorizationServerMetadata(self._members).validate()

    def routes(self) -> list[Route]:
        """Return the two well-known places (never a redirect) under the issuer: the path-appended forms where the issuer has a path."""
        return [Route(f"/.well-known/{name}", self._document, methods=["GET"]) for name in NAMES]

    def root_routes(self, issuer_path: str) -> list[Route]:
        """Return the places at the origin's root, for an issuer with a path: its path-inserted forms, and without any path."""
        paths = [f"/.well-known/{name}{path}" for name in NAMES for path in (issuer_path, "")] if issuer_path else []
        return [Route(path, self._document, methods=["GET"]) for path in paths]


def _own_members(settings: Settings) -> dict[str, Any]:
    """Return what belongs to no endpoint. `protected_resources` is RFC 9728 section 4."""
    scopes = dict.fromkeys(scope for resource in settings.resources for scope in resource.scopes)
    members: dict[str, Any] = {
        "issuer": settings.issuer,
        "scopes_supported": [*(s for s in scopes if s != OFFLINE_ACCESS), OFFLINE_ACCESS],
        "protected_resources": [resource.url for resource in settings.resources],
        # Required members of OpenID Connect's document: strict clients refuse one without them.
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHMS[alg] for alg in settings.signing_algs],
    }
    if settings.cimd:
        members["client_id_metadata_document_supported"] = True
    return members
