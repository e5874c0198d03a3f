"""Nested records as JSON: complete, and tolerant of the version before and the version after."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from broker.model import Client, Identity, SigningKey, StepUp
from broker.store import texts
from tests.broker.records import NOW, make_client, make_identity
from tests.broker.store.keeper import make_login
from tests.broker.store.test_contract_clients import EVERYTHING

IDENTITIES = [
    make_identity(),
    make_identity(groups=(), amr=(), name=None, email=None, email_verified=False),
    make_identity(groups=None, groups_unknown="overage", acr="mfa", amr=("pwd",), upstream_sid="sid"),
    make_identity(auth_time_stated=True),
    make_identity(attributes={"roles": ("a",), "organizations": ()}),
]


@pytest.mark.parametrize("client", [make_client(), EVERYTHING, make_client(expires_at=0, blocked=True, grant_types=())])
def test_a_client_survives(client: Client):
    """A grant keeps a snapshot of its client (architecture section 5)."""
    assert texts.client_of(texts.client_text(client)) == client


@pytest.mark.parametrize("identity", IDENTITIES)
def test_an_identity_survives(identity: Identity):
    """No groups, empty groups and unknown groups are three things."""
    assert texts.identity_of(texts.identity_text(identity), identity.subject) == identity


def test_a_request_survives():
    """With every member, and with none but the required."""
    whole = make_login().request
    again = StepUp(provider="corp", acr_values=("2", "3"), max_age=300, subject="u_alice")
    for request in (
        whole,
        replace(whole, step_up=again),
        replace(whole, step_up=StepUp(provider="corp", subject="u", anew=False)),
    ):
        assert texts.request_of(texts.request_text(request)) == request
    bare = {"client_id": "c", "redirect_uri": "r", "resource": "u", "scopes": [], "code_challenge": "x"}
    request = texts.request_of(json.dumps(bare))
    assert (request.state, request.prompt, request.max_age, request.acr_values) == (None, (), None, ())


def test_members_of_a_later_version_are_ignored():
    """Two versions run side by side during an update."""
    client = json.loads(texts.client_text(make_client())) | {"from_the_future": {"a": 1}}
    identity = json.loads(texts.identity_text(make_identity())) | {"from_the_future": [1]}
    request = json.loads(texts.request_text(make_login().request)) | {"from_the_future": None}
    key = {"kid": "k", "alg": "ES256", "sealed": "s", "public_jwk": "{}", "created_at": 1, "activates_at": 2, "new": 3}
    assert texts.client_of(json.dumps(client)) == make_client()
    assert texts.identity_of(json.dumps(identity), "u_alice") == make_identity()
    assert texts.request_of(json.dumps(request)) == make_login().request
    assert texts.keys_of(json.dumps([key])) == (
        SigningKey(kid="k", alg="ES256", sealed="s", public_jwk="{}", created_at=1, activates_at=2),
    )


def test_members_that_an_earlier_version_did_not_write_have_their_defaults():
    """A new member has a default; older rows are not rewritten."""
    client = {"client_id": "c", "name": "n", "source": "added", "token_endpoint_auth_method": "none"}
    identity = {"provider": "p", "upstream_issuer": "i", "upstream_subject": "s", "auth_time": NOW}
    assert texts.client_of(json.dumps(client)).redirect_uris == ()
    assert texts.identity_of(json.dumps(identity), "u_1").groups is None


def test_no_member_is_forgotten():
    """Whoever adds a member to a record adds it here, too."""
    known = {
        Client: json.loads(texts.client_text(EVERYTHING)).keys() | {"expires_at", "blocked"},
        Identity: {"subject"}.union(*(json.loads(texts.identity_text(identity)) for identity in IDENTITIES)),
    }
    for record, members in known.items():
        assert {field.name for field in fields(record)} == set(members)


def test_a_snapshot_is_small():
    """Rows are compact: what says nothing is left out."""
    assert len(texts.client_text(make_client())) < 300
    assert len(texts.identity_text(make_identity())) < 300
