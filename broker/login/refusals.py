"""How a refusal reaches the app: by a redirect where that is safe, else by a page with a link (RFC 9700 section 4.11.2; rule C5)."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from broker.audit import Audit
from broker.model import Client
from broker.oauth import OAuthError
from broker.pages import Pages
from broker.protocol import redirects
from broker.store.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an answer would go: a client and a redirect URI that belong together."""

    client: Client
    redirect_uri: str
    state: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a page tells a person: what happened, and who can do what about it."""

    title: str
    what: str
    who: str


UNKNOWN_CLIENT = Words(
    title="This app is not known here",
    what="The app's identifier is unknown, blocked, or its published document cannot be used.",
    who="Remove the connection in the app and add it again, so that it registers anew. If that fails, ask the app's developer.",
)
UNKNOWN_REDIRECT = Words(
    title="This app asked to be answered at an unknown address",
    what="The redirect URI is not one that the app registered, so nothing is sent there.",
    who="Remove the connection in the app and add it again. If that fails, the app's developer must register the address.",
)
ASK_THE_APP = (
    "The app sent a request that cannot be answered. Its developer can fix it; the reference below helps them."
)


class Refusals:
    """Answers refusals of the authorization endpoint, the consent POST and the callback."""

    def __init__(self, issuer: str, pages: Pages, store: Store, audit: Audit) -> None:
        """Keep the issuer for `iss`, and the log."""
        self._audit = audit
        self._issuer = issuer
        self._pages = pages
        self._store = store

    async def answer(
        self, request: Request, target: Target, error: OAuthError, *, subject: str | None, words: Words | None = None
    ) -> Response:
        """Redirect with the error, or show it with a link; `subject` is the person signed in, if any."""
        approved = subject is not None and await self._store.approved_before(
            subject, target.client.client_id, target.redirect_uri
        )
        if redirects.may_redirect(target.client, target.redirect_uri, approved_before=approved):
            self._log(request, error)
            return RedirectResponse(self.location(target, error), 303)
        return self.page(request, error, target=target, words=words, status=400)

    def location(self, target: Target, error: OAuthError) -> str:
        """Return the redirect that takes an error to the app."""
        return redirects.failure(target.redirect_uri, error, state=target.state, issuer=self._issuer)

    def page(
        self,
        request: Request,
        error: OAuthError,
        *,
        target: Target | None,
        words: Words | None,
        status: int | None = None,
    ) -> Response:
        """Show an error here, with a link back where there is a trusted target."""
        self._log(request, error)
        shown = words or Words(title="This sign-in cannot go on", what=error.description, who=ASK_THE_APP)
        return self._pages.error(
            request,
            error,
            title=shown.title,
            what=shown.what,
            who=shown.who,
            status=status,
            link=self.location(target, error) if target else None,
        )

    def _log(self, request: Request, error: OAuthError) -> None:
        """Write one line with the reference that the page shows."""
        path = str(request.scope["route"].path) if "route" in request.scope else "other"
        self._audit.log("request.refused", path=path, error=error.code, reason=error.reason.value)
