"""Gives back to the providers what a person held who was ended by a command: after that end, and whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import typer

from broker.cli.context import Desk, with_master_key
from broker.model import Holdings, UpstreamSession
from broker.seal import Sealer, WrongMasterKey
from broker.store.base import Store, StoreMisconfigured, StoreUnavailable


async def sessions_of(store: Store, held: Holdings) -> list[UpstreamSession]:
    """Return each upstream session with tokens that sessions and grants hang on, once; to be asked before they end."""
    found = {one.upstream.upstream_session_id: one.upstream for one in held.sessions}
    for named in {grant.upstream_session_id for grant in held.grants if grant.upstream_session_id} - set(found):
        session = await store.find_upstream_session(named)
        if session is not None:
            found[named] = session
    return [session for session in found.values() if session.sealed_tokens is not None]


async def give_back(desk: Desk, sessions: Sequence[UpstreamSession]) -> int:
    """Give the tokens of sessions that have ended back; return how many providers took. What fails is told on standard error."""
    from broker.upstream.configured import Upstream  # noqa: PLC0415 - these import the adapters
    from broker.upstream.giving_back import GivesBack  # noqa: PLC0415
    from broker.upstream.vault import TokenVault  # noqa: PLC0415
    from providers.http import open_http  # noqa: PLC0415
    from providers.registry import build  # noqa: PLC0415

    concerned = {session.identity.provider for session in sessions}
    configured = [p.adapter for p in desk.settings.providers if p.id in concerned]
    if not configured:
        return 0
    try:
        vault = TokenVault(Sealer(with_master_key(desk.settings).master_keys, desk.entropy))
    except (WrongMasterKey, StoreMisconfigured) as fault:
        return _not_given_back(str(fault))
    async with AsyncExitStack() as stack:
        adapters = {}
        for settings in configured:
            http = open_http(settings)
            stack.push_async_callback(http.aclose)
            adapters[settings.id] = build(settings, http, desk.clock.now)
        gives_back = GivesBack(
            Upstream(adapters, desk.settings), store=desk.store, vault=vault, audit=desk.audit, clock=desk.clock
        )
        try:
            taken = await asyncio.gather(*(gives_back.give_back(session) for session in sessions))
        except StoreUnavailable as fault:
            return _not_given_back(str(fault))
        return sum(taken)


def _not_given_back(why: str) -> int:
    typer.echo(
        f"mcp-broker: warning, everything here has ended, but nothing was given back to the provider: {why}", err=True
    )
    return 0
