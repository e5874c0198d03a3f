"""Debian's LemonLDAP::NG, a portal in Perl by other people: its own configuration file, and people in a table of SQLite.

It differs from the others: the issuer ends with a slash, `none` and HS256 are among the algorithms of its metadata, `iss` comes but is
not advertised, the refresh token stays the same, and one that it does not know is `invalid_request`. Its metadata leaves `offline_access`
out, which is therefore in SCOPES here: only with a refresh token of that kind it reads the person again.
"""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc.jwk import RSAKey

from tests.e2e import parts
from tests.e2e.browserless import Browserless, Page
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.processes import Process, answers, free_port

SECRET = "lemonldap-client-secret-of-the-end-to-end-tests"
SCOPES = ("openid", "profile", "email", "groups", "offline_access")
PROVIDERS = ("lemonldap", "hasty")  # ids under which a broker may know it
PEOPLE = "create table person (uid text primary key, password text, mail text, department text)"
WORKERS = "3"  # one alone could not give its keys to a broker that looks at the logout token it is sending


@dataclass(frozen=True)
class LemonldapCompany:
    """Whoever is hired here is of the group `eng`."""

    idp: IdentityProvider
    database: Path
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def hire(self) -> str:
        """Return the name of a new person."""
        person = f"lemonldap-{next(self._numbers)}"
        employee = (person, f"{person}-password", f"{person}@example.com", "eng")
        self._write("insert into person values (?, ?, ?, ?)", employee)
        return person

    def disable(self, person: str) -> None:
        """Let somebody go: accounts are not LemonLDAP's to disable, it asks its user database and finds nobody."""
        self._write("delete from person where uid = ?", (person,))

    def sign_out(self, browser: Browserless, _person: str) -> None:
        """End the session, as the portal's link for signing out does."""
        assert browser.open(f"{self.idp.issuer}?logout=1").status == 200

    def remove_sessions(self) -> None:
        """Remove everybody's sessions, those of refresh tokens among them, as its session explorer can."""
        for session in self.database.with_name("sessions").glob("[0-9a-f]*"):
            session.unlink()

    def _write(self, statement: str, values: tuple[str, ...]) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, values)


@contextmanager
def running_lemonldap(folder: Path, broker: str) -> Iterator[LemonldapCompany]:
    """Start it on a free port of loopback, with the broker at that issuer as a client that is told of logouts."""
    root, port, database = parts.lemonldap(), free_port(), folder / "people.db"
    issuer = f"http://localhost:{port}/"
    for name in ("conf", "sessions/lock", "persistent/lock"):
        (folder / name).mkdir(parents=True)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(PEOPLE)
    (folder / "conf" / "lmConf-1.json").write_text(json.dumps(_configuration(folder, issuer, broker)))
    settings = folder / "lemonldap-ng.ini"
    settings.write_text(_settings(folder, root))
    libraries = [root / "usr" / "share" / "perl5", *(root / "usr" / "lib").glob("*-linux-gnu/perl5/*")]
    site = root / "usr" / "share" / "lemonldap-ng" / "portal" / "htdocs" / "index.psgi"
    listen = ["--host", "127.0.0.1", "--port", str(port), "--workers", WORKERS]
    process = Process(
        ["perl", root / "usr" / "bin" / "starman", *listen, site],
        folder / "lemonldap.log",
        environment={
            "PATH": os.environ["PATH"],
            "PERL5LIB": ":".join(map(str, libraries)),
            "LLNG_DEFAULTCONFFILE": str(settings),
        },
    )
    try:
        process.wait_until(lambda: answers(f"{issuer}.well-known/openid-configuration"), within=60)
        idp = IdentityProvider(
            "oidc", issuer, SECRET, process, id="lemonldap", more={"SCOPES": ",".join(SCOPES)}, sign=sign_in
        )
        yield LemonldapCompany(idp, database)
    finally:
        process.stop()


def sign_in(browser: Browserless, page: Page, person: str, password: str) -> Page:
    """Fill in the portal's form."""
    [form] = [form for form in page.forms if "password" in form.fields]
    return browser.submit(page, form, fields={"user": person, "password": password})


def _configuration(folder: Path, issuer: str, broker: str) -> dict[str, Any]:
    """Return what its manager would write: the JSON file of the configuration backend `File`."""
    key = RSAKey.generate_key(2048)
    return {
        "cfgNum": 1,
        "cfgDate": 1,
        "portal": issuer,
        "domain": "",  # the cookie is of this host alone
        "securedCookie": 0,
        "key": os.urandom(16).hex(),
        "locationRules": {"localhost": {"default": "accept"}},
        **_storage("global", folder / "sessions"),
        **_storage("persistent", folder / "persistent"),
        "authentication": "DBI",
        "userDB": "Same",
        "dbiAuthChain": f"dbi:SQLite:dbname={folder / 'people.db'}",
        "dbiAuthTable": "person",
        "dbiAuthLoginCol": "uid",
        "dbiAuthPasswordCol": "password",
        "dbiExportedVars": {name: name for name in ("uid", "mail", "department")},
        "whatToTrace": "uid",
        "groups": {"eng": "$department eq 'eng'"},
        **dict.fromkeys(("captcha_mail_enabled", "captcha_register_enabled", "portalDisplayRegister"), 0),
        **dict.fromkeys(("portalDisplayResetPassword", "passwordDB"), ""),  # these would bring a mailer along
        "issuerDBOpenIDConnectActivation": 1,
        "keys": {
            "default-oidc-sig": {
                "keyPrivate": key.as_pem(private=True).decode(),
                "keyPublic": key.as_pem(private=False).decode(),
                "keyId": "first",
            }
        },
        "oidcRPMetaDataOptions": {"broker": _client(broker)},
        "oidcRPMetaDataExportedVars": {
            "broker": {"email": "mail", "preferred_username": "uid", "groups": "groups;string;always"}
        },
        "oidcRPMetaDataOptionsExtraClaims": {"broker": {"groups": "groups"}},
    }


def _client(broker: str) -> dict[str, Any]:
    options = {
        "ClientID": "broker",
        "ClientSecret": SECRET,
        "RedirectUris": " ".join(f"{broker}/callback/{provider}" for provider in PROVIDERS),
        "IDTokenSignAlg": "RS256",
        "RequirePKCE": 1,
        "BypassConsent": 1,
        "AllowOffline": 1,
        "LogoutUrl": f"{broker}/backchannel-logout/lemonldap",
        "LogoutType": "back",
        "LogoutSessionRequired": 1,
    }
    return {f"oidcRPMetaDataOptions{name}": value for name, value in options.items()}


def _storage(name: str, folder: Path) -> dict[str, Any]:
    options = {"Directory": str(folder), "LockDirectory": str(folder / "lock")}
    return {f"{name}Storage": "Apache::Session::File", f"{name}StorageOptions": options}


def _settings(folder: Path, root: Path) -> str:
    lines = (
        "[all]",
        "logger = Lemonldap::NG::Common::Logger::Std",
        "logLevel = info",
        "localSessionStorage =",
        "[configuration]",
        "type = File",
        f"dirName = {folder / 'conf'}",
        "[portal]",
        f"templateDir = {root / 'usr' / 'share' / 'lemonldap-ng' / 'portal' / 'templates'}",
        "languages = en",
    )
    return "\n".join([*lines, ""])
