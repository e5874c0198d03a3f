"""The composition root: a straight list of constructions; nothing else constructs collaborators.

A feature is a module and a line here. Refusals that no page explains are mapped to the wire in `answers`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from broker.answers import Answers
from broker.audit import Audit, place_of
from broker.client_auth import ClientAuthenticator
from broker.client_gate import ClientGate
from broker.clients import ClientResolver
from broker.clock import Clock, Entropy
from broker.core import Broker, Core
from broker.dispatch import Dispatcher
from broker.edge import Edge
from broker.endpoints.authorize import Authorize
from broker.endpoints.backchannel_logout import BackchannelLogout
from broker.endpoints.callback import Callback
from broker.endpoints.consent import Consent
from broker.endpoints.debug_login import DebugLogin
from broker.endpoints.discovery import DescribesItself, Discovery
from broker.endpoints.introspect import Introspect
from broker.endpoints.jwks import Jwks
from broker.endpoints.logout import Logout
from broker.endpoints.probes import Probes, Readiness
from broker.endpoints.register import Register
from broker.endpoints.revoke import Revoke
from broker.endpoints.token import Token
from broker.grants.authorization_code import AuthorizationCodeGrant
from broker.grants.refresh_token import RefreshTokenGrant
from broker.keys import SigningKeys
from broker.login.approvals import Approvals
from broker.login.browser import BrowserCookies
from broker.login.code_issuer import CodeIssuer
from broker.login.consent_page import ConsentPage
from broker.login.refusals import Refusals
from broker.login.returns import Returns
from broker.login.sessions import Sessions
from broker.login.sign_in import SignIn
from broker.metrics import Metrics
from broker.oauth import OAuthError, Reason, ServerError
from broker.outbound import GuardedFetcher
from broker.own_tokens import OwnTokens
from broker.pages import Pages
from broker.policy import Policy
from broker.seal import Sealer
from broker.settings import Settings
from broker.store.base import Store, StoreUnavailable
from broker.token_issuer import TokenIssuer
from broker.upstream.configured import Upstream
from broker.upstream.giving_back import GivesBack
from broker.upstream.recheck import Recheck
from broker.upstream.vault import TokenVault
from broker.web import Document, error_response
from providers.base import ProviderSettings
from providers.http import UpstreamHttp
from providers.registry import build


class HttpFactory(Protocol):
    """Makes one upstream HTTP client for each provider."""

    def __call__(self, settings: ProviderSettings, *, observe: Callable[[str, float], None]) -> UpstreamHttp:
        """Return a client of its own: time-outs, CA, proxy, failure domain."""
        ...


class HasRoutes(Protocol):
    """An endpoint."""

    def routes(self) -> list[Route]:
        """Return its routes, without the issuer's path."""
        ...


def create_app(
    settings: Settings, *, store: Store, clock: Clock, entropy: Entropy, http: HttpFactory, audit: Audit
) -> Starlette:
    """Return the public application; `app.state.broker` is what to start and stop (its lifespan does so where nobody else did)."""
    metrics = Metrics()
    audit.listen(metrics.count_event)
    store.observe(metrics.store)
    sealer = Sealer(settings.master_keys, entropy)
    fetcher = GuardedFetcher(settings, clock=clock)
    adapters = [p.adapter for p in settings.providers]
    upstream_http = {a.id: http(a, observe=metrics.upstream(a.id)) for a in adapters}
    upstream = Upstream({a.id: build(a, upstream_http[a.id], clock.now) for a in adapters}, settings)
    vault = TokenVault(sealer)
    core = Core(
        settings=settings,
        store=store,
        clock=clock,
        entropy=entropy,
        audit=audit,
        sealer=sealer,
        keys=SigningKeys(store=store, sealer=sealer, clock=clock, entropy=entropy, audit=audit, settings=settings),
        policy=Policy(settings),
        fetcher=fetcher,
        clients=ClientResolver(settings, store=store, fetcher=fetcher, clock=clock),
        upstream=upstream,
        vault=vault,
        recheck=Recheck(upstream, store=store, vault=vault, audit=audit, clock=clock, entropy=entropy),
        gives_back=GivesBack(upstream, store=store, vault=vault, audit=audit, clock=clock),
        upstream_http=tuple(upstream_http.values()),
        pages=Pages(),
        metrics=metrics,
        readiness=Readiness(),
    )
    broker = Broker(core)
    login, tokens = login_endpoints(core), token_endpoints(core)
    discovery = Discovery(settings, [e for e in (*tokens, *login) if isinstance(e, DescribesItself)])
    if settings.secure_cookies:  # on loopback http the rest of the document is the same
        discovery.validate()
    under_issuer = [route for endpoint in (*tokens, *login, discovery) for route in endpoint.routes()]
    routes = [_at(settings.issuer_path, route) for route in under_issuer]
    routes += [*discovery.root_routes(settings.issuer_path), *probes(broker).routes()]
    return _application(broker, routes, bound_to_loopback=settings.bind.loopback)


def create_admin_app(broker: Broker) -> Starlette:
    """Return the application of the admin listener: probes and metrics."""
    routes = probes(broker).admin_routes()
    return _application(broker, routes, bound_to_loopback=broker.core.settings.admin_bind.loopback)


def login_endpoints(core: Core) -> tuple[HasRoutes, ...]:
    """Return the endpoints that a browser visits."""
    settings, store, clock, entropy, audit = core.settings, core.store, core.clock, core.entropy, core.audit
    cookies = BrowserCookies(settings)
    sessions = Sessions(store, clock, settings, core.policy, core.recheck)
    refusals = Refusals(settings.issuer, core.pages, store, audit)
    page = ConsentPage(
        settings,
        pages=core.pages,
        sealer=core.sealer,
        cookies=cookies,
        clock=clock,
        entropy=entropy,
        providers=core.upstream.buttons(),
    )
    approvals = approvals_of(core)
    sign_in = SignIn(core.upstream, store=store, vault=core.vault, clock=clock, entropy=entropy, audit=audit)
    returns = Returns(core.upstream, approvals, store=store, cookies=cookies, audit=audit, clock=clock)
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(settings.issuer))
    debug = debug_login(core, approvals, returns, (sign_in, sessions, core.policy), cookies)
    return (
        Authorize(
            settings,
            clients=core.clients,
            store=store,
            sessions=sessions,
            cookies=cookies,
            page=page,
            refusals=refusals,
        ),
        Consent(
            origin,
            clients=core.clients,
            sessions=sessions,
            cookies=cookies,
            page=page,
            approvals=approvals,
            refusals=refusals,
        ),
        Callback(
            returns,
            approvals=approvals,
            sign_in=sign_in,
            page=page,
            refusals=refusals,
            cookies=cookies,
            debug=debug.finish if debug else None,
        ),
        Logout(
            core.upstream,
            gives_back=core.gives_back,
            store=store,
            cookies=cookies,
            pages=core.pages,
            clock=clock,
            audit=audit,
        ),
        BackchannelLogout(core.upstream, store=store, clock=clock, audit=audit),
        *([debug] if debug else []),
    )


def approvals_of(core: Core) -> Approvals:
    """Return what turns an approval into a login at a provider, or into a code."""
    store, clock, entropy, audit = core.store, core.clock, core.entropy, core.audit
    return Approvals(
        core.upstream,
        store=store,
        sealer=core.sealer,
        policy=core.policy,
        codes=CodeIssuer(core.settings.issuer, store=store, keys=core.keys, clock=clock, entropy=entropy, audit=audit),
        audit=audit,
        time=(clock, entropy),
    )


def debug_login(
    core: Core,
    approvals: Approvals,
    returns: Returns,
    people: tuple[SignIn, Sessions, Policy],
    cookies: BrowserCookies,
) -> DebugLogin | None:
    """Return the debug page where its switch is on (rule G12)."""
    if not core.settings.debug_login:
        return None
    return DebugLogin(
        core.settings,
        core.upstream.buttons(),
        approvals=approvals,
        returns=returns,
        people=people,
        pages=core.pages,
        edge=(cookies, core.clock, core.entropy),
    )


def token_endpoints(core: Core) -> tuple[HasRoutes, ...]:
    """Return the endpoints that programs call."""
    settings, store, clock, entropy, audit = core.settings, core.store, core.clock, core.entropy, core.audit
    issuer = settings.issuer
    client_auth = ClientAuthenticator(settings, clients=core.clients, store=store, clock=clock)
    gate = ClientGate(core.clients, client_auth)
    own = OwnTokens(issuer, store=store, keys=core.keys)
    grants = (
        AuthorizationCodeGrant(store=store, policy=core.policy, entropy=entropy, audit=audit, settings=settings),
        RefreshTokenGrant(
            store=store,
            tokens=own,
            recheck=core.recheck,
            policy=core.policy,
            entropy=entropy,
            audit=audit,
            settings=settings,
        ),
    )
    token_issuer = TokenIssuer(issuer, settings.signing_alg, keys=core.keys, clock=clock, minted=own.minted)
    return (
        Token(issuer, gate=gate, grants=grants, tokens=token_issuer, clock=clock),
        Introspect(issuer, resources=settings.resources, tokens=own, store=store, clock=clock),
        Revoke(issuer, gate=gate, tokens=own, store=store, clock=clock, audit=audit),
        Register(settings, store=store, clock=clock, entropy=entropy, audit=audit),
        Jwks(issuer, core.keys),
    )


def probes(broker: Broker) -> Probes:
    """Return the probes of a broker."""
    core = broker.core
    return Probes(core.readiness, store=core.store, metrics=core.metrics, measure=broker.measure)


def _at(prefix: str, route: Route) -> Route:
    """Return a route of ours under the issuer's path."""
    return Route(prefix + route.path, route.endpoint, methods=[m for m in route.methods or () if m != "HEAD"])


CORS = ("/token", "/register", "/revoke", "/.well-known/")


def _application(broker: Broker, routes: list[Route], *, bound_to_loopback: bool) -> Starlette:
    core = broker.core
    paths = [route.path for route in routes]
    prefix = core.settings.issuer_path

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        owner = not core.readiness.started
        await broker.start()
        yield
        if owner:
            await broker.stop()

    answers = Answers(prefix, pages=core.pages, audit=core.audit)
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    handlers = {
        OAuthError: answers.refused,
        StoreUnavailable: answers.store_down,
        HTTPException: answers.no_such_thing,
    }
    rest = ExceptionMiddleware(app.router, handlers=handlers)
    # In place of Starlette's own stack, whose outermost layer would answer errors in its own words.
    app.middleware_stack = Edge(
        Guard(Dispatcher(routes, otherwise=rest, answers=answers), core.audit),
        settings=core.settings,
        bound_to_loopback=bound_to_loopback,
        metrics=core.metrics,
        entropy=core.entropy,
        paths={route.path: route.endpoint if isinstance(route.endpoint, Document) else None for route in routes},
        cors_paths=[p for p in paths if p.removeprefix(prefix).startswith(CORS) or p.startswith("/.well-known/")],
    )
    app.state.broker = broker
    return app


class Guard:
    """Catches what nobody foresaw: logs where it happened, never what it held, and answers 500 (rule G13)."""

    def __init__(self, app: ASGIApp, audit: Audit) -> None:
        """Keep the log."""
        self._app = app
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; the only broad except of the program."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the last resort, and the only one
            self._audit.log("request.failed", "error", kind=type(error).__name__, place=place_of(error))
            if not scope.get("state", {}).get("answered"):  # the edge takes note of the first message
                await error_response(ServerError(Reason.OUTAGE))(scope, receive, send)
