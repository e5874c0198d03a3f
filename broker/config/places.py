"""The kinds of values that name places and parties: issuer, addresses, URLs, the database, hosts, keys, client ids."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from broker.config.faults import Wrong, quoted
from broker.config.kinds import Kind, as_list, as_text, listed
from broker.oauth import InvalidRedirectUri
from broker.protocol import redirect_uri, web_url
from broker.protocol.web_url import WebUrl
from broker.settings import Address
from broker.store.base import StoreMisconfigured
from broker.store.url import PostgresUrl
from broker.store.url import parse as parse_database

MASTER_KEY_BYTES = 32
NEW_MASTER_KEY = "python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
_CREDENTIAL = re.compile(r"[A-Za-z0-9._~-]{1,512}")
_ISSUER_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_URL_ALPHABET = str.maketrans("+/", "-_")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def parse_url(value: Any) -> tuple[str, WebUrl]:
    """Return an absolute http or https URL and its parts; raises Wrong, which never quotes a URL with a password in it."""
    text = as_text(value)
    url = web_url.parse(text)
    if url is not None:
        return text, url
    faults = {
        "@": ("has a user name or password in it", "remove everything before the @"),
        "#": (f"is {quoted(text)}, which has a fragment", "remove the # and what follows"),
    }
    for mark, (wrong, mend) in faults.items():
        if mark in text:
            raise Wrong(wrong, mend)
    if not text.startswith(("http://", "https://")):
        raise Wrong(f"is {quoted(text)}, which is no http or https URL", "write it with its scheme: https://…")
    raise Wrong(f"is {quoted(text)}, which is no well-formed URL", "write https://host/path in plain ASCII")


def _issuer(value: Any) -> str:
    text, url = parse_url(value)
    host = url.host.lower()
    secure = url.scheme == "https" or url.loopback
    authority = replace(url, host=host, port=None if url.port == _DEFAULT_PORTS[url.scheme] else url.port).authority
    right = f"{url.scheme if secure else 'https'}://{authority}{re.sub('/+', '/', url.path).rstrip('/')}"
    faults = (
        (url.query is not None, "has a query"),
        (text.endswith("/"), "ends in a slash"),
        (url.host != host, "has a host that is not in lower case"),
        (url.port == _DEFAULT_PORTS[url.scheme], "names the default port"),
        (not secure, "is http, which is for a loopback issuer only"),
    )
    wrong = [words for holds, words in faults if holds]
    if wrong:
        raise Wrong(f"is {quoted(text)}, which {' and '.join(wrong)}", f"write {right}, exactly as clients compare it")
    if _ISSUER_PATH.fullmatch(url.path) is None:
        mend = "use letters, digits, - _ . ~ and single slashes in the path"
        raise Wrong(f"is {quoted(text)}, whose path is not plain", mend)
    return text


def _address(value: Any) -> Address:
    text = as_text(value).strip()
    url = web_url.parse(f"http://{text}")
    if url is None or url.port is None or url.authority != text:
        raise Wrong(f"is {quoted(text)}", "write host:port, such as 127.0.0.1:8080 or [::1]:8080")
    return Address(url.host, url.port)


def _database(value: Any) -> str:
    text = as_text(value).strip()
    try:
        database = parse_database(text)
    except StoreMisconfigured:
        mend = "write sqlite:///broker.db, sqlite:////absolute/path.db or postgresql://user@host/database"
        raise Wrong("is neither a SQLite file nor PostgreSQL", mend) from None
    return database.conninfo if isinstance(database, PostgresUrl) else text


def shown_database(text: str) -> str:
    """Return a database URL that is safe to print: a file's path in clear, everything else masked."""
    return text if text.startswith("sqlite:") else "***"


def _master_keys(value: Any) -> tuple[bytes, ...]:
    keys = []
    mend = f"make one with: {NEW_MASTER_KEY}"
    for number, part in enumerate(as_list(value), start=1):
        text = part.rstrip("=").translate(_URL_ALPHABET)
        if _BASE64URL.fullmatch(text) is None or len(text) % 4 == 1:
            raise Wrong(f"has no base64url text in place {number}", mend)
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if len(key) != MASTER_KEY_BYTES:
            raise Wrong(f"has {len(key)} bytes in place {number}, and {MASTER_KEY_BYTES} are needed", mend)
        keys.append(key)
    return tuple(keys)


def _http_url(value: Any) -> str:
    return parse_url(value)[0]


def _proxy(value: Any) -> str:
    text = as_text(value)
    before, _, host = text.rpartition("@")  # a proxy's password stands in its URL
    if web_url.parse(before.partition("://")[0] + "://" + host if before else text) is None:
        raise Wrong("is no http or https URL", "write http://host:port, or http://user:password@host:port")
    return text


def _file(value: Any) -> str:
    text = as_text(value)
    try:
        with Path(text).open("rb"):
            return text
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else "no such path"
        raise Wrong(
            f"names {quoted(text)}, which cannot be read ({why})", "name a file that this process can read"
        ) from None


def _credential(value: Any) -> str:
    text = as_text(value)
    if _CREDENTIAL.fullmatch(text) is None:
        raise Wrong(
            "holds other characters than A-Z a-z 0-9 . _ ~ - or more than 512",
            "use only these: clients encode others differently",
        )
    return text


def _client_id(value: Any) -> str:
    text = as_text(value)
    if text.startswith("https://"):
        raise Wrong(
            "starts with https://", "leave URLs to clients that publish a metadata document, and choose a plain id"
        )
    if text.startswith("u_"):
        raise Wrong("starts with u_, as the subjects of people do", "choose another id")
    return _credential(text)


def _domain(text: str) -> str:
    domain = text.strip().lower()
    url = web_url.parse(f"https://{domain}")
    if url is None or url.authority != domain or url.port is not None:
        raise Wrong(
            f"names {quoted(text)}, which is no domain", "write domains such as example.com, without @ and scheme"
        )
    return domain


def _host(text: str) -> str:
    url = web_url.parse(f"https://{text}")
    if url is None or url.authority != text or text != text.lower():
        raise Wrong(f"names {quoted(text)}, which is no host", "write host or host:port, in lower case")
    return text


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise Wrong(
            f"names {quoted(text)}, which is no address", "write addresses or networks: 10.0.0.1, 10.0.0.0/8"
        ) from None


def _scheme(text: str) -> str:
    try:
        redirect_uri.check(f"{text}:/", (text,))
    except InvalidRedirectUri:
        mend = "write private-use schemes such as cursor or com.example.app, without ://"
        raise Wrong(f"names {quoted(text)}, which no application may have", mend) from None
    return text


_STRING = {"type": "string", "minLength": 1}

ISSUER = Kind(_issuer, {"type": "string", "pattern": "^https?://[^?#@]*[^/?#@]$"}, example="https://auth.example.com")
ADDRESS = Kind(_address, {"type": "string", "pattern": "^.+:[0-9]+$"}, example="127.0.0.1:8080")
DATABASE = Kind(
    _database,
    {"type": "string", "pattern": "^(sqlite|postgres|postgresql|keyring|file|env):"},
    example="sqlite:///broker.db",
)
MASTER_KEYS = Kind(
    _master_keys,
    {"anyOf": [_STRING, {"type": "array", "items": _STRING}]},
    many=True,
    example="keyring:mcp-broker/master_key",
)
HTTP_URL = Kind(_http_url, {"type": "string", "pattern": "^https?://"}, example="https://files.example.com/mcp")
PROXY = Kind(_proxy, _STRING, example="http://proxy.example.com:3128")
FILE = Kind(_file, _STRING, example="/etc/ssl/corporate-ca.pem")
CREDENTIAL = Kind(_credential, _STRING, example="file:/run/secrets/client_secret")
CLIENT_ID = Kind(_client_id, {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,512}$"}, example="inspector")
DOMAINS = listed(_domain, example="example.com,example.org")
HOSTS = listed(_host, example="clients.example.com,localhost:9000")
NETWORKS = listed(_network, example="10.0.0.0/8")
SCHEMES = listed(_scheme, example="cursor,vscode")
URLS = listed(_http_url, example="https://files.example.com/mcp,https://wiki.example.com/mcp")
