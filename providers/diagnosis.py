"""What is wrong with the set-up at an OpenID provider, as far as it shows without a person; each finding with its mend.

A code that nobody has must be refused as a code; a refusal of the client means a wrong id or secret. The authorization endpoint is
asked with `prompt=none` and not followed: it sends back to a redirect URI that is registered, and to no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from providers import authorization, token_request
from providers.base import Check, Fault, UpstreamError, UpstreamRequest
from providers.callback import FAULTS
from providers.console import Console
from providers.discovery import Metadata, discovery_url, read_metadata
from providers.findings import OK, clock, fail, metadata_checks, not_looked_at, warn
from providers.http import UpstreamResponse, deadline, document
from providers.jwks import import_keys
from providers.options import OFFLINE
from providers.registration import Registration

NOBODYS = "a-code-that-nobody-has"
CLIENT = "client id and secret"
_OURSELVES = "client_"  # what a type's own words for refusals of us begin with
_NO_TOKEN_ENDPOINT = ("token_status", "token_response")  # a 404 or a redirect; a page
_CERTIFICATE_WARNING = 30 * 86400  # seconds
_LATER = (
    "issuer",
    "keys",
    "algorithms",
    "PKCE",
    "iss parameter",
    "clock",
    CLIENT,
    "redirect URI",
    "refresh tokens",
    "groups",
)


async def check(registration: Registration, redirect_uri: str) -> tuple[Check, ...]:
    """Return every check in a fixed order; raises nothing. Each request has the provider's time limit to itself."""
    url = discovery_url(registration.settings)
    try:
        response = await _get(registration, url, operation="discovery_check")
        found = document(response, "discovery")
    except UpstreamError as failure:
        return (*_unreachable(registration, url, failure), not_looked_at(_LATER))
    reached = (Check(name="discovery", status=OK, detail=f"{url} answers"), _tls(registration, None))
    moment = clock(response.headers.get("date"), registration.now())
    try:
        metadata = read_metadata(
            found, registration.settings, registration.preset.metadata_issuer(registration.settings)
        )
    except UpstreamError as fault:
        about = metadata_checks(registration, found, fault)
        named = {c.name for c in (*about, moment)}
        return (*reached, *about, moment, not_looked_at(tuple(name for name in _LATER if name not in named)))
    keys, client, redirect = await asyncio.gather(
        _keys(registration, metadata),
        _client(registration, metadata, redirect_uri),
        _redirect_uri(registration, metadata, redirect_uri),
    )
    issuer, algorithms, pkce, iss = metadata_checks(registration, found, None)
    return (
        *reached,
        issuer,
        keys,
        algorithms,
        pkce,
        iss,
        moment,
        client,
        *_certificate(registration),
        *redirect,
        _refresh_tokens(registration, metadata, found),
        *await _groups(registration, found),
        *_logout(registration, found, redirect_uri),
        *registration.preset.checks(registration.settings),
    )


def _reach(registration: Registration) -> str:
    """Return what to look at when nobody answers: the settings of this type that say where it is."""
    return f"look at {registration.preset.console.reach}, and whether this machine may connect there"


async def _get(registration: Registration, url: str, *, operation: str) -> UpstreamResponse:
    async with deadline(registration.settings.timeout):
        return await registration.http.get_json(url, operation=operation)


def _unreachable(registration: Registration, url: str, failure: UpstreamError) -> tuple[Check, ...]:
    """Return what a discovery document that cannot be had means: TLS or anything else."""
    if failure.reason == "tls":
        detail = f"{url} was not read, since its certificate is not trusted"
        return fail("discovery", detail, "see the check TLS"), _tls(registration, failure)
    console = registration.preset.console
    mend = f"compare {console.reach}: {console.issuer}" if failure.fault is Fault.OPERATOR else _reach(registration)
    return (fail("discovery", f"{url}: {failure.reason}", mend),)


def _tls(registration: Registration, failure: UpstreamError | None) -> Check:
    settings = registration.settings
    roots = "the system's roots" + (f" and CA_FILE {settings.ca_file}" if settings.ca_file else "")
    if failure is not None:
        mend = "set CA_FILE to the PEM file of the authority that signed the provider's certificate, or renew that certificate"
        return fail("TLS", f"the certificate chain does not lead to {roots}, is expired, or names another host", mend)
    if discovery_url(settings).startswith("http:"):
        return Check(name="TLS", status=OK, detail="not used: the provider is on loopback")
    return Check(name="TLS", status=OK, detail=f"the certificate chain leads to {roots}")


async def _keys(registration: Registration, metadata: Metadata) -> Check:
    try:
        keys = import_keys(document(await _get(registration, metadata.jwks_uri, operation="jwks_check"), "jwks"))
    except UpstreamError as failure:
        return fail("keys", f"{metadata.jwks_uri}: {failure.reason}", _reach(registration))
    able = [key for key in keys if key.algorithms & metadata.algorithms]
    if not able:
        mend = "publish a signing key: RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519"
        return fail("keys", f"{metadata.jwks_uri} holds no key that could verify an ID token", mend)
    return Check(name="keys", status=OK, detail=f"{len(able)} usable signing key{'s' * (len(able) > 1)}")


async def _client(registration: Registration, metadata: Metadata, redirect_uri: str) -> Check:
    """Ask the token endpoint to redeem a code of nobody's: with the right credentials it refuses the code, not us."""
    try:
        async with deadline(registration.settings.timeout):
            await registration.redeem(metadata, token_request.redemption(_request(redirect_uri), NOBODYS))
    except UpstreamError as refusal:
        return _client_found(registration, refusal)
    return fail(CLIENT, "the token endpoint gave tokens for a code that nobody has", "do not use this provider")


def _client_found(registration: Registration, refusal: UpstreamError) -> Check:
    """Read the refusal of a code of nobody's."""
    console, way = registration.preset.console, registration.client_auth.method or "client secret"
    if refusal.fault is Fault.PERMANENT or refusal.reason == "redirect_uri_mismatch":
        also = "" if refusal.fault is Fault.PERMANENT else "; the redirect URI is not registered"
        return Check(name=CLIENT, status=OK, detail=f"client id and {way} are accepted{also}")
    if refusal.reason in ("invalid_client", "unauthorized_client", "token_unauthorized") or refusal.reason.startswith(
        _OURSELVES
    ):
        return _refused(way, refusal.reason, console)
    if refusal.reason == "auth_method":
        mend = f"set AUTH_METHOD to one that it offers, with what that needs: {console.client}"
        return fail(CLIENT, "the provider takes no client secret in a form or header", mend)
    if refusal.reason == "federated_token_file":
        mend = "set FEDERATED_TOKEN_FILE to the file that this workload is given"
        return fail(CLIENT, "FEDERATED_TOKEN_FILE holds no token", mend)
    if refusal.reason in _NO_TOKEN_ENDPOINT:
        detail = f"the token endpoint answers as none does ({refusal.reason}), so nobody can sign in"
        return fail(CLIENT, detail, _reach(registration) + "; a proxy in between may answer in its place")
    mend = _reach(registration) if refusal.fault is Fault.TRANSIENT else f"compare them: {console.client}"
    return warn(CLIENT, f"the token endpoint's answer tells nothing of them ({refusal.reason})", mend)


def _refused(way: str, reason: str, console: Console) -> Check:
    """Return that the provider refuses us by this way of authenticating, and what there is to compare."""
    named, mend = {
        "none": ("without a secret", f"set CLIENT_SECRET, or compare CLIENT_ID if it has none: {console.client}"),
        "private_key_jwt": (
            f"or {way}",
            f"compare CLIENT_ID, and register the public key of PRIVATE_KEY: {console.key}",
        ),
        "federated_token_file": (
            f"or {way}",
            f"compare CLIENT_ID, and register who issues the token in FEDERATED_TOKEN_FILE and for whom: {console.key}",
        ),
    }.get(way, (f"or {way}", f"compare CLIENT_ID and CLIENT_SECRET, or make a new secret: {console.client}"))
    return fail(CLIENT, f"client id {named} is refused ({reason})", mend)


def _certificate(registration: Registration) -> tuple[Check, ...]:
    expires_at = registration.client_auth.certificate_expires_at
    if expires_at is None:
        return ()
    days = (expires_at - registration.now()) // 86400
    mend = f"make a new certificate and register it: {registration.preset.console.key}"
    if days < 0:
        return (fail("certificate", "CERTIFICATE has expired", mend),)
    if expires_at - registration.now() < _CERTIFICATE_WARNING:
        return (warn("certificate", f"CERTIFICATE expires in {days} days", mend),)
    return (Check(name="certificate", status=OK, detail=f"CERTIFICATE is good for {days} days"),)


async def _redirect_uri(registration: Registration, metadata: Metadata, redirect_uri: str) -> tuple[Check, ...]:
    """Ask for a login without anybody there, and look where the browser would be sent."""
    name, mend = "redirect URI", f"register exactly {redirect_uri}: {registration.preset.console.redirect}"
    url = authorization.authorization_url(registration, metadata, _request(redirect_uri, prompt=("none",)))
    try:
        response = await _get(registration, url, operation="authorize_check")
    except UpstreamError as failure:
        return (warn(name, f"the authorization endpoint does not answer ({failure.reason})", mend),)
    location = response.headers.get("location", "")
    if location.startswith((f"{redirect_uri}?", f"{redirect_uri}&")):
        return Check(name=name, status=OK, detail=f"{redirect_uri} is registered"), *_refusal(registration, location)
    marked = any(mark in location or mark.encode() in response.body for mark in registration.preset.mismatch_marks)
    if marked or response.status in range(400, 500):
        return (fail(name, f"{redirect_uri} is refused: it or the client id is not registered", mend),)
    return (warn(name, f"whether {redirect_uri} is registered shows only at a login", mend),)


def _refusal(registration: Registration, location: str) -> tuple[Check, ...]:
    """Return what is wrong with our request itself, when the provider says more than that nobody is there."""
    error = dict(parse_qsl(urlsplit(location).query)).get("error", "")
    if FAULTS.get(error) is not Fault.OPERATOR:
        return ()
    console = registration.preset.console
    mend = (
        f"set SCOPES to what this client may ask, or: {console.refresh}" if error == "invalid_scope" else console.client
    )
    return (fail("authorization request", f"the provider refuses it ({error})", mend),)


def _refresh_tokens(registration: Registration, metadata: Metadata, found: Mapping[str, Any]) -> Check:
    name, mend = "refresh tokens", registration.preset.console.refresh
    grants = found.get("grant_types_supported")
    if isinstance(grants, list) and "refresh_token" not in grants:
        return warn(name, "the provider gives none: grants end when its access tokens do", mend)
    if OFFLINE in registration.preset.wanted and OFFLINE not in registration.scopes(metadata):
        detail = f"{OFFLINE} is not asked for, or not offered: grants may end with the session at the provider"
        given = registration.settings.scopes
        return warn(name, detail, f"add {OFFLINE} to SCOPES, or leave SCOPES out" if given else mend)
    return Check(name=name, status=OK, detail="asked for; a person who leaves is out at the next re-check")


async def _groups(registration: Registration, found: Mapping[str, Any]) -> tuple[Check, ...]:
    if registration.group_source is not None:
        try:
            async with deadline(registration.settings.timeout):
                return await registration.group_source.check()
        except UpstreamError as failure:
            return (warn("groups", f"the directory does not answer ({failure.reason})", _reach(registration)),)
    path, mend = registration.options.groups, registration.preset.console.groups
    if path is None:
        return (warn("groups", "this provider says nothing of groups as it is set up", mend),)
    claims = found.get("claims_supported")
    if isinstance(claims, list) and path[0] in claims:
        return (Check(name="groups", status=OK, detail=f"the provider lists the claim {path[0]}"),)
    return (warn("groups", f"whether the claim {'.'.join(path)} comes shows only at a login", mend),)


def _logout(registration: Registration, found: Mapping[str, Any], redirect_uri: str) -> tuple[Check, ...]:
    """Spell out our back-channel logout URL where the provider says that it calls one."""
    if found.get("backchannel_logout_supported") is not True or not registration.preset.console.logout:
        return ()
    ours = redirect_uri.replace("/callback/", "/backchannel-logout/")
    return (
        Check(
            name="back-channel logout",
            status=OK,
            detail=f"offered; register {ours} to end sessions here within a second",
            fix=registration.preset.console.logout,
        ),
    )


def _request(redirect_uri: str, *, prompt: tuple[str, ...] = ()) -> UpstreamRequest:
    """Return a login that nobody will finish; its secrets protect nothing."""
    return UpstreamRequest(
        redirect_uri=redirect_uri,
        state="nobody",
        nonce="nobody",
        code_verifier="nobody" * 8,
        prompt=prompt,
    )
