"""Google's directory, scripted: a token endpoint for service accounts, the Directory API and Cloud Identity, with pages."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc.jws import JWSRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.providers.pem import pem, verification_key
from tests.providers.scripted_faults import Answer

ACCOUNT = "groups@acme.iam.gserviceaccount.com"
TOKEN_URI = "https://oauth2.googleapis.com/sa-token"
ADMIN = "admin@example.com"
DIRECTORY_SCOPE = "https://www.googleapis.com/auth/admin.directory.group.readonly"
CLOUD_IDENTITY_SCOPE = "https://www.googleapis.com/auth/cloud-identity.groups.readonly"


def key_file(folder: Path, **changes: Any) -> str:
    """Write a service account's key file as Google makes it; return its path."""
    members = {
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "3f8a",
        "private_key": pem("RSA"),
        "client_email": ACCOUNT,
        "client_id": "104151415121212121212",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": TOKEN_URI,
        **changes,
    }
    path = folder / "service-account.json"
    path.write_text(json.dumps({name: value for name, value in members.items() if value is not None}))
    return str(path)


@dataclass
class Directory:
    """Who is in which groups, a page each; `answers` replace what a path says: `token`, `directory`, `cloud_identity`."""

    now: Callable[[], int]
    pages: dict[str, list[list[str]]] = field(default_factory=dict)  # by member: id or address
    answers: dict[str, Answer] = field(default_factory=dict)
    body: dict[str, Any] | None = None  # what a page says instead
    next_page: Any = None  # what every page names as the next one
    tokens: list[dict[str, Any]] = field(default_factory=list)  # the claims of assertions that were redeemed
    queries: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def routes(self) -> list[Route]:
        """The paths, whatever the host."""
        return [
            Route("/sa-token", self._canned("token", self._token), methods=["POST"]),
            Route("/admin/directory/v1/groups", self._canned("directory", self._directory)),
            Route(
                "/v1/groups/-/memberships:searchTransitiveGroups", self._canned("cloud_identity", self._cloud_identity)
            ),
        ]

    def _canned(
        self, name: str, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            canned = self.answers.get(name)
            if canned is not None:
                await asyncio.sleep(canned.delay)
                return Response(canned.body, canned.status, dict(canned.headers), canned.content_type)
            return await handler(request)

        return answer

    async def _token(self, request: Request) -> Response:
        form = dict(part.split("=", 1) for part in (await request.body()).decode().split("&"))
        assert form["grant_type"] == "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
        head, payload, signature = form["assertion"].split(".")
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, payload))
        signed = JWSRegistry.algorithms["RS256"].verify(
            f"{head}.{payload}".encode(), base64.urlsafe_b64decode(signature + "=="), verification_key("RSA")
        )
        good = (header, claims["iss"], claims["aud"]) == (
            {"alg": "RS256", "typ": "JWT", "kid": "3f8a"}, ACCOUNT, TOKEN_URI,
        )  # fmt: skip
        if not signed or not good or claims["exp"] != self.now() + 3600:
            return JSONResponse({"error": "invalid_grant", "error_description": "upstream words"}, 400)
        self.tokens.append(claims)
        return JSONResponse({"access_token": f"sa-{len(self.tokens)}", "expires_in": 3599, "token_type": "Bearer"})

    async def _directory(self, request: Request) -> Response:
        if not self._may(request, DIRECTORY_SCOPE):
            return JSONResponse({"error": {"code": 403, "message": "upstream words"}}, 403)
        names, following = self._page(request.query_params["userKey"], request)
        if names is None:
            return JSONResponse({"error": {"code": 404, "message": "upstream words: userKey"}}, 404)
        groups = {"groups": [{"email": name} for name in names]} if names else {}
        return JSONResponse(self.body or {"kind": "admin#directory#groups", **groups, **following})

    async def _cloud_identity(self, request: Request) -> Response:
        if not self._may(request, CLOUD_IDENTITY_SCOPE):
            return JSONResponse({"error": {"code": 403, "message": "upstream words"}}, 403)
        member = request.query_params["query"].split("'")[1]
        names, following = self._page(member, request)
        if names is None:
            return JSONResponse({"error": {"code": 403, "message": "upstream words"}}, 403)
        memberships = [
            {"group": f"groups/{name}", "groupKey": {"id": name}, "displayName": name, "relationType": "DIRECT"}
            for name in names
        ]
        return JSONResponse(self.body or {"memberships": memberships, **following})

    def _may(self, request: Request, scope: str) -> bool:
        self.queries.append(dict(request.query_params))
        token = request.headers["authorization"].removeprefix("Bearer sa-")
        return bool(self.tokens[int(token) - 1]["scope"] == scope)

    def _page(self, member: str, request: Request) -> tuple[list[str] | None, dict[str, Any]]:
        pages = self.pages.get(member)
        if pages is None:
            return None, {}
        number = int(request.query_params.get("pageToken", "0"))
        following = self.next_page or (str(number + 1) if number + 1 < len(pages) else None)
        return pages[number % len(pages)], {"nextPageToken": following} if following else {}
