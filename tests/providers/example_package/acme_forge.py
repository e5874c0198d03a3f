"""Type `forge`: Acme's code forge, OAuth without OpenID Connect. Who signed in is what its API says to this very code's token."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

from providers import base, callback, claims, client_auth, pkce, token_request
from providers.base import Fault, Groups, UpstreamError
from providers.http import UpstreamHttp, deadline, document


class Forge:
    scopes = ("read_user", "read_teams")
    shares_tokens = False  # a sign-in's token lives on beside the next one's

    def __init__(self, settings: base.ProviderSettings, http: UpstreamHttp, now: Callable[[], int]) -> None:
        self._settings, self._http, self._now = settings, http, now

    async def authorization_url(self, request: base.UpstreamRequest) -> str:
        wanted = {"response_type": "code", "client_id": self._settings.client_id, "redirect_uri": request.redirect_uri}
        proof = {"code_challenge": pkce.challenge(request.code_verifier), "code_challenge_method": "S256"}
        query = urlencode({**wanted, **proof, "scope": " ".join(self.scopes), "state": request.state})
        return f"{self._settings.issuer}/authorize?{query}"

    async def identify(self, response: base.Callback, request: base.UpstreamRequest) -> base.UpstreamIdentity:
        code = callback.check(response, request, self._settings.issuer)
        if request.max_age is not None or request.acr_values:  # nothing that the forge answers could prove either
            raise UpstreamError(Fault.PROTOCOL, "step_up_unsupported")
        url, form = f"{self._settings.issuer}/token", token_request.redemption(request, code)
        async with deadline(self._settings.timeout):
            basic = client_auth.basic(self._settings)
            answer = await self._http.post_form(url, form, operation="token", authorization=basic)
            return await self._person(token_request.process_token_response(answer))

    async def refresh(self, tokens: base.UpstreamTokens, known: base.UpstreamIdentity) -> base.UpstreamIdentity:
        async with deadline(self._settings.timeout):
            found = await self._person(tokens)  # the token has no end of its own: while it serves, the person is there
        if found.subject != known.subject:
            raise UpstreamError(Fault.PERMANENT, "subject_changed")
        return replace(found, auth_time=known.auth_time)

    async def _person(self, tokens: base.UpstreamTokens) -> base.UpstreamIdentity:
        issuer, bearer = self._settings.issuer, f"Bearer {tokens.access_token}"
        answer = await self._http.get_json(f"{issuer}/api/user", operation="user", authorization=bearer)
        if answer.status == 401:
            raise UpstreamError(Fault.PERMANENT, "token_revoked")
        user = document(answer, "user")
        subject, teams, name = user.get("id"), claims.words(user.get("teams")), claims.printable(user.get("name"))
        if not claims.is_word(subject):
            raise UpstreamError(Fault.PROTOCOL, "user_malformed")
        groups = Groups.unknown("claim_malformed") if teams is None else Groups.known(teams)
        person = base.UpstreamIdentity(issuer=issuer, subject=subject, auth_time=self._now(), groups=groups)
        return replace(person, name=name, tokens=tokens)


TYPE = base.ProviderType(name="forge", build=Forge, gives=frozenset({"user", "group"}))
