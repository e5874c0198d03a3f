"""Redeeming an authorization code (RFC 6749 sections 4.1.2 and 4.1.3, OAuth 2.1 section 4.1.3). Pure; rules E1, E2, E4, E5.

The binding is proven before the code's state is looked at: whoever cannot prove possession learns nothing and changes nothing.
"""

from __future__ import annotations

from broker.model import AuthorizationCode, Client
from broker.oauth import InvalidGrant, Reason
from broker.protocol import pkce

MAX_WRONG_ATTEMPTS = 5
RETRY_WINDOW = 5  # seconds after its redemption in which a second one is the client's own retry
WRONG_VERIFIER = frozenset({Reason.VERIFIER_MALFORMED, Reason.VERIFIER_MISMATCH})


def check_redeemable(
    code: AuthorizationCode, client: Client, verifier: str, redirect_uri: str | None, now: int
) -> None:
    """Refuse a code that this client cannot redeem now with this verifier; raises InvalidGrant.

    The client is authenticated already. `CODE_REPLAYED` says that possession of a redeemed code is proven and that the grant
    must end; `CODE_RETRIED` says the same within `RETRY_WINDOW`, where nothing must end. A reason in `WRONG_VERIFIER` counts
    against a live code. `redirect_uri` is optional (OAuth 2.1 section 4.1.3) and compared exactly when sent. `now` in seconds.
    """
    if code.redeemed_at is None:
        if now >= code.expires_at:
            raise InvalidGrant(Reason.CODE_EXPIRED)
        if code.wrong_attempts >= MAX_WRONG_ATTEMPTS:
            raise InvalidGrant(Reason.CODE_ATTEMPTS)
    if code.client_id != client.client_id:
        raise InvalidGrant(Reason.WRONG_CLIENT)
    if redirect_uri is not None and redirect_uri != code.redirect_uri:  # exact comparison, RFC 9700 section 4.1
        raise InvalidGrant(Reason.REDIRECT_URI_MISMATCH)
    pkce.verify(verifier, code.code_challenge)
    if code.redeemed_at is not None:
        retried = now - code.redeemed_at <= RETRY_WINDOW
        raise InvalidGrant(Reason.CODE_RETRIED if retried else Reason.CODE_REPLAYED)
