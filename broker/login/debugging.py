"""The debug login: a login whose client is the broker itself, and what an administrator sees of it. Pure.

Its pending login is marked by a client that no app can be: its source is the broker, its id a URN (client ids have no colon, or are
https URLs), and it has no redirect URI, no resource and no grant. So what finishes the logins of apps cannot finish this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from broker.model import AuthorizationRequest, Client, ClientSource, Identity, PendingLogin
from broker.protocol import jws
from providers.base import UpstreamIdentity

DEBUG_ID = "urn:mcp-broker:debug-login"
CLIENT = Client(client_id=DEBUG_ID, name="Debug login", source=ClientSource.INTERNAL, redirect_uris=(), grant_types=())
IN_FULL = "in full"  # the `state` of a request whose values are shown
HIDDEN = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "sid", "jti", "uti", "aio", "rh", "session_state"})
IMPERSONAL = frozenset(
    {"iss", "aud", "azp", "typ", "acr", "amr", "ver", "tid", "hd"}
)  # about the sign-in, not the person
_LONGEST = 500  # characters of a value


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of the page."""

    name: str
    value: str


def request(*, in_full: bool, anew: bool) -> AuthorizationRequest:
    """Return what is stored with the login: for no resource and no redirect URI. `anew`: the provider asks for a new sign-in."""
    return AuthorizationRequest(
        client_id=DEBUG_ID,
        redirect_uri="",
        resource="",
        scopes=(),
        code_challenge="",
        state=IN_FULL if in_full else None,
        prompt=("login",) if anew else (),
    )


def is_debug(login: PendingLogin) -> bool:
    """Tell whether a pending login is one of these."""
    return login.client.source is ClientSource.INTERNAL


def person(identity: Identity, *, in_full: bool) -> list[Shown]:
    """Return what the broker knows of the person, as policy sees it."""
    stated = "as the provider says" if identity.auth_time_stated else "when we heard of it: the provider does not say"
    verified = "verified" if identity.email_verified else "not verified"
    facts: list[tuple[str, str | None, bool]] = [
        ("Subject here", identity.subject, False),
        ("Issuer", identity.upstream_issuer, False),
        ("Subject there", identity.upstream_subject, True),
        ("Name", identity.name, True),
        ("E-mail", identity.email, True),
        ("E-mail is", verified if identity.email else None, False),
        ("Signed in", f"{datetime.fromtimestamp(identity.auth_time, UTC):%Y-%m-%d %H:%M:%S}Z, {stated}", False),
        ("acr", identity.acr, False),
        ("amr", None if identity.amr is None else " ".join(identity.amr) or "(empty)", False),
    ]
    facts += [(name, ", ".join(values) or "(empty)", False) for name, values in sorted(identity.attributes.items())]
    return [
        Shown(name, "unknown" if value is None else _value(value, masked=personal and not in_full))
        for name, value, personal in facts
    ]


def claims(upstream: UpstreamIdentity, *, in_full: bool) -> list[Shown]:
    """Return the claims of the ID token that `identify` verified; none where the provider gives no ID token."""
    token = upstream.tokens.id_token if upstream.tokens else None
    if token is None:
        return []
    try:
        values = jws.decode_object(jws.decode_base64url(token.split(".")[1]))
    except (jws.JwsRefused, IndexError):
        return []
    return list(_claims(values, in_full=in_full))


def _claims(values: Mapping[str, Any], *, in_full: bool) -> Iterator[Shown]:
    for name, value in values.items():
        if name in HIDDEN:
            yield Shown(_cut(name), "(hidden)")
        else:
            yield Shown(_cut(name), _value(value, masked=not in_full and name not in IMPERSONAL))


def _value(value: Any, *, masked: bool) -> str:
    """Return a value for the page. Masked: the first character and the length of texts, however deep they are."""
    if isinstance(value, str):
        return f"{value[:1]}… ({len(value)} characters)" if masked and value else _cut(value)
    if isinstance(value, list):
        return _cut("[" + ", ".join(_value(one, masked=masked) for one in value) + "]")
    if isinstance(value, dict):
        return _cut("{" + ", ".join(f"{k}: {_value(v, masked=masked)}" for k, v in value.items()) + "}")
    return "true" if value is True else "false" if value is False else "null" if value is None else str(value)


def _cut(text: str) -> str:
    """Return printable text of a bounded length: it comes from a provider (rule G7)."""
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:_LONGEST])
    return plain if len(text) <= _LONGEST else plain + "…"
