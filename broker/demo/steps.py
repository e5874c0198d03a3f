"""The steps of the demo's run: what each one is called, and which HTTP exchange proves it.

A step looks at what was asked and what was answered; nothing is ticked because it was meant to happen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from broker.demo.sample_server import SCOPES
from broker.demo.trace import Exchange, Step
from broker.protocol import jws

SIGN_IN = "Signing in to the first tool"
STEP_UP = "Stepping up to a second scope"
REFRESH = "Refreshing"
READ, WRITE = SCOPES
REDIRECTS = (302, 303)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where everything is. `idp` is the embedded identity provider, None where a real one is used."""

    issuer: str
    resource: str
    callback: str
    idp: str | None


def steps(at: Addresses) -> list[Step]:
    """Return every step, in order; what happens in a person's own browser is one step, seen when they come back."""
    own = at.idp is None
    first = _in_your_browser(at, SIGN_IN) if own else [*_consent(at), *_sign_in(at)]
    second = _in_your_browser(at, STEP_UP) if own else _consent_again(at)
    return [*_discovery(at), *first, *_first_token(at), _refusal(at), *second, *_second_token(at), *_refresh(at)]


def _discovery(at: Addresses) -> list[Step]:
    issuer, resource = urlsplit(at.issuer), urlsplit(at.resource)

    def unauthorized(e: Exchange) -> str | None:
        good = e.status == 401 and e.url == at.resource and 'resource_metadata="' in e.challenge  # noqa: PLR2004
        return f"401, names metadata and scope {READ}" if good and f'scope="{READ}"' in e.challenge else None

    def resource_metadata(e: Exchange) -> str | None:
        document = e.json() if e.path == f"/.well-known/oauth-protected-resource{resource.path}" else {}
        good = document.get("authorization_servers") == [at.issuer] and document.get("resource") == at.resource
        return "names the broker, byte for byte" if good else None

    def server_metadata(e: Exchange) -> str | None:
        document = e.json() if e.path == f"/.well-known/oauth-authorization-server{issuer.path}" else {}
        good = document.get("issuer") == at.issuer and document.get("code_challenge_methods_supported") == ["S256"]
        iss = document.get("authorization_response_iss_parameter_supported") is True
        return "same issuer, PKCE S256, iss in answers" if good and iss else None

    def registration(e: Exchange) -> str | None:
        client_id = e.json().get("client_id") if e.url == f"{at.issuer}/register" and e.status == 201 else None  # noqa: PLR2004
        return f"public client {str(client_id)[:16]}\N{HORIZONTAL ELLIPSIS}" if client_id else None

    return [
        Step(SIGN_IN, "Call without a token", "401 with resource_metadata and scope", unauthorized),
        Step(SIGN_IN, "Resource metadata (RFC 9728)", f"authorization_servers [{at.issuer}]", resource_metadata),
        Step(SIGN_IN, "Broker metadata (RFC 8414)", f"issuer {at.issuer}, S256, iss", server_metadata),
        Step(SIGN_IN, "Registration (RFC 7591)", "201 with a client_id", registration),
    ]


def _consent(at: Addresses) -> list[Step]:
    def approved(e: Exchange) -> str | None:
        query = e.target_query if e.url == f"{at.issuer}/consent" and e.status in REDIRECTS else {}
        good = query.get("code_challenge_method") == "S256" and query.get("state") and query.get("nonce")
        return "state, nonce, PKCE of the broker's own" if good and e.target.startswith(f"{at.idp}/") else None

    return [
        Step(SIGN_IN, "Consent page", f"a page that asks for {READ}", _page(at, (READ,))),
        Step(SIGN_IN, "Allowed: on to the IdP", "a redirect with state, nonce and PKCE", approved),
    ]


def _sign_in(at: Addresses) -> list[Step]:
    def picked(e: Exchange) -> str | None:
        good = e.url == f"{at.idp}/pick" and e.target.startswith(f"{at.issuer}/callback/")
        came_back = _came_back(e.target_query, at.idp)
        return f"as {e.form.get('person')}: {came_back}" if good and came_back else None

    def returned(e: Exchange) -> str | None:
        good = e.url.startswith(f"{at.issuer}/callback/") and e.target == at.callback
        return _came_back(e.target_query, at.issuer) if good else None

    return [
        Step(SIGN_IN, "Signed in there", "code, state and iss back to the broker", picked),
        Step(SIGN_IN, "Broker's callback", "code, state and iss on to the client", returned),
    ]


def _consent_again(at: Addresses) -> list[Step]:
    def approved(e: Exchange) -> str | None:
        good = e.url == f"{at.issuer}/consent" and e.target == at.callback
        return _came_back(e.target_query, at.issuer) if good else None

    return [
        Step(
            STEP_UP, "Consent page, both scopes", f"a page that asks for {READ} and {WRITE}", _page(at, (READ, WRITE))
        ),
        Step(STEP_UP, "Allowed, no second sign-in", "code, state and iss to the client", approved),
    ]


def _in_your_browser(at: Addresses, part: str) -> list[Step]:
    def returned(e: Exchange) -> str | None:
        good = e.url.partition("?")[0] == at.callback
        return _came_back(e.query, at.issuer) if good else None

    return [Step(part, "You, in your browser", f"code, state and iss at {at.callback}", returned)]


def _first_token(at: Addresses) -> list[Step]:
    return [
        Step(SIGN_IN, "Token (RFC 6749, 7636, 8707)", f"a token for {at.resource}", _token(at, (READ,))),
        Step(SIGN_IN, "Tool list_notes", "its result", _result(at, "list_notes")),
    ]


def _refusal(at: Addresses) -> Step:
    def insufficient(e: Exchange) -> str | None:
        good = e.url == at.resource and e.calls("add_note") and e.status == 403  # noqa: PLR2004
        return f"403, needs {READ} {WRITE}" if good and f'scope="{READ} {WRITE}"' in e.challenge else None

    return Step(STEP_UP, "Tool add_note", "403 insufficient_scope that names both scopes", insufficient)


def _second_token(at: Addresses) -> list[Step]:
    return [
        Step(STEP_UP, "Token with both scopes", f"scope {READ} {WRITE}", _token(at, (READ, WRITE))),
        Step(STEP_UP, "Tool add_note", "its result", _result(at, "add_note")),
    ]


def _refresh(at: Addresses) -> list[Step]:
    def rotated(e: Exchange) -> str | None:
        asked, answer = e.form, e.json() if e.url == f"{at.issuer}/token" else {}
        fresh = answer.get("refresh_token")
        good = asked.get("grant_type") == "refresh_token" and e.status == 200 and fresh  # noqa: PLR2004
        return "rotated: the old one is spent" if good and fresh != asked.get("refresh_token") else None

    return [
        Step(REFRESH, "Refresh token", "a new access token and a new refresh token", rotated),
        Step(REFRESH, "Tool list_notes", "its result, with the new token", _result(at, "list_notes")),
    ]


def _page(at: Addresses, scopes: tuple[str, ...]) -> Callable[[Exchange], str | None]:
    def seen(e: Exchange) -> str | None:
        asked = e.query if e.url.startswith(f"{at.issuer}/authorize?") and e.status == 200 else {}  # noqa: PLR2004
        html = e.body.decode("utf-8", "replace")
        good = asked.get("resource") == at.resource and 'name="csrf"' in html
        shown = all(SCOPES[scope] in html for scope in scopes)
        return "asks for " + ", ".join(scopes) if good and shown else None

    return seen


def _token(at: Addresses, scopes: tuple[str, ...]) -> Callable[[Exchange], str | None]:
    def seen(e: Exchange) -> str | None:
        good = e.url == f"{at.issuer}/token" and e.form.get("grant_type") == "authorization_code"
        answer = e.json() if good and e.status == 200 else {}  # noqa: PLR2004
        try:
            token = jws.parse(str(answer.get("access_token", "")))
            claims = jws.decode_object(token.payload)
        except jws.JwsRefused:
            return None
        if claims.get("aud") != at.resource or set(str(answer.get("scope", "")).split()) != set(scopes):
            return None
        return f"{token.alg} {token.typ}, {answer.get('expires_in', 0) // 60} min, aud = server"

    return seen


def _result(at: Addresses, tool: str) -> Callable[[Exchange], str | None]:
    def seen(e: Exchange) -> str | None:
        good = e.url == at.resource and e.calls(tool) and e.status == 200  # noqa: PLR2004
        result: dict[str, Any] = e.json().get("result", {}) if good else {}
        texts = [part.get("text", "") for part in result.get("content", ())]
        if not texts or result.get("isError"):
            return None
        return _short(texts[-1])

    return seen


def _came_back(query: dict[str, str], issuer: str | None) -> str | None:
    good = query.get("code") and query.get("state") and query.get("iss") == issuer
    return "code, state, iss" if good else None


def _short(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return f"{len(found)} notes" if isinstance(found, list) else text
