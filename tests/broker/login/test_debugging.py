"""What a debug login shows of a person: nothing hidden slips through, whatever a provider writes (rules B13, G7)."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from broker.login import debugging
from broker.model import ClientSource, Identity
from broker.protocol.redirect_uri import matches
from providers.base import Groups, UpstreamIdentity, UpstreamTokens

ALICE = Identity(
    subject="u_alice",
    provider="corp",
    upstream_issuer="https://idp.example.com",
    upstream_subject="42-of-alice",
    auth_time=1_800_000_000,
    auth_time_stated=True,
    acr="mfa",
    amr=("pwd", "otp"),
    email="alice@example.com",
    email_verified=True,
    name="Alice A",
    groups=("/eng",),
    attributes={"role": ("editor",), "tenant": ()},
)


def upstream(id_token: str | None) -> UpstreamIdentity:
    return UpstreamIdentity(
        issuer=ALICE.upstream_issuer,
        subject=ALICE.upstream_subject,
        auth_time=ALICE.auth_time,
        groups=Groups.known(("/eng",)),
        tokens=UpstreamTokens(access_token="at-secret", id_token=id_token),
    )


def token(claims: dict[str, Any]) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJub25lIn0.{body}.c2ln"


def shown(claims: dict[str, Any], *, in_full: bool) -> dict[str, str]:
    return {line.name: line.value for line in debugging.claims(upstream(token(claims)), in_full=in_full)}


def test_its_client_is_nobody_an_app_can_be():
    """A URN with the broker as its source, without redirect URI, grant or resource."""
    request = debugging.request(in_full=False, anew=False)

    assert debugging.CLIENT.source is ClientSource.INTERNAL
    assert not debugging.CLIENT.source.preregistered
    assert ":" in debugging.DEBUG_ID
    assert not debugging.DEBUG_ID.startswith("https://")
    assert not matches(debugging.CLIENT.redirect_uris, request.redirect_uri)
    assert (request.resource, request.scopes, request.code_challenge) == ("", (), "")


@pytest.mark.parametrize("in_full", [True, False])
def test_handles_of_the_sign_in_are_never_shown(in_full: bool):  # noqa: FBT001 - a table
    secret = "a-handle-that-nobody-may-see"
    found = shown(dict.fromkeys(debugging.HIDDEN, secret), in_full=in_full)

    assert set(found.values()) == {"(hidden)"}


def test_masked_values_tell_their_length_however_deep_they_are():
    found = shown(
        {
            "name": "Alice A",
            "empty": "",
            "iss": "https://idp.example.com",
            "email_verified": True,
            "exp": 5,
            "nothing": None,
            "no": False,
            "address": {"street": ["Long Road 1"]},
        },
        in_full=False,
    )

    assert found == {
        "name": "A… (7 characters)",
        "empty": "",
        "iss": "https://idp.example.com",
        "email_verified": "true",
        "exp": "5",
        "nothing": "null",
        "no": "false",
        "address": "{street: [L… (11 characters)]}",
    }


def test_values_in_full_are_bounded_and_printable():
    """Rule G7."""
    found = shown({"name\x1b[2J": "x" * 5000, "deep": ["\u202e\x00"] * 5000}, in_full=True)

    assert all(len(text) <= 501 and text.isprintable() for line in found.items() for text in line)


@pytest.mark.parametrize("bad", [None, "", "x", "a.b", "a.!!.c", "a.eyJhIjox.c", "a.W10.c"])
def test_a_provider_without_a_readable_id_token_has_no_claims(bad: str | None):
    """GitHub gives none; a third party's adapter may give anything."""
    assert debugging.claims(upstream(bad), in_full=True) == []
    assert debugging.claims(replace(upstream(None), tokens=None), in_full=True) == []


def test_a_person_is_masked_by_name_address_and_subject_there():
    masked = {line.name: line.value for line in debugging.person(ALICE, in_full=False)}
    full = {line.name: line.value for line in debugging.person(ALICE, in_full=True)}

    assert [masked[name] for name in ("Subject there", "Name", "E-mail")] == [
        "4… (11 characters)",
        "A… (7 characters)",
        "a… (17 characters)",
    ]
    assert [full[name] for name in ("Subject there", "Name", "E-mail")] == [
        "42-of-alice",
        "Alice A",
        "alice@example.com",
    ]
    assert masked["Subject here"] == "u_alice"
    assert (masked["acr"], masked["amr"], masked["role"], masked["tenant"]) == ("mfa", "pwd otp", "editor", "(empty)")
    assert masked["Signed in"] == "2027-01-15 08:00:00Z, as the provider says"


def test_what_is_not_known_is_said_to_be_unknown():
    nobody = replace(ALICE, email=None, name=None, acr=None, amr=None, auth_time_stated=False, attributes={})
    found = {line.name: line.value for line in debugging.person(nobody, in_full=True)}

    assert {found[name] for name in ("E-mail", "E-mail is", "Name", "acr", "amr")} == {"unknown"}
    assert "does not say" in found["Signed in"]
