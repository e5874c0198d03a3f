"""`mcp-broker serve`: from settings to a running server, with a sentence for every reason not to start (rule G16)."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from broker.app import create_admin_app, create_app
from broker.audit import Audit
from broker.cli.context import why_refused, with_master_key
from broker.clock import SystemClock, SystemEntropy
from broker.config import Examined
from broker.connections import FEWEST, Limits
from broker.core import Broker
from broker.edge import common_headers
from broker.keys import WrongMasterKey
from broker.reload import PolicyReload
from broker.server import Listener, Stop, bind
from broker.settings import Address
from broker.store.base import SchemaOutdated, StoreLocked, StoreMisconfigured, StoreUnavailable
from broker.store.open import open_store
from broker.wire import Refused, ServerLog
from providers.http import open_http

REFUSED = 1


class CannotStart(Exception):
    """Why the server does not start, in one sentence for the terminal."""


def run(began: Examined, file: Path, read: Callable[[], Examined]) -> int:
    """Serve until SIGTERM; return the exit status. `file` holds the settings and `read` reads them again, for the policy rules."""
    try:
        _run(_serve(began, file, read))
    except (CannotStart, StoreLocked, StoreMisconfigured, SchemaOutdated, WrongMasterKey) as error:
        sys.stderr.write(f"mcp-broker: {error}\n")
        return REFUSED
    except StoreUnavailable as error:
        sys.stderr.write(f"mcp-broker: {why_refused(error, began.settings)}\n")
        return REFUSED
    return 0


def _run(main: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(main)
        return
    import uvloop  # noqa: PLC0415 - not on every platform

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def _serve(began: Examined, file: Path, read: Callable[[], Examined]) -> None:
    settings = began.settings
    clock, entropy = SystemClock(), SystemEntropy()
    audit = Audit(clock, level=settings.log_level, text=settings.log_format == "text")
    ServerLog(audit).install()
    settings = with_master_key(settings)
    public, admin = _bind(settings.bind, "BROKER_BIND"), _bind(settings.admin_bind, "BROKER_ADMIN_BIND")
    store = open_store(settings.database_url.reveal(), sink=audit.emit, clock=clock, serving=True)
    app = create_app(settings, store=store, clock=clock, entropy=entropy, http=open_http, audit=audit)
    broker: Broker = app.state.broker
    stop = Stop()
    stop.install()
    await broker.start()
    gc.collect()
    gc.freeze()  # what lives as long as the process is not looked at again and again
    reload = PolicyReload(read, file, began, policy=broker.core.policy, store=store, audit=audit)
    stop.on_hangup(reload.ask)
    refused = Refused(audit, clock=clock, entropy=entropy, headers=common_headers(settings))
    # A limit of its own: probes are answered however many connections the public listener has.
    probes = Limits(connections=FEWEST)
    listeners = [
        Listener(app, public, refused=refused),
        Listener(create_admin_app(broker), admin, limits=probes, refused=refused),
    ]
    for provider in settings.providers:
        audit.log("provider.enabled", provider=provider.id, type=provider.adapter.type, by=provider.enabled_by)
    for warning in settings.warnings:
        audit.log("settings.warning", "warning", text=warning)
    audit.log("server.started", issuer=settings.issuer, bind=f"{settings.bind.host}:{settings.bind.port}")
    running = [asyncio.create_task(listener.run_until_stopped()) for listener in listeners]
    watching = asyncio.create_task(reload.watch())
    try:
        await _until_asked(stop, running)
        broker.readiness.draining = True
        for listener in listeners:
            listener.leave()
        audit.log("server.draining", seconds=settings.drain)
        await stop.drained(settings.drain)
    finally:
        watching.cancel()
        for listener in listeners:
            listener.should_exit = True
        await asyncio.gather(*running)
        await broker.stop()
        audit.log("server.stopped")


async def _until_asked(stop: Stop, running: list[asyncio.Task[None]]) -> None:
    asked = asyncio.create_task(stop.asked.wait())
    await asyncio.wait([asked, *running], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()


def _bind(address: Address, setting: str) -> socket.socket:
    try:
        return bind(address)
    except OSError as error:
        where = f"{address.host}:{address.port}"
        raise CannotStart(
            f"cannot listen on {where}: {error.strerror}. Change {setting}, or stop what listens there."
        ) from None
