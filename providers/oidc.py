"""OpenID Connect providers (Core section 3.1): discovery, PKCE and nonce always, the code redeemed and everything verified.

The order in `identify` is the defence: the callback is judged before anything is sent, the ID token before UserInfo is asked.
Every kind here signs people in, refreshes what it knows of them and diagnoses itself; the classes differ in how a session ends.
"""

from __future__ import annotations

from collections.abc import Callable

from providers import authorization, diagnosis, ending, id_token, logout_token, person, refreshing, token_request
from providers import callback as authorization_response
from providers.base import (
    Callback,
    Check,
    Fault,
    LogoutEvent,
    ProviderSettings,
    UpstreamError,
    UpstreamIdentity,
    UpstreamRequest,
    UpstreamTokens,
)
from providers.claims import VerifiedClaims
from providers.discovery import Metadata
from providers.http import UpstreamHttp, deadline
from providers.options import Preset
from providers.registration import Registration
from providers.signed_token import parse


class OpenIdProvider:
    """An OpenID Connect provider, configured by a preset and settings. `now` returns epoch seconds.

    Constructing it makes no request, so that the broker starts while a provider is down. Raises ProviderSettingsError.
    """

    def __init__(self, preset: Preset, settings: ProviderSettings, http: UpstreamHttp, now: Callable[[], int]) -> None:
        self._registration = Registration(preset, settings, http, now)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes asked upstream, for the consent page; those at the end only where the provider offers them."""
        options = self._registration.options
        return tuple(dict.fromkeys((*options.scopes, *options.wanted)))

    @property
    def shares_tokens(self) -> bool:
        """Every session keeps its own tokens."""
        return False

    async def authorization_url(self, request: UpstreamRequest) -> str:
        """Return where to send the browser (Core section 3.1.2.1); raises UpstreamError while there is no metadata."""
        async with deadline(self._registration.settings.timeout):
            metadata = await self._registration.metadata()
        return authorization.authorization_url(self._registration, metadata, request)

    async def identify(self, callback: Callback, request: UpstreamRequest) -> UpstreamIdentity:
        """Return the person, fully verified; raises UpstreamError (security rules B1, B4 to B6, B10, B11)."""
        registration = self._registration
        issuer = registration.settings.issuer
        authorization_response.check_sender(callback, request, issuer)
        async with deadline(registration.settings.timeout):
            metadata = await registration.metadata()
            code = authorization_response.check(callback, request, issuer, require_iss=self._requires_iss(metadata))
            tokens = await registration.redeem(metadata, token_request.redemption(request, code))
            claims = await self._verify(metadata, request, tokens)
            told = await person.ask(registration, metadata, tokens.access_token, claims, id_token.subject(claims))
            return await person.describe(registration, told, claims, tokens)

    async def refresh(self, tokens: UpstreamTokens, known: UpstreamIdentity) -> UpstreamIdentity:
        """Return the person as the provider knows them now (Core sections 12 and 5.3); raises UpstreamError."""
        return await refreshing.refresh(self._registration, tokens, known)

    async def check(self, redirect_uri: str) -> tuple[Check, ...]:
        """Return what a diagnosis without a person finds."""
        return await diagnosis.check(self._registration, redirect_uri)

    def _requires_iss(self, metadata: Metadata) -> bool:
        configured = self._registration.options.require_iss
        return metadata.iss_in_response if configured is None else configured

    async def _verify(self, metadata: Metadata, request: UpstreamRequest, tokens: UpstreamTokens) -> VerifiedClaims:
        """Return the ID token's claims after signature and content were checked (rule B5)."""
        if tokens.id_token is None:
            raise UpstreamError(Fault.PROTOCOL, "id_token_absent")
        registration = self._registration
        signed = await registration.keys.verify(parse(tokens.id_token, metadata.algorithms))
        expected = id_token.Expected(
            issuer=registration.preset.issuer(signed, registration.settings),
            client_id=registration.settings.client_id,
            nonce=request.nonce,
            access_token=tokens.access_token,
            max_age=request.max_age,
        )
        return id_token.check(signed, expected, registration.now())


class RevocableProvider(OpenIdProvider):
    """One that takes tokens back, and whose session nobody else can end."""

    async def revoke(self, tokens: UpstreamTokens) -> bool:
        """Give the tokens back (RFC 7009); raises UpstreamError."""
        return await ending.revoke(self._registration, tokens)


class SessionProvider(OpenIdProvider):
    """One whose session a browser can end, and which takes tokens back."""

    async def logout_url(self, tokens: UpstreamTokens | None, *, return_to: str) -> str | None:
        """Return where to send the browser to end the upstream session; None where there is no such place."""
        return await ending.logout_url(self._registration, tokens, return_to=return_to)

    async def revoke(self, tokens: UpstreamTokens) -> bool:
        """Give the tokens back (RFC 7009); raises UpstreamError."""
        return await ending.revoke(self._registration, tokens)


class NotifyingProvider(OpenIdProvider):
    """One whose session a browser can end, and which tells us by logout tokens when it ends. It takes back no single token."""

    async def logout_url(self, tokens: UpstreamTokens | None, *, return_to: str) -> str | None:
        """Return where to send the browser to end the upstream session; None where there is no such place."""
        return await ending.logout_url(self._registration, tokens, return_to=return_to)

    async def verify_logout_token(self, token: str) -> LogoutEvent:
        """Return what a logout token says (Back-Channel Logout section 2.6, replay excepted); raises UpstreamError."""
        return await _logout_event(self._registration, token)


class FullProvider(OpenIdProvider):
    """One that does all of it: ends a session, takes tokens back, sends logout tokens."""

    async def logout_url(self, tokens: UpstreamTokens | None, *, return_to: str) -> str | None:
        """Return where to send the browser to end the upstream session; None where there is no such place."""
        return await ending.logout_url(self._registration, tokens, return_to=return_to)

    async def revoke(self, tokens: UpstreamTokens) -> bool:
        """Give the tokens back (RFC 7009); raises UpstreamError."""
        return await ending.revoke(self._registration, tokens)

    async def verify_logout_token(self, token: str) -> LogoutEvent:
        """Return what a logout token says (Back-Channel Logout section 2.6, replay excepted); raises UpstreamError."""
        return await _logout_event(self._registration, token)


async def _logout_event(registration: Registration, token: str) -> LogoutEvent:
    settings = registration.settings
    async with deadline(settings.timeout):
        metadata = await registration.metadata()
        signed = await registration.keys.verify(parse(token, metadata.algorithms, kind=logout_token.KIND))
    expected = logout_token.Expected(issuer=settings.issuer, client_id=settings.client_id)
    return logout_token.check(signed, expected, registration.now())
