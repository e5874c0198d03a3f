"""Nested records as JSON text, and back: explicit, so that two versions can run side by side on one database.

What is None or False is left out. Whatever reads a text ignores members it does not know and fills in those that are absent:
a new member therefore has a default that older readers may rely on, and no member ever changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from broker.model import AuthorizationRequest, Client, ClientSource, Identity, SigningKey, StepUp

_encode_json = json.JSONEncoder(separators=(",", ":")).encode
_encode_text = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def _dump(members: Mapping[str, Any], *, ascii_only: bool = True) -> str:
    said = {k: v for k, v in members.items() if v is not None and v is not False}
    return (_encode_json if ascii_only else _encode_text)(said)


def _tuple(members: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if members is None else tuple(members)


def client_text(client: Client) -> str:
    """Return a client as JSON."""
    return _dump(
        {
            "client_id": client.client_id,
            "name": client.name,
            "source": client.source.value,
            "redirect_uris": client.redirect_uris,
            "grant_types": client.grant_types,
            "token_endpoint_auth_method": client.token_endpoint_auth_method,
            "secret_hash": client.secret_hash and client.secret_hash.hex(),
            "jwks": client.jwks,
            "jwks_uri": client.jwks_uri,
            "scope": client.scope,
            "application_type": client.application_type,
            "client_uri": client.client_uri,
            "logo_uri": client.logo_uri,
            "default_resource": client.default_resource,
            "created_at": client.created_at,
            "expires_at": client.expires_at,
            "blocked": client.blocked,
        }
    )


@lru_cache(maxsize=256)  # most grants of a client hold the same snapshot
def client_of(text: str) -> Client:
    """Return the client of a JSON text."""
    members = json.loads(text)
    secret = members.get("secret_hash")
    return Client(
        client_id=members["client_id"],
        name=members["name"],
        source=ClientSource(members["source"]),
        redirect_uris=tuple(members.get("redirect_uris", ())),
        grant_types=tuple(members.get("grant_types", ())),
        token_endpoint_auth_method=members["token_endpoint_auth_method"],
        secret_hash=bytes.fromhex(secret) if secret else None,
        jwks=members.get("jwks"),
        jwks_uri=members.get("jwks_uri"),
        scope=members.get("scope"),
        application_type=members.get("application_type"),
        client_uri=members.get("client_uri"),
        logo_uri=members.get("logo_uri"),
        default_resource=members.get("default_resource"),
        created_at=members.get("created_at", 0),
        expires_at=members.get("expires_at"),
        blocked=members.get("blocked", False),
    )


def identity_text(identity: Identity) -> str:
    """Return an identity as JSON, but for our subject, which is a column."""
    return _dump(
        {
            "provider": identity.provider,
            "upstream_issuer": identity.upstream_issuer,
            "upstream_subject": identity.upstream_subject,
            "auth_time": identity.auth_time,
            "auth_time_stated": identity.auth_time_stated,
            "acr": identity.acr,
            "amr": identity.amr,
            "email": identity.email,
            "email_verified": identity.email_verified,
            "name": identity.name,
            "groups": identity.groups,
            "groups_unknown": identity.groups_unknown,
            "attributes": dict(identity.attributes) or None,
            "upstream_sid": identity.upstream_sid,
        }
    )


@lru_cache(maxsize=2048)  # a person refreshes again and again with the same description, which nobody changes
def identity_of(text: str, subject: str) -> Identity:
    """Return the identity of a JSON text."""
    members = json.loads(text)
    return Identity(
        subject=subject,
        provider=members["provider"],
        upstream_issuer=members["upstream_issuer"],
        upstream_subject=members["upstream_subject"],
        auth_time=members["auth_time"],
        auth_time_stated=members.get("auth_time_stated", False),
        acr=members.get("acr"),
        amr=_tuple(members.get("amr")),
        email=members.get("email"),
        email_verified=members.get("email_verified", False),
        name=members.get("name"),
        groups=_tuple(members.get("groups")),
        groups_unknown=members.get("groups_unknown"),
        attributes={k: tuple(v) for k, v in members.get("attributes", {}).items()},
        upstream_sid=members.get("upstream_sid"),
    )


def request_text(request: AuthorizationRequest) -> str:
    """Return an authorization request as JSON."""
    return _dump(
        {
            "client_id": request.client_id,
            "redirect_uri": request.redirect_uri,
            "resource": request.resource,
            "scopes": request.scopes,
            "code_challenge": request.code_challenge,
            "state": request.state,
            "prompt": request.prompt or None,
            "login_hint": request.login_hint,
            "max_age": request.max_age,
            "acr_values": request.acr_values or None,
            "step_up": _step_up_members(request.step_up),
        },
        ascii_only=False,  # it travels in a page: an escaped emoji is three times as long, and doubly escaped six times
    )


def _step_up_members(step_up: StepUp | None) -> dict[str, Any] | None:
    if step_up is None:
        return None
    return {
        "provider": step_up.provider,
        "subject": step_up.subject,
        "acr_values": step_up.acr_values,
        "max_age": step_up.max_age,
        "anew": step_up.anew,
    }


def _step_up_of(members: Mapping[str, Any] | None) -> StepUp | None:
    if members is None:
        return None
    return StepUp(
        provider=members["provider"],
        subject=members["subject"],
        acr_values=tuple(members["acr_values"]),
        max_age=members["max_age"],
        anew=members["anew"],
    )


def request_of(text: str) -> AuthorizationRequest:
    """Return the authorization request of a JSON text."""
    members = json.loads(text)
    return AuthorizationRequest(
        client_id=members["client_id"],
        redirect_uri=members["redirect_uri"],
        resource=members["resource"],
        scopes=tuple(members["scopes"]),
        code_challenge=members["code_challenge"],
        state=members.get("state"),
        prompt=tuple(members.get("prompt", ())),
        login_hint=members.get("login_hint"),
        max_age=members.get("max_age"),
        acr_values=tuple(members.get("acr_values", ())),
        step_up=_step_up_of(members.get("step_up")),
    )


def keys_text(keys: Sequence[SigningKey]) -> str:
    """Return a key ring as JSON; private parts are sealed already."""
    return json.dumps(
        [
            {
                "kid": key.kid,
                "alg": key.alg,
                "sealed": key.sealed,
                "public_jwk": key.public_jwk,
                "created_at": key.created_at,
                "activates_at": key.activates_at,
                "retires_at": key.retires_at,
                "gone_at": key.gone_at,
            }
            for key in keys
        ],
        separators=(",", ":"),
    )


def keys_of(text: str) -> tuple[SigningKey, ...]:
    """Return the key ring of a JSON text."""
    return tuple(
        SigningKey(
            kid=members["kid"],
            alg=members["alg"],
            sealed=members["sealed"],
            public_jwk=members["public_jwk"],
            created_at=members["created_at"],
            activates_at=members["activates_at"],
            retires_at=members.get("retires_at"),
            gone_at=members.get("gone_at"),
        )
        for members in json.loads(text)
    )
