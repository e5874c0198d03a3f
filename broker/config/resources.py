"""Resources: the MCP servers, in long form or as a list of URLs. Two that a request could not tell apart are refused (rule C11)."""

from __future__ import annotations

import re

from broker.config.faults import nearest, quoted
from broker.config.reader import DEFAULT, Reader
from broker.config.safety import check_secret
from broker.config.table import RESOURCE, RESOURCE_URLS, variable
from broker.model import Requirement, Resource, digest
from broker.oauth import OFFLINE_ACCESS, InvalidScope
from broker.protocol import resource as protocol
from broker.protocol import scope as scope_syntax
from broker.protocol import web_url

DEFAULT_SCOPES = {"mcp": "Use this server"}  # of a resource that names none


def read_resources(reader: Reader, *, issuer: str | None, loopback: bool) -> tuple[Resource, ...]:
    """Return the resources in order of their ids; every fault is noted. `loopback`: ours is a loopback issuer."""
    short = [_short(url) for url in reader.read(("resources",), RESOURCE_URLS) or ()]
    long = [_long(reader, id_) for id_ in reader.ids("resources")]
    found = [resource for resource in (*short, *long) if resource is not None]
    ids: dict[str, str] = {}
    for resource in found:
        _check_url(reader, resource, issuer, loopback=loopback)
        if resource.id in ids:
            wrong = f"gives {quoted(resource.url)} the id {resource.id}, which {quoted(ids[resource.id])} has"
            reader.refuse(("resources",), wrong, f"choose ids of your own: {variable(('resources', '<id>', 'url'))}")
        ids[resource.id] = resource.url
    for one, other in protocol.collisions(found):
        wrong = f"is {quoted(one.url)}, which a request could not tell from {quoted(other.url)} ({other.id})"
        mend = "keep one of the two; case of scheme and host, default port and one trailing slash make no difference"
        reader.refuse(_url_path(reader, one), wrong, mend)
    return tuple(sorted(found, key=lambda resource: resource.id))


def find(resources: tuple[Resource, ...], named: str) -> Resource | None:
    """Return the resource that an id or a URL names, as tolerant as a request would be."""
    same = protocol.canonical(named)
    return next((r for r in resources if named in (r.id, r.url) or (same and protocol.canonical(r.url) == same)), None)


def _short(url: str) -> Resource:
    parts = web_url.parse(url)
    place = f"{parts.host}{parts.path}" if parts else url
    id_ = re.sub(r"[^a-z0-9]+", "-", place.lower()).strip("-")
    return Resource(id=id_, url=url, name=_name(url), scopes=DEFAULT_SCOPES, default_scopes=tuple(DEFAULT_SCOPES))


def _long(reader: Reader, id_: str) -> Resource | None:
    values = {name: reader.read(("resources", id_, name), setting) for name, setting in RESOURCE.items()}
    path = ("resources", id_, "url")
    if values["url"] is None:
        if reader.given(path) is None:
            reader.faults.missing(
                variable(path), "set it to the MCP server's URL, such as https://files.example.com/mcp"
            )
        return None
    if values["secret"] is not None:
        check_secret(reader, ("resources", id_, "secret"), values["secret"])
    scopes = _scopes(reader, id_, values["scopes"])
    reader.derive(("resources", id_, "scopes"), " ".join(scopes), DEFAULT)
    reader.derive(("resources", id_, "default_scopes"), " ".join(scopes), "the scopes")
    return Resource(
        id=id_,
        url=values["url"],
        name=values["name"] or _name(values["url"]),
        scopes=scopes,
        default_scopes=_default_scopes(reader, id_, values["default_scopes"], scopes),
        secret_hash=digest(values["secret"]) if values["secret"] else None,
        signing_alg=values["signing_alg"],
        token_typ=values["token_typ"] or "at+jwt",
        access_token_ttl=values["access_token_ttl"],
        require=values["require"] or Requirement(),
    )


def _name(url: str) -> str:
    return url.partition("://")[2]


def _url_path(reader: Reader, resource: Resource) -> tuple[str, ...]:
    path = ("resources", resource.id, "url")
    return path if reader.given(path) else ("resources",)


def _scopes(reader: Reader, id_: str, given: dict[str, str] | None) -> dict[str, str]:
    path = ("resources", id_, "scopes")
    if given is None:
        return DEFAULT_SCOPES
    if not given:
        reader.refuse(path, "is empty, so that nobody could be granted anything", "name a scope, or remove it for mcp")
    for scope, words in given.items():
        try:
            plain = scope_syntax.parse(scope) == (scope,) and scope != OFFLINE_ACCESS
        except InvalidScope:
            plain = False
        if not plain:
            reader.refuse(path, f"names {quoted(scope)}, which is no scope", "write scopes such as files:read")
        if not words.strip():
            reader.refuse(path, f"has no words for {quoted(scope)}", "say what it permits, for the consent page")
    return given


def _default_scopes(reader: Reader, id_: str, given: tuple[str, ...] | None, scopes: dict[str, str]) -> tuple[str, ...]:
    path = ("resources", id_, "default_scopes")
    if given == ():
        reader.refuse(path, "is empty, so that a request without a scope got nothing", "name a scope, or remove it")
    for scope in given or ():
        if scope not in scopes:
            close = nearest(scope, scopes)
            known = f"write {close}" if close else f"use scopes of this resource: {', '.join(scopes)}"
            reader.refuse(path, f"names {quoted(scope)}, which is no scope of this resource", known)
    return given or tuple(scopes)


def _check_url(reader: Reader, resource: Resource, issuer: str | None, *, loopback: bool) -> None:
    path, url = _url_path(reader, resource), web_url.parse(resource.url)
    if url is not None and url.scheme == "http" and not url.loopback and not loopback:
        mend = "write https; http is for loopback, or for a loopback issuer"
        reader.refuse(path, f"is {quoted(resource.url)}: tokens would travel in clear", mend)
    if issuer is not None and protocol.canonical(resource.url) == protocol.canonical(issuer):
        mend = "give the MCP server a URL of its own, such as one with a path"
        reader.refuse(path, f"is {quoted(resource.url)}, which is the issuer itself", mend)
