"""No line of the log and no event holds a secret, whoever puts it where (security rules B12, B13, F8, G7)."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audit import Audit, Event, as_line
from broker.audit_fields import NAMES, THUMBPRINTS, fit, safe
from broker.clock import SystemEntropy
from broker.secret_source import Secret
from tests.broker.harness import FakeClock

ENTROPY = SystemEntropy()
BASE64URL = string.ascii_letters + string.digits + "-_"
COLUMNS = ("subject", "client_id", "resource", "grant_id")
random_secrets = st.builds(ENTROPY.token, st.integers(32, 64))
hex_secrets = st.text("0123456789abcdef", min_size=32, max_size=64)
jwts = st.builds(lambda body, mac: f"eyJhbGciOiJFUzI1NiJ9.{body}.{mac}", random_secrets, random_secrets)
provider_secrets = st.builds("gho_{}".format, st.text(string.ascii_letters + string.digits, min_size=36, max_size=36))
secrets = st.one_of(random_secrets, hex_secrets, jwts, provider_secrets.filter(lambda s: s[4:] != s[4:].lower()))
around = st.text(max_size=60)
names = st.sampled_from(sorted(NAMES - THUMBPRINTS))


def events_and_lines(**fields: Any) -> str:
    """Return what an event and a line of the log make of the fields."""
    lines: list[str] = []
    audit = Audit(FakeClock(), write=lines.append)
    audit.emit([audit.event(Event.LOGIN_FAILED, **fields)])
    if not fields.keys() & set(COLUMNS):
        audit.log("request.refused", **fields)
    return "\n".join(lines)


def held(secret: str) -> list[str]:
    """Return the parts of a secret that would be enough: a JWT's are its payload and its signature."""
    return secret.split(".")[1:] if "." in secret else [secret]


@given(names, secrets, around, around)
def test_a_secret_in_any_field_of_any_text_is_not_written(name: str, secret: str, before: str, after: str):
    """Rules B13, F8, as a property: every name that there is."""
    written = events_and_lines(**{name: before + secret + after})
    assert not [part for part in held(secret) if part in written]


@given(st.sampled_from(COLUMNS), secrets)
def test_a_secret_in_the_place_of_an_id_is_not_written(column: str, secret: str):
    """The columns of an event take ids of the same shape as everything else."""
    written = events_and_lines(**{column: secret})
    assert not [part for part in held(secret) if part in written]


@given(secrets, st.sampled_from(["?code=", "?state=", "#access_token="]))
def test_a_secret_in_the_query_of_an_address_is_not_written(secret: str, place: str):
    """Redirects and callbacks carry codes there."""
    written = events_and_lines(resource=f"https://app.example/callback{place}{secret}")
    assert not [part for part in held(secret) if part in written]
    assert "https://app.example/callback" in written


@given(st.text(min_size=1), names)
def test_a_value_of_the_type_for_secrets_is_never_written(value: str, name: str):
    written = events_and_lines(**{name: Secret(value)})
    assert json.loads(written.splitlines()[0])[name] == "***"


@pytest.mark.parametrize("value", [b"bytes", ("a", "b"), {"code": "x"}, ValueError("upstream text"), 1.5, object()])
def test_what_is_no_word_id_or_number_is_never_written(value: object):
    """Rule B12: an exception's words are a provider's as often as ours."""
    assert fit("reason", value) == "***"


def test_a_field_that_does_not_exist_is_refused_wherever_it_is_tried():
    """The set is closed: the type checker says so first, this for what it does not see."""
    audit = Audit(FakeClock(), write=lambda _: None)
    unknown: dict[str, Any] = {"authorization_code": "x"}
    with pytest.raises(TypeError, match="authorization_code"):
        audit.event(Event.TOKEN_REFUSED, **unknown)
    with pytest.raises(TypeError, match="authorization_code"):
        audit.log("request.refused", **unknown)


@given(st.text())
def test_every_value_is_printable_and_bounded(value: str):
    """Rule G7."""
    for made in (safe(value), fit("kid", value)):
        assert isinstance(made, str)
        assert made.isprintable()
        assert len(made) <= 300


@pytest.mark.parametrize(
    "name",
    [
        "u_" + "aB3" * 7,
        "https://client.example/" + "0123456789abcdef" * 4,
        "6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "engineering-may-read-and-change-all-notes",
        "no rule permits notes:read for this person",
        "2001:0db8:0000:0000:0000:ff00:0042:8329",
        "mcp_broker.provider_with_a_very_long_name_in_small_letters",
    ],
)
def test_ids_slugs_addresses_and_sentences_stay_as_they_are(name: str):
    assert safe(name) == name


def test_the_ids_that_are_long_and_random_stay():
    """RFC 7638 thumbprints are public; so are the subjects that a provider makes for each client."""
    long = ENTROPY.token(32)
    for field in THUMBPRINTS:
        assert fit(field, long) == long


def test_a_line_of_an_event_says_what_it_was_made_with():
    audit = Audit(FakeClock(), write=lambda _: None)
    event = audit.event(Event.LOGIN_FAILED, subject="u_1", provider="corp", reason="timeout", sessions=2, refused=False)
    line = json.loads(as_line(event))
    assert (line["subject"], line["provider"], line["sessions"], line["refused"]) == ("u_1", "corp", 2, False)
