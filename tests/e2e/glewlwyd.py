"""Debian's Glewlwyd, an OpenID provider in C by other people: started with an empty SQLite file, set up through its admin REST API.

It differs from the others: `iss` comes but is not advertised, a bad code is 403, a reused refresh token 400 without a body, logout
tokens have no `exp` (they follow a draft), and somebody who is disabled can sign in no more, yet keeps the tokens that there are: only
deleting the account makes them useless. Its sign-in page is a script, whose requests are made here.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
from joserfc.jwk import RSAKey

from tests.e2e import parts
from tests.e2e.browserless import Browserless, Page
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.processes import Process, answers, free_port

SECRET = "glewlwyd-client-secret-of-the-end-to-end-tests"
SCOPES = ("openid", "profile", "email", "groups")
Call = Callable[..., httpx2.Response]  # method, path, body
ADMINISTRATOR = {"username": "admin", "password": "password"}  # of a new database


@contextmanager
def running_glewlwyd(folder: Path) -> Iterator[IdentityProvider]:
    """Start it on a free port of loopback."""
    root, port = parts.glewlwyd(), free_port()
    issuer = f"http://localhost:{port}/api/oidc"
    database, settings = folder / "glewlwyd.db", folder / "glewlwyd.conf"
    with closing(sqlite3.connect(database)) as connection:
        schema = root / "usr" / "share" / "doc" / "glewlwyd" / "database" / "init.sqlite3.sql.gz"
        connection.executescript(gzip.decompress(schema.read_bytes()).decode())
    settings.write_text(_settings(root, port, database))
    libraries = ":".join(str(path) for path in (root / "usr" / "lib").glob("*-linux-gnu"))
    process = Process(
        [root / "usr" / "bin" / "glewlwyd", f"--config-file={settings}"],
        folder / "glewlwyd.log",
        environment={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": libraries},
    )
    try:
        process.wait_until(lambda: answers(f"http://localhost:{port}/config"), within=60)
        _set_up(issuer)
        yield IdentityProvider("oidc", issuer, SECRET, process, id="glewlwyd", sign=sign_in)
    finally:
        process.stop()


def sign_in(browser: Browserless, page: Page, person: str, password: str) -> Page:
    """Do what the script of the sign-in page does: authenticate, allow the client its scopes, go on."""
    asked = page.params
    if browser.script(page, "POST", "/api/auth/", {"username": person, "password": password}) != 200:
        return page
    assert browser.script(page, "PUT", f"/api/auth/grant/{asked['client_id']}", {"scope": asked["scope"]}) == 200
    return browser.go(page, asked["callback_url"] + "&g_continue")


@dataclass(frozen=True)
class GlewlwydCompany:
    """Whoever is hired here is of the group `eng`."""

    idp: IdentityProvider
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def hire(self) -> str:
        """Return the name of a new person."""
        person = f"{self.idp.client_id}-{next(self._numbers)}"
        _administer(self.idp.issuer, "POST", "/user/", _employee(person))
        return person

    def disable(self, person: str) -> None:
        """Let somebody go: delete the account, since one that is disabled refreshes on."""
        _administer(self.idp.issuer, "DELETE", f"/user/{person}")

    def sign_out(self, browser: Browserless, _person: str) -> None:
        """End the session, as the script of the sign-out page does for the person."""
        page = browser.open(f"{self.idp.issuer}/end_session")
        sid = browser.cookies["GLEWLWYD2_OIDC_SID"]
        assert browser.script(page, "DELETE", f"/api/oidc/session/{sid}/", {}) == 200


def company(provider: IdentityProvider, broker: str) -> GlewlwydCompany:
    """Make a client for the broker at that issuer, which is told of logouts."""
    name = f"broker-{broker.rpartition(':')[2]}"
    client = {
        "client_id": name,
        "name": "Broker",
        "client_secret": SECRET,
        "confidential": True,
        "enabled": True,
        "scope": [],
        "redirect_uri": [f"{broker}/callback/{provider.provider}"],
        "authorization_type": ["code", "refresh_token"],
        "token_endpoint_auth_method": ["client_secret_basic"],
        "backchannel_logout_uri": f"{broker}/backchannel-logout/{provider.provider}",
    }
    _administer(provider.issuer, "POST", "/client/", client)
    return GlewlwydCompany(replace(provider, client_id=name, more={"SCOPES": ",".join(SCOPES)}))


def _employee(person: str) -> dict[str, Any]:
    return {
        "username": person,
        "name": person,
        "email": f"{person}@example.com",
        "password": f"{person}-password",
        "enabled": True,
        "scope": list(SCOPES),
        "groups": ["eng"],
    }


@contextmanager
def _administration(issuer: str) -> Iterator[Call]:
    """Sign in to the admin REST API; requests that do not succeed fail."""
    with httpx2.Client(timeout=30, trust_env=False) as http:
        base = issuer.removesuffix("/oidc")

        def call(method: str, path: str, body: Any = None) -> httpx2.Response:
            answer = http.request(method, base + path, json=body)
            assert answer.is_success, (path, answer.status_code, answer.text)
            return answer

        call("POST", "/auth/", ADMINISTRATOR)
        yield call


def _administer(issuer: str, method: str, path: str, body: Any = None) -> None:
    with _administration(issuer) as call:
        call(method, path, body)


def _set_up(issuer: str) -> None:
    """Add what an OpenID provider needs: people with groups, scopes, the plugin with a key."""
    plugin = {"module": "oidc", "name": "oidc", "display_name": "OpenID Connect", "order_rank": 0}
    with _administration(issuer) as call:
        people = call("GET", "/mod/user/database").json()
        people["parameters"]["data-format"]["groups"] = {"multiple": True, "read": True, "write": True}
        call("PUT", "/mod/user/database", people)
        call("PUT", "/mod/user/database/reset")
        for name in SCOPES[1:]:
            scope = {"name": name, "display_name": name, "password_required": True, "scheme": {}, "scheme_required": {}}
            call("POST", "/scope/", scope)
        call("POST", "/mod/plugin/", {**plugin, "parameters": _plugin(issuer)})


def _plugin(issuer: str) -> dict[str, Any]:
    key = RSAKey.generate_key(2048, {"kid": "first", "alg": "RS256", "use": "sig"})
    offered = ("code", "refresh")
    withheld = ("token", "implicit", "none", "password", "client", "device")
    return {
        **{f"auth-type-{name}-enabled": True for name in offered},
        **{f"auth-type-{name}-enabled": False for name in withheld},
        "iss": issuer,
        "subject-type": "public",
        "jwks-private": json.dumps({"keys": [key.as_dict(private=True)]}),
        "jwks-show": True,
        "default-kid": "first",
        "jwt-type": "rsa",
        "jwt-key-size": "256",
        "access-token-duration": 3600,
        "refresh-token-duration": 3600,
        "code-duration": 60,
        "refresh-token-rolling": True,
        "refresh-token-one-use": "always",
        "allow-non-oidc": False,
        "auth-type-code-revoke-replayed": True,
        "oauth-as-iss-id": True,
        "pkce-allowed": True,
        "pkce-required": True,
        "pkce-method-plain-allowed": False,
        "session-management-allowed": True,
        "session-cookie-name": "GLEWLWYD2_OIDC_SID",
        "session-cookie-expiration": 3600,
        "back-channel-logout-allowed": True,
        "name-claim": "on-demand",
        "name-claim-scope": ["profile"],
        "email-claim": "on-demand",
        "email-claim-scope": ["email"],
        "claims": [
            {"name": "groups", "user-property": "groups", "type": "string", "on-demand": False, "scope": ["groups"]}
        ],
        "allowed-scope": list(SCOPES),
    }


def _settings(root: Path, port: int, database: Path) -> str:
    modules = {
        "user_module_path": "user",
        "user_middleware_module_path": "user",  # there are none of these
        "client_module_path": "client",
        "user_auth_scheme_module_path": "scheme",
        "plugin_module_path": "plugin",
    }
    texts = {
        "bind_address": "127.0.0.1",
        "external_url": f"http://localhost:{port}",
        "login_url": "login.html",
        "api_prefix": "api",
        "static_files_path": root / "usr" / "share" / "glewlwyd" / "webapp",
        "log_mode": "console",
        "log_level": "DEBUG",
        "session_key": "GLEWLWYD2_SESSION_ID",
        "admin_session_authentication": "cookie",
        "profile_session_authentication": "cookie",
        "admin_scope": "g_admin",
        "profile_scope": "g_profile",
        "hash_algorithm": "SHA512",
        **{name: root / "usr" / "lib" / "glewlwyd" / folder for name, folder in modules.items()},
    }
    lines = [f"port={port}", "cookie_secure=false", "session_expiration=3600", "login_api_enabled=true"]
    lines += [f'{name}="{value}"' for name, value in texts.items()]
    return "\n".join([*lines, f'database = {{ type = "sqlite3" path = "{database}" }};', ""])
