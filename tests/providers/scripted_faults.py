"""What the scripted identity provider can be made to do wrong: one switch a fault, all off by default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"  # the same in every process, as names of tests must be


ABSENT: Final = _Absent()  # as a value in Faults: leave the member out


def changed(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `members` with `changes` over them; ABSENT removes."""
    merged = {**members, **changes}
    return {name: value for name, value in merged.items() if value is not ABSENT}


@dataclass(frozen=True, slots=True)
class Answer:
    """A canned answer in place of an endpoint's own."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0  # seconds before it comes


def error(status: int, code: str, *, text: str = "upstream words") -> Answer:
    """Return an OAuth error answer."""
    return Answer(status, json.dumps({"error": code, "error_description": text}).encode())


HTML = Answer(200, b"<!doctype html><h1>Maintenance</h1>", "text/html")
DOWN = Answer(500, b"<h1>Internal Server Error</h1>", "text/html")
THROTTLED = Answer(429, headers={"retry-after": "30"})
REDIRECT = Answer(302, headers={"location": "https://elsewhere.example/"})
NOT_FOUND = Answer(404)
OVERSIZED = Answer(200, b'{"padding": "' + b"x" * 1024 * 1024 + b'"}')
EMPTY_400 = Answer(400)
FORBIDDEN = Answer(403, b"<h1>Forbidden</h1>", "text/html")
UNAUTHORIZED = Answer(401)
PROBLEM = Answer(400, b'{"type": "about:blank", "title": "Bad Request", "status": 400}', "application/problem+json")


@dataclass
class Faults:
    """The switches. Endpoints are `discovery`, `jwks`, `authorize`, `token`, `refresh`, `userinfo`, `revoke`."""

    answers: dict[str, Answer] = field(default_factory=dict)  # endpoint -> what it says instead
    headers: dict[str, str] = field(default_factory=dict)  # of every answer, changed
    delay: dict[str, float] = field(default_factory=dict)  # endpoint -> seconds before it says anything
    discovery: dict[str, Any] = field(default_factory=dict)  # members changed
    callback: dict[str, Any] = field(default_factory=dict)  # parameters changed
    token: dict[str, Any] = field(default_factory=dict)  # members of the token response changed
    refresh: dict[str, Any] = field(default_factory=dict)  # members of the answer to a refresh changed
    claims: dict[str, Any] = field(default_factory=dict)  # ID token claims changed
    refreshed_claims: dict[str, Any] = field(default_factory=dict)  # the same, in ID tokens of refreshes only
    userinfo: dict[str, Any] = field(default_factory=dict)  # UserInfo claims changed
    header: dict[str, Any] = field(default_factory=dict)  # the ID token's header changed
    alg: str = "RS256"  # `none`; `HS256` signs with the public key as the secret
    bad_signature: bool = False
    foreign_key: bool = False  # signed by a key that is not published, under the published kid
    rotate_before_token: bool = False  # the key changes between the browser's return and the token
    extra_keys: list[Any] = field(default_factory=list)  # published before the good ones
    key: dict[str, Any] = field(default_factory=dict)  # members of the published keys changed
    thin_id_token: bool = False  # the person's claims only in UserInfo
    signed_userinfo: bool = False  # UserInfo as application/jwt
    rotation: bool = True  # a refresh gives a new refresh token and ends the old one
