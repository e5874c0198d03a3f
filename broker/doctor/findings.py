"""Findings: how they are made, how several examinations run side by side, and that no secret stands in one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from broker.settings import Settings
from providers.base import Check, Verdict

LEAST_SECRET = 4  # characters; anything shorter stands in ordinary words


def ok(name: str, detail: str) -> Check:
    """Return that something is as it should be."""
    return Check(name=name, status=Verdict.OK, detail=detail)


def warn(name: str, detail: str, fix: str) -> Check:
    """Return that something works and may not be meant, or could not be told."""
    return Check(name=name, status=Verdict.WARN, detail=detail, fix=fix)


def fail(name: str, detail: str, fix: str) -> Check:
    """Return that something does not work."""
    return Check(name=name, status=Verdict.FAIL, detail=detail, fix=fix)


def counted(number: int, thing: str) -> str:
    """Return how many there are, in words: 1 provider, 2 providers."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


async def side_by_side(examinations: Mapping[str, Awaitable[Sequence[Check]]]) -> list[Check]:
    """Return what each found, in their order. One that breaks is a finding of its own and spoils no other.

    A third party's adapter may raise anything; its text is not repeated, since it may quote what must not be shown.
    """
    found = await asyncio.gather(*examinations.values(), return_exceptions=True)
    checks: list[Check] = []
    for name, result in zip(examinations, found, strict=True):
        if isinstance(result, BaseException):
            fix = "Report it with this word to whoever wrote the adapter, or to this project."
            checks.append(fail(name, f"The examination itself broke: {type(result).__name__}", fix))
        else:
            checks += result
    return checks


def without_secrets(checks: Iterable[Check], settings: Settings) -> list[Check]:
    """Return the findings with every configured secret replaced by three stars: the last line of defence."""
    secrets = sorted({s for s in _secrets(settings) if len(s) >= LEAST_SECRET}, key=len, reverse=True)

    def masked(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        return text

    return [replace(check, detail=masked(check.detail), fix=masked(check.fix)) for check in checks]


def _secrets(settings: Settings) -> Iterable[str]:
    for provider in settings.providers:
        yield provider.adapter.client_secret or ""
        yield provider.adapter.options.get("private_key", "")
        yield from _password(provider.adapter.proxy)
    yield from _password(settings.cimd_proxy)
    yield from _password(settings.database_url.reveal())
    yield settings.dcr_token.reveal() if settings.dcr_token else ""


def _password(url: str | None) -> Iterable[str]:
    """Yield the password in a URL, as written and as meant."""
    before, at, _ = (url or "").rpartition("@")
    written = before.partition("://")[2].partition(":")[2] if at else ""
    yield written
    yield unquote(written)


def host_of(url: str) -> str:
    """Return a URL's host with its port, for a sentence."""
    return urlsplit(url).netloc
