"""What may stand in a line of the log or an event of the audit trail: a closed set of names, and nothing that looks like a secret.

A name that is not in `Fields` is refused, by the type checker and at run time. A value is a word, an id, a number: what is none of
them is written as three stars, and so is every part of a text that has the shape of a secret (a code, a token, a cookie, a key), whoever
put it there. So a mistake costs a word of a line and never a secret (security rules F8, B12, B13, G7).
"""

from __future__ import annotations

import re
from typing import Any, TypedDict, get_type_hints

Scalar = str | int | bool | None
MASK = "***"
LONGEST = 300  # characters of a value

# No id of ours is as long, and every secret of ours, of a JWT and of the providers is (rule E1: 256 bits, so 43 characters of base64url).
_LONG = re.compile(r"[A-Za-z0-9_~-]{32,}")
_SHORTEST = 32
_HEX = re.compile(r"[0-9a-f]{32}|[0-9A-F]{32}")
_PLAIN_URL = re.compile(r"https?://[^?#\s]+")  # an identifier: nothing of ours puts a secret into a path


class Fields(TypedDict, total=False):
    """Every field beside those that each event has. Who adds a name says here what it holds."""

    acr_values: str | None  # the provider's own words, asked for
    activates_at: int | None  # seconds
    alg: str | None  # of a key
    approved_from: str | None  # address
    auth_method: str | None  # RFC 7591's word
    before: int | None  # rules
    bind: str | None  # address and port
    by: str | None  # who or what did it, in a word
    cause: str | None  # what a reload was for
    chore: str | None  # its name
    client_name: str | None  # as an administrator wrote it
    ends: str | None  # what a logout ends
    error: str | None  # OAuth's code
    fault: str | None  # of a provider or a setting, in our words
    faults: int | None
    generation: int | None  # of a refresh token
    grants: int | None
    groups_kept: str | None  # why an older list stands
    groups_unknown: str | None  # why
    issuer: str | None  # ours
    jti: str | None  # a token's id
    kept: int | None  # rules
    kid: str | None  # a key's id
    kind: str | None  # an exception's class
    left_out: int | None  # lines
    logger: str | None  # whose words these are
    login: str | None  # names a login from its start to its return
    max_age: int | None  # seconds
    mend: str | None  # what to do about a fault of the settings
    origin: str | None  # file or variable
    path: str | None  # of a route of ours
    place: str | None  # file and line of ours
    provider: str | None  # its id in the settings
    reason: str | None  # a word or a sentence of ours
    redeemed_from: str | None  # address
    refused: bool | None
    refused_id: str | None  # request id
    rule: str | None  # of the policy
    rules: int | None
    scope: str | None
    seconds: int | None
    sessions: int | None
    setting: str | None  # its name
    settings: str | None  # their names
    source: str | None  # address
    status: int | None
    text: str | None  # a warning about the settings
    type: str | None  # of a provider
    upstream_session: str | None  # its id
    upstream_stale: bool | None
    upstream_subject: str | None  # a verified `sub`
    why: str | None  # a sentence of ours
    words: str | None  # fixed words of the HTTP server
    wrong: str | None  # with a setting


class AboutGrant(TypedDict):
    """The grant that an event is about."""

    client_id: str
    resource: str
    grant_id: str


NAMES = frozenset(get_type_hints(Fields))
THUMBPRINTS = frozenset(
    {"kid", "upstream_subject"}
)  # long and random, and public: RFC 7638; pairwise subjects (Entra ID)


def fit(name: str, value: Any) -> Scalar:
    """Return a field's value as it may be written; raises TypeError when there is no such field."""
    if name not in NAMES:
        raise TypeError(f"no field of a log line: {name}")
    return clean(value) if name in THUMBPRINTS else safe(value)


def safe(value: Any) -> Scalar:
    """Return a value without what is no word, id or number, and without what has the shape of a secret."""
    if isinstance(value, str):
        cleaned = _printable(value)
        if len(cleaned) < _SHORTEST or _PLAIN_URL.fullmatch(cleaned):
            return cleaned
        return _LONG.sub(_masked, cleaned)
    return clean(value)


def clean(value: Any) -> Scalar:
    """Return a value without control characters and at most 300 characters long (rule G7); stars for what is no scalar."""
    if isinstance(value, str):
        return _printable(value)
    return value if value is None or isinstance(value, int) else MASK


def _printable(value: str) -> str:
    if value.isprintable() and len(value) <= LONGEST:
        return value
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value[:LONGEST])


def _masked(found: re.Match[str]) -> str:
    """Return stars for what looks random: both cases of letters, or 32 hexadecimal digits. A slug or a UUID stays."""
    text = found[0]
    mixed = text != text.lower() and text != text.upper()
    return MASK if mixed or _HEX.search(text) else text
