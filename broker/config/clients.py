"""Pre-registered clients: what RFC 7591 section 2 calls client metadata, vouched for by the administrator."""

from __future__ import annotations

import json
from typing import Any

from broker.config.faults import Wrong, quoted
from broker.config.places import CLIENT_ID
from broker.config.reader import Reader
from broker.config.resources import find
from broker.config.safety import check_secret
from broker.config.sources import Path
from broker.config.table import CLIENT, variable
from broker.model import Client, ClientSource, Resource, digest
from broker.oauth import GRANT_AUTHORIZATION_CODE, GRANT_TYPES, InvalidRedirectUri, InvalidScope
from broker.protocol import redirect_uri, web_url
from broker.protocol import scope as scope_syntax

_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 section 6


def read_clients(
    reader: Reader, *, schemes: tuple[str, ...], resources: tuple[Resource, ...], loopback: bool
) -> tuple[Client, ...]:
    """Return the clients in order of their ids; every fault is noted. `loopback`: ours is a loopback issuer."""
    found: dict[str, Client] = {}
    for id_ in reader.ids("clients"):
        client = _read(reader, id_, schemes=schemes, resources=resources, loopback=loopback)
        if client is not None and client.client_id in found:
            wrong = f"is {client.client_id}, which another client has"
            reader.refuse(("clients", id_, "client_id"), wrong, "choose another id")
        if client is not None:
            found[client.client_id] = client
    return tuple(found.values())


def _read(
    reader: Reader, id_: str, *, schemes: tuple[str, ...], resources: tuple[Resource, ...], loopback: bool
) -> Client | None:
    values = {name: reader.read(("clients", id_, name), setting) for name, setting in CLIENT.items()}
    client_id = values["client_id"] or _default_id(reader, id_)
    reader.derive(("clients", id_, "client_id"), client_id or "", "the id")
    _check_redirect_uris(reader, id_, values, schemes)
    _check_grants(reader, id_, values["grant_types"] or ())
    method = _auth_method(reader, id_, values)
    reader.derive(("clients", id_, "token_endpoint_auth_method"), method, "the credentials")
    jwks = _jwks(reader, id_, values["jwks"])
    if values["client_secret"] is not None:
        check_secret(reader, ("clients", id_, "client_secret"), values["client_secret"])
    _check_jwks_uri(reader, id_, values["jwks_uri"], loopback=loopback)
    _check_scope(reader, id_, values["scope"])
    default = find(resources, values["default_resource"]) if values["default_resource"] else None
    if values["default_resource"] and default is None:
        reader.refuse(
            ("clients", id_, "default_resource"), "names no configured resource", "write a resource's id or URL"
        )
    if client_id is None:
        return None
    return Client(
        client_id=client_id,
        name=values["name"] or client_id,
        source=ClientSource.CONFIGURED,
        redirect_uris=values["redirect_uris"] or (),
        grant_types=values["grant_types"] or (),
        token_endpoint_auth_method=method,
        secret_hash=digest(values["client_secret"]) if values["client_secret"] else None,
        jwks=jwks,
        jwks_uri=values["jwks_uri"],
        scope=values["scope"],
        default_resource=default.url if default else None,
    )


def _default_id(reader: Reader, id_: str) -> str | None:
    path = ("clients", id_, "client_id")
    if reader.given(path) is not None:
        return None
    try:
        return str(CLIENT_ID.parse(id_))
    except Wrong as wrong:
        reader.faults.add(
            variable(path), "", f"is {quoted(id_)} by default, which {wrong.wrong}", "set it to another id"
        )
        return None


def _check_redirect_uris(reader: Reader, id_: str, values: dict[str, Any], schemes: tuple[str, ...]) -> None:
    path: Path = ("clients", id_, "redirect_uris")
    if not values["redirect_uris"]:
        if reader.given(path) is None or values["redirect_uris"] == ():
            reader.refuse(path, "is missing or empty", "name where the client receives its answer")
        return
    for uri in values["redirect_uris"]:
        try:
            redirect_uri.check(uri, schemes)
        except InvalidRedirectUri as refused:
            mend = "use https, http on loopback, or a scheme listed in BROKER_REDIRECT_SCHEMES; no code, state or iss in it"
            reader.refuse(path, f"names {quoted(uri)}, which is not permitted ({refused.detail})", mend)


def _check_grants(reader: Reader, id_: str, grants: tuple[str, ...]) -> None:
    path = ("clients", id_, "grant_types")
    for grant in grants:
        if grant not in GRANT_TYPES:
            reader.refuse(path, f"names {quoted(grant)}", f"use {' and '.join(GRANT_TYPES)}")
    if GRANT_AUTHORIZATION_CODE not in grants and not set(grants) - set(GRANT_TYPES):
        reader.refuse(path, "has no authorization_code, without which no other begins", "add authorization_code")


def _auth_method(reader: Reader, id_: str, values: dict[str, Any]) -> str:
    """Return how the client authenticates: as said, else by what it has; refuse what does not fit."""
    path = ("clients", id_, "token_endpoint_auth_method")
    secret = reader.given(("clients", id_, "client_secret")) is not None or values["client_secret"] is not None
    keys = [name for name in ("jwks", "jwks_uri") if reader.given(("clients", id_, name)) is not None]
    if len(keys) > 1:
        reader.refuse(("clients", id_, "jwks"), "is set, and JWKS_URI is set too", "keep one of the two (RFC 7591)")
    fitting = "private_key_jwt" if keys else "client_secret_basic" if secret else "none"
    method = str(values["token_endpoint_auth_method"] or fitting)
    needed = {"none": "nothing", "private_key_jwt": "JWKS or JWKS_URI"}.get(method, "CLIENT_SECRET")
    has = {"none": not secret, "private_key_jwt": bool(keys) and not secret}.get(method, secret)
    if not has:
        wrong = f"is {method}, which goes with {needed} and no other credential"
        reader.refuse(path, wrong, f"give the client {needed}, or set another method")
    return method


def _jwks(reader: Reader, id_: str, document: dict[str, Any] | None) -> str | None:
    path = ("clients", id_, "jwks")
    if document is None:
        return None
    keys = document.get("keys")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        reader.refuse(path, "is not a JSON Web Key Set", 'write {"keys": [...]} with public keys')
    elif any(_PRIVATE_MEMBERS & key.keys() for key in keys):
        reader.refuse(
            path, "holds a private or symmetric key", "write the public key only, and replace the exposed one"
        )
    return json.dumps(document, separators=(",", ":"))


def _check_jwks_uri(reader: Reader, id_: str, uri: str | None, *, loopback: bool) -> None:
    url = web_url.parse(uri) if uri else None
    if url is not None and url.scheme == "http" and not (url.loopback and loopback):
        mend = "write https; http works only on loopback, where BROKER_ISSUER is on loopback too"
        reader.refuse(("clients", id_, "jwks_uri"), f"is {quoted(str(uri))}, which is not encrypted", mend)


def _check_scope(reader: Reader, id_: str, scope: str | None) -> None:
    try:
        if scope is not None:
            scope_syntax.parse(scope)
    except InvalidScope:
        reader.refuse(("clients", id_, "scope"), "is no list of scopes", "separate scopes by single spaces")
