"""The consent page: what it shows, and the sealed request that travels in it (architecture, section 4; rules A1, A3, A12, A13).

Nothing is stored when it is rendered: the request is sealed for this browser and comes back with the POST.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from broker.clock import Clock, Entropy
from broker.login.browser import Browser, BrowserCookies
from broker.model import AuthorizationRequest, Client, ClientSource, Resource, Session
from broker.oauth import InvalidRequest, Reason
from broker.pages import Pages
from broker.protocol import display_text
from broker.protocol.consent import csrf_token
from broker.protocol.redirect_uri import is_loopback, private_scheme
from broker.seal import SealBroken, Sealer
from broker.settings import Settings
from broker.store import texts
from broker.upstream.configured import ProviderButton

PURPOSE = "consent-request"
LIFE = 600  # seconds
_encode_json = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False
).encode  # a state of emoji must fit the form (rule C16)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRequest:
    """What the page was rendered for. `session` is the hash (hex) of the session whose person it showed, or empty."""

    request_id: str
    request: AuthorizationRequest
    metadata_hash: str
    session: str


class ConsentPage:
    """Renders the page and opens what comes back."""

    def __init__(
        self,
        settings: Settings,
        *,
        pages: Pages,
        sealer: Sealer,
        cookies: BrowserCookies,
        clock: Clock,
        entropy: Entropy,
        providers: Sequence[ProviderButton],
    ) -> None:
        """Keep the collaborators."""
        self._settings = settings
        self._resources: dict[str, Resource] = {r.url: r for r in settings.resources}
        self._pages = pages
        self._action = settings.url("/consent")
        self._sealer = sealer
        self._cookies = cookies
        self._clock = clock
        self._entropy = entropy
        self._providers = tuple(providers)
        self._scopes = {button.id: button.scopes for button in self._providers}

    def render(
        self,
        request: AuthorizationRequest,
        client: Client,
        browser: Browser,
        session: Session | None,
        *,
        remembered: bool = False,
        note: str | None = None,
    ) -> Response:
        """Return the page for this browser; `remembered` shortens it, `note` says why it is shown again.

        A request with a step-up shows the person of the session and the one way to sign in again.
        """
        step_up = request.step_up
        csrf_cookie = browser.csrf or self._entropy.token()
        request_id = self._entropy.token()
        sealed = self._seal(request_id, request, client, csrf_cookie, session)
        response = self._pages.render_alike(
            "remembered.html" if remembered and session and not step_up else "consent.html",
            self._shown(request, client, session, note),
            {"sealed": sealed, "csrf": csrf_token(csrf_cookie, request_id)},
        )
        if browser.csrf is None:
            self._cookies.set(response, self._cookies.csrf, csrf_cookie)
        return response

    def can_show(self, request: AuthorizationRequest) -> bool:
        """Tell whether the request's resource and scopes are still there: a sealed or pending one may outlive the settings."""
        resource = self._resources.get(request.resource)
        return resource is not None and resource.scopes.keys() >= set(request.scopes)

    def _shown(
        self, request: AuthorizationRequest, client: Client, session: Session | None, note: str | None
    ) -> tuple[tuple[str, Any], ...]:
        """Return what the page says, which is the same for everybody who is asked the same."""
        step_up, resource = request.step_up, self._resources[request.resource]
        identity = session.identity if session else None
        return (
            ("client_name", client.name),
            ("quoted_name", display_text.quoted(client.name)),
            (
                "client_host",
                urlsplit(client.client_id).netloc if client.source is ClientSource.METADATA_DOCUMENT else None,
            ),
            ("preregistered", client.source.preregistered),
            ("resource_name", resource.name),
            ("resource_url", resource.url),
            ("redirect_host", _redirect_host(request.redirect_uri)),
            ("loopback", is_loopback(request.redirect_uri) or private_scheme(request.redirect_uri) is not None),
            ("scopes", tuple([resource.scopes[s] for s in request.scopes])),
            ("signed_in", session is not None and step_up is None),
            ("stepping_up", step_up is not None),
            ("subject_name", (identity.name or identity.email or identity.subject) if identity else None),
            ("subject_provider", identity.provider if identity else None),
            ("subject_scopes", self._scopes.get(identity.provider, ()) if identity else ()),
            ("providers", tuple([p for p in self._providers if step_up is None or p.id == step_up.provider])),
            ("action", self._action),
            ("remember", self._settings.remember_consent),
            ("note", note),
        )

    def _seal(
        self, request_id: str, request: AuthorizationRequest, client: Client, csrf_cookie: str, session: Session | None
    ) -> str:
        body = {
            "id": request_id,
            "request": texts.request_text(request),
            "metadata": client.metadata_hash,
            "session": session.session_hash.hex() if session else "",
        }
        text = _encode_json(body).encode()
        return self._sealer.seal(PURPOSE, text, context=_context(csrf_cookie), expires_at=self._clock.now() + LIFE)

    def open(self, sealed: str | None, browser: Browser) -> SealedRequest:
        """Return what a page of this very browser was rendered for; raises InvalidRequest when it is forged, old or another's."""
        if browser.csrf is None or sealed is None:
            raise InvalidRequest(Reason.CSRF)
        try:
            text = self._sealer.open(PURPOSE, sealed, context=_context(browser.csrf), now=self._clock.now())
        except SealBroken:
            raise InvalidRequest(Reason.REQUEST_FORGED) from None
        body = json.loads(text)
        return SealedRequest(
            request_id=body["id"],
            request=texts.request_of(body["request"]),
            metadata_hash=body["metadata"],
            session=body["session"],
        )


def _context(csrf_cookie: str) -> str:
    """Bind the seal to the browser without putting its cookie into the page."""
    return hashlib.sha256(csrf_cookie.encode()).hexdigest()


@lru_cache(maxsize=256)  # the same few come with every request; at most 2,048 characters each
def _redirect_host(uri: str) -> str:
    """Return who gets the answer. What a private-use URI has in a host's place names nobody (rule A12)."""
    scheme = private_scheme(uri)
    return urlsplit(uri).netloc if scheme is None else f"the program registered for {scheme}:"
