"""The OAuth vocabulary: error classes (RFC 6749 sections 4.1.2.1 and 5.2, RFC 7591 section 3.2.2, RFC 8707 section 2). Leaf.

An error carries three things: the code for the protocol, a description from this file for the other side (never anything the
caller said), and a `Reason` for our own log and audit.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

GRANT_AUTHORIZATION_CODE = "authorization_code"
GRANT_REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a grant type, not a secret
ASSERTION_TYPE_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
OFFLINE_ACCESS = "offline_access"
AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
GRANT_TYPES = (GRANT_AUTHORIZATION_CODE, GRANT_REFRESH_TOKEN)


class Reason(StrEnum):
    """Why something was refused: for the log, the audit and the tests; never sent to the other side."""

    ACCESS_DENIED = "access_denied"
    ASSERTION_INVALID = "assertion_invalid"
    ASSERTION_REPLAYED = "assertion_replayed"
    BODY_MALFORMED = "body_malformed"
    BODY_TOO_LARGE = "body_too_large"
    CHALLENGE_MALFORMED = "challenge_malformed"
    CHALLENGE_METHOD = "challenge_method"
    CHALLENGE_MISSING = "challenge_missing"
    CLIENT_BLOCKED = "client_blocked"
    CLIENT_DOCUMENT_INVALID = "client_document_invalid"
    CLIENT_DOCUMENT_UNREACHABLE = "client_document_unreachable"
    CLIENT_UNKNOWN = "client_unknown"
    CODE_ATTEMPTS = "code_attempts"
    CODE_EXPIRED = "code_expired"
    CODE_REPLAYED = "code_replayed"
    CODE_RETRIED = "code_retried"
    CODE_UNKNOWN = "code_unknown"
    CREDENTIALS_AMBIGUOUS = "credentials_ambiguous"
    CREDENTIALS_KIND = "credentials_kind"
    CREDENTIALS_MALFORMED = "credentials_malformed"
    CREDENTIALS_MISSING = "credentials_missing"
    CREDENTIALS_WRONG = "credentials_wrong"
    CSRF = "csrf"
    FEATURE_OFF = "feature_off"
    GRANT_EXPIRED = "grant_expired"
    GRANT_REVOKED = "grant_revoked"
    GRANT_TYPE_NOT_ALLOWED = "grant_type_not_allowed"
    GRANT_TYPE_UNKNOWN = "grant_type_unknown"
    INTERACTION_REQUIRED = "interaction_required"
    LOGIN_COOKIE = "login_cookie"
    LOGIN_UNKNOWN = "login_unknown"
    LOGOUT_TOKEN = "logout_token"  # noqa: S105 - a reason
    LOGOUT_WON = "logout_won"
    METADATA_INVALID = "metadata_invalid"
    OUTAGE = "outage"
    PARAMETER_MALFORMED = "parameter_malformed"
    PARAMETER_MISSING = "parameter_missing"
    PARAMETER_REPEATED = "parameter_repeated"
    PARAMETER_UNSUPPORTED = "parameter_unsupported"
    POLICY = "policy"
    PROVIDER_UNKNOWN = "provider_unknown"
    RATE_LIMITED = "rate_limited"
    REDIRECT_URI_MISMATCH = "redirect_uri_mismatch"
    REDIRECT_URI_REFUSED = "redirect_uri_refused"
    REFRESH_FUTURE = "refresh_future"
    REFRESH_RACED = "refresh_raced"
    REFRESH_REUSED = "refresh_reused"
    REFRESH_UNKNOWN = "refresh_unknown"
    REQUEST_FORGED = "request_forged"
    REQUEST_USED = "request_used"
    RESOURCE_MISMATCH = "resource_mismatch"
    RESOURCE_UNKNOWN = "resource_unknown"
    RESOURCE_AMBIGUOUS = "resource_ambiguous"
    SCOPE_EXCEEDED = "scope_exceeded"
    SCOPE_NOT_ALLOWED = "scope_not_allowed"
    SIGN_IN_BARRED = "sign_in_barred"
    SOURCE_CHANGED = "source_changed"
    STEP_UP = "step_up"
    TOKEN_BOUND = "token_bound"  # noqa: S105 - a reason, as all of these
    TOKEN_ISSUER = "token_issuer"  # noqa: S105
    TOKEN_KIND = "token_kind"  # noqa: S105
    TOKEN_SIGNATURE = "token_signature"  # noqa: S105
    TOKEN_TIME = "token_time"  # noqa: S105
    UPSTREAM_DENIED = "upstream_denied"
    UPSTREAM_ENDED = "upstream_ended"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_MISCONFIGURED = "upstream_misconfigured"
    VERIFIER_MALFORMED = "verifier_malformed"
    VERIFIER_MISMATCH = "verifier_mismatch"
    WRONG_CLIENT = "wrong_client"


class OAuthError(Exception):
    """A refusal of the protocol.

    Parameters: `reason` for us; `detail` for our log only (no secret, no raw input); `retry_after` in seconds, for 429 and 503.
    """

    code: ClassVar[str] = "server_error"
    status: ClassVar[int] = 400
    description: ClassVar[str] = "The request failed."

    def __init__(self, reason: Reason, detail: str = "", *, retry_after: int | None = None) -> None:
        """Keep the reason; the wire sees only the class's code and description."""
        super().__init__(f"{self.code}: {reason.value}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after


class InvalidRequest(OAuthError):
    """RFC 6749 section 5.2."""

    code, status, description = (
        "invalid_request",
        400,
        "The request is missing a parameter, repeats one, or is malformed.",
    )


class InvalidClient(OAuthError):
    """RFC 6749 section 5.2."""

    code, status, description = "invalid_client", 401, "The client is unknown or its authentication failed."


class InvalidGrant(OAuthError):
    """RFC 6749 section 5.2."""

    code, status, description = "invalid_grant", 400, "The grant is invalid, expired or revoked."


class UnauthorizedClient(OAuthError):
    """RFC 6749 section 5.2."""

    code, status, description = "unauthorized_client", 400, "This client may not use this grant type."


class UnsupportedGrantType(OAuthError):
    """RFC 6749 section 5.2."""

    code, status, description = "unsupported_grant_type", 400, "This grant type is not supported."


class UnsupportedResponseType(OAuthError):
    """RFC 6749 section 4.1.2.1."""

    code, status, description = "unsupported_response_type", 400, "Only response_type=code is supported."


class InvalidScope(OAuthError):
    """RFC 6749 section 5.2."""

    code, status, description = "invalid_scope", 400, "The scope is malformed or exceeds what was granted."


class InvalidTarget(OAuthError):
    """RFC 8707 section 2."""

    code, status, description = "invalid_target", 400, "The resource is unknown, malformed, or more than one."


class AccessDenied(OAuthError):
    """RFC 6749 section 4.1.2.1."""

    code, status, description = "access_denied", 403, "Access was denied."


class InteractionRequired(OAuthError):
    """OpenID Connect Core section 3.1.2.6."""

    code, status, description = (
        "interaction_required",
        400,
        "The person must see a page; prompt=none cannot be answered.",
    )


class RequestNotSupported(OAuthError):
    """OpenID Connect Core section 3.1.2.6."""

    code, status, description = "request_not_supported", 400, "Request objects are not supported."


class RequestUriNotSupported(OAuthError):
    """OpenID Connect Core section 3.1.2.6."""

    code, status, description = "request_uri_not_supported", 400, "Request objects are not supported."


class InvalidRedirectUri(OAuthError):
    """RFC 7591 section 3.2.2."""

    code, status, description = "invalid_redirect_uri", 400, "A redirect URI is missing, malformed or not permitted."


class InvalidClientMetadata(OAuthError):
    """RFC 7591 section 3.2.2."""

    code, status, description = "invalid_client_metadata", 400, "The client metadata is malformed or not supported."


class RegistrationOff(OAuthError):
    """RFC 7591 defines no code for a server that registers nobody; 404, as if the endpoint were not there."""

    code, status, description = "invalid_request", 404, "Client registration is not offered here."


class InvalidToken(OAuthError):
    """RFC 6750 section 3.1."""

    code, status, description = "invalid_token", 401, "The token is missing, invalid or expired."


class TooManyRequests(OAuthError):
    """RFC 6585 section 4, with the code of RFC 6749 section 4.1.2.1."""

    code, status, description = "temporarily_unavailable", 429, "Too many requests; try again later."


class TemporarilyUnavailable(OAuthError):
    """RFC 6749 section 4.1.2.1; something we depend on is down."""

    code, status, description = (
        "temporarily_unavailable",
        503,
        "The service is temporarily unavailable; try again later.",
    )


class ServerError(OAuthError):
    """RFC 6749 section 4.1.2.1; a defect of ours."""

    code, status, description = "server_error", 500, "The server failed to answer."
