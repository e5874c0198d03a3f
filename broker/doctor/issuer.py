"""The issuer as clients meet it: its metadata under every well-known form, byte for byte (RFC 8414 section 3), its keys, its TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from urllib.parse import urlsplit

from broker.clock import Clock
from broker.doctor.findings import fail, host_of, ok, warn
from broker.doctor.web import Answer, Unanswered, Web
from broker.settings import DAY, Settings
from providers.base import Check

FORMS = ("oauth-authorization-server", "openid-configuration")
SOON = 14 * DAY
ISSUER, METADATA, KEYS, TLS, PROXY = "issuer", "metadata", "published keys", "TLS in front", "proxy in front"
_ROUTE = "Send /.well-known/* of this origin to the broker, without a redirect; deploy/nginx has the lines for an issuer with a path."
_OUTAGES = (502, 503, 504)


async def examine(settings: Settings, web: Web, clock: Clock, kids: Collection[str] | None) -> list[Check]:
    """Return what the issuer's address says. `kids`: the published keys of this database, None where they are not known."""
    first, *others = metadata_urls(settings.issuer)
    try:
        answer = await web.get(first)
    except Unanswered as error:
        return [*_unanswered(settings, error), *_in_front(settings)]
    checks = [_issuer(settings, answer), *_tls(settings, answer, clock.now()), *_in_front(settings)]
    if checks[0].status == "OK":
        checks.append(await _other_forms(web, answer, others))
        if kids is not None:
            checks.append(await _keys(settings, web, answer, kids))
    return checks


def metadata_urls(issuer: str) -> list[str]:
    """Return where clients look for an issuer's metadata: inserted before the path, appended to it, and without any path."""
    parts = urlsplit(issuer)
    origin = f"{parts.scheme}://{parts.netloc}"
    inserted = [f"{origin}/.well-known/{form}{parts.path}" for form in FORMS]
    appended = [f"{issuer}/.well-known/{form}" for form in FORMS]
    bare = [f"{origin}/.well-known/{form}" for form in FORMS]
    return list(dict.fromkeys([*inserted, *appended, *bare]))


def _unanswered(settings: Settings, error: Unanswered) -> list[Check]:
    if error.tls:
        fix = (
            "Give the proxy in front the whole chain of a certificate for this very host name; for a CA of your own, add it to "
            "the certificates of this machine and of every MCP server."
        )
        return [fail(TLS, f"{host_of(settings.issuer)}: {error}", fix)]
    fix = "Start `mcp-broker serve`. If it runs: look at DNS, the proxy in front, and whether this machine may connect there."
    return [warn(ISSUER, f"Nothing answers at {settings.issuer} yet: {error}", fix)]


def _issuer(settings: Settings, answer: Answer) -> Check:
    if answer.status in _OUTAGES:
        fix = "Start `mcp-broker serve`, and compare the proxy's upstream address with BROKER_BIND."
        return warn(ISSUER, f"A proxy answers at {settings.issuer}, and the broker behind it does not", fix)
    if answer.status == 421:  # noqa: PLR2004 - what the broker says to a foreign Host
        fix = "Let the proxy pass the Host header on (nginx: proxy_set_header Host $host;)."
        return fail(ISSUER, "The broker is called by a host name that is not the issuer's (421)", fix)
    if answer.status != 200:  # noqa: PLR2004
        return fail(ISSUER, f"{answer.url} answers {answer.status}, where the metadata should be", _ROUTE)
    found = (answer.json_object() or {}).get("issuer")
    if found != settings.issuer:
        named = repr(found)[:200] if isinstance(found, str) else "no issuer"
        fix = "Give every replica the same BROKER_ISSUER and restart it; or another server answers there: look at the proxy."
        return fail(ISSUER, f"{answer.url} names {named}, and not {settings.issuer!r}", fix)
    return ok(ISSUER, f"{settings.issuer} answers, and names itself byte for byte")


async def _other_forms(web: Web, first: Answer, urls: list[str]) -> Check:
    wrong = [
        url
        for url, same in zip(urls, await asyncio.gather(*(_same(web, first, u) for u in urls)), strict=True)
        if not same
    ]
    if wrong:
        return fail(METADATA, f"Not the same document, or none, at {', '.join(wrong)}", _ROUTE)
    return ok(METADATA, f"The same bytes at all {len(urls) + 1} well-known addresses")


async def _same(web: Web, first: Answer, url: str) -> bool:
    try:
        answer = await web.get(url)
    except Unanswered:
        return False
    return answer.status == first.status and answer.body == first.body


async def _keys(settings: Settings, web: Web, metadata: Answer, kids: Collection[str]) -> Check:
    """Compare the published keys with this database's: whether the broker that answers is this one."""
    uri = str((metadata.json_object() or {}).get("jwks_uri"))
    try:
        answer = await web.get(uri)
    except Unanswered as error:
        return fail(KEYS, f"{uri}: {error}", _ROUTE)
    published = (answer.json_object() or {}).get("keys")
    found = (
        {str(key.get("kid")) for key in published if isinstance(key, dict)} if isinstance(published, list) else set()
    )
    missing = [kid for kid in kids if kid not in found]
    if missing:
        fix = "Give the broker that serves and this command the same BROKER_DATABASE_URL; a key made just now is there in 15 seconds."
        return fail(
            KEYS, f"{uri} lacks {len(missing)} of the {len(kids)} keys in the database of {settings.issuer}", fix
        )
    return ok(KEYS, f"{uri} has every key of this database")


def _tls(settings: Settings, answer: Answer, now: int) -> list[Check]:
    if answer.certificate_ends is None:
        return [ok(TLS, "A loopback issuer needs none")] if settings.loopback else []
    days = (answer.certificate_ends - now) // DAY
    if answer.certificate_ends - now < SOON:
        return [
            warn(TLS, f"The certificate of {host_of(settings.issuer)} ends in {days} days", "Renew it at the proxy.")
        ]
    return [ok(TLS, f"The certificate of {host_of(settings.issuer)} is trusted here and good for {days} days")]


def _in_front(settings: Settings) -> list[Check]:
    """A production issuer has a proxy in front: the broker itself speaks no TLS."""
    if settings.loopback:
        return []
    if not settings.trusted_proxies:
        fix = "Set BROKER_TRUSTED_PROXIES to the address or network of the proxy that ends TLS, such as 10.0.0.0/8."
        return [warn(PROXY, "No proxy is trusted: rate limits and the audit trail take it for the only caller", fix)]
    return [ok(PROXY, f"Forwarded addresses count from {', '.join(settings.trusted_proxies)}")]
