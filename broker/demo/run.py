"""The demo put together: embedded identity provider, broker, sample MCP server, scripted client; loopback only, nothing to configure."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import tempfile
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from starlette.types import ASGIApp

from broker.app import create_app
from broker.audit import Audit
from broker.clock import Entropy, SystemClock, SystemEntropy
from broker.config import load
from broker.config.short import short_forms, switched_off
from broker.core import Broker
from broker.demo import sample_server, words
from broker.demo.idp import create_idp
from broker.demo.idp_memory import RelyingParty
from broker.demo.person import RealPerson, ScriptedPerson
from broker.demo.script import CallbackListener, run_script
from broker.demo.serving import HOST, Place, reserve, serving
from broker.demo.steps import Addresses, steps
from broker.demo.trace import Trace
from broker.server import Stop
from broker.settings import Settings
from broker.store.open import open_store
from providers.http import open_http
from providers.registry import provider_types

PORTS = {"broker": 9400, "identity provider": 9401, "MCP server": 9402, "client": 9403}
SHORT_FORMS = "BROKER_PROVIDER_ALIASES"
IDP_CLIENT = "broker"
FAILED, INTERRUPTED = 1, 130
POLICY = [
    {"name": "engineering reads and writes", "group": ["engineering"], "scopes": ["notes:read", "notes:write"]},
    {"name": "sales reads", "group": ["sales"], "scopes": ["notes:read"]},
]


@dataclass(frozen=True, slots=True)
class World:
    """One run of the demo: where everything is, the broker's settings, and the embedded provider's client where there is one."""

    at: Addresses
    places: Mapping[str, Place]
    settings: Settings
    client: RelyingParty | None

    @property
    def moved(self) -> list[str]:
        """What is not on its usual port."""
        return [name for name, place in self.places.items() if place.moved]


async def demo(environ: Mapping[str, str], out: TextIO, *, once: bool) -> int:
    """Run the demo and return its exit status: 0, 1 when a step was not seen, 130 when it was interrupted before the end.

    `environ` may name a real identity provider (OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET and the like), which then
    replaces the embedded one; raises SettingsError when that is incomplete. BROKER_PROVIDER_ALIASES=false leaves those variables to
    other programs.
    """
    folder = Path(tempfile.mkdtemp(prefix="mcp-broker-demo-"))
    status = 0
    try:
        with ExitStack() as places, log_to(folder / "demo.log") as log:
            status = await _run(prepare(environ, folder, places), str(log), out, once=once)
    finally:
        if status != FAILED:
            shutil.rmtree(folder, ignore_errors=True)
    return status


def prepare(environ: Mapping[str, str], folder: Path, stack: ExitStack) -> World:
    """Take the ports, until `stack` closes, and make the settings; raises SettingsError."""
    kinds, entropy = provider_types(), SystemEntropy()
    shorts = not switched_off(environ.get(SHORT_FORMS)) and bool(short_forms(environ, kinds))
    real = shorts or any(map(_names_provider, environ))
    places = {name: reserve(port) for name, port in PORTS.items() if not (real and name == "identity provider")}
    for place in places.values():
        stack.callback(place.socket.close)
    issuer, resource = f"{places['broker'].origin}/oauth", f"{places['MCP server'].origin}/mcp"
    callback = f"{places['client'].origin}/callback"
    client, idp = None, None
    given = {name: value for name, value in environ.items() if not name.startswith("BROKER_") or _heeded(name)}
    given |= _broker_variables(issuer, resource, places["broker"].port, folder, entropy)
    if not real:
        idp = places["identity provider"].origin
        client = RelyingParty(
            client_id=IDP_CLIENT, client_secret=entropy.token(32), redirect_uris=(f"{issuer}/callback/demo",)
        )
        given |= _idp_variables(idp, client)
    at = Addresses(issuer=issuer, resource=resource, callback=callback, idp=idp)
    return World(at, places, load(None, given, None, kinds), client)


@contextmanager
def log_to(path: Path) -> Iterator[Path]:
    """Send the broker's events and everybody's warnings to a file, so that the terminal shows the steps alone."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    root, ours = logging.getLogger(), logging.getLogger("broker")
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)  # not the HTTP client's: it would write down URLs with codes in them
    try:
        yield path
    finally:
        root.removeHandler(handler)
        ours.setLevel(level)
        handler.close()


def _heeded(name: str) -> bool:
    return _names_provider(name) or name == SHORT_FORMS


def _names_provider(name: str) -> bool:
    return name.startswith("BROKER_PROVIDERS__")


def _broker_variables(issuer: str, resource: str, port: int, folder: Path, entropy: Entropy) -> dict[str, str]:
    return {
        "BROKER_ISSUER": issuer,
        "BROKER_BIND": f"{HOST}:{port}",
        "BROKER_DATABASE_URL": f"sqlite:///{folder}/broker.db",
        "BROKER_MASTER_KEY": entropy.token(32),
        "BROKER_REDIRECT_SCHEMES": "cursor",
        "BROKER_RESOURCES__NOTES__URL": resource,
        "BROKER_RESOURCES__NOTES__NAME": sample_server.NAME,
        "BROKER_RESOURCES__NOTES__SCOPES": json.dumps(sample_server.SCOPES),
        "BROKER_RESOURCES__NOTES__DEFAULT_SCOPES": "notes:read",
    }


def _idp_variables(idp: str, client: RelyingParty) -> dict[str, str]:
    return {
        "BROKER_PROVIDERS__DEMO__TYPE": "oidc",
        "BROKER_PROVIDERS__DEMO__DISPLAY_NAME": "Demo identity provider",
        "BROKER_PROVIDERS__DEMO__ISSUER": idp,
        "BROKER_PROVIDERS__DEMO__CLIENT_ID": client.client_id,
        "BROKER_PROVIDERS__DEMO__CLIENT_SECRET": client.client_secret,
        "BROKER_POLICY": json.dumps(POLICY),
    }


async def _run(world: World, log: str, out: TextIO, *, once: bool) -> int:
    def tell(line: str) -> None:
        print(line, file=out, flush=True)

    stop = Stop()
    stop.install()
    trace = Trace(steps(world.at), out)
    listener = CallbackListener(world.at.callback, trace)
    person = ScriptedPerson(trace, account="alice", callback=world.at.callback) if world.at.idp else RealPerson(tell)
    async with AsyncExitStack() as stack:
        broker = await _start_broker(world, stack)
        apps: dict[str, ASGIApp] = {
            "broker": broker,
            "MCP server": sample_server.create_server(world.at.issuer, world.at.resource),
            "client": listener.app,
        }
        if world.at.idp and world.client:
            apps["identity provider"] = create_idp(world.at.idp, clients=[world.client])
        await stack.enter_async_context(serving(*((app, world.places[name]) for name, app in apps.items())))
        stack.push_async_callback(person.aclose)
        providers = [(config.id, config.adapter.issuer) for config in world.settings.providers]
        for line in words.opening(world.at, providers, log, world.moved):
            tell(line)
        seen = await _unless_stopped(stop, run_script(world.at, trace, person, listener))
        if seen is None:
            tell("\nStopped.")
            return INTERRUPTED
        if not seen:
            tell(f"\nThe demo failed. Its log stays in {log}")
            return FAILED
        for line in words.closing(world.at, once=once):
            tell(line)
        if not once:
            await stop.asked.wait()
            tell("\nStopped.")
    return 0


async def _start_broker(world: World, stack: AsyncExitStack) -> ASGIApp:
    clock, entropy = SystemClock(), SystemEntropy()
    audit = Audit(clock, write=logging.getLogger("broker.audit").info)
    store = open_store(world.settings.database_url.reveal(), sink=audit.emit, clock=clock, serving=True)
    app = create_app(world.settings, store=store, clock=clock, entropy=entropy, http=open_http, audit=audit)
    broker: Broker = app.state.broker
    await broker.start()
    stack.push_async_callback(broker.stop)
    return app


async def _unless_stopped(stop: Stop, run: Coroutine[None, None, bool]) -> bool | None:
    """Return what the run returns, or None when a signal ends it first."""
    running, asked = asyncio.create_task(run), asyncio.create_task(stop.asked.wait())
    try:
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        running.cancel()
        await asyncio.wait({running})
        return None
    finally:
        asked.cancel()
