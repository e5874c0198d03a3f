"""The authorization request (RFC 6749 section 4.1.1, RFC 7636 section 4.3, RFC 8707 section 2). Pure.

Called once client and redirect URI are trusted; refuses everything that the broker does not do rather than ignoring it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from broker.model import AuthorizationRequest, Client, Resource
from broker.oauth import (
    InteractionRequired,
    InvalidRequest,
    InvalidScope,
    OAuthError,
    Reason,
    RequestNotSupported,
    RequestUriNotSupported,
    UnauthorizedClient,
    UnsupportedResponseType,
)
from broker.protocol import pkce, resource, scope

MAX_STATE = 4096  # bytes of UTF-8: with every character escaped it still fits the sealed field of a page
MAX_ACR_VALUES, MAX_ACR_VALUE = 8, 256  # entries, characters
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
MAX_AGE_LIMIT = 10**9
MAX_AGE_DIGITS = 10


class Query(Protocol):
    """The request's parameters, each once (`resource` may repeat)."""

    def get(self, name: str) -> str | None:
        """Return a parameter or None."""
        ...

    def all(self, name: str) -> list[str]:
        """Return every value of a parameter."""
        ...


def parse(
    query: Query, client: Client, redirect_uri: str, resources: Sequence[Resource], default_resource: str | None
) -> AuthorizationRequest:
    """Return the request once every check that needs no person has passed; raises the OAuthError that says which did not."""
    for check in CHECKS:
        check(query)
    if "authorization_code" not in client.grant_types:
        raise UnauthorizedClient(Reason.GRANT_TYPE_NOT_ALLOWED)
    pkce.check_challenge(query.get("code_challenge"), query.get("code_challenge_method"))
    target = resource.choose(resources, query.all("resource"), default=client.default_resource or default_resource)
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        resource=target.url,
        scopes=_scopes(query, client, target),
        code_challenge=query.get("code_challenge") or "",
        state=query.get("state"),
        prompt=_prompt(query),
        login_hint=(query.get("login_hint") or "")[:320] or None,
        max_age=_max_age(query),
        acr_values=_acr_values(query),
    )


def _no_request_object(query: Query) -> None:
    """OpenID Connect Core section 6: never fetched, never read (rule C12)."""
    if query.get("request_uri") is not None:
        raise RequestUriNotSupported(Reason.PARAMETER_UNSUPPORTED)
    if query.get("request") is not None:
        raise RequestNotSupported(Reason.PARAMETER_UNSUPPORTED)


def _response_type(query: Query) -> None:
    """Only `code`, only in the query (rule C7)."""
    if query.get("response_type") is None:
        raise InvalidRequest(Reason.PARAMETER_MISSING, "response_type")
    if query.get("response_type") != "code":
        raise UnsupportedResponseType(Reason.PARAMETER_UNSUPPORTED)
    if query.get("response_mode") not in (None, "query"):
        raise InvalidRequest(Reason.PARAMETER_UNSUPPORTED, "response_mode")


def _no_authorization_details(query: Query) -> None:
    """RFC 9396 is refused, not ignored: a client that asks for less than a scope must not get a scope."""
    if query.get("authorization_details") is not None:
        raise InvalidRequest(Reason.PARAMETER_UNSUPPORTED, "authorization_details")


CHECKS: tuple[Callable[[Query], None], ...] = (_no_request_object, _response_type, _no_authorization_details)


def _scopes(query: Query, client: Client, target: Resource) -> tuple[str, ...]:
    """What is asked, of this resource, and allowed for the client (rule C10); raises InvalidScope when that is nothing."""
    meant = scope.requested(target, query.get("scope"))
    scopes = scope.allowed(client, target, meant)
    if meant and not scopes:
        raise InvalidScope(Reason.SCOPE_NOT_ALLOWED)
    return scopes


def _prompt(query: Query) -> tuple[str, ...]:
    """OpenID Connect Core section 3.1.2.1; `none` can never be answered here: a page is always shown (rule A4)."""
    values = (query.get("prompt") or "").split()
    if "none" in values:
        raise InteractionRequired(Reason.INTERACTION_REQUIRED)
    return tuple(v for v in values if v in PROMPTS)


def _max_age(query: Query) -> int | None:
    value = query.get("max_age")
    if value is None:
        return None
    # The length comes first: int() refuses thousands of digits with an error of its own.
    if not (len(value) <= MAX_AGE_DIGITS and value.isascii() and value.isdigit() and int(value) <= MAX_AGE_LIMIT):
        raise InvalidRequest(Reason.PARAMETER_MALFORMED, "max_age")
    return int(value)


def _acr_values(query: Query) -> tuple[str, ...]:
    """OpenID Connect Core section 3.1.2.1: a wish, so that what is no context class is left out."""
    values = (query.get("acr_values") or "").split()
    return tuple(v for v in values if len(v) <= MAX_ACR_VALUE)[:MAX_ACR_VALUES]


def state(query: Query) -> str | None:
    """Return the client's `state`; raises InvalidRequest when it is longer than we carry (rule C16).

    Asked before the redirect target counts as trusted: an answer without its `state` means nothing to the client, or the wrong thing.
    """
    value = query.get("state")
    if value is not None and len(value.encode(errors="surrogatepass")) > MAX_STATE:
        raise InvalidRequest(Reason.PARAMETER_MALFORMED, "state")
    return value


__all__ = ["MAX_STATE", "OAuthError", "Query", "parse", "state"]
