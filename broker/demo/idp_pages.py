"""The pages of the development identity provider: plain HTML, no script, every value escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping

from markupsafe import Markup, escape
from starlette.responses import Response

from broker.demo.idp_memory import Login
from broker.demo.people import Person

STYLE = Markup(
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}"
    "body{max-width:34rem;margin:4rem auto;padding:0 1rem}"
    "h1{font-size:1.4rem}small{opacity:.75}"
    "form{margin:.5rem 0}fieldset{margin:1rem 0;border:1px solid;border-radius:.4rem}"
    "button{font:inherit;padding:.5rem 1rem;min-height:2.75rem;cursor:pointer}"
    "button.person{display:block;width:100%;text-align:left;margin:.5rem 0}"
    "label{display:block;margin:.5rem 0}input[type=text]{font:inherit;width:100%}"
)
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def page(title: str, body: Markup, *, status: int = 200) -> Response:
    """Return a page with the headers that every page has."""
    html = Markup(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>{title}</title><style>{style}</style>'
        "<main><h1>{title}</h1>{body}<p><small>Development identity provider. This machine only, no passwords.</small></p></main>"
    ).format(title=title, style=STYLE, body=body)
    return Response(html, status, HEADERS, "text/html")


def fault(words: str, *, status: int = 400) -> Response:
    """Return a page for a request that cannot go back to a client."""
    return page("This request cannot go on", Markup("<p>{}</p>").format(words), status=status)


def picker(
    action: str, transaction: str, people: Iterable[Person], *, client_id: str, current: str | None, hint: str | None
) -> Response:
    """Return the account picker: one submit button a person. `current` is signed in, `hint` comes first."""
    first = current or hint
    ordered = sorted(people, key=lambda person: (person.id != first and person.email != hint, person.id))
    buttons = Markup().join(
        Markup(
            '<button class="person" name="person" value="{id}">{name}{note}<br><small>{email} \N{MIDDLE DOT} {groups}</small></button>'
        ).format(
            id=person.id,
            name=person.name,
            note=_note(person, current),
            email=person.email,
            groups=_groups(person),
        )
        for person in ordered
    )
    body = Markup(
        "<p><strong>{client}</strong> asks who you are.</p>"
        '<form method="post" action="{action}"><input type="hidden" name="transaction" value="{transaction}">'
        '{buttons}<button name="person" value="">Cancel</button></form>'
    ).format(client=client_id, action=action, transaction=transaction, buttons=buttons)
    return page("Pick an account", body)


def switches(base: str, people: Iterable[Person], logins: Mapping[str, Login]) -> Response:
    """Return the page with every person's switches."""
    forms = Markup().join(
        Markup(
            "<fieldset><legend>{name}</legend>"
            '<form method="post" action="{base}/people/{id}">'
            '<label>Groups <input type="text" name="groups" value="{groups}"></label>'
            '<label><input type="checkbox" name="groups_claim" value="yes"{with_groups}> send the groups claim</label>'
            '<label><input type="checkbox" name="email_verified" value="yes"{verified}> e-mail verified ({email})</label>'
            '<label><input type="checkbox" name="disabled" value="yes"{disabled}> disabled</label>'
            "<button>Save</button></form>"
            '<form method="post" action="{base}/people/{id}/sign-out"><button>Sign out everywhere ({logins})</button></form>'
            "</fieldset>"
        ).format(
            base=base,
            id=person.id,
            name=person.name,
            email=person.email,
            groups=" ".join(person.groups or ()),
            with_groups=_checked(person.groups is not None),
            verified=_checked(person.email_verified),
            disabled=_checked(person.disabled),
            logins=sum(login.person_id == person.id for login in logins.values()),
        )
        for person in people
    )
    return page("People", forms)


def _checked(on: bool) -> Markup:  # noqa: FBT001 - one flag, and the name says it
    return Markup(" checked") if on else Markup()


def _groups(person: Person) -> str:
    if person.groups is None:
        return "groups not told"
    return ", ".join(person.groups) or "no groups"


def _note(person: Person, current: str | None) -> Markup:
    if person.disabled:
        return Markup(" <small>(disabled)</small>")
    return Markup(" <small>(signed in)</small>") if person.id == current else escape("")
