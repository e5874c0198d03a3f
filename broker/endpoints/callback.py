"""GET /callback/{provider}: the identity provider's answer (RFC 6749 section 4.1.2, RFC 9207; rules A2, B1 to B3, B12).

The stored login decides what the answer is for: an app, or the administrator's debug page, whose logins end where they began.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from broker.login import debugging
from broker.login import step_up as stepping
from broker.login.approvals import NOT_SET_UP, Approval, Approvals
from broker.login.browser import Browser, BrowserCookies
from broker.login.consent_page import ConsentPage
from broker.login.refusals import Refusals, Target, Words
from broker.login.returns import Returns
from broker.login.sign_in import SignIn
from broker.login.step_up import NOT_ENOUGH, OTHER_PERSON, StepUpNeeded
from broker.model import Identity, PendingLogin, Session, StepUp
from broker.oauth import AccessDenied, InvalidRequest, OAuthError, Reason, TemporarilyUnavailable
from broker.web import Params, parse_urlencoded
from providers.base import Fault, UpstreamError, UpstreamTokens

DebugFinish = Callable[[Request, Params, PendingLogin], Awaitable[Response]]
LOST = Words(
    title="This sign-in cannot be finished here",
    what="It was finished already, is older than ten minutes, or was started in another browser.",
    who="Go back to the app and start the connection again in this browser. If somebody sent you a link, do not use it.",
)
SIGNED_OUT = Words(
    title="You were signed out meanwhile",
    what="The identity provider ended your session there while you were on your way here, so nothing was given to the app.",
    who="Start the connection again in the app. If you did not sign out yourself, give your administrator the reference below.",
)
SAID_NO = "access_denied"  # the person's own answer at the provider
UPSTREAM_WORDS = {
    Fault.DENIED: Words(
        title="You did not sign in",
        what="The identity provider says that the sign-in was refused or cancelled.",
        who="Start the connection again in the app if you want to go on.",
    ),
    Fault.TRANSIENT: Words(
        title="The sign-in service does not answer",
        what="The identity provider did not answer in time, so the sign-in could not be finished.",
        who="Start the connection again in the app in a minute. If it lasts, tell your administrator.",
    ),
    Fault.OPERATOR: NOT_SET_UP,
}
UNTRUSTED = Words(
    title="The sign-in could not be verified",
    what="The identity provider's answer did not pass the checks, so it was not used.",
    who="Start the connection again in the app. If it happens again, give your administrator the reference below.",
)


class Callback:
    """The callback endpoint."""

    def __init__(
        self,
        returns: Returns,
        *,
        approvals: Approvals,
        sign_in: SignIn,
        page: ConsentPage,
        refusals: Refusals,
        cookies: BrowserCookies,
        debug: DebugFinish | None,
    ) -> None:
        """Keep the collaborators; `debug` finishes debug logins, None where there are none (rule G12)."""
        self._returns = returns
        self._approvals = approvals
        self._sign_in = sign_in
        self._page = page
        self._refusals = refusals
        self._cookies = cookies
        self._debug = debug

    def routes(self) -> list[Route]:
        """Return the one route; the provider is a path segment (rule B1)."""
        return [Route("/callback/{provider}", self.handle, methods=["GET"])]

    async def handle(self, request: Request) -> Response:
        """Answer the browser that comes back from the identity provider."""
        try:
            params = parse_urlencoded(request.scope["query_string"])
            login = await self._returns.consume(request, params)
        except OAuthError as error:
            return self._refusals.page(request, error, target=None, words=LOST)
        if debugging.is_debug(login):
            return await self._debugged(request, params, login)
        approval = _approval(login)
        try:
            upstream = await self._returns.identify(params, login)
        except UpstreamError as error:
            return await self._failed(request, login, error)
        identity = await self._sign_in.recognise(login.provider, upstream)
        return await self._finish(request, approval, identity, upstream.tokens, login.created_at)

    async def _debugged(self, request: Request, params: Params, login: PendingLogin) -> Response:
        if self._debug is None:  # switched off since it began
            return self._refusals.page(request, InvalidRequest(Reason.LOGIN_UNKNOWN), target=None, words=LOST)
        return await self._debug(request, params, login)

    async def _finish(
        self, request: Request, approval: Approval, identity: Identity, tokens: UpstreamTokens | None, began_at: int
    ) -> Response:
        barred = self._approvals.barred(identity)
        if barred is not None:
            await self._approvals.refused(approval, identity, rule="sign-in", reason=barred)
            denied = AccessDenied(Reason.SIGN_IN_BARRED)
            return self._refusals.page(
                request, denied, target=_target(approval), words=self._approvals.words(denied, approval)
            )
        browser = self._cookies.read(request)
        try:
            session, cookie = await self._sign_in.start(identity, tokens, began_at=began_at, replaces=browser.session)
        except InvalidRequest as error:
            await self._approvals.refused(approval, identity, rule="logout", reason=error.reason)
            return self._refusals.page(request, error, target=None, words=SIGNED_OUT)
        response = await self._answer(request, approval, session, browser)
        self._cookies.set(response, self._cookies.session, cookie)
        return response

    async def _answer(self, request: Request, approval: Approval, session: Session, browser: Browser) -> Response:
        """Give the code, ask for a step-up, ask somebody else than was meant, or refuse."""
        target = _target(approval)
        asked = approval.request
        if asked.step_up is not None and asked.step_up.subject != session.identity.subject:  # rule A13
            anew = dataclasses.replace(asked, prompt=(), step_up=None)
            if not self._page.can_show(anew):
                return self._refusals.page(request, InvalidRequest(Reason.RESOURCE_UNKNOWN), target=None, words=LOST)
            return self._page.render(anew, approval.client, browser, session, note=OTHER_PERSON)
        try:
            return RedirectResponse(await self._approvals.issue_code(approval, session), 303)
        except StepUpNeeded as needed:
            return await self._step_up(request, approval, needed.step_up, browser)
        except AccessDenied as error:
            return self._refusals.page(request, error, target=target, words=self._approvals.words(error, approval))
        except InvalidRequest as error:
            return self._refusals.page(request, error, target=None, words=LOST)

    async def _step_up(self, request: Request, approval: Approval, step_up: StepUp, browser: Browser) -> Response:
        """Send the browser to the provider once more."""
        try:
            location, login_cookie = await self._approvals.begin_step_up(approval, step_up, browser.login)
        except OAuthError as error:
            return self._refusals.page(request, error, target=None, words=self._approvals.words(error, approval))
        response = RedirectResponse(location, 303)
        self._cookies.set(response, self._cookies.login, login_cookie, max_age=self._approvals.login_life)
        return response

    async def _failed(self, request: Request, login: PendingLogin, error: UpstreamError) -> Response:
        """Say what failed, in our words only (rule B12)."""
        target = Target(client=login.client, redirect_uri=login.request.redirect_uri, state=login.request.state)
        words = UPSTREAM_WORDS.get(error.fault, UNTRUSTED)
        if stepping.failed(login.request, error):
            return self._refusals.page(request, AccessDenied(Reason.STEP_UP), target=target, words=NOT_ENOUGH)
        if error.fault is Fault.TRANSIENT:
            outage = TemporarilyUnavailable(Reason.UPSTREAM_FAILED, retry_after=30)
            return self._refusals.page(request, outage, target=target, words=words)
        if (
            error.fault is Fault.DENIED and error.reason != SAID_NO
        ):  # ours or the provider's rule says no: tell whom to ask
            barred = AccessDenied(Reason.SIGN_IN_BARRED)
            whom_to_ask = self._approvals.words(barred, _approval(login))
            return self._refusals.page(request, barred, target=target, words=whom_to_ask)
        denied = AccessDenied(Reason.UPSTREAM_DENIED if error.fault is Fault.DENIED else Reason.UPSTREAM_FAILED)
        if error.fault is Fault.DENIED:
            return await self._refusals.answer(request, target, denied, subject=None, words=words)
        return self._refusals.page(request, denied, target=target, words=words, status=400)


def _approval(login: PendingLogin) -> Approval:
    return Approval(
        request_id=login.request_id,
        request=login.request,
        client=login.client,
        source=login.source,
        remember=login.remember or None,
    )


def _target(approval: Approval) -> Target:
    request = approval.request
    return Target(client=approval.client, redirect_uri=request.redirect_uri, state=request.state)
