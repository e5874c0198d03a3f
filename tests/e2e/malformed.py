"""A grammar of requests that are wrong in every way a stranger can think of, and a client that sends them as they are."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

NAMES = (
    *("client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "code_challenge", "resource"),
    *("code_challenge_method", "prompt", "max_age", "request", "request_uri", "authorization_details", "login_hint"),
    *(
        "grant_type",
        "code",
        "code_verifier",
        "refresh_token",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
    ),
    *("token", "token_type_hint", "decision", "provider", "csrf", "iss", "error", "remember", "unknown"),
)
VALUES = (
    *(
        "",
        " ",
        "none",
        "code",
        "S256",
        "authorization_code",
        "refresh_token",
        "notebook",
        "http://127.0.0.1:8765/callback",
    ),
    *(
        "http://127.0.0.1:8766/mcp",
        "https://x.example/doc.json",
        "https://127.0.0.1/",
        "javascript:alert(1)",
        "data:,x",
        "//x",
    ),
    *(
        "http://[::1",
        "http://[",
        "https://\ud7ff.example",
        "\u202e",
        "\u0000",
        "%00",
        "%",
        "%zz",
        "a" * 3000,
        "rt_",
        "rt_a.b.c",
    ),
    *(
        "eyJhbGciOiJub25lIn0.e30.",
        "eyJ.eyJ.eyJ",
        "..",
        "../..",
        "{}",
        "[]",
        "null",
        "-1",
        "9" * 400,
        "1e999",
        "NaN",
        "\r\nX: y",
    ),
    *(
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "' or 1=1 --",
        "<script>",
        "\u00e9\u4e2d\U0001f600",
        "u_x",
        "g_x",
    ),
)
PATHS = (
    *(
        "/authorize",
        "/token",
        "/register",
        "/revoke",
        "/introspect",
        "/consent",
        "/callback/oidc",
        "/callback/%00",
        "/logout",
    ),
    *(
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/jwks.json",
        "/readyz",
    ),
    *(
        "/",
        "//",
        "/%ff",
        "/token/",
        "/callback/",
        "/" + "a" * 2000,
        "/.well-known/../token",
        "/callback/a%2fb",
        "/livez",
    ),
)
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "FOO")
TYPES = (
    *(
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/json",
        "text/plain",
    ),
    *("multipart/form-data; boundary=x", "multipart/form-data", "", ";", "application/json; charset=\xff"),
)
COOKIES = (
    "a",
    "=",
    ";;;",
    "broker-csrf=" + "A" * 43,
    "broker-session=\xff",
    "broker-login=" + "B" * 43,
    "x=" + "y" * 4000,
)
JSON_MEMBERS = (
    *(
        "redirect_uris",
        "client_name",
        "grant_types",
        "response_types",
        "token_endpoint_auth_method",
        "jwks",
        "jwks_uri",
    ),
    *("scope", "client_uri", "logo_uri", "application_type", "client_id", "software_id", "contacts"),
)


@dataclass(frozen=True)
class Malformed:
    """One request, as bytes."""

    raw: bytes
    method: str


def requests(seed: int, count: int, host: str) -> Iterator[Malformed]:
    """Yield requests; the same seed yields the same ones."""
    chance = random.Random(seed)  # noqa: S311 - a test wants to repeat itself
    for _ in range(count):
        yield _request(chance, host)


def _request(chance: random.Random, host: str) -> Malformed:
    method = chance.choices(METHODS, weights=(8, 12, 1, 1, 1, 1, 1, 1))[0]
    path = chance.choice(PATHS)
    query = _form(chance) if method == "GET" or chance.random() < 0.1 else b""
    body, kind = _body(chance) if method in ("POST", "PUT", "PATCH") else (b"", "")
    target = path.encode() + (b"?" + query if query else b"")
    headers = [b"host: " + host.encode(), b"content-length: " + str(len(body)).encode()]
    if kind:
        headers.append(b"content-type: " + kind.encode("latin-1"))
    if chance.random() < 0.3:
        headers.append(b"authorization: " + _authorization(chance))
    if chance.random() < 0.3:
        headers.append(b"cookie: " + chance.choice(COOKIES).encode("latin-1"))
    if chance.random() < 0.1:
        headers.append(b"sec-fetch-site: same-origin")
    if chance.random() < 0.1:
        headers.append(b"accept: " + chance.choice((b"application/json", b"text/html", b"*/*", b"\xff")))
    return Malformed(b"\r\n".join([b"%s %s HTTP/1.1" % (method.encode(), target), *headers, b"", body]), method)


def _value(chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(40))
    return chance.choice(VALUES).encode("utf-8", "surrogatepass")


def _form(chance: random.Random) -> bytes:
    pairs = []
    for _ in range(chance.choice((0, 1, 2, 4, 8, 120))):
        value = _value(chance)
        raw = (
            value.replace(b" ", b"+").replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
            if chance.random() < 0.05
            else b""
        )
        encoded = raw if raw.isascii() and raw else quote_from_bytes(value, safe="").encode()
        pairs.append(chance.choice(NAMES).encode() + b"=" + encoded)
    return chance.choice((b"&", b"&", b"&", b";", b"&&")).join(pairs)


def _body(chance: random.Random) -> tuple[bytes, str]:
    kind = chance.choice(TYPES)
    shape = chance.random()
    if shape < 0.6:
        return _form(chance), "application/x-www-form-urlencoded" if chance.random() < 0.8 else kind
    if shape < 0.85:
        return _json(chance), "application/json" if chance.random() < 0.9 else kind
    return chance.randbytes(chance.choice((0, 1, 50, 3000))), kind


def _json(chance: random.Random) -> bytes:
    def member() -> object:
        text = chance.choice(VALUES)
        choices = (
            text,
            [text],
            [[text]],
            {text: text},
            None,
            True,
            10**30,
            -0.0,
            [text] * 200,
            {"keys": [{"kty": text}]},
        )
        return chance.choice(choices)

    whole = {name: member() for name in chance.sample(JSON_MEMBERS, chance.randrange(len(JSON_MEMBERS)))}
    raw = json.dumps(whole).encode()
    cut = chance.random()
    if cut < 0.1:
        return raw[: chance.randrange(len(raw) + 1)]
    return b"[" * 3000 if cut < 0.13 else raw


def _authorization(chance: random.Random) -> bytes:
    credentials = base64.b64encode(_value(chance) + chance.choice((b":", b"", b"::")) + _value(chance))
    schemes = (
        b"Basic " + credentials,
        b"basic " + credentials[:-1],
        b"Basic",
        b"Basic =",
        b"Bearer x.y.z",
        b"\xff\xfe",
        b"DPoP a",
    )
    return chance.choice(schemes)


async def send(host: str, port: int, batch: list[Malformed]) -> list[int]:
    """Send requests one after the other over kept-alive connections and return their statuses (0: closed without an answer)."""
    statuses: list[int] = []
    reader, writer = await asyncio.open_connection(host, port)
    for request in batch:
        writer.write(request.raw)
        async with asyncio.timeout(10):
            status, keep = await _answer(reader, request.method)
        statuses.append(status)
        if not keep:
            writer.close()
            reader, writer = await asyncio.open_connection(host, port)
    writer.close()
    return statuses


async def _answer(reader: asyncio.StreamReader, method: str) -> tuple[int, bool]:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, False
    status = int(head.split(b" ", 2)[1])
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
    if method != "HEAD" and length:
        await reader.readexactly(int(length))
    return status, b"connection: close" not in head
