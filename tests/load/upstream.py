"""A stand-in identity provider that costs next to nothing, as `python -m tests.load.upstream PORT` (OpenID Connect Core section 3.1).

There is no sign-in: a code says itself which nonce and which person it is for, so a login costs the measured server exactly one
upstream call, and the generator none. The ID token holds e-mail and groups, so nobody asks UserInfo.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

CLIENT_ID = "broker"
FASTMCP_CLIENT_ID = "fastmcp"  # alone gets refresh tokens, which it cannot do without
CLIENT_SECRET = "a-client-secret-of-the-benchmark-at-the-stand-in"
_FROM_FASTMCP = b"Basic " + base64.b64encode(f"{FASTMCP_CLIENT_ID}:{CLIENT_SECRET}".encode())


def code_for(nonce: str, person: int) -> str:
    """Return the code with which this provider vouches for a person."""
    return f"{nonce}.{person}"


class Upstream:
    """The application."""

    def __init__(self, issuer: str) -> None:
        """Make the key and the documents."""
        self._issuer = issuer
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._header = _base64(json.dumps({"alg": "ES256", "kid": "stand-in", "typ": "JWT"}).encode())
        point = self._key.public_key().public_numbers()
        jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": _base64(point.x.to_bytes(32, "big")),
            "y": _base64(point.y.to_bytes(32, "big")),
            "kid": "stand-in",
            "alg": "ES256",
            "use": "sig",
        }
        self._documents = {"/jwks": {"keys": [jwk]}, "/.well-known/openid-configuration": _metadata(issuer)}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["method"] == "GET":
            await _answer(send, self._documents[scope["path"]])
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message.get("more_body", False)
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        vouched = form.get("code") or form["refresh_token"]
        tokens = self._tokens(vouched)
        if (b"authorization", _FROM_FASTMCP) in scope["headers"]:
            tokens["refresh_token"] = vouched
        await _answer(send, tokens)

    def _tokens(self, code: str) -> dict[str, Any]:
        nonce, _, person = code.rpartition(".")
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "sub": f"person-{person}",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": nonce,
            "name": f"Person {person}",
            "email": f"person-{person}@example.com",
            "email_verified": True,
            "groups": ["engineering", "everybody"],
        }
        signing_input = f"{self._header}.{_base64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256())))
        signature = _base64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        token = f"{signing_input}.{signature}"
        return {"access_token": "upstream", "token_type": "Bearer", "expires_in": 300, "id_token": token}


def _metadata(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    }


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def _answer(send: Send, document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        Upstream(f"http://127.0.0.1:{sys.argv[1]}"),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
