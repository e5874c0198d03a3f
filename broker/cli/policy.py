"""`mcp-broker policy explain`: what the rules decide about somebody, which rule decided, and what would change it.

The person is as the sign-in knows them that this app's grant hangs on; where there is none, every live sign-in is judged, the newest
first. Options say otherwise, or describe somebody unknown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import typer

from broker.cli.context import (
    REFUSED,
    UNUSABLE,
    AsJson,
    ConfigFile,
    Desk,
    Overrides,
    at_desk,
    new_group,
    plain,
    print_json,
    settings_from,
    stop,
)
from broker.cli.explanation import Told, as_lines, as_object
from broker.cli.sign_ins import SignIn, sign_ins
from broker.config.faults import Wrong
from broker.config.kinds import duration
from broker.config.resources import find
from broker.model import Client, ClientSource, Identity, Resource
from broker.oauth import InvalidScope
from broker.policy import NOT_SUPPOSED, AccessRequest, Policy
from broker.policy.of_client import explained
from broker.protocol.scope import requested
from broker.settings import Settings

EXAMPLE = "Example: mcp-broker policy explain --user alice@example.com --client inspector --resource files --scope files:write"
NOBODY = "nobody known"  # stands for the subjects of somebody who never signed in
app = new_group(
    "Who gets what, and why.",
    example="mcp-broker policy explain --user alice@example.com --client notebook --resource files",
)


@app.callback()
def keep_as_group() -> None:
    """Keep `explain` a command of its own, however few there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """What options say about the person; None and empty: nothing. `login_age` in seconds."""

    provider: str | None
    email: str | None
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    organizations: tuple[str, ...]
    tenant: str | None
    acr: str | None
    amr: tuple[str, ...]
    login_age: int | None

    @property
    def anything(self) -> bool:
        """Whether anything is supposed at all."""
        return any(value not in (None, ()) for value in asdict(self).values())

    def over(self, identity: Identity, now: int) -> Identity:
        """Return the person with what is supposed over what is known."""
        attributes = {
            "role": self.roles,
            "organization": self.organizations,
            "tenant": () if self.tenant is None else (self.tenant,),
        }
        changes: dict[str, Any] = {
            "provider": self.provider,
            "email": self.email,
            "email_verified": True if self.email else None,
            "groups": self.groups or None,
            "acr": self.acr,
            "amr": self.amr or None,
            "auth_time": None if self.login_age is None else now - self.login_age,
            "auth_time_stated": None if self.login_age is None else True,
            "attributes": {**identity.attributes, **{name: values for name, values in attributes.items() if values}},
        }
        return replace(identity, **{name: value for name, value in changes.items() if value is not None})


User = Annotated[str, typer.Option("--user", help="Our subject, the upstream subject, or an e-mail address.")]
App = Annotated[str, typer.Option("--client", help="The app's client id.")]
Server = Annotated[str, typer.Option("--resource", help="The MCP server's id or URL.")]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", metavar="SCOPE", help="What is asked for (default: the server's defaults); repeatable."),
]
Provider = Annotated[str | None, typer.Option("--provider", help="Suppose this identity provider.")]
Email = Annotated[str | None, typer.Option("--email", help="Suppose this e-mail address, verified.")]
Groups = Annotated[list[str] | None, typer.Option("--group", metavar="GROUP", help="Suppose these groups; repeatable.")]
Roles = Annotated[list[str] | None, typer.Option("--role", metavar="ROLE", help="Suppose these roles; repeatable.")]
Organizations = Annotated[
    list[str] | None, typer.Option("--organization", metavar="NAME", help="Suppose these organisations; repeatable.")
]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Suppose this tenant.")]
Acr = Annotated[str | None, typer.Option("--acr", help="Suppose this acr, as ACR_MAP calls it.")]
Amr = Annotated[list[str] | None, typer.Option("--amr", metavar="METHOD", help="Suppose these methods; repeatable.")]
LoginAge = Annotated[
    str | None, typer.Option("--login-age", metavar="SPAN", help="Suppose a sign-in of this age, such as 5m.")
]


@app.command(epilog=EXAMPLE)
def explain(
    *,
    user: User,
    client: App,
    resource: Server,
    scope: Scopes = None,
    provider: Provider = None,
    email: Email = None,
    group: Groups = None,
    role: Roles = None,
    organization: Organizations = None,
    tenant: Tenant = None,
    acr: Acr = None,
    amr: Amr = None,
    login_age: LoginAge = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Print the decision about a person, the rule that made it, and what would change it; status 1 where it is a refusal.

    Somebody who signed in several times is judged as the sign-in knows them that the app's grant hangs on, else as the newest; what
    is decided about the others is told as well.
    """
    supposed = Supposed(
        provider=provider,
        email=email,
        groups=tuple(group or ()),
        roles=tuple(role or ()),
        organizations=tuple(organization or ()),
        tenant=tenant,
        acr=acr,
        amr=tuple(amr or ()),
        login_age=_seconds(login_age),
    )
    settings = settings_from(config_file, overrides)
    if provider is not None and provider not in {p.id for p in settings.providers}:
        known = ", ".join(p.id for p in settings.providers) or "none"
        raise typer.BadParameter(f"{provider!r} is not configured: {known}", param_hint="--provider")
    asked = _Question(user, client, _resource(settings, resource), " ".join(scope) if scope else None, supposed)
    policy = Policy(settings)
    found, blocked = at_desk(settings, asked.requests)
    told = [Told(sign_in, request, explained(policy, request, blocked=blocked)) for sign_in, request in found]
    if as_json:
        print_json(as_object(told))
    else:
        for line in as_lines(told):
            typer.echo(plain(line))
    if not told[0].why.decision.allowed:
        raise typer.Exit(REFUSED)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked about whom, as the command line says it."""

    user: str
    client: str
    resource: Resource
    scope: str | None
    supposed: Supposed

    async def requests(self, desk: Desk) -> tuple[list[tuple[SignIn, AccessRequest]], bool]:
        """Return what would be asked, once for each sign-in by which the database knows the person, and whether the app is blocked."""
        try:
            scopes = requested(self.resource, self.scope)
        except InvalidScope:
            raise typer.BadParameter("write scopes such as files:read", param_hint="--scope") from None
        now, person, client = desk.clock.now(), await self._person(desk), await self._app(desk)
        found = sign_ins(
            person,
            await desk.store.holdings(person.subject, now=now),
            client_id=client.client_id,
            resource=self.resource.url,
            provider=self.supposed.provider,
        )
        asked = [
            (
                one,
                AccessRequest(
                    identity=self.supposed.over(one.identity, now),
                    client=client,
                    resource=self.resource,
                    scopes=scopes,
                    now=now,
                ),
            )
            for one in found
        ]
        return asked, self.client in await desk.store.blocked_clients()

    async def _app(self, desk: Desk) -> Client:
        configured = next((c for c in desk.settings.clients if c.client_id == self.client), None)
        known = configured or await desk.store.find_client(self.client)
        if known is None and not self.client.startswith("https://"):
            typer.echo(f"mcp-broker: no client {self.client} is registered here; its id alone is judged.", err=True)
        source = ClientSource.METADATA_DOCUMENT
        return known or Client(client_id=self.client, name=self.client, source=source, redirect_uris=())

    async def _person(self, desk: Desk) -> Identity:
        people = await desk.store.find_people(self.user)
        here = [p for p in people if p.provider == self.supposed.provider]
        if len(people) > 1 and len(here) != 1:
            found = ", ".join(f"{p.subject} ({p.provider})" for p in people)
            stop(f"{self.user} is several people: {found}. Say which one with --user or --provider.", UNUSABLE)
        return (here or people or [_stranger(self.user, self.supposed, desk.settings)])[0]


def _stranger(user: str, supposed: Supposed, settings: Settings) -> Identity:
    """Return somebody of whom nothing is known but the name; everything that is not supposed is unknown."""
    if not supposed.anything:
        stop(f"nobody is known as {user}. Describe them: --provider, --group, --email and the like.", UNUSABLE)
    provider = supposed.provider or (settings.providers[0].id if len(settings.providers) == 1 else None)
    if provider is None:
        raise typer.BadParameter(f"nobody is known as {user}: say how they would sign in", param_hint="--provider")
    address = "@" in user
    return Identity(
        subject=user if user.startswith("u_") else NOBODY,
        provider=provider,
        upstream_issuer=next((p.adapter.issuer for p in settings.providers if p.id == provider), ""),
        upstream_subject=NOBODY if address else user,
        auth_time=0,
        email=user if address else None,
        email_verified=address,
        groups_unknown=NOT_SUPPOSED,
    )


def _resource(settings: Settings, named: str) -> Resource:
    found = find(settings.resources, named)
    if found is None:
        known = ", ".join(r.id for r in settings.resources) or "none"
        raise typer.BadParameter(f"{named!r} is not configured: {known}", param_hint="--resource")
    return found


def _seconds(span: str | None) -> int | None:
    try:
        return None if span is None else int(duration(least=0).parse(span))
    except Wrong as wrong:
        raise typer.BadParameter(f"it {wrong.wrong}: {wrong.mend}", param_hint="--login-age") from None
