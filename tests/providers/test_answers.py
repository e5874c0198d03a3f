"""Whatever a provider answers, an adapter returns or raises UpstreamError, and the error holds a word of ours (rule B12)."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import callback, userinfo
from providers.base import Callback, UpstreamError
from providers.discovery import read_metadata
from providers.http import UpstreamResponse, document
from providers.token_request import process_token_response
from tests.providers.case import upstream_request
from tests.providers.scripted_idp import ScriptedIdp
from tests.providers.values import JSON_VALUES

STATUSES = st.integers(200, 599)
HEADERS = st.fixed_dictionaries(
    {}, optional={"content-type": st.sampled_from(["application/jwt", "text/html", "", "a;b;c"])}
)
SETTINGS = ScriptedIdp().settings()


@contextlib.contextmanager
def refusing_at_most() -> Iterator[None]:
    """Let nothing but an UpstreamError with a plain word pass, and end it here."""
    reason = "none"
    try:
        yield
    except UpstreamError as error:
        reason = error.reason
    assert re.fullmatch(r"[a-z_]+", reason)


def members(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects of some of these members with any value."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON_VALUES))


@given(STATUSES, HEADERS, st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_answer_makes_the_reading_fail(status: int, headers: dict[str, str], body: bytes) -> None:
    """Security rule B12."""
    response = UpstreamResponse(status, headers, body)
    with refusing_at_most():
        process_token_response(response)
    with refusing_at_most():
        document(response, "x")
    with refusing_at_most():
        userinfo.parse_signed(response)


@given(STATUSES, members("access_token", "token_type", "id_token", "refresh_token", "expires_in", "error", "scope"))
def test_no_token_response_makes_the_reading_fail(status: int, answer: dict[str, Any]) -> None:
    """Security rule B12; what is accepted can go into a header."""
    with refusing_at_most():
        tokens = process_token_response(
            UpstreamResponse(status, {}, json.dumps({"access_token": "at", **answer}).encode())
        )
        assert tokens.access_token.isascii()
        assert tokens.access_token.isprintable()
        assert tokens.expires_in is None or tokens.expires_in >= 0


@given(
    members(
        "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "id_token_signing_alg_values_supported",
        "token_endpoint_auth_methods_supported", "authorization_response_iss_parameter_supported", "issuer",
    )
)  # fmt: skip
def test_no_discovery_document_makes_the_reading_fail(changes: dict[str, Any]) -> None:
    """Security rules B7, B12."""
    url = "https://idp.example.test/x"
    good = {"issuer": SETTINGS.issuer, "authorization_endpoint": url, "token_endpoint": url, "jwks_uri": url}
    with refusing_at_most():
        read_metadata({**good, **changes}, SETTINGS)


@given(st.dictionaries(st.sampled_from(["state", "iss", "code", "error", "x"]), st.text() | st.just("\ud800")))
def test_no_callback_makes_the_judgement_fail(params: dict[str, str]) -> None:
    """Security rules B1, B12; without our state nothing ever passes."""
    with refusing_at_most():
        callback.check(Callback(params=params), upstream_request(), SETTINGS.issuer)
        pytest.fail("a response of nobody's login passed")


@given(members("sub", "iss", "aud", "exp", "email"))
def test_userinfo_speaks_of_the_same_person_or_not_at_all(values: dict[str, Any]) -> None:
    """Security rule B6."""
    with refusing_at_most():
        assert userinfo.check_subject(values, "u-alice").values["sub"] == "u-alice"
