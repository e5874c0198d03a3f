"""POST /consent: the person's answer. Codes and pending logins arise only here and in the callback (rules A1 to A6, A9, A13)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from broker.clients import ClientResolver
from broker.login import step_up as stepping
from broker.login.approvals import Approval, Approvals
from broker.login.browser import Browser, BrowserCookies
from broker.login.consent_page import ConsentPage, SealedRequest
from broker.login.refusals import UNKNOWN_CLIENT, UNKNOWN_REDIRECT, Refusals, Target, Words
from broker.login.sessions import Sessions
from broker.login.step_up import StepUpNeeded
from broker.model import Client, Session
from broker.oauth import AccessDenied, InvalidClient, InvalidRequest, OAuthError, Reason, TemporarilyUnavailable
from broker.protocol import redirect_uri
from broker.protocol.consent import csrf_matches, same_origin
from broker.web import Params, caller_address, read_form

CHANGED = "Something changed since this page was shown. Please look at it again before you answer."
ENDED = "Your session at the identity provider has ended. Please sign in again."
SWITCH = "Choose how to sign in with the other account."
STALE = Words(
    title="This page is too old, or belongs to another browser",
    what="Your answer was not accepted, and nothing was sent to the app.",
    who="Go back to the app and start the connection again in this browser.",
)
USED = Words(
    title="This answer was given already",
    what="The same page was answered before, and the app has taken its result.",
    who="If the app is not connected, start the connection again in the app.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A POST that is this browser's own, with what its page was rendered for."""

    form: Params
    sealed: SealedRequest
    client: Client
    browser: Browser

    @property
    def target(self) -> Target:
        """Where the app waits."""
        request = self.sealed.request
        return Target(client=self.client, redirect_uri=request.redirect_uri, state=request.state)


class Consent:
    """The consent endpoint."""

    def __init__(
        self,
        origin: str,
        *,
        clients: ClientResolver,
        sessions: Sessions,
        cookies: BrowserCookies,
        page: ConsentPage,
        approvals: Approvals,
        refusals: Refusals,
    ) -> None:
        """Keep our own origin, for Fetch Metadata's fallback, and the collaborators."""
        self._origin = origin
        self._clients = clients
        self._sessions = sessions
        self._cookies = cookies
        self._page = page
        self._approvals = approvals
        self._refusals = refusals

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route("/consent", self.handle, methods=["POST"])]

    async def handle(self, request: Request) -> Response:
        """Answer the form of the consent page."""
        try:
            answer = await self._read(request)
        except InvalidRequest as error:
            words = UNKNOWN_REDIRECT if error.reason is Reason.REDIRECT_URI_MISMATCH else STALE
            return self._refusals.page(request, error, target=None, words=words)
        except InvalidClient as error:  # blocked, removed or out of reach since the page was shown
            return self._refusals.page(request, error, target=None, words=UNKNOWN_CLIENT, status=400)
        except OAuthError as error:
            return self._refusals.page(request, error, target=None, words=None)
        if answer.client.metadata_hash != answer.sealed.metadata_hash:
            return await self._again(answer, CHANGED)
        return await self._act(request, answer)

    async def _read(self, request: Request) -> Answer:
        form = await read_form(request)
        browser = self._cookies.read(request)
        headers = request.headers
        if not same_origin(headers.get("sec-fetch-site"), headers.get("origin"), self._origin):
            raise InvalidRequest(Reason.CSRF)
        sealed = self._page.open(form.get("request"), browser)
        if not csrf_matches(form.get("csrf"), browser.csrf or "", sealed.request_id):
            raise InvalidRequest(Reason.CSRF)
        if not self._page.can_show(sealed.request):
            raise InvalidRequest(Reason.RESOURCE_UNKNOWN)
        client = await self._clients.resolve(sealed.request.client_id, source=caller_address(request))
        if not redirect_uri.matches(client.redirect_uris, sealed.request.redirect_uri):
            raise InvalidRequest(Reason.REDIRECT_URI_MISMATCH)
        return Answer(form=form, sealed=sealed, client=client, browser=browser)

    async def _act(self, request: Request, answer: Answer) -> Response:
        decision, provider = answer.form.get("decision"), answer.form.get("provider")
        if decision == "deny":
            return await self._deny(request, answer)
        if decision == "switch":
            # With prompt=login: a provider that still knows the person would otherwise answer with the same account at once.
            request_anew = dataclasses.replace(answer.sealed.request, prompt=("login",), step_up=None)
            return self._page.render(request_anew, answer.client, answer.browser, None, note=SWITCH)
        if provider is not None:
            return await self._sign_in(request, answer, provider)
        if decision == "allow":
            return await self._allow(request, answer)
        error = InvalidRequest(Reason.PARAMETER_MISSING, "decision")
        return self._refusals.page(request, error, target=None, words=STALE)

    async def _again(self, answer: Answer, note: str) -> Response:
        """Show the page anew, for whoever is signed in now, the client and the rules as they are now."""
        session = await self._sessions.current(answer.browser.session)
        usable = self._sessions.usable_for(session, answer.sealed.request)
        step_up = self._sessions.step_up_for(usable, answer.client, answer.sealed.request)
        request = dataclasses.replace(answer.sealed.request, step_up=step_up)
        return self._page.render(request, answer.client, answer.browser, usable, note=note)

    async def _deny(self, request: Request, answer: Answer) -> Response:
        session = await self._sessions.current(answer.browser.session)
        subject = session.identity.subject if session else None
        sealed = answer.sealed
        await self._approvals.denied(sealed.request_id, answer.client, sealed.request, subject=subject)
        words = Words(
            title="You denied access",
            what="The app got nothing from you.",
            who="You can close this window, or tell the app with the link below.",
        )
        error = AccessDenied(Reason.ACCESS_DENIED)
        return await self._refusals.answer(request, answer.target, error, subject=subject, words=words)

    async def _sign_in(self, request: Request, answer: Answer, provider: str) -> Response:
        step_up = answer.sealed.request.step_up
        # A page that names a person offers no other sign-in, unless it asks for that person's second one (rule A13).
        if (await self._shown(answer) is None) if step_up is not None else answer.sealed.session:
            return await self._again(answer, CHANGED)
        approval = self._approval(request, answer)
        if step_up is not None and step_up.provider != provider:  # another way to sign in is a first sign-in
            first = dataclasses.replace(approval.request, step_up=None)
            approval = dataclasses.replace(approval, request=first)
        try:
            location, login_cookie = await self._approvals.begin_login(approval, provider, answer.browser.login)
        except OAuthError as error:
            words = USED if error.reason is Reason.REQUEST_USED else self._approvals.words(error, approval)
            return self._refusals.page(request, error, target=None, words=words)
        response = RedirectResponse(location, 303)
        self._cookies.set(response, self._cookies.login, login_cookie, max_age=self._approvals.login_life)
        return response

    async def _allow(self, request: Request, answer: Answer) -> Response:
        session = await self._shown(answer)
        if session is None:
            return await self._again(answer, CHANGED)
        approval = self._approval(request, answer)
        try:
            vouched = await self._sessions.vouched(session)  # before anything is issued from a live session (rule B16)
        except TemporarilyUnavailable as error:
            return self._refusals.page(request, error, target=None, words=self._approvals.words(error, approval))
        return await self._issue(request, answer, approval, vouched) if vouched else await self._again(answer, ENDED)

    async def _issue(self, request: Request, answer: Answer, approval: Approval, session: Session) -> Response:
        try:
            return RedirectResponse(await self._approvals.issue_code(approval, session), 303)
        except StepUpNeeded as needed:
            return await self._again(answer, stepping.note(needed.step_up))
        except AccessDenied as error:
            words = self._approvals.words(error, approval)
            return self._refusals.page(request, error, target=answer.target, words=words)
        except InvalidRequest as error:
            return self._refusals.page(request, error, target=None, words=USED)

    async def _shown(self, answer: Answer) -> Session | None:
        """Return the session whose person the page showed, if it is still this browser's and still good for the request (rule A13)."""
        session = await self._sessions.current(answer.browser.session)
        session = self._sessions.usable_for(session, answer.sealed.request)
        return session if session is not None and session.session_hash.hex() == answer.sealed.session else None

    def _approval(self, request: Request, answer: Answer) -> Approval:
        return Approval(
            request_id=answer.sealed.request_id,
            request=answer.sealed.request,
            client=answer.client,
            source=caller_address(request),
            remember=_remember(answer.form),
        )


def _remember(form: Params) -> bool | None:
    """Return what the check mark says: on the short page its absence ends that page, on the long one it says nothing."""
    if form.get("remember") == "yes":
        return True
    return False if form.get("page") == "short" else None
