"""An OpenID Connect provider (Core section 3.1): discovery, PKCE and nonce always, the code redeemed and everything verified.

The order in `identify` is the defence: the callback is judged before anything is sent, the ID token before UserInfo is asked.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable
from urllib.parse import urlencode

from providers import callback as authorization_response
from providers import claims as read
from providers import discovery, id_token, userinfo
from providers.base import (
    Callback,
    Fault,
    ProviderSettings,
    UpstreamError,
    UpstreamIdentity,
    UpstreamRequest,
    UpstreamTokens,
)
from providers.claims import VerifiedClaims
from providers.discovery import Metadata
from providers.http import UpstreamHttp, deadline, document
from providers.jwks import KeySource
from providers.kept import Kept
from providers.options import Preset, read_options
from providers.signed_token import parse
from providers.token_request import build_token_request, process_token_response


class OpenIdProvider:
    """An OpenID Connect provider, configured by a preset and settings. `now` returns epoch seconds.

    Constructing it makes no request, so that the broker starts while a provider is down. Raises ProviderSettingsError.
    """

    def __init__(self, preset: Preset, settings: ProviderSettings, http: UpstreamHttp, now: Callable[[], int]) -> None:
        self._options = read_options(preset, settings)
        self._settings = settings
        self._http = http
        self._now = now
        self._metadata: Kept[Metadata] = Kept(functools.partial(discovery.fetch, http, settings), now)
        self._keys = KeySource(http, self._jwks_uri, now)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes asked upstream, for the consent page."""
        return self._options.scopes

    async def authorization_url(self, request: UpstreamRequest) -> str:
        """Return where to send the browser (Core section 3.1.2.1); raises UpstreamError while there is no metadata."""
        async with deadline(self._settings.timeout):
            endpoint = (await self._metadata.get()).authorization_endpoint
        wanted = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": request.redirect_uri,
            "scope": " ".join(self.scopes),
            "state": request.state,
            "nonce": request.nonce,
            "code_challenge": _challenge(request.code_verifier),
            "code_challenge_method": "S256",
            "login_hint": request.login_hint,
            "prompt": " ".join(request.prompt),
            "max_age": None if request.max_age is None else str(request.max_age),
            "acr_values": " ".join(request.acr_values),
        }
        query = urlencode({name: value for name, value in wanted.items() if value})
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"  # its own query stays, RFC 6749 section 3.1

    async def identify(self, callback: Callback, request: UpstreamRequest) -> UpstreamIdentity:
        """Return the person, fully verified; raises UpstreamError (security rules B1, B4 to B6, B10, B11)."""
        code = authorization_response.check(callback, request, self._settings.issuer)
        async with deadline(self._settings.timeout):
            metadata = await self._metadata.get()
            authorization_response.check_issuer_present(callback, required=self._requires_iss(metadata))
            tokens = await self._redeem(metadata, request, code)
            claims = await self._verify(metadata, request, tokens)
            return await self._identity(metadata, tokens, claims)

    def _requires_iss(self, metadata: Metadata) -> bool:
        return metadata.iss_in_response if self._options.require_iss is None else self._options.require_iss

    async def _redeem(self, metadata: Metadata, request: UpstreamRequest, code: str) -> UpstreamTokens:
        redemption = build_token_request(self._settings, metadata, request, code)
        response = await self._http.post_form(
            redemption.url, redemption.fields, operation="token", authorization=redemption.authorization
        )
        return process_token_response(response)

    async def _verify(self, metadata: Metadata, request: UpstreamRequest, tokens: UpstreamTokens) -> VerifiedClaims:
        """Return the ID token's claims after signature and content were checked (rule B5)."""
        if tokens.id_token is None:
            raise UpstreamError(Fault.PROTOCOL, "id_token_absent")
        signed = await self._keys.verify(parse(tokens.id_token, metadata.algorithms))
        expected = id_token.Expected(
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
            nonce=request.nonce,
            access_token=tokens.access_token,
            max_age=request.max_age,
        )
        return id_token.check(signed, expected, self._now())

    async def _identity(self, metadata: Metadata, tokens: UpstreamTokens, claims: VerifiedClaims) -> UpstreamIdentity:
        sources, absent = [claims], "claim_absent"
        endpoint = self._userinfo_endpoint(metadata, claims)
        if endpoint is not None:
            told = await self._ask_userinfo(endpoint, tokens, claims)
            if told is None:
                absent = "userinfo_refused"
            else:
                sources.append(told)
        email = read.email(sources)
        roles = read.roles(sources, self._options.roles)
        return UpstreamIdentity(
            issuer=self._settings.issuer,
            subject=id_token.subject(claims),
            auth_time=id_token.auth_time(claims),
            auth_time_stated=bool(claims.values.get("auth_time")),
            groups=read.groups(sources, self._options.groups, absent=absent),
            acr=read.acr(claims),
            amr=read.amr(claims),
            email=email.address if email else None,
            email_verified=email.verified if email else False,
            name=read.display_name(sources),
            attributes={} if roles is None else {"role": roles},
            sid=read.sid(claims),
            tokens=tokens,
        )

    def _userinfo_endpoint(self, metadata: Metadata, claims: VerifiedClaims) -> str | None:
        """Return where to ask for more, None when there is no need or no such place."""
        if not userinfo.is_wanted(self._options.userinfo, claims, self._options.groups, self.scopes):
            return None
        if metadata.userinfo_endpoint is None and self._options.userinfo == "always":
            raise UpstreamError(Fault.OPERATOR, "userinfo_absent")
        return metadata.userinfo_endpoint

    async def _ask_userinfo(
        self, endpoint: str, tokens: UpstreamTokens, claims: VerifiedClaims
    ) -> VerifiedClaims | None:
        """Return what UserInfo says of the ID token's person; None when it is closed to us and need not be open."""
        response = await self._http.get_json(
            endpoint, operation="userinfo", authorization=f"Bearer {tokens.access_token}", accept=userinfo.ACCEPT
        )
        if userinfo.is_refused(response):
            if self._options.userinfo == "always":
                raise UpstreamError(Fault.OPERATOR, "userinfo_refused")
            return None
        if userinfo.is_signed(response):
            signed = await self._keys.verify(userinfo.parse_signed(response))
            values = userinfo.check_signed(signed, self._settings.issuer, self._settings.client_id, self._now())
        else:
            values = document(response, "userinfo")
        return userinfo.check_subject(values, claims)

    async def _jwks_uri(self) -> str:
        return (await self._metadata.get()).jwks_uri


def _challenge(verifier: str) -> str:
    """Return the S256 challenge (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
