"""/debug/login: walks a real login and shows an administrator what came of it; off unless BROKER_DEBUG_LOGIN is true (rule G12).

It gives nobody a code, a token or a session, and redirects to the chosen provider only. Its result is shown in the browser that began
it, and only where the person who signed in, or the one whose live session that browser has, is an administrator.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from broker.audit import Event
from broker.clock import Clock, Entropy
from broker.login import debugging
from broker.login.approvals import Approval, Approvals
from broker.login.browser import BrowserCookies
from broker.login.returns import Returns
from broker.login.sessions import Sessions
from broker.login.sign_in import SignIn
from broker.model import Identity, PendingLogin, Resource
from broker.oauth import AccessDenied, InvalidRequest, OAuthError, Reason
from broker.pages import Pages
from broker.policy import AccessRequest, Policy
from broker.policy.administrators import is_administrator
from broker.protocol.consent import csrf_matches, csrf_token, same_origin
from broker.settings import Settings
from broker.upstream.configured import ProviderButton
from broker.web import Params, caller_address, read_form
from providers.base import UpstreamError, UpstreamIdentity

PATH = "/debug/login"
_FORM = "debug-login"  # in place of a sealed request's id: this form carries none
TRY_AGAIN = "Open the page again in this browser and choose a provider."
NOT_FOR_YOU = "Sign in with an account in BROKER_ADMIN_GROUPS, or sign in to any app as an administrator first."


class DebugLogin:
    """The page, and the way back from the provider."""

    def __init__(
        self,
        settings: Settings,
        buttons: tuple[ProviderButton, ...],
        *,
        approvals: Approvals,
        returns: Returns,
        people: tuple[SignIn, Sessions, Policy],
        pages: Pages,
        edge: tuple[BrowserCookies, Clock, Entropy],
    ) -> None:
        """Keep the collaborators."""
        self._settings = settings
        self._origin = settings.issuer.removesuffix(settings.issuer_path)
        self._buttons = buttons
        self._approvals = approvals
        self._returns = returns
        self._sign_in, self._sessions, self._policy = people
        self._pages = pages
        self._cookies, self._clock, self._entropy = edge

    def routes(self) -> list[Route]:
        """Return the page and its form; the callback is the one of every login."""
        return [Route(PATH, self.show, methods=["GET"]), Route(PATH, self.begin, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """Show the form. Writes nothing."""
        browser = self._cookies.read(request)
        cookie = browser.csrf or self._entropy.token()
        response = self._pages.render(
            "debug_login.html",
            action=self._settings.url(PATH),
            csrf=csrf_token(cookie, _FORM),
            providers=self._buttons,
        )
        if browser.csrf is None:
            self._cookies.set(response, self._cookies.csrf, cookie)
        return response

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider."""
        try:
            form = await self._read(request)
            approval = Approval(
                request_id=self._entropy.token(),
                request=debugging.request(in_full=form.get("show") == "yes", anew=form.get("anew") == "yes"),
                client=debugging.CLIENT,
                source=caller_address(request),
                remember=False,
            )
            cookie = self._cookies.read(request).login
            location, login = await self._approvals.begin_login(approval, form.get("provider") or "", cookie)
        except OAuthError as error:
            return self._refused(request, error, "The login did not begin", error.description, TRY_AGAIN)
        response = RedirectResponse(location, 303)
        self._cookies.set(response, self._cookies.login, login, max_age=self._approvals.login_life)
        return response

    async def finish(self, request: Request, params: Params, login: PendingLogin) -> Response:
        """Show what a debug login gave; `login` is consumed, and this browser's own. Raises StoreUnavailable."""
        admin = await self._administers(request)
        try:
            upstream = await self._returns.identify(params, login)
        except UpstreamError as error:
            why = f"{error.fault.value}, {error.reason}" if admin else "The log entry with the reference below says why"
            denied = AccessDenied(Reason.UPSTREAM_FAILED)
            return self._refused(request, denied, "The provider's answer was not accepted", f"{why}.", TRY_AGAIN)
        identity = await self._sign_in.recognise(login.provider, upstream)
        if not admin and not self._is_admin(identity):
            await self._returns.record(login, Event.LOGIN_REFUSED, subject=identity.subject, reason="no administrator")
            unknown = f" Your groups are unknown: {identity.groups_unknown}." if identity.groups is None else ""
            denied = AccessDenied(Reason.POLICY)
            what = f"You are signed in, and not known as an administrator.{unknown}"
            return self._refused(request, denied, "This page is for administrators", what, NOT_FOR_YOU, status=403)
        await self._returns.record(login, Event.LOGIN_DEBUGGED, subject=identity.subject, reason="shown")
        return self._result(login, upstream, identity)

    async def _read(self, request: Request) -> Params:
        form = await read_form(request)
        headers = request.headers
        if not same_origin(headers.get("sec-fetch-site"), headers.get("origin"), self._origin):
            raise InvalidRequest(Reason.CSRF)
        if not csrf_matches(form.get("csrf"), self._cookies.read(request).csrf or "", _FORM):
            raise InvalidRequest(Reason.CSRF)
        return form

    async def _administers(self, request: Request) -> bool:
        """Tell whether this browser has an administrator's live session."""
        session = await self._sessions.current(self._cookies.read(request).session)
        session = await self._sessions.vouched(session) if session else None
        return session is not None and self._is_admin(session.identity)

    def _is_admin(self, identity: Identity) -> bool:
        return self._policy.may_sign_in(identity) is None and is_administrator(identity, self._settings.admin_groups)

    def _result(self, login: PendingLogin, upstream: UpstreamIdentity, identity: Identity) -> Response:
        in_full = login.request.state == debugging.IN_FULL
        return self._pages.render(
            "debug_result.html",
            provider=next(b.name for b in self._buttons if b.id == login.provider),
            barred=self._policy.may_sign_in(identity),
            groups=identity.groups,
            groups_unknown=identity.groups_unknown,
            decisions=[self._decision(identity, resource) for resource in self._settings.resources],
            person=debugging.person(identity, in_full=in_full),
            claims=debugging.claims(upstream, in_full=in_full),
            again=self._settings.url(PATH),
        )

    def _decision(self, identity: Identity, resource: Resource) -> dict[str, object]:
        asked = AccessRequest(
            identity=identity,
            client=debugging.CLIENT,
            resource=resource,
            scopes=tuple(resource.scopes),
            now=self._clock.now(),
        )
        found = self._policy.explain(asked)
        decision = found.decision
        return {
            "resource": resource,
            "allowed": decision.allowed,
            "scopes": decision.scopes,
            "rule": decision.rule,
            "reason": decision.reason,
            "remedies": found.remedies,
        }

    def _refused(
        self, request: Request, error: OAuthError, title: str, what: str, who: str, *, status: int = 400
    ) -> Response:
        return self._pages.error(
            request, error, title=title, what=what, who=who, status=error.status if error.retry_after else status
        )
