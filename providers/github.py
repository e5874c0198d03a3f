"""Type `github`: OAuth without ID tokens. State, PKCE, `iss` and `GET /user` after every exchange are the whole assurance.

github.com, a GHE.com subdomain or an Enterprise Server. GitHub cannot be asked how or when somebody signed in, so it meets no `acr`,
`amr` or `max_age`. It ends a person's eleventh-newest token of an app: all their sessions share the newest one.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlencode

from providers import callback as authorization_response
from providers import github_check, github_token
from providers.base import (
    Callback,
    Check,
    Fault,
    ProviderSettings,
    ProviderType,
    SpeaksFor,
    UpstreamError,
    UpstreamIdentity,
    UpstreamRequest,
    UpstreamTokens,
)
from providers.github_api import GitHubApi, is_throttled, reads_organizations
from providers.github_person import Listing, Memberships, read_email, read_memberships, read_user
from providers.github_settings import OPTIONS, faults, issuer_from, read_options
from providers.http import Budget, UpstreamHttp, deadline
from providers.pkce import challenge

_GONE = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)  # given back, or dead before
_NOT_ALLOWED = {  # why an organisation that must be there was not listed -> what that means
    None: (Fault.DENIED, "organization_not_allowed"),
    "sso_partial_results": (Fault.INTERACTION, "organization_hidden_by_sso"),
    "sso_required": (Fault.INTERACTION, "organization_hidden_by_sso"),
    "forbidden": (Fault.OPERATOR, "organization_unreadable"),
    "scope_missing": (Fault.OPERATOR, "organization_unreadable"),
    "malformed": (Fault.PROTOCOL, "organization_unreadable"),
    "paging_elsewhere": (Fault.PROTOCOL, "organization_unreadable"),
    "too_many_pages": (Fault.PROTOCOL, "organization_unreadable"),
}


class GitHubProvider:
    """GitHub, configured. `now` returns epoch seconds. Raises ProviderSettingsError; makes no request when constructed."""

    def __init__(self, settings: ProviderSettings, http: UpstreamHttp, now: Callable[[], int]) -> None:
        self._options = read_options(settings)
        self._settings = settings
        self._http = http
        self._api = GitHubApi(http, self._options.api_url)
        self._now = now

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes asked upstream, for the consent page; a GitHub App has permissions instead and ignores them."""
        return self._options.scopes

    @property
    def shares_tokens(self) -> bool:
        """GitHub ends the oldest of more than ten tokens, so that all sessions of a person use the newest."""
        return True

    async def authorization_url(self, request: UpstreamRequest) -> str:
        """Return where to send the browser; another sign-in can be asked for only as a choice of account."""
        again = {"login", "select_account"} & set(request.prompt)
        wanted = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": request.redirect_uri,
            "scope": " ".join(self.scopes),
            "state": request.state,
            "code_challenge": challenge(request.code_verifier),
            "code_challenge_method": "S256",
            "login": request.login_hint,
            "prompt": "select_account" if again else None,
        }
        query = urlencode({name: value for name, value in wanted.items() if value})
        return f"{self._options.authorization_endpoint}?{query}"

    async def identify(self, callback: Callback, request: UpstreamRequest) -> UpstreamIdentity:
        """Return the person, read from the API with the token of this very code; raises UpstreamError (rules B1, B4, B10)."""
        require_iss = self._options.require_iss
        code = authorization_response.check(callback, request, self._options.issuer, require_iss=require_iss)
        if request.max_age is not None or request.acr_values:  # nothing in an answer could prove it
            raise UpstreamError(Fault.PROTOCOL, "step_up_unsupported")
        async with deadline(self._settings.timeout):
            tokens = await self._exchange(github_token.code_fields(self._settings, request, code))
            return await self._person(tokens)

    async def refresh(self, tokens: UpstreamTokens, known: UpstreamIdentity) -> UpstreamIdentity:
        """Return the person as GitHub knows them now; raises UpstreamError, PERMANENT when the token is revoked.

        The access token is asked first. Only when it is dead is the refresh token spent, which kills both old tokens: the fewer
        rotations, the fewer can be lost.
        """
        budget = Budget(self._settings.timeout)
        try:
            async with deadline(budget.left):
                return _same(await self._person(tokens), known)
        except UpstreamError as failure:
            if failure.reason != "token_revoked" or tokens.refresh_token is None:
                raise _without_person(failure) from None
        renewed = await self._renew(tokens.refresh_token, within=budget.left)
        try:
            async with deadline(budget.left):
                return _same(await self._person(renewed), known)
        except UpstreamError as failure:
            raise _without_person(failure, renewed) from None

    async def revoke(self, tokens: UpstreamTokens) -> bool:
        """Give this one access token back, never the whole authorization of the app; raises UpstreamError."""
        async with deadline(self._settings.timeout):
            response = await self._api.revoke(self._settings.client_id, self._app(), tokens.access_token)
        if response.status in _GONE:
            return True
        if is_throttled(response) or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise UpstreamError(Fault.TRANSIENT, "revocation_unavailable")
        raise UpstreamError(Fault.OPERATOR, "revocation_refused")

    async def check(self, redirect_uri: str) -> tuple[Check, ...]:
        """Return what is wrong with the set-up, as far as it shows without a person."""
        parts = github_check.Parts(
            settings=self._settings, options=self._options, http=self._http, api=self._api, authorization=self._app()
        )
        return await github_check.check(parts, redirect_uri)

    async def _exchange(self, fields: dict[str, str]) -> UpstreamTokens:
        response = await self._http.post_form(self._options.token_endpoint, fields, operation="token")
        return github_token.process(response)

    async def _renew(self, refresh_token: str, *, within: float) -> UpstreamTokens:
        response = await self._http.spend_form(
            self._options.token_endpoint,
            github_token.refresh_fields(self._settings, refresh_token),
            operation="refresh",
            authorization=None,
            within=within,
        )
        return github_token.process(response)

    async def _person(self, tokens: UpstreamTokens) -> UpstreamIdentity:
        """Return who holds these tokens now: a browser may have changed accounts since it was sent there."""
        token = tokens.access_token
        answer = await self._api.user(token)
        user = read_user(answer.json_object() or {})
        addresses = await self._api.everything("/user/emails", token, "emails")
        memberships = await self._memberships(token, readable=reads_organizations(answer))
        self._check_allowed(memberships)
        email = read_email(user, addresses.entries, vouched=self._options.vouches_for_email)
        known = memberships.organizations
        return UpstreamIdentity(
            issuer=self._options.issuer,
            subject=user.subject,
            auth_time=self._now(),
            groups=memberships.groups,
            email=email.address if email else None,
            email_verified=email.verified if email else False,
            name=user.name,
            attributes={} if known is None else {"organization": known},
            tokens=tokens,
        )

    async def _memberships(self, token: str, *, readable: bool) -> Memberships:
        if not readable:
            hidden = Listing(entries=(), gap="scope_missing")
            return read_memberships(hidden, hidden)
        organizations = await self._api.everything("/user/orgs", token, "organizations")
        return read_memberships(organizations, await self._api.everything("/user/teams", token, "teams"))

    def _check_allowed(self, memberships: Memberships) -> None:
        """Refuse whoever is in none of ALLOWED_ORGS; one that was listed is enough, however many were not."""
        allowed = self._options.allowed_orgs
        if allowed is None or allowed & memberships.seen:
            return
        fault, reason = _NOT_ALLOWED.get(memberships.gap, (Fault.TRANSIENT, "organization_unknown"))
        raise UpstreamError(fault, reason)

    def _app(self) -> str:
        """Return the app's own credentials for its token API (HTTP Basic, RFC 7617)."""
        pair = f"{self._settings.client_id}:{self._settings.client_secret}"
        return "Basic " + base64.b64encode(pair.encode()).decode()


def _same(found: UpstreamIdentity, known: UpstreamIdentity) -> UpstreamIdentity:
    """Return the person if it is still the same one; when they signed in is as it was."""
    if (found.issuer, found.subject) != (known.issuer, known.subject):
        raise UpstreamError(Fault.PERMANENT, "subject_changed")
    return replace(found, auth_time=known.auth_time)


def _without_person(failure: UpstreamError, tokens: UpstreamTokens | None = None) -> UpstreamError:
    """Return the failure as it counts when nobody sits at the browser: a rule says no for good. `tokens` are what to keep."""
    fault = Fault.PERMANENT if failure.fault is Fault.DENIED else failure.fault
    return UpstreamError(fault, failure.reason, tokens=tokens)


TYPE = ProviderType(
    name="github",
    build=GitHubProvider,
    options=OPTIONS,
    env_prefix="GITHUB",
    no_short=frozenset({"api_url"}),  # GitHub Actions sets GITHUB_API_URL on every runner
    issuer_from=issuer_from,
    gives=frozenset({"user", "domain", "group", "organization"}),
    speaks_for=SpeaksFor.LISTED,
    open_to_anyone=True,
    faults=faults,
)
