"""The token and UserInfo endpoints of the development identity provider (OpenID Connect Core sections 3.1.3, 5.3 and 12).

Codes are used once, refresh tokens rotate; either of them used again ends everything that came of that code.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker import web
from broker.clock import Entropy
from broker.demo.idp_memory import Chain, RelyingParty, State
from broker.demo.idp_tokens import Mint, about
from broker.demo.people import People, Person
from broker.oauth import InvalidClient, InvalidGrant, InvalidRequest, InvalidToken, Reason, UnsupportedGrantType

ACCESS_TOKEN_TTL, REFRESH_TOKEN_TTL = 300, 8 * 3600  # seconds


class Token:
    """Routes: POST /token, GET and POST /userinfo."""

    def __init__(
        self, *, clients: Mapping[str, RelyingParty], people: People, state: State, mint: Mint, entropy: Entropy
    ) -> None:
        """Keep the collaborators."""
        self._clients = clients
        self._people = people
        self._state = state
        self._mint = mint
        self._entropy = entropy

    def routes(self) -> list[Route]:
        """Return the routes, without the issuer's path."""
        return [
            Route("/token", self.token, methods=["POST"]),
            Route("/userinfo", self.userinfo, methods=["GET", "POST"]),
        ]

    async def token(self, request: Request) -> Response:
        """Answer a code or a refresh token with new tokens."""
        form = await web.read_form(request)
        client = self._authenticate(request, form)
        match form.require("grant_type"):
            case "authorization_code":
                return self._issue(self._redeem(form, client), first=True)
            case "refresh_token":
                return self._issue(self._rotate(form, client), first=False)
            case _:
                raise UnsupportedGrantType(Reason.GRANT_TYPE_UNKNOWN)

    async def userinfo(self, request: Request) -> Response:
        """Answer with the claims about the person whose access token this is."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        chain = self._state.access_tokens.get(token) if scheme.lower() == "bearer" else None
        person = self._person(chain) if chain is not None and not chain.revoked else None
        if chain is None or person is None:
            refusal = web.error_response(InvalidToken(Reason.CREDENTIALS_WRONG))
            refusal.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
            return refusal
        return web.json_response(about(person, chain.request.scope))

    def _authenticate(self, request: Request, form: web.Params) -> RelyingParty:
        """Return the client: HTTP Basic or the form, never both (RFC 6749 section 2.3)."""
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if web.tried_basic(request):
            if secret is not None:
                raise InvalidRequest(Reason.CREDENTIALS_AMBIGUOUS)
            named, secret = _basic(request.headers["authorization"])
            if client_id not in (None, named):
                raise InvalidRequest(Reason.CREDENTIALS_AMBIGUOUS)
            client_id = named
        client = self._clients.get(client_id or "")
        known = client.client_secret if client else ""
        if not hmac.compare_digest(known.encode(), (secret or "").encode()) or client is None:
            raise InvalidClient(Reason.CREDENTIALS_WRONG)
        return client

    def _redeem(self, form: web.Params, client: RelyingParty) -> Chain:
        chain = self._state.codes.get(form.require("code"))
        if chain is None or chain.request.client != client:
            raise InvalidGrant(Reason.CODE_UNKNOWN)
        if chain.redeemed:
            chain.revoked = True
            raise InvalidGrant(Reason.CODE_REPLAYED)
        verifier = form.get("code_verifier") or ""
        digest = hashlib.sha256(verifier.encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != chain.request.code_challenge:
            raise InvalidGrant(Reason.VERIFIER_MISMATCH)
        if form.get("redirect_uri") != chain.request.redirect_uri:
            raise InvalidGrant(Reason.REDIRECT_URI_MISMATCH)
        chain.redeemed = True
        return chain

    def _rotate(self, form: web.Params, client: RelyingParty) -> Chain:
        token = form.require("refresh_token")
        chain = self._state.refresh_tokens.get(token)
        if chain is None or chain.request.client != client:
            raise InvalidGrant(Reason.REFRESH_UNKNOWN)
        if chain.newest != token:
            chain.revoked = True
            raise InvalidGrant(Reason.REFRESH_REUSED)
        return chain

    def _issue(self, chain: Chain, *, first: bool) -> Response:
        person = self._person(chain)
        if chain.revoked or person is None:
            raise InvalidGrant(Reason.GRANT_REVOKED)
        access_token, refresh_token = self._entropy.token(32), self._entropy.token(32)
        self._state.access_tokens.put(access_token, chain, ttl=ACCESS_TOKEN_TTL)
        self._state.refresh_tokens.put(refresh_token, chain, ttl=REFRESH_TOKEN_TTL)
        chain.newest = refresh_token
        id_token = self._mint.id_token(
            person,
            chain.login,
            client_id=chain.request.client.client_id,
            scope=chain.request.scope,
            access_token=access_token,
            nonce=chain.request.nonce if first else None,  # OpenID Connect Core section 12.2
        )
        return web.json_response(
            {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": ACCESS_TOKEN_TTL,
                "refresh_token": refresh_token,
                "id_token": id_token,
                "scope": " ".join(chain.request.scope),
            }
        )

    def _person(self, chain: Chain) -> Person | None:
        """Return the person as they are now, while their login lives and nobody disabled them."""
        person = self._people.find(chain.login.person_id)
        if person is None or person.disabled or not self._state.signed_in(chain.login.sid):
            return None
        return person


def _basic(header: str) -> tuple[str, str]:
    """Return id and secret of HTTP Basic, form-decoded (RFC 6749 section 2.3.1); raises InvalidClient."""
    try:
        text = base64.b64decode(header[6:].strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidClient(Reason.CREDENTIALS_MALFORMED) from None
    client_id, colon, secret = text.partition(":")
    if not colon:
        raise InvalidClient(Reason.CREDENTIALS_MALFORMED)
    return unquote_plus(client_id), unquote_plus(secret)
