"""What `mcp-broker doctor` examines, constructed: the opened store, the keys, an adapter for each provider. In a fixed order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from broker.cli.context import REFUSALS, Desk, open_desk, with_master_key
from broker.clock import Clock, Entropy, SystemClock
from broker.config import Examined
from broker.config.providers import is_open
from broker.config.table import provider_table
from broker.doctor import configuration, database, issuer, provider, resource, signing
from broker.doctor.canary import Canary
from broker.doctor.findings import fail, ok, side_by_side, without_secrets
from broker.doctor.provider import Patient
from broker.doctor.web import Web
from broker.keys import SigningKeys
from broker.model import Resource
from broker.seal import Sealer
from broker.settings import ProviderConfig, Settings
from broker.store.url import SqliteUrl, parse
from providers.base import Check, ProviderSettings, ProviderSettingsError, ProviderType, Verdict
from providers.http import UpstreamHttp, open_http
from providers.registry import build

DISCOVERY = "/.well-known/openid-configuration"


def examine(
    found: Examined,
    providers: Sequence[ProviderConfig],
    resources: Sequence[Resource],
    types: Mapping[str, ProviderType],
) -> list[Check]:
    """Return every finding about these settings, these providers and these MCP servers; no secret stands in one."""
    checks = asyncio.run(_examine(found, providers, resources, types))
    return without_secrets(checks, found.settings)


async def _examine(
    found: Examined,
    providers: Sequence[ProviderConfig],
    resources: Sequence[Resource],
    types: Mapping[str, ProviderType],
) -> list[Check]:
    settings, web = found.settings, Web()
    checks = configuration.examine(found)
    async with AsyncExitStack() as stack:
        desk = await _open(stack, settings, checks)
        clock: Clock = desk.clock if desk else SystemClock()
        kids, canary = await _keys(desk, checks) if desk else (None, None)
        patients = [_patient(settings, config, types[config.adapter.type], (stack, clock)) for config in providers]
        outside: dict[str, Awaitable[Sequence[Check]]] = {"issuer": issuer.examine(settings, web, clock, kids)}
        outside |= {f"{p.config.id}: {provider.EXAMINATION}": provider.examine(p, clock) for p in patients}
        make = canary.token if canary else None
        outside |= {f"{r.id}: examination": resource.examine(r, settings.issuer, web, make) for r in resources}
        return checks + await side_by_side(outside)


async def _open(stack: AsyncExitStack, settings: Settings, checks: list[Check]) -> Desk | None:
    """Return the opened store, or None and say why."""
    url = settings.database_url.reveal()
    looked = await database.schema(url)
    checks += looked
    if any(check.status is not Verdict.OK for check in looked):
        return None
    try:
        desk = await stack.enter_async_context(open_desk(settings))
    except REFUSALS as fault:
        checks.append(database.unavailable(str(fault), url))
        return None
    kind = "The SQLite file" if isinstance(parse(url), SqliteUrl) else "PostgreSQL"
    checks += [ok(database.STORE, f"{kind} answers"), database.clock(desk.clock.offset)]
    return desk


async def _keys(desk: Desk, checks: list[Check]) -> tuple[list[str] | None, Canary | None]:
    """Judge the keys; return the ids of the published ones, and the canary where its token can be signed."""
    settings, now = desk.settings, desk.clock.now()
    try:
        ring = (await desk.store.load_keys()).keys
        sealer = _sealer(settings, desk.entropy)
    except REFUSALS as fault:
        checks.append(fail(signing.MASTER_KEY, str(fault), signing.RESTORE))
        return None, None
    if sealer is None:
        checks += [signing.missing_master_key(ring), *signing.signing_keys(settings, ring, now)]
        return signing.published(ring, now), None
    keys = SigningKeys(
        store=desk.store, sealer=sealer, clock=desk.clock, entropy=desk.entropy, audit=desk.audit, settings=settings
    )
    judged = await signing.master_key(keys, ring, sealer)
    checks += [judged, *signing.signing_keys(settings, ring, now)]
    if judged.status is Verdict.FAIL or not ring:
        return signing.published(ring, now), None
    canary = Canary(settings, keys=keys, store=desk.store, audit=desk.audit, clock=desk.clock, entropy=desk.entropy)
    return signing.published(ring, now), canary


def _sealer(settings: Settings, entropy: Entropy) -> Sealer | None:
    """Return what opens the keys; None where the master key is the one that the first start makes. Raises WrongMasterKey."""
    place = parse(settings.database_url.reveal())
    made_here = isinstance(place, SqliteUrl) and Path(f"{place.path}.key").exists()
    if not settings.master_keys and not made_here:
        return None
    return Sealer(with_master_key(settings).master_keys, entropy)


def _patient(
    settings: Settings, config: ProviderConfig, kind: ProviderType, life: tuple[AsyncExitStack, Clock]
) -> Patient:
    """Return one provider as it is examined, with an HTTP client of its own that the stack closes."""
    stack, clock = life
    patient = Patient(
        config=config,
        redirect_uri=settings.url(f"/callback/{config.id}"),
        restricted=_restricted(config, kind),
        names=frozenset(provider_table({kind.name: kind})) - {"type"},
    )
    try:
        http = open_http(config.adapter)
        stack.push_async_callback(http.aclose)
        adapter = build(config.adapter, http, clock.now)
    except ProviderSettingsError as fault:
        return replace(patient, fault=str(fault))
    return replace(patient, adapter=adapter, date=_date(http, config.adapter))


def _restricted(config: ProviderConfig, kind: ProviderType) -> bool:
    """Tell whether not everybody on the internet can sign in."""
    options = config.adapter.options
    return not is_open(
        kind,
        {**options, "allowed_domains": config.allowed_domains, "allowed_groups": config.allowed_groups},
        options,
        config.adapter.issuer,
    )


def _date(http: UpstreamHttp, settings: ProviderSettings) -> Callable[[], Awaitable[str | None]]:
    """Return how to learn the provider's time: every answer has it, whatever its status."""
    url = settings.options.get("discovery_url") or settings.issuer.removesuffix("/") + DISCOVERY

    async def date() -> str | None:
        return (await http.get_json(url, operation="clock")).headers.get("date")

    return date
