"""What is wrong with a GitHub set-up, as far as it shows without a person: a code that nobody has, a token that nobody has.

The code must be refused as a code (`bad_verification_code`); a refusal of the client means a wrong id or secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

from providers import github_token
from providers.base import Check, Fault, ProviderSettings, UpstreamError, UpstreamRequest, Verdict
from providers.github_api import GitHubApi
from providers.github_settings import GitHubOptions
from providers.http import UpstreamHttp, deadline

_NOBODYS = "0123456789abcdef0123"
_APP = "Settings > Developer settings > OAuth Apps (of the organisation that owns the app, or your own)"
_REACH = "Look at BASE_URL, API_URL, PROXY and CA_FILE, and whether this machine may connect there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the checks look at; `authorization` is the app's own."""

    settings: ProviderSettings
    options: GitHubOptions
    http: UpstreamHttp
    api: GitHubApi
    authorization: str = field(repr=False)


async def check(parts: Parts, redirect_uri: str) -> tuple[Check, ...]:
    """Return every check, the token endpoint's first."""
    refusal = await _refusal(parts, redirect_uri)
    return (
        _client(refusal),
        _redirect_uri(refusal, redirect_uri),
        await _api(parts),
        _groups(parts.options),
        _restriction(parts.options),
    )


async def _refusal(parts: Parts, redirect_uri: str) -> UpstreamError:
    """Return how the token endpoint refuses a code that it never gave."""
    request = UpstreamRequest(redirect_uri=redirect_uri, state="", nonce="", code_verifier=_NOBODYS * 3)
    fields = github_token.code_fields(parts.settings, request, _NOBODYS)
    try:
        async with deadline(parts.settings.timeout):
            github_token.process(
                await parts.http.post_form(parts.options.token_endpoint, fields, operation="token_check")
            )
    except UpstreamError as refusal:
        return refusal
    return UpstreamError(Fault.PROTOCOL, "code_of_nobody_accepted")


def _client(refusal: UpstreamError) -> Check:
    name = "client id and secret"
    if refusal.reason in (github_token.BAD_CODE, "redirect_uri_mismatch"):
        return Check(name=name, status=Verdict.OK, detail="The token endpoint accepts them")
    if refusal.reason == github_token.WRONG_CLIENT:
        return Check(
            name=name,
            status=Verdict.FAIL,
            detail="The token endpoint refuses them",
            fix=f"Compare CLIENT_ID, or make a new client secret and set CLIENT_SECRET: {_APP}",
        )
    if refusal.reason == "client_unknown":
        return Check(
            name=name,
            status=Verdict.FAIL,
            detail="No app there has this client id, or the host is no GitHub",
            fix=f"Compare BASE_URL, and CLIENT_ID with the app's: {_APP}",
        )
    return Check(
        name=name, status=Verdict.FAIL, detail=f"The token endpoint gave no usable answer: {refusal.reason}", fix=_REACH
    )


def _redirect_uri(refusal: UpstreamError, redirect_uri: str) -> Check:
    name, fix = "redirect URI", f"Set the Authorization callback URL to {redirect_uri}: {_APP}"
    if refusal.reason == "redirect_uri_mismatch":
        return Check(name=name, status=Verdict.FAIL, detail="It is not the app's callback URL", fix=fix)
    detail = f"whether {redirect_uri} is the app's callback URL shows only at a login"
    return Check(name=name, status=Verdict.WARN, detail=detail, fix=fix)


async def _api(parts: Parts) -> Check:
    name = "API"
    try:
        async with deadline(parts.settings.timeout):
            answer = await parts.api.look_up(parts.settings.client_id, parts.authorization, _NOBODYS)
    except UpstreamError as failure:
        return Check(name=name, status=Verdict.FAIL, detail=f"{parts.options.api_url}: {failure.reason}", fix=_REACH)
    is_api = "message" in (answer.json_object() or {})
    if is_api and answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY):
        return Check(name=name, status=Verdict.OK, detail=f"{parts.options.api_url} knows the app")
    if is_api and answer.status == HTTPStatus.UNAUTHORIZED:
        fix = f"Make a new client secret and set CLIENT_SECRET: {_APP}"
        return Check(name=name, status=Verdict.FAIL, detail="The API refuses the client id and secret", fix=fix)
    detail = f"{parts.options.api_url} answers {answer.status}, not as GitHub's API does"
    return Check(name=name, status=Verdict.FAIL, detail=detail, fix=_REACH)


def _groups(options: GitHubOptions) -> Check:
    name = "groups"
    if "read:org" in options.scopes:
        detail = "The scope read:org is asked for; a GitHub App needs the permission Members: read instead"
        return Check(name=name, status=Verdict.OK, detail=detail)
    return Check(
        name=name,
        status=Verdict.WARN,
        detail="The scope read:org is not asked for: organisations and teams stay unknown",
        fix="Add read:org to SCOPES, or leave SCOPES out",
    )


def _restriction(options: GitHubOptions) -> Check:
    name = "who may sign in"
    if options.allowed_orgs is not None:
        detail = f"Members of {', '.join(sorted(options.allowed_orgs))}"
        return Check(name=name, status=Verdict.OK, detail=detail)
    return Check(
        name=name,
        status=Verdict.WARN,
        detail="Everybody with an account there, as far as this provider goes",
        fix="Set ALLOWED_ORGS, best with org:<id>: the number is the id at api/orgs/<login>",
    )
