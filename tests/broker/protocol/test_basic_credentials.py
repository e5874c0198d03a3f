"""HTTP Basic, encoded and not."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.oauth import InvalidClient, Reason
from broker.protocol.basic_credentials import Basic, parse


def header(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return "Basic " + base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id:secret", Basic("id", ("secret",))),
        ("id:", Basic("id", ())),
        ("id:a:b", Basic("id", ("a:b",))),
        ("id:a%2Fb", Basic("id", ("a/b", "a%2Fb"))),
        ("id:a+b", Basic("id", ("a b", "a+b"))),
        ("id:100%", Basic("id", ("100%",))),
        ("id:%zz%41", Basic("id", ("%zz%41",))),
        ("id:%ff", Basic("id", ("%ff",))),
        ("id:%00", Basic("id", ("%00",))),
        ("id:schlüssel", Basic("id", ("schlüssel",))),
        ("https%3A%2F%2Fclient.example%2Fc:", Basic("https://client.example/c", ())),
        ("50%:x", Basic("50%", ("x",))),
    ],
)
def test_id_and_secret_are_decoded_and_the_raw_secret_is_a_second_reading(text: str, expected: Basic) -> None:
    """RFC 6749 section 2.3.1; clients disagree on it (rule E12)."""
    assert parse(header(text)) == expected


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_scheme_is_case_insensitive(scheme: str) -> None:
    """RFC 9110 section 11.1."""
    assert parse(header("id:x").replace("Basic", scheme)).id == "id"


@pytest.mark.parametrize(
    "value",
    [
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic aWQ6eA",  # padding is missing
        "Basic aWQ6eA===",
        "Basic aWQ6\neA==",
        "Basic é",
        header(b"\xff\xfe:x"),
        header("no colon"),
        header(":secret"),
        header("id:a\x00b"),
        header("id:a\nb"),
        header(""),
    ],
)
def test_a_malformed_value_is_invalid_client(value: str) -> None:
    """Rule E12: bad base64, not UTF-8, no colon; never a 5xx."""
    with pytest.raises(InvalidClient) as refused:
        parse(value)
    assert refused.value.reason is Reason.CREDENTIALS_MALFORMED


@pytest.mark.parametrize("value", ["", "Bearer x", "DPoP x", "Basicaly x", "Digest username=x"])
def test_another_scheme_is_not_client_authentication_here(value: str) -> None:
    """Rule E12: of the registered kind."""
    with pytest.raises(InvalidClient) as refused:
        parse(value)
    assert refused.value.reason is Reason.CREDENTIALS_KIND


def test_secrets_do_not_print() -> None:
    """Oracle: no secret in a log."""
    assert "secret" not in repr(parse(header("id:secret")))


PLAIN = st.text(st.sampled_from("abcXYZ019._~-"), min_size=1, max_size=40)


@given(PLAIN, PLAIN)
def test_our_own_ids_and_secrets_read_alike_in_every_client_s_spelling(client_id: str, secret: str) -> None:
    """Architecture, client ids and secrets: encoded or not, there is one reading."""
    spellings = {f"{encode(client_id)}:{encode(secret)}" for encode in (str, quote, quote_plus)}
    assert {parse(header(text)) for text in spellings} == {Basic(client_id, (secret,))}


@given(
    st.text(min_size=1, max_size=30).filter(str.isprintable), st.text(min_size=1, max_size=30).filter(str.isprintable)
)
def test_whatever_is_encoded_by_the_rules_comes_back(client_id: str, secret: str) -> None:
    """RFC 6749 section 2.3.1."""
    found = parse(header(f"{quote_plus(client_id)}:{quote_plus(secret)}"))
    assert found.id == client_id
    assert found.secrets[0] == secret


@given(st.text(max_size=60) | st.binary(max_size=60).map(header))
def test_arbitrary_headers_raise_only_the_oauth_error(value: str) -> None:
    """Rule E12: parsing never gives a 5xx."""
    try:
        found = parse(value)
    except InvalidClient:
        return
    assert found.id
