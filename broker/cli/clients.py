"""`mcp-broker clients`: clients that an administrator adds, and a look at every client; blocking any of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from broker.audit import Event
from broker.cli.context import (
    AsJson,
    ConfigFile,
    Desk,
    Overrides,
    at_desk,
    new_group,
    print_json,
    print_table,
    settings_from,
    stop,
)
from broker.model import Client, ClientSource, digest
from broker.oauth import GRANT_AUTHORIZATION_CODE, GRANT_TYPES, InvalidRedirectUri
from broker.protocol.redirect_uri import check
from broker.settings import Settings

app = new_group("Clients: add one, look at them, remove or block one.", example="mcp-broker clients list --json")
ClientId = Annotated[str, typer.Argument(metavar="CLIENT_ID", help="A client id; for `block` also a document's URL.")]
MAX_NAME = 120  # characters on a consent page


@app.command(
    epilog="Example: mcp-broker clients add --name Inspector --redirect-uri http://127.0.0.1:6274/oauth/callback"
)
def add(
    *,
    name: Annotated[str, typer.Option("--name", help="The name on the consent page.")],
    redirect_uri: Annotated[
        list[str], typer.Option("--redirect-uri", metavar="URI", help="A redirect URI; may be repeated.")
    ],
    confidential: Annotated[bool, typer.Option("--confidential", help="Give it a secret, printed once.")] = False,
    grant_type: Annotated[
        list[str] | None, typer.Option("--grant-type", metavar="NAME", help="A grant; may be repeated.")
    ] = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Add a client and print its id and, once, its secret."""
    settings = settings_from(config_file, overrides)
    _check(settings, name, redirect_uri, grant_type)
    client, secret = at_desk(
        settings, lambda desk: _add(desk, name.strip(), tuple(redirect_uri), tuple(grant_type or ()), confidential)
    )
    if as_json:
        print_json({**_as_json(client, blocked=False), **({"client_secret": secret} if secret else {})})
        return
    typer.echo(f"client id:     {client.client_id}")
    if secret:
        typer.echo(f"client secret: {secret}")
        typer.echo("Keep the secret now: only its hash is stored, and it is not shown again.", err=True)


async def _add(
    desk: Desk, name: str, redirect_uris: tuple[str, ...], grants: tuple[str, ...], confidential: bool
) -> tuple[Client, str | None]:
    secret = desk.entropy.token(32) if confidential else None
    client = Client(
        client_id=f"c_{desk.entropy.token(16)}",
        name=name,
        source=ClientSource.ADDED,
        redirect_uris=tuple(dict.fromkeys(redirect_uris)),
        grant_types=tuple(dict.fromkeys(grants)) or GRANT_TYPES,
        token_endpoint_auth_method="client_secret_basic" if secret else "none",
        secret_hash=digest(secret) if secret else None,
        created_at=desk.clock.now(),
    )
    event = desk.audit.event(Event.CLIENT_ADDED, client_id=client.client_id, by="command line", client_name=name)
    if not await desk.store.save_client(client, events=[event]):
        stop("that client id is taken; run the command again")
    return client, secret


def _check(settings: Settings, name: str, redirect_uris: list[str], grants: list[str] | None) -> None:
    """Exit with 2 on options that no client may have."""
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise typer.BadParameter(f"write 1 to {MAX_NAME} printable characters", param_hint="--name")
    for uri in redirect_uris:
        try:
            check(uri, settings.redirect_schemes)
        except InvalidRedirectUri as refused:
            mend = "use https, http on loopback, or a scheme of BROKER_REDIRECT_SCHEMES"
            raise typer.BadParameter(
                f"{uri!r} is not permitted ({refused.detail}): {mend}", param_hint="--redirect-uri"
            ) from None
    for grant in grants or ():
        if grant not in GRANT_TYPES:
            raise typer.BadParameter(f"{grant!r}: use {' or '.join(GRANT_TYPES)}", param_hint="--grant-type")
    if grants and GRANT_AUTHORIZATION_CODE not in grants:
        raise typer.BadParameter(f"{GRANT_AUTHORIZATION_CODE} is needed, no other begins", param_hint="--grant-type")


@app.command("list", epilog="Example: mcp-broker clients list --json")
def list_(*, config_file: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """List configured, added and registered clients, and blocked ids."""
    settings = settings_from(config_file, overrides)
    clients, blocked = at_desk(settings, _all)
    strangers = sorted(blocked - {client.client_id for client in clients})
    if as_json:
        known = [_as_json(client, blocked=client.client_id in blocked) for client in clients]
        print_json([*known, *({"client_id": client_id, "blocked": True} for client_id in strangers)])
        return
    rows = [
        (
            client.client_id,
            client.name,
            client.source.value,
            client.token_endpoint_auth_method,
            "blocked" if client.client_id in blocked else "",
        )
        for client in clients
    ]
    rows += [(client_id, "", "", "", "blocked") for client_id in strangers]
    print_table(rows, head=("CLIENT ID", "NAME", "SOURCE", "AUTHENTICATION", ""), empty="There is no client.")


@app.command(epilog="Example: mcp-broker clients show inspector")
def show(
    client_id: ClientId, *, config_file: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Show one client."""
    settings = settings_from(config_file, overrides)
    clients, blocked = at_desk(settings, _all)
    client = next((client for client in clients if client.client_id == client_id), None)
    if client is None and client_id not in blocked:
        stop(f"there is no client {client_id}")
    known: dict[str, Any] = {"client_id": client_id, "blocked": True}
    if client is not None:
        known = _as_json(client, blocked=client_id in blocked)
    if as_json:
        print_json(known)
        return
    rows = [(key, ", ".join(value) if isinstance(value, list) else str(value)) for key, value in known.items()]
    print_table(rows, head=("FIELD", "VALUE"), empty="")


@app.command(epilog="Example: mcp-broker clients remove c_4nQmUlIXZoq0TTOqs3iT1A")
def remove(
    client_id: ClientId, *, config_file: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Remove an added or registered client and end its grants."""
    settings = settings_from(config_file, overrides)
    if any(client.client_id == client_id for client in settings.clients):
        stop(f"{client_id} is configured: remove it from the settings, or block it")

    async def work(desk: Desk) -> bool:
        event = desk.audit.event(Event.CLIENT_REMOVED, client_id=client_id, by="command line")
        return await desk.store.remove_client(client_id, now=desk.clock.now(), events=[event])

    if not at_desk(settings, work):
        stop(f"there is no client {client_id}")
    _tell(client_id, "removed", "Removed, and its grants are ended", as_json=as_json)


@app.command(epilog="Example: mcp-broker clients block https://client.example/metadata.json")
def block(
    client_id: ClientId, *, config_file: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Block a client, wherever its metadata comes from: until it is unblocked its tokens are good for nothing here.

    An MCP server that checks signatures by itself accepts its access tokens until they expire.
    """
    changed = _set_block(settings_from(config_file, overrides), client_id, blocked=True)
    _tell(client_id, "blocked", "Blocked" if changed else "It was blocked already", as_json=as_json)


@app.command(epilog="Example: mcp-broker clients unblock inspector")
def unblock(
    client_id: ClientId, *, config_file: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Lift a client's block."""
    changed = _set_block(settings_from(config_file, overrides), client_id, blocked=False)
    _tell(client_id, "unblocked", "Unblocked" if changed else "It was not blocked", as_json=as_json)


def _set_block(settings: Settings, client_id: str, *, blocked: bool) -> bool:
    if not client_id.isprintable() or not client_id.strip():
        raise typer.BadParameter("a client id is printable text", param_hint="CLIENT_ID")

    async def work(desk: Desk) -> bool:
        name = Event.CLIENT_BLOCKED if blocked else Event.CLIENT_UNBLOCKED
        event = desk.audit.event(name, client_id=client_id, by="command line")
        return await desk.store.block_client(client_id, blocked=blocked, events=[event])

    return at_desk(settings, work)


async def _all(desk: Desk) -> tuple[list[Client], frozenset[str]]:
    configured = list(desk.settings.clients)
    return configured + await desk.store.list_clients(), await desk.store.blocked_clients()


def _as_json(client: Client, *, blocked: bool) -> dict[str, Any]:
    fields = {
        "client_id": client.client_id,
        "name": client.name,
        "source": client.source.value,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "jwks_uri": client.jwks_uri,
        "scope": client.scope,
        "client_uri": client.client_uri,
        "created_at": client.created_at or None,
        "expires_at": client.expires_at,
    }
    return {**{key: value for key, value in fields.items() if value is not None}, "blocked": blocked}


def _tell(client_id: str, state: str, words: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"client_id": client_id, "state": state})
    else:
        typer.echo(f"{words}: {client_id}")
