"""`mcp-broker users`: who signed in here and what they hold; and ending all of it (architecture, section 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from broker.audit import Event
from broker.cli.context import (
    AsJson,
    ConfigFile,
    Desk,
    Overrides,
    at_desk,
    database_settings,
    moment,
    new_group,
    print_json,
    print_table,
    stop,
)
from broker.cli.giving_back import give_back, sessions_of
from broker.model import Grant, Holdings, Identity, PersonSummary, Session

app = new_group("People: who signed in here, what they hold, and ending all of it.", example="mcp-broker users list")
User = Annotated[str, typer.Argument(metavar="USER", help="Our subject, the upstream subject, or an e-mail address.")]
SomeUser = Annotated[
    str | None, typer.Argument(metavar="[USER]", help="Only this one, with everything they hold.", show_default=False)
]


@app.command("list", epilog="Example: mcp-broker users list alice@example.com")
def list_(
    user: SomeUser = None, *, config_file: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """List everybody who signed in, the latest first; with USER everything that one holds: sessions, and apps with access."""
    settings = database_settings(config_file, overrides)
    here = frozenset(provider.id for provider in settings.providers)
    if user is None:
        everybody = at_desk(settings, lambda desk: desk.store.list_people(now=desk.clock.now()))
        if as_json:
            print_json([_summary(person, here) for person in everybody])
        else:
            _print_people(everybody, here)
        return
    found = at_desk(settings, lambda desk: _held(desk, user))
    if as_json:
        print_json([{**_person(identity), **_holdings(held, here)} for identity, held in found])
        return
    for identity, held in found:
        _print_held(identity, held, here)


@app.command(epilog="Example: mcp-broker users revoke alice@example.com")
def revoke(
    user: User,
    *,
    everyone: Annotated[bool, typer.Option("--all", help="Everybody whom USER names, where that are several.")] = False,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """End everything that a person holds, on every replica: sessions, apps' access, logins on their way.

    They can sign in again unless the identity provider or a rule keeps them out. Their tokens are given back to the providers that
    take them back, once everything here has ended.
    """
    ended = at_desk(database_settings(config_file, overrides), lambda desk: _revoke(desk, user, everyone=everyone))
    if as_json:
        print_json(
            [
                {
                    **_person(identity),
                    "sessions": len(held.sessions),
                    "grants": len(held.grants),
                    "given_back": given_back,
                }
                for identity, held, given_back in ended
            ]
        )
        return
    for identity, held, given_back in ended:
        typer.echo(
            f"{_name(identity)} ({identity.subject}): {len(held.sessions)} sessions and {len(held.grants)} grants were ended"
            + (f"; {given_back} sign-ins were given back to {identity.provider}." if given_back else ".")
        )


async def _held(desk: Desk, user: str) -> list[tuple[Identity, Holdings]]:
    people = await desk.store.find_people(user)
    if not people:
        stop(f"nobody is known as {user}; `mcp-broker users list` shows who is")
    now = desk.clock.now()
    return [(person, await desk.store.holdings(person.subject, now=now)) for person in people]


async def _revoke(desk: Desk, user: str, *, everyone: bool) -> list[tuple[Identity, Holdings, int]]:
    found = await _held(desk, user)
    if len(found) > 1 and not everyone:
        named = ", ".join(f"{person.subject} ({person.provider})" for person, _ in found)
        stop(f"{user} is several people: {named}. Name one by that subject, or say --all.")
    ended = []
    for person, held in found:
        given_out = await sessions_of(desk.store, held)
        event = desk.audit.event(
            Event.USER_REVOKED,
            subject=person.subject,
            by="command line",
            sessions=len(held.sessions),
            grants=len(held.grants),
        )
        await desk.store.end_person(person.subject, now=desk.clock.now(), reason="user_revoked", events=[event])
        ended.append((person, held, given_out))
    return [(person, held, await give_back(desk, given_out)) for person, held, given_out in ended]


def _usable(identity: Identity, here: frozenset[str]) -> bool:
    """Tell whether what hangs on a sign-in can be used; `here` are the providers configured, none where the settings could not be read."""
    return not here or identity.provider in here


def _provider(identity: Identity, here: frozenset[str]) -> str:
    return identity.provider if _usable(identity, here) else f"{identity.provider} (not configured)"


def _print_people(everybody: Sequence[PersonSummary], here: frozenset[str]) -> None:
    rows = [
        (
            person.identity.subject,
            _name(person.identity),
            _provider(person.identity, here),
            str(person.sessions),
            str(person.grants),
            moment(person.seen_at),
        )
        for person in everybody
    ]
    head = ("SUBJECT", "WHO", "PROVIDER", "SESSIONS", "GRANTS", "LAST SIGN-IN")
    print_table(rows, head=head, empty="Nobody has signed in yet.")


def _print_held(identity: Identity, held: Holdings, here: frozenset[str]) -> None:
    typer.echo(f"{_name(identity)} ({identity.subject}, {identity.provider})")
    if identity.groups is None:
        typer.echo(f"  groups unknown: {identity.groups_unknown}")
    else:
        typer.echo(f"  groups {', '.join(identity.groups) or 'none'}")
    rows = [
        ("session", "", "", moment(s.created_at), moment(s.upstream.checked_at), _until(s.identity, s.expires_at, here))
        for s in held.sessions
    ]
    rows += [
        (
            "grant",
            grant.client_snapshot.name,
            f"{grant.resource} ({' '.join(grant.scopes)})",
            moment(grant.created_at),
            moment(grant.checked_at),
            _until(grant.identity, grant.idle_expires_at, here),
        )
        for grant in held.grants
    ]
    print_table(rows, head=("WHAT", "APP", "SERVER", "SINCE", "CHECKED", "UNTIL"), empty="  holds nothing")


def _until(identity: Identity, seconds: int, here: frozenset[str]) -> str:
    """Return until when it can be used; without its provider it is refused at every use, and good again once that is back."""
    return moment(seconds) if _usable(identity, here) else f"of no use: {identity.provider} is not configured"


def _summary(person: PersonSummary, here: frozenset[str]) -> dict[str, Any]:
    return {
        **_person(person.identity),
        "usable": _usable(person.identity, here),
        "seen_at": person.seen_at,
        "sessions": person.sessions,
        "grants": person.grants,
    }


def _person(identity: Identity) -> dict[str, Any]:
    return {
        "subject": identity.subject,
        "provider": identity.provider,
        "upstream_issuer": identity.upstream_issuer,
        "upstream_subject": identity.upstream_subject,
        "name": identity.name,
        "email": identity.email,
        "email_verified": identity.email_verified,
        "groups": identity.groups,
        "groups_unknown": identity.groups_unknown,
    }


def _holdings(held: Holdings, here: frozenset[str]) -> dict[str, Any]:
    return {
        "sessions": [{**_session(one), "usable": _usable(one.identity, here)} for one in held.sessions],
        "grants": [{**_grant(one), "usable": _usable(one.identity, here)} for one in held.grants],
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "created_at": session.created_at,
        "checked_at": session.upstream.checked_at,
        "expires_at": session.expires_at,
    }


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "grant_id": grant.grant_id,
        "client_id": grant.client_id,
        "client_name": grant.client_snapshot.name,
        "resource": grant.resource,
        "scope": " ".join(grant.scopes),
        "created_at": grant.created_at,
        "checked_at": grant.checked_at,
        "refreshed_at": grant.rotated_at,
        "idle_expires_at": grant.idle_expires_at,
        "expires_at": grant.expires_at,
    }


def _name(identity: Identity) -> str:
    return identity.email or identity.name or identity.upstream_subject
