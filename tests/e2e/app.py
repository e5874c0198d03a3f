"""An OAuth client written down to the bare requests, so that a test can say each of them (RFC 6749, 7636, 8707)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import urlencode

import httpx2
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.e2e.witness import Witness

REDIRECT_URI = "http://127.0.0.1:8765/callback"  # nothing listens there; the driver stops before it


class App:
    """A public client of one broker, asking for one MCP server."""

    def __init__(
        self, witness: Witness, issuer: str, *, client_id: str, resource: str, redirect_uri: str = REDIRECT_URI
    ) -> None:
        """Read the broker's metadata."""
        self._http = httpx2.Client(timeout=30, trust_env=False)
        self._witness = witness
        self.issuer = issuer
        self.client_id, self.resource, self.redirect_uri = client_id, resource, redirect_uri
        self.metadata: dict[str, Any] = self._http.get(issuer + "/.well-known/oauth-authorization-server").json()
        self._state = self.verifier = ""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def authorization_url(self, **more: str) -> str:
        """Begin anew: a state and a verifier of this attempt."""
        self._state, self.verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        self._witness.keep("code_verifier of the app", self.verifier)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        params = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self._state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": self.resource,
            **more,
        }
        return f"{self.metadata['authorization_endpoint']}?{urlencode(params)}"

    def redeem(self, answer: dict[str, str]) -> dict[str, Any]:
        """Check an authorization response as a client must, and exchange its code."""
        assert answer.get("error") is None, answer
        self.check_origin(answer)
        status, body = self.token(
            grant_type="authorization_code",
            code=answer["code"],
            redirect_uri=self.redirect_uri,
            code_verifier=self.verifier,
            resource=self.resource,
        )
        assert status == 200, body
        return body

    def check_origin(self, answer: dict[str, str]) -> None:
        """RFC 6749 section 10.12 and RFC 9207 section 2.4."""
        assert answer["state"] == self._state
        assert answer["iss"] == self.metadata["issuer"] == self.issuer

    def refresh(self, refresh_token: str) -> tuple[int, dict[str, Any]]:
        """Ask for new tokens."""
        return self.token(grant_type="refresh_token", refresh_token=refresh_token, resource=self.resource)

    def token(self, **form: str) -> tuple[int, dict[str, Any]]:
        """One request to the token endpoint."""
        answer = self._http.post(self.metadata["token_endpoint"], data={"client_id": self.client_id, **form})
        self._witness.see_answer(self.metadata["token_endpoint"], answer.status_code)
        assert answer.headers["cache-control"] == "no-store"
        body: dict[str, Any] = answer.json()
        self._witness.keep_all("the token endpoint", {k: v for k, v in body.items() if isinstance(v, str)})
        return answer.status_code, body

    def claims(self, access_token: str) -> dict[str, Any]:
        """The claims of an access token, verified with the published keys (RFC 9068 section 4)."""
        keys = KeySet.import_key_set(self._http.get(self.metadata["jwks_uri"]).json())
        token = jwt.decode(access_token, keys, algorithms=["RS256"])
        assert token.header["typ"] == "at+jwt"
        jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.issuer}, aud={"essential": True, "value": self.resource}
        ).validate(token.claims)
        return token.claims
