"""One MCP server as its clients meet it: the challenge (RFC 6750 section 3), the metadata (RFC 9728), and a token for somebody else."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from broker.doctor.findings import fail, ok, warn
from broker.doctor.web import Answer, Unanswered, Web
from broker.model import Resource
from broker.oauth import OFFLINE_ACCESS, TemporarilyUnavailable
from broker.settings import LOOPBACK_HOSTS
from providers.base import Check

CHALLENGE, METADATA, SCOPES, FOREIGN = "challenge", "metadata", "scopes", "foreign token"
WELL_KNOWN = "/.well-known/oauth-protected-resource"
PING = {"jsonrpc": "2.0", "id": "doctor", "method": "ping"}  # changes nothing, whoever answers it
_HEADERS = {"accept": "application/json, text/event-stream"}
_METADATA_URL = re.compile(
    r"\bbearer\b.*?\bresource_metadata\s*=\s*(?:\"([^\"]*)\"|([^\s,\"]+))", re.IGNORECASE | re.DOTALL
)
_MAX_CHALLENGE = 4096  # characters; searching takes the square of them
_PROTECT = (
    "Protect the server: README, 'Protect an MCP server', has the lines for the MCP SDK and for any ASGI application."
)
_HEADER = 'Let its 401 say WWW-Authenticate: Bearer resource_metadata="…"; BrokerTokenVerifier and ProtectedResourceMiddleware do.'
_AUDIENCE = (
    "Make it check aud: BrokerTokenVerifier does, and FastMCP's JWTVerifier where audience= names the server's own URL."
)
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

CanaryToken = Callable[[Resource], Awaitable[str]]


async def examine(resource: Resource, issuer: str, web: Web, canary: CanaryToken | None) -> list[Check]:
    """Return every check of one MCP server, under its id. No `canary`: there is no key to make its token with."""
    return [
        Check(name=f"{resource.id}: {c.name}", status=c.status, detail=c.detail, fix=c.fix)
        for c in await _examine(resource, issuer, web, canary)
    ]


async def _examine(resource: Resource, issuer: str, web: Web, canary: CanaryToken | None) -> list[Check]:
    try:
        answer = await web.post(resource.url, PING, headers=_HEADERS)
    except Unanswered as error:
        fix = "Start the server; then look at DNS, its certificate, and whether this machine may connect there."
        return [fail(CHALLENGE, f"{resource.url}: {error}", fix)]
    challenge, url = _challenge(resource, answer)
    checks = [challenge, *await _metadata(resource, issuer, web, url or metadata_url(resource.url))]
    if answer.status == HTTPStatus.UNAUTHORIZED:
        checks.append(await _foreign(resource, web, canary))
    return checks


def metadata_url(resource: str) -> str:
    """Return where a resource's metadata is without being told: inserted before the path (RFC 9728 section 3.1)."""
    parts = urlsplit(resource)
    path = parts.path if parts.path != "/" else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{path}{query}"


def _challenge(resource: Resource, answer: Answer) -> tuple[Check, str | None]:
    """Judge the answer to a request without a token; return where it says the metadata is."""
    variable = f"BROKER_RESOURCES__{resource.id.upper()}__URL"
    if answer.status != HTTPStatus.UNAUTHORIZED:
        said = f"{resource.url} answers {answer.status} without a token, instead of 401"
        fix = _PROTECT
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
            fix = f"Register the URL that it redirects to ({variable}): clients do not follow with a token."
        elif answer.status == HTTPStatus.NOT_FOUND:
            fix = f"Register the very URL of the MCP endpoint ({variable})."
        elif answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            fix = "Look at the server's own log."
        return fail(CHALLENGE, said, fix), None
    found = _METADATA_URL.search(answer.headers.get("www-authenticate", "")[:_MAX_CHALLENGE])
    if found is None:
        return fail(
            CHALLENGE, "Its 401 does not say where its metadata is: clients cannot find this broker", _HEADER
        ), None
    url = found[1] or found[2]
    if not _is_safe(url):
        return fail(CHALLENGE, "Its 401 names metadata at no https address", _HEADER), None
    return ok(CHALLENGE, "401 without a token, and it names the metadata"), url


async def _metadata(resource: Resource, issuer: str, web: Web, url: str) -> list[Check]:
    try:
        answer = await web.get(url)
    except Unanswered as error:
        return [fail(METADATA, f"{url}: {error}", "Serve the resource metadata there (RFC 9728).")]
    document = answer.json_object()
    if answer.status != HTTPStatus.OK or document is None:
        said = f"{url} answers {answer.status}" + ("" if document else " and no JSON object")
        return [fail(METADATA, said, "Serve the resource metadata there (RFC 9728): public, without a redirect.")]
    wrong = _wrong_resource(resource, document) or _wrong_issuer(issuer, document)
    if wrong is not None:
        return [wrong]
    return [ok(METADATA, f"It names {issuer} and {resource.url} byte for byte"), *_scopes(resource, document)]


def _wrong_resource(resource: Resource, document: Mapping[str, Any]) -> Check | None:
    found = document.get("resource")
    if found == resource.url:
        return None
    fix = (
        f"Write the same in both places, byte for byte: set BROKER_RESOURCES__{resource.id.upper()}__URL to what the server says, "
        "or the server's resource to what is registered here."
    )
    return fail(METADATA, f"Its resource is {_shown(found)}, and {resource.url!r} is registered", fix)


def _wrong_issuer(issuer: str, document: Mapping[str, Any]) -> Check | None:
    found = document.get("authorization_servers")
    servers = [s for s in found if isinstance(s, str)] if isinstance(found, list) else []
    if issuer in servers:
        return None
    slash = next((s for s in servers if s.rstrip("/") == issuer), None)
    if slash is not None:
        fix = f'Give the server the issuer as a plain text, "{issuer}": AnyHttpUrl and new URL() add a slash.'
        return fail(
            METADATA, f"Its authorization server is {_shown(slash)}: a slash too many, and clients refuse it", fix
        )
    fix = f'Set the server\'s authorization_servers to ["{issuer}"].'
    return fail(METADATA, f"Its authorization servers are {_shown(found)}, and not {issuer}", fix)


def _scopes(resource: Resource, document: Mapping[str, Any]) -> list[Check]:
    found = document.get("scopes_supported")
    asked = [s for s in found if isinstance(s, str)] if isinstance(found, list) else []
    unknown = [s for s in asked if s not in resource.scopes and s != OFFLINE_ACCESS]
    if not unknown:
        return []
    fix = f"Add them to BROKER_RESOURCES__{resource.id.upper()}__SCOPES, or take them out of the server's metadata."
    return [warn(SCOPES, f"It advertises scopes that are never granted here: {_shown(unknown)}", fix)]


async def _foreign(resource: Resource, web: Web, canary: CanaryToken | None) -> Check:
    """Present a token that is for no server at all, and see it refused."""
    if canary is None:
        fix = "Start `mcp-broker serve` once, which makes the keys, and see that the master key opens them."
        return warn(FOREIGN, "Not tried: there is no signing key at hand to make one with", fix)
    try:
        token = await canary(resource)
        answer = await web.post(resource.url, PING, headers={**_HEADERS, "authorization": f"Bearer {token}"})
    except TemporarilyUnavailable:
        return warn(FOREIGN, "Not tried: its signing algorithm has no key yet", "Start `mcp-broker serve` once.")
    except Unanswered as error:
        return warn(FOREIGN, f"Not told: {error}", "Try again.")
    if answer.status in _REFUSED:
        return ok(FOREIGN, f"A token for another server is refused ({answer.status})")
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        fix = "Look at the server's log: it should refuse with 401, and must reach the broker's keys."
        return warn(FOREIGN, f"Not told: it answered {answer.status} to a token for another server", fix)
    return fail(FOREIGN, f"It accepted a token for another server (answered {answer.status})", _AUDIENCE)


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)


def _shown(value: object) -> str:
    return repr(value)[:200]
