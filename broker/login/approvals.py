"""What follows an approval: a login at the identity provider, or a code at once for who is signed in (architecture, section 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Unpack

from broker.audit import Audit, Event
from broker.audit_fields import Fields
from broker.clock import Clock, Entropy
from broker.login import step_up as stepping
from broker.login.browser import LOGIN_LIFE
from broker.login.code_issuer import CodeIssuer
from broker.login.refusals import Words
from broker.login.step_up import NOT_ENOUGH, StepUpNeeded
from broker.model import (
    AuditEvent,
    AuthorizationRequest,
    Client,
    Identity,
    PendingLogin,
    Resource,
    Session,
    StepUp,
    digest,
)
from broker.oauth import AccessDenied, InvalidRequest, OAuthError, Reason, TemporarilyUnavailable
from broker.policy import AccessRequest, Policy
from broker.protocol.display_text import quoted
from broker.seal import Sealer
from broker.store.base import Store
from broker.upstream.configured import Upstream, in_time
from providers.base import Fault, UpstreamError, UpstreamRequest

DENIAL = "consent_denied"  # of what the store consumes once
PURPOSE = "upstream-verifier"


NOT_SET_UP = Words(
    title="The sign-in service is not set up correctly",
    what="The identity provider refused this server's own registration, or its settings are wrong. You did nothing wrong.",
    who="Your administrator can fix it: `mcp-broker doctor` names the setting, and the log has an entry with the reference below.",
)
NOT_OFFERED = Words(
    title="This way to sign in is not offered",
    what="The page that you answered named an identity provider that this server does not have, or no longer has.",
    who="Go back to the app and start the connection again; the new page shows every way to sign in.",
)
ALWAYS = {
    Reason.UPSTREAM_MISCONFIGURED: NOT_SET_UP,
    Reason.PROVIDER_UNKNOWN: NOT_OFFERED,
    Reason.STEP_UP: NOT_ENOUGH,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A request that a person approved. `source` is the address the approval came from; `remember` as `CodeIssuer.issue` takes it."""

    request_id: str
    request: AuthorizationRequest
    client: Client
    source: str
    remember: bool | None


def login_name(state_hash: bytes) -> str:
    """Return what names a login in the audit from its start to its return: nothing that the state could be told from."""
    return state_hash.hex()[:16]


class Approvals:
    """Turns approvals into pending logins and codes."""

    login_life = LOGIN_LIFE

    def __init__(
        self,
        upstream: Upstream,
        *,
        store: Store,
        sealer: Sealer,
        policy: Policy,
        codes: CodeIssuer,
        audit: Audit,
        time: tuple[Clock, Entropy],
    ) -> None:
        """Keep the collaborators."""
        self._upstream = upstream
        self._resources: Mapping[str, Resource] = {r.url: r for r in upstream.settings.resources}
        self._store = store
        self._sealer = sealer
        self._policy = policy
        self._codes = codes
        self._audit = audit
        self._clock, self._entropy = time

    async def begin_login(self, approval: Approval, provider: str, login_cookie: str | None) -> tuple[str, str]:
        """Store a pending login and return where to send the browser, with the login cookie to set.

        Raises InvalidRequest for an unknown provider or a request that was used, TemporarilyUnavailable when the provider is down.
        """
        adapter = self._upstream.providers.get(provider)
        if adapter is None:
            raise InvalidRequest(Reason.PROVIDER_UNKNOWN)
        now = self._clock.now()
        cookie = login_cookie or self._entropy.token()
        state, nonce, verifier = self._entropy.token(), self._entropy.token(), self._entropy.token(48)
        upstream = self.upstream_request(approval.request, provider, state=state, nonce=nonce, verifier=verifier)
        try:
            async with in_time():
                location = await adapter.authorization_url(upstream)
        except UpstreamError as error:
            failed = self._event(
                Event.LOGIN_FAILED, approval, provider=provider, reason=error.reason, fault=error.fault.value
            )
            await self._store.append_events([failed])  # an outage must not look like a quiet day
            reason = Reason.UPSTREAM_MISCONFIGURED if error.fault is Fault.OPERATOR else Reason.UPSTREAM_FAILED
            raise TemporarilyUnavailable(reason, retry_after=30) from None
        context = f"{provider}:{approval.request_id}"
        login = PendingLogin(
            request_id=approval.request_id,
            state_hash=digest(state),
            cookie_hash=digest(cookie),
            provider=provider,
            nonce=nonce,
            sealed_verifier=self._sealer.seal(PURPOSE, verifier.encode(), context=context, expires_at=now + LOGIN_LIFE),
            request=approval.request,
            client=approval.client,
            remember=approval.remember is True,
            source=approval.source,
            created_at=now,
            expires_at=now + LOGIN_LIFE,
        )
        if not await self._store.begin_login(
            login,
            events=[self._event(Event.LOGIN_STARTED, approval, provider=provider, login=login_name(login.state_hash))],
        ):
            raise InvalidRequest(Reason.REQUEST_USED)
        return location, cookie

    def upstream_request(
        self, request: AuthorizationRequest, provider: str, *, state: str, nonce: str, verifier: str
    ) -> UpstreamRequest:
        """Return the request as the provider sees it; built the same way before and after the redirect."""
        return UpstreamRequest(
            redirect_uri=self._upstream.callback(provider),
            state=state,
            nonce=nonce,
            code_verifier=verifier,
            login_hint=request.login_hint,
            prompt=stepping.prompt(request),
            max_age=stepping.max_age(request) if self._upstream.states_age(provider) else None,
            acr_values=request.step_up.acr_values if request.step_up else self._asked_at_once(request, provider),
        )

    def _asked_at_once(self, request: AuthorizationRequest, provider: str) -> tuple[str, ...]:
        resource = self._resources.get(request.resource)
        return () if resource is None else self._policy.asked_at_once(provider, resource)

    def open_verifier(self, login: PendingLogin) -> str:
        """Return the upstream PKCE verifier of a pending login; raises SealBroken."""
        context = f"{login.provider}:{login.request_id}"
        return self._sealer.open(PURPOSE, login.sealed_verifier, context=context, now=self._clock.now()).decode()

    async def begin_step_up(self, approval: Approval, step_up: StepUp, login_cookie: str | None) -> tuple[str, str]:
        """Store the one second login of an approval whose first is finished; returns and raises what `begin_login` does."""
        request = dataclasses.replace(approval.request, step_up=step_up)
        again = dataclasses.replace(approval, request_id=self._entropy.token(), request=request)
        event = self._audit.event(
            Event.LOGIN_STEP_UP,
            subject=step_up.subject,
            client_id=approval.client.client_id,
            resource=request.resource,
            provider=step_up.provider,
            acr_values=" ".join(step_up.acr_values) or None,
            max_age=step_up.max_age,
        )
        await self._store.append_events([event])
        return await self.begin_login(again, step_up.provider, login_cookie)

    def barred(self, identity: Identity) -> str | None:
        """Return None when the person may sign in at all, else why not."""
        return self._policy.may_sign_in(identity)

    async def issue_code(self, approval: Approval, session: Session) -> str:
        """Return the redirect that carries a code for who is signed in.

        Raises StepUpNeeded where another sign-in would permit more, once; AccessDenied when policy refuses.
        """
        identity = session.identity
        resource = self._resources.get(approval.request.resource)
        if resource is None:
            raise InvalidRequest(Reason.RESOURCE_UNKNOWN)
        decision = self._policy.decide(
            AccessRequest(
                identity=identity,
                client=approval.client,
                resource=resource,
                scopes=approval.request.scopes,
                now=self._clock.now(),
            )
        )
        if decision.step_up is not None and approval.request.step_up is None:
            raise StepUpNeeded(decision.step_up)
        if not decision.allowed:
            await self.refused(approval, identity, rule=decision.rule, reason=decision.reason)
            raise AccessDenied(Reason.STEP_UP if decision.step_up else Reason.POLICY, decision.rule)
        return await self._codes.issue(
            approval.request,
            approval.client,
            decision,
            session=session,
            request_id=approval.request_id,
            source=approval.source,
            remember=approval.remember,
        )

    async def refused(self, approval: Approval, identity: Identity, *, rule: str, reason: str) -> None:
        """Record for the administrator which rule refused whom, and why."""
        event = self._event(
            Event.LOGIN_REFUSED,
            approval,
            subject=identity.subject,
            provider=identity.provider,
            rule=rule,
            reason=reason,
            groups_unknown=identity.groups_unknown,
        )
        await self._store.append_events([event])

    async def denied(
        self, request_id: str, client: Client, request: AuthorizationRequest, *, subject: str | None
    ) -> None:
        """Record that a person said no: once for each page, since nobody has to be signed in to say it again and again."""
        now = self._clock.now()
        if not await self._store.first_use(DENIAL, request_id, expires_at=now + LOGIN_LIFE, now=now):
            return
        event = self._audit.event(
            Event.CONSENT_DENIED, subject=subject, client_id=client.client_id, resource=request.resource
        )
        await self._store.append_events([event])

    def words(self, error: OAuthError, approval: Approval) -> Words | None:
        """Return what a person is told when an approval leads nowhere: what happened, and what to ask whom for."""
        resource = self._resources.get(approval.request.resource)
        server = resource.name if resource else approval.request.resource
        wanted = " ".join(approval.request.scopes)
        if error.reason in ALWAYS:
            return ALWAYS[error.reason]
        if error.reason is Reason.SIGN_IN_BARRED:
            return Words(
                title="You may not sign in here with this account",
                what=f"Your account is not among those that may use {server} and the other servers here, and nothing was given to the app.",
                who="Use another account, or ask the administrator of your company's MCP servers to admit this one, "
                "and give them the reference below.",
            )
        if error.reason is Reason.UPSTREAM_FAILED:
            return Words(
                title="The sign-in service does not answer",
                what="The identity provider could not be reached, so nothing happened.",
                who="Try again in a minute, or choose another way to sign in. If it lasts, tell your administrator.",
            )
        if error.reason is Reason.POLICY:
            return Words(
                title=f"You are not permitted to use {server}",
                what=f"You are signed in, but no rule gives you access to {server} with what {quoted(approval.client.name)} asks for.",
                who=f"Ask the administrator of your company's MCP servers for access to {server} ({wanted}), "
                "and give them the reference below.",
            )
        return None

    def _event(
        self, name: Event, approval: Approval, *, subject: str | None = None, **fields: Unpack[Fields]
    ) -> AuditEvent:
        about: Fields = {"source": approval.source, **fields}
        return self._audit.event(
            name,
            subject=subject,
            client_id=approval.client.client_id,
            resource=approval.request.resource,
            **about,
        )
