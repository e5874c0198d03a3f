"""A company at Keycloak: the broker is a client of its own for each test, people come and go through the admin REST API.

There is one realm that keeps refresh tokens and shows groups with their full path, and one that rotates them and shows bare names. In the
first the broker asks for `offline_access`, as it does by default, in the second it does not.

With it Keycloak keeps an offline session and, unless the person was signed in there before, no other: an administrator's sign-out of the
person then makes the refresh token useless and tells nobody; ending the offline session tells us.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import httpx2

from tests.e2e import parts
from tests.e2e.browserless import Browserless
from tests.e2e.identity_providers import IdentityProvider

REALM = parts.HERE / "keycloak" / "mcp-realm.json"
ROTATING = "mcp-rotating"
ADMINISTRATOR = {
    "username": "admin",
    "password": "keycloak-administrator-of-the-end-to-end-tests",
}  # as in keycloak/start.sh


@dataclass(frozen=True)
class Administration:
    """The admin REST API of one realm."""

    origin: str
    realm: str

    def call(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        """Make a request under the realm; anything but success, or a realm that is there already, fails."""
        headers = {"Authorization": f"Bearer {self._token()}"}
        url = f"{self.origin}/admin/realms{path and f'/{self.realm}{path}'}"
        answer = httpx2.request(method, url, json=body, headers=headers, timeout=30, trust_env=False)
        assert answer.is_success or (answer.status_code, path) == (409, ""), (url, answer.status_code, answer.text)
        return answer

    def _token(self) -> str:
        form = {"grant_type": "password", "client_id": "admin-cli", **ADMINISTRATOR}
        url = f"{self.origin}/realms/master/protocol/openid-connect/token"
        token: str = httpx2.post(url, data=form, timeout=30, trust_env=False).json()["access_token"]
        return token


@dataclass(frozen=True)
class KeycloakCompany:
    """Whoever is hired here is of the group /eng/platform and has the role auditor."""

    idp: IdentityProvider
    administration: Administration
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def hire(self) -> str:
        """Return the name of a new person."""
        person = f"{self.idp.client_id}-{next(self._numbers)}"
        body = {
            "username": person,
            "enabled": True,
            "email": f"{person}@example.com",
            "emailVerified": True,
            "firstName": "New",
            "lastName": "Comer",
            "groups": ["/eng/platform"],
            "credentials": [{"type": "password", "value": f"{person}-password", "temporary": False}],
        }
        place = self.administration.call("POST", "/users", body).headers["location"].rpartition("/")[2]
        role = self.administration.call("GET", "/roles/auditor").json()
        self.administration.call("POST", f"/users/{place}/role-mappings/realm", [role])
        return person

    def disable(self, person: str) -> None:
        """Disable an account; Keycloak sends no logout token for it."""
        self.administration.call("PUT", self._path(person), {"enabled": False})

    def enable(self, person: str) -> None:
        """Enable an account again."""
        self.administration.call("PUT", self._path(person), {"enabled": True})

    def delete(self, person: str) -> None:
        """Delete an account; Keycloak sends no logout token for it."""
        self.administration.call("DELETE", self._path(person))

    def leave_group(self, person: str) -> None:
        """Take somebody out of /eng/platform."""
        [group] = self.administration.call("GET", f"{self._path(person)}/groups").json()
        self.administration.call("DELETE", f"{self._path(person)}/groups/{group['id']}")

    def withdraw_default_roles(self, person: str) -> None:
        """Take the default roles from somebody, and with them `offline_access`."""
        role = self.administration.call("GET", f"/roles/default-roles-{self.administration.realm}").json()
        self.administration.call("DELETE", f"{self._path(person)}/role-mappings/realm", [role])

    def sign_out(self, _browser: Browserless, person: str) -> None:
        """End the session that the broker's tokens belong to, as an administrator does."""
        if "OFFLINE_ACCESS" in self.idp.more:
            self.sign_out_everywhere(person)
            return
        [client] = self.administration.call("GET", f"/clients?clientId={self.idp.client_id}").json()
        [session] = self.administration.call("GET", f"{self._path(person)}/offline-sessions/{client['id']}").json()
        self.administration.call("DELETE", f"/sessions/{session['id']}?isOffline=true")

    def sign_out_everywhere(self, person: str) -> None:
        """Sign a person out, as an administrator does."""
        self.administration.call("POST", f"{self._path(person)}/logout")

    def sign_in_elsewhere(self, browser: Browserless, person: str) -> None:
        """Sign in for Keycloak's account console, as for any other app of the company."""
        asked = {
            "client_id": "account-console",
            "redirect_uri": self.idp.issuer + "/account/",
            "response_type": "code",
            "scope": "openid",
            "code_challenge": "x" * 43,  # nobody redeems the code
            "code_challenge_method": "S256",
        }
        page = browser.open(f"{self.idp.issuer}/protocol/openid-connect/auth?{urlencode(asked)}")
        assert self.idp.sign_in(browser, page, person).status == 200

    def sign_out_by_oneself(self, browser: Browserless) -> None:
        """Sign out at Keycloak in one's own browser (RP-Initiated Logout 1.0 section 2), confirming it."""
        page = browser.open(self.idp.issuer + "/protocol/openid-connect/logout")
        browser.submit(page, page.form, ("confirmLogout", "Logout"))

    def signing_key(self) -> str:
        """Return the key id that ID tokens are signed with."""
        active: dict[str, str] = self.administration.call("GET", "/keys").json()["active"]
        return active["RS256"]

    def rotate_keys(self) -> None:
        """Make a new key that signs from now on; the old one stays published."""
        keys = self.administration.call("GET", "/keys").json()["keys"]
        priority = str(1 + max(key["providerPriority"] for key in keys))
        config = {"priority": [priority], "enabled": ["true"], "active": ["true"], "keySize": ["2048"]}
        realm = self.administration.call("GET", "/").json()
        self.administration.call(
            "POST",
            "/components",
            {
                "name": f"rotated-{priority}",
                "providerId": "rsa-generated",
                "providerType": "org.keycloak.keys.KeyProvider",
                "parentId": realm["id"],
                "config": config,
            },
        )

    def _path(self, person: str) -> str:
        [found] = self.administration.call("GET", f"/users?exact=true&username={person}").json()
        return f"/users/{found['id']}"


def company(keycloak: IdentityProvider, broker: str, *, rotating: bool) -> KeycloakCompany:
    """Make a client for the broker at that issuer, in one of the two realms."""
    origin, _, realm = keycloak.issuer.partition("/realms/")
    if rotating:
        realm = ROTATING
        Administration(origin, realm).call("POST", "", _rotating_realm())
    administration = Administration(origin, realm)
    name = f"broker-{broker.rpartition(':')[2]}"
    administration.call("POST", "/clients", _client(name, broker, full_path=not rotating))
    more = {"OFFLINE_ACCESS": "never"} if rotating else {}
    idp = replace(keycloak, issuer=f"{origin}/realms/{realm}", client_id=name, more=more)
    return KeycloakCompany(idp, administration)


def _client(name: str, broker: str, *, full_path: bool) -> dict[str, Any]:
    """Return the realm's client as one for another broker, which is told of logouts; groups have their full path, or their name."""
    [client] = json.loads(REALM.read_text())["clients"]
    for mapper in client["protocolMappers"]:
        if "full.path" in mapper["config"]:
            mapper["config"]["full.path"] = json.dumps(full_path)
    told = {
        "backchannel.logout.url": f"{broker}/backchannel-logout/keycloak",
        "backchannel.logout.session.required": "true",
    }
    return {
        **client,
        "clientId": name,
        "redirectUris": [f"{broker}/callback/keycloak"],
        "attributes": {**client["attributes"], **told},
    }


def _rotating_realm() -> dict[str, Any]:
    """Return the realm as a second one, without people, that rotates refresh tokens."""
    realm: dict[str, Any] = json.loads(REALM.read_text())
    return {**realm, "realm": ROTATING, "users": [], "revokeRefreshToken": True, "refreshTokenMaxReuse": 0}
