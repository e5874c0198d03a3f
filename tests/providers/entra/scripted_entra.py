"""A scripted Entra ID and its Graph: the shapes that Microsoft documents, real keys that name their issuer, numbers in refusals.

Correct until a switch is set. A refresh token outlives its successor; a person's id tokens are of the tenant in their claims.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Host, Route, Router

from providers.base import ProviderSettings
from providers.entra_settings import PERSONAL
from tests.providers.scripted_faults import ABSENT, Answer, changed
from tests.providers.scripted_idp import Person, ScriptedIdp

CONTOSO, FABRIKAM, STRANGERS = (
    "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
    "e481747f-5da7-4538-cbbe-67e57f7d214e",
    "0a1b2c3d-0000-4000-8000-00000000beef",
)
ALICE = "690222be-ff1a-4d56-abd1-7e4f7d38e474"
PLATFORM, SALES = "fee2c45b-915a-4a64-b130-f4eb9e75525e", "d2a1c9b4-0c6e-4f0e-9a57-3f0e8d1c7a11"
AUTHORITY, GRAPH = "https://login.microsoftonline.com", "https://graph.microsoft.com"


@dataclass
class Directory:
    """What Graph knows of a person."""

    groups: list[str] = field(default_factory=list)


def entra_people() -> dict[str, Person]:
    """Return the accounts: a member of Contoso, a guest there, a member of Fabrikam, a stranger, a personal account."""

    def person(login: str, tid: str, oid: str, **more: Any) -> Person:
        claims = {"name": login.title(), "preferred_username": f"{login}@example.com", "tid": tid, "oid": oid, **more}
        return Person(f"pairwise-{login}", claims)

    home = f"https://sts.windows.net/{FABRIKAM}/"
    return {
        "alice": person("alice", CONTOSO, ALICE, email="alice@contoso.example"),
        "guest": person(
            "guest", CONTOSO, "7d0b1f5e-0000-4000-8000-0000000000aa", idp=home, email="ceo@contoso.example"
        ),
        "frank": person("frank", FABRIKAM, "c1b2a3d4-0000-4000-8000-0000000000bb", email="frank@fabrikam.example"),
        "mallory": person("mallory", STRANGERS, "11111111-0000-4000-8000-0000000000cc", email="ceo@contoso.example"),
        "personal": person("personal", PERSONAL, "00000000-0000-0000-9c1a-0123456789ab", email="p@outlook.example"),
    }


class ScriptedEntra(ScriptedIdp):
    """One endpoint of Entra, of a tenant or shared, with the cloud's Graph. Further endpoints are `graph` and `graph_me`.

    `key_issuer` is what keys say instead of the template (ABSENT: nothing), `number` the AADSTS number of every refusal with `error`
    beside it, `graph_next` where Graph's next page is said to be.
    """

    def __init__(
        self,
        tenant: str = CONTOSO,
        *,
        authority: str = AUTHORITY,
        graph: str = GRAPH,
        now: Callable[[], int],
    ) -> None:
        self.tenant, self.authority, self.graph = tenant, authority, graph
        self.key_issuer: Any = f"{authority}/{{tenantid}}/v2.0"
        self.graph_page_size = 100
        self.graph_next: Any = None
        self.number: int | None = None
        self.error = "invalid_grant"
        super().__init__(f"{authority}/{tenant}/v2.0", now=now)
        self.faults.callback["iss"] = ABSENT
        self.people = entra_people()
        self.directory = {"pairwise-alice": Directory([PLATFORM, SALES])}
        self.families = {"RSA"}
        self.assertions.audience = f"{authority}/{tenant}/oauth2/v2.0/token"
        login: list[BaseRoute] = [
            Route(f"/{tenant}/v2.0/.well-known/openid-configuration", self._endpoint("discovery", self._discovery)),
            Route(f"/{tenant}/discovery/v2.0/keys", self._endpoint("jwks", self._jwks)),
            Route(f"/{tenant}/oauth2/v2.0/authorize", self._endpoint("authorize", self._authorize)),
            Route(f"/{tenant}/oauth2/v2.0/token", self._endpoint("token", self._token), methods=["POST"]),
        ]
        members = self._endpoint("graph", self._member_objects)
        api: list[BaseRoute] = [
            Route("/v1.0/me/getMemberObjects", members, methods=["POST", "GET"]),
            Route("/v1.0/me", self._endpoint("graph_me", lambda _params, _request: _graph_error(401, "Unauthorized"))),
        ]
        hosts = {urlsplit(authority).netloc: login, urlsplit(graph).netloc: api}
        self.app = Starlette(routes=[Host(host, app=Router(routes)) for host, routes in hosts.items()])

    def settings(self, kind: str = "entra", **changes: Any) -> ProviderSettings:
        """Return settings that fit, with `changes`; options come on top."""
        options = {"tenant": self.tenant}
        if self.authority != AUTHORITY:
            options["authority"] = self.authority
        return super().settings(kind, **{**changes, "options": {**options, **changes.get("options", {})}})

    def published_keys(self) -> list[dict[str, Any]]:
        """Return the keys, each with whose issuer it signs for."""
        return [changed({**key, "issuer": self.key_issuer}, self.faults.key) for key in super().published_keys()]

    def id_token(self, person: Person, nonce: str | None, _access_token: str) -> str:
        """Return an ID token as version 2.0 has it: no `azp`, no `at_hash`, no `amr`."""
        now = self.now()
        claims: dict[str, Any] = {
            "aud": self.client_id,
            "iss": f"{self.authority}/{person.claims['tid']}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 3900,
            "aio": "AWQAm/8TAAAA",
            "rh": "0.AVYAv4j5",
            "sid": f"sid-{person.sub}",
            "sub": person.sub,
            "uti": secrets.token_urlsafe(8),
            "ver": "2.0",
            **({} if nonce is None else {"nonce": nonce}),
            **person.claims,
        }
        if nonce is None:
            claims = changed(claims, self.faults.refreshed_claims)
        return self.sign(changed(claims, self.faults.claims))

    def aadsts(self, number: int, error: str = "invalid_grant", status: int = 400, **more: Any) -> Answer:
        """Return a refusal with a number, as the token endpoint words it."""
        members = {
            "error": error,
            "error_description": f"AADSTS{number}: upstream words\r\nTrace ID: 0000aaaa\r\nTimestamp: 2026-01-09 02:02:12Z",
            "error_codes": [number],
            "timestamp": "2026-01-09 02:02:12Z",
            "trace_id": "0000aaaa-11bb-cccc-dd22-eeeeee333333",
            "correlation_id": "aaaa0000-bb11-2222-33cc-444444dddddd",
            "error_uri": f"{self.authority}/error?code={number}",
            **more,
        }
        return Answer(status, json.dumps(members).encode())

    def _discovery(self, _params: Mapping[str, str], _request: Request) -> Response:
        shared = {"common": "{tenantid}", "organizations": "{tenantid}", "consumers": PERSONAL}
        base = f"{self.authority}/{self.tenant}"
        metadata = {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{self.authority}/{shared.get(self.tenant, self.tenant)}/v2.0",
            "request_uri_parameter_supported": False,
            "userinfo_endpoint": f"{self.graph}/oidc/userinfo",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "http_logout_supported": True,
            "frontchannel_logout_supported": True,
            "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
            "claims_supported": [
                "sub",
                "iss",
                "aud",
                "exp",
                "iat",
                "nonce",
                "preferred_username",
                "name",
                "tid",
                "email",
            ],
            "cloud_instance_name": urlsplit(self.authority).netloc,
            "msgraph_host": urlsplit(self.graph).netloc,
        }
        return JSONResponse(changed(metadata, self.faults.discovery))

    def _authorize(self, params: Mapping[str, str], request: Request) -> Response:
        assert " " not in params.get("prompt", ""), "Entra takes one prompt"
        assert "acr_values" not in params
        return super()._authorize(params, request)

    def _token(self, params: Mapping[str, str], request: Request) -> Response:
        if self.number is not None:
            return _written(self.aadsts(self.number, self.error))
        refreshes = params.get("grant_type") == "refresh_token"
        if refreshes and "refresh" in self.faults.answers:
            return _written(self.faults.answers["refresh"])
        answer = super()._token(params, request)
        if answer.status_code == 401:
            return _written(self.aadsts(7000215, "invalid_client", 401))
        return answer if refreshes or answer.status_code == 200 else _written(self.aadsts(9002313))

    def _refresh(self, params: Mapping[str, str]) -> Response:
        session = self._sessions.get(params.get("refresh_token", ""))
        if session is None:
            return _written(self.aadsts(700082))
        if self._is_disabled(session.person):
            return _written(self.aadsts(50057))
        assert params["scope"] == session.params["scope"], "of one resource, as at the login"
        return JSONResponse(changed(self._issue(session, None), self.faults.refresh))  # the old one stays good

    def _issue(self, login: Any, nonce: str | None) -> dict[str, Any]:
        issued = super()._issue(login, nonce)
        del issued["refresh_expires_in"]
        return {**issued, "expires_in": 3599, "ext_expires_in": 3599}

    def _member_objects(self, params: Mapping[str, str], request: Request) -> Response:
        person = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if person is None:
            return _graph_error(401, "InvalidAuthenticationToken")
        skip = int(request.query_params.get("$skiptoken", "0"))
        if skip == 0:
            assert (request.method, list(params)) == ("POST", ['{"securityEnabledOnly":true}'])
        groups = self.directory.get(person.sub, Directory()).groups
        page = groups[skip : skip + self.graph_page_size]
        answer: dict[str, Any] = {
            "@odata.context": f"{self.graph}/v1.0/$metadata#Collection(Edm.String)",
            "value": page,
        }
        if skip + len(page) < len(groups):
            following = f"{self.graph}/v1.0/me/getMemberObjects?$skiptoken={skip + len(page)}"
            answer["@odata.nextLink"] = self.graph_next or following
        return JSONResponse(answer)


def _graph_error(status: int, code: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": "upstream words", "innerError": {}}}, status)


def _written(answer: Answer) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers), answer.content_type)
